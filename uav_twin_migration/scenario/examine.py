"""What is allowed in a scenario and yet hardly meant: who stands or flies in a building, whom nobody can reach."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.errors import InputError
from uav_twin_migration.radio.model import check_map
from uav_twin_migration.radio.radio_map import buildings_digest
from uav_twin_migration.scenario.geometry import contains, cross_any, distance_to_segments
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Building, Point, Scenario, Uav
from uav_twin_migration.vehicle.motion import Flight

Array = NDArray[np.float64]

SEPARATION = 5.0  # m, that UAVs should keep from each other
WATCHED = 60.0  # s of flight that are looked at where a command only loads a scenario
LOOK = 0.2  # s between two looks
MOST_PAIRS = 5  # that are named


def warnings(scenario: Scenario, separation: float = SEPARATION, seconds: float = WATCHED) -> list[str]:
    """One sentence each on what is probably a slip; none for a good scenario.

    Args:
        separation: m, UAVs that come closer are told.
        seconds: s of flight that are looked at for that; 0 for none.
    """
    walls = _Walls(scenario.buildings)
    inside = [*_rsus_in_buildings(scenario, walls), *_uavs_in_buildings(scenario, walls)]
    return [*inside, *_radio_map(scenario), *_out_of_reach(scenario), *_too_close(scenario, separation, seconds)]


def _radio_map(scenario: Scenario) -> Iterator[str]:
    antennas = [(*rsu.position, rsu.antenna_height) for rsu in scenario.rsus]
    try:
        found = check_map(scenario.radio, antennas)
    except InputError as error:
        yield str(error)
        return
    if found is not None and found.about.get("buildings") != buildings_digest(scenario.buildings):
        yield f"radio.map {scenario.radio.map} was traced among other buildings: make it anew"


class _Walls:
    """Buildings, for questions about what is inside them."""

    def __init__(self, buildings: Sequence[Building]) -> None:
        self.buildings = buildings
        self._footprints = [np.array(building.footprint) for building in buildings]
        low = [footprint.min(axis=0) for footprint in self._footprints]
        high = [footprint.max(axis=0) for footprint in self._footprints]
        self._low, self._high = np.reshape(low, (-1, 2)), np.reshape(high, (-1, 2))
        self._base = np.array([building.base for building in buildings])
        self._roof = np.array([building.base + building.height for building in buildings])

    def around(self, point: Point, height: float) -> list[int]:
        """The buildings in which a point lies."""
        near = (self._low <= point).all(axis=1) & (point <= self._high).all(axis=1)
        candidates = np.flatnonzero(near & (self._base < height) & (height < self._roof)).tolist()
        return [index for index in candidates if contains(self._footprints[index], point)]

    def across(self, start: Point, end: Point, height: float) -> list[int]:
        """The buildings through which a level way leads."""
        near = (self._low <= np.maximum(start, end)).all(axis=1) & (np.minimum(start, end) <= self._high).all(axis=1)
        candidates = np.flatnonzero(near & (self._base < height) & (height < self._roof)).tolist()
        return [index for index in candidates if self._meets(self._footprints[index], start, end)]

    @staticmethod
    def _meets(footprint: Array, start: Point, end: Point) -> bool:
        return bool(contains(footprint, start)) or cross_any(footprint, start, end)


def _rsus_in_buildings(scenario: Scenario, walls: _Walls) -> Iterator[str]:
    for index, rsu in enumerate(scenario.rsus):
        for inside in walls.around(rsu.position, rsu.antenna_height)[:1]:
            roof = scenario.buildings[inside].base + scenario.buildings[inside].height
            where = f"its antenna is {rsu.antenna_height:g} m up, the roof {roof:g} m"
            yield f"rsus[{index}] {rsu.id} stands inside buildings[{inside}]: {where}"


def _uavs_in_buildings(scenario: Scenario, walls: _Walls) -> Iterator[str]:
    for index, uav in enumerate(scenario.uavs):
        inside = walls.around(uav.route[0], uav.altitude)
        if inside:
            yield f"uavs[{index}] {uav.id} starts inside {_named(scenario, inside)} at {uav.altitude:g} m"
            continue
        hit = {number: None for leg in _legs(uav) for number in walls.across(*leg, uav.altitude)}
        if hit:
            yield f"uavs[{index}] {uav.id} flies through {_named(scenario, list(hit))} at {uav.altitude:g} m"


def _named(scenario: Scenario, numbers: Sequence[int]) -> str:
    building = scenario.buildings[numbers[0]]
    more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
    return f"buildings[{numbers[0]}] (roof {building.base + building.height:g} m){more}"


def _legs(uav: Uav) -> Iterator[tuple[Point, Point]]:
    """The legs of a route; of one that is held, the point."""
    if len(uav.route) == 1:
        yield uav.route[0], uav.route[0]
        return
    yield from itertools.pairwise(uav.route)
    if uav.loop:
        yield uav.route[-1], uav.route[0]


def _out_of_reach(scenario: Scenario) -> Iterator[str]:
    legs = [leg for uav in scenario.uavs for leg in _legs(uav)]
    owner = np.array([index for index, uav in enumerate(scenario.uavs) for _ in _legs(uav)])
    starts, ends = np.array([start for start, _ in legs]), np.array([end for _, end in legs])
    served = np.zeros(len(scenario.uavs), dtype=bool)
    for index, rsu in enumerate(scenario.rsus):
        distance = distance_to_segments(rsu.position, starts, ends)
        served[owner[distance <= rsu.range]] = True
        if distance.min() > rsu.range:
            yield (
                f"rsus[{index}] {rsu.id} is out of every UAV's reach: the nearest passes {distance.min():,.0f} m away, "
                f"its range is {rsu.range:g} m"
            )
    for index in np.flatnonzero(~served).tolist():
        yield f"uavs[{index}] {scenario.uavs[index].id} comes into no RSU's range"


def encounters(
    scenario: Scenario, separation: float, seconds: float, *, from_above: bool = False
) -> dict[tuple[int, int], tuple[float, float]]:
    """Pairs of UAVs that come closer than `separation` (m): how close (m), and when (s).

    Args:
        seconds: of flight that are looked at, a look each LOOK seconds.
        from_above: whether heights do not count.
    """
    closest: dict[tuple[int, int], tuple[float, float]] = {}
    if len(scenario.uavs) < 2:
        return closest
    # plug-ins are code: nothing runs to be looked at
    flight = Flight(replace(scenario, uavs=tuple(replace(uav, mobility="") for uav in scenario.uavs)))
    for look in range(int(seconds / LOOK) + 1):
        flight.advance(look * LOOK)
        positions = flight.position * (1.0, 1.0, 0.0) if from_above else flight.position
        for pair, distance in _pairs_within(positions, separation):
            if distance < closest.get(pair, (separation, 0.0))[0]:
                closest[pair] = (distance, look * LOOK)
    return closest


def separated(scenario: Scenario, layer: float, separation: float = SEPARATION, seconds: float = 600.0) -> Scenario:
    """The scenario with UAVs that would come too close at other altitudes.

    One after the other stays, or takes the lowest layer in which it keeps its distance to those before it.

    Args:
        layer: m between altitudes, from the lowest UAV's on.
        seconds: of flight for which the distance is kept.
    """
    near: dict[int, list[int]] = {}
    for a, b in encounters(scenario, separation, seconds, from_above=True):
        near.setdefault(b, []).append(a)
    altitudes = [uav.altitude for uav in scenario.uavs]
    lowest = min(altitudes, default=0.0)
    for b, before in sorted(near.items()):
        taken = [altitudes[a] for a in before]
        heights = itertools.chain((altitudes[b],), (lowest + layer * k for k in itertools.count()))
        altitudes[b] = next(height for height in heights if all(abs(height - other) >= separation for other in taken))
    uavs = zip(scenario.uavs, altitudes, strict=True)
    return replace(scenario, uavs=tuple(replace(uav, altitude=altitude) for uav, altitude in uavs))


def _too_close(scenario: Scenario, separation: float, seconds: float) -> Iterator[str]:
    worst = sorted(encounters(scenario, separation, seconds).items(), key=lambda item: item[1])
    for (a, b), (distance, when) in worst[:MOST_PAIRS]:
        ids = f"{scenario.uavs[a].id} and {scenario.uavs[b].id}"
        yield f"{ids} come within {distance:.1f} m of each other, {when:.1f} s from the start"
    if len(worst) > MOST_PAIRS:
        yield f"{len(worst) - MOST_PAIRS} more pairs of UAVs come within {separation:g} m of each other"


def _pairs_within(positions: Array, separation: float) -> Iterator[tuple[tuple[int, int], float]]:
    """Pairs of points [N, 3] closer than `separation` (m), with their distance: along x, only neighbours can be."""
    order = np.argsort(positions[:, 0], kind="stable")
    ordered = positions[order]
    for shift in range(1, len(order)):
        near = np.flatnonzero(ordered[shift:, 0] - ordered[:-shift, 0] < separation)
        if not len(near):
            return
        distance = np.linalg.norm(ordered[near + shift] - ordered[near], axis=1)
        for k in np.flatnonzero(distance < separation).tolist():
            a, b = sorted((int(order[near[k]]), int(order[near[k] + shift])))
            yield (a, b), float(distance[k])


def loaded(path_or_name: str | Path, tell: Callable[[str], object]) -> Scenario:
    """Read a scenario as `load` does; `tell` gets each of its `warnings`.

    Raises:
        InputError: see `load`.
    """
    scenario = load(path_or_name)
    for sentence in warnings(scenario):
        tell(sentence)
    return scenario
