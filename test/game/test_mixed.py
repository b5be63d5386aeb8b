"""Markets without a pure equilibrium: what there is instead."""

from __future__ import annotations

import numpy as np
import pytest

from test.game.markets import random_markets
from test.game.test_commands import WITHOUT
from uav_twin_migration.game import leaders
from uav_twin_migration.game.cycle import cycle_of, least_regret
from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.game.market import Market
from uav_twin_migration.game.mixed import mixed_equilibrium


def repeated(market: Market, times: int) -> Market:
    return Market(
        **{name: np.broadcast_to(value, (times, *value.shape)).copy() for name, value in vars(market).items()}
    )


def test_no_price_earns_more_on_average_than_a_mixed_equilibrium() -> None:
    """Against draws of all rivals, weighted, on a dense grid of own prices, by the library's profits."""
    market = Market.from_json(WITHOUT, "without")
    mixed = mixed_equilibrium(market)
    assert mixed.exploitability < 0.01
    assert all(chances.sum() == pytest.approx(1.0) for chances in mixed.probabilities)
    own = np.geomspace(1.0, 20.0, 600)
    for m in range(2):
        rival = 1 - m
        average = np.zeros(len(own))
        for price, chance in zip(mixed.prices[rival], mixed.probabilities[rival], strict=True):
            prices = np.full((len(own), 2), price)
            prices[:, m] = own
            average += chance * leaders.profits(repeated(market, len(own)), prices)[:, m]
        assert average.max() <= mixed.profits[m] * 1.02
        assert average.max() >= mixed.profits[m] * 0.95


def test_a_pure_equilibrium_is_a_mixed_one() -> None:
    market = random_markets(3, 1, 2, 5, rho=(0.5, 0.5), limited=False)[0]
    pure, mixed = solve(market), mixed_equilibrium(market)
    assert mixed.exploitability < 1e-4
    average = [float(p @ c) for p, c in zip(mixed.prices, mixed.probabilities, strict=True)]
    np.testing.assert_allclose(average, pure.prices, rtol=1e-2)
    assert least_regret(market).exploitability < 1e-3


def test_cycle_and_least_regret() -> None:
    market = Market.from_json(WITHOUT, "without")
    cycle, least = cycle_of(market), least_regret(market)
    inside = (cycle.prices >= market.unit_cost) & (cycle.prices <= market.price_cap)
    assert inside.all()
    assert (np.ptp(cycle.prices, axis=0) > 0.1).all()
    moved = np.abs(np.diff(cycle.prices, axis=0)) > 0.0
    assert (moved.sum(axis=1) <= 1).all()  # one RSU at a time
    assert least.exploitability == pytest.approx(float(leaders.exploitability(market, least.prices)), abs=1e-4)
    assert 0.0 < least.exploitability < float(leaders.exploitability(market, cycle.prices[0]))


def test_more_than_four_rsus_are_too_many() -> None:
    with pytest.raises(ValueError, match="up to 4 RSUs, got 5"):
        mixed_equilibrium(random_markets(1, 1, 5, 3)[0])
