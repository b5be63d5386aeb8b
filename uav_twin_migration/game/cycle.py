"""What happens, and what is best, without a pure equilibrium: the cycle of best replies, and prices of least regret."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uav_twin_migration.game.block import Block
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.game.search import best_reply

_SETTLING, _TURNS = 40, 60  # turns before the path is kept, and the most that are kept
_CLOSED = 1e-4  # of log prices: as close is the path to its beginning again
_POPULATION, _ELITE, _GENERATIONS = 60, 12, 30
_ROUGHLY = 1e-4


@dataclass(frozen=True)
class Cycle:
    """Prices of best replies in turn, RSU 0 first, after each RSU's move."""

    prices: FloatArray  # [T, M] credit/MHz
    closed: bool  # the last comes back to the first


@dataclass(frozen=True)
class LeastRegret:
    """The pure prices found at which RSUs forgo least by standing still."""

    prices: FloatArray  # [M] credit/MHz
    regrets: FloatArray  # [M] the part of its best profit that each forgoes
    exploitability: float  # their mean


def cycle_of(market: Market) -> Cycle:
    """The path of best replies of one market, from unit cost, after it has settled."""
    scaled, units = market.flat().scaled()
    block = Block.of(scaled)
    x = np.zeros_like(block.ceiling)
    path: list[FloatArray] = []
    closed = False
    for turn in range(_SETTLING + _TURNS):
        for rsu in range(len(x)):
            reply = best_reply(block, x, rsu, _ROUGHLY)
            x[rsu] = np.where(reply.profit[0] > reply.current[0], reply.markup[0], x[rsu])
            if turn >= _SETTLING:
                path.append(x[:, 0].copy())
        if len(path) > len(x) and np.abs(path[-1] - path[len(x) - 1]).max() < _CLOSED:
            closed = True
            break
    prices = np.minimum(scaled.unit_cost[0] * np.exp(path), scaled.price_cap[0])
    return Cycle(np.ldexp(prices, units.price[0]), closed)


def least_regret(market: Market, seed: int = 0) -> LeastRegret:
    """Pure prices of one market with the least exploitability found, by a search with a population of prices."""
    scaled, units = market.flat().scaled()
    block = Block.of(scaled)
    rng = np.random.default_rng(seed)
    many = block.take(np.zeros(_POPULATION, dtype=np.intp))
    ceiling = block.ceiling
    x = ceiling * rng.random((len(ceiling), _POPULATION)) ** 2  # more at low mark-ups, where equilibria are
    best, lowest = x[:, :1], np.inf
    for _ in range(_GENERATIONS):
        lost = best_reply(many, x, tolerance=_ROUGHLY).exploitability()
        order = np.argsort(lost)
        if lost[order[0]] < lowest:
            best, lowest = x[:, order[:1]].copy(), float(lost[order[0]])
        elite = x[:, order[:_ELITE]]
        spread = np.maximum(elite.std(axis=1, keepdims=True), 1e-6)
        pairs = rng.integers(0, _ELITE, (2, _POPULATION))
        mixed = elite[:, pairs[0]] + 0.5 * (elite[:, pairs[1]] - elite[:, pairs[0]])
        x = np.clip(mixed + 0.7 * spread * rng.standard_normal(mixed.shape), 0.0, ceiling)
        x[:, :1] = best
    reply = best_reply(block, best)
    profit = np.maximum(reply.profit, reply.current)[:, 0]
    regrets = np.where(profit > 0.0, 1.0 - reply.current[:, 0] / np.where(profit > 0.0, profit, 1.0), 0.0)
    prices = np.ldexp(np.minimum(scaled.unit_cost[0] * np.exp(best[:, 0]), scaled.price_cap[0]), units.price[0])
    return LeastRegret(prices, regrets, float(regrets.mean()))
