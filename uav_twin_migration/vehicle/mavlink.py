"""MAVLink 2 datagrams to and from the autopilot's events and commands. Bytes in, bytes out; no socket.

One link speaks with one vehicle: what other systems say is counted and ignored, and so is what cannot be decoded.
Messages that come late, by their sequence number, are dropped: an old heartbeat would look like a change of mode.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from pymavlink.dialects.v20 import common

from uav_twin_migration.vehicle.frames import enu_to_ned, heading_to_yaw
from uav_twin_migration.vehicle.px4_codes import CUSTOM_MODES, MODE_NUMBERS, RESULTS
from uav_twin_migration.vehicle.signals import (
    Acknowledgement,
    Arm,
    Attitude,
    Battery,
    Command,
    Estimator,
    Event,
    FrameOrigin,
    Heartbeat,
    LocalPosition,
    Mode,
    Request,
    SetMode,
    Setpoint,
    StatusText,
)

LATE_WINDOW = 32  # messages by which one may lag and count as late; PX4's sequence numbers start anew at 0
ONBOARD_COMPUTER = common.MAV_COMP_ID_ONBOARD_COMPUTER

FAILSAFE_STATES = (common.MAV_STATE_CRITICAL, common.MAV_STATE_EMERGENCY, common.MAV_STATE_FLIGHT_TERMINATION)
COMMANDS: dict[int, type[SetMode] | type[Arm]] = {
    common.MAV_CMD_DO_SET_MODE: SetMode,
    common.MAV_CMD_COMPONENT_ARM_DISARM: Arm,
}

# what a position must be of, for somebody to fly by it: ESTIMATOR_STATUS.flags, and what is missing without each
TRUSTED = {
    common.ESTIMATOR_VELOCITY_HORIZ: "horizontal velocity",
    common.ESTIMATOR_POS_HORIZ_ABS: "absolute horizontal position",
    common.ESTIMATOR_POS_VERT_ABS: "absolute height",
}
MESSAGE_IDS: dict[type, int] = {
    FrameOrigin: common.MAVLINK_MSG_ID_GPS_GLOBAL_ORIGIN,
    Estimator: common.MAVLINK_MSG_ID_ESTIMATOR_STATUS,
    Battery: common.MAVLINK_MSG_ID_SYS_STATUS,
}

IGNORE_POSITION = 1 | 2 | 4
IGNORE_ACCELERATION = 64 | 128 | 256
IGNORE_YAW_RATE = 2048
IGNORE_VELOCITY = 8 | 16 | 32
POSITION_AND_HEADING = IGNORE_VELOCITY | IGNORE_ACCELERATION | IGNORE_YAW_RATE
VELOCITY_AND_HEADING = IGNORE_POSITION | IGNORE_ACCELERATION | IGNORE_YAW_RATE


class MavlinkLink:
    """The link to one vehicle.

    Attributes:
        refused: what was ignored, counted by reason.
    """

    def __init__(self, system_id: int) -> None:
        self.refused: Counter[str] = Counter()
        self._system_id = system_id
        self._sequence: int | None = None
        self._encoder = common.MAVLink(None, srcSystem=system_id, srcComponent=ONBOARD_COMPUTER)

    def decode(self, datagram: bytes) -> list[Event] | None:
        """The events in a datagram; None where nothing in it comes from the vehicle."""
        decoder = common.MAVLink(None)  # a new one: half a message must not be continued by the next datagram
        decoder.robust_parsing = True
        events: list[Event] = []
        heard = False
        for message in decoder.parse_buffer(datagram) or []:
            if message.get_type() == "BAD_DATA":
                self.refused["garbage"] += 1
            elif message.get_type().startswith("UNKNOWN"):
                continue  # well-formed, of another dialect
            elif message.get_srcSystem() != self._system_id:
                self.refused["other system"] += 1
            elif message.get_srcComponent() == common.MAV_COMP_ID_AUTOPILOT1:
                heard = True
                if self._is_late(message.get_seq()):
                    self.refused["overdue"] += 1
                else:
                    events += _event(message)
        if decoder.buf_len() > 0:
            self.refused["garbage"] += 1
        return events if heard else None

    def _is_late(self, sequence: int) -> bool:
        behind = 0 if self._sequence is None else (self._sequence - sequence) % 256
        if 0 < behind < LATE_WINDOW:
            return True
        self._sequence = sequence
        return False

    def encode(self, command: Command) -> bytes:
        """A command as a datagram."""
        if isinstance(command, Setpoint):
            return self._pack(self._set_point(command))
        if isinstance(command, Arm):
            return self._pack(self._command(common.MAV_CMD_COMPONENT_ARM_DISARM, 1))
        if isinstance(command, Request):
            return self._pack(self._command(common.MAV_CMD_REQUEST_MESSAGE, MESSAGE_IDS[command.what]))
        main, sub = MODE_NUMBERS[command.mode]
        custom = common.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
        return self._pack(self._command(common.MAV_CMD_DO_SET_MODE, custom, main, sub))

    def heartbeat(self) -> bytes:
        """Our own sign of life, to be sent once a second."""
        kind, nobody = common.MAV_TYPE_ONBOARD_CONTROLLER, common.MAV_AUTOPILOT_INVALID
        return self._pack(self._encoder.heartbeat_encode(kind, nobody, 0, 0, common.MAV_STATE_ACTIVE))

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


def _event(message: Any) -> list[Event]:
    """What a message tells; nothing where it is of no interest, or not finite."""
    kind = message.get_type()
    if kind == "HEARTBEAT":
        armed = bool(message.base_mode & common.MAV_MODE_FLAG_SAFETY_ARMED)
        numbers = (message.custom_mode >> 16) & 0xFF, message.custom_mode >> 24
        return [Heartbeat(armed, CUSTOM_MODES.get(numbers, Mode.OTHER), message.system_status in FAILSAFE_STATES)]
    if kind == "LOCAL_POSITION_NED":
        position, velocity = (message.x, message.y, message.z), (message.vx, message.vy, message.vz)
        return _finite(LocalPosition(message.time_boot_ms, position, velocity), *position, *velocity)
    if kind == "ATTITUDE_QUATERNION":
        attitude = (message.q1, message.q2, message.q3, message.q4)
        rates = (message.rollspeed, message.pitchspeed, message.yawspeed)
        return _finite(Attitude(message.time_boot_ms, attitude, rates), *attitude, *rates)
    if kind == "GPS_GLOBAL_ORIGIN":
        return [FrameOrigin(message.latitude / 1e7, message.longitude / 1e7)]
    if kind == "ESTIMATOR_STATUS":
        missing = [name for flag, name in TRUSTED.items() if not message.flags & flag]
        return [Estimator(not missing, ", ".join(missing))]
    if kind in ("SYS_STATUS", "BATTERY_STATUS"):
        return [Battery(message.battery_remaining / 100)] if 0 <= message.battery_remaining <= 100 else []
    if kind == "STATUSTEXT" and message.severity <= common.MAV_SEVERITY_WARNING:
        return [StatusText("".join(filter(str.isprintable, message.text)))]
    if kind == "COMMAND_ACK" and message.command in COMMANDS:
        return [Acknowledgement(COMMANDS[message.command], message.result, RESULTS.get(message.result, ""))]
    return []


def _finite(event: Event, *values: float) -> list[Event]:
    return [event] if all(map(math.isfinite, values)) else []
