"""The gazebo node starts the real gzserver 11 with its own command line; pilot and link node follow what it simulates.

What is missing here is gazebo_ros, whose part the test plays: it carries odometry, velocities and the clock between
Gazebo, through the oracle, and ROS. Each step waits for its answer, so nothing depends on the speed of the machine; as
in gazebo_ros, a message may be lost on its way, and the simulation goes on all the same.
"""

from __future__ import annotations

import bisect
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy", reason="needs ROS 2")

from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from uav_twin_migration.msg import LinkQuality

from test.gazebo import classic
from test.ros.conftest import Probe, Processes, domain, probe, processes  # noqa: F401  (fixtures)
from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.sdf import CLOCK
from uav_twin_migration.scenario.sdf.world import PHYSICS_STEP
from uav_twin_migration.scenario.snapshot import Snapshot
from uav_twin_migration.studies.harnesses.ports import free_port
from uav_twin_migration.vehicle.frames import to_world
from uav_twin_migration.vehicle.motion import CORNER_TOLERANCE, states_at

pytestmark = [pytest.mark.slow, pytest.mark.ros]

SCENARIO = load("small")
SNAPSHOT = Snapshot(SCENARIO)
STEPS = 13  # of Gazebo's physics between two ticks of the clock
TICK = STEPS * PHYSICS_STEP  # s, simulated
MINUTE = round(60 / TICK)
ANSWERED_WITHIN = 5.0  # s, of the wall, after which a tick is taken for unheard
MAY_BE_LOST = 3  # ticks: the first, if the pilot did not yet hear its clock, and what best effort loses


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the node writes the world, and gzserver in its root can read it."""
    try:
        classic.available()
    except classic.NoGazeboClassicError as reason:
        pytest.skip(f"GAZEBO CLASSIC NOT STARTED BY OUR NODE: {reason}")
    made = Path(tempfile.mkdtemp(dir=classic.ROOT / "tmp"))
    yield made
    shutil.rmtree(made)


def start(
    processes: Processes,  # noqa: F811
    folder: Path,
    tools: Path,
    monkeypatch: pytest.MonkeyPatch,
    plugins: str,
) -> classic.Oracle:
    """gzserver, started by the gazebo node as where gazebo_ros is installed, and asked through the oracle."""
    port = free_port()
    program = tools / "gzserver"
    program.write_text(classic.wrapper(port, plugins))
    program.chmod(0o755)
    marker = tools / "share" / "ament_index" / "resource_index" / "packages" / "gazebo_ros"
    marker.parent.mkdir(parents=True)
    marker.touch()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{os.environ['AMENT_PREFIX_PATH']}:{tools}")
    monkeypatch.setenv("TMPDIR", str(folder))
    node = processes.start("gazebo", "", scenario="small", gazebo="classic", gui=False)
    return classic.Oracle(port, lambda: node.poll() is None)


@pytest.mark.parametrize("installed", [True, False])
def test_gzserver_takes_our_command_line(
    processes: Processes,  # noqa: F811
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: bool,
) -> None:
    """It loads our world, and tells gazebo_ros what we want of it, whose plug-ins may be missing."""
    plugins = str(classic.stubs()) if installed else "/nowhere"
    with start(processes, folder, tmp_path, monkeypatch, plugins) as oracle:
        (arguments, now, *poses) = oracle.ask(["arguments", "step 10", *(f"pose {rsu.id}" for rsu in SCENARIO.rsus)])
    assert arguments.split()[-5:] == ["--ros-args", "--param", "publish_rate:=20.0", "--remap", f"/clock:={CLOCK}"]
    assert float(now) >= 10 * PHYSICS_STEP
    for pose, rsu in zip(poses, SCENARIO.rsus, strict=True):
        assert [float(value) for value in pose.split()[1:4]] == pytest.approx([*rsu.position, 0])
    (log,) = folder.glob("*/gzserver.log")
    missing = {name for name in sum(classic.STUBS.values(), ()) if any(name in line for line in classic.plain(log))}
    assert missing == (set() if installed else set(sum(classic.STUBS.values(), ())))


def test_nodes_follow_gazebo_for_a_minute(
    processes: Processes,  # noqa: F811
    probe: Probe,  # noqa: F811
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each model is after a minute where the embedded world has its UAV, and links are of where the models were."""
    with start(processes, folder, tmp_path, monkeypatch, str(classic.stubs())) as oracle:
        processes.start("pilot", "", scenario="small", period=0.05)
        processes.start("link", "", scenario="small", use_sim_time=True)
        bridge = Bridge(probe, oracle)
        probe.wait_for(bridge.connected, "pilot and link node")
        for _ in range(MINUTE):
            bridge.tick()
    reference = [states_at(SCENARIO, 60.0 + late)[0] for late in np.arange(-1.0, 0.1, TICK)]
    aside = np.min([np.linalg.norm(bridge.positions[-1] - positions, axis=1) for positions in reference], axis=0)
    assert aside.max() < 2 * CORNER_TOLERANCE
    assert len(bridge.links) > MINUTE / 4  # one in two ticks is asked for
    for message in bridge.links:
        latest = bisect.bisect(bridge.times, convert.seconds(message.header.stamp) + 1e-6)
        recent = [SNAPSHOT.links(positions) for positions in bridge.positions[max(latest - 3, 0) : latest + 1]]
        shape = (len(SCENARIO.uavs), len(SCENARIO.rsus))
        distance, sight = np.reshape(message.distance, shape), np.reshape(message.line_of_sight, shape)
        for uav in range(len(SCENARIO.uavs)):  # whose odometry comes one after the other
            measured = [(links.distance[uav], links.line_of_sight[uav]) for links in recent]
            assert any(
                np.allclose(distance[uav], far, rtol=1e-5) and (sight[uav] == free).all() for far, free in measured
            )


class Bridge:
    """gazebo_ros: odometry and the clock from Gazebo to ROS, and back the velocities that the planar mover takes."""

    def __init__(self, probe: Probe, oracle: classic.Oracle) -> None:  # noqa: F811
        self._probe, self._oracle = probe, oracle
        self._uavs = [uav.id for uav in SCENARIO.uavs]
        self._commands = {uav: Twist() for uav in self._uavs}  # the last ones: the planar mover keeps to them
        self._answered: set[str] = set()  # to this tick
        self._clock = probe.create_publisher(Clock, CLOCK, qos_profiles.ODOMETRY)
        self._odometry = {
            uav: probe.create_publisher(Odometry, topics.odometry(uav), qos_profiles.ODOMETRY) for uav in self._uavs
        }
        for uav in self._uavs:
            probe.create_subscription(Twist, topics.body_velocity(uav), partial(self._obey, uav), qos_profiles.ODOMETRY)
        self.links: list[LinkQuality] = []
        probe.create_subscription(LinkQuality, topics.LINK_QUALITY, self.links.append, qos_profiles.MEASUREMENT)
        self.unanswered = 0
        self.times: list[float] = []
        self.positions: list[NDArray[np.float64]] = []

    def connected(self) -> bool:
        """Whether pilot and link node hear everything, and the pilot is heard."""
        heard = [publisher.get_subscription_count() for publisher in self._odometry.values()]
        speaking = [self._probe.count_publishers(topics.body_velocity(uav)) for uav in self._uavs]
        return min(heard) == 2 and min(speaking) == 1 and self._clock.get_subscription_count() == 1

    def _obey(self, uav: str, command: Twist) -> None:
        self._commands[uav] = command
        self._answered.add(uav)

    def tick(self) -> None:
        """Tell what Gazebo simulates now, wait for what the pilot says to it, and let Gazebo do that for a period."""
        poses = [[float(word) for word in answer.split()] for answer in self._ask("pose")]
        self.times.append(poses[0][0])
        self.positions.append(np.array([pose[1:4] for pose in poses]))
        for uav, (now, *pose) in zip(self._uavs, poses, strict=True):
            message = Odometry()
            message.header.stamp = convert.to_time(now)
            at, turn = message.pose.pose.position, message.pose.pose.orientation
            at.x, at.y, at.z, turn.w, turn.x, turn.y, turn.z = pose[:7]
            self._odometry[uav].publish(message)
        self._answered.clear()
        self._clock.publish(Clock(clock=convert.to_time(poses[0][0])))
        if len(self.times) > 1:  # the first tick starts the pilot's clock
            self.unanswered += not self._probe.comes(lambda: len(self._answered) == len(self._uavs), ANSWERED_WITHIN)
            assert self.unanswered <= MAY_BE_LOST, f"tick {len(self.times)}: the pilot no longer commands"
        moves = []
        for uav, pose in zip(self._uavs, poses, strict=True):
            linear = self._commands[uav].linear
            x, y, z = to_world(np.array(pose[4:8]), np.array([linear.x, linear.y, linear.z])).tolist()
            moves.append(f"velocity {uav} {x} {y} {z}")
        self._oracle.ask([*moves, f"step {STEPS}"])

    def _ask(self, order: str) -> list[str]:
        return self._oracle.ask([f"{order} {uav}" for uav in self._uavs])
