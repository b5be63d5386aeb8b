"""What the monitor counts of a market, whatever it is told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from uav_twin_migration.market.messages import Grant
from uav_twin_migration.monitor.market import MarketMonitor
from uav_twin_migration.scenario.load import load
from uav_twin_migration.vehicle.motion import Flight


@pytest.fixture
def monitor() -> MarketMonitor:
    return MarketMonitor(load("small"))


@pytest.mark.parametrize(
    "values",
    [
        {"offer_to_grant_ms": "abc"},  # ended the whole simulation once
        {"offer_to_grant_ms": "nan inf"},
        {"answers_granted": "1", "answers_ungranted": "9" * 5000, "rounds_missed": "0"},
        {"refused/forged": "-"},
        {"answers_granted": "1"},
    ],
)
def test_diagnostics_that_no_node_of_ours_says_change_nothing(monitor: MarketMonitor, values: dict[str, str]) -> None:
    before = monitor.summary()
    monitor.on_diagnostics("uav/uav_0", values)
    assert monitor.summary() == before


def test_rounds_that_no_rsu_opened_are_counted(monitor: MarketMonitor) -> None:
    rsu, period = monitor.scenario.rsus[0].id, monitor.scenario.market.round_period
    for number in (0, 1, 2, 42, 43):
        monitor.on_grant(1.0 + number * period, Grant(rsu, number + 1, 2.0, {}, 2.0))
    monitor.sample(1.0 + 43.5 * period)
    assert monitor.summary()["rounds_not_opened"] == 39


def test_what_cannot_be_is_not_taken_for_a_measurement(monitor: MarketMonitor) -> None:
    rsu, uav = monitor.scenario.rsus[0].id, monitor.scenario.uavs[0].id
    for share, price, lease in ((math.nan, 2.0, 1.0), (-1.0, 2.0, 1.0), (1.0, math.inf, 1.0), (1.0, 2.0, 1e9)):
        monitor.on_grant(1.0, Grant(rsu, 1, price, {uav: share}, lease))
    monitor.on_motion(uav, (math.nan, 0.0, 0.0), (0.0, 0.0, 0.0))
    monitor.on_links([uav], [rsu, "invented"], np.array([[math.nan, 1e300]]))
    assert monitor.leases(1.5).sum() == 0.0
    assert monitor.efficiency.max() == 0.0
    assert monitor.position_of(uav) is None


def test_moments_that_are_compared_together_tell_what_they_tell_one_by_one() -> None:
    scenario = load("small")
    alone, together, flight = MarketMonitor(scenario), MarketMonitor(scenario), Flight(scenario)
    for second in range(1, 8):
        flight.advance(float(second))
        for monitor in (alone, together):
            monitor.position, monitor.velocity = flight.position.copy(), flight.velocity.copy()
            monitor.price = np.array([1.2, 1.5]) * [rsu.unit_cost for rsu in scenario.rsus] * (1.0 + 0.1 * second)
            monitor.bandwidth[:], monitor.expires[:] = 2.0, 100.0
        alone.sample(float(second))
        together.note(float(second))
        together.compare(together=5)
    told, one_by_one = together.summary(), alone.summary()  # which compares the rest
    assert told["equilibria_compared"] == one_by_one["equilibria_compared"] > 0
    for key in ("mean_immersion", "mean_rate", "price_gap_to_equilibrium", "exploitability"):
        assert told[key] == pytest.approx(one_by_one[key], rel=1e-9), key
    assert together.equilibrium == pytest.approx(alone.equilibrium, rel=1e-9)
    assert together.sampled_at == alone.sampled_at
