"""The pilot node, with a simulator played by the test: clock and odometry out, body velocities in."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock

from test.ros.conftest import Probe, Processes, domain, probe, processes  # noqa: F401  (fixtures)
from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes.pilot import body_twist
from uav_twin_migration.nodes.ros import convert
from uav_twin_migration.scenario.load import load, save
from uav_twin_migration.scenario.sdf import CLOCK
from uav_twin_migration.vehicle.motion import CORNER_TOLERANCE
from uav_twin_migration.vehicle.track import Track

pytestmark = pytest.mark.ros

UAVS = load("small").uavs
STEP = 0.05  # s
ANSWERED_WITHIN = 5.0  # s, of the wall, after which a tick is taken for unheard
MAY_BE_LOST = 3  # ticks: the pilot hears them with best effort


class Simulator:
    """Point masses that do at once what they are told, stepped when all commands of the last step are there."""

    def __init__(self, probe: Probe) -> None:  # noqa: F811
        self.probe, self.time = probe, 1.0
        self.position = np.array([(*uav.route[0], uav.altitude) for uav in UAVS])
        self.yaw = np.full(len(UAVS), 1.0)  # looking somewhere: body and map axes differ
        self.commands: dict[int, Twist] = {}
        self.clock = probe.create_publisher(Clock, CLOCK, 10)
        self.clocks: list[Clock] = []
        probe.create_subscription(Clock, topics.CLOCK, self.clocks.append, 10)
        self.odometry = [probe.create_publisher(Odometry, topics.odometry(uav.id), 10) for uav in UAVS]
        for index, uav in enumerate(UAVS):
            probe.create_subscription(Twist, topics.body_velocity(uav.id), partial(self._hear, index), 10)

    def _hear(self, index: int, message: Twist) -> None:
        self.commands[index] = message

    def publish(self) -> None:
        for index, publisher in enumerate(self.odometry):
            message = Odometry()
            message.header.stamp = convert.to_time(self.time)
            pose = message.pose.pose
            pose.position.x, pose.position.y, pose.position.z = self.position[index].tolist()
            pose.orientation.z, pose.orientation.w = math.sin(self.yaw[index] / 2), math.cos(self.yaw[index] / 2)
            publisher.publish(message)
        self.clock.publish(Clock(clock=convert.to_time(self.time)))

    def connect(self) -> None:
        """Let time pass until every command comes."""

        def heard() -> bool:
            self.time += STEP
            self.publish()
            return len(self.commands) == len(UAVS)

        self.probe.wait_for(heard, "commands")
        now = convert.to_time(self.time)
        self.probe.wait_for(lambda: self.clocks and self.clocks[-1].clock == now, "the pilot, up to date")

    def step(self) -> None:
        for _ in range(1 + MAY_BE_LOST):
            self.commands.clear()
            self.time += STEP
            self.publish()
            if self.probe.comes(lambda: len(self.commands) == len(UAVS), ANSWERED_WITHIN):
                break
        assert len(self.commands) == len(UAVS), "the pilot no longer commands"
        for index, command in self.commands.items():
            c, s = math.cos(self.yaw[index]), math.sin(self.yaw[index])
            x, y = command.linear.x, command.linear.y
            self.position[index] += STEP * np.array([c * x - s * y, s * x + c * y, command.linear.z])
            self.yaw[index] += STEP * command.angular.z


def test_flies_along_the_route_and_passes_the_clock_on(processes: Processes, probe: Probe) -> None:  # noqa: F811
    processes.start("pilot", "", scenario="small")
    simulator = Simulator(probe)
    simulator.connect()
    start = simulator.position.copy()
    for _ in range(100):
        simulator.step()
    for uav, begun, now, yaw in zip(UAVS, start, simulator.position, simulator.yaw, strict=True):
        leg = np.subtract(uav.route[1], uav.route[0])
        along = leg / np.linalg.norm(leg)
        flown = (now - begun)[:2]
        assert flown @ along > 20
        assert abs(flown[0] * along[1] - flown[1] * along[0]) < CORNER_TOLERANCE
        assert math.cos(yaw - math.atan2(along[1], along[0])) > 0.95  # it looks where it flies
    probe.wait_for(lambda: simulator.clocks[-1].clock == convert.to_time(simulator.time), "the clock, passed on")


def test_somebodys_cmd_vel_goes_first(processes: Processes, probe: Probe) -> None:  # noqa: F811
    processes.start("pilot", "", scenario="small")
    simulator = Simulator(probe)
    simulator.connect()
    steering = probe.create_publisher(Twist, topics.cmd_vel(UAVS[0].id), 10)
    probe.wait_for(lambda: steering.get_subscription_count() > 0, "the pilot listens")
    wanted = Twist()
    wanted.linear.x, wanted.linear.y = -3.0, -4.0
    before = simulator.position[0].copy()

    def obeyed() -> bool:
        steering.publish(wanted)
        simulator.step()
        return bool(np.hypot(*(simulator.position[0] - before)[:2]) > 10)

    probe.wait_for(obeyed, "being steered away")


def test_stale_odometry_brings_it_to_a_stop(processes: Processes, probe: Probe) -> None:  # noqa: F811
    processes.start("pilot", "", scenario="small")
    simulator = Simulator(probe)
    simulator.connect()
    for _ in range(60):
        simulator.step()
    assert speed(simulator.commands[0]) > 3

    def stopped() -> bool:
        simulator.time += STEP
        simulator.clock.publish(Clock(clock=convert.to_time(simulator.time)))  # time passes, but no odometry comes
        return speed(simulator.commands[0]) == 0

    probe.wait_for(stopped, "a stop")


def speed(command: Twist) -> float:
    return math.hypot(command.linear.x, command.linear.y, command.linear.z)


def test_a_body_that_looks_north_gets_an_eastward_velocity_to_its_right() -> None:
    north = np.array([math.sqrt(0.5), 0, 0, math.sqrt(0.5)])
    command: Any = body_twist(north, np.array([5.0, 0.0, 1.0]))
    assert [command.linear.x, command.linear.y, command.linear.z] == pytest.approx([0, -5, 1])
    assert command.angular.z < 0  # turns right


def test_a_recorded_flight_is_flown_as_it_was(processes: Processes, probe: Probe, tmp_path: Path) -> None:  # noqa: F811
    scenario = load("small")
    fixes = [(0.0, 0.0, 0.0, 0.0), (6.0, 30.0, 0.0, 5.0), (12.0, 30.0, 40.0, 10.0), (60.0, 300.0, 40.0, 10.0)]
    uavs = []
    for uav in scenario.uavs:
        east, north = uav.route[0]
        track = tuple((t, x + east, y + north, z + uav.altitude) for t, x, y, z in fixes)
        uavs.append(replace(uav, track=track))
    save(replace(scenario, uavs=tuple(uavs)), tmp_path / "recorded.yaml")
    processes.start("pilot", "", scenario=str(tmp_path / "recorded.yaml"))
    simulator = Simulator(probe)
    simulator.connect()
    for _ in range(240):  # 12 s
        simulator.step()
    times = np.arange(9.0, 16.0, STEP)  # it has begun when the first command came
    for uav, position in zip(uavs, simulator.position, strict=True):
        assert np.linalg.norm(Track(uav.track).at(times)[0] - position, axis=1).min() < 1.0
