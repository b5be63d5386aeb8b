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
import numpy.typing as npt

from uav_twin_migration.game.deviation import UnilateralDeviation
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
    contested: npt.NDArray[np.bool_]  # [K] some UAV in reach has another RSU in reach
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
        revenue = _state(some, x[:, piece]).revenue
        profit[:, piece] = np.fmin(-np.expm1(-x[:, piece]) * revenue, some.worth * np.expm1(x[:, piece]))
    return profit


class _State(NamedTuple):
    """The UAVs of columns at some points [P, K]."""

    share: FloatArray  # [P, D, K]
    spent: FloatArray  # [P, D, K] credit; 0 of who dropped out
    needed: FloatArray  # [P, D, K] d P, credit; alpha of who dropped out
    revenue: FloatArray  # [P, K] credit
    fall: FloatArray  # [P, K] -dR/dx, credit


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
    at = _state(columns, x)
    margin = -np.expm1(-x)
    profit_before = margin * at.revenue
    discount = np.exp(-x)
    slope = discount * at.revenue - margin * at.fall
    width = np.diff(x, axis=0)
    revenue_a, revenue_b = at.revenue[:-1], at.revenue[1:]

    least, most = _fall(columns, at)
    rising = discount[:-1] * revenue_a - margin[:-1] * least  # slope of f: at most this
    falling = discount[1:] * revenue_b - margin[1:] * most  # at least this
    bend = _bend(columns, _State(*(array[bent.start : bent.stop and bent.stop + 1] for array in at)))
    curve = np.maximum(bend, 0.0) * margin[1:][bent] + np.minimum(bend, 0.0) * margin[:-1][bent]
    curve -= (discount[1:] * (2.0 * least + revenue_b))[bent]
    np.maximum(curve, 0.0, out=curve)
    curve *= width[bent]
    rising[bent] = np.fmin(rising[bent], slope[:-1][bent] + curve)
    falling[bent] = np.fmax(falling[bent], slope[1:][bent] - curve)

    left, right = profit_before[:-1], profit_before[1:]
    up, down = np.maximum(rising, 0.0), np.maximum(-falling, 0.0)
    both = up + down
    cone = np.where(both > 0.0, (left * down + right * up + up * down * width) / np.where(both > 0.0, both, 1.0), left)
    cone = np.maximum(np.maximum(cone, left), right)
    full = columns.worth * np.expm1(x)
    above = np.fmin(np.fmin(cone, revenue_a * margin[1:]), full[1:])
    return np.fmin(profit_before, full), above


def _state(columns: Columns, x: FloatArray) -> _State:
    epsilon = columns.epsilon
    fall = x * -epsilon
    if columns.wide:
        offered = columns.own + fall[:, None]
        total = np.logaddexp(offered, columns.rivals)
        share = np.exp(offered - total)
    else:
        share = columns.own * np.exp(fall)[:, None]
        total = share + columns.rivals
        share /= total
        total = np.log(total, out=total)
    total /= -epsilon
    np.minimum(total, 0.0, out=total)
    needed = np.exp(total)
    spent = -np.expm1(total, out=total) if float(epsilon.min(initial=1.0)) < 0.05 else 1.0 - needed
    needed *= columns.alpha
    spent *= columns.alpha
    revenue = np.einsum("pdk,pdk->pk", share, spent)
    own = epsilon * spent
    own *= 1.0 - share
    own += np.where(spent > 0.0, share * needed, 0.0)
    return _State(share, spent, needed, revenue, np.einsum("pdk,pdk->pk", share, own))


def _fall(columns: Columns, at: _State) -> tuple[FloatArray, FloatArray]:
    """The least and the most that -R' can be in each interval [P-1, K]."""
    share_a, share_b = at.share[:-1], at.share[1:]
    spent_a, spent_b = at.spent[:-1], at.spent[1:]
    term = 1.0 - share_a
    term *= spent_b
    term *= columns.epsilon
    own = share_b * at.needed[:-1]
    own *= spent_b > 0.0
    term += own
    least = np.einsum("pdk,pdk->pk", share_b, term)
    np.subtract(1.0, share_b, out=term)
    term *= spent_a
    term *= columns.epsilon
    np.multiply(share_a, at.needed[1:], out=own)
    own *= spent_a > 0.0
    term += own
    return least, np.einsum("pdk,pdk->pk", share_a, term)


def _bend(columns: Columns, at: _State) -> FloatArray:
    """The most that R'' can be in each interval [P-1, K]; inf where a UAV drops out in it."""
    epsilon = columns.epsilon
    share_a, share_b = at.share[:-1], at.share[1:]
    spent_a, spent_b = at.spent[:-1], at.spent[1:]
    needed_a, needed_b = at.needed[:-1], at.needed[1:]
    buying_a, buying_b = spent_a > 0.0, spent_b > 0.0
    # s (1-s) (1-2s) changes by at most 1/2 for each unit that s falls, s^2 (3 epsilon - (3 epsilon + 1) s) by `steep`.
    drop = share_a - share_b
    cubic = share_a * (1.0 - share_a) * (1.0 - 2.0 * share_a) + 0.5 * drop
    square = share_a * share_a
    steep = np.maximum((9.0 * epsilon + 3.0) * square - 6.0 * epsilon * share_b, 0.0)
    other = square * (3.0 * epsilon - (3.0 * epsilon + 1.0) * share_a) + steep * drop
    bend = epsilon * epsilon * np.maximum(cubic * spent_a, cubic * spent_b).sum(axis=1)
    bend += np.where(buying_b, np.maximum(other * needed_a, other * needed_b), 0.0).sum(axis=1)
    return np.where((buying_a != buying_b).any(axis=1), np.inf, bend)
