"""How good a way of pricing is: games that nobody trained on, and the exploitability of the prices it posts in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.game.leaders import exploitability
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.learning.environment import MarketEnvironment, Outcome, flatten
from uav_twin_migration.learning.games import GameDistribution, draw_games
from uav_twin_migration.policy.actor import Actor, price_of

# A way to price: the environment before the round, and the last round's outcome (None before the first) -> [G, M].
Player = Callable[[MarketEnvironment, "Outcome | None"], FloatArray]

TEST_SEED = 20240118  # of games to measure on; training uses other streams


class ActorPlayer:
    """Prices by a policy, without exploration."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    def __call__(self, environment: MarketEnvironment, last: Outcome | None) -> FloatArray:
        return price_of(self.actor(environment.observe()), environment.unit_cost, environment.price_cap)


@dataclass(frozen=True)
class Games:
    """Games to measure on, with the prices of their first round."""

    games: Market  # [rounds, G]
    start: FloatArray  # [G, M] credit/MHz

    @classmethod
    def draw(
        cls,
        distribution: GameDistribution,
        count: int,
        rsus: int | None = None,
        uavs: int | None = None,
        rounds: int = 16,
        seed: int = TEST_SEED,
    ) -> Games:
        """`count` games of one size, the distribution's smallest where none is given; random prices to begin with."""
        rng = np.random.default_rng([seed, 1])
        d = distribution
        games = draw_games(d, rng, count, rsus or d.rsus[0], uavs or d.uavs[0], rounds)
        return cls(games, random_start(games, rng))


def random_start(games: Market, rng: np.random.Generator) -> FloatArray:
    """[G, M] prices, log-uniform between cost and cap."""
    return np.asarray(np.exp(rng.uniform(np.log(games.unit_cost[0]), np.log(games.price_cap[0]))))


def play(games: Games, player: Player) -> FloatArray:
    """[rounds, G, M] prices that are posted. Raises UavTwinError where one is no number."""
    environment = MarketEnvironment(games.games)
    prices = np.empty((environment.rounds, *games.start.shape))
    prices[0] = games.start
    last = environment.step(prices[0])
    for r in range(1, environment.rounds):
        prices[r] = player(environment, last)
        last = environment.step(prices[r])
    if not np.isfinite(prices).all():
        raise UavTwinError("a price is not a number")
    return prices


@dataclass(frozen=True)
class Score:
    """Exploitability over games and rounds, as shares (0.01 is 1 %)."""

    mean: float
    p95: float  # of games
    games: int


def score(games: Games, player: Player, settled: int = 4) -> Score:
    """Play and measure the last `settled` rounds against the true best responses.

    Raises:
        UavTwinError: something measured is no number; an unmeasured policy is none that is good.
    """
    prices = play(games, player)[-settled:]
    last = games.games[len(games.games.rho) - settled :]
    measured = exploitability(flatten(last), prices.reshape(-1, prices.shape[-1]))
    if not np.isfinite(measured).all():
        raise UavTwinError("exploitability is not a number")
    return Score(float(measured.mean()), float(np.percentile(measured, 95)), len(games.start))


def price_gap(market: Market, prices: FloatArray) -> FloatArray:
    """Relative distance of `prices` [G, M] to the equilibrium's, of the RSUs in markets that have one; 1-D."""
    equilibrium = solve(market)
    found = equilibrium.found
    return np.abs(prices[found] / equilibrium.prices[found] - 1.0).ravel()
