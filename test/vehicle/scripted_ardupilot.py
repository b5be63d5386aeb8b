"""An ArduPilot Copter as its documentation describes it, over real UDP, in whatever time it is told.

Built in November 2026 from "Copter Commands in Guided Mode", "MAVLink Basics" and "Requesting Data From The Autopilot"
of ArduPilot's developer pages and from its parameter list; it was not compared with a real one. It streams its
heartbeat and nothing else before it is asked to (MAV_CMD_SET_MESSAGE_INTERVAL); it arms in GUIDED, lifts off by
MAV_CMD_NAV_TAKEOFF only, ignores set-points on the ground, and a set-point on its way up ends the take-off; lost
set-points stop it after 3 s (GUID_TIMEOUT) and change no mode; armed and not taken off, it disarms after 10 s
(DISARM_DELAY); why it does not arm it says in a STATUSTEXT; whether it knows where it is, in EKF_STATUS_REPORT.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pymavlink", reason="needs pymavlink")

from pymavlink.dialects.v20 import ardupilotmega, common

from test.vehicle.scripted import SINKING, ScriptedPx4

STABILIZE, GUIDED, LOITER, RTL, LAND = 0, 4, 5, 6, 9
GUIDED_TIMEOUT, DISARM_DELAY = 3.0, 10.0  # s
CLIMB = 2.5  # m/s, WPNAV_SPEED_UP
STREAMS = {
    "attitude": common.MAVLINK_MSG_ID_ATTITUDE_QUATERNION,
    "position": common.MAVLINK_MSG_ID_LOCAL_POSITION_NED,
    "system": common.MAVLINK_MSG_ID_SYS_STATUS,
    "estimator": ardupilotmega.MAVLINK_MSG_ID_EKF_STATUS_REPORT,
}
FAILED = 4


class ScriptedArduPilot(ScriptedPx4):
    """A Copter; `number` is its flight mode."""

    def boot(self, now: float) -> None:
        super().boot(now)
        self.number = STABILIZE
        self.lifting: float | None = None  # m, of a take-off that goes on
        self.armed_at = now
        self.intervals: dict[str, float] = {}  # s, of the streams that were asked for
        self.mavlink = ardupilotmega.MAVLink(None, srcSystem=self.system_id, srcComponent=1)

    def step(self, now: float) -> None:
        elapsed, self.now = now - self.now, now
        self._hear()
        if self.on_ground and self.armed and self.lifting is None and now - self.armed_at > DISARM_DELAY:
            self.armed = False
        self._move(elapsed)
        if not self.silent:
            self._speak()

    @property
    def on_ground(self) -> bool:
        return bool(self.position[2] >= -0.05)

    def _understand(self, message: common.MAVLink_message) -> None:
        if message.get_type() == "SET_POSITION_TARGET_LOCAL_NED" and not self.on_ground:
            self.lifting = None
        super()._understand(message)

    def _obey(self, message: common.MAVLink_message) -> None:
        result = 0
        if message.command == common.MAV_CMD_DO_SET_MODE and message.param1 == 1:
            result = FAILED if int(message.param2) in (GUIDED, RTL) and not self.gps else 0
            if result == 0:
                self.number, self.failsafe, self.lifting = int(message.param2), False, None
        elif message.command == common.MAV_CMD_COMPONENT_ARM_DISARM and message.param1 == 1:
            result = 0 if self.gps and self.refusals == 0 else FAILED
            self.refusals = max(self.refusals - 1, 0)
            if result:
                self.send([self._pack(self.mavlink.statustext_encode(2, b"Arm: Battery 1 low voltage failsafe"))])
            elif not self.armed:
                self.armed, self.armed_at = True, self.now
        elif message.command == common.MAV_CMD_NAV_TAKEOFF:
            result = 0 if self.armed and self.number == GUIDED and self.on_ground else FAILED
            self.lifting = message.param7 if result == 0 else self.lifting
        elif message.command == common.MAV_CMD_SET_MESSAGE_INTERVAL:
            names = [name for name, number in STREAMS.items() if number == int(message.param1)]
            self.intervals.update(dict.fromkeys(names, message.param2 / 1e6))
            self.due.update(dict.fromkeys(names, self.now))
        elif message.command == common.MAV_CMD_REQUEST_MESSAGE and self.gps:
            self.send([self._pack(self._origin())])
        else:
            self.foreign.append(f"command {message.command}")
        self.send([self._pack(self.mavlink.command_ack_encode(message.command, result))])

    def _move(self, elapsed: float) -> None:
        wanted = np.zeros(3)
        if self.armed and self.number == GUIDED and self.lifting is not None:
            wanted[2] = -CLIMB if -self.position[2] < self.lifting else 0.0
        elif self.armed and self.number == GUIDED and not self.on_ground:
            if self.now - self.heard_set_point_at > GUIDED_TIMEOUT:
                pass  # stops, and stays in its mode
            elif self.wanted_position is not None:
                offset = self.wanted_position - self.position
                wanted = offset * min(1.0, 3.0 / max(float(np.linalg.norm(offset)), 1e-9))
            else:
                wanted = self.wanted
        elif self.armed and self.number == LAND:
            wanted[2] = SINKING
        change = wanted - self.velocity
        self.velocity = self.velocity + change * min(1.0, 4.0 * elapsed / max(float(np.linalg.norm(change)), 1e-9))
        self.position = self.position + self.velocity * elapsed
        if self.position[2] >= 0:
            self.position[2], self.velocity = 0.0, np.zeros(3)
            self.armed = self.armed and self.number != LAND

    def _speak(self) -> None:
        datagrams = []
        for what, interval in {"heartbeat": 1.0, **self.intervals}.items():
            while self.due[what] <= self.now:
                self.due[what] += interval
                if self.gps or what != "position":
                    datagrams.append(self._pack(getattr(self, f"_{what}")()))
        self.send(datagrams)

    def _heartbeat(self) -> common.MAVLink_message:
        base = common.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED | (common.MAV_MODE_FLAG_SAFETY_ARMED if self.armed else 0)
        state = common.MAV_STATE_CRITICAL if self.failsafe else common.MAV_STATE_ACTIVE
        return self.mavlink.heartbeat_encode(2, common.MAV_AUTOPILOT_ARDUPILOTMEGA, base, self.number, state)

    def _estimator(self) -> common.MAVLink_message:
        flags = 0b111111 if self.gps else 0b100111 | ardupilotmega.EKF_CONST_POS_MODE
        return self.mavlink.ekf_status_report_encode(flags, 0.1, 0.1, 0.1, 0.1, 0.1)
