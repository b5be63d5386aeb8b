"""How well RSUs price with the shipped policy, beside the rule: everywhere, after shocks, among strange rivals.

Exploitability is measured on games that nobody trained on, over the last four of sixteen rounds that start from random
prices, with the policy's fallback as in an RSU; the baseline is the rule alone. Beside it stands what an RSU forgoes
that knows everything about the last round, also what no RSU can see, and asks the price that would have been best in
it: what UAVs, links and rivals do next nobody knows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.game.leaders import best_prices, exploitability, profits
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.learning.environment import MarketEnvironment, Outcome
from uav_twin_migration.learning.evaluation import SETTLED, Games, play, score
from uav_twin_migration.learning.games import MIXED, GameDistribution, draw_games
from uav_twin_migration.learning.rules import PerRsu, PolicyPlayer
from uav_twin_migration.market.pricing import ElasticityPricer
from uav_twin_migration.policy import artifact
from uav_twin_migration.policy.artifact import Policy
from uav_twin_migration.shipped import shipped_file
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "the shipped policy beside the rule: on games of all ranges, after shocks, among strange rivals"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

STANDARD = GameDistribution()  # 4 RSUs, 16 moving UAVs, rho .7
GAMES, RULED_GAMES = 96, 12  # the rule is played one RSU at a time
SHOCK, AFTERWARDS = 16, 16  # rounds before and after
WITHIN = 10  # rounds after a shock that a policy has to adapt
SEED = 7


def run(directory: Path | None) -> list[Figure]:
    """Some two minutes of CPU time."""
    path = shipped_file("config/policies/default.safetensors")
    if path is None:
        raise UavTwinError("the shipped policy is not installed")
    policy = artifact.load(path)
    return [*everywhere(policy), *first_rounds(policy), *shocks(policy), *strangers(policy)]


def cases() -> dict[str, GameDistribution]:
    """The standard games, and what differs from them; then sizes with all else mixed and no link blocked."""
    free = replace(MIXED, blocked=(0.0, 0.0))
    sizes = {
        f"M={rsus} N={uavs}": replace(free, rsus=(rsus, rsus), uavs=(uavs, uavs))
        for rsus in (1, 2, 4, 8)
        for uavs in (4, 16, 64)
    }
    return {
        "standard": STANDARD,
        "rho 0.4": replace(STANDARD, rho=(0.4, 0.4)),
        "rho 0.8": replace(STANDARD, rho=(0.8, 0.8)),
        "capacities 0.3-1.5 MHz N/M": replace(STANDARD, capacity=(0.3, 1.5)),
        "capacities 0.1-0.3 MHz N/M": replace(STANDARD, capacity=(0.1, 0.3)),
        "alpha 50-200": replace(STANDARD, alpha=(50.0, 200.0)),
        "costs 0.1-0.5": replace(STANDARD, unit_cost=(0.1, 0.5)),
        "price cap 200": replace(STANDARD, price_cap=(200.0, 200.0)),
        "M=4 N=200": replace(STANDARD, uavs=(200, 200)),
        "half the links blocked": replace(STANDARD, blocked=(0.5, 0.5)),
        **sizes,
    }


def everywhere(policy: Policy) -> list[Figure]:
    """Exploitability in every kind of game."""
    figures = []
    for name, distribution in cases().items():
        player, games = PolicyPlayer(policy), Games.draw(distribution, GAMES)
        prices = play(games, player)
        found = exploitability(games.last(SETTLED), prices[-SETTLED:]).mean()
        ruled = score(Games.draw(distribution, RULED_GAMES), PerRsu(ElasticityPricer)).mean
        figures.append(_percent(f"exploitability, {name} (beside: the rule)", found, ruled))
        figures.append(_percent(f"forgone by who knows all of the last round, {name}", _behind(games, prices)))
        if player.ruled:
            figures.append(_percent(f"of it priced by the rule, {name}", player.ruled / player.decisions))
    return figures


def _behind(games: Games, prices: FloatArray) -> float:
    """What each RSU would have forgone in the last rounds had it asked the best price of the round before."""
    before, now = (games.games[len(prices) - SETTLED - k : len(prices) - k] for k in (1, 0))
    known = best_prices(before, prices[-SETTLED - 1 : -1]).prices
    most = best_prices(now, prices[-SETTLED:]).profits
    forgone = np.empty_like(most)
    for m in range(now.rsus):
        instead = prices[-SETTLED:].copy()
        instead[..., m] = known[..., m]
        forgone[..., m] = 1.0 - profits(now, instead)[..., m] / np.where(most[..., m] > 0.0, most[..., m], 1.0)
    return float(np.where(most > 0.0, forgone, 0.0).mean())


def first_rounds(policy: Policy) -> list[Figure]:
    """Exploitability of the first prices after random ones, standard games."""
    games = Games.draw(STANDARD, GAMES)
    prices = play(games, PolicyPlayer(policy))
    return [
        _percent(f"exploitability after {r} closed rounds", exploitability(games.games[r], prices[r]).mean())
        for r in (1, 2, 3)
    ]


# -- shocks in mid-game ----------------------------------------------------------------------------------------------


def _changed(games: Market, **change: Callable[[FloatArray], FloatArray]) -> Market:
    """The same games with some arrays changed from round SHOCK on."""
    arrays = {field.name: np.array(getattr(games, field.name)) for field in fields(games)}
    for name, how in change.items():
        arrays[name][SHOCK:] = how(arrays[name][SHOCK:])
    return Market(**arrays)


def _captive(efficiency: FloatArray) -> FloatArray:
    """Every other UAV reaches one RSU only, its best."""
    kept = efficiency.copy()
    half = kept[..., ::2, :]
    half[half < half.max(axis=-1, keepdims=True)] = 0.0
    return kept


def _without_first(efficiency: FloatArray) -> FloatArray:
    return np.concatenate([np.zeros_like(efficiency[..., :1]), efficiency[..., 1:]], axis=-1)


SHOCKS: dict[str, dict[str, Callable[[FloatArray], FloatArray]]] = {
    "alpha times 3": {"alpha": lambda values: 3.0 * values},
    "costs times .3": {"unit_cost": lambda values: 0.3 * values},
    "capacities a tenth": {"capacity": lambda values: 0.1 * values},
    "half the UAVs captive": {"efficiency": _captive},
    "an RSU out of everybody's range": {"efficiency": _without_first},
}


def shocks(policy: Policy) -> list[Figure]:
    """Exploitability 5 and 10 rounds after a change, beside what it settles at there."""
    figures = []
    for name, change in SHOCKS.items():
        games = draw_games(STANDARD, np.random.default_rng(SEED), GAMES, 4, 16, SHOCK + AFTERWARDS)
        changed = _changed(games, **change)
        prices = play(Games(changed, np.sqrt(games.unit_cost[0] * games.price_cap[0])), PolicyPlayer(policy))
        found = [exploitability(changed[r], prices[r]).mean() for r in range(SHOCK, SHOCK + AFTERWARDS)]
        steady = float(np.mean(found[-4:]))
        soon = next((r for r in range(len(found)) if max(found[r:]) < 2.0 * steady), len(found))
        figures.append(_percent(f"exploitability in the round of a change: {name}", found[0], steady))
        figures.append(_percent(f"... {WITHIN} rounds later (beside: in the end)", found[WITHIN], steady))
        figures.append(Figure(f"... rounds until below twice the end's: {name}", float(soon), "rounds"))
    return figures


# -- rivals that do something else -----------------------------------------------------------------------------------


def _alternate(environment: MarketEnvironment) -> FloatArray:
    return environment.unit_cost if environment.round % 2 else environment.price_cap


def _dump(environment: MarketEnvironment) -> FloatArray:
    return 1.02 * environment.unit_cost


def _collude(environment: MarketEnvironment) -> FloatArray:
    return np.minimum(4.0 * environment.unit_cost, environment.price_cap)


def _random(environment: MarketEnvironment) -> FloatArray:
    low, high = np.log(environment.unit_cost), np.log(environment.price_cap)
    return np.asarray(np.exp(np.random.default_rng([SEED, environment.round]).uniform(low, high)))


RIVALS: dict[str, Callable[[MarketEnvironment], FloatArray]] = {
    "alternate between cost and cap": _alternate,
    "collude at four times the cost": _collude,
    "dump": _dump,
    "are random": _random,
}


def strangers(policy: Policy) -> list[Figure]:
    """Regret of the first RSU, which follows the policy, against the one price that had been best in hindsight."""
    figures = []
    for name, rivals in RIVALS.items():
        found = [_regret(player, rivals, count) for player, count in ((PolicyPlayer(policy), GAMES), (_rule(), 12))]
        figures.append(_percent(f"regret where rivals {name} (beside: the rule)", *found))
    name = "regret of who knows all but what random rivals draw next"
    return [*figures, _percent(name, _regret(BestOnAverage(), _random, GAMES))]


class BestOnAverage:
    """The price that is best on average over what random rivals may ask, in the round's own market: as no RSU knows
    it, and the most that anybody can expect to earn who does not know what they draw."""

    PRICES, DRAWS = 32, 32

    def __call__(self, environment: MarketEnvironment, last: Outcome | None) -> FloatArray:
        market, random = environment.games[environment.round], np.random.default_rng([SEED + 1, environment.round])
        cost, span = market.unit_cost, market.price_cap / market.unit_cost
        own = cost * span ** ((np.arange(self.PRICES)[:, None, None] + 0.5) / self.PRICES)  # [PRICES, G, M]
        earned = np.zeros(own.shape[:2])
        for _ in range(self.DRAWS):
            prices = cost * span ** random.random(cost.shape)
            for k, one in enumerate(own):
                prices[:, 0] = one[:, 0]
                earned[k] += profits(market, prices)[:, 0]
        best = np.take_along_axis(own[..., 0], earned.argmax(axis=0)[None], axis=0)
        return np.repeat(best[0][:, None], cost.shape[1], axis=1)


def _rule() -> PerRsu:
    return PerRsu(ElasticityPricer)


def _regret(
    player: Callable[[MarketEnvironment, Outcome | None], FloatArray],
    rivals: Callable[[MarketEnvironment], FloatArray],
    count: int,
) -> float:
    """Of what the best fixed mark-up of the last half would have earned there, the part that was not."""
    games = draw_games(STANDARD, np.random.default_rng(SEED), count, 4, 16, SHOCK + AFTERWARDS)

    def mixed(environment: MarketEnvironment, last: Outcome | None) -> FloatArray:
        prices = np.array(rivals(environment))
        prices[:, 0] = player(environment, last)[:, 0]
        return prices

    prices = play(Games(games, np.sqrt(games.unit_cost[0] * games.price_cap[0])), mixed)[SHOCK:]
    late = games[SHOCK:]
    earned = profits(late, prices)[..., 0].sum(axis=0)
    share = np.linspace(0.0, 1.0, 200)[:, None]
    cost, cap = games.unit_cost[0, :, 0], games.price_cap[0, :, 0]
    best = np.zeros(count)
    for fixed in cost * (cap / cost) ** share:
        instead = prices.copy()
        instead[..., 0] = fixed
        best = np.maximum(best, profits(late, instead)[..., 0].sum(axis=0))
    return float((np.maximum(best - earned, 0.0) / best).mean())


def _percent(name: str, value: float, beside: float | None = None) -> Figure:
    figure = Figure(name, 100.0 * float(value), "%", None if beside is None else 100.0 * float(beside))
    print(f"  {name}: {figure.value:.2f} %", file=sys.stderr, flush=True)
    return figure
