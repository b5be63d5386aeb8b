"""The leaders: what an RSU earns, how that changes with its price, and what it could earn by moving alone.

Prices are [..., M] in credit/MHz, for a market or a batch; UAVs answer with their best response.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from uav_twin_migration.game.block import Block
from uav_twin_migration.game.followers import respond
from uav_twin_migration.game.market import FloatArray, Market, Units
from uav_twin_migration.game.search import Reply, best_reply


class BestPrices(NamedTuple):
    """For each RSU alone, the others' prices standing still."""

    prices: FloatArray  # [..., M] its best price, credit/MHz
    profits: FloatArray  # [..., M] its profit there, credit


def ration(market: Market, bandwidth: FloatArray) -> FloatArray:
    """[..., N, M] what is granted of demanded ``bandwidth``, MHz: over capacity, the same part of everybody's."""
    demand = bandwidth.sum(axis=-2)
    part = np.minimum(1.0, market.capacity / np.where(demand > 0.0, demand, 1.0))
    return np.asarray(bandwidth * part[..., None, :])


def profits(market: Market, prices: npt.ArrayLike) -> FloatArray:
    """[..., M] ``(p_m - C_m) min(sum_n b_nm, B_m)``, credit."""
    p = np.asarray(prices, dtype=np.float64)
    sold = np.minimum(respond(market, p).bandwidth.sum(axis=-2), market.capacity)
    return np.asarray((p - market.unit_cost) * sold)


def profit_slopes(market: Market, prices: npt.ArrayLike) -> FloatArray:
    """[..., M] derivative of each RSU's profit by its own price, MHz; to the right where profit has a kink.

    Below capacity it is ``Q - (p - C) Q E / p`` with the elasticity of demand ``E``, each UAV's
    ``sigma (1 - s) + s alpha / (alpha - d P)`` weighted with what it buys, and ``s`` the RSU's share of its spending.
    Over capacity a higher price sells the same, so the derivative is the capacity.
    """
    p = np.asarray(prices, dtype=np.float64)
    bandwidth, _, index = respond(market, p)
    with np.errstate(invalid="ignore"):
        spent = np.maximum(market.alpha - market.required_rate * index, 0.0)[..., None]
    buying = spent > 0.0
    spent = np.where(buying, spent, 1.0)
    share = bandwidth * p[..., None, :] / spent
    elasticity = market.sigma[..., None, None] * (1.0 - share) + share * market.alpha[..., None] / spent
    fall = np.where(buying, bandwidth * elasticity, 0.0).sum(axis=-2) / p
    demand = bandwidth.sum(axis=-2)
    slope = demand - (p - market.unit_cost) * fall
    return np.asarray(np.where(demand > market.capacity, market.capacity, slope))


def best_prices(market: Market, prices: npt.ArrayLike) -> BestPrices:
    """Each RSU's globally most profitable price in [C, p_max] while the others keep theirs.

    Searched over the whole range, as profit can have several peaks. Unit cost where an RSU can earn nothing.
    ``prices`` [..., M] must be in [C, p_max].
    """
    reply, units = _reply(market, prices)
    p = np.broadcast_to(np.asarray(prices, dtype=np.float64), market.unit_cost.shape)
    better = reply.profit > reply.current
    markup = reply.markup.T.reshape(p.shape)
    best = np.where(better.T.reshape(p.shape), np.minimum(market.unit_cost * np.exp(markup), market.price_cap), p)
    profit = np.where(better, reply.profit, reply.current).T.reshape(p.shape)
    best = np.where(profit > 0.0, best, market.unit_cost)
    return BestPrices(best, np.ldexp(profit, units.credit.reshape(market.batch)[..., None]))


def exploitability(market: Market, prices: npt.ArrayLike) -> FloatArray:
    """[...] ``mean_m (pi_m^BR - pi_m) / pi_m^BR``: the part of its best profit that an RSU forgoes, on average.

    0 at an equilibrium, 1 where all give everything away. NaN where a price is NaN: nothing is claimed there.
    """
    p = np.broadcast_to(np.asarray(prices, dtype=np.float64), market.unit_cost.shape)
    lost = _reply(market, p)[0].exploitability().reshape(market.batch)
    return np.asarray(np.where(np.isnan(p).any(axis=-1), np.nan, lost))


def _reply(market: Market, prices: npt.ArrayLike) -> tuple[Reply, Units]:
    """Best replies to ``prices`` [..., M], with profits in ``units.credit``."""
    scaled, units = market.flat().scaled()
    block = Block.of(scaled)
    p = np.broadcast_to(np.asarray(prices, dtype=np.float64), market.unit_cost.shape).reshape(scaled.unit_cost.shape)
    cost = market.unit_cost.reshape(p.shape)
    return best_reply(block, np.clip(np.log(p / cost).T, 0.0, block.ceiling)), units
