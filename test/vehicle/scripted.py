"""A PX4 that behaves as the real one was measured to (v1.17, SITL), over real UDP, in whatever time it is told.

Measured against PX4 v1.17.0 and v1.17.0-beta1 SITL in November 2026 (`bench px4`): message rates; GPS_GLOBAL_ORIGIN
is sent when it changes and not again, but for MAV_CMD_REQUEST_MESSAGE; two acknowledgements to a mode change, which
is accepted even where it cannot be flown; arming rejected (result 1) without a stream of set-points, and why told in
an event only (STATUSTEXT goes to ground stations); 1.6 s after the stream is lost in OFFBOARD, RTL or (v1.17.0-beta1,
COM_OBL_RC_ACT 0) POSCTL in a failsafe, with sticks or without; LOCAL_POSITION_NED that goes on after the loss of GPS,
drifting, with ESTIMATOR_STATUS alone to tell; disarming on ground after landing; time since boot that starts at 0
again after a restart. The vehicle is a point mass that drifts when it is told a velocity of zero.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterable

import numpy as np
import pytest

pytest.importorskip("pymavlink", reason="needs pymavlink")

from pymavlink.dialects.v20 import common

from uav_twin_migration.vehicle.frames import Px4Map
from uav_twin_migration.vehicle.px4_events import EventMessage

RATES = {"attitude": 50.0, "position": 30.0, "estimator": 1.0, "system": 1.0, "heartbeat": 1.0}  # Hz
STREAM_TIMEOUT = 1.6  # s
OFFBOARD, RETURN, LAND, LOITER = (6, 0), (4, 5), (4, 6), (4, 3)
ARM_DENIED, CRITICAL = 16910493, 2  # commander_arm_denied_resolve_failures, as PX4's all_events.json numbers it
ACCELERATION = 4.0  # m/s^2
SINKING = 1.5  # m/s, while landing
IGNORE_ALL_BUT_VELOCITY_AND_YAW = 0b100111000111
IGNORE_ALL_BUT_POSITION_AND_YAW = 0b100111111000
DRIFT = np.array([0.15, 0.1, 0.0])  # m/s, of a velocity of zero; and of the position after the loss of GPS


class SentEvent(EventMessage):
    """An event as PX4 sends it."""

    def pack(self, mavlink: common.MAVLink) -> bytes:
        fields = (getattr(self, name) for name in self.fieldnames)
        return bytes(self._pack(mavlink, self.crc_extra, self.unpacker.pack(*fields)))


class ScriptedPx4:
    """One vehicle that stands on the ground at (latitude, longitude), and the knobs to make trouble with."""

    def __init__(
        self, latitude: float, longitude: float, *, system_id: int = 1, peer: tuple[str, int] | None = None
    ) -> None:
        self.system_id = system_id
        self.map = Px4Map(latitude, longitude)
        self.peer = peer
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        # trouble
        self.gps = True  # whether there is a position to tell
        self.silent = False  # sends nothing
        self.deaf = False  # hears nothing
        self.battery = 80  # percent; -1: not known
        self.after_loss = RETURN  # the mode after lost set-points, COM_OBL_RC_ACT
        self.sticks = True  # whether a pilot's sticks are heard
        self.refusals = 0  # times that arming will be rejected, besides where it has to be
        self.mangle: Callable[[list[bytes]], Iterable[bytes]] = lambda datagrams: datagrams
        # what was seen of the other side
        self.commands: list[tuple[int, float, float, float]] = []
        self.set_points = 0
        self.foreign: list[str] = []  # messages that the real one would not have understood
        self.boot(0.0)

    def boot(self, now: float) -> None:
        """Start, or restart, on the ground below."""
        self.booted_at = self.now = now
        self.armed, self.mode, self.failsafe = False, LOITER, False
        self.position, self.velocity = np.zeros(3), np.zeros(3)  # NED
        self.wanted = np.zeros(3)
        self.wanted_position: np.ndarray[tuple[int], np.dtype[np.float64]] | None = None
        self.told_origin = False
        self.lost = np.zeros(3)  # m, by how much its own position is wrong since GPS was lost
        self.heard_set_point_at = -math.inf
        self.mavlink = common.MAVLink(None, srcSystem=self.system_id, srcComponent=1)
        self.due = dict.fromkeys(RATES, now)

    def step(self, now: float) -> None:
        """Live until `now`: hear, move, speak."""
        elapsed, self.now = now - self.now, now
        self._hear()
        if self.armed and self.mode == OFFBOARD and now - self.heard_set_point_at > STREAM_TIMEOUT:
            self.mode, self.failsafe = self.after_loss, True
        self._move(elapsed)
        if not self.silent:
            self._speak()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self.socket.getsockname()
        return host, port

    def send(self, datagrams: list[bytes]) -> None:
        """Put datagrams on the wire, mangled."""
        for datagram in self.mangle(datagrams):
            if self.peer is not None:
                self.socket.sendto(datagram, self.peer)

    # --- hearing ---

    def _hear(self) -> None:
        while True:
            try:
                datagram, sender = self.socket.recvfrom(4096)
            except BlockingIOError:
                return
            if self.deaf:
                continue
            self.peer = self.peer or sender
            decoder = common.MAVLink(None)
            decoder.robust_parsing = True
            for message in decoder.parse_buffer(datagram) or []:
                self._understand(message)

    def _understand(self, message: common.MAVLink_message) -> None:
        kind = message.get_type()
        if kind == "HEARTBEAT":
            return
        if getattr(message, "target_system", None) != self.system_id or message.target_component != 1:
            self.foreign.append(f"{kind} for another system")
        elif kind == "SET_POSITION_TARGET_LOCAL_NED":
            known = (IGNORE_ALL_BUT_VELOCITY_AND_YAW, IGNORE_ALL_BUT_POSITION_AND_YAW)
            if message.type_mask not in known or message.coordinate_frame != 1:
                self.foreign.append(f"set-point with mask {message.type_mask}")
            self.set_points += 1
            self.heard_set_point_at = self.now
            self.wanted = np.array([message.vx, message.vy, message.vz])
            held = message.type_mask == IGNORE_ALL_BUT_POSITION_AND_YAW
            self.wanted_position = np.array([message.x, message.y, message.z]) if held else None
        elif kind == "COMMAND_LONG":
            if message.command not in (common.MAV_CMD_REQUEST_MESSAGE, common.MAV_CMD_SET_MESSAGE_INTERVAL):
                self.commands.append((message.command, message.param1, message.param2, message.param3))
            self._obey(message)
        else:
            self.foreign.append(kind)

    def _obey(self, message: common.MAVLink_message) -> None:
        if message.command == common.MAV_CMD_DO_SET_MODE and message.param1 == 1:
            self.mode, self.failsafe = (int(message.param2), int(message.param3)), False
            self.send([self._pack(self.mavlink.command_ack_encode(message.command, 0)) for _ in range(2)])
        elif message.command == common.MAV_CMD_COMPONENT_ARM_DISARM and message.param1 == 1:
            streaming = self.now - self.heard_set_point_at < 0.5
            ready = self.gps and (streaming or self.mode != OFFBOARD) and self.refusals == 0
            self.refusals = max(self.refusals - 1, 0)
            self.armed = self.armed or ready
            answers = [self.mavlink.command_ack_encode(message.command, 0 if ready else 1)]
            if not ready:
                answers.append(SentEvent(ARM_DENIED, self._uptime, 0, 0, 0, CRITICAL << 4 | CRITICAL, b""))
            self.send([self._pack(answer) for answer in answers])
        elif message.command == common.MAV_CMD_REQUEST_MESSAGE:
            self._tell(int(message.param1))
        elif message.command == common.MAV_CMD_SET_MESSAGE_INTERVAL:
            self.send([self._pack(self.mavlink.command_ack_encode(message.command, 0))])
        else:
            self.foreign.append(f"command {message.command}")

    def _tell(self, message_id: int) -> None:
        told = {
            common.MAVLINK_MSG_ID_GPS_GLOBAL_ORIGIN: self._origin,
            common.MAVLINK_MSG_ID_ESTIMATOR_STATUS: self._estimator,
            common.MAVLINK_MSG_ID_SYS_STATUS: self._system,
        }.get(message_id)
        result = 0 if told else 3
        self.send([self._pack(self.mavlink.command_ack_encode(common.MAV_CMD_REQUEST_MESSAGE, result))])
        if told is not None and (self.gps or message_id != common.MAVLINK_MSG_ID_GPS_GLOBAL_ORIGIN):
            self.send([self._pack(told())])

    # --- moving ---

    def _move(self, elapsed: float) -> None:
        if not self.armed:
            wanted = np.zeros(3)
        elif self.mode == OFFBOARD and self.wanted_position is not None:
            offset = self.wanted_position - self.position
            wanted = offset * min(1.0, 3.0 / max(float(np.linalg.norm(offset)), 1e-9))
        elif self.mode == OFFBOARD:
            wanted = self.wanted + DRIFT * (np.linalg.norm(self.wanted) < 0.1)
        else:
            wanted = np.array([0, 0, SINKING if self.mode == LAND else 0.0])
        change = wanted - self.velocity
        most = ACCELERATION * elapsed
        self.velocity = self.velocity + change * min(1.0, most / max(float(np.linalg.norm(change)), 1e-9))
        self.position = self.position + self.velocity * elapsed
        self.lost = np.zeros(3) if self.gps else self.lost + 8 * DRIFT * elapsed
        if self.position[2] >= 0:  # the ground
            self.position[2], self.velocity = 0.0, np.zeros(3)
            if self.mode == LAND:
                self.armed = False

    # --- speaking ---

    def _speak(self) -> None:
        datagrams = []
        if self.gps and not self.told_origin:  # when it changes, and not again
            self.told_origin = True
            datagrams.append(self._pack(self._origin()))
        for what, rate in RATES.items():
            while self.due[what] <= self.now:
                self.due[what] += 1 / rate
                if self.told_origin or what in ("heartbeat", "estimator", "system", "attitude"):
                    datagrams.append(self._pack(getattr(self, f"_{what}")()))
        self.send(datagrams)

    def _pack(self, message: common.MAVLink_message) -> bytes:
        packed = bytes(message.pack(self.mavlink))
        self.mavlink.seq = (self.mavlink.seq + 1) % 256
        return packed

    @property
    def _uptime(self) -> int:
        return round((self.now - self.booted_at) * 1000)

    def _heartbeat(self) -> common.MAVLink_message:
        base = common.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED | (common.MAV_MODE_FLAG_SAFETY_ARMED if self.armed else 0)
        state = common.MAV_STATE_CRITICAL if self.failsafe else common.MAV_STATE_ACTIVE
        main, sub = self.mode
        return self.mavlink.heartbeat_encode(2, common.MAV_AUTOPILOT_PX4, base, main << 16 | sub << 24, state)

    def _position(self) -> common.MAVLink_message:
        return self.mavlink.local_position_ned_encode(self._uptime, *(self.position + self.lost), *self.velocity)

    def _estimator(self) -> common.MAVLink_message:
        flags = 0b111111 if self.gps else 0b100111  # all; or without the horizontal position, relative and absolute
        return self.mavlink.estimator_status_encode(self._uptime * 1000, flags, *[0.1] * 8)

    def _system(self) -> common.MAVLink_message:
        heard = common.MAV_SYS_STATUS_SENSOR_RC_RECEIVER * self.sticks
        return self.mavlink.sys_status_encode(heard, heard, heard, 100, 16000, 500, self.battery, 0, 0, 0, 0, 0, 0)

    def _attitude(self) -> common.MAVLink_message:
        north = (1.0, 0.0, 0.0, 0.0)  # level, nose to the north
        return self.mavlink.attitude_quaternion_encode(self._uptime, *north, 0.0, 0.0, 0.0)

    def _origin(self) -> common.MAVLink_message:
        return self.mavlink.gps_global_origin_encode(round(self.map.latitude * 1e7), round(self.map.longitude * 1e7), 0)

    def close(self) -> None:
        """Free the port."""
        self.socket.close()
