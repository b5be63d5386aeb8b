"""Which RSUs can gain nothing by moving alone, as far as a few points settle it: most, and at a fifth of the cost.

Theory. What `certificate` bounds far from an RSU's own price lies well below what it earns there; so single precision
does, with room for whatever it may have rounded. Near the price, double precision is needed at the price only: where f,
revenue times margin, nowhere bends upwards between there and some point, it is nowhere above its tangent, and nothing
in between earns more than ``f(x) + |f'(x)| w`` over the width w; at an equilibrium f'(x) is nothing.

Who is not settled here goes to `certificate`, which cuts intervals until it knows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from uav_twin_migration.game.block import Block
from uav_twin_migration.game.certificate import ROUNDING, Columns, cones, curves, least_and_most, slopes, state_at
from uav_twin_migration.game.deviation import BoolArray, UnilateralDeviation
from uav_twin_migration.game.market import FloatArray

# Points on either side of the price, in units of 1/sigma.
_STEPS = np.array([0.6, 1.8])
_NEAR = len(_STEPS)  # the first of the two intervals that meet at the price
_POINTS = 2 * len(_STEPS) + 3
# Numbers that a piece of work keeps in each of its arrays: few calls, and still in cache.
_PIECE = 1 << 16
_UNIT = 2.0**-24  # round-off of single precision


class Screened(NamedTuple):
    """RSUs at their prices."""

    settled: BoolArray  # [M, B] proven: no price earns more than was asked
    profit: FloatArray  # [M, B] now, credit
    bound: FloatArray  # [M, B] where settled, no price earns more than this, credit


@np.errstate(all="ignore")
def screened(block: Block, x: FloatArray, alone: UnilateralDeviation, tolerance: float) -> Screened:
    """Whether each RSU at log mark-ups ``x`` [M, B] earns the most that it can alone, up to ``tolerance``, relative."""
    value, slope = _value_and_slope(block, x)
    full = block.worth * np.expm1(x)
    profit = np.fmin(value, full)
    coarse = alone.single()  # from here on `maximum`, not `fmax`: what is no number settles nothing
    bound = np.empty_like(x)
    size = max(_PIECE // max(len(x) * block.attraction.shape[1] * _POINTS, 1), 1)
    for low in range(0, x.shape[1], size):
        part = slice(low, low + size)
        here = x[:, part]
        left, right, far = (array.reshape(here.shape) for array in _around(Columns.of(coarse.part(part)), here.ravel()))
        tangent = value[:, part] - np.minimum(slope[:, part], 0.0) * left
        most = np.maximum(far, np.where(left > 0.0, np.fmin(tangent, full[:, part]), 0.0))
        tangent = value[:, part] + np.maximum(slope[:, part], 0.0) * right
        bound[:, part] = np.maximum(most, np.where(right > 0.0, tangent, 0.0))
    bound = np.maximum(bound, profit) * (1.0 + 2.0 * ROUNDING * (1.0 + block.epsilon))
    return Screened(bound <= profit * (1.0 + tolerance), profit, bound)


def _value_and_slope(block: Block, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """f and its slope [M, B] at log mark-ups ``x``, where all RSUs are."""
    share, index = block.shares(x)
    needed = block.alpha * (index < 1.0) * index
    spent = block.alpha * -np.expm1(np.log(index)) if block.epsilon.min(initial=1.0) < 0.05 else block.alpha - needed
    spent = np.where(index < 1.0, spent, 0.0)
    revenue = np.einsum("mnb,nb->mb", share, spent)
    own = (1.0 - share) * (block.epsilon * spent)
    own += share * needed
    fall = np.einsum("mnb,mnb->mb", share, own)
    margin = -np.expm1(-x)
    return margin * revenue, np.exp(-x) * revenue - margin * fall


def _around(columns: Columns, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of each RSU [K] at log mark-up ``x``: how far on either side it was looked at nearby, and the most further away.

    In credit; inf also where f may bend upwards nearby.
    """
    sigma = 1.0 + columns.epsilon
    around = np.concatenate([-_STEPS[::-1], [0.0], _STEPS])[:, None] / sigma + x
    points = np.concatenate([np.zeros((1, len(x))), np.clip(around, 0.0, columns.ceiling), columns.ceiling[None]])
    width = np.diff(points, axis=0)
    # Relative to what UAVs could spend on the RSU: its share, their spending, sums over them. In the logarithm of the
    # price index, this over epsilon.
    off = _UNIT * (32.0 + 8.0 / columns.epsilon + 2.0 * len(columns.own))
    at = state_at(columns, points, 16.0 * _UNIT / float(columns.epsilon.min(initial=np.inf)))
    revenue = np.asarray(at.revenue(), dtype=np.float64)
    room = off * np.einsum("pdk,dk->pk", at.share, columns.alpha)

    margin = -np.expm1(-points)
    near = slice(_NEAR, _NEAR + 2)
    least, most = least_and_most(columns, at)
    curve = curves(columns, at.at(slice(_NEAR, _NEAR + 3)), points, revenue, least, near)
    curve += 24.0 * sigma * sigma * room[near]
    rising, falling = slopes(points, revenue, least, most)
    unsure = 4.0 * sigma * room[:-1]
    above = cones(margin * (revenue + room), rising + unsure, falling - unsure, width)
    above = np.fmin(above, (revenue + room)[:-1] * margin[1:])
    above = np.fmin(above, columns.worth * np.expm1(points[1:]))
    above[near] = np.where(curve <= 0.0, 0.0, np.inf)
    above[~(width > 0.0)] = 0.0
    return width[_NEAR], width[_NEAR + 1], above.max(axis=0)
