"""Markets of links against the same markets of pairs, and a city."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from test.game.markets import markets, random_markets
from uav_twin_migration.errors import InputError
from uav_twin_migration.game.equilibrium import TOLERANCE, solve
from uav_twin_migration.game.large import solve_links
from uav_twin_migration.game.leaders import exploitability
from uav_twin_migration.game.links import LinkMarket
from uav_twin_migration.game.market import Market
from uav_twin_migration.game.sample import sample_city


@pytest.mark.parametrize(("rsus", "uavs", "limited"), [(1, 5, True), (4, 16, True), (8, 40, False), (12, 60, True)])
def test_links_have_the_equilibrium_of_pairs(rsus: int, uavs: int, limited: bool) -> None:
    market = random_markets(5, 1, rsus, uavs, rho=(0.5, 0.7), limited=limited)[0]
    ours, theirs = solve_links(LinkMarket.of_pairs(market)), solve(market)
    assert ours.found
    assert bool(theirs.found)
    np.testing.assert_allclose(ours.prices, theirs.prices, rtol=1e-6)
    np.testing.assert_allclose(LinkMarket.of_pairs(market).dense(ours.bandwidth), theirs.bandwidth, atol=1e-5)
    np.testing.assert_allclose(ours.profits, theirs.profits, rtol=1e-6)
    np.testing.assert_allclose(ours.utilities, theirs.utilities, atol=1e-5)


@settings(max_examples=40)
@given(markets(max_rho=0.999))
def test_what_is_claimed_holds_among_pairs(market: Market) -> None:
    found = solve_links(LinkMarket.of_pairs(market))
    if found.found:
        assert found.bound < TOLERANCE
        assert exploitability(market, found.prices) < TOLERANCE
    else:
        assert np.isnan(found.prices).all()


def test_of_rsus_that_sell_next_to_nothing_nothing_false_is_claimed() -> None:
    """Products of such profits are below the smallest double; and the search for a bound of theirs took 19 GB."""
    market = Market.of(
        alpha=[20.04208854],
        required_rate=[1.0 / 3.0],
        efficiency=[[8.25330746, 2.60680519, 5.97502846]],
        unit_cost=[3.3068493, 2.95308258, 1.46677069],
        price_cap=35.58405272,
        rho=0.999,
    )
    found = solve_links(LinkMarket.of_pairs(market))
    assert found.found == bool(np.isfinite(found.prices).all())
    assert not found.found or exploitability(market, found.prices) < TOLERANCE


def test_a_city_is_solved_and_proven() -> None:
    found = solve_links(sample_city(np.random.default_rng(1), 40, 800))
    assert found.found
    assert found.agrees
    assert found.bound < TOLERANCE


def test_currency_changes_nothing() -> None:
    market = sample_city(np.random.default_rng(2), 6, 60)
    scale = 2.0**-600
    other = LinkMarket.of(**(vars(market) | {
        "alpha": market.alpha * scale, "unit_cost": market.unit_cost * scale, "price_cap": market.price_cap * scale,
    }))  # fmt: skip
    np.testing.assert_array_equal(solve_links(other).prices, solve_links(market).prices * scale)


def test_nobody_reaches_anybody() -> None:
    market = LinkMarket.of(
        alpha=[9.0, 9.0], required_rate=[1.0, 1.0], uav=[], rsu=[], efficiency=[], unit_cost=[1.0, 2.0], price_cap=9.0,
        rho=0.5,
    )  # fmt: skip
    found = solve_links(market)
    assert found.found
    assert found.prices.tolist() == [1.0, 2.0]
    assert found.utilities.tolist() == [0.0, 0.0]


GOOD: dict[str, Any] = {
    "alpha": [9.0, 8.0], "required_rate": [1.0, 2.0], "uav": [1, 0, 1], "rsu": [0, 1, 1], "efficiency": [3.0, 4.0, 0.0],
    "unit_cost": [1.0, 2.0], "price_cap": 9.0, "rho": 0.5,
}  # fmt: skip


def test_links_in_any_order() -> None:
    market = LinkMarket.of(**GOOD)
    assert market.uav.tolist() == [0, 1]
    assert market.rsu.tolist() == [1, 0]
    assert market.efficiency.tolist() == [4.0, 3.0]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"uav": [1, 0, 2]}, "uav"),
        ({"rsu": [-1, 0, 1]}, "rsu"),
        ({"rsu": [0, 1]}, "rsu"),
        ({"uav": [0.5, 0, 1]}, "uav"),
        ({"efficiency": [3.0, -1.0, 1.0]}, r"efficiency\[1\]"),
        ({"efficiency": [3.0, np.nan, 1.0]}, r"efficiency\[1\]"),
        ({"uav": [1, 0, 1], "rsu": [0, 1, 0], "efficiency": [1.0, 1.0, 2.0]}, "UAV 1 and RSU 0 twice"),
        ({"alpha": [9.0, -1.0]}, "alpha"),
        ({"unit_cost": [1.0, 20.0]}, "unit_cost"),
        ({"rho": 1.0}, "rho"),
    ],
)
def test_bad_links_are_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        LinkMarket.of(**(GOOD | changed))
