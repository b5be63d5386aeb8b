"""Nothing depends on the units of money or of bandwidth: in others, the same prices come out in those units."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test.policy.test_artifact import make_policy
from uav_twin_migration.game.market import Market
from uav_twin_migration.learning.environment import MarketEnvironment
from uav_twin_migration.learning.evaluation import ActorPlayer
from uav_twin_migration.learning.games import WIDE, draw_games
from uav_twin_migration.learning.rules import PerRsu
from uav_twin_migration.market.leader import Pricer
from uav_twin_migration.market.pricing import ElasticityPricer
from uav_twin_migration.policy.pricer import PolicyPricer

ROUNDS = 5
FACTORS = st.floats(math.log(0.01), math.log(100.0)).map(math.exp)
POLICY = make_policy((8, 8))
RHO = 0.6


def played(games: Market, player: object) -> np.ndarray:
    """[ROUNDS, G, M] prices, credit/MHz."""
    environment, last, prices = MarketEnvironment(games), None, []
    for _ in range(ROUNDS):
        prices.append(player(environment, last))  # type: ignore[operator]
        last = environment.step(prices[-1])
    return np.stack(prices)


def in_other_units(games: Market, credit: float, mhz: float) -> Market:
    """The same games where a credit is worth 1/`credit` of what it was, and a MHz 1/`mhz`; Mbit/s go with MHz."""
    price = credit / mhz
    return Market(
        games.alpha * credit,
        games.required_rate * mhz,
        games.efficiency,
        games.unit_cost * price,
        games.capacity * mhz,
        games.price_cap * price,
        games.rho,
    )


def a_policy(cost: float, cap: float, capacity: float) -> Pricer:
    return PolicyPricer(cost, cap, capacity, RHO, ElasticityPricer(cost, cap, capacity), POLICY)


def out_of_range(cost: float, cap: float, capacity: float) -> Pricer:
    nowhere = {"log_cap_over_cost": (90.0, 91.0)}
    policy = POLICY.__class__(POLICY.actor, ranges=nowhere)
    return PolicyPricer(cost, cap, capacity, RHO, ElasticityPricer(cost, cap, capacity), policy)


@settings(max_examples=15)
@given(credit=FACTORS, mhz=FACTORS, seed=st.integers(0, 10**6), unlimited=st.booleans())
@pytest.mark.parametrize(
    "player",
    [
        lambda: ActorPlayer(POLICY.actor),
        lambda: PerRsu(a_policy),
        lambda: PerRsu(out_of_range),
        lambda: PerRsu(ElasticityPricer),
    ],
    ids=["actor", "policy", "out of range", "rule"],
)
def test_prices_are_the_same_in_every_unit(
    player: Callable[[], object], credit: float, mhz: float, seed: int, unlimited: bool
) -> None:
    games = draw_games(WIDE, np.random.default_rng(seed), games=1, rsus=3, uavs=6, rounds=ROUNDS)
    if unlimited:
        games = Market(**{**vars(games), "capacity": np.full_like(games.capacity, np.inf)})
    here = played(games, player())
    there = played(in_other_units(games, credit, mhz), player())
    np.testing.assert_allclose(there, here * (credit / mhz), rtol=1e-6)
