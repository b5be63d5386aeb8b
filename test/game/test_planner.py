"""Welfare and the planner's optimum."""

from __future__ import annotations

import numpy as np

from test.game.markets import random_markets
from uav_twin_migration.game import planner
from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.game.followers import effective_rate, immersion, respond, utilities
from uav_twin_migration.game.leaders import ration


def test_efficient_prices_clear_the_market_at_least_cost() -> None:
    market = random_markets(3, 100, 4, 12, rho=(0.1, 0.9))
    prices = planner.efficient_prices(market)
    sold = respond(market, prices).bandwidth.sum(axis=-2)
    dearer = prices > market.unit_cost * (1 + 1e-9)
    assert dearer.any()
    np.testing.assert_allclose(sold[dearer], market.capacity[dearer], rtol=1e-8)
    assert (sold <= market.capacity * (1 + 1e-8)).all()
    assert (prices >= market.unit_cost).all()


def test_no_feasible_allocation_has_more_welfare() -> None:
    market = random_markets(4, 30, 3, 6, rho=(0.2, 0.8))
    prices = planner.efficient_prices(market)
    most = planner.welfare(market, prices)
    best = respond(market, prices).bandwidth
    rng = np.random.default_rng(0)
    for _ in range(200):
        bandwidth = ration(market, best * rng.lognormal(0.0, 0.3, best.shape))
        rate = effective_rate(bandwidth, market.efficiency, market.rho[:, None])
        gained = immersion(rate, market.alpha, market.required_rate).sum(axis=-1)
        assert (gained - (bandwidth * market.unit_cost[:, None]).sum(axis=(-2, -1)) <= most + 1e-9).all()


def test_welfare_is_what_users_and_rsus_get() -> None:
    market = random_markets(5, 50, 3, 6)
    found = solve(market)
    granted = ration(market, found.bandwidth)
    users = utilities(market, found.prices, granted).sum(axis=-1)
    total = planner.welfare(market, found.prices)
    np.testing.assert_allclose(total, users + found.profits.sum(axis=-1), rtol=1e-9)
    assert (planner.welfare(market, planner.efficient_prices(market)) >= total - 1e-9).all()
