"""Equilibria: known ones, verified ones, several ones, and none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test.game.markets import markets, random_markets
from test.game.test_leaders import densely
from uav_twin_migration.game import leaders
from uav_twin_migration.game.equilibrium import TOLERANCE, solve
from uav_twin_migration.game.followers import respond, utilities
from uav_twin_migration.game.market import Market

RELAXED = settings(max_examples=60)


def monopoly(rho: float, cost: float = 1.5, cap: float = 20.0, capacity: float = np.inf) -> Market:
    return Market.of(
        alpha=[10.0, 14.0], required_rate=[2.0, 3.0], efficiency=[[4.0], [5.0]], unit_cost=cost, price_cap=cap,
        capacity=[capacity], rho=rho,
    )  # fmt: skip


@pytest.mark.parametrize("rho", [1e-9, 1e-3, 0.5, 0.9, 0.99, 0.9999, 1 - 1e-9])
def test_monopoly_has_the_closed_form_at_every_rho(rho: float) -> None:
    result = solve(monopoly(rho))
    assert result.status == "equilibrium"
    assert result.agrees
    assert result.prices == pytest.approx([np.sqrt(1.5 * 24.0 / (2.0 / 4.0 + 3.0 / 5.0))], rel=1e-8)


def test_monopoly_at_its_bounds() -> None:
    assert solve(monopoly(0.5, cap=4.0)).prices == pytest.approx([4.0], rel=1e-15)
    full = solve(monopoly(0.5, capacity=2.0))
    assert full.prices == pytest.approx([24.0 / (2.0 + 1.1)], rel=1e-9)  # where demand is the capacity
    assert full.profits == pytest.approx([(24.0 / 3.1 - 1.5) * 2.0], rel=1e-9)
    degenerate = solve(monopoly(0.5, cost=4.0, cap=4.0))
    assert degenerate.prices == pytest.approx([4.0])
    assert degenerate.found
    assert solve(monopoly(0.5, capacity=0.0)).profits == pytest.approx([0.0])


def test_nobody_to_sell_to() -> None:
    empty = Market.of(alpha=[], required_rate=[], efficiency=np.zeros((0, 3)), unit_cost=1.0, price_cap=9.0, rho=0.5)
    result = solve(empty)
    assert result.found
    assert result.prices.tolist() == [1.0, 1.0, 1.0]
    assert result.bandwidth.shape == (0, 3)
    unreached = Market.of(
        alpha=[9.0, 9.0], required_rate=1.0, efficiency=[[2.0, 0.0], [0.0, 0.0]], unit_cost=1.0, price_cap=9.0, rho=0.5
    )
    result = solve(unreached)
    assert result.found
    assert result.prices == pytest.approx([np.sqrt(9.0 / 0.5), 1.0], rel=1e-9)
    assert np.isfinite(result.utilities).all()


@pytest.mark.parametrize(
    ("rsus", "uavs", "limited"), [(1, 5, True), (2, 4, True), (4, 16, True), (8, 3, False), (6, 48, True)]
)
def test_random_markets_are_solved_and_verified_on_a_dense_grid(rsus: int, uavs: int, limited: bool) -> None:
    batch = random_markets(17, 60, rsus, uavs, limited=limited)
    result = solve(batch)
    assert result.found.all()
    assert (result.exploitability < TOLERANCE).all()
    for i in range(0, 60, 6):
        best = densely(batch[i], result.prices[i])
        assert (result.profits[i] >= best * (1 - TOLERANCE * rsus)).all()


def test_everything_returned_belongs_together() -> None:
    batch = random_markets(23, 50, 3, 7)
    result = solve(batch)
    bandwidth = respond(batch, result.prices).bandwidth
    np.testing.assert_allclose(result.bandwidth, bandwidth, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.profits, leaders.profits(batch, result.prices), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.utilities, utilities(batch, result.prices, bandwidth), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(result.exploitability, leaders.exploitability(batch, result.prices), atol=1e-7)
    inside = (result.prices >= batch.unit_cost) & (result.prices <= batch.price_cap)
    assert inside.all()
    slopes = leaders.profit_slopes(batch, result.prices)
    sold = result.bandwidth.sum(axis=-2)
    free = (result.prices < batch.price_cap) & (sold < batch.capacity * (1 - 1e-6)) & (sold > 0)
    assert (np.abs(slopes[free]) < 1e-6 * sold[free]).all()
    assert free.sum() > 50


def test_a_batch_is_its_markets_whatever_the_threads() -> None:
    batch = random_markets(29, 700, 4, 16, rho=(0.3, 0.7))
    one, two = solve(batch, threads=1), solve(batch, threads=2)
    np.testing.assert_array_equal(one.prices, two.prices)
    for i in range(0, 700, 100):
        np.testing.assert_allclose(solve(batch[i]).prices, one.prices[i], rtol=1e-8)
    grid = Market(**{name: value[:6].reshape(2, 3, *value.shape[1:]) for name, value in vars(batch).items()})
    np.testing.assert_allclose(solve(grid).prices.reshape(6, 4), one.prices[:6], rtol=1e-8)


@RELAXED
@given(markets(max_rho=0.98))
def test_nothing_is_claimed_that_a_dense_grid_refutes(market: Market) -> None:
    result = solve(market)
    if not result.found:
        assert result.status == "no_pure_equilibrium"
        assert np.isnan(result.prices).all()
        assert np.isnan(result.exploitability)
        low, high = result.cycle
        assert ((market.unit_cost <= low) & (low <= high) & (high <= market.price_cap)).all()
        return
    best = densely(market, result.prices, 1500)
    regret = np.where(best > 0.0, 1.0 - result.profits / np.where(best > 0.0, best, 1.0), 0.0)
    assert regret.mean() < TOLERANCE


@RELAXED
@given(markets(max_rho=0.7), st.floats(0.01, 100.0), st.floats(0.01, 100.0))
def test_units_change_nothing_but_units(market: Market, credit: float, hertz: float) -> None:
    other = Market.of(
        alpha=market.alpha * credit, required_rate=market.required_rate, efficiency=market.efficiency / hertz,
        unit_cost=market.unit_cost * credit / hertz, capacity=market.capacity * hertz,
        price_cap=market.price_cap * credit / hertz, rho=market.rho,
    )  # fmt: skip
    ours, theirs = solve(market), solve(other)
    assert ours.found == theirs.found
    if ours.found and ours.agrees and theirs.agrees:
        np.testing.assert_allclose(theirs.prices, ours.prices * credit / hertz, rtol=1e-6)


@RELAXED
@given(st.data())
def test_permutations_permute_the_equilibrium(data: st.DataObject) -> None:
    market = data.draw(markets(max_rho=0.7))
    rows = np.array(data.draw(st.permutations(range(market.uavs))))
    columns = np.array(data.draw(st.permutations(range(market.rsus))))
    other = Market.of(
        alpha=market.alpha[rows], required_rate=market.required_rate[rows],
        efficiency=market.efficiency[rows][:, columns], unit_cost=market.unit_cost[columns],
        capacity=market.capacity[columns], price_cap=market.price_cap[columns], rho=market.rho,
    )  # fmt: skip
    ours, theirs = solve(market), solve(other)
    if ours.found and ours.agrees and theirs.agrees:
        np.testing.assert_allclose(theirs.prices, ours.prices[columns], rtol=1e-6)


def test_profit_falls_with_cost_and_rises_with_the_cap_until_it_saturates() -> None:
    base = random_markets(31, 40, 4, 16, rho=(0.5, 0.7), limited=False)

    def profits(cost: float, cap: float) -> float:
        changed = vars(base) | {"unit_cost": np.full((40, 4), cost), "price_cap": np.full((40, 4), cap)}
        return float(solve(Market(**changed)).profits.mean())

    by_cost = [profits(cost, 20.0) for cost in (0.25, 1.0, 3.0, 8.0)]
    assert by_cost == sorted(by_cost, reverse=True)
    by_cap = [profits(1.0, cap) for cap in (1.2, 1.5, 2.0, 3.0)]
    assert by_cap == sorted(by_cap)
    assert profits(1.0, 40.0) == pytest.approx(profits(1.0, 20.0), rel=1e-3)


def coordination() -> Market:
    """Two RSUs that one UAV needs both of: it takes part if both are cheap, and neither can win it back alone."""
    return Market.of(
        alpha=[5.0], required_rate=4.5, efficiency=[[1.8, 1.8]], unit_cost=1.0, price_cap=20.0, rho=0.1, capacity=None
    )


def test_several_equilibria_are_told() -> None:
    batch = random_markets(41, 300, 6, 24, rho=(0.05, 0.2), limited=False)
    result = solve(batch)
    several = np.flatnonzero(~result.agrees & ~np.isnan(result.from_above).any(axis=-1))
    assert len(several) > 0
    market, i = batch[several], several
    assert (leaders.exploitability(market, result.from_above[i]) < TOLERANCE).all()
    assert (leaders.exploitability(market, result.prices[i]) < TOLERANCE).all()
    assert (np.abs(result.from_above[i] / result.prices[i] - 1.0).max(axis=-1) > TOLERANCE).all()


def duopolies(count: int, rho: float) -> Market:
    return random_markets(43, count, 2, 4, rho=(rho, rho), limited=False)


def test_none_is_claimed_where_best_replies_cross_nowhere() -> None:
    """With two RSUs an equilibrium is a fixed point of one's best reply to the other's: look at all of them."""
    batch = duopolies(40, 0.93)
    result = solve(batch)
    without = np.flatnonzero(~result.found)
    assert 5 < len(without) < 40
    for i in without[:5]:
        market = batch[i]
        first = np.geomspace(market.unit_cost[0], market.price_cap[0], 3000)
        second = leaders.best_prices(_repeat(market, 3000), np.stack([first, first], axis=1)).prices[:, 1]
        again = leaders.best_prices(_repeat(market, 3000), np.stack([first, second], axis=1))
        here = leaders.profits(market, np.stack([first, second], axis=1))[:, 0]
        regret = 1.0 - here / again.profits[:, 0]
        assert regret.min() > 1e-4
    for i in np.flatnonzero(result.found)[:5]:
        assert leaders.exploitability(batch[i], result.prices[i]) < TOLERANCE


def _repeat(market: Market, times: int) -> Market:
    return Market(
        **{name: np.broadcast_to(value, (times, *value.shape)).copy() for name, value in vars(market).items()}
    )
