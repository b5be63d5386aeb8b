"""The leaders' side: profit, its derivative, the best price an RSU has alone, and exploitability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test.game.markets import markets, prices_for, random_markets
from uav_twin_migration.game import leaders
from uav_twin_migration.game.followers import respond
from uav_twin_migration.game.market import FloatArray, Market

RELAXED = settings(max_examples=100)


def densely(market: Market, prices: FloatArray, points: int = 3000) -> FloatArray:
    """[M] the best profit of each RSU alone, on a dense grid: the plain way."""
    best = np.zeros(market.rsus)
    for m in range(market.rsus):
        grid = np.broadcast_to(prices, (points, market.rsus)).copy()
        grid[:, m] = np.geomspace(market.unit_cost[m], market.price_cap[m], points)
        best[m] = leaders.profits(market, grid)[:, m].max()
    return best


def test_profit_and_rationing() -> None:
    market = Market.of(
        alpha=[10.0, 10.0], required_rate=1.0, efficiency=np.full((2, 1), 2.0), unit_cost=1.0, price_cap=20.0, rho=0.5,
        capacity=[4.0],
    )  # fmt: skip
    demand = 10.0 / 2.0 - 1.0 / 2.0  # of either UAV at price 2
    assert leaders.profits(market, [2.0]) == pytest.approx([(2.0 - 1.0) * 4.0])
    granted = leaders.ration(market, respond(market, [2.0]).bandwidth)
    np.testing.assert_allclose(granted, demand * 4.0 / (2 * demand))
    assert leaders.profits(market, [8.0]) == pytest.approx([7.0 * 2 * (10.0 / 8.0 - 0.5)])


@RELAXED
@given(st.data())
def test_slopes_are_derivatives(data: st.DataObject) -> None:
    market = data.draw(markets(max_rho=0.9))
    prices = data.draw(prices_for(market)) * 1.001
    slopes = leaders.profit_slopes(market, prices)
    for m in range(market.rsus):
        step = 1e-6 * prices[m]
        around = np.array([prices, prices, prices])
        around[1, m] += step
        around[2, m] += 2 * step
        low, mid, high = leaders.profits(market, around)[:, m]
        kinked = leaders.profit_slopes(market, around[2])[m]  # a kink within two steps shows as another slope there
        if abs(kinked - slopes[m]) < 1e-2 * max(abs(slopes[m]), 1e-3):
            forward = (-3 * low + 4 * mid - high) / (2 * step)
            assert forward == pytest.approx(
                slopes[m], rel=1e-4, abs=1e-4 * (1.0 + respond(market, prices).bandwidth.sum())
            )


def test_best_prices_are_global() -> None:
    """On markets with drop-outs, where profit has several peaks: never below a dense grid by more than its width."""
    for rsus, uavs in ((1, 6), (2, 4), (4, 16), (3, 40)):
        batch = random_markets(rsus * uavs, 20, rsus, uavs, rho=(0.1, 0.8))
        rng = np.random.default_rng(0)
        prices = batch.unit_cost * (batch.price_cap / batch.unit_cost) ** rng.random(batch.unit_cost.shape)
        best = leaders.best_prices(batch, prices)
        for i in range(20):
            dense = densely(batch[i], prices[i])
            assert (best.profits[i] >= dense * (1 - 1e-4)).all()
            moved = np.broadcast_to(prices[i], (rsus, rsus)).copy()
            np.fill_diagonal(moved, best.prices[i])
            np.testing.assert_allclose(
                np.diagonal(leaders.profits(batch[i], moved)), best.profits[i], rtol=1e-9, atol=1e-9
            )


def test_best_price_of_a_monopolist() -> None:
    alpha, rate, efficiency, cost = np.array([10.0, 14.0]), np.array([2.0, 3.0]), np.array([[4.0], [5.0]]), 1.5
    market = Market.of(alpha=alpha, required_rate=rate, efficiency=efficiency, unit_cost=cost, price_cap=20.0, rho=0.5)
    closed_form = np.sqrt(cost * alpha.sum() / (rate / efficiency[:, 0]).sum())
    found = leaders.best_prices(market, [3.0])
    assert found.prices == pytest.approx([closed_form], rel=1e-4)  # the peak is flat
    assert found.profits == pytest.approx(leaders.profits(market, [closed_form]), rel=1e-7)


def test_exploitability() -> None:
    market = random_markets(5, 1, 3, 8)[0]
    at_cost = leaders.exploitability(market, market.unit_cost)
    assert at_cost == pytest.approx(1.0)
    assert np.isnan(leaders.exploitability(market, np.full(3, np.nan)))
    nobody = Market.of(alpha=[5.0], required_rate=1.0, efficiency=[[0.0, 0.0]], unit_cost=1.0, price_cap=20.0, rho=0.5)
    assert leaders.exploitability(nobody, [3.0, 4.0]) == 0.0
    half = Market.of(alpha=[5.0], required_rate=1.0, efficiency=[[2.0, 0.0]], unit_cost=1.0, price_cap=20.0, rho=0.5)
    assert leaders.exploitability(half, [1.0, 4.0]) == pytest.approx(0.5)  # the mean over both RSUs
