"""The px4 node as a process: odometry, services and what it says, with a scripted PX4 that lives in real time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from action_msgs.msg import GoalStatus
from nav_msgs.msg import Odometry
from rclpy.action import ActionClient
from std_msgs.msg import String
from std_srvs.srv import Trigger
from uav_twin_migration.action import FlightOrder

from test.ros.conftest import PATIENCE, Probe, Processes, domain, probe, processes  # noqa: F401  (fixtures)
from test.ros.test_launch import HAS_LAUNCH, launch
from test.vehicle.scripted import LAND, RETURN, ScriptedPx4
from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes.px4 import LATCHED
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.scenario.load import load
from uav_twin_migration.vehicle.frames import TangentPlane

pytestmark = pytest.mark.ros

SCENARIO = load("small")
UAV = SCENARIO.uavs[1]


class LivingPx4:
    """A scripted PX4 in a thread."""

    def __init__(self) -> None:
        latitude, longitude, _ = TangentPlane(SCENARIO.origin).to_geodetic((*UAV.route[0], 0.0))
        self.px4 = ScriptedPx4(latitude, longitude, system_id=2)
        self.steps = 0  # in which it has read what was sent to it
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        born = time.monotonic()
        while not self._stop.wait(0.02):
            self.px4.step(time.monotonic() - born)
            self.steps += 1

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.px4.close()


@pytest.fixture
def living() -> Iterator[LivingPx4]:
    one = LivingPx4()
    yield one
    one.close()


class FlightGoal:
    """An order that takes time."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.handle: Any = None
        self.result: Any = None

    def heard(self, feedback: Any) -> None:
        self.phases.append(feedback.phase)


class Ground(Probe):
    """Somebody on the ground who watches the drone and tells it what to do."""

    def watch(self) -> None:
        self.flights: list[str] = []
        self.odometry: list[Odometry] = []
        self.create_subscription(String, topics.flight(UAV.id), self._hear_flight, LATCHED)
        self.create_subscription(Odometry, topics.odometry(UAV.id), self.odometry.append, qos_profiles.ODOMETRY)

    def _hear_flight(self, message: String) -> None:
        self.flights.append(message.data)

    def order(self, what: str) -> FlightGoal:
        """Give an order that takes time; what was heard of it."""
        client = ActionClient(self, FlightOrder, f"/uav/{UAV.id}/{what}")
        self.wait_for(client.server_is_ready, f"action {what}")
        goal = FlightGoal()
        accepted = client.send_goal_async(FlightOrder.Goal(), feedback_callback=lambda told: goal.heard(told.feedback))
        self.wait_for(accepted.done, f"answer to {what}")
        goal.handle = accepted.result()
        goal.result = goal.handle.get_result_async()
        return goal

    def end_of(self, goal: FlightGoal) -> tuple[int, str]:
        """How an order ended: its status, and what it says."""
        self.wait_for(goal.result.done, "the end of an order")
        return goal.result.result().status, goal.result.result().result.message

    def climb(self) -> list[Odometry]:
        """What was heard of its way up."""
        return [one for one in self.odometry if one.pose.pose.position.z > 5 and one.twist.twist.linear.z > 0.5]

    def wait_until_it_says(self, text: str) -> None:
        self.wait_for(lambda: any(said.startswith(text) for said in self.flights), f"{text!r} in {self.flights}")


def parameters(living: LivingPx4, **more: Any) -> dict[str, Any]:
    address = f"udp://127.0.0.1:0?to=127.0.0.1:{living.px4.address[1]}"
    return {"scenario": "small", "uav_id": UAV.id, "instance": 1, "address": address, **more}


@pytest.fixture
def ground(probe: Probe) -> Ground:  # noqa: F811
    probe.__class__ = Ground
    assert isinstance(probe, Ground)
    probe.watch()
    return probe


def test_flies_when_told_and_lands_when_told(living: LivingPx4, processes: Processes, ground: Ground) -> None:  # noqa: F811
    processes.start("px4", f"/uav/{UAV.id}", **parameters(living))
    ground.wait_until_it_says("idle")
    assert living.px4.commands == []
    assert ground.end_of(ground.order("land")) == (GoalStatus.STATUS_ABORTED, "it is not armed")
    flown = ground.order("fly")
    ground.wait_until_it_says("flying")
    assert ground.end_of(flown)[0] == GoalStatus.STATUS_SUCCEEDED
    assert {"starting", "climbing"} <= set(flown.phases)
    ground.wait_for(lambda: ground.climb(), "the climb")
    message = ground.climb()[0]
    assert (message.header.frame_id, message.child_frame_id) == (topics.MAP, f"{UAV.id}/base_link")
    at, turn = message.pose.pose.position, message.pose.pose.orientation
    assert [at.x, at.y] == pytest.approx(UAV.route[0], abs=1)
    # the scripted vehicle looks north: its nose is the y axis, a quarter turn from east
    assert [turn.w, turn.x, turn.y, turn.z] == pytest.approx([0.7071, 0, 0, 0.7071], abs=1e-3)
    hold = ground.create_client(Trigger, f"/uav/{UAV.id}/hold").call_async(Trigger.Request())
    ground.wait_for(hold.done, "answer to hold")
    assert hold.result().success
    landed = ground.order("land")
    ground.wait_for(lambda: living.px4.mode == LAND, "landing mode")
    ground.wait_until_it_says("idle: landed")
    assert ground.end_of(landed)[0] == GoalStatus.STATUS_SUCCEEDED


def test_auto_arm_a_failsafe_and_an_end_in_flight(living: LivingPx4, processes: Processes, ground: Ground) -> None:  # noqa: F811
    process = processes.start("px4", f"/uav/{UAV.id}", **parameters(living, auto_arm=True))
    ground.wait_until_it_says("flying")
    living.px4.deaf = True
    ground.wait_until_it_says("taken over: a failsafe switched to AUTO.RTL; waiting to be told to fly")
    living.px4.deaf = False
    seen = living.steps
    ground.wait_for(lambda: living.steps > seen + 1, "what was still on its way")
    streamed = living.px4.set_points
    ground.wait_for(lambda: f"px4/{UAV.id}" in ground.diagnostics, "diagnostics")
    assert living.px4.set_points == streamed
    assert ground.diagnostics[f"px4/{UAV.id}"]["phase"] in ("flying", "taken over")
    ground.order("fly")
    ground.wait_for(lambda: living.px4.set_points > streamed, "set-points")
    ground.wait_for(lambda: ground.flights[-1].startswith("flying"), "the flight")
    process.send_signal(signal.SIGINT)
    ground.wait_for(lambda: living.px4.mode == RETURN, "the last order, on_exit's")
    assert process.wait(timeout=PATIENCE) == 0


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"uav_id": "nobody"}, "uav_id"),
        ({"link": "carrier pigeon"}, "link"),
        ({"px4_dir": "/nowhere"}, "px4_dir"),
        ({"address": "pigeon://loft"}, "address"),
    ],
)
def test_bad_parameters_are_named(living: LivingPx4, processes: Processes, wrong: dict[str, Any], word: str) -> None:  # noqa: F811
    process = processes.start("px4", f"/uav/{UAV.id}", **parameters(living, **wrong))
    assert process.wait(timeout=PATIENCE) == 2
    assert process.stderr is not None
    error = process.stderr.read()
    assert word in error
    assert "Traceback" not in error


@pytest.mark.skipif(not HAS_LAUNCH, reason="needs ros2launch, of a ROS 2 distribution")
def test_launch_file_starts_a_node_for_each_drone(processes: Processes, ground: Ground) -> None:  # noqa: F811
    process = launch(processes, "px4.launch.py", "scenario:=small", "vehicles:=2", "first_instance:=40")
    wanted = {f"px4/{uav.id}" for uav in SCENARIO.uavs[:2]}
    ground.wait_for(lambda: wanted <= ground.diagnostics.keys(), "a sign of life of both")
    assert {ground.diagnostics[name]["phase"] for name in wanted} == {"silent"}
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
