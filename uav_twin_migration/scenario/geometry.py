"""Plane geometry on footprints: is a polygon simple, which way round does it go, what does it hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def cross(a: Array, b: Array) -> Array:
    """z of the cross product of plane vectors [..., 2]."""
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def signed_area(polygon: ArrayLike) -> float:
    """Area of a simple polygon [K, 2] in m^2, positive where its corners go counter-clockwise (shoelace formula)."""
    corners = np.asarray(polygon, dtype=float)
    corners = corners - corners[0]  # keeps digits when the polygon lies far from the origin
    return 0.5 * float(cross(corners, np.roll(corners, -1, axis=0)).sum())


def are_simple(polygons: ArrayLike) -> NDArray[np.bool_]:
    """Which of the polygons [G, K, 2] have an area and edges that meet in shared corners only.

    Every pair of edges is tested: K is small, and G polygons of as many corners go at once.
    """
    start = np.asarray(polygons, dtype=float)
    corners = start.shape[1]
    end = np.roll(start, -1, axis=1)
    first, second = np.triu_indices(corners, k=1)
    following = (second - first == 1) | (second - first == corners - 1)

    folded_back = _folds_back(start, end, np.roll(end, -1, axis=1))
    i, j = first[~following], second[~following]
    touching = _segments_touch(start[:, i], end[:, i], start[:, j], end[:, j])
    return np.asarray(~(folded_back.any(axis=1) | touching.any(axis=1)))


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
