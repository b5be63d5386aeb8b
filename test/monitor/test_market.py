"""What the monitor counts of a market, whatever it is told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from uav_twin_migration.market.messages import Grant
from uav_twin_migration.monitor.market import MarketMonitor
from uav_twin_migration.scenario.load import load


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
