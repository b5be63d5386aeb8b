"""PX4's own topics, by way of the uXRCE-DDS agent, to and from the autopilot's events and commands."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from typing import Any

import rclpy
from px4_msgs.msg import (
    BatteryStatus,
    FailsafeFlags,
    OffboardControlMode,
    SensorGps,
    TrajectorySetpoint,
    VehicleCommand,
    VehicleCommandAck,
    VehicleLandDetected,
    VehicleLocalPosition,
    VehicleOdometry,
    VehicleStatus,
)
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from uav_twin_migration.vehicle.frames import enu_to_ned, heading_to_yaw
from uav_twin_migration.vehicle.px4_codes import CHECKS, FIXES, MODE_NUMBERS, NAV_STATES, RESULTS
from uav_twin_migration.vehicle.signals import (
    UNKNOWN_MODE,
    Acknowledgement,
    Arm,
    Attitude,
    Battery,
    Command,
    Estimator,
    Event,
    Fact,
    FrameOrigin,
    Heartbeat,
    LocalPosition,
    RemoteControl,
    Request,
    Rivals,
    SetMode,
    Setpoint,
    StatusText,
    TakeOff,
    arming_checks,
)

# what PX4's side of the agent offers and asks for
QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=5,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
VOLATILE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)

# fields of VehicleLocalPosition without which nobody flies by it, and what is missing then
TRUSTED = {
    "xy_valid": "horizontal position",
    "xy_global": "absolute horizontal position",
    "z_valid": "height",
    "v_xy_valid": "horizontal velocity",
}
ARMED = 2
SET_MODE, ARM = 176, 400  # MAVLink's numbers, which VehicleCommand shares
COMMANDS: dict[int, type[SetMode] | type[Arm]] = {SET_MODE: SetMode, ARM: Arm}
ONBOARD_COMPUTER = 191
PX4_FILLS_IN = 0  # as a time stamp: a wall clock that steps would make PX4 drop set-points, and take the vehicle back
NOT_USED = [math.nan] * 3


def topic(namespace: str, name: str, kind: Any) -> str:
    """A topic of PX4. From PX4 1.16 on, the version of a message is part of its topic's name."""
    version = getattr(kind, "MESSAGE_VERSION", 0)
    return f"{namespace}/fmu/{name}" + (f"_v{version}" if version else "")


class DdsLink:
    """The link to one vehicle, over topics of `node`."""

    def __init__(self, node: Node, namespace: str, system_id: int) -> None:
        self._node, self._system_id = node, system_id
        self._events: deque[Event] = deque(maxlen=1000)
        self._refused: Counter[str] = Counter()
        self._failing = ""  # arming checks, by what fails
        self._in_failsafe = self._told_why = False
        self._listen(VehicleStatus, topic(namespace, "out/vehicle_status", VehicleStatus), self._on_status)
        self._listen(
            VehicleLocalPosition,
            topic(namespace, "out/vehicle_local_position", VehicleLocalPosition),
            self._on_position,
        )
        self._listen(VehicleOdometry, topic(namespace, "out/vehicle_odometry", VehicleOdometry), self._on_odometry)
        self._listen(VehicleCommandAck, topic(namespace, "out/vehicle_command_ack", VehicleCommandAck), self._on_ack)
        self._listen(BatteryStatus, topic(namespace, "out/battery_status", BatteryStatus), self._on_battery)
        self._listen(FailsafeFlags, topic(namespace, "out/failsafe_flags", FailsafeFlags), self._on_checks)
        self._listen(SensorGps, topic(namespace, "out/vehicle_gps_position", SensorGps), self._on_gps)
        self._listen(
            VehicleLandDetected, topic(namespace, "out/vehicle_land_detected", VehicleLandDetected), self._on_landed
        )
        self._modes = self._publisher(OffboardControlMode, namespace, "in/offboard_control_mode")
        self._set_points = self._publisher(TrajectorySetpoint, namespace, "in/trajectory_setpoint")
        self._commands = self._publisher(VehicleCommand, namespace, "in/vehicle_command")

    def _listen(self, kind: Any, name: str, callback: Callable[[Any], None]) -> None:
        self._node.create_subscription(kind, name, callback, VOLATILE)

    def _publisher(self, kind: Any, namespace: str, name: str) -> Any:
        return self._node.create_publisher(kind, topic(namespace, name, kind), QOS)

    @property
    def refused(self) -> dict[str, int]:
        """What was ignored, counted by reason."""
        return dict(self._refused)

    def events(self) -> Iterator[Event]:
        """What has come since the last call."""
        while self._events:
            yield self._events.popleft()

    def _on_status(self, message: Any) -> None:
        if message.system_id != self._system_id:
            self._refused["other system"] += 1
            return
        mode = NAV_STATES.get(message.nav_state, UNKNOWN_MODE)
        self._in_failsafe = bool(message.failsafe)
        self._told_why = self._told_why and self._in_failsafe
        self._events.append(Heartbeat(message.arming_state == ARMED, mode, self._in_failsafe))
        self._events.append(arming_checks(message.pre_flight_checks_pass, self._failing))

    def _on_position(self, message: Any) -> None:
        position, velocity = (message.x, message.y, message.z), (message.vx, message.vy, message.vz)
        missing = [name for flag, name in TRUSTED.items() if not getattr(message, flag)]
        if missing:
            self._events.append(Estimator(False, ", ".join(missing)))  # no GPS yet, or no more
            return
        if not all(map(math.isfinite, (*position, *velocity, message.ref_lat, message.ref_lon))):
            self._refused["not finite"] += 1
            return
        self._events.append(Estimator(True))
        self._events.append(FrameOrigin(message.ref_lat, message.ref_lon))
        self._events.append(LocalPosition(_heard_at(), position, velocity))

    def _on_odometry(self, message: Any) -> None:
        q = tuple(map(float, message.q))
        rates = tuple(map(float, message.angular_velocity))
        if all(map(math.isfinite, (*q, *rates))):
            self._events.append(Attitude(_heard_at(), q, rates))  # type: ignore[arg-type]
        else:
            self._refused["not finite"] += 1

    def _on_battery(self, message: Any) -> None:
        if 0 <= message.remaining <= 1:
            self._events.append(Battery(float(message.remaining)))

    def _on_checks(self, message: Any) -> None:
        """PX4's words (STATUSTEXT) do not go over DDS; these flags do."""
        self._events.append(RemoteControl(not message.manual_control_signal_lost))
        self._failing = ", ".join(name for flag, name in CHECKS.items() if getattr(message, flag, False))
        lost = ["set-points"] if message.offboard_control_signal_lost else []
        if self._in_failsafe and not self._told_why and (self._failing or lost):
            self._told_why = True
            self._events.append(StatusText(f"failsafe: {', '.join([*lost, self._failing] if self._failing else lost)}"))

    def _on_gps(self, message: Any) -> None:
        self._events.append(Fact("gps", f"{FIXES.get(message.fix_type, 'fix')}, {message.satellites_used} satellites"))

    def _on_landed(self, message: Any) -> None:
        self._events.append(Fact("landed", "on the ground" if message.landed else "in the air"))

    def _on_ack(self, message: Any) -> None:
        if message.command in COMMANDS:
            if message.result != 0 and self._failing:
                self._events.append(StatusText(f"arming checks fail: {self._failing}"))
            reason = RESULTS.get(message.result, "")
            self._events.append(Acknowledgement(COMMANDS[message.command], message.result, reason))

    def send(self, command: Command) -> None:
        """Publish a command; a set-point together with the sign of life that OFFBOARD wants."""
        now = PX4_FILLS_IN
        if isinstance(command, Setpoint):
            held = command.position
            self._modes.publish(OffboardControlMode(timestamp=now, velocity=held is None, position=held is not None))
            velocity = NOT_USED if held else [float(part) for part in enu_to_ned(command.velocity)]
            set_point = TrajectorySetpoint(timestamp=now, velocity=velocity, yaw=heading_to_yaw(command.heading))
            set_point.position = list(held) if held else NOT_USED
            set_point.acceleration, set_point.jerk = NOT_USED, NOT_USED
            set_point.yawspeed = math.nan
            self._set_points.publish(set_point)
        elif isinstance(command, Request | TakeOff):
            pass  # PX4's topics say all of it, again and again; and its set-points lift it
        elif isinstance(command, Arm):
            self._command(now, ARM, 1.0)
        else:
            main, sub = MODE_NUMBERS[command.control]
            self._command(now, SET_MODE, 1.0, float(main), float(sub))

    def _command(self, now: int, number: int, param1: float, param2: float = 0.0, param3: float = 0.0) -> None:
        message = VehicleCommand(timestamp=now, command=number, param1=param1, param2=param2, param3=param3)
        message.target_system, message.target_component = self._system_id, 1
        message.source_system, message.source_component = self._system_id, ONBOARD_COMPUTER
        message.from_external = True
        self._commands.publish(message)

    def keep_alive(self) -> None:
        """See who else commands; the agent keeps the session."""
        self._events.append(Rivals(self._node.count_publishers(self._set_points.topic_name) - 1))

    def close(self) -> None:
        """Nothing to do: the topics end with the node."""


def _heard_at() -> int:
    """A time for what is heard now, ms.

    Not PX4's: its client turns that into the companion's wall clock on the way, and a message from before a step of
    that clock would look like one from after a restart. DDS keeps each topic in order.
    """
    return int(time.monotonic() * 1000)


class DdsConnection(DdsLink):
    """A link with a node of its own, for whom nobody spins."""

    def __init__(self, namespace: str, system_id: int) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        super().__init__(Node("px4_link", context=self._context), namespace, system_id)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def close(self) -> None:
        """End its node."""
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        self._context.try_shutdown()
