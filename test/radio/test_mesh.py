"""Buildings as triangles: they cover what they should, and look outwards."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.radio.mesh import ply, prism, triangles
from uav_twin_migration.scenario.geometry import signed_area
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Building

L_SHAPE = ((0.0, 0.0), (30.0, 0.0), (30.0, 10.0), (10.0, 10.0), (10.0, 30.0), (0.0, 30.0))


@given(st.lists(st.floats(5.0, 50.0), min_size=3, max_size=12), st.booleans())
def test_triangles_cover_a_star_shaped_polygon_once(radii: list[float], on_a_line: bool) -> None:
    turn = 2 * math.pi / len(radii)
    polygon = [(r * math.cos(k * turn), r * math.sin(k * turn)) for k, r in enumerate(radii)]
    if on_a_line:
        (x, y), (to_x, to_y) = polygon[0], polygon[1]
        polygon.insert(1, ((x + to_x) / 2, (y + to_y) / 2))
    areas = [signed_area([polygon[corner] for corner in one]) for one in triangles(polygon)]
    assert min(areas) > -1e-9
    assert sum(areas) == pytest.approx(signed_area(polygon))


@pytest.mark.parametrize("footprint", [L_SHAPE, L_SHAPE[::-1]])
def test_a_prism_is_closed_and_looks_outwards(footprint: tuple[tuple[float, float], ...]) -> None:
    corners, faces = prism(Building(footprint, 20.0, 5.0))
    a, b, c = (corners[faces[:, k]].astype(float) for k in range(3))
    volume = np.einsum("ni,ni->n", a, np.cross(b, c)).sum() / 6.0  # of Gauss's theorem: positive where faces look out
    assert volume == pytest.approx(500.0 * 20.0)
    edges = {(int(f[k]), int(f[(k + 1) % 3])) for f in faces for k in range(3)}
    assert all((there, here) in edges for here, there in edges)


def test_all_shipped_buildings_are_cut_into_triangles() -> None:
    for building in load("large").buildings:
        corners, faces = prism(building)
        a, b, c = (corners[faces[:, k]].astype(float) for k in range(3))
        volume = np.einsum("ni,ni->n", a - corners[0], np.cross(b - corners[0], c - corners[0])).sum() / 6.0
        assert volume == pytest.approx(abs(signed_area(building.footprint)) * building.height, rel=1e-3)


def test_a_ply_file_holds_every_building() -> None:
    buildings = load("small").buildings
    head, _, body = ply(buildings).partition(b"end_header\n")
    vertices = sum(2 * len(building.footprint) for building in buildings)
    faces = sum(4 * len(building.footprint) - 4 for building in buildings)
    assert f"element vertex {vertices}\n".encode() in head
    assert len(body) == 12 * vertices + 13 * faces
