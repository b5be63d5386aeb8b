"""`uavtwin figures migration`, and the worlds in virtual time that it is drawn from."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from uav_twin_migration.market.leader import PriceDecision, RoundResult
from uav_twin_migration.scenario.load import load
from uav_twin_migration.studies.harnesses.flown import AtEquilibrium, EachByItself, fly
from uav_twin_migration.studies.harnesses.outage import watch


class Fixed:
    """A pricer that always asks the same, and remembers what it was told."""

    def __init__(self, price: float) -> None:
        self.price = price
        self.history: Sequence[RoundResult] = ()

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        self.history = list(history)
        return PriceDecision(self.price)


def test_cheaper_bandwidth_makes_younger_migrations_and_more_immersion() -> None:
    scenario = load("default")
    cheap = fly(scenario, EachByItself(scenario, lambda number, rsu: Fixed(3.0)), 120.0)
    dear = fly(scenario, EachByItself(scenario, lambda number, rsu: Fixed(12.0)), 120.0)
    assert np.mean(cheap.immersion) > np.mean(dear.immersion)
    assert len(cheap.handovers) > 10
    ages = [[move.age for move in flown.handovers] for flown in (cheap, dear)]
    assert 0.0 < np.mean(ages[0]) < np.mean(ages[1])
    assert all(move.source != move.target for move in cheap.handovers)


def test_an_rsu_hears_what_it_sold_and_what_its_rivals_ask() -> None:
    scenario = load("small")
    pricers = {}

    def make(number: int, rsu: object) -> Fixed:
        pricers[number] = Fixed(3.0 + number)
        return pricers[number]

    flown = fly(scenario, EachByItself(scenario, make), 30.0)
    last = pricers[0].history[-1]
    assert (last.price, last.rival_prices) == (3.0, tuple(3.0 + n for n in range(1, len(scenario.rsus))))
    assert last.profit == pytest.approx(float(flown.profits[28][0]))
    assert last.round == 28


def test_a_broken_rsu_sells_nothing_and_hosts_nobody() -> None:
    scenario = load("default")
    flown = fly(scenario, AtEquilibrium(scenario), 60.0, broken=lambda time: ("rsu_1",) if time >= 20.0 else ())
    profits = np.array(flown.profits)
    assert profits[:20, 0].min() > 0.0
    assert profits[20:, 0].max() == 0.0
    assert all(move.target != "rsu_1" for move in flown.handovers if move.decided >= 20.0)


def test_users_of_a_dead_host_wait_until_the_uav_gives_it_up() -> None:
    scenario = load("small")
    seen = watch(scenario, ("a", "b"), (5.0, 40.0), 50.0, rehost_after=6.0)
    assert {one.rsu for one in seen if one.time < 4.9} == {"a"}
    unserved = [one.time for one in seen if one.rsu == ""]
    assert min(unserved) == pytest.approx(5.0, abs=0.3)
    assert max(unserved) == pytest.approx(5.0 + 6.0, abs=1.0)
    assert max(one.age for one in seen) == pytest.approx(6.0, abs=1.0)
    assert {one.rsu for one in seen if one.time > 42.0} == {"b"}  # the old one, back again, stays fenced
    assert seen[-1].epoch > seen[0].epoch
    assert max(one.error for one in seen if one.rsu) < 0.5


def test_pictures_and_tables_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    from uav_twin_migration.studies.figures import migration as figures_migration

    monkeypatch.setattr(figures_migration, "DURATION", 30.0)
    monkeypatch.setattr(figures_migration, "SEEDS", (1, 2))
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
