"""Frames as shapes, for Foxglove and RViz."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from test.monitor import said
from uav_twin_migration.deployment import topics
from uav_twin_migration.monitor.foxglove import FoxgloveServer, plots
from uav_twin_migration.monitor.scene import Shape, area, ears, moving, standing, wall_triangles
from uav_twin_migration.scenario.load import load

CHECKOUT = Path(__file__).resolve().parents[2]
RADII = st.lists(st.floats(1.0, 50.0), min_size=3, max_size=12)


@given(RADII)
def test_roofs_cover_the_footprint_convex_or_not(radii: list[float]) -> None:
    turns = [2.0 * math.pi * number / len(radii) for number in range(len(radii))]
    polygon = [(r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, turns, strict=True)]
    covered = sum(area(list(triangle)) for triangle in ears(polygon))
    assert covered == pytest.approx(area(polygon), rel=1e-6)


def test_roofs_of_real_footprints_are_whole() -> None:
    for building in load("default").buildings:
        polygon = list(building.footprint)
        covered = sum(abs(area(list(triangle))) for triangle in ears(polygon))
        assert covered == pytest.approx(abs(area(polygon)), rel=1e-6)


def test_every_shape_has_a_name_of_its_own_and_finite_numbers() -> None:
    listener = said.small_city()
    frame = listener.frame(0.6, sampled=True)
    cast = listener.city.cast()
    shapes = [*standing(cast), *moving(cast, frame, frame.sample)]
    assert len({(shape.kind, shape.id) for shape in shapes}) == len(shapes)
    assert all(math.isfinite(value) for shape in shapes for corner in shape.points for value in corner)
    assert {shape.id for shape in shapes} >= {"uav/uav_1", "twin/uav_1", "rsu/rsu_1", "coverage/rsu_1", "grant/0/0"}


def test_walls_and_roof_of_a_square() -> None:
    square = Shape("walls", "house", ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0)), (0, 0, 0, 1))
    assert len(wall_triangles(square._replace(height=3.0))) == 3 * (2 * 4 + 2)


def test_what_is_not_known_is_not_plotted() -> None:
    listener = said.small_city()
    frame = listener.frame(9.0, sampled=True)
    assert frame.sample is not None
    found = plots(listener.city.cast(), frame, frame.sample)
    assert found["price"] == {"rsu_1": 3.0, "rsu_2": 4.0}
    assert found["age_of_information"] == {}


def test_foxglove_is_told_topics_with_their_schemas() -> None:
    pytest.importorskip("foxglove", reason="needs foxglove-sdk")
    aiohttp = pytest.importorskip("aiohttp")
    server = FoxgloveServer(0)
    listener = said.small_city()

    async def watch() -> dict[str, str]:
        address, protocols = f"ws://127.0.0.1:{server.port}", ("foxglove.sdk.v1", "foxglove.websocket.v1")
        topics: dict[str, str] = {}
        async with aiohttp.ClientSession() as session, session.ws_connect(address, protocols=protocols) as socket:
            while len(topics) < 4:
                text = await socket.receive(timeout=60)
                told = json.loads(text.data) if text.type == aiohttp.WSMsgType.TEXT else {}
                topics |= {one["topic"]: one["schemaName"] for one in told.get("channels", [])}
                server.show(listener.city.cast(), listener.frame(0.6, sampled=True))
        return topics

    try:
        assert asyncio.run(watch()) == {
            "/city/scene": "foxglove.SceneUpdate",
            "/city/buildings": "foxglove.SceneUpdate",
            "/city/places": "foxglove.LocationFixes",
            "/city/market": "market",
        }
    finally:
        server.close()


def test_the_layout_for_foxglove_names_what_is_published() -> None:
    """Opened in Lichtblick 1.28, built from its sources, 2026-11, live and with a recording."""
    layout = json.loads((CHECKOUT / "config" / "view" / "foxglove.json").read_text())["configById"]
    published = {"/city/scene", "/city/buildings", "/city/market", topics.CITY_MARKERS, topics.CITY_BUILDINGS}
    published |= {topics.MARKET_STATE, *(topics.rsu_state(rsu.id) for rsu in load("default").rsus)}
    assert layout["3D!city"]["topics"].keys() <= published
    for plot in ("Plot!prices", "Plot!rsus"):
        paths = [path["value"] for path in layout[plot]["paths"]]
        assert {path.partition(".")[0] for path in paths} <= published


def test_the_display_for_rviz_names_what_is_published() -> None:
    """Classes stand in the plug-in lists of Humble, Jazzy and Rolling, properties in Humble's source, of 2026-11."""
    document = yaml.safe_load((CHECKOUT / "config" / "view" / "city.rviz").read_text())
    shown = {
        display["Topic"]["Value"] for display in document["Visualization Manager"]["Displays"] if "Topic" in display
    }
    assert shown == {topics.CITY_MARKERS, topics.CITY_BUILDINGS}
