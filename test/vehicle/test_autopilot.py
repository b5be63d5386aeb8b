"""The flight of a PX4 drone, against a scripted PX4 over real UDP, in virtual time: nothing sleeps."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common

from test.vehicle.scripted import LAND, LOITER, OFFBOARD, RETURN, ScriptedPx4
from uav_twin_migration.scenario.model import Origin, Uav
from uav_twin_migration.vehicle.autopilot import ATTEMPTS, COMMANDING, PERIOD, STEERED, Autopilot, Phase
from uav_twin_migration.vehicle.flight_limits import Fence, FlightLimits
from uav_twin_migration.vehicle.frames import TangentPlane
from uav_twin_migration.vehicle.mavlink import MavlinkLink
from uav_twin_migration.vehicle.signals import (
    Acknowledgement,
    Attitude,
    Battery,
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
from uav_twin_migration.vehicle.udp import UdpLink

ORIGIN = Origin(47.397742, 8.545594, 488.0)
UAV = Uav("bee", ((-40.0, 10.0), (40.0, 10.0), (40.0, 60.0)), 30.0, 10.0, 3.0, 10.0, 60.0)
ARM, SET_MODE = common.MAV_CMD_COMPONENT_ARM_DISARM, common.MAV_CMD_DO_SET_MODE


class Flight:
    """A vehicle and our side of its flight, stepped together."""

    def __init__(self, *, auto_arm: bool = True, system_id: int = 1) -> None:
        latitude, longitude, _ = TangentPlane(ORIGIN).to_geodetic((*UAV.route[0], 0.0))
        self.px4 = ScriptedPx4(latitude, longitude, system_id=system_id)
        self.link = UdpLink(1, ("127.0.0.1", 0), self.px4.address)
        self.px4.peer = self.link.local
        self.autopilot = Autopilot(UAV, ORIGIN, auto_arm=auto_arm)
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


@pytest.fixture
def flight() -> Iterator[Flight]:
    one = Flight()
    yield one
    assert one.px4.foreign == []  # PX4 was never sent what it does not understand
    one.close()


@pytest.fixture
def patient() -> Iterator[Flight]:
    """One that arms only when asked."""
    one = Flight(auto_arm=False)
    yield one
    one.close()


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
    assert flight.autopilot.reason == (
        "arming refused: temporarily rejected (it says: Arming denied: Resolve system health failures)"
    )
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
    flight.until(lambda: flight.now - flight.autopilot._beat_at < PERIOD)  # from a heartbeat on
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


# --- what is asked for, and answered ---------------------------------------------------------------------------------


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


def test_of_two_that_come_near_one_waits_and_says_so(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(8)
    near = flight.position() + np.array([5.0, 0.0, 0.0])
    for _ in range(100):
        flight.autopilot.see("ant", near, flight.now)  # comes first by name: it goes on
        flight.step()
    assert flight.autopilot.warning == "waits for ant, which is within 10 m"
    assert np.linalg.norm(flight.px4.velocity) < 0.5
    flight.until(lambda: bool(np.linalg.norm(flight.px4.velocity) > 3))
    flight.autopilot.see("cat", flight.position(), flight.now)  # comes after: that one waits
    flight.step()
    assert flight.autopilot.warning == ""


def test_somebody_elses_set_points_are_noticed(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(10)
    honest = flight.px4._hear

    def overheard() -> None:
        honest()
        flight.px4.wanted, flight.px4.wanted_position = np.array([0.0, 12.0, 0.0]), None

    flight.px4._hear = overheard  # type: ignore[method-assign]
    flight.until(lambda: "somebody else" in flight.autopilot.warning, 20)


# --- whatever comes, in whatever order ------------------------------------------------------------------------------

ORDERS = ("hold", "land", "return_home")  # that never lead into the air
modes = st.sampled_from(list(Mode))
events: st.SearchStrategy[Event | str | None] = st.one_of(
    st.builds(Heartbeat, st.booleans(), modes, st.booleans()),
    st.builds(
        LocalPosition,
        st.integers(0, 20_000),
        st.tuples(*[st.floats(-1e4, 1e4)] * 3),
        st.tuples(*[st.floats(-30, 30)] * 3),
    ),
    st.builds(Attitude, st.integers(0, 20_000), st.just((1.0, 0.0, 0.0, 0.0)), st.just((0.0, 0.0, 0.0))),
    st.builds(FrameOrigin, st.floats(47, 48), st.floats(8, 9)),
    st.builds(Acknowledgement, st.just(SetMode), st.integers(0, 6)),
    st.builds(Estimator, st.booleans()),
    st.builds(Battery, st.floats(0, 1)),
    st.builds(StatusText, st.text(max_size=50)),
    st.sampled_from([*ORDERS, "pause"]),
    st.none(),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=80))
def test_whatever_comes_it_never_commands_unasked(sequence: list[Event | str | None]) -> None:
    """Without `fly()`, nothing is sent but questions, and LAND and RTL where they were asked for: it never arms."""
    autopilot, now = Autopilot(UAV, ORIGIN), 0.0
    for event in sequence:
        now += 4.0 if event == "pause" else PERIOD
        if event in ORDERS:
            getattr(autopilot, str(event))(now)
        elif event not in (None, "pause"):
            autopilot.receive(event, now)  # type: ignore[arg-type]
        sent = [command for command in autopilot.step(now) if not isinstance(command, Request)]
        assert all(isinstance(command, SetMode) and command.mode in (Mode.LAND, Mode.RETURN) for command in sent)


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=80), st.integers(0, 79))
def test_whatever_comes_set_points_are_safe_and_a_leaving_vehicle_is_left_alone(
    sequence: list[Event | str | None], asked_at: int
) -> None:
    """Set-points are finite, within the limits, and once flying, a heartbeat in another mode ends them."""
    autopilot, now = Autopilot(UAV, ORIGIN), 0.0
    last = np.zeros(3)
    for index, event in enumerate(sequence):
        now += 4.0 if event == "pause" else PERIOD
        if index == asked_at:
            autopilot.fly(now)
        flying = autopilot.phase in STEERED
        if event in ORDERS:
            getattr(autopilot, str(event))(now)
        elif event not in (None, "pause"):
            autopilot.receive(event, now)  # type: ignore[arg-type]
        commands = autopilot.step(now)
        if flying and isinstance(event, Heartbeat) and not (event.armed and event.mode is Mode.OFFBOARD):
            assert all(isinstance(command, Request) for command in commands)
        for command in commands:
            if isinstance(command, Setpoint):
                velocity = np.array(command.velocity)
                assert np.isfinite(velocity).all()
                assert np.linalg.norm(velocity) <= UAV.speed * 1.001
                assert np.linalg.norm(velocity - last) <= UAV.acceleration * 4 * PERIOD * 1.001
                last = velocity


# --- bytes ----------------------------------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400))
def test_no_datagram_breaks_the_link(datagram: bytes) -> None:
    link = MavlinkLink(1)
    assert link.decode(datagram) is None


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_a_message_is_late_only_behind_a_newer_one(sequence: list[int]) -> None:
    """Sequence numbers that only rise are all taken, also across their wrap at 256."""
    link = MavlinkLink(1)
    encoder = common.MAVLink(None, srcSystem=1, srcComponent=1)
    number = 0
    for step in sequence:
        number += step
        encoder.seq = number % 256
        packed = bytes(encoder.heartbeat_encode(2, 12, 0, 0, 4).pack(encoder))
        assert link.decode(packed) == [Heartbeat(False, Mode.OTHER)]


def test_not_finite_positions_are_dropped() -> None:
    link = MavlinkLink(1)
    encoder = common.MAVLink(None, srcSystem=1, srcComponent=1)
    position = encoder.local_position_ned_encode(5, float("nan"), 0, 0, 0, 0, 0)
    assert link.decode(bytes(position.pack(encoder))) == []


def test_uav_of_one_waypoint_hovers_there() -> None:
    flight = Flight()
    flight.autopilot = Autopilot(dataclasses.replace(UAV, route=UAV.route[:1]), ORIGIN, auto_arm=True)
    flight.until(lambda: flight.autopilot.phase is Phase.FLYING)
    flight.run(40)
    assert flight.position() == pytest.approx([*UAV.route[0], UAV.altitude], abs=0.5)
    flight.close()
