"""Where RSUs stand and where UAVs fly in a city that is given: places along streets, sites for masts, tours.

Streets are polylines [K, 2] in metres that meet in common corners. Without streets a grid over the city stands in.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.radio.line_of_sight import View
from uav_twin_migration.radio.link import links
from uav_twin_migration.scenario.generate import ANTENNA_HEIGHT
from uav_twin_migration.scenario.geometry import contains, straightened
from uav_twin_migration.scenario.model import Building, Point, RadioParameters

Array = NDArray[np.float64]
Network = Mapping[Point, Mapping[Point, float]]  # corners of streets, their neighbours, and how far they are (m)

STRAIGHT = 3.0  # m, by which a tour may leave out a street's bends


def along(streets: Sequence[Array], most: int) -> Array:
    """About `most` points [P, 2] at even distances along the streets."""
    lengths = [np.linalg.norm(np.diff(street, axis=0), axis=1) for street in streets]
    pace = sum(float(length.sum()) for length in lengths) / most
    points, due = [], pace / 2
    for street, length in zip(streets, lengths, strict=True):  # as if they were one after another
        run = np.concatenate([[0.0], np.cumsum(length)])
        at = np.arange(due, run[-1], pace)
        points.append(np.column_stack([np.interp(at, run, street[:, axis]) for axis in (0, 1)]))
        due += len(at) * pace - float(run[-1])
    return np.round(np.concatenate(points), 1)


def over(buildings: Sequence[Building], most: int) -> Array:
    """About `most` points [P, 2] on a grid over the city."""
    corners = np.array([corner for building in buildings for corner in building.footprint])
    low, high = corners.min(axis=0) - 20, corners.max(axis=0) + 20
    pace = math.sqrt(float(np.prod(high - low)) / most)
    east, north = (np.arange(a + pace / 2, b, pace) for a, b in zip(low, high, strict=True))
    return np.round(np.stack(np.meshgrid(east, north), axis=-1).reshape(-1, 2), 1)


def outdoors(points: Array, buildings: Sequence[Building]) -> Array:
    """Those of the points [P, 2] that are in no building."""
    low, high = extents(buildings)
    inside = np.zeros(len(points), dtype=bool)
    for index, point in enumerate(points):
        around = np.flatnonzero((low <= point).all(axis=1) & (point <= high).all(axis=1))
        inside[index] = any(contains(buildings[k].footprint, point) for k in around.tolist())
    return points[~inside]


def extents(buildings: Sequence[Building]) -> tuple[Array, Array]:
    """Lower left and upper right corners [B, 2] (m) of the boxes about the footprints."""
    footprints = [np.array(building.footprint) for building in buildings]
    low = np.array([footprint.min(axis=0) for footprint in footprints]).reshape(-1, 2)
    high = np.array([footprint.max(axis=0) for footprint in footprints]).reshape(-1, 2)
    return low, high


def line_of_sight(buildings: Sequence[Building], antennas: Array, places: Array, reach: float) -> NDArray[np.bool_]:
    """Which of the places [P, 3] each antenna [S, 3] sees: [P, S]. Beyond `reach` (m) nobody asks: it is False there.

    Only what stands within reach of an antenna can be in its way there: a city of tens of thousands of buildings is
    looked at piece by piece.
    """
    low, high = extents(buildings)
    seen = np.zeros((len(places), len(antennas)), dtype=bool)
    for index, antenna in enumerate(antennas):
        near = np.flatnonzero(np.linalg.norm(places[:, :2] - antenna[:2], axis=1) <= reach)
        away = np.maximum(np.maximum(low - antenna[:2], antenna[:2] - high), 0.0)
        around = np.flatnonzero(np.linalg.norm(away, axis=1) <= reach)
        view = View([buildings[k] for k in around.tolist()], antenna[None])
        seen[near, index] = view.line_of_sight(places[near])[:, 0]
    return seen


def place_rsus(
    buildings: Sequence[Building], sites: Array, places: Array, count: int, reach: float
) -> tuple[list[int], Array]:
    """Which of the sites [S, 2] get the `count` RSUs, and the efficiencies [P, count] they give at `places` [P, 3].

    `reach` is their range, m. One after another goes where it adds most to the mean capacity log2(1 + SNR) of each
    place's best link, which, unlike the efficiency, has no cap and so tells near from far. Such a sum of maxima is
    submodular: the greedy choice reaches 1 - 1/e of the optimum at least (Nemhauser, Wolsey and Fisher, Mathematical
    Programming 14, 1978).
    """
    antennas = np.column_stack([sites, np.full(len(sites), ANTENNA_HEIGHT)])
    seen = line_of_sight(buildings, antennas, places, reach)
    quality = links(RadioParameters(), antennas, np.full(len(sites), reach), places, seen)
    capacity = np.where(quality.efficiency > 0, np.log2(1 + 10 ** (quality.snr / 10)), 0.0)
    best = np.zeros((len(places), 1))
    chosen: list[int] = []
    for _ in range(count):
        value = np.maximum(capacity, best).sum(axis=0)
        value[chosen] = -1.0
        chosen.append(int(value.argmax()))
        best = np.maximum(best, capacity[:, chosen[-1:]])
    return chosen, quality.efficiency[:, chosen]


def network_of(streets: Iterable[Array]) -> Network:
    """The largest connected part of the streets."""
    corners: dict[Point, dict[Point, float]] = defaultdict(dict)
    for street in streets:
        points = [(float(x), float(y)) for x, y in street]
        for a, b in itertools.pairwise(points):
            corners[a][b] = corners[b][a] = math.dist(a, b)
    parts: list[set[Point]] = []
    seen: set[Point] = set()
    for corner in corners:
        if corner not in seen:
            parts.append(set(ways_to(corners, corner)))
            seen |= parts[-1]
    largest = max(parts, key=len, default=set())
    return {corner: neighbours for corner, neighbours in corners.items() if corner in largest}


def ways_to(network: Network, goal: Point) -> dict[Point, Point]:
    """For every corner that can reach `goal`, the next one on the shortest way there (Dijkstra's algorithm)."""
    distance, onward = {goal: 0.0}, {goal: goal}
    queue = [(0.0, goal)]
    while queue:
        so_far, corner = heapq.heappop(queue)
        if so_far > distance[corner]:
            continue
        for neighbour, length in network[corner].items():
            if so_far + length < distance.get(neighbour, math.inf):
                distance[neighbour], onward[neighbour] = so_far + length, corner
                heapq.heappush(queue, (so_far + length, neighbour))
    return onward


def tour(dice: random.Random, network: Network) -> tuple[Point, ...]:
    """A round trip along the streets over three corners far apart: two waypoints at least; none without streets."""
    if not network:
        return ()
    corners = sorted(network)
    stops = [corners[int(dice.random() * len(corners))]]
    for _ in range(2):
        apart = [min(math.dist(corner, stop) for stop in stops) * (0.5 + dice.random()) for corner in corners]
        stops.append(corners[int(np.argmax(apart))])
    way: list[Point] = []
    for corner, goal in zip(stops, [*stops[1:], stops[0]], strict=True):
        onward = ways_to(network, goal)
        while corner != goal:
            way.append(corner)
            corner = onward[corner]
    points = [(round(x, 1) + 0.0, round(y, 1) + 0.0) for x, y in straightened([*way, *way[:1]], STRAIGHT)[:-1].tolist()]
    return tuple(point for k, point in enumerate(points) if point != points[k - 1])
