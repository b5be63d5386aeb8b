"""PX4's own topics: a stand-in for px4_msgs with the fields that are used, as PX4 v1.17 defines them."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from uav_twin_migration.vehicle.px4_codes import LOITER, OFFBOARD
from uav_twin_migration.vehicle.signals import (
    Acknowledgement,
    Arm,
    Attitude,
    Battery,
    Control,
    Estimator,
    Fact,
    FrameOrigin,
    Heartbeat,
    LocalPosition,
    RemoteControl,
    Rivals,
    SetMode,
    Setpoint,
    StatusText,
)

pytestmark = pytest.mark.ros

VERSIONS = {"BatteryStatus": 1, "VehicleStatus": 1, "VehicleLocalPosition": 1}
KINDS = (
    "BatteryStatus",
    "FailsafeFlags",
    "OffboardControlMode",
    "SensorGps",
    "TrajectorySetpoint",
    "VehicleCommand",
    "VehicleCommandAck",
    "VehicleLandDetected",
    "VehicleLocalPosition",
    "VehicleOdometry",
    "VehicleStatus",
)


class FakeNode:
    """Keeps what is published, and callbacks by topic."""

    def __init__(self) -> None:
        self.callbacks: dict[str, Callable[[Any], None]] = {}
        self.published: list[tuple[str, Any]] = []
        self.publishers = 1

    def create_subscription(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: Any) -> None:
        self.callbacks[topic] = callback

    def create_publisher(self, kind: Any, topic: str, qos: Any) -> Any:
        return SimpleNamespace(publish=lambda message: self.published.append((topic, message)), topic_name=topic)

    def count_publishers(self, topic: str) -> int:
        return self.publishers

    def get_clock(self) -> Any:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=5_000_000))


@pytest.fixture
def dds(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module px4_dds, over the stand-in."""
    messages = ModuleType("px4_msgs.msg")
    for kind in KINDS:
        message = type(kind, (SimpleNamespace,), {"MESSAGE_VERSION": VERSIONS.get(kind, 0)})
        setattr(messages, kind, message)
    monkeypatch.setitem(sys.modules, "px4_msgs", ModuleType("px4_msgs"))
    monkeypatch.setitem(sys.modules, "px4_msgs.msg", messages)
    monkeypatch.delitem(sys.modules, "uav_twin_migration.nodes.px4_dds", raising=False)
    yield importlib.import_module("uav_twin_migration.nodes.px4_dds")
    sys.modules.pop("uav_twin_migration.nodes.px4_dds", None)


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


def position(**changes: Any) -> SimpleNamespace:
    at = {"x": 1.0, "y": 2.0, "z": -3.0, "vx": 0.1, "vy": 0.2, "vz": 0.3, "ref_lat": 47.0, "ref_lon": 8.0}
    valid = {"xy_valid": True, "z_valid": True, "v_xy_valid": True, "xy_global": True, "timestamp": 7_000_000}
    return SimpleNamespace(**{**at, **valid, **changes})


def status(**changes: Any) -> SimpleNamespace:
    flying = {"arming_state": 2, "nav_state": 14, "failsafe": False, "pre_flight_checks_pass": True}
    return SimpleNamespace(**{"system_id": 1, **flying, **changes})


def flags(**changes: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"manual_control_signal_lost": True, "offboard_control_signal_lost": True, **changes})


def test_topics_carry_namespace_and_version(dds: Any, node: FakeNode) -> None:
    dds.DdsLink(node, "/px4_1", 2)
    assert set(node.callbacks) == {
        "/px4_1/fmu/out/battery_status_v1",
        "/px4_1/fmu/out/vehicle_status_v1",
        "/px4_1/fmu/out/vehicle_local_position_v1",
        "/px4_1/fmu/out/vehicle_odometry",
        "/px4_1/fmu/out/vehicle_command_ack",
        "/px4_1/fmu/out/failsafe_flags",
        "/px4_1/fmu/out/vehicle_gps_position",
        "/px4_1/fmu/out/vehicle_land_detected",
    }


def test_what_px4_says(dds: Any, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is heard carries our own time: PX4's goes through the companion's clock, which can step."""
    monkeypatch.setattr(dds.time, "monotonic", lambda: 5.0)
    link = dds.DdsLink(node, "", 1)
    hear = {name.rsplit("/", 1)[1]: callback for name, callback in node.callbacks.items()}
    hear["vehicle_status_v1"](status())
    hear["vehicle_status_v1"](status(system_id=9))
    hear["vehicle_local_position_v1"](position())
    hear["vehicle_local_position_v1"](position(xy_valid=False))
    hear["vehicle_local_position_v1"](position(z=math.nan))
    hear["vehicle_odometry"](SimpleNamespace(timestamp=8_000_000, q=[1, 0, 0, 0], angular_velocity=[0, 0, 0.5]))
    hear["battery_status_v1"](SimpleNamespace(remaining=0.5))
    hear["battery_status_v1"](SimpleNamespace(remaining=math.nan))
    hear["vehicle_command_ack"](SimpleNamespace(command=400, result=1))
    hear["vehicle_command_ack"](SimpleNamespace(command=511, result=1))
    assert list(link.events()) == [
        Heartbeat(True, OFFBOARD, False),
        Fact("arming_checks", "pass"),
        Estimator(True),
        FrameOrigin(47.0, 8.0),
        LocalPosition(5000, (1.0, 2.0, -3.0), (0.1, 0.2, 0.3)),
        Estimator(False, "horizontal position"),
        Attitude(5000, (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.5)),
        Battery(0.5),
        Acknowledgement(Arm, 1, "temporarily rejected"),
    ]
    assert list(link.events()) == []
    assert link.refused == {"other system": 1, "not finite": 1}


def test_why_it_does_not_arm_and_who_is_there(dds: Any, node: FakeNode) -> None:
    link = dds.DdsLink(node, "", 1)
    hear = {name.rsplit("/", 1)[1]: callback for name, callback in node.callbacks.items()}
    hear["failsafe_flags"](flags(local_position_invalid=True))
    hear["vehicle_status_v1"](status(arming_state=1, nav_state=4, pre_flight_checks_pass=False))
    hear["vehicle_command_ack"](SimpleNamespace(command=400, result=1))
    hear["vehicle_gps_position"](SimpleNamespace(fix_type=3, satellites_used=9))
    hear["vehicle_land_detected"](SimpleNamespace(landed=True))
    assert list(link.events()) == [
        RemoteControl(False),
        Heartbeat(False, LOITER, False),
        Fact("arming_checks", "fail: local position"),
        StatusText("arming checks fail: local position"),
        Acknowledgement(Arm, 1, "temporarily rejected"),
        Fact("gps", "3D fix, 9 satellites"),
        Fact("landed", "on the ground"),
    ]


def test_why_there_is_a_failsafe_is_said_once(dds: Any, node: FakeNode) -> None:
    link = dds.DdsLink(node, "", 1)
    hear = {name.rsplit("/", 1)[1]: callback for name, callback in node.callbacks.items()}
    hear["failsafe_flags"](flags())
    for lost in (True, True, False):
        hear["vehicle_status_v1"](status(failsafe=lost))
        hear["failsafe_flags"](flags(battery_warning=2, offboard_control_signal_lost=lost))
    said = [event for event in link.events() if isinstance(event, StatusText)]
    assert said == [StatusText("failsafe: set-points, battery")]


def test_what_px4_is_told(dds: Any, node: FakeNode) -> None:
    link = dds.DdsLink(node, "", 1)
    link.send(Setpoint((1.0, 2.0, 3.0), 0.0))
    (mode_topic, mode), (set_point_topic, set_point) = node.published
    assert (mode_topic, mode.velocity) == ("/fmu/in/offboard_control_mode", True)
    assert (set_point_topic, set_point.velocity) == ("/fmu/in/trajectory_setpoint", [2.0, 1.0, -3.0])
    assert all(math.isnan(value) for value in (*set_point.position, *set_point.acceleration, set_point.yawspeed))
    assert set_point.yaw == pytest.approx(math.pi / 2)
    assert (mode.timestamp, set_point.timestamp) == (0, 0)  # PX4 fills in its own: a clock that steps changes nothing
    node.published.clear()
    link.send(Setpoint((0.0, 0.0, 0.0), 0.0, (4.0, 5.0, -6.0)))
    (_, mode), (_, set_point) = node.published
    assert (mode.velocity, mode.position, set_point.position) == (False, True, [4.0, 5.0, -6.0])
    assert all(math.isnan(value) for value in set_point.velocity)
    node.published.clear()
    link.send(SetMode(Control.SETPOINTS))
    link.send(SetMode(Control.LAND))
    link.send(Arm())
    told = [(m.command, m.param1, m.param2, m.param3, m.target_system) for _, m in node.published]
    assert told == [(176, 1, 6, 0, 1), (176, 1, 4, 6, 1), (400, 1, 0, 0, 1)]


def test_another_node_on_the_same_vehicle_is_noticed(dds: Any, node: FakeNode) -> None:
    link = dds.DdsLink(node, "", 1)
    node.publishers = 2
    link.keep_alive()
    assert list(link.events()) == [Rivals(1)]
