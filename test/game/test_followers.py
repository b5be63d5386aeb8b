"""The followers' best response: against scipy, against its laws, and at every limit."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from test.game.markets import markets, prices_for, random_markets
from uav_twin_migration.game import followers
from uav_twin_migration.game.market import FloatArray, Market

RELAXED = settings(max_examples=150)


def scipy_optimum(market: Market, prices: FloatArray) -> tuple[FloatArray, float]:
    """A single UAV's constrained optimum: SLSQP over what it buys of the RSUs in range, in units of about 1."""
    reach = market.efficiency[0] > 0.0
    efficiency, p = market.efficiency[0][reach], prices[reach]
    unit = market.alpha[0] / p

    def loss(x: FloatArray) -> float:
        return -float(
            followers.utility(x * unit, p, efficiency, market.alpha[0], market.required_rate[0], market.rho)
        ) / float(market.alpha[0])

    result = scipy.optimize.minimize(
        loss, np.full(reach.sum(), 0.3), method="SLSQP", bounds=[(0.0, None)] * int(reach.sum()),
        options={"ftol": 1e-16, "maxiter": 500},
    )  # fmt: skip
    bandwidth = np.zeros(market.rsus)
    bandwidth[reach] = result.x * unit
    return bandwidth, -float(result.fun) * float(market.alpha[0])


def test_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    compared = 0
    for rsus in (1, 2, 3, 5):
        batch = random_markets(rsus, 25, rsus, 1, rho=(0.2, 0.9))
        for i in range(25):
            market = batch[i]
            if not market.efficiency.any():
                continue
            prices = market.unit_cost * rng.uniform(1.0, 4.0, rsus)
            response = followers.respond(market, prices)
            ours = float(followers.utilities(market, prices, response.bandwidth)[0])
            theirs_bandwidth, theirs = scipy_optimum(market, prices)
            assert theirs <= ours + 1e-9 * float(market.alpha[0])
            assert theirs == pytest.approx(ours, rel=1e-9, abs=1e-9)
            np.testing.assert_allclose(
                response.bandwidth[0], theirs_bandwidth, atol=1e-3 * (1 + theirs_bandwidth.max())
            )
            compared += 1
    assert compared > 80


def test_marginal_utility_is_the_price_of_what_is_bought() -> None:
    """The first-order condition to 1e-9, by complex-step derivatives, which have no cancellation."""
    market = random_markets(7, 200, 4, 3, rho=(0.05, 0.95))
    prices = market.unit_cost * 1.7
    bandwidth, rate, _ = followers.respond(market, prices)
    weights = followers.link_weights(market.efficiency)
    rho = market.rho[:, None]
    for m in range(4):
        bought = (bandwidth[..., m] > 1e-9) & (rate > 0.0)
        b = bandwidth.astype(complex)
        b[..., m] += 1e-30j
        with np.errstate(all="ignore"):
            terms = np.where(
                bandwidth > 0, weights ** (1 - rho[..., None]) * (market.efficiency * b) ** rho[..., None], 0
            )
            gained = market.alpha * np.log(1 + terms.sum(axis=-1) ** (1 / rho) / market.required_rate)
        price = np.broadcast_to(prices[:, None, m], bought.shape)
        np.testing.assert_allclose(gained.imag[bought] / 1e-30, price[bought], rtol=1e-9)


@RELAXED
@given(st.data())
def test_no_alternative_is_better(data: st.DataObject) -> None:
    market = data.draw(markets())
    prices = data.draw(prices_for(market))
    best = followers.respond(market, prices)
    most = followers.utilities(market, prices, best.bandwidth)
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    alternatives = best.bandwidth * rng.lognormal(0, 0.5, (200, *best.bandwidth.shape))
    alternatives += rng.exponential(0.1, alternatives.shape) * (rng.random(alternatives.shape) < 0.3)
    other = followers.utilities(market, prices, alternatives)
    assert (other <= most + 1e-12 * market.alpha).all()
    assert (most >= 0.0).all()


@RELAXED
@given(st.data())
def test_demand_falls_in_the_own_price(data: st.DataObject) -> None:
    market = data.draw(markets())
    prices = data.draw(prices_for(market))
    m = data.draw(st.integers(0, market.rsus - 1))
    dearer = prices.copy()
    dearer[m] *= data.draw(st.floats(1.001, 3.0))
    before = followers.respond(market, prices).bandwidth[:, m]
    after = followers.respond(market, dearer).bandwidth[:, m]
    assert (after <= before).all()
    assert (after[before > 1e-12] < before[before > 1e-12]).all()


@RELAXED
@given(st.data())
def test_demand_rises_in_a_rivals_price_while_d_p_is_below_rho_alpha(data: st.DataObject) -> None:
    """``d ln b_m / d ln p_k = (sigma - 1 - d P / (alpha - d P)) s_k``, which is positive where ``d P < rho alpha``."""
    market = data.draw(markets())
    assume(market.rsus > 1)
    prices = data.draw(prices_for(market))
    m, k = data.draw(st.permutations(range(market.rsus)))[:2]
    dearer = prices.copy()
    dearer[k] *= 1.0 + 1e-3
    before, _, index = followers.respond(market, prices)
    after, _, later = followers.respond(market, dearer)
    needed, limit = market.required_rate * index, market.rho * market.alpha
    sold = (before[:, m] > 1e-9) & (before[:, k] > 1e-6) & (market.required_rate * later < market.alpha)
    rises = sold & (market.required_rate * later < limit)
    falls = sold & (needed > limit)
    assert (after[rises, m] >= before[rises, m] * (1 - 1e-13)).all()
    assert (after[falls, m] <= before[falls, m] * (1 + 1e-13)).all()


def test_the_rival_price_law_has_both_signs() -> None:
    for alpha, sign in ((10.0, 1.0), (0.9, -1.0)):  # d P is about .6: below and above rho alpha
        before = followers.best_response([1.0, 2.0], [2.0, 3.0], alpha, 1.0, 0.5)
        after = followers.best_response([1.0, 2.1], [2.0, 3.0], alpha, 1.0, 0.5)
        assert before.bandwidth[1] > 0.0
        assert np.sign(after.bandwidth[0] - before.bandwidth[0]) == sign


@RELAXED
@given(st.data(), st.floats(0.01, 100.0), st.floats(0.01, 100.0))
def test_units_change_nothing_but_units(data: st.DataObject, credit: float, hertz: float) -> None:
    market = data.draw(markets())
    prices = data.draw(prices_for(market))
    other = Market.of(
        alpha=market.alpha * credit, required_rate=market.required_rate, efficiency=market.efficiency / hertz,
        unit_cost=market.unit_cost * credit / hertz, capacity=market.capacity * hertz,
        price_cap=market.price_cap * credit / hertz, rho=market.rho,
    )  # fmt: skip
    ours, theirs = followers.respond(market, prices), followers.respond(other, prices * credit / hertz)
    np.testing.assert_allclose(theirs.bandwidth, ours.bandwidth * hertz, rtol=1e-9, atol=1e-9 * hertz)
    np.testing.assert_allclose(theirs.rate, ours.rate, rtol=1e-9, atol=1e-9)


@RELAXED
@given(st.data())
def test_permutations_permute_the_answer(data: st.DataObject) -> None:
    market = data.draw(markets())
    prices = data.draw(prices_for(market))
    rows = np.array(data.draw(st.permutations(range(market.uavs))))
    columns = np.array(data.draw(st.permutations(range(market.rsus))))
    ours = followers.respond(market, prices).bandwidth
    theirs = followers.best_response(
        prices[columns], market.efficiency[rows][:, columns], market.alpha[rows], market.required_rate[rows], market.rho
    ).bandwidth
    np.testing.assert_allclose(theirs, ours[rows][:, columns], rtol=1e-12, atol=1e-300)


@RELAXED
@given(st.data())
def test_comparative_statics(data: st.DataObject) -> None:
    market = data.draw(markets())
    prices = data.draw(prices_for(market))
    base = followers.respond(market, prices)
    keener = followers.best_response(prices, market.efficiency, market.alpha * 1.1, market.required_rate, market.rho)
    bigger = followers.best_response(prices, market.efficiency, market.alpha, market.required_rate * 1.1, market.rho)
    assert (keener.rate >= base.rate).all()  # who cares more buys more
    assert (keener.bandwidth >= base.bandwidth).all()
    assert (bigger.bandwidth <= base.bandwidth).all()  # a bigger twin feels less of each MHz
    assert (base.price_index >= (prices / np.maximum(market.efficiency, 1e-12)).min(axis=-1) * (1 - 1e-12)).all()


@RELAXED
@given(st.data())
def test_rate_and_raw_rate(data: st.DataObject) -> None:
    market = data.draw(markets())
    prices = data.draw(prices_for(market))
    bandwidth, rate, index = followers.respond(market, prices)
    again = followers.effective_rate(bandwidth, market.efficiency, market.rho[None])
    np.testing.assert_allclose(again, rate, rtol=1e-9, atol=1e-12)
    raw = (market.efficiency * bandwidth).sum(axis=-1)
    assert (rate <= raw * (1 + 1e-12)).all()
    np.testing.assert_allclose(
        (bandwidth * prices).sum(axis=-1), np.where(rate > 0, index, 0.0) * rate, rtol=1e-9, atol=1e-9
    )
    spread = followers.link_weights(market.efficiency) / np.where(market.efficiency > 0, market.efficiency, 1.0)
    even = followers.effective_rate(spread, market.efficiency, market.rho[None])
    covered = market.efficiency.any(axis=-1)
    np.testing.assert_allclose(even[covered], 1.0, rtol=1e-12)  # in proportion to link quality nothing is lost


@pytest.mark.parametrize("rho", [1e-12, 1e-6, 0.3, 0.9, 1 - 1e-9])
def test_one_rsu_has_the_closed_form_at_every_rho(rho: float) -> None:
    response = followers.best_response([2.5], [4.0], 10.0, 3.0, rho)
    assert response.bandwidth[0] == pytest.approx(10.0 / 2.5 - 3.0 / 4.0, rel=1e-14)
    assert response.rate == pytest.approx(4.0 * response.bandwidth[0], rel=1e-14)


def test_substitutability_towards_zero_and_one() -> None:
    prices, efficiency = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])
    weights, per_rate = efficiency / efficiency.sum(), prices / efficiency
    towards_zero = followers.best_response(prices, efficiency, 10.0, 2.0, 1e-9)
    assert towards_zero.price_index == pytest.approx(np.prod(per_rate**weights), rel=1e-8)  # Cobb-Douglas
    towards_one = followers.best_response(prices, efficiency, 10.0, 2.0, 1 - 1e-9)
    assert towards_one.price_index == pytest.approx(per_rate.min(), rel=1e-8)  # all to the cheapest
    np.testing.assert_allclose(towards_one.bandwidth, [0.0, 0.0, (10.0 / 0.75 - 2.0) / 4.0], rtol=1e-7)


def test_out_of_range_and_drop_out() -> None:
    nothing = followers.best_response([1.0, 2.0], [0.0, 0.0], 10.0, 2.0, 0.5)
    assert nothing.bandwidth.tolist() == [0.0, 0.0]
    assert nothing.rate == 0.0
    assert nothing.price_index == np.inf
    assert followers.age_of_migration(nothing.rate, 5.0) == np.inf
    half = followers.best_response([1.0, 2.0], [4.0, 0.0], 10.0, 2.0, 0.5)
    assert half.bandwidth.tolist() == pytest.approx([10.0 - 0.5, 0.0], rel=1e-14)
    out = followers.best_response([8.0], [2.0], 10.0, 2.5, 0.5)  # alpha = d P exactly
    assert out.bandwidth.tolist() == [0.0]
    assert out.rate == 0.0
    empty = followers.best_response(np.ones((1, 3)), np.ones((0, 3)), np.ones(0), np.ones(0), 0.5)
    assert empty.bandwidth.shape == (0, 3)
    alone = followers.best_response(np.ones(0), np.ones(0), 10.0, 2.0, 0.5)
    assert alone.bandwidth.shape == (0,)
    assert alone.rate == 0.0


def test_immersion_is_that_of_freshness() -> None:
    rate, alpha, size, time = 6.0, 10.0, 40.0, 20.0
    age = followers.age_of_migration(rate, size)
    assert age == pytest.approx(size / rate)
    assert followers.immersion(rate, alpha, size / time) == pytest.approx(alpha * np.log1p(time / age))


def test_batches_are_their_markets() -> None:
    batch = random_markets(11, 40, 5, 7, rho=(0.01, 0.98))
    prices = batch.unit_cost * 1.5
    together = followers.respond(batch, prices)
    for i in range(40):
        alone = followers.respond(batch[i], prices[i])
        for ours, theirs in zip(alone, together, strict=True):
            np.testing.assert_allclose(ours, theirs[i], rtol=1e-13)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.floats(0.0, 100.0) | st.just(0.0), st.floats(0.0, 20.0) | st.just(0.0)), min_size=1, max_size=9
    ),
    st.floats(0.01, 0.99),
)
def test_the_rate_of_one_uav_is_the_same_to_the_bit(links: list[tuple[float, float]], rho: float) -> None:
    assume(any(e > 0.0 for _, e in links))
    bandwidth, efficiency = [b for b, _ in links], [e for _, e in links]
    of_all = followers.effective_rate([bandwidth, bandwidth], [efficiency, efficiency], rho)
    assert followers.effective_rate_of_one(bandwidth, efficiency, rho) == followers.effective_rate(
        bandwidth, efficiency, rho
    )
    assert of_all[0] == of_all[1] == pytest.approx(followers.effective_rate_of_one(bandwidth, efficiency, rho))
