"""What a drone is asked for, and what it answers; what it keeps to, whoever steers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from test.vehicle.harness import ORIGIN, SET_MODE, UAV, Flight
from test.vehicle.scripted import RETURN, ScriptedPx4
from uav_twin_migration.scenario.model import Origin
from uav_twin_migration.vehicle.autopilot import PERIOD, Autopilot
from uav_twin_migration.vehicle.flight_limits import Fence, FlightLimits
from uav_twin_migration.vehicle.phases import Phase
from uav_twin_migration.vehicle.signals import Rivals


def test_what_px4_says_once_is_asked_for(flight: Flight) -> None:
    """A node that starts late, or loses the first seconds, has missed the origin: PX4 does not say it again."""
    flight.px4.told_origin = True
    flight.until_phase(Phase.FLYING)


def test_up_first_then_the_route(flight: Flight) -> None:
    """Standing aside from the first waypoint, it does not fly there along the ground."""
    flight.px4.position = np.array([60.0, 80.0, 0.0])
    flight.until_phase(Phase.CLIMBING)
    start = flight.position()[:2]
    while flight.autopilot.phase is Phase.CLIMBING:
        assert np.linalg.norm(flight.position()[:2] - start) < 1.5
        flight.step()
    assert flight.position()[2] >= FlightLimits().safe_height - 1.5
    assert flight.autopilot.phase is Phase.FLYING


def test_takeoff_climbs_and_holds(patient: Flight) -> None:
    patient.until_phase(Phase.IDLE)
    patient.order("takeoff")
    patient.until_phase(Phase.FLYING)
    patient.run(20)
    assert patient.position()[2] == pytest.approx(FlightLimits().safe_height, abs=1.5)
    assert np.linalg.norm(patient.px4.velocity) < 0.1


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (lambda px4: setattr(px4, "battery", 10), "battery at 10%"),
        (lambda px4: setattr(px4, "battery", -1), "the state of its battery is not known"),
        (lambda px4: setattr(px4, "position", np.array([900.0, 0.0, 0.0])), "outside of the scenario's fence"),
        (lambda px4: setattr(px4, "gps", False), "its position cannot be trusted"),
    ],
)
def test_it_does_not_take_off_where_something_is_wrong(
    patient: Flight, trouble: Callable[[ScriptedPx4], None], why: str
) -> None:
    trouble(patient.px4)
    patient.run(12)
    if why.startswith("its position"):
        assert "not ready" in patient.refused("fly")
    else:
        assert why in patient.refused("fly")
    assert patient.px4.commands == []


def test_a_wrong_origin_is_noticed(patient: Flight) -> None:
    """A scenario that lies elsewhere than the drone: nothing arms, and the message says what to look at."""
    patient.autopilot = Autopilot(UAV, Origin(48.0, 8.545594, 488.0))
    patient.run(3)
    assert "is the scenario's origin the true place?" in patient.refused("fly")


def test_a_first_waypoint_far_away_is_refused(patient: Flight) -> None:
    patient.autopilot = Autopilot(UAV, ORIGIN, limits=FlightLimits(first_leg=20.0))
    patient.px4.position = np.array([30.0, 30.0, 0.0])
    patient.run(3)
    assert "beyond first_leg" in patient.refused("fly")


def test_orders_that_change_nothing_are_answered_with_no(patient: Flight) -> None:
    assert "no heartbeat" in patient.refused("fly")
    assert "no heartbeat" in patient.refused("land")
    patient.until_phase(Phase.IDLE)
    assert "not armed" in patient.refused("land")
    assert "cannot hold" in patient.refused("hold")


def test_of_two_nodes_on_one_vehicle_none_takes_off(patient: Flight) -> None:
    patient.until_phase(Phase.IDLE)
    patient.autopilot.receive(Rivals(1), patient.now)
    assert "one node a vehicle" in patient.refused("fly")
    assert "one node a vehicle" in patient.autopilot.warning
    patient.autopilot.receive(Rivals(0), patient.now)
    patient.order("fly")


def test_landing_in_a_failsafe_is_asked_for_once_and_done(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(5)
    flight.px4.mode, flight.px4.failsafe = RETURN, True
    flight.until_phase(Phase.TAKEN_OVER)
    asked = flight.asked(SET_MODE)
    flight.order("land")
    flight.until_phase(Phase.IDLE)
    assert flight.asked(SET_MODE) == asked + 1


def test_a_pilot_at_the_sticks_is_answered_no(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(5)
    flight.px4.mode = (3, 0)  # POSCTL
    flight.until_phase(Phase.TAKEN_OVER)
    asked = len(flight.px4.commands)
    for order in ("fly", "land", "return_home", "takeoff"):
        assert "a pilot flies it in POSCTL" in flight.refused(order)
    flight.run(5)
    assert len(flight.px4.commands) == asked


def test_return_is_the_autopilots(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.order("return_home")
    flight.until(lambda: flight.px4.mode == RETURN, 5)
    assert flight.autopilot.phase is Phase.RETURNING


def test_odometry_stops_when_the_position_cannot_be_trusted(flight: Flight) -> None:
    """PX4's local position goes on after the loss of GPS, tens of metres off; its estimator status tells."""
    flight.until_phase(Phase.FLYING)
    flight.px4.gps = False
    flight.run(2)
    assert flight.autopilot.odometry(flight.now) is None
    assert flight.autopilot.status(flight.now)["missing"].startswith("its position cannot be trusted")  # type: ignore[attr-defined]


def test_it_comes_back_from_outside_the_fence(flight: Flight) -> None:
    flight.autopilot = Autopilot(
        UAV, ORIGIN, auto_arm=True, fence=Fence((-80.0, -20.0), (80.0, 30.0), 60.0)
    )  # the route leads out of it
    flight.until_phase(Phase.RETURNING)
    assert flight.autopilot.reason.startswith("left the fence by")
    flight.until(lambda: flight.px4.mode == RETURN, 5)


def test_nobody_is_steered_into_the_ground(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    for _ in range(1000):
        flight.autopilot.steer((0.0, 0.0, -10.0), flight.now + 0.5)
        flight.step()
        assert flight.px4.velocity[2] <= FlightLimits().climb + 0.1
    assert flight.position()[2] == pytest.approx(FlightLimits().floor, abs=1.0)


def test_who_comes_second_by_name_makes_way_and_says_so(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(8)
    near = flight.position() + np.array([5.0, 0.0, 0.0])
    said, nearest = set(), np.inf
    for _ in range(200):
        flight.autopilot.see("ant", near, flight.now)  # comes first by name: it goes on
        flight.step()
        said.add(flight.autopilot.warning)
        nearest = min(nearest, float(np.linalg.norm(flight.position() - near)))
    assert said == {"waits for ant, which is too near", ""}
    assert nearest > 3  # it was told at 5 m, at speed
    assert np.linalg.norm(flight.position() - near) > FlightLimits().separation - 2
    flight.until(lambda: bool(np.linalg.norm(flight.px4.velocity[:2]) > 3))


def test_who_comes_first_by_name_flies_into_nobody(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(8)
    ahead = flight.position() + 20 * flight.px4.velocity[[1, 0, 2]] / np.linalg.norm(flight.px4.velocity)
    for _ in range(200):
        flight.autopilot.see("cat", ahead, flight.now)
        flight.step()
    assert np.linalg.norm(flight.position() - ahead) > FlightLimits().separation - 2
    assert flight.autopilot.warning == "waits for cat, which is too near"
    behind = 2 * flight.position() - ahead
    for _ in range(75):  # it is said for two seconds at least
        flight.autopilot.see("cat", behind, flight.now)  # that one waits
        flight.step()
    assert flight.autopilot.warning == ""


def test_two_on_one_line_pass_each_other() -> None:
    """Head on, at one height: neither comes within half of `separation` of the other, and both go on."""
    bee, ant = Flight(), Flight()
    ant.autopilot = Autopilot(dataclasses.replace(UAV, id="ant", route=UAV.route[::-1]), ORIGIN, auto_arm=True)
    ant.px4.position = np.array([50.0, 80.0, 0.0])
    nearest, passed = np.inf, {bee: 0.0, ant: 0.0}
    for _ in range(round(120 / PERIOD)):
        for one, other, name in ((bee, ant, "ant"), (ant, bee, "bee")):
            there = other.autopilot.odometry(other.now)
            if there is not None:
                one.autopilot.see(name, there.position, one.now)
            one.step()
            passed[one] += float(np.linalg.norm(one.px4.velocity[:2])) * PERIOD
        both = [one.autopilot.odometry(one.now) for one in (bee, ant)]
        if all(one is not None and one.position[2] > 5 for one in both):
            nearest = min(nearest, float(np.linalg.norm(both[0].position - both[1].position)))  # type: ignore[union-attr]
    assert nearest > FlightLimits().separation / 2
    assert min(passed.values()) > 200
    bee.close()
    ant.close()


def test_somebody_elses_set_points_are_noticed(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(10)
    honest = flight.px4._hear

    def overheard() -> None:
        honest()
        flight.px4.wanted, flight.px4.wanted_position = np.array([0.0, 12.0, 0.0]), None

    flight.px4._hear = overheard  # type: ignore[method-assign]
    flight.until(lambda: "somebody else" in flight.autopilot.warning, 20)


def test_an_order_ends_when_it_is_done(patient: Flight) -> None:
    patient.until_phase(Phase.IDLE)
    patient.order("fly")
    told = []
    while patient.autopilot.phase is not Phase.FLYING:
        told.append(patient.autopilot.outcome("fly", patient.now))
        patient.step()
    assert set(told) == {None}
    assert patient.autopilot.outcome("fly", patient.now) is True
    patient.order("land")
    assert patient.autopilot.outcome("land", patient.now) is None
    assert patient.autopilot.outcome("fly", patient.now) is False
    patient.until_phase(Phase.IDLE)
    assert patient.autopilot.outcome("land", patient.now) is True


def test_an_order_that_cannot_be_followed_ends_with_no(patient: Flight) -> None:
    patient.until_phase(Phase.IDLE)
    patient.px4.refusals = 1000
    patient.order("takeoff")
    patient.until_phase(Phase.REFUSED)
    assert patient.autopilot.outcome("takeoff", patient.now) is False


# --- what it does after a loss ----------------------------------------------------------------------------------------


def with_limits(flight: Flight, **limits: str) -> None:
    flight.autopilot = Autopilot(UAV, ORIGIN, auto_arm=True, limits=FlightLimits(**limits))  # type: ignore[arg-type]
    flight.until_phase(Phase.FLYING)
    flight.run(8)


@pytest.mark.parametrize(("reaction", "phase"), [("land", Phase.LANDING), ("return", Phase.RETURNING)])
def test_a_lost_market_may_end_the_flight(flight: Flight, reaction: str, phase: Phase) -> None:
    with_limits(flight, on_market_loss=reaction)
    flight.run(15)
    assert flight.autopilot.phase is Phase.FLYING  # there never was one
    flight.autopilot.hear_market(flight.now)
    flight.until_phase(phase, 15)
    assert flight.autopilot.reason == "no price offer for 10 s"


def test_a_lost_market_does_not_stop_a_flight_unless_asked_to(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.autopilot.hear_market(flight.now)
    flight.run(20)
    assert flight.autopilot.phase is Phase.FLYING
    assert np.linalg.norm(flight.px4.velocity) > 3


def test_after_a_lost_position_it_holds_until_told(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(8)
    flight.px4.gps = False
    flight.run(5)
    assert flight.autopilot.reason.startswith("its position is lost")
    flight.px4.gps = True
    flight.run(20)
    assert np.linalg.norm(flight.px4.velocity) < 0.5
    flight.order("fly")
    flight.until(lambda: bool(np.linalg.norm(flight.px4.velocity) > 3))


def test_after_a_lost_link_it_holds_where_it_still_follows(flight: Flight) -> None:
    """Heartbeats that are lost one way only: the vehicle never left, for set-points went on for most of the time."""
    flight.until_phase(Phase.FLYING)
    flight.run(8)
    flight.px4.silent = True
    flight.until_phase(Phase.SILENT, 5)
    flight.px4.silent = False
    flight.run(1.5)
    assert flight.autopilot.phase is Phase.FLYING
    flight.run(8)
    assert np.linalg.norm(flight.px4.velocity) < 0.5
    assert flight.autopilot.reason == "the link was lost; holds until it is told to fly"


def test_a_failsafe_in_a_pilots_mode_without_a_pilot_may_be_landed(flight: Flight) -> None:
    """PX4 answers lost set-points with POSCTL (COM_OBL_RC_ACT 0), where nobody's sticks are heard, too."""
    flight.px4.after_loss = (3, 0)
    flight.px4.sticks = False
    flight.until_phase(Phase.FLYING)
    flight.run(8)
    flight.px4.deaf = True
    flight.until(lambda: flight.px4.mode == (3, 0), 3)
    flight.px4.deaf = False
    flight.until_phase(Phase.TAKEN_OVER, 2)
    flight.order("land")
    flight.until_phase(Phase.IDLE)
