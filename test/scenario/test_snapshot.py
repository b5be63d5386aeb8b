"""The market of an instant agrees with the pieces it is made of."""

from __future__ import annotations

import dataclasses

import numpy as np

from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.snapshot import (
    Snapshot,
    best_links,
    market_at,
    market_of,
    required_rate,
)
from uav_twin_migration.vehicle.motion import states_at


def test_only_the_best_links_are_left() -> None:
    efficiency = [[1.0, 3.0, 2.0, 0.0], [2.0, 2.0, 2.0, 5.0], [0.0, 0.0, 0.0, 0.0]]
    assert best_links(efficiency, 2).tolist() == [[0, 3, 2, 0], [2, 0, 0, 5], [0, 0, 0, 0]]
    assert np.array_equal(best_links(efficiency, 9), efficiency)


def test_the_stay_is_kept_within_bounds() -> None:
    assert required_rate(120.0, [0.0, 60.0, np.inf], 30.0, 100.0).tolist() == [4.0, 2.0, 1.2]


def test_market_of_an_instant() -> None:
    scenario = load("default")
    scenario = dataclasses.replace(scenario, market=dataclasses.replace(scenario.market, max_bids=2))
    position, velocity = states_at(scenario, 30.0)
    market = market_at(scenario, 30.0)
    again = market_of(scenario, position, velocity)
    snapshot = Snapshot(scenario)
    links, stay = snapshot.links(position), snapshot.stay(position, velocity)
    for name in ("alpha", "required_rate", "efficiency", "unit_cost", "capacity", "price_cap", "rho"):
        assert np.array_equal(getattr(market, name), getattr(again, name))
    assert ((market.efficiency > 0).sum(axis=1) <= 2).all()
    for n, uav in enumerate(scenario.uavs):
        best = int(links.efficiency[n].argmax())
        assert market.efficiency[n, best] == links.efficiency[n, best]
        expected = uav.twin_size / min(max(stay[n, best], scenario.market.min_stay), scenario.market.max_stay)
        assert market.required_rate[n] == expected
    assert market.price_cap.tolist() == [rsu.price_cap for rsu in scenario.rsus]


def test_antennas_stand_on_the_ground_at_their_height() -> None:
    scenario = load("default")
    snapshot = Snapshot(scenario)
    overhead = [(*rsu.position, rsu.antenna_height + 50.0) for rsu in scenario.rsus]
    assert np.allclose(np.diag(snapshot.links(overhead).distance), 50.0)


def test_a_uav_out_of_all_coverage_buys_nothing_and_breaks_nothing() -> None:
    scenario = load("default")
    far = np.tile([1e5, 0.0, 100.0], (len(scenario.uavs), 1))
    market = market_of(scenario, far, np.zeros_like(far))
    assert not market.efficiency.any()
    assert np.isfinite(market.required_rate).all()


def test_equal_links_are_taken_in_the_order_of_ids() -> None:
    """As an agent does, who knows the RSUs by their ids only, so that it and an monitor name the same market."""
    scenario = load("default")
    twins = [dataclasses.replace(scenario.rsus[0], id=name) for name in ("c", "a", "b")]
    scenario = dataclasses.replace(scenario, rsus=tuple(twins), market=dataclasses.replace(scenario.market, max_bids=2))
    near = np.tile([*scenario.rsus[0].position, 60.0], (len(scenario.uavs), 1))
    efficiency = market_of(scenario, near, np.zeros_like(near)).efficiency
    assert (efficiency > 0).tolist() == [[False, True, True]] * len(scenario.uavs)
