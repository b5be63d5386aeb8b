"""Plane geometry against shapely."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from uav_twin_migration.scenario.geometry import _is_simple, are_simple, contains, signed_area, which_are_simple

shapely = pytest.importorskip("shapely")

Corners = list[tuple[int, int]]
# A coarse grid, so that shared corners, collinear edges and touching ones are common.
corners = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=8)


def untangled(polygon: Corners) -> Corners:
    """A polygon as it is where it is simple, as most are not; else its corners in the order of their directions."""
    if are_simple([polygon])[0]:
        return polygon
    middle = np.mean(polygon, axis=0) + np.array([0.01, 0.017])  # where no corner lies
    return sorted(set(polygon), key=lambda corner: math.atan2(corner[1] - middle[1], corner[0] - middle[0]))


@given(corners)
def test_simple_where_shapely_says_so(polygon: Corners) -> None:
    ring = shapely.LinearRing(polygon)
    whole = shapely.Polygon(polygon)
    folds = any(here == there for here, there in zip(polygon, [*polygon[1:], polygon[0]], strict=True))
    assert are_simple([polygon])[0] == (ring.is_simple and whole.is_valid and whole.area > 0 and not folds)


def test_polygons_of_a_group_are_judged_apart() -> None:
    square, bow_tie = [(0, 0), (1, 0), (1, 1), (0, 1)], [(0, 0), (1, 1), (1, 0), (0, 1)]
    assert are_simple([square, bow_tie, square]).tolist() == [True, False, True]


@given(corners.map(untangled), st.lists(st.tuples(st.floats(-1, 7), st.floats(-1, 7)), min_size=1, max_size=20))
def test_area_and_inside_agree_with_shapely(polygon: Corners, points: list[tuple[float, float]]) -> None:
    assume(are_simple([polygon])[0])
    whole = shapely.Polygon(polygon)
    assert signed_area(polygon) == (whole.area if whole.exterior.is_ccw else -whole.area)
    for point, inside in zip(points, contains(polygon, points), strict=True):
        if whole.exterior.distance(shapely.Point(point)) > 1e-9:
            assert inside == whole.contains(shapely.Point(point))


@given(corners, st.integers(5, 12))
def test_many_corners_are_judged_as_few_are(polygon: Corners, pieces: int) -> None:
    """Edges cut into many collinear ones keep a polygon what it is, and go the way of polygons of many corners."""
    ends = [*polygon[1:], polygon[0]]
    fine = [
        ((a[0] * (pieces - k) + b[0] * k), (a[1] * (pieces - k) + b[1] * k))
        for a, b in zip(polygon, ends, strict=True)
        for k in range(pieces)
    ]
    assert _is_simple(np.array(fine, dtype=float)) == are_simple([polygon])[0]


def test_thousands_of_corners_take_little_memory() -> None:
    turn = np.arange(4_000) * 2 * np.pi / 4_000
    comb = [
        corner
        for k in range(1_000)
        for corner in ((4 * k, 0.0), (4 * k + 1, 900.0), (4 * k + 2, 900.0), (4 * k + 3, 0.0))
    ]
    tracemalloc.start()
    assert which_are_simple([list(zip(np.cos(turn), np.sin(turn), strict=True)), [*comb, (4_000, -1), (0, -1)]]).all()
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
