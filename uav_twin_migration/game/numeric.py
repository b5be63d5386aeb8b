"""Equilibria where UAVs have utilities of their own: measured, not proven.

The solver of `equilibrium.py` knows the followers' closed form, its peaks and its kinks. With a utility that it does
not know, an RSU's best price is looked for everywhere between cost and cap, then around the best one found. Best
replies are taken in turns, from below (all at unit cost) and from above (all at the cap), until prices stand; what that
gives is called an equilibrium where the same search finds that no RSU gains `TOLERANCE` of its profit. It takes seconds
a market.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import numpy.typing as npt

from uav_twin_migration.game.equilibrium import Equilibrium
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.game.utility import Utilities

TOLERANCE = 1e-6  # part of its profit that no RSU gains
SAMPLES = 96  # prices between cost and cap, at equal ratios
ZOOMS, PARTS = 12, 9  # how often the best one's surroundings are looked at again, in so many parts
# A best rate is known to eight digits, so a price, where profit is flat, to four.
TURNS, STILL, SAME = 80, 3e-4, 2e-3  # best replies of all RSUs; relative changes that end them, and of equal prices
CYCLE = 20  # of the last turns: their range is told where there is no equilibrium


def profits(market: Market, utilities: Utilities, prices: npt.ArrayLike) -> FloatArray:
    """`leaders.profits`: [..., M] credit, after rationing."""
    p = np.asarray(prices, dtype=np.float64)
    sold = np.minimum(utilities.respond(market, p).bandwidth.sum(axis=-2), market.capacity)
    return np.asarray((p - market.unit_cost) * sold)


def best_price(
    market: Market, utilities: Utilities, prices: FloatArray, rsu: int, zooms: int = ZOOMS
) -> tuple[FloatArray, FloatArray]:
    """[B] the price at which an RSU earns most while the others' [B, M] stand still, and what it earns there.

    market: with one batch axis. zooms: how often it is looked at more closely, each time to a quarter of the distance.
    """
    low, high = np.log(market.unit_cost[:, rsu]), np.log(market.price_cap[:, rsu])
    first = np.log(prices[:, rsu])
    best, most = first, profits(market, utilities, prices)[:, rsu]
    for samples in (SAMPLES, *[PARTS] * zooms):
        at = np.linspace(low, high, samples)  # [K, B]
        tried = np.repeat(prices[None], samples, axis=0)
        tried[..., rsu] = np.exp(at)
        earned = profits(_repeated(market, samples), utilities, tried)[..., rsu]
        top = earned.argmax(axis=0)[None]
        found, profit = (np.take_along_axis(each, top, axis=0)[0] for each in (at, earned))
        best, most = np.where(profit > most, found, best), np.maximum(profit, most)
        step = (high - low) / (samples - 1)
        low, high = np.maximum(found - step, low), np.minimum(found + step, high)
    return np.clip(np.exp(best), market.unit_cost[:, rsu], market.price_cap[:, rsu]), most


def _repeated(market: Market, count: int) -> Market:
    """The batch, `count` times along a new first axis."""
    arrays = (getattr(market, field.name) for field in fields(market))
    return Market(*(np.broadcast_to(array, (count, *array.shape)) for array in arrays))


def exploitability(market: Market, utilities: Utilities, prices: npt.ArrayLike, zooms: int = ZOOMS) -> FloatArray:
    """`leaders.exploitability`: [...] as far as any better price was found."""
    flat = market.flat()
    p = np.broadcast_to(np.asarray(prices, dtype=np.float64), market.unit_cost.shape).reshape(flat.unit_cost.shape)
    now = profits(flat, utilities, p)
    most = np.stack([best_price(flat, utilities, p, rsu, zooms)[1] for rsu in range(flat.rsus)], axis=-1)
    lost = np.where(most > 0.0, (most - now) / np.where(most > 0.0, most, 1.0), 0.0)
    return np.asarray(lost.mean(axis=-1).reshape(market.batch))


def solve(market: Market, utilities: Utilities) -> Equilibrium:
    """`equilibrium.solve` with the UAVs' own utilities. `bound` is infinite: nothing is proven."""
    flat = market.flat()
    ends = [_settled(flat, utilities, start.copy()) for start in (flat.unit_cost, flat.price_cap)]
    gains = [_gain(flat, utilities, prices) for prices, _ in ends]
    (below, seen), (above, also_seen) = ends
    from_below, from_above = (gain < TOLERANCE for gain in gains)
    found = from_below | from_above
    prices = np.where(from_below[:, None], below, above)
    absent = np.where(found, 0.0, np.nan)[:, None]
    bandwidth = utilities.respond(flat, prices).bandwidth
    cycle = np.stack([np.fmin(seen[0], also_seen[0]), np.fmax(seen[1], also_seen[1])], axis=1)
    same = (np.abs(np.log(below / above)) < SAME).all(axis=-1)
    result = Equilibrium(
        found=found,
        prices=prices + absent,
        bandwidth=bandwidth + absent[:, :, None],
        profits=profits(flat, utilities, prices) + absent,
        utilities=utilities.utilities(flat, prices, bandwidth) + absent,
        exploitability=exploitability(flat, utilities, prices) + absent[:, 0],
        bound=np.full(found.shape, np.inf),
        agrees=from_below & from_above & same,
        from_above=above + np.where(from_above, 0.0, np.nan)[:, None],
        cycle=np.where(found[:, None, None], np.nan, cycle),
    )
    arrays = (getattr(result, field.name) for field in fields(result))
    return Equilibrium(*(array.reshape(market.batch + array.shape[1:]) for array in arrays))


def _settled(market: Market, utilities: Utilities, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where best replies in turns lead from `prices` [B, M], and the range [2, B, M] of the last ones."""
    seen = np.stack([np.full_like(prices, np.nan)] * 2)
    for turn in range(TURNS):
        before = prices.copy()
        for rsu in range(market.rsus):
            prices[:, rsu] = best_price(market, utilities, prices, rsu)[0]
        if turn >= TURNS - CYCLE:
            seen = np.stack([np.fmin(seen[0], prices), np.fmax(seen[1], prices)])
        if (np.abs(np.log(prices / before)) < STILL).all():
            break
    return prices, seen


def _gain(market: Market, utilities: Utilities, prices: FloatArray) -> FloatArray:
    """[B] the largest part of its profit that an RSU gains by moving alone, as far as found."""
    now = profits(market, utilities, prices)
    most = np.stack([best_price(market, utilities, prices, rsu)[1] for rsu in range(market.rsus)], axis=-1)
    return np.asarray(np.where(most > 0.0, (most - now) / np.where(most > 0.0, most, 1.0), 0.0).max(axis=-1))
