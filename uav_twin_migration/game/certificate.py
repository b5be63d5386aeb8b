"""What an RSU can earn at most by moving alone: a proven bound, by branch and bound over its whole range of prices.

Theory. At its own log mark-up ``x`` an RSU earns ``min(f(x), W (e^x - 1))`` with ``f(x) = (1 - e^-x) R(x)``, revenue
``R = sum_n s_n t_n`` and all its capacity worth ``W`` at unit cost. Of every UAV, the share ``s`` and the spending
``t`` fall as the price rises, and what it needs, ``z = d P``, rises until it drops out. So on an interval ``[a, b]``
all are between their values at its two ends, and from those come bounds that hold everywhere in between:

- of the value: ``R(a) (1 - e^-b)``, as R falls and the margin rises;
- of the slope of f, as ``-R' = sum_n s (epsilon t (1 - s) + s z)``, where who drops out in between may count or not;
- of its bend, where none drops out: ``R'' = sum_n s (epsilon^2 t (1 - s)(1 - 2s) + s z (3 epsilon (1 - s) - s))``.

Slopes at both ends make a cone over the interval: f is nowhere above it. An interval whose cone stays below what is to
be proven is done; others are cut in two. Cones close in as the square of the width, also around the peak, so few cuts
are needed; and none is missed, however narrow a peak is: at substitutability near 1 they are as narrow as 1/sigma.

It is a proof up to rounding, for which `ROUNDING` makes room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from uav_twin_migration.game.deviation import BoolArray, RealArray, UnilateralDeviation
from uav_twin_migration.game.market import FloatArray

# Points around the start on either side: the first this part of 1/sigma away, each next by this factor further.
_NEAR, _FACTOR, _POINTS = 0.6, 3.0, 2
# Intervals are cut into these parts, so many times: 4^-30 of the range is below what doubles can tell apart.
_PARTS, _CUTS = np.linspace(0.0, 1.0, 5), 30
_MOST_OPEN = 4096  # intervals of a column that are cut on: of more, it is rounding that keeps them open
# Numbers that a piece of work keeps in its arrays: few calls, and still in cache.
_PIECE = 1 << 15
# Relative, of a profit, for each unit of epsilon: the logarithm of an attraction is epsilon times a number that has an
# error of a few units in its last place.
ROUNDING = 2e-15


@dataclass(frozen=True)
class Columns:
    """K RSUs, each facing D UAVs of its own while the other RSUs' prices stand still. UAVs that fill up have own 0."""

    own: FloatArray  # [D, K] attraction at unit cost; its logarithm where `wide`
    rivals: FloatArray  # [D, K] sum of the others' attractions at their prices; its logarithm where `wide`
    alpha: FloatArray  # [D, K] credit
    epsilon: FloatArray  # [K] sigma - 1
    worth: FloatArray  # [K] of all its capacity at unit cost, credit
    ceiling: FloatArray  # [K] log mark-up at the price cap
    contested: BoolArray  # [K] some UAV in reach has another RSU in reach
    wide: bool

    @classmethod
    def of(cls, alone: UnilateralDeviation) -> Columns:
        """The M RSUs of B markets as M*B columns."""
        rsus, uavs, markets = alone.own.shape

        def columns(array: FloatArray) -> FloatArray:
            return np.ascontiguousarray(array.swapaxes(0, 1)).reshape(uavs, rsus * markets)

        reached = alone.own > (-np.inf if alone.wide else 0.0)
        return cls(
            own=columns(alone.own),
            rivals=columns(alone.rivals),
            alpha=np.tile(alone.alpha, rsus),
            epsilon=np.tile(alone.epsilon, rsus),
            worth=alone.worth.ravel(),
            ceiling=alone.ceiling.ravel(),
            contested=(reached & alone.contested).any(axis=1).ravel(),
            wide=alone.wide,
        )

    def take(self, index: Any) -> Columns:
        """Some of them."""
        d = (self.own[:, index], self.rivals[:, index], self.alpha[:, index])
        k = (self.epsilon[index], self.worth[index], self.ceiling[index], self.contested[index])
        return Columns(*d, *k, self.wide)


class Highest(NamedTuple):
    """The most that each RSU can earn alone."""

    markup: FloatArray  # [K] log mark-up of the best price found
    profit: FloatArray  # [K] there, credit
    bound: FloatArray  # [K] no price gives more than this, credit
    current: FloatArray  # [K] profit at the start, credit


def profits_at(columns: Columns, x: FloatArray) -> FloatArray:
    """[P, K] credit, after rationing, at log mark-ups ``x`` [P, K]."""
    profit = np.empty_like(x)
    size = max(_PIECE // max(len(columns.own), 1) // len(x), 1)
    for low in range(0, x.shape[1], size):
        piece = slice(low, low + size)
        some = columns.take(piece)
        revenue = state_at(some, x[:, piece]).revenue()
        profit[:, piece] = np.fmin(-np.expm1(-x[:, piece]) * revenue, some.worth * np.expm1(x[:, piece]))
    return profit


class State(NamedTuple):
    """The UAVs of columns at some points [P, K], in the precision of the columns."""

    share: RealArray  # [P, D, K] s
    others: RealArray  # [P, D, K] 1 - s
    spent: RealArray  # [P, D, K] t, credit; 0 of who dropped out
    needed: RealArray  # [P, D, K] z = d P, credit; alpha of who dropped out
    paid: RealArray  # [P, D, K] s t, credit
    square: RealArray  # [P, D, K] s^2 of who may buy, else 0
    certain: RealArray  # [P, D, K] s^2 of who buys for sure, else 0; the same array as `square` where that is clear
    surely: BoolArray | None  # [P, D, K] who buys for sure; None where all do, everywhere
    maybe: BoolArray | None  # [P, D, K] who may buy: besides, those of whom rounding leaves it open

    def at(self, points: slice) -> State:
        """Some of the points."""
        parts: list[Any] = [None if array is None else array[points] for array in self]
        return State(*parts)

    def revenue(self) -> RealArray:
        """[P, K] credit."""
        return np.asarray(self.paid.sum(axis=1))


@np.errstate(all="ignore")
def highest(columns: Columns, start: FloatArray, tolerance: float, *, proof: bool = False, samples: int = 0) -> Highest:
    """The best price of each column, and a bound at most ``tolerance`` (relative) above the profit there.

    ``start`` [K] are log mark-ups to look around first, besides ``samples`` over the whole range. With ``proof`` a
    column is left as soon as some price is found that is better than its start by more than ``tolerance``: what is
    asked then is whether there is one.
    """
    count = len(start)
    markup, profit, bound, current = np.empty((4, count))
    size = max(_PIECE // max(len(columns.own), 1) // (2 * _POINTS + 3 + samples), 1)
    for low in range(0, count, size):
        piece = slice(low, low + size)
        found = _highest(columns.take(piece), start[piece], tolerance, proof, samples)
        markup[piece], profit[piece], bound[piece], current[piece] = found
    return Highest(markup, profit, bound, current)


def _highest(columns: Columns, start: FloatArray, tolerance: float, proof: bool, samples: int) -> Highest:
    count = len(start)
    slack = ROUNDING * (1.0 + columns.epsilon * columns.contested)
    steps = _NEAR * _FACTOR ** np.arange(_POINTS)
    around = start + np.concatenate([-steps[::-1], [0.0], steps])[:, None] / (1.0 + columns.epsilon)
    points = np.concatenate([np.zeros((1, count)), np.clip(around, 0.0, columns.ceiling), columns.ceiling[None]])
    if samples:
        points = np.concatenate([points, np.linspace(0.0, 1.0, samples + 2)[1:-1, None] * columns.ceiling])
        points.sort(axis=0)
    earned, above = _bounds(columns, points, slice(_POINTS, _POINTS + 2) if proof else slice(None))
    first = earned[_POINTS + 1] if proof else _bounds(columns, start[None])[0][0]
    top = earned.argmax(axis=0)
    every = np.arange(count)
    best = Highest(points[top, every], earned[top, every], earned[top, every].copy(), first)
    enough = first * (1.0 + tolerance)
    proven = best.bound  # of intervals that are done, the highest cone; beginning with the best value itself

    interval, column = np.nonzero(points[1:] > points[:-1])
    a, b, over = points[interval, column], points[interval + 1, column], above[interval, column]
    for _ in range(_CUTS):
        over = over * (1.0 + slack[column])
        done = over <= best.profit[column] * (1.0 + 0.5 * tolerance)
        if proof:
            done |= over <= enough[column]
        np.maximum.at(proven, column[done], over[done])
        crowded = ~done & (np.bincount(column[~done], minlength=count)[column] > _MOST_OPEN)
        np.maximum.at(proven, column[crowded], over[crowded])
        on = ~done & ~crowded
        if proof:
            on &= best.profit[column] <= enough[column]
        a, b, over, column = a[on], b[on], over[on], column[on]
        if not len(a):
            break
        points = a + _PARTS[:, None] * (b - a)
        earned, above = _bounds(columns.take(column), points)
        for k, j in np.argwhere(earned > best.profit[column]):
            if earned[k, j] > best.profit[column[j]]:
                best.profit[column[j]], best.markup[column[j]] = earned[k, j], points[k, j]
        a, b, over, column = points[:-1].ravel(), points[1:].ravel(), above.ravel(), np.tile(column, len(above))
    np.maximum.at(proven, column, over)  # of what is left when patience ends
    return best._replace(bound=np.maximum(proven, best.profit))


def _bounds(columns: Columns, x: FloatArray, bent: slice = slice(None)) -> tuple[FloatArray, FloatArray]:
    """Profit at rising points ``x`` [P, K], and bounds on it over the P-1 intervals between them [P-1, K].

    Bends are taken into account at the intervals ``bent``.
    """
    at = state_at(columns, x)
    revenue = at.revenue()
    margin, discount, width = -np.expm1(-x), np.exp(-x), np.diff(x, axis=0)
    profit = margin * revenue
    slope = discount * revenue - margin * falls(columns, at, at)[0]  # of f, at the points

    least, most = least_and_most(columns, at)
    rising, falling = slopes(x, revenue, least, most)
    curve = curves(columns, at.at(slice(bent.start, bent.stop and bent.stop + 1)), x, revenue, least, bent)
    curve = np.maximum(curve, 0.0) * width[bent]
    rising[bent] = np.fmin(rising[bent], slope[:-1][bent] + curve)
    falling[bent] = np.fmax(falling[bent], slope[1:][bent] - curve)

    full = columns.worth * np.expm1(x)
    above = np.fmin(cones(profit, rising, falling, width), revenue[:-1] * margin[1:])
    return np.fmin(profit, full), np.fmin(above, full[1:])


def state_at(columns: Columns, x: FloatArray, blur: float = 0.0) -> State:
    """Of all UAVs at log mark-ups ``x`` [P, K]; those may or may not buy that are within ``blur`` of dropping out.

    That is in ln(alpha / d P).
    """
    kind = columns.own.dtype
    power = (-1.0 / columns.epsilon).astype(kind)
    fall = x * -columns.epsilon
    if columns.wide:
        offered = columns.own + fall[:, None]
        total = np.logaddexp(offered, columns.rivals)
        share = np.exp(offered - total)
    else:
        share = columns.own * np.exp(fall).astype(kind)[:, None]
        total = share + columns.rivals
        share /= total
        total = np.log(total, out=total)
    total *= power
    surely = maybe = None
    if not total.max(initial=-np.inf) < -blur:
        surely, maybe = total < -blur, total < blur
        np.minimum(total, 0.0, out=total)
    needed = np.exp(total)
    spent = -np.expm1(total, out=total) if float(columns.epsilon.min(initial=1.0)) < 0.05 else 1.0 - needed
    needed *= columns.alpha
    spent *= columns.alpha
    square = certain = share * share
    if surely is not None:
        certain, square = square * surely, square * maybe
    return State(share, 1.0 - share, spent, needed, share * spent, square, certain, surely, maybe)


def falls(columns: Columns, one: State, other: State) -> tuple[RealArray, RealArray]:
    """[P, K] ``sum_n s (epsilon t (1 - s') + s z')``, of who buys surely, and of who may.

    Without dashes at ``one``, with them at ``other`` points: -R' where the two are the same.
    """
    fall = columns.epsilon * np.einsum("pdk,pdk->pk", one.paid, other.others)
    surely = np.einsum("pdk,pdk->pk", one.certain, other.needed)
    maybe = surely if one.surely is None else np.einsum("pdk,pdk->pk", one.square, other.needed)
    return fall + surely, fall + maybe


def least_and_most(columns: Columns, at: State) -> tuple[RealArray, RealArray]:
    """The least and the most [P-1, K] that -R' can be in the intervals between points."""
    before, after = at.at(slice(-1)), at.at(slice(1, None))
    return falls(columns, after, before)[0], falls(columns, before, after)[1]


def slopes(x: FloatArray, revenue: RealArray, least: RealArray, most: RealArray) -> tuple[FloatArray, FloatArray]:
    """The most and the least [P-1, K] that the slope of f can be in the intervals between ``x``, by -R' alone."""
    margin, discount = -np.expm1(-x), np.exp(-x)
    rising = discount[:-1] * revenue[:-1] - margin[:-1] * least
    return rising, discount[1:] * revenue[1:] - margin[1:] * most


def curves(columns: Columns, at: State, x: FloatArray, revenue: RealArray, least: RealArray, bent: slice) -> FloatArray:
    """The most that the bend of f can be in the intervals ``bent`` of those between ``x``; ``at`` their ends."""
    margin, discount = -np.expm1(-x), np.exp(-x)
    bend = _bend(columns, at.at(slice(-1)), at.at(slice(1, None)))
    curve = np.maximum(bend, 0.0) * margin[1:][bent] + np.minimum(bend, 0.0) * margin[:-1][bent]
    return np.asarray(curve - discount[1:][bent] * (2.0 * least + revenue[1:])[bent])


def cones(profit: FloatArray, rising: FloatArray, falling: FloatArray, width: FloatArray) -> FloatArray:
    """The most [P-1, K] that a function can be with values ``profit`` [P, K] and slopes between the two given."""
    left, right = profit[:-1], profit[1:]
    up, down = np.maximum(rising, 0.0), np.maximum(-falling, 0.0)
    both = up + down
    cone = np.where(
        both == 0.0, left, (left * down + right * up + up * down * width) / np.where(both == 0.0, 1.0, both)
    )
    return np.maximum(np.maximum(cone, left), right)


def _bend(columns: Columns, before: State, after: State) -> RealArray:
    """The most that R'' can be in each interval [P, K]; inf where a UAV drops out in it, or may."""
    epsilon = columns.epsilon.astype(before.share.dtype)
    share_a, share_b, square = before.share, after.share, before.square
    # s (1-s) (1-2s) changes by at most 1/2 for each unit that s falls, s^2 (3 epsilon - (3 epsilon + 1) s) by `steep`.
    drop = share_a - share_b
    cubic = share_a * before.others * (before.others - share_a) + 0.5 * drop
    steep = np.maximum((9.0 * epsilon + 3.0) * square - 6.0 * epsilon * share_b, 0.0)
    other = square * (3.0 * epsilon - (3.0 * epsilon + 1.0) * share_a) + steep * drop
    bend = epsilon * epsilon * np.maximum(cubic * before.spent, cubic * after.spent).sum(axis=1)
    most = np.maximum(other * before.needed, other * after.needed)
    if before.maybe is None or after.surely is None:
        return np.asarray(bend + most.sum(axis=1))
    bend += np.where(after.surely, most, 0.0).sum(axis=1)
    return np.where((before.maybe & ~after.surely).any(axis=1), np.inf, bend)
