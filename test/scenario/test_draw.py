"""Maps are drawn of any scenario. What they look like is for eyes to judge."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from uav_twin_migration.scenario.draw import bounds, draw_map
from uav_twin_migration.scenario.load import SHIPPED, load

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenarios_are_drawn(name: str, tmp_path: Path) -> None:
    scenario = load(name)
    draw_map(scenario, tmp_path / "map.png", [[(0.0, 0.0), (100.0, 0.0)]], dpi=30)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    low, high = bounds(scenario)
    assert all((low < rsu.position).all() and (rsu.position < high).all() for rsu in scenario.rsus)


def test_a_plain_without_buildings_is_drawn(tmp_path: Path) -> None:
    scenario = dataclasses.replace(load("small"), buildings=())
    draw_map(scenario, tmp_path / "map.svg")
    assert "svg" in (tmp_path / "map.svg").read_text(encoding="utf-8")[:300]
