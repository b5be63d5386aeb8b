"""The best price an RSU can set alone, found by looking everywhere between its unit cost and the price cap.

Profit over the own price can have several peaks: it dips where a UAV drops out, and it has a kink where demand falls
to the capacity. So the search samples the whole range, then zooms in on every high peak. It uses profits only, no
derivative, and shares nothing with the Newton method whose results it checks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from uav_twin_migration.game.block import Block
from uav_twin_migration.game.certificate import Columns, highest
from uav_twin_migration.game.deviation import BoolArray, IndexArray, RealArray, UnilateralDeviation
from uav_twin_migration.game.market import FloatArray

# Evenly spaced log mark-ups over the whole range.
_SAMPLES = 24
# Further peaks are looked at where their highest sample comes this close to the highest of all.
_HIGH = 0.9
# The last three samples of a peak are this far apart; the vertex of their parabola errs by about the square.
_CLOSE = 0.02
_THREE = np.array([-1, 0, 1])[:, None, None]
# Rounds of zooming in by a factor of four that a peak gets which is no parabola.
_ROUNDS = 7
# Ranges of more than so many times 1/sigma are searched without gaps.
_WIDTHS = 24.0


class Reply(NamedTuple):
    """What each RSU would do alone, the others standing still."""

    markup: FloatArray  # [M, B] log mark-up of its best price
    profit: FloatArray  # [M, B] its profit there, credit
    current: FloatArray  # [M, B] its profit now, credit

    def exploitability(self) -> FloatArray:
        """[B] mean over RSUs of the part of its best profit that it forgoes; 0 for one that cannot earn anything."""
        best = np.maximum(self.profit, self.current)
        return np.asarray(((best - self.current) / (best + (best == 0.0))).mean(axis=0))


@np.errstate(all="ignore")
def best_reply(block: Block, x: FloatArray, rsu: int | None = None, tolerance: float = 1e-6) -> Reply:
    """Each RSU's globally best price while all others keep theirs at log mark-ups ``x`` [M, B]; or that of one RSU.

    Where peaks may be too narrow for samples, the price is the best up to ``tolerance``, relative to its profit.
    """
    alone = UnilateralDeviation.of(block, x)
    if rsu is not None:
        alone, x = alone.take(np.full(x.shape[1], rsu), np.arange(x.shape[1])), x[rsu][None]
    # Peaks just under a rival's price are 1/sigma wide: where samples may miss one, no part of the range is left out.
    if not (alone.ceiling * (1.0 + alone.epsilon) > _WIDTHS).any():
        return _sampled(alone, x)
    found = highest(Columns.of(alone), x.ravel(), tolerance, samples=_SAMPLES)
    return Reply(*(array.reshape(x.shape) for array in (found.markup, found.profit, found.current)))


def _sampled(alone: UnilateralDeviation, x: FloatArray) -> Reply:
    coarse = alone.single()
    width = np.maximum(alone.ceiling / (_SAMPLES - 1), 1e-12)  # not 0 where the cap is the cost
    samples = np.arange(_SAMPLES, dtype=coarse.own.dtype)[:, None, None] * width.astype(coarse.own.dtype)
    revenue = coarse.revenue(samples)
    height = coarse.profit(samples, revenue)
    top = height.argmax(axis=0)
    rsus, markets = np.ogrid[: len(top), : top.shape[1]]
    around = np.minimum(np.maximum(top, 1), _SAMPLES - 2) + _THREE
    middle = around[1] * width
    best = _peak(alone, middle, width, revenue[around, rsus, markets])
    middle = np.minimum(np.maximum(best, middle - width), middle + width)

    step = np.minimum(_CLOSE, np.maximum(0.5 * alone.ceiling, 1e-12))
    middle = np.minimum(np.maximum(middle, step), alone.ceiling - step)
    revenue = coarse.revenue((middle + step * _THREE).astype(coarse.own.dtype))
    best = np.minimum(np.maximum(_peak(alone, middle, step, revenue), 0.0), alone.ceiling)
    odd = np.abs(best - middle) > 1.5 * step
    ends = np.stack([best, x])
    height_there, current = alone.profit(ends, alone.revenue(ends))
    reply = Reply(best, height_there, current)

    peak = height > _HIGH * height[top, rsus, markets]
    high = peak.copy()
    peak[1:] &= height[1:] >= height[:-1]
    peak[:-1] &= height[:-1] > height[1:]
    peak[top, rsus, markets] = odd
    k, rsu, market = np.nonzero(peak)
    kinks, kink_rsu, kink_market = _kinks(alone, coarse, high, width)
    # Besides the highest sample's peak: those of other samples, and both sides of every dip.
    rsu, market = np.concatenate([rsu, kink_rsu, kink_rsu]), np.concatenate([market, kink_market, kink_market])
    if len(rsu):
        w = width[rsu, market]
        beside = 0.5 * w[len(k) : len(k) + len(kinks)]
        start = np.concatenate([k * w[: len(k)], kinks - beside, kinks + beside])
        w[len(k) :] *= 0.5
        markup, profit = (found[0] for found in _careful(alone.take(rsu, market), start[None], w[None]))
        for j in np.argsort(profit):
            here = rsu[j], market[j]
            if profit[j] > reply.profit[here]:
                reply.profit[here], reply.markup[here] = profit[j], markup[j]
    return reply


def _kinks(
    alone: UnilateralDeviation, coarse: UnilateralDeviation, high: BoolArray, width: FloatArray
) -> tuple[FloatArray, IndexArray, IndexArray]:
    """Log mark-ups where a UAV drops out and profit turns from falling to rising, and of which RSU in which market.

    Between drop-outs profit is smooth; at each its slope jumps up. So peaks that are too close to show in the samples
    have such a dip between them. Looked for where ``high`` [K, M, B] samples are.
    """
    samples = coarse.drop_out() / width[:, None].astype(coarse.own.dtype)
    rsu, uav, market = np.nonzero((samples > 0.0) & (samples < len(high) - 1))
    cell = samples[rsu, uav, market].astype(np.intp)
    keep = high[cell, rsu, market] | high[cell + 1, rsu, market]
    rsu, uav, market = rsu[keep], uav[keep], market[keep]
    if not len(rsu):
        return np.empty(0), rsu, market

    facing = alone.take(rsu, market)
    own, rivals, epsilon = facing.own[0], facing.rivals[0], facing.epsilon
    one = uav, np.arange(len(uav))
    x = facing.drop_out()[0][one]
    if facing.wide:
        total = np.logaddexp(own - epsilon * x, rivals)
        share, index = np.exp(own - epsilon * x - total), np.exp(-total / epsilon)
    else:
        offered = own * np.exp(-epsilon * x)
        total = offered + rivals
        share, index = offered / total, total ** (-1.0 / epsilon)
    index[one] = 1.0
    index = np.minimum(index, 1.0)
    buying = facing.alpha * (index < 1.0)
    spent = buying * (1.0 - index)
    revenue = (share * spent).sum(axis=0)
    elasticity = 1.0 + epsilon - (share * share * (epsilon * spent - buying * index)).sum(axis=0) / revenue
    margin = 1.0 - np.exp(-x)
    steeper = share[one] ** 2 * facing.alpha[one] / revenue  # while the UAV still buys
    dip = (margin * elasticity < 1.0) & (margin * (elasticity + steeper) > 1.0)
    return x[dip], rsu[dip], market[dip]


def sampled_reply(block: Block, samples: int) -> FloatArray:
    """The best of a few log mark-ups [M, B] for each RSU alone, the others at their cost, or at the cap.

    At their cost in the first half of the markets, at the cap in the second: a start for Newton's method, no more.
    """
    start = block.ceiling * (np.arange(len(block.epsilon)) >= len(block.epsilon) // 2)
    alone = UnilateralDeviation.of(block, start)
    fractions = ((np.arange(samples) + 0.5) / samples).astype(alone.own.dtype)
    markups = fractions[:, None, None] * alone.ceiling
    top = alone.profit(markups, alone.revenue(markups)).argmax(axis=0)
    return np.asarray(fractions[top] * block.ceiling)


def _peak(alone: UnilateralDeviation, middle: FloatArray, step: FloatArray, revenue: RealArray) -> FloatArray:
    """[M, B] log mark-up where profit without rationing peaks, or where demand falls to the capacity if that is higher.

    Both by parabolas through three samples: ``revenue`` [3, M, B] at ``middle - step``, ``middle``, ``middle + step``.
    """
    x = middle + step * _THREE
    smooth = revenue * (1.0 - np.exp(-x))
    left, mid, right = smooth[0], smooth[1], smooth[2]
    slope, bend = 0.5 * (right - left), left - 2.0 * mid + right
    offset = np.where(bend < 0.0, -slope / bend, np.where(slope > 0.0, np.inf, -np.inf))

    excess = np.log(revenue / alone.worth) - x  # ln of demand over capacity, falls as prices rise
    left, mid, right = excess[0], excess[1], excess[2]
    slope, bend = 0.5 * (right - left), left - 2.0 * mid + right
    full = 2.0 * mid / (np.sqrt(slope * slope - 2.0 * bend * mid) - slope)
    return np.asarray(middle + step * np.fmax(offset, full))


def _careful(alone: UnilateralDeviation, middle: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The highest point within ``width`` of ``middle`` [M, B], by values only, for peaks with kinks; and its height."""
    offsets = np.linspace(-1.0, 1.0, 9)[:, None, None]
    rsus, markets = np.ogrid[: len(middle), : middle.shape[1]]
    for _ in range(_ROUNDS):
        x = np.minimum(np.maximum(middle + width * offsets, 0.0), alone.ceiling)
        profit = alone.profit(x, alone.revenue(x))
        top = profit.argmax(axis=0)
        middle, width = x[top, rsus, markets], 0.25 * width
    return middle, profit[top, rsus, markets]
