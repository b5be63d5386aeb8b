"""`uavtwin figures migration`, and the worlds in virtual time that it is drawn from."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from uav_twin_migration.market.pricing import PluggedRule
from uav_twin_migration.plugins import PluginError
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.studies.harnesses.flown import fly, watch
from uav_twin_migration.studies.virtual.run import run


def priced(scenario: Scenario, rule: str) -> Scenario:
    """The same, with RSUs that price by a plug-in."""
    return replace(scenario, rsus=tuple(replace(rsu, pricing=rule) for rsu in scenario.rsus))


def test_cheaper_bandwidth_makes_younger_migrations_and_more_immersion() -> None:
    cheap, dear = (fly(priced(load("default"), f"markup(markup={one})"), 60.0) for one in (2.0, 6.0))
    assert np.mean(cheap.immersion[5:]) > np.mean(dear.immersion[5:])
    assert len(cheap.handovers) > 5
    ages = [[move.age for move in flown.handovers] for flown in (cheap, dear)]
    assert 0.0 < np.mean(ages[0]) < np.mean(ages[1])
    assert all(move.source != move.target for move in cheap.handovers)


def test_rsus_that_know_everything_ask_what_is_asked_in_equilibrium() -> None:
    asked = run(priced(load("small"), "equilibrium"), duration=10.0)
    assert asked["price_gap_to_equilibrium"] < 0.03
    with pytest.raises(PluginError, match="only `sim --virtual`"):
        PluggedRule("equilibrium", 1.0, 20.0, 10.0)


def test_a_broken_rsu_takes_no_twin() -> None:
    flown = fly(load("default"), 40.0, ["at 15 s: kill rsu_1"])
    assert len(flown.times) == 40
    assert all(move.target != "rsu_1" for move in flown.handovers if move.began >= 15.0)


def test_users_of_a_dead_host_wait_until_the_uav_gives_it_up() -> None:
    seen = watch(load("default"), 2, (5.0, 40.0), 50.0, rehost_after=6.0)
    before = {one.rsu for one in seen if 0.5 < one.time < 4.9}
    unserved = [one.time for one in seen if one.rsu == ""]
    assert len(before) == 1
    assert min(unserved) == pytest.approx(5.3, abs=0.4)
    assert max(unserved) == pytest.approx(5.0 + 6.0, abs=1.5)
    assert max(one.age for one in seen) == pytest.approx(6.5, abs=1.0)
    assert not {one.rsu for one in seen if 12.0 < one.time < 40.0} & before
    assert max(one.error for one in seen) > 10.0


def test_pictures_and_tables_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    from uav_twin_migration.studies.figures import migration as figures_migration

    monkeypatch.setattr(figures_migration, "DURATION", 24.0)
    monkeypatch.setattr(figures_migration, "SEEDS", (1,))
    monkeypatch.setattr(figures_migration, "DOWN", (5.0, 8.0))
    monkeypatch.setattr(figures_migration, "VIEWED", 10.0)
    monkeypatch.setattr(figures_migration, "BROKEN", 10.0)
    monkeypatch.setattr(figures_migration, "RETURNS", 20.0)
    figures_migration.run(tmp_path)
    for study in ("handovers", "pricing", "broken_rsu"):
        assert (tmp_path / f"migration_{study}.png").stat().st_size > 10_000
        with (tmp_path / f"migration_{study}.csv").open() as file:
            rows = list(csv.reader(file))
        assert len(rows) > 1
        assert all(len(row) == len(rows[0]) for row in rows)
    ways = (tmp_path / "migration_pricing.csv").read_text()
    assert "equilibrium" in ways
    assert "random" in ways
