"""The flight of a PX4 drone, against a scripted PX4 over real UDP, in virtual time: nothing sleeps."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable

import numpy as np
import pytest

from test.vehicle.harness import ARM, ORIGIN, SET_MODE, UAV, Flight
from test.vehicle.scripted import LAND, LOITER, OFFBOARD, RETURN
from uav_twin_migration.vehicle.autopilot import ATTEMPTS, PERIOD, Autopilot
from uav_twin_migration.vehicle.phases import COMMANDING, Phase


def test_a_whole_flight(flight: Flight) -> None:
    """From power-up round the route and back to the ground, every phase in its turn."""
    flight.until_phase(Phase.FLYING)
    assert flight.phases[-3:] == [Phase.STARTING, Phase.CLIMBING, Phase.FLYING]
    corners = [np.array([x, y, UAV.altitude]) for x, y in (*UAV.route, UAV.route[0])]
    for corner in corners:
        flight.until(lambda corner=corner: bool(np.linalg.norm(flight.position() - corner) < 6))  # type: ignore[misc]
    flight.order("land")
    flight.until_phase(Phase.IDLE)
    assert flight.autopilot.reason == "landed"
    assert not flight.px4.armed
    flight.run(20)
    assert flight.autopilot.phase is Phase.IDLE  # it stays there until it is asked again


def test_starts_over_straight_up(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    while flight.position()[2] < UAV.altitude - 3:
        assert np.hypot(*(flight.position()[:2] - UAV.route[0])) < 2
        flight.step()


def test_set_points_stream_before_offboard_and_all_the_way(flight: Flight) -> None:
    flight.until(lambda: flight.asked(SET_MODE) == 1)
    assert flight.px4.set_points >= 20
    flight.until_phase(Phase.FLYING)
    before = flight.px4.set_points
    flight.run(10)
    assert flight.px4.set_points - before >= 200  # 2 Hz is the floor


def test_never_arms_unless_asked(patient: Flight) -> None:
    patient.run(20)
    assert patient.autopilot.phase is Phase.IDLE
    assert (patient.px4.commands, patient.px4.set_points) == ([], 0)
    patient.order("fly")
    patient.until_phase(Phase.FLYING)


def test_waits_for_gps(flight: Flight) -> None:
    flight.px4.gps = False
    flight.run(30)
    assert flight.autopilot.phase is Phase.NOT_READY
    assert flight.px4.commands == []
    flight.px4.gps = True
    flight.until_phase(Phase.FLYING)


def test_arming_refused_for_a_while(flight: Flight) -> None:
    flight.px4.refusals = 3
    flight.until_phase(Phase.FLYING)
    assert flight.asked(ARM) == 4


def test_arming_refused_for_good(flight: Flight) -> None:
    flight.px4.refusals = 1000
    flight.until_phase(Phase.REFUSED)
    assert flight.autopilot.reason == ("arming refused: temporarily rejected (it says: arming denied: its checks fail)")
    asked, streamed = flight.asked(ARM), flight.px4.set_points
    assert asked <= ATTEMPTS
    flight.px4.refusals = 0
    flight.run(30)
    assert (flight.asked(ARM), flight.px4.set_points) == (asked, streamed)  # not behind anybody's back
    flight.order("fly")
    flight.until_phase(Phase.FLYING)


def test_deaf_vehicle_is_given_up(flight: Flight) -> None:
    flight.px4.deaf = True
    flight.until_phase(Phase.REFUSED)
    assert flight.autopilot.reason == "OFFBOARD refused: no answer"


def test_failsafe_stops_commanding_until_told(flight: Flight) -> None:
    """Set-points that are lost on the way, then come back: the vehicle is on its way home, and we leave it to."""
    flight.until_phase(Phase.FLYING)
    flight.run(10)
    flight.px4.deaf = True
    flight.until(lambda: flight.px4.mode == RETURN, 3)
    flight.px4.deaf = False
    flight.until_phase(Phase.TAKEN_OVER, 2)
    assert flight.autopilot.reason == "a failsafe switched to AUTO.RTL; waiting to be told to fly"
    streamed, asked = flight.px4.set_points, len(flight.px4.commands)
    flight.run(20)
    assert (flight.px4.set_points - streamed, len(flight.px4.commands) - asked) == (0, 0)
    flight.order("fly")
    flight.until_phase(Phase.FLYING)


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.FLYING, Phase.LANDING])
def test_nobody_is_overruled(flight: Flight, phase: Phase) -> None:
    """Somebody with a transmitter takes over, in any phase in which we command."""
    if phase is Phase.STARTING:
        flight.px4.refusals = 1000
        flight.until(lambda: flight.asked(ARM) > 0)
    else:
        flight.until_phase(Phase.FLYING)
        flight.run(10)
    if phase is Phase.LANDING:
        flight.order("land")
        flight.until(lambda: flight.px4.mode == LAND)
        flight.run(2)
    assert flight.autopilot.phase is phase
    flight.px4.mode = (3, 0)  # POSCTL
    flight.run(5)
    asked = len(flight.px4.commands)
    flight.run(20)
    assert flight.px4.mode == (3, 0)
    assert len(flight.px4.commands) == asked
    assert flight.autopilot.phase not in COMMANDING


def test_silent_link_and_a_failsafe_meanwhile(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(10)
    flight.px4.silent = flight.px4.deaf = True
    flight.until_phase(Phase.SILENT, 5)
    assert flight.autopilot.odometry(flight.now) is None
    flight.px4.silent = flight.px4.deaf = False
    flight.until_phase(Phase.TAKEN_OVER, 5)
    assert flight.autopilot.reason == "found armed in AUTO.RTL"


def test_short_silence_is_flown_through(flight: Flight) -> None:
    """Stale odometry: it brakes, holds, and goes on along its route when positions come again."""
    flight.until_phase(Phase.FLYING)
    flight.until(lambda: bool(np.linalg.norm(flight.px4.velocity) > 6))
    flight.until(lambda: flight.now - flight.autopilot._vehicle._beat_at < PERIOD)  # from a heartbeat on
    flight.px4.silent = True
    flight.run(2.9)
    assert flight.autopilot.phase is Phase.FLYING
    assert np.linalg.norm(flight.px4.velocity) < 5
    flight.run(0.05)
    flight.px4.silent = False
    flight.until(lambda: bool(np.linalg.norm(flight.px4.velocity) > 6))
    assert flight.phases.count(Phase.FLYING) == 1


def test_autopilot_restart_in_flight(flight: Flight) -> None:
    """It is back on the ground with a clock that starts anew. It does not take off again by itself."""
    flight.until_phase(Phase.FLYING)
    flight.run(10)
    flight.px4.boot(flight.now)
    flight.until_phase(Phase.IDLE)
    assert "the autopilot has restarted" in flight.reasons
    asked = len(flight.px4.commands)
    flight.run(20)
    assert (len(flight.px4.commands), flight.px4.armed) == (asked, False)
    flight.order("fly")
    flight.until_phase(Phase.FLYING)


def test_slow_restart_looks_like_silence(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.px4.silent = True
    flight.until_phase(Phase.SILENT)
    flight.px4.boot(flight.now)
    flight.px4.silent = False
    flight.run(20)
    assert (flight.autopilot.phase, flight.px4.armed) == (Phase.IDLE, False)


def test_wrong_system_id() -> None:
    """Messages of another vehicle on our port: counted, not flown by, not answered."""
    flight = Flight(system_id=7)
    flight.run(10)
    assert flight.autopilot.phase is Phase.SILENT
    assert flight.link.refused["other system"] > 100
    assert flight.px4.set_points == 0
    flight.close()


def test_garbage_does_no_harm(flight: Flight) -> None:
    noise = random.Random(5)

    def mangle(datagrams: list[bytes]) -> Iterable[bytes]:
        for datagram in datagrams:
            yield noise.randbytes(noise.randrange(0, 300))
            yield datagram[: noise.randrange(len(datagram))]  # cut off
            yield datagram

    flight.px4.mangle = mangle
    flight.until_phase(Phase.FLYING)
    flight.run(10)
    assert flight.link.refused["garbage"] > 100
    assert flight.phases.count(Phase.FLYING) == 1


def test_late_and_double_messages_do_no_harm(flight: Flight) -> None:
    """A heartbeat from before OFFBOARD that arrives late must not look like a failsafe."""
    order = random.Random(6)
    kept: list[bytes] = []

    def mangle(datagrams: list[bytes]) -> Iterable[bytes]:
        kept.extend(datagrams)
        mixed = [*datagrams, *order.sample(kept[-25:], min(len(kept), 3))]
        order.shuffle(mixed)
        return mixed

    flight.px4.mangle = mangle
    flight.until_phase(Phase.FLYING)
    flight.run(30)
    assert flight.phases.count(Phase.FLYING) == 1
    assert flight.autopilot.phase is Phase.FLYING
    assert flight.link.refused["overdue"] > 100


def test_hold_and_go_on(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.until(lambda: bool(np.linalg.norm(flight.px4.velocity[:2]) > 6))
    flight.order("hold")
    flight.run(8)
    where = flight.px4.position
    flight.run(30)
    assert np.linalg.norm(flight.px4.position - where) < 0.5  # a position is held: a velocity of zero would drift
    assert flight.px4.mode == OFFBOARD  # held by us
    flight.order("fly")
    flight.until(lambda: bool(np.linalg.norm(flight.px4.velocity[:2]) > 6))


def test_steering_goes_before_the_route_for_a_while(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(15)
    for _ in range(200):  # from 10 m/s the other way, within the acceleration limit
        flight.autopilot.steer((0.0, -40.0, 0.0), flight.now + 0.5)
        flight.autopilot.steer((float("nan"), 0.0, 0.0), flight.now + 9)
        flight.step()
    assert flight.px4.velocity[0] == pytest.approx(-UAV.speed, abs=0.1)  # south, within the speed limit
    flight.until(lambda: bool(flight.px4.velocity[0] > -1), 10)  # the route again


def test_landing_is_asked_for_until_it_happens(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(10)
    flight.order("land")
    flight.px4.deaf = True
    flight.run(1.2)
    flight.px4.deaf = False
    flight.until_phase(Phase.IDLE)
    assert not flight.px4.armed


def test_node_that_starts_while_others_fly(flight: Flight) -> None:
    flight.px4.armed, flight.px4.mode = True, LOITER
    flight.px4.position = np.array([0.0, 0.0, -20.0])
    flight.run(10)
    assert flight.autopilot.phase is Phase.TAKEN_OVER
    assert flight.px4.set_points == 0


def test_uav_of_one_waypoint_hovers_there() -> None:
    flight = Flight()
    flight.autopilot = Autopilot(dataclasses.replace(UAV, route=UAV.route[:1]), ORIGIN, auto_arm=True)
    flight.until(lambda: flight.autopilot.phase is Phase.FLYING)
    flight.run(40)
    assert flight.position() == pytest.approx([*UAV.route[0], UAV.altitude], abs=0.5)
    flight.close()
