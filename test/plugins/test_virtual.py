"""Every kind of plug-in, from its example, in a city in virtual time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.plugins import KINDS
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.studies.virtual.city import City
from uav_twin_migration.studies.virtual.run import run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "plugins"
SECONDS = 25.0  # in which twins move
CLASSES = {
    "admission": "FewTwins(most=0, kept=0)",  # no RSU takes any
    "application": "LastPlaces",
    "hosting": "BestLink(dwell=1.0)",
    "mobility": "Circle",
    "pricing": "Undercut",
    "radio": "Rain",
    "transfer": "Deadline(seconds=0.5)",
    "utility": "Saturating",
}


def plugged(kind: str, text: str, name: str = "default") -> Scenario:
    """A city with a plug-in wherever its kind may have one."""
    scenario, (where, _, setting) = load(name), KINDS[kind].setting.rpartition(".")
    change: dict[str, Any] = {setting: text}
    if where.endswith("[]"):
        field = where[:-2]
        changed: dict[str, Any] = {field: tuple(replace(one, **change) for one in getattr(scenario, field))}
    else:
        changed = {where: replace(getattr(scenario, where), **change)}
    return replace(scenario, **changed)


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return run("default", duration=SECONDS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_takes_the_place_of_the_built_in(kind: str, plain: dict[str, Any]) -> None:
    scenario = plugged(kind, f"{EXAMPLES / kind}.py:{CLASSES[kind]}")
    summary = run(scenario, duration=SECONDS)
    assert not summary["twins_lost"] + summary["twins_duplicated"]
    told = ("mean_immersion", "hosting_changes", "downtime_ms", "transferred_mbit", "twins")
    assert [summary[key] for key in told] != [plain[key] for key in told]
    assert summary["twins"] == (0 if kind == "admission" else plain["twins"])


class Broken:
    """A pricing rule that cannot answer."""

    def decide(self, history: object, rival_prices: object) -> float:
        raise RuntimeError("out of ideas")


def test_a_plug_in_that_fails_ends_the_run_by_its_name() -> None:
    with pytest.raises(UavTwinError, match=r"Broken: RuntimeError: out of ideas"):
        run(plugged("pricing", f"{__name__}:Broken"), duration=3.0)


def test_each_rsu_may_have_its_own() -> None:
    small = load("small")
    first = replace(small.rsus[0], pricing="markup(markup=3.0)")
    prices: list[float] = []

    def watch(city: City, sample: Any) -> None:
        prices[:] = sample.price.tolist()

    run(replace(small, rsus=(first, *small.rsus[1:])), duration=5.0, watch=watch)
    assert prices[0] == pytest.approx(3.0 * first.unit_cost)
    assert prices[1] != pytest.approx(3.0 * small.rsus[1].unit_cost)
