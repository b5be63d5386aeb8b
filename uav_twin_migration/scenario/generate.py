"""Cities made up from a seed: the shipped scenarios, and any other size for benchmarks.

A city is a square of blocks between streets. RSUs stand at crossings, one in each cell of a grid, so that their
coverage overlaps; UAVs fly round trips over the roofs. The same arguments give the same city on every machine: of
Python's generator only `random()` is used, whose sequence its documentation guarantees.

`python3 -m uav_twin_migration.scenario.generate FOLDER` writes the shipped scenarios anew.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from uav_twin_migration.scenario.examine import separated
from uav_twin_migration.scenario.load import save
from uav_twin_migration.scenario.model import Building, Origin, Point, Rsu, Scenario, Uav

T = TypeVar("T")

SHIPPED = {"default": (4, 8, 1), "small": (2, 2, 1), "large": (16, 200, 1)}  # RSUs, UAVs, seed

ORIGIN = Origin(latitude=47.397742, longitude=8.545594, altitude=488.0)  # where PX4's simulation starts by default
CELL = 500.0  # m between RSUs: with ranges of 600 m a UAV is in reach of some four
BLOCK = 125.0  # m from street to street
STREET = 30.0  # m, width
ANTENNA_HEIGHT = 15.0  # m
RANGE = 600.0  # m
LOWEST_ALTITUDE = 90.0  # m, of UAVs
LAYER = 10.0  # m between the altitudes at which they fly


def generate(rsus: int, uavs: int, seed: int = 1, name: str = "") -> Scenario:
    """A made-up city with so many RSUs and UAVs, whose market is interior: few UAVs drop out, few prices hit a bound.

    What RSUs and UAVs are like is spread as `rsu_at` and `uav_on` say.
    """
    dice = random.Random(seed)
    columns = math.ceil(math.sqrt(rsus))
    rows = math.ceil(rsus / columns)
    width, depth = columns * CELL, rows * CELL
    return Scenario(
        name=name or f"city of {rsus} RSUs and {uavs} UAVs, seed {seed}",
        origin=ORIGIN,
        rsus=tuple(_rsu(dice, index, rsus, columns, rows, uavs / rsus) for index in range(rsus)),
        uavs=tuple(_uav(dice, index, uavs, width, depth) for index in range(uavs)),
        buildings=tuple(_buildings(dice, width, depth)),
    )


def _uniform(dice: random.Random, low: float, high: float, digits: int = 1) -> float:
    return round(low + (high - low) * dice.random(), digits)


def _pick(dice: random.Random, items: Sequence[T]) -> T:
    return items[int(dice.random() * len(items))]


def _rsu(dice: random.Random, index: int, total: int, columns: int, rows: int, uavs_each: float) -> Rsu:
    """At the crossing that is nearest to a random point about the middle of its cell."""
    middle = (index % columns - (columns - 1) / 2, index // columns - (rows - 1) / 2)
    x, y = (BLOCK * round((c * CELL + _uniform(dice, -80, 80)) / BLOCK) for c in middle)
    return rsu_at(dice, numbered("rsu", index, total), (x, y), uavs_each)


def _uav(dice: random.Random, index: int, total: int, width: float, depth: float) -> Uav:
    reach = CELL * _uniform(dice, 0.3, 0.9, 2)
    x = _uniform(dice, -1, 1, 3) * max(width / 2 - reach, 0.0)
    y = _uniform(dice, -1, 1, 3) * max(depth / 2 - reach, 0.0)
    route = round_trip(dice, (x, y), reach)
    altitude = LOWEST_ALTITUDE + LAYER * int(3 * dice.random())
    return uav_on(dice, numbered("uav", index, total), route, altitude)


def numbered(kind: str, index: int, total: int) -> str:
    """An id like `uav_007`, with as many digits as sorting needs."""
    return f"{kind}_{index + 1:0{len(str(total))}d}"


def rsu_at(dice: random.Random, name: str, position: Point, uavs_each: float) -> Rsu:
    """An RSU with a capacity of 8 to 18 MHz for each UAV per RSU and a unit cost of .5 to 3 credit/MHz."""
    return Rsu(
        id=name,
        position=position,
        antenna_height=ANTENNA_HEIGHT,
        range=RANGE,
        capacity=round(_uniform(dice, 8, 18) * uavs_each, 1),
        unit_cost=_uniform(dice, 0.5, 3.0, 2),
        price_cap=20.0,
    )


def uav_on(dice: random.Random, name: str, route: tuple[Point, ...], altitude: float) -> Uav:
    """A UAV with an immersion weight of 8 to 20 credit and a twin of 80 to 150 Mbit."""
    return Uav(
        id=name,
        route=route,
        altitude=altitude,
        speed=_uniform(dice, 8, 15),
        acceleration=_uniform(dice, 2, 4),
        immersion_weight=_uniform(dice, 8, 20),
        twin_size=_uniform(dice, 80, 150),
    )


def round_trip(dice: random.Random, centre: Point, reach: float) -> tuple[Point, ...]:
    """Three to six waypoints within `reach` (m) of a centre, in the order of their bearing."""
    corners = 3 + int(4 * dice.random())
    turn = dice.random()
    route = []
    for k in range(corners):
        bearing = 2 * math.pi * (k + turn + _uniform(dice, -0.25, 0.25, 3)) / corners
        distance = reach * _uniform(dice, 0.6, 1.0, 3)
        x, y = centre[0] + distance * math.cos(bearing), centre[1] + distance * math.sin(bearing)
        route.append((round(x, 1), round(y, 1)))
    return tuple(route)


def _buildings(dice: random.Random, width: float, depth: float) -> list[Building]:
    """Blocks between the streets, which run through all multiples of `BLOCK`; one block in eight is a park."""
    buildings = []
    inset = STREET / 2
    for row in range(math.floor(-depth / 2 / BLOCK), math.ceil(depth / 2 / BLOCK)):
        for column in range(math.floor(-width / 2 / BLOCK), math.ceil(width / 2 / BLOCK)):
            if dice.random() < 1 / 8:
                continue
            size = BLOCK - 2 * inset
            corner = (column * BLOCK + inset, row * BLOCK + inset)
            flip, mirror = dice.random() < 0.5, dice.random() < 0.5
            for shape, height in _block(dice):
                footprint = [_placed(point, corner, size, flip, mirror) for point in shape]
                buildings.append(Building(tuple(footprint), height))
    return buildings


def _block(dice: random.Random) -> list[tuple[list[Point], float]]:
    """Footprints in the unit square with their heights (m): what stands on one block."""
    a = _uniform(dice, 0.3, 0.45, 2)  # depth of a wing
    low, high = _uniform(dice, 12, 22), _uniform(dice, 20, 36)
    kind = _pick(dice, ("L", "L", "U", "slabs", "slabs", "hall", "tower", "T"))
    if kind == "L":
        return [([(0, 0), (1, 0), (1, a), (a, a), (a, 1), (0, 1)], high)]
    if kind == "U":
        return [([(0, 0), (1, 0), (1, 1), (1 - a, 1), (1 - a, a), (a, a), (a, 1), (0, 1)], low)]
    if kind == "T":
        return [
            (
                [
                    (0, 0),
                    (1, 0),
                    (1, a),
                    (0.5 + a / 2, a),
                    (0.5 + a / 2, 1),
                    (0.5 - a / 2, 1),
                    (0.5 - a / 2, a),
                    (0, a),
                ],
                low,
            )
        ]
    if kind == "slabs":
        return [([(0, 0), (1, 0), (1, a), (0, a)], low), ([(0, 1 - a), (1, 1 - a), (1, 1), (0, 1)], high)]
    if kind == "hall":
        return [([(0, 0.1), (1, 0.1), (1, 0.9), (0, 0.9)], low)]
    cut = 0.3
    octagon = [(cut, 0), (1 - cut, 0), (1, cut), (1, 1 - cut), (1 - cut, 1), (cut, 1), (0, 1 - cut), (0, cut)]
    return [([(0.2 + 0.6 * x, 0.2 + 0.6 * y) for x, y in octagon], _uniform(dice, 45, 70))]


def _placed(point: Point, corner: Point, size: float, flip: bool, mirror: bool) -> Point:
    u, v = point[::-1] if flip else point
    u = 1 - u if mirror else u
    return (round(corner[0] + size * u, 1), round(corner[1] + size * v, 1))


def main() -> None:
    """Write the shipped scenarios into the folder named on the command line."""
    for name, (rsus, uavs, seed) in SHIPPED.items():
        save(separated(generate(rsus, uavs, seed, name), LAYER), Path(sys.argv[1]) / f"{name}.yaml")


if __name__ == "__main__":
    main()
