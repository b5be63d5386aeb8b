"""What is claimed to be an equilibrium is one: the proven bound, an independent search, any units, any rho."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from test.game.markets import markets, prices_for, random_markets
from test.game.test_leaders import densely
from uav_twin_migration.game.block import Block
from uav_twin_migration.game.certificate import Columns, highest
from uav_twin_migration.game.deviation import UnilateralDeviation
from uav_twin_migration.game.equilibrium import TOLERANCE, solve
from uav_twin_migration.game.large import solve_links
from uav_twin_migration.game.leaders import best_prices, exploitability
from uav_twin_migration.game.links import LinkMarket
from uav_twin_migration.game.market import Market
from uav_twin_migration.game.screening import screened
from uav_twin_migration.studies.benchmarks.certificate import gain
from uav_twin_migration.studies.benchmarks.certificate import random_markets as any_markets

RELAXED = settings(max_examples=40)


@RELAXED
@given(st.data())
def test_no_price_earns_more_than_the_bound(data: st.DataObject) -> None:
    market = data.draw(markets(max_rho=0.9999))
    prices = data.draw(prices_for(market))
    block = Block.of(market.flat())
    x = np.clip(np.log(prices / market.unit_cost), 0.0, block.ceiling[:, 0])[:, None]
    found = highest(Columns.of(UnilateralDeviation.of(block, x)), x.ravel(), 1e-4, samples=8)
    dense = densely(market, prices, 1500)
    assert (dense <= found.bound * (1 + 1e-9) + 1e-280).all()
    assert (found.bound <= found.profit * (1 + 1.1e-4)).all()


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_nobody_can_leave_a_claimed_equilibrium(seed: int) -> None:
    """A few of what `uavtwin bench certificate` does with 10,000: rho up to .9999, 1-8 RSUs, up to 8 UAVs here."""
    market = any_markets(np.random.default_rng(seed), 1)[0]
    market = Market.of(
        alpha=market.alpha[:8], required_rate=market.required_rate[:8], efficiency=market.efficiency[:8],
        unit_cost=market.unit_cost, capacity=market.capacity, price_cap=market.price_cap, rho=market.rho,
    )  # fmt: skip
    found = solve(market)
    if found.found:
        assert found.exploitability <= found.bound < TOLERANCE
        assert gain(market, found.prices) < TOLERANCE


@pytest.mark.parametrize("rho", [0.99, 0.9999, 0.999999])
def test_rivals_without_captives_are_no_equilibrium_or_a_true_one(rho: float) -> None:
    """Peaks just below a rival's price are 1/sigma wide: even steps over the range of prices pass over them."""
    batch = random_markets(53, 4, 3, 6, rho=(rho, rho), limited=False)
    found = solve(batch)
    for i in np.flatnonzero(found.found):
        assert gain(batch[i], found.prices[i]) < TOLERANCE


def in_units(market: Market, credit: float, hertz: float) -> Market:
    """The same market with a credit that is worth 1/credit of before, and a MHz 1/hertz."""
    return Market.of(
        alpha=market.alpha * credit, required_rate=market.required_rate, efficiency=market.efficiency / hertz,
        unit_cost=market.unit_cost * credit / hertz, capacity=market.capacity * hertz,
        price_cap=market.price_cap * credit / hertz, rho=market.rho,
    )  # fmt: skip


POWER = st.integers(-664, 664)  # of two: 1e-200 to 1e200


@RELAXED
@given(markets(max_rho=0.9), POWER, POWER)
@example(random_markets(1, 1, 2, 4)[0], -660, 330)
@example(random_markets(1, 1, 2, 4)[0], 660, 660)
def test_currency_and_unit_of_bandwidth_change_no_bit(market: Market, credit: int, hertz: int) -> None:
    if abs(credit - hertz) > 900:
        return  # prices would leave the range of doubles
    ours = solve(market)
    theirs = solve(in_units(market, 2.0**credit, 2.0**hertz))
    assert ours.found == theirs.found
    np.testing.assert_array_equal(theirs.prices, np.ldexp(ours.prices, credit - hertz))
    np.testing.assert_array_equal(theirs.bandwidth, np.ldexp(ours.bandwidth, hertz))
    np.testing.assert_array_equal(theirs.profits, np.ldexp(ours.profits, credit))
    np.testing.assert_array_equal(theirs.utilities, np.ldexp(ours.utilities, credit))


def test_any_currency_changes_no_answer() -> None:
    batch = random_markets(3, 20, 3, 8)
    ours = solve(batch)
    dear = exploitability(batch, 2 * batch.unit_cost)
    for scale in (1e-200, 3e-17, 0.1, 7.0, 1e150, 1e200):
        other = in_units(batch, scale, 1.0)
        theirs = solve(other)
        np.testing.assert_array_equal(theirs.found, ours.found)
        np.testing.assert_allclose(theirs.prices, ours.prices * scale, rtol=1e-9)
        np.testing.assert_allclose(exploitability(other, 2 * other.unit_cost), dear, rtol=1e-6)


def test_a_uav_that_reaches_no_rsu_costs_no_warning() -> None:
    market = Market.of(
        alpha=[9.0, 9.0], required_rate=1.0, efficiency=[[2.0, 1.0], [0.0, 0.0]], unit_cost=1.0, price_cap=9.0, rho=0.02
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert solve(market).found
        assert np.isfinite(best_prices(market, [2.0, 3.0]).profits).all()
        assert np.isfinite(
            UnilateralDeviation.of(Block.of(market.flat()), np.ones((2, 1))).revenue(np.ones((1, 2, 1)))
        ).all()


@pytest.mark.parametrize("sigma", [*range(765, 905, 5), 2000])
def test_an_outbid_rsu_still_asks_its_best_price(sigma: int) -> None:
    """Its share is hardly a double, or none, but not nothing: its price is the one that is best at any such share."""
    rho = 1.0 - 1.0 / sigma
    market = Market.of(
        alpha=[9.0], required_rate=1.0, efficiency=[[4.0, 1.0]], unit_cost=[1.0, 3.5], price_cap=9.0, rho=rho
    )
    found = solve(market)
    assert found.found
    assert found.prices[1] == pytest.approx(3.5 / rho, rel=1e-9)
    assert solve_links(LinkMarket.of_pairs(market)).prices[1] == pytest.approx(3.5 / rho, rel=1e-9)
    assert gain(market, found.prices) < TOLERANCE


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.01, 0.2]))
@example(6, 0.2)
@example(1, 0.0)
def test_what_a_few_points_settle_no_dense_search_refutes(seed: int, off: float) -> None:
    """In single precision, at equilibria and up to ``off`` (log) beside them, where more is left to gain."""
    rng = np.random.default_rng(seed)
    batch = random_markets(seed, 60, 3, 6, rho=(0.1, 0.9))
    block, found = Block.of(batch), solve(batch).prices
    prices = np.where(np.isnan(found), 2.0 * batch.unit_cost, found)
    x = np.clip(np.log(prices / batch.unit_cost).T + rng.uniform(-off, off, block.ceiling.shape), 0.0, block.ceiling)
    alone = UnilateralDeviation.of(block, x)
    assert alone.single() is not alone
    settled, profit, bound = screened(block, x, alone, 0.5 if off else 0.9e-6)
    assert settled.mean() > 0.5
    for i in np.flatnonzero(settled.any(axis=0)):
        dense = densely(batch[i], np.minimum(batch.unit_cost[i] * np.exp(x[:, i]), batch.price_cap[i]), 400)
        assert (dense <= bound[:, i] * (1 + 1e-12) + 1e-280)[settled[:, i]].all()
        assert (profit[:, i] <= bound[:, i]).all()
