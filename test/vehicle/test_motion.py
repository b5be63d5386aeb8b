"""Motion: limits are kept, routes are flown, and everybody agrees where a UAV is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Origin, Rsu, Scenario, Uav
from uav_twin_migration.vehicle.motion import (
    CORNER_TOLERANCE,
    STALE_AFTER,
    STEP,
    Array,
    Flight,
    Pilot,
    move,
    routes_of,
    states_at,
)

Point = tuple[float, float]


def uav(route: tuple[Point, ...], *, speed: float = 12.0, acceleration: float = 3.0, loop: bool = True) -> Uav:
    return Uav("u", route, 100.0, speed, acceleration, 10.0, 60.0, loop)


def scenario_of(*uavs: Uav) -> Scenario:
    rsu = Rsu("r", (0.0, 0.0), 15.0, 600.0, 20.0, 1.0, 20.0)
    return Scenario("test", Origin(0.0, 0.0), (rsu,), uavs)


def flown(fliers: list[Uav], seconds: float) -> tuple[Array, Array]:
    """Positions and velocities [T, N, 3] at every step."""
    flight = Flight(scenario_of(*fliers))
    states = []
    for tick in range(int(seconds / STEP)):
        flight.advance(tick * STEP)
        states.append((flight.position, flight.velocity))
    return np.array([p for p, _ in states]), np.array([v for _, v in states])


coordinate = st.integers(-300, 300).map(float)
routes = st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=6, unique=True).map(tuple)
fliers_of = st.builds(uav, routes, speed=st.floats(2, 30), acceleration=st.floats(1, 8), loop=st.booleans())
uav_containers = st.lists(fliers_of, min_size=8, max_size=8)  # vectorised: eight cost as much as one


@settings(max_examples=8)
@given(uav_containers)
def test_limits_are_never_exceeded(fliers: list[Uav]) -> None:
    _, velocity = flown(fliers, 60)
    speed = np.array([flier.speed for flier in fliers])
    acceleration = np.array([flier.acceleration for flier in fliers])
    assert (np.linalg.norm(velocity, axis=-1) <= speed * (1 + 1e-9)).all()
    assert (np.linalg.norm(np.diff(velocity, axis=0), axis=-1) <= acceleration * STEP * (1 + 1e-9)).all()


@settings(max_examples=4)
@given(uav_containers)
def test_every_waypoint_is_reached_in_turn(fliers: list[Uav]) -> None:
    """Progress: no route, however awkward, takes much longer than flying it at the speed of its sharpest turn."""
    routes_ = routes_of(fliers)
    pilot, position, velocity = Pilot(routes_), routes_.waypoints[:, 0], np.zeros((len(fliers), 3))
    legs = [[0] for _ in fliers]
    for _ in range(int(patience(fliers) / STEP)):
        command = pilot.step(position, STEP)
        position, velocity = move(position, velocity, command, routes_.acceleration, STEP)
        for seen, leg in zip(legs, pilot.leg.tolist(), strict=True):
            if leg != seen[-1]:
                seen.append(leg)
        if all(len(seen) > count for seen, count in zip(legs, routes_.count, strict=True)):
            break
    for seen, count in zip(legs, routes_.count.tolist(), strict=True):
        assert seen[: count + 1] == [*range(count), 0]


def patience(fliers: list[Uav]) -> float:
    def round_time(flier: Uav) -> float:
        slowest = min(flier.speed, float(np.sqrt(2 * flier.acceleration * CORNER_TOLERANCE)) / 2)
        hops = zip(flier.route, (*flier.route[1:], flier.route[0]), strict=True)
        return 2 * sum(float(np.hypot(x2 - x1, y2 - y1)) + 30 for (x1, y1), (x2, y2) in hops) / slowest

    return max(map(round_time, fliers))


@settings(max_examples=8)
@given(st.lists(st.tuples(st.floats(-3.1, 3.1), st.floats(5, 30), st.floats(1, 8)), min_size=8, max_size=8))
def test_a_corner_is_cut_and_overshot_within_tolerance(turns: list[tuple[float, float, float]]) -> None:
    start, corner = (0.0, 0.0), (400.0, 0.0)
    ends = [(400.0 + 400.0 * float(np.cos(angle)), 400.0 * float(np.sin(angle))) for angle, _, _ in turns]
    fliers = [
        uav((start, corner, end), speed=speed, acceleration=acceleration, loop=False)
        for end, (_, speed, acceleration) in zip(ends, turns, strict=True)
    ]
    position, _ = flown(fliers, 800 / 5 + 20)
    for n, end in enumerate(ends):
        first = distance_to_segment(position[:, n, :2], start, corner)
        second = distance_to_segment(position[:, n, :2], corner, end)
        # a step's flight, before the pilot looks again, comes on top
        assert np.minimum(first, second).max() <= CORNER_TOLERANCE + fliers[n].speed * STEP


def distance_to_segment(points: Array, start: Point, end: Point) -> Array:
    a, d = np.array(start), np.subtract(end, start)
    along = np.clip((points - a) @ d / (d @ d), 0, 1)
    return np.asarray(np.linalg.norm(points - a - along[:, None] * d, axis=1))


def test_a_route_to_and_fro_turns_at_its_end() -> None:
    positions, velocities = flown([uav(((0.0, 0.0), (100.0, 0.0), (200.0, 0.0)), loop=False)], 60)
    position, velocity = positions[:, 0], velocities[:, 0]
    assert 200 - CORNER_TOLERANCE < position[:, 0].max() < 200 + CORNER_TOLERANCE
    assert position[:, 0].min() > -CORNER_TOLERANCE
    turning = np.abs(position[:, 0] - 200) < CORNER_TOLERANCE
    assert np.linalg.norm(velocity[turning], axis=1).max() < 6.0  # of 12 m/s cruise
    assert np.allclose(velocity[np.abs(position[:, 0] - 100) < 5, 0].max(), 12.0)  # no slowing on the straight


def test_a_single_waypoint_is_held() -> None:
    flight = Flight(scenario_of(uav(((5.0, 7.0),))))
    flight.steer(0, (8.0, 0.0, 0.0), until=5.0)  # pushed away, then released
    flight.advance(5.0)
    assert flight.position[0, 0] > 20
    flight.advance(60.0)
    assert np.allclose(flight.position, (5.0, 7.0, 100.0), atol=0.01)
    assert np.linalg.norm(flight.velocity) < 0.01


def test_a_uav_on_the_ground_climbs_before_it_leaves() -> None:
    routes_ = routes_of([uav(((0.0, 0.0), (200.0, 0.0)))])
    pilot, position, velocity = Pilot(routes_), np.zeros((1, 3)), np.zeros((1, 3))
    while position[0, 2] < 90:
        command = pilot.step(position, STEP)
        position, velocity = move(position, velocity, command, routes_.acceleration, STEP)
        assert abs(position[0, 0]) < 1e-9


@pytest.mark.parametrize("lost", ["old", "nan"])
def test_lost_odometry_stops_only_that_uav_and_within_its_limits(lost: str) -> None:
    fliers = [uav(((0.0, 0.0), (900.0, 0.0))), uav(((0.0, 50.0), (900.0, 50.0)))]
    pilot = Pilot(routes_of(fliers))
    position = np.array([(100.0, 0.0, 100.0), (100.0, 50.0, 100.0)])
    for _ in range(100):
        before = pilot.step(position, STEP)
    assert np.allclose(np.linalg.norm(before, axis=1), 12.0)
    bad = position.copy()
    if lost == "nan":
        bad[0, 1] = np.nan
    age = (STALE_AFTER + 0.1 if lost == "old" else 0.0, 0.0)
    after = pilot.step(bad, STEP, age)
    assert np.linalg.norm(after[0] - before[0]) <= 3.0 * STEP + 1e-9
    for _ in range(100):
        after = pilot.step(bad, STEP, age)
    assert np.array_equal(after[0], np.zeros(3))
    assert np.allclose(np.linalg.norm(after[1]), 12.0)


def test_steering_obeys_the_limits_and_ends() -> None:
    flight = Flight(scenario_of(uav(((0.0, 0.0), (500.0, 0.0)))))
    flight.steer(0, (0.0, 1000.0, 0.0), until=10.0)
    flight.advance(10.0)
    assert np.allclose(flight.velocity, (0.0, 12.0, 0.0))
    flight.advance(100.0)
    assert abs(flight.position[0, 1]) < 2 * CORNER_TOLERANCE  # back on its way


def test_the_past_does_not_depend_on_who_asks_and_when() -> None:
    scenario = load("default")
    flight = Flight(scenario)
    for time in (0.0, 0.03, 1.0, 1.0, 7.77, 31.4):
        flight.advance(time)
        position, velocity = states_at(scenario, time)
        assert np.array_equal(flight.position, position)
        assert np.array_equal(flight.velocity, velocity)
    with pytest.raises(ValueError, match="back"):
        flight.advance(3.0)


def test_motion_between_steps_is_smooth() -> None:
    scenario = load("default")
    (before, slow), (after, fast) = states_at(scenario, 0.7 - 1e-7), states_at(scenario, 0.7 + 1e-7)
    assert np.allclose(before, after, atol=1e-5)
    assert np.allclose(slow, fast, atol=1e-5)


def test_at_the_start_all_stand_on_their_first_waypoint() -> None:
    scenario = load("default")
    position, velocity = states_at(scenario, 0.0)
    assert np.array_equal(position, [(*flier.route[0], flier.altitude) for flier in scenario.uavs])
    assert not velocity.any()
