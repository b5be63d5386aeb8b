"""Plane geometry on footprints: is a polygon simple, which way round does it go, what does it hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uav_twin_migration.scenario.model import Point

Array = NDArray[np.float64]


def cross(a: Array, b: Array) -> Array:
    """z of the cross product of plane vectors [..., 2]."""
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def signed_area(polygon: ArrayLike) -> float:
    """Area of a simple polygon [K, 2] in m^2, positive where its corners go counter-clockwise (shoelace formula)."""
    corners = np.asarray(polygon, dtype=float)
    corners = corners - corners[0]  # keeps digits when the polygon lies far from the origin
    return 0.5 * float(cross(corners, np.roll(corners, -1, axis=0)).sum())


MOST_PAIRS = 100_000  # of edges that are compared at once: what bounds the memory
FEW_CORNERS = 40  # up to which every pair of edges is compared


def which_are_simple(polygons: Sequence[Sequence[Point]]) -> NDArray[np.bool_]:
    """Which of the polygons, each of any number of corners, have an area and edges that meet in shared corners only."""
    by_corners: dict[int, list[int]] = defaultdict(list)
    for index, polygon in enumerate(polygons):
        by_corners[len(polygon)].append(index)
    simple = np.zeros(len(polygons), dtype=bool)
    for corners, group in by_corners.items():
        at_once = max(MOST_PAIRS // max(corners, 1) ** 2, 1)
        for start in range(0, len(group), at_once):
            some = group[start : start + at_once]
            simple[some] = are_simple([polygons[index] for index in some])
    return simple


def are_simple(polygons: ArrayLike) -> NDArray[np.bool_]:
    """Which of the polygons [G, K, 2] have an area and edges that meet in shared corners only.

    Of a few corners, every pair of edges is tested, and G polygons go at once.
    """
    start = np.asarray(polygons, dtype=float)
    corners = start.shape[1]
    if corners > FEW_CORNERS:
        return np.array([_is_simple(polygon) for polygon in start], dtype=bool)
    end = np.roll(start, -1, axis=1)
    first, second = np.triu_indices(corners, k=1)
    following = (second - first == 1) | (second - first == corners - 1)

    folded_back = _folds_back(start, end, np.roll(end, -1, axis=1))
    i, j = first[~following], second[~following]
    touching = _segments_touch(start[:, i], end[:, i], start[:, j], end[:, j])
    return np.asarray(~(folded_back.any(axis=1) | touching.any(axis=1)))


def _is_simple(start: Array) -> bool:
    """The same of one polygon [K, 2] of many corners: only edges whose boxes overlap are compared.

    Edges are sorted along the axis on which their extents overlap least; each is compared with those that begin before
    it ends.
    """
    end = np.roll(start, -1, axis=0)
    if _folds_back(start, end, np.roll(end, -1, axis=0)).any():
        return False
    low, high = np.minimum(start, end), np.maximum(start, end)
    axis = int(np.argmin((high - low).sum(axis=0) / np.maximum(np.ptp(start, axis=0), 1e-12)))
    order = np.argsort(low[:, axis], kind="stable")
    reach = np.searchsorted(low[order, axis], high[order, axis], side="right")
    partners = reach - np.arange(len(order)) - 1  # of each edge, those that follow it in this order
    ends = np.cumsum(partners)
    begin = 0
    while begin < len(order):
        until = max(int(np.searchsorted(ends, ends[begin] - partners[begin] + MOST_PAIRS, side="right")), begin + 1)
        count = partners[begin:until]
        i = np.repeat(np.arange(begin, until), count)
        j = i + 1 + np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count)
        if _any_touch(start, end, low, high, order[i], order[j]):
            return False
        begin = until
    return True


def _any_touch(start: Array, end: Array, low: Array, high: Array, i: NDArray[np.intp], j: NDArray[np.intp]) -> bool:
    """Whether any two edges i and j of a polygon, not one after the other, have a point in common."""
    apart = np.abs(i - j)
    overlap = (apart != 1) & (apart != len(start) - 1)
    overlap &= (low[i] <= high[j]).all(axis=1) & (low[j] <= high[i]).all(axis=1)
    i, j = i[overlap], j[overlap]
    return bool(_segments_touch(start[i], end[i], start[j], end[j]).any())


def _folds_back(a: Array, b: Array, c: Array) -> NDArray[np.bool_]:
    """Whether edge b-c has no length or lies on top of edge a-b."""
    return np.asarray((cross(b - a, c - b) == 0) & (((b - a) * (c - b)).sum(axis=-1) <= 0))


def _segments_touch(a: Array, b: Array, c: Array, d: Array) -> NDArray[np.bool_]:
    """Whether segments a-b and c-d have a point in common."""
    sides = [np.sign(cross(q - p, r - p)) for p, q, r in ((a, b, c), (a, b, d), (c, d, a), (c, d, b))]
    crossing = (sides[0] * sides[1] < 0) & (sides[2] * sides[3] < 0)
    for side, p, q, r in ((sides[0], a, b, c), (sides[1], a, b, d), (sides[2], c, d, a), (sides[3], c, d, b)):
        crossing |= (side == 0) & (np.minimum(p, q) <= r).all(axis=-1) & (r <= np.maximum(p, q)).all(axis=-1)
    return np.asarray(crossing)


def contains(polygon: ArrayLike, points: ArrayLike) -> NDArray[np.bool_]:
    """Which points [..., 2] lie inside a simple polygon [K, 2] (crossing number; on the edge: either)."""
    a = np.asarray(polygon, dtype=float)
    b = np.roll(a, -1, axis=0)
    point = np.asarray(points, dtype=float)[..., None, :]
    spans = (a[:, 1] > point[..., 1]) != (b[:, 1] > point[..., 1])
    left_of_edge = cross(b - a, point - a) * np.sign(b[:, 1] - a[:, 1]) > 0
    return np.asarray((spans & left_of_edge).sum(axis=-1) % 2 == 1)


def cross_any(polygon: ArrayLike, start: ArrayLike, end: ArrayLike) -> bool:
    """Whether the segment from `start` to `end` meets an edge of a polygon [K, 2]."""
    corners = np.asarray(polygon, dtype=float)
    a, b = (np.broadcast_to(np.asarray(point, dtype=float), corners.shape) for point in (start, end))
    return bool(_segments_touch(a, b, corners, np.roll(corners, -1, axis=0)).any())


def distance_to_segments(point: ArrayLike, starts: Array, ends: Array) -> Array:
    """Distance (m) from a point to each of the segments [S, 2]."""
    offset, line = np.asarray(point, dtype=float) - starts, ends - starts
    share = np.clip((offset * line).sum(axis=1) / np.maximum((line * line).sum(axis=1), 1e-12), 0.0, 1.0)
    return np.asarray(np.linalg.norm(offset - share[:, None] * line, axis=1))


def straightened(points: ArrayLike, tolerance: float) -> Array:
    """A polyline [K, 2] without the points that lie within `tolerance` of what is left.

    Source: D. Douglas and T. Peucker, The Canadian Cartographer 10 (1973); without recursion.
    """
    line = np.asarray(points, dtype=float)
    kept = np.zeros(len(line), dtype=bool)
    kept[[0, -1]] = True
    waiting = [(0, len(line) - 1)]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        inner = line[first + 1 : last]
        offset, way = inner - line[first], line[last] - line[first]
        share = np.clip(offset @ way / max(float(way @ way), 1e-12), 0.0, 1.0)
        away = np.linalg.norm(offset - share[:, None] * way, axis=1)
        farthest = int(away.argmax())
        if away[farthest] > tolerance:
            middle = first + 1 + farthest
            kept[middle] = True
            waiting += [(first, middle), (middle, last)]
    return line[kept]
