"""MAVLink 2 to and from the autopilot's events and commands. Bytes in, bytes out; no socket.

One link speaks with one vehicle: what other systems say is counted and ignored, and so is what cannot be decoded.
Messages that come late, by their sequence number, are dropped: an old heartbeat would look like a change of mode.
With a key, all that is sent is signed, and what comes unsigned, or signed with another key, is counted and ignored.
"""

from __future__ import annotations

import importlib
import math
import time
from collections import Counter
from typing import Any

from pymavlink.dialects.v20 import common

from uav_twin_migration.vehicle import px4_codes, px4_events
from uav_twin_migration.vehicle.dialect import Dialect
from uav_twin_migration.vehicle.frames import enu_to_ned, heading_to_yaw
from uav_twin_migration.vehicle.px4_codes import FIXES, RESULTS
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
    SetMode,
    Setpoint,
    StatusText,
    TakeOff,
    arming_checks,
)

LATE_WINDOW = 32  # messages by which one may lag and count as late; PX4's sequence numbers start anew at 0
ONBOARD_COMPUTER = common.MAV_COMP_ID_ONBOARD_COMPUTER

FAILSAFE_STATES = (common.MAV_STATE_CRITICAL, common.MAV_STATE_EMERGENCY, common.MAV_STATE_FLIGHT_TERMINATION)
COMMANDS: dict[int, type[SetMode] | type[Arm] | type[TakeOff]] = {
    common.MAV_CMD_DO_SET_MODE: SetMode,
    common.MAV_CMD_COMPONENT_ARM_DISARM: Arm,
    common.MAV_CMD_NAV_TAKEOFF: TakeOff,
}

# what a position must be of, for somebody to fly by it, and what is missing without each: flags of ESTIMATOR_STATUS,
# which EKF_STATUS_REPORT shares
TRUSTED = {
    common.ESTIMATOR_VELOCITY_HORIZ: "horizontal velocity",
    common.ESTIMATOR_POS_HORIZ_ABS: "absolute horizontal position",
    common.ESTIMATOR_POS_VERT_ABS: "absolute height",
}
MESSAGES = {
    LocalPosition: "LOCAL_POSITION_NED",
    Attitude: "ATTITUDE_QUATERNION",
    FrameOrigin: "GPS_GLOBAL_ORIGIN",
    Battery: "SYS_STATUS",
}
LANDED = {1: "on the ground", 2: "in the air", 3: "taking off", 4: "landing"}

IGNORE_POSITION = 1 | 2 | 4
IGNORE_ACCELERATION = 64 | 128 | 256
IGNORE_YAW_RATE = 2048
IGNORE_VELOCITY = 8 | 16 | 32
POSITION_AND_HEADING = IGNORE_VELOCITY | IGNORE_ACCELERATION | IGNORE_YAW_RATE
VELOCITY_AND_HEADING = IGNORE_POSITION | IGNORE_ACCELERATION | IGNORE_YAW_RATE

SIGNING_EPOCH = 1_420_070_400  # s, from which MAVLink's signatures count time, in units of 10 us
KEY_BYTES = 32


class MavlinkLink:
    """The link to one vehicle.

    Attributes:
        refused: what was ignored, counted by reason.
    """

    def __init__(
        self, system_id: int, dialect: Dialect = px4_codes.DIALECT, *, key: bytes = b"", stream: bool = False
    ) -> None:
        """`key`, of `KEY_BYTES` bytes, signs; on a `stream` a message may come in pieces, in a datagram it may not."""
        self.refused: Counter[str] = Counter()
        self._system_id, self._dialect, self._stream = system_id, dialect, stream
        self._messages = importlib.import_module(f"pymavlink.dialects.v20.{dialect.messages}")
        self._messages.mavlink_map.setdefault(px4_events.EventMessage.id, px4_events.EventMessage)
        self._sequence: int | None = None
        self._vehicles: set[int] = set()  # other systems that are vehicles
        self._encoder = self._messages.MAVLink(None, srcSystem=system_id, srcComponent=ONBOARD_COMPUTER)
        self._signing = self._encoder.signing
        if key:
            self._signing.secret_key, self._signing.sign_outgoing = key, True
            self._keep_up()
        self._decoder = self._new_decoder()

    def _new_decoder(self) -> Any:
        decoder = self._messages.MAVLink(None)
        decoder.robust_parsing = True
        decoder.signing = self._signing
        return decoder

    def decode(self, data: bytes) -> list[Event] | None:
        """The events in what has come; None where nothing in it comes from the vehicle."""
        if not self._stream:
            self._decoder = self._new_decoder()  # half a message must not be continued by the next datagram
        events: list[Event] = []
        heard = False
        for message in self._decoder.parse_buffer(data) or []:
            if message.get_type() == "BAD_DATA":
                self.refused["unsigned" if message.reason == "Invalid signature" else "garbage"] += 1
            elif message.get_type().startswith("UNKNOWN"):
                continue  # well-formed, of another dialect
            elif message.get_srcSystem() != self._system_id:
                self._count_other(message)
            elif message.get_srcComponent() == common.MAV_COMP_ID_AUTOPILOT1:
                heard = True
                if self._is_late(message.get_seq()):
                    self.refused["overdue"] += 1
                else:
                    events += _event(message, self._dialect)
        if not self._stream and self._decoder.buf_len() > 0:
            self.refused["garbage"] += 1
        return events if heard else None

    def _count_other(self, message: Any) -> None:
        """Another vehicle on this link is odd; a ground station or a camera is not."""
        if message.get_type() == "HEARTBEAT" and message.autopilot != NOBODY:
            self._vehicles.add(message.get_srcSystem())
        if message.get_srcSystem() in self._vehicles:
            self.refused["other system"] += 1

    def _is_late(self, sequence: int) -> bool:
        behind = 0 if self._sequence is None else (self._sequence - sequence) % 256
        if 0 < behind < LATE_WINDOW:
            return True
        self._sequence = sequence
        return False

    def encode(self, command: Command) -> bytes:
        """A command as a message."""
        if isinstance(command, Setpoint):
            return self._pack(self._set_point(command))
        if isinstance(command, Arm):
            return self._pack(self._command(common.MAV_CMD_COMPONENT_ARM_DISARM, 1))
        if isinstance(command, TakeOff):
            return self._pack(self._command(common.MAV_CMD_NAV_TAKEOFF, 0, 0, 0, 0, 0, 0, command.height))
        if isinstance(command, Request):
            return self._pack(self._request(command.what))
        custom = common.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
        return self._pack(self._command(common.MAV_CMD_DO_SET_MODE, custom, *self._dialect.asked[command.control]))

    def _request(self, what: type) -> Any:
        name = self._dialect.estimator if what is Estimator else MESSAGES[what]
        number = getattr(self._messages, f"MAVLINK_MSG_ID_{name}")
        rate = self._dialect.streams.get(what)
        if rate is None:
            return self._command(common.MAV_CMD_REQUEST_MESSAGE, number)
        return self._command(common.MAV_CMD_SET_MESSAGE_INTERVAL, number, 1e6 / rate)

    def _keep_up(self) -> None:
        """Signatures tell the time, and rise with what is sent: a restarted autopilot refuses those a minute old."""
        self._signing.timestamp = max(self._signing.timestamp, int((time.time() - SIGNING_EPOCH) * 1e5))

    def heartbeat(self) -> bytes:
        """Our own sign of life, to be sent once a second."""
        self._keep_up()
        kind = common.MAV_TYPE_ONBOARD_CONTROLLER
        return self._pack(self._encoder.heartbeat_encode(kind, NOBODY, 0, 0, common.MAV_STATE_ACTIVE))

    def _pack(self, message: Any) -> bytes:
        packed = bytes(message.pack(self._encoder))
        self._encoder.seq = (self._encoder.seq + 1) % 256
        return packed

    def _command(self, number: int, *parameters: float) -> Any:
        filled = [*parameters, *[0.0] * (7 - len(parameters))]
        return self._encoder.command_long_encode(self._system_id, common.MAV_COMP_ID_AUTOPILOT1, number, 0, *filled)

    def _set_point(self, command: Setpoint) -> Any:
        held = command.position
        north, east, down = map(float, enu_to_ned(command.velocity))
        return self._encoder.set_position_target_local_ned_encode(
            0,
            self._system_id,
            common.MAV_COMP_ID_AUTOPILOT1,
            common.MAV_FRAME_LOCAL_NED,
            VELOCITY_AND_HEADING if held is None else POSITION_AND_HEADING,
            *(held or (0.0, 0.0, 0.0)),
            *(north, east, down),
            *(0.0, 0.0, 0.0),
            heading_to_yaw(command.heading),
            0.0,
        )


NOBODY = common.MAV_AUTOPILOT_INVALID  # a heartbeat's autopilot, of what is no vehicle: a ground station, a computer


def _event(message: Any, dialect: Dialect) -> list[Event]:
    """What a message tells; nothing where it is of no interest, or not finite."""
    kind = message.get_type()
    if kind == "HEARTBEAT":
        armed = bool(message.base_mode & common.MAV_MODE_FLAG_SAFETY_ARMED)
        mode = dialect.modes.get(message.custom_mode, UNKNOWN_MODE)
        return [Heartbeat(armed, mode, message.system_status in FAILSAFE_STATES)]
    if kind == "LOCAL_POSITION_NED":
        position, velocity = (message.x, message.y, message.z), (message.vx, message.vy, message.vz)
        return _finite(LocalPosition(message.time_boot_ms, position, velocity), *position, *velocity)
    if kind == "ATTITUDE_QUATERNION":
        attitude = (message.q1, message.q2, message.q3, message.q4)
        rates = (message.rollspeed, message.pitchspeed, message.yawspeed)
        return _finite(Attitude(message.time_boot_ms, attitude, rates), *attitude, *rates)
    if kind == "GPS_GLOBAL_ORIGIN":
        latitude, longitude = message.latitude / 1e7, message.longitude / 1e7
        return [FrameOrigin(latitude, longitude)] if abs(latitude) < 90 and abs(longitude) <= 180 else []
    if kind == dialect.estimator:
        missing = [name for flag, name in TRUSTED.items() if not message.flags & flag]
        return [Estimator(not missing, ", ".join(missing))]
    if kind == "SYS_STATUS":
        passed = message.onboard_control_sensors_health & common.MAV_SYS_STATUS_PREARM_CHECK
        return [_remote(message), arming_checks(bool(passed)), *_battery(message)]
    if kind == "BATTERY_STATUS":
        return _battery(message)
    if kind == "GPS_RAW_INT":
        return [Fact("gps", f"{FIXES.get(message.fix_type, 'fix')}, {message.satellites_visible} satellites")]
    if kind == "EXTENDED_SYS_STATE":
        return [Fact("landed", LANDED.get(message.landed_state, "unknown"))]
    if kind == "STATUSTEXT" and message.severity <= common.MAV_SEVERITY_WARNING:
        return [StatusText("".join(filter(str.isprintable, message.text)), message.severity)]
    if kind == "EVENT":
        text = px4_events.words(message.event, message.log_levels, message.arguments)
        return [StatusText(text, message.log_levels & px4_events.LEVELS)] if text else []
    if kind == "COMMAND_ACK" and message.command in COMMANDS:
        return [Acknowledgement(COMMANDS[message.command], message.result, RESULTS.get(message.result, ""))]
    return []


def _battery(message: Any) -> list[Event]:
    return [Battery(message.battery_remaining / 100)] if 0 <= message.battery_remaining <= 100 else []


def _remote(message: Any) -> Event:
    bit = common.MAV_SYS_STATUS_SENSOR_RC_RECEIVER
    return RemoteControl(bool(message.onboard_control_sensors_health & bit))


def _finite(event: Event, *values: float) -> list[Event]:
    return [event] if all(map(math.isfinite, values)) else []
