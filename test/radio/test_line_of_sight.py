"""Line of sight: degenerate cases by name, laws, and agreement with shapely on random cities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uav_twin_migration.radio.line_of_sight import Obstacles, View
from uav_twin_migration.scenario.geometry import are_simple
from uav_twin_migration.scenario.model import Building

Triple = tuple[float, float, float]

BLOCK = Building(((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)), 20.0)
RIGHT_OF_IT = Building(((10.0, 0.0), (20.0, 0.0), (20.0, 10.0), (10.0, 10.0)), 20.0)
# An L: the notch is the square from (10, 10) to (30, 30).
L_SHAPE = Building(((0.0, 0.0), (30.0, 0.0), (30.0, 10.0), (10.0, 10.0), (10.0, 30.0), (0.0, 30.0)), 20.0)
# Two squares joined by a bar, on different sides of the line y = 10: a link on that line only ever grazes it.
S_SHAPE = Building(
    ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (20.0, 10.0), (20.0, 20.0), (9.0, 20.0), (9.0, 10.0), (0.0, 10.0)), 20.0
)
BRIDGE = Building(BLOCK.footprint, 5.0, base=10.0)
CROWN = Building(((0.0, 0.0), (4.0, 4.0), (8.0, 0.0), (8.0, 10.0), (0.0, 10.0)), 20.0)  # a notch with its tip at (4, 4)

CASES: list[tuple[str, list[Building], Triple, Triple, bool]] = [
    ("through", [BLOCK], (-5, 5, 10), (15, 5, 10), False),
    ("beside", [BLOCK], (-5, 11, 10), (15, 11, 10), True),
    ("above", [BLOCK], (-5, 5, 25), (15, 5, 21), True),
    ("short of it", [BLOCK], (-5, 5, 10), (-1, 5, 10), True),
    ("down through the roof", [BLOCK], (5, 5, 30), (12, 5, 10), False),
    ("over the edge of the roof", [BLOCK], (5, 5, 30), (15, 5, 10), True),
    ("over it, the line's extension only would hit", [BLOCK], (5, 5, 30), (5, 5, 21), True),
    ("along a wall", [BLOCK], (-5, 10, 10), (15, 10, 10), True),
    ("along a wall, the other way", [BLOCK], (15, 0, 10), (-5, 0, 10), True),
    ("along the seam of two", [BLOCK, RIGHT_OF_IT], (10, -5, 10), (10, 15, 10), True),
    ("across the seam of two", [BLOCK, RIGHT_OF_IT], (5, 5, 10), (15, 5, 10), False),
    ("in the plane of the roof", [BLOCK], (-5, 5, 20), (15, 5, 20), True),
    ("at a corner", [BLOCK], (-5, 5, 10), (5, -5, 10), True),
    ("in at one corner, out at another", [BLOCK], (-5, -5, 10), (15, 15, 10), False),
    ("up from the roof", [BLOCK], (5, 5, 20), (50, 5, 100), True),
    ("up from inside", [BLOCK], (5, 5, 19.9), (50, 5, 100), False),
    ("wholly inside", [BLOCK], (4, 5, 10), (6, 5, 10), False),
    ("straight up, inside", [BLOCK], (5, 5, 10), (5, 5, 100), False),
    ("straight up, from the roof", [BLOCK], (5, 5, 20), (5, 5, 100), True),
    ("straight up, outside", [BLOCK], (11, 5, 10), (11, 5, 100), True),
    ("straight up, along the wall", [BLOCK], (10, 5, 10), (10, 5, 100), True),
    ("a point", [BLOCK], (5, 5, 10), (5, 5, 10), True),
    ("from a wall outwards", [BLOCK], (10, 5, 10), (50, 5, 10), True),
    ("from a wall inwards", [BLOCK], (10, 5, 10), (-50, 5, 10), False),
    ("from notch to notch", [L_SHAPE], (12, 25, 10), (25, 12, 10), True),
    ("across the L", [L_SHAPE], (5, 40, 10), (40, 5, 10), True),
    ("through both arms", [L_SHAPE], (5, 35, 10), (5, -5, 10), False),
    ("along an inner wall, then through", [L_SHAPE], (10, 40, 10), (10, -5, 10), False),
    ("grazing on both sides", [S_SHAPE], (-5, 10, 10), (8.5, 10, 10), True),
    ("grazing, then a metre inside, then grazing", [S_SHAPE], (-5, 10, 10), (25, 10, 10), False),
    ("the tip of a notch", [CROWN], (-5, 4, 10), (4, 4, 10), False),
    ("within the notch to its tip", [CROWN], (4, -5, 10), (4, 4, 10), True),
    ("under a bridge", [BRIDGE], (-5, 5, 5), (15, 5, 9), True),
    ("into a bridge", [BRIDGE], (-5, 5, 5), (15, 5, 19), False),
    ("no buildings", [], (-5, 5, 10), (15, 5, 10), True),
]


@pytest.mark.parametrize(("buildings", "start", "end", "free"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_cases_by_name(buildings: list[Building], start: Triple, end: Triple, free: bool) -> None:
    assert Obstacles(buildings).line_of_sight(start, end) == free
    assert Obstacles(buildings).line_of_sight(end, start) == free
    assert View(buildings, [start]).line_of_sight(end)[0] == free
    assert View(buildings, [end]).line_of_sight(start)[0] == free


def star(rng: np.random.Generator, corners: int, radius: float) -> list[tuple[float, float]]:
    """A simple polygon, mostly not convex: a walk round its centre at varying distance."""
    angles = np.sort(rng.uniform(0, 2 * math.pi, corners))
    reach = radius * rng.uniform(0.2, 1.0, corners)
    return [(float(r * math.cos(a)), float(r * math.sin(a))) for a, r in zip(angles, reach, strict=True)]


def city(seed: int, buildings: int, side: float = 400.0) -> list[Building]:
    rng = np.random.default_rng(seed)
    blocks: list[Building] = []
    while len(blocks) < buildings:
        x, y = rng.uniform(-side / 2, side / 2, 2)
        corners = [(x + dx, y + dy) for dx, dy in star(rng, int(rng.integers(3, 10)), 40.0)]
        if are_simple([corners])[0]:
            blocks.append(Building(tuple(corners), float(rng.uniform(5, 60)), float(rng.choice([0.0, 10.0]))))
    return blocks


def ends(seed: int, links: int, side: float = 500.0, top: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
    low, high = (-side / 2, -side / 2, 0.0), (side / 2, side / 2, top)
    rng = np.random.default_rng(seed)
    return rng.uniform(low, high, (links, 3)), rng.uniform(low, high, (links, 3))


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=20)
@given(seeds)
def test_agrees_with_shapely(seed: int) -> None:
    shapely = pytest.importorskip("shapely")
    buildings, (start, end) = city(seed, 12), ends(seed, 25)
    free = Obstacles(buildings).line_of_sight(start, end)
    for a, b, seen in zip(start, end, free, strict=True):
        inside = 0.0
        for building in buildings:
            crossing = sorted((z - a[2]) / (b[2] - a[2]) for z in (building.base, building.base + building.height))
            low, high = np.clip(crossing, 0, 1)
            part = shapely.LineString([(a + low * (b - a))[:2], (a + high * (b - a))[:2]])
            inside = max(inside, part.intersection(shapely.Polygon(building.footprint)).length)
        if not 0 < inside < 1e-4:  # closer to grazing than shapely's rounding can tell
            assert seen == (inside == 0)


@settings(max_examples=20)
@given(seeds)
def test_views_see_what_the_plain_test_sees(seed: int) -> None:
    """Culling leaves nothing out: antennas inside, between and on top of buildings, UAVs low, high and overhead."""
    buildings, (antennas, points) = city(seed, 40), ends(seed, 12)
    antennas[0, :2] = points[0, :2]
    antennas[1] = (*buildings[0].footprint[0], 5.0)
    view = View(buildings, antennas)
    expected = Obstacles(buildings).line_of_sight(antennas[None, :, :], points[:, None, :])
    assert np.array_equal(view.line_of_sight(points), expected)
    assert np.array_equal(view.line_of_sight(points.reshape(3, 4, 3)), expected.reshape(3, 4, 12))


@settings(max_examples=20)
@given(seeds, st.floats(-math.pi, math.pi), st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)))
def test_symmetric_and_invariant_under_motion(seed: int, angle: float, shift: tuple[float, float]) -> None:
    buildings, (start, end) = city(seed, 12), ends(seed, 25)
    free = Obstacles(buildings).line_of_sight(start, end)
    assert np.array_equal(Obstacles(buildings).line_of_sight(end, start), free)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])

    def moved(points: np.ndarray) -> np.ndarray:
        return np.concatenate([points[:, :2] @ turn + shift, points[:, 2:]], axis=1)

    elsewhere = [Building(tuple(map(tuple, np.array(b.footprint) @ turn + shift)), b.height, b.base) for b in buildings]
    assert np.array_equal(Obstacles(elsewhere).line_of_sight(moved(start), moved(end)), free)


def test_which_way_round_a_footprint_goes_does_not_matter() -> None:
    buildings, (start, end) = city(5, 30), ends(5, 100)
    mirrored = [Building(b.footprint[::-1], b.height, b.base) for b in buildings]
    free = Obstacles(buildings).line_of_sight(start, end)
    assert 10 < free.sum() < 90
    assert np.array_equal(Obstacles(mirrored).line_of_sight(start, end), free)
