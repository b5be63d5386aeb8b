"""A scripted PX4 over real UDP and our side of its flight, stepped together in virtual time: nothing sleeps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("pymavlink", reason="needs pymavlink")

from pymavlink.dialects.v20 import common

from test.vehicle.scripted import ScriptedPx4
from uav_twin_migration.scenario.model import Origin, Uav
from uav_twin_migration.vehicle import px4_codes
from uav_twin_migration.vehicle.autopilot import PERIOD, Autopilot
from uav_twin_migration.vehicle.connection import MavlinkConnection
from uav_twin_migration.vehicle.dialect import Dialect
from uav_twin_migration.vehicle.frames import TangentPlane
from uav_twin_migration.vehicle.phases import Phase
from uav_twin_migration.vehicle.wire import UdpWire

ORIGIN = Origin(47.397742, 8.545594, 488.0)
UAV = Uav("bee", ((-40.0, 10.0), (40.0, 10.0), (40.0, 60.0)), 30.0, 10.0, 3.0, 10.0, 60.0)
ARM, SET_MODE = common.MAV_CMD_COMPONENT_ARM_DISARM, common.MAV_CMD_DO_SET_MODE


class Flight:
    """A vehicle and our side of its flight, stepped together."""

    def __init__(
        self,
        *,
        auto_arm: bool = True,
        system_id: int = 1,
        vehicle: type[ScriptedPx4] = ScriptedPx4,
        dialect: Dialect = px4_codes.DIALECT,
    ) -> None:
        latitude, longitude, _ = TangentPlane(ORIGIN).to_geodetic((*UAV.route[0], 0.0))
        self.px4 = vehicle(latitude, longitude, system_id=system_id)
        wire = UdpWire(("127.0.0.1", 0), self.px4.address)
        self.link = MavlinkConnection(1, wire, dialect)
        self.px4.peer = wire.local
        self.autopilot = Autopilot(UAV, ORIGIN, auto_arm=auto_arm, firmware=dialect.firmware)
        self.now = 0.0
        self.phases: list[Phase] = []
        self.reasons: list[str] = []

    def step(self) -> None:
        self.now += PERIOD
        self.px4.step(self.now)
        for event in self.link.events():
            self.autopilot.receive(event, self.now)
        for command in self.autopilot.step(self.now):
            self.link.send(command)
        if not self.phases or self.phases[-1] is not self.autopilot.phase:
            self.phases.append(self.autopilot.phase)
            self.reasons.append(self.autopilot.reason)

    def order(self, what: str) -> None:
        """Give an order that must be answered with yes."""
        answer = getattr(self.autopilot, what)(self.now)
        assert answer.ok, answer.message

    def refused(self, what: str) -> str:
        """Give an order that must be answered with no; why not."""
        answer = getattr(self.autopilot, what)(self.now)
        assert not answer.ok, answer.message
        return str(answer.message)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / PERIOD)):
            self.step()

    def until(self, condition: Callable[[], bool], patience: float = 60.0) -> None:
        for _ in range(round(patience / PERIOD)):
            if condition():
                return
            self.step()
        pytest.fail(f"not within {patience} s; phases {[p.value for p in self.phases]}, reasons {self.reasons}")

    def until_phase(self, phase: Phase, patience: float = 60.0) -> None:
        self.until(lambda: self.autopilot.phase is phase, patience)

    def position(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        odometry = self.autopilot.odometry(self.now)
        assert odometry is not None
        return odometry.position

    def asked(self, command: int) -> int:
        return sum(1 for number, *_ in self.px4.commands if number == command)

    def close(self) -> None:
        self.link.close()
        self.px4.close()
