"""The same flight over ArduPilot's back end, against a scripted Copter, in virtual time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("pymavlink", reason="needs pymavlink")

from pymavlink.dialects.v20 import common

from test.vehicle.harness import ARM, UAV, Flight
from test.vehicle.scripted_ardupilot import LAND, LOITER, RTL, ScriptedArduPilot
from uav_twin_migration.vehicle import ardupilot_codes
from uav_twin_migration.vehicle.autopilot import ATTEMPTS
from uav_twin_migration.vehicle.flight_limits import FlightLimits
from uav_twin_migration.vehicle.phases import Phase


@pytest.fixture
def copter() -> Iterator[Flight]:
    one = Flight(vehicle=ScriptedArduPilot, dialect=ardupilot_codes.DIALECT)
    yield one
    assert one.px4.foreign == []
    one.close()


def vehicle(flight: Flight) -> ScriptedArduPilot:
    assert isinstance(flight.px4, ScriptedArduPilot)
    return flight.px4


def test_a_whole_flight(copter: Flight) -> None:
    copter.until_phase(Phase.FLYING)
    assert copter.phases[-3:] == [Phase.STARTING, Phase.CLIMBING, Phase.FLYING]
    assert copter.position()[2] == pytest.approx(FlightLimits().safe_height, abs=1.5)
    for x, y in (*UAV.route, UAV.route[0]):
        corner = np.array([x, y, UAV.altitude])
        copter.until(lambda corner=corner: bool(np.linalg.norm(copter.position() - corner) < 6))  # type: ignore[misc]
    copter.order("land")
    copter.until_phase(Phase.IDLE)
    assert (copter.autopilot.reason, vehicle(copter).armed) == ("landed", False)


def test_it_lifts_off_by_command_and_straight_up(copter: Flight) -> None:
    copter.until_phase(Phase.CLIMBING)
    start = copter.position()[:2]
    while copter.autopilot.phase is Phase.CLIMBING:
        assert np.linalg.norm(copter.position()[:2] - start) < 0.5
        copter.step()
    assert copter.asked(common.MAV_CMD_NAV_TAKEOFF) == 1


def test_a_lost_take_off_command_is_given_again(copter: Flight) -> None:
    copter.until_phase(Phase.CLIMBING)
    copter.px4.deaf = True
    copter.run(1.5)
    copter.px4.deaf = False
    copter.until_phase(Phase.FLYING)


def test_why_it_does_not_arm_is_said(copter: Flight) -> None:
    copter.px4.refusals = 1000
    copter.until_phase(Phase.REFUSED)
    assert copter.autopilot.reason == "arming refused: failed (it says: Arm: Battery 1 low voltage failsafe)"
    assert copter.asked(ARM) <= ATTEMPTS


def test_a_take_off_that_never_comes_ends_on_the_ground(copter: Flight) -> None:
    copter.until_phase(Phase.CLIMBING)
    copter.px4.deaf = True
    copter.run(5)
    copter.px4.deaf = False
    vehicle(copter).armed = False  # by its own DISARM_DELAY
    copter.until_phase(Phase.IDLE, 5)
    asked = len(copter.px4.commands)
    copter.run(20)
    assert len(copter.px4.commands) == asked


@pytest.mark.parametrize("mode", [RTL, LAND, LOITER])
def test_nobody_is_overruled(copter: Flight, mode: int) -> None:
    copter.until_phase(Phase.FLYING)
    copter.run(5)
    vehicle(copter).number = mode
    copter.until_phase(Phase.TAKEN_OVER)
    asked = len(copter.px4.commands)
    copter.run(10)
    assert len(copter.px4.commands) == asked
    if mode == LOITER:  # a pilot's sticks fly it
        assert "a pilot flies it in LOITER" in copter.refused("land")


def test_lost_gps_stops_odometry(copter: Flight) -> None:
    copter.until_phase(Phase.FLYING)
    copter.px4.gps = False
    copter.run(2)
    assert copter.autopilot.odometry(copter.now) is None
