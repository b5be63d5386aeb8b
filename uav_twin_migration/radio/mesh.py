"""Buildings as triangles, for a ray tracer: prisms over simple polygons, and the PLY files that it reads."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.scenario.geometry import signed_area
from uav_twin_migration.scenario.model import Building, Point

Triangle = tuple[int, int, int]


def triangles(polygon: Sequence[Point]) -> list[Triangle]:
    """A simple polygon, counter-clockwise, cut into triangles of its corners' indices, by clipping ears.

    An ear is a corner whose triangle with its neighbours turns left and holds no other corner (Meisters, *Polygons have
    ears*, 1975): each cut leaves a simple polygon. Triangles without an area, of corners
    on a line, are left out.
    """
    left = list(range(len(polygon)))
    found: list[Triangle] = []
    while len(left) > 3:
        place = next((k for k in range(len(left)) if _is_ear(polygon, left, k)), None)
        if place is None:  # rounding has left a sliver: any corner will do
            place = min(range(len(left)), key=lambda k: abs(_turn(polygon, left, k)))
        if _turn(polygon, left, place) > 0.0:
            found.append((left[place - 1], left[place], left[(place + 1) % len(left)]))
        del left[place]
    return [*found, (left[0], left[1], left[2])]


def _turn(polygon: Sequence[Point], left: Sequence[int], k: int) -> float:
    """Twice the area of a corner's triangle, positive where the corner turns left."""
    return _area(polygon[left[k - 1]], polygon[left[k]], polygon[left[(k + 1) % len(left)]])


def _area(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _is_ear(polygon: Sequence[Point], left: Sequence[int], k: int) -> bool:
    if _turn(polygon, left, k) <= 0.0:
        return False
    corners = (left[k - 1], left[k], left[(k + 1) % len(left)])
    a, b, c = (polygon[corner] for corner in corners)
    others = (polygon[corner] for corner in left if corner not in corners)
    return not any(_area(a, b, p) >= 0 and _area(b, c, p) >= 0 and _area(c, a, p) >= 0 for p in others)


def prism(building: Building) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A building's corners [2 K, 3] (m), those of its base first, and its faces [F, 3], which look outwards."""
    footprint = list(building.footprint)
    if signed_area(footprint) < 0.0:
        footprint.reverse()
    count = len(footprint)
    base, top = building.base, building.base + building.height
    corners = [(x, y, z) for z in (base, top) for x, y in footprint]
    roof = triangles(footprint)
    faces = [(a + count, b + count, c + count) for a, b, c in roof] + [(c, b, a) for a, b, c in roof]
    for k in range(count):
        following = (k + 1) % count
        faces += [(k, following, following + count), (k, following + count, k + count)]
    return np.array(corners, dtype="<f4"), np.array(faces, dtype="<i4")


def ply(buildings: Iterable[Building]) -> bytes:
    """A binary PLY file of buildings."""
    corners: list[NDArray[np.float32]] = []
    faces: list[NDArray[np.int32]] = []
    before = 0
    for building in buildings:
        some, of_them = prism(building)
        corners.append(some)
        faces.append(of_them + before)
        before += len(some)
    count = sum(map(len, faces))
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {before}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {count}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = b"".join(struct.pack("<Biii", 3, *face) for some in faces for face in some.tolist())
    return header.encode() + b"".join(some.astype("<f4").tobytes() for some in corners) + rows
