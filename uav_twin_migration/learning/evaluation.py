"""How good a way of pricing is: games that nobody trained on, and the exploitability of the prices it posts in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.game import leaders, numeric
from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.game.files import Markets
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.game.utility import Utilities
from uav_twin_migration.learning.choices import TEST_SEED
from uav_twin_migration.learning.environment import MarketEnvironment, Outcome, flatten
from uav_twin_migration.learning.games import GameDistribution, draw_games, draw_size
from uav_twin_migration.policy.actor import Actor, price_of

# A way to price: the environment before the round, and the last round's outcome (None before the first) -> [G, M].
Player = Callable[[MarketEnvironment, "Outcome | None"], FloatArray]

GROUP = 8  # games of one size, where sizes differ
ZOOMS = 3  # of the search for an RSU's best price where the UAVs' utility is not known in closed form
SETTLED = 4  # last rounds that are measured where UAVs move


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
    utility: str = ""  # of all UAVs, a plug-in

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
        return cls(games, random_start(games, rng), d.utility)

    @classmethod
    def draw_all(cls, distributions: Sequence[GameDistribution], count: int, rounds: int, seed: int) -> list[Games]:
        """`count` games of several distributions, in groups of one size each; one group where there is one size."""
        sizes = {(d.rsus, d.uavs) for d in distributions}
        if len(distributions) == 1 and all(low == high for size in sizes for low, high in size):
            return [cls.draw(distributions[0], count, rounds=rounds, seed=seed)]
        rng = np.random.default_rng([seed, 2])
        groups = []
        for group in range(max(count // GROUP, 1)):
            one = distributions[group % len(distributions)]
            rsus, uavs = draw_size(one, rng)
            groups.append(cls.draw(one, GROUP, rsus, uavs, rounds, int(rng.integers(1 << 31))))
        return groups

    def last(self, rounds: int) -> Market:
        """[rounds, G], the last ones."""
        return self.games[len(self.games.rho) - rounds :]


def hold_still(markets: Market, rounds: int, seed: int = TEST_SEED, utility: str = "") -> Games:
    """Each of the markets [G] as a game that is the same in every round; random prices to begin with."""
    arrays = (getattr(markets, field.name) for field in fields(Market))
    still = Market(*(np.broadcast_to(array, (rounds, *array.shape)) for array in arrays))
    return Games(still, random_start(still, np.random.default_rng([seed, 1])), utility)


def random_start(games: Market, rng: np.random.Generator) -> FloatArray:
    """[G, M] prices, log-uniform between cost and cap."""
    return np.asarray(np.exp(rng.uniform(np.log(games.unit_cost[0]), np.log(games.price_cap[0]))))


def play(games: Games, player: Player) -> FloatArray:
    """[rounds, G, M] prices that are posted. Raises UavTwinError where one is no number."""
    environment = MarketEnvironment(games.games, games.utility)
    prices = np.empty((environment.rounds, *games.start.shape))
    prices[0] = games.start
    last = environment.step(prices[0])
    for r in range(1, environment.rounds):
        prices[r] = player(environment, last)
        last = environment.step(prices[r])
    if not np.isfinite(prices).all():
        raise UavTwinError("a price is not a number")
    return prices


class Comparison(NamedTuple):
    """Posted prices beside the true best responses and the equilibrium; shares, so 0.01 is 1 %."""

    exploitability: FloatArray  # [K] of each market
    price_gap: FloatArray  # distance to the equilibrium's price, of each RSU in a market that has one; 1-D


def exploitability(market: Market, prices: FloatArray, utility: str = "") -> FloatArray:
    """[K] of markets [K] with `prices` [K, M]; where UAVs have a utility of their own, to a few digits."""
    if not utility:
        return leaders.exploitability(market, prices)
    return numeric.exploitability(market, Utilities([utility]), prices, ZOOMS)


def compare(market: Market, prices: FloatArray, utility: str = "") -> Comparison:
    """For markets [K] with `prices` [K, M]; of UAVs with a utility of their own, equilibria would take hours.

    Raises UavTwinError where something measured is no number.
    """
    if utility:
        return Comparison(_finite(exploitability(market, prices, utility)), np.empty(0))
    equilibrium = solve(market)
    found = equilibrium.found
    gap = np.abs(prices[found] / equilibrium.prices[found] - 1.0).ravel()
    return Comparison(_finite(exploitability(market, prices)), _finite(gap))


def _finite(values: FloatArray) -> FloatArray:
    """An unmeasured policy is none that is good."""
    if not np.isfinite(values).all():
        raise UavTwinError("what was measured is not a number")
    return values


def on_markets(
    markets: Markets, player: Player, rounds: int, seed: int, utility: str = ""
) -> tuple[list[FloatArray], Comparison]:
    """Each market held still: its last prices, in the order given, and how all of them compare."""
    prices: list[FloatArray] = [np.empty(0)] * markets.count
    parts = []
    for group in markets.groups:
        posted = play(hold_still(group.market, rounds + 1, seed, utility), player)[-1]
        parts.append(compare(group.market, posted, utility))
        for i, row in zip(group.places, posted, strict=True):
            prices[i] = row
    return prices, Comparison(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def on_unseen(player: Player, drawn_from: Sequence[GameDistribution], count: int, rounds: int, seed: int) -> Comparison:
    """The last rounds of `count` games that nobody trained on."""
    settled = min(SETTLED, rounds)
    parts = []
    for drawn in Games.draw_all(drawn_from, count, rounds + 1, seed):
        posted = play(drawn, player)[-settled:]
        parts.append(compare(flatten(drawn.last(settled)), posted.reshape(-1, posted.shape[-1]), drawn.utility))
    return Comparison(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Score:
    """Exploitability over games and rounds, as shares (0.01 is 1 %)."""

    mean: float
    p95: float  # of games
    games: int


def score(games: Games, player: Player, settled: int = SETTLED) -> Score:
    """Play and measure the last `settled` rounds. Raises UavTwinError where something measured is no number."""
    prices = play(games, player)[-settled:]
    last = flatten(games.last(settled))
    measured = _finite(exploitability(last, prices.reshape(-1, prices.shape[-1]), games.utility))
    return Score(float(measured.mean()), float(np.percentile(measured, 95)), len(games.start))
