"""The solver on one market at a time, as plain loops that numba compiles where it is installed.

What limits single markets is what a numpy call costs, a microsecond or two, times the hundreds of calls of a solution;
in a batch that does not matter. These loops do what `block`, `newton` and `certificate` do to a batch, in the same
terms. What they cannot settle goes to those. Nothing imports this module unless it is asked for: compiling takes half
a minute, once a machine.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from math import exp, expm1, inf, log, log1p
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from uav_twin_migration.game.certificate import ROUNDING
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.game.newton import CONVERGED

AVAILABLE = find_spec("numba") is not None
_STARTS, _STEPS = 6, 8
_NEAR, _FACTOR, _POINTS = 0.6, 3.0, 2  # as in `certificate`
_CUTS, _WAITING = 2000, 128  # intervals that a proof may look at, and that may wait meanwhile
TOLERANCE, CLAIMED = 1e-6, 0.9e-6  # as in `equilibrium`
_WIDE, _EPSILON_RANGE = 600.0, (1e-7, 1e9)  # as in `block`
_LARGE = 1e100  # credits and MHz beyond this, or below its inverse, are scaled first: elsewhere

Function = TypeVar("Function", bound=Callable[..., Any])


def _compiled(function: Function) -> Function:
    if not AVAILABLE:
        return function
    from numba import njit

    return cast(Function, njit(cache=True, nogil=True, error_model="numpy")(function))


class Settled(NamedTuple):
    """The equilibrium of one market, proven; as in `equilibrium.Equilibrium`."""

    prices: FloatArray  # [M] credit/MHz
    from_above: FloatArray  # [M] where the iteration from above ended: the same up to rounding
    bandwidth: FloatArray  # [N, M] MHz
    profits: FloatArray  # [M] credit
    utilities: FloatArray  # [N] credit
    exploitability: float
    bound: float


def settled(market: Market) -> Settled | None:
    """One market's equilibrium, or None where these loops find none, cannot prove it soon, or might leave the range."""
    if not market.uavs:
        return None
    # Copies, as numba compiles anew for arrays that are laid out otherwise, or that nobody may write to.
    alpha, rate, efficiency, cost, capacity, cap, _ = (array.copy() for array in market.arrays())
    found, told = _settled(alpha, rate, efficiency, cost, capacity, cap, float(market.rho))
    return Settled(*told) if found else None


@_compiled
def _settled(
    alpha: Any, rate: Any, efficiency: Any, cost: Any, capacity: Any, cap: Any, rho: float
) -> tuple[bool, tuple[Any, ...]]:
    """See `block` for how a market is laid out, and for what an RSU sells."""
    uavs, rsus = efficiency.shape
    prices, above, profits, sold = np.empty(rsus), np.empty(rsus), np.empty(rsus), np.zeros(rsus)
    bandwidth, utilities, x = np.zeros((uavs, rsus)), np.zeros(uavs), np.empty((rsus, 2))
    told = prices, above, bandwidth, profits, utilities
    epsilon, a = rho / (1.0 - rho), np.zeros((rsus, uavs))
    ordinary = _laid_out(alpha, rate, efficiency, cost, epsilon, a)
    worth, ceiling = capacity * cost, np.log(cap / cost)
    if not ordinary or epsilon * ceiling.max() > _WIDE or cap.max() > _LARGE:
        return False, (*told, inf, inf)
    lost, bound = _solve(a, alpha, epsilon, worth, ceiling, x)
    if not bound < TOLERANCE:
        return False, (*told, inf, inf)
    for m in range(rsus):
        prices[m], above[m] = min(cost[m] * exp(x[m, 0]), cap[m]), min(cost[m] * exp(x[m, 1]), cap[m])
    weight = np.exp(-epsilon * x[:, 0])
    for n in range(uavs):
        total = 0.0
        for m in range(rsus):
            total += a[m, n] * weight[m]
        if total > 1.0:
            index = -log(total) / epsilon
            spent = -alpha[n] * expm1(index)
            utilities[n] = -(alpha[n] * index + spent)
            for m in range(rsus):
                bandwidth[n, m] = a[m, n] * weight[m] / total * spent / prices[m]
                sold[m] += bandwidth[n, m]
    for m in range(rsus):
        profits[m] = (prices[m] - cost[m]) * min(sold[m], capacity[m])
    return True, (*told, lost, bound)


@_compiled
def _laid_out(alpha: Any, rate: Any, efficiency: Any, cost: Any, epsilon: float, a: Any) -> bool:
    """Attractions into ``a`` [M, N]; whether no sum or product will leave the range of doubles."""
    if not (_EPSILON_RANGE[0] < epsilon < _EPSILON_RANGE[1] and 1.0 / _LARGE < alpha.max() < _LARGE):
        return False
    if not (cost.min() > 1.0 / _LARGE and cost.max() < _LARGE and efficiency.max() < _LARGE):
        return False
    for n in range(len(alpha)):
        total = efficiency[n].sum()
        if alpha[n] == 0.0 or total == 0.0:
            continue
        for m in range(len(cost)):
            if efficiency[n, m] > 0.0:
                weight, per_cost = efficiency[n, m] / total, alpha[n] / rate[n] * efficiency[n, m] / cost[m]
                if not (weight > 0.0 and 0.0 < per_cost < inf):
                    return False
                attraction = log(weight) + epsilon * log(per_cost)
                if attraction > _WIDE:
                    return False
                a[m, n] = exp(attraction)
    return True


@_compiled
def _solve(a: Any, alpha: Any, epsilon: float, worth: Any, ceiling: Any, x: Any) -> tuple[float, float]:
    rsus = len(ceiling)
    for end in range(2):
        start = ceiling * end
        sampled = np.empty(rsus)
        for m in range(rsus):
            rivals = _rivals(a, epsilon, start, m)
            best = -1.0
            for k in range(_STARTS):
                tried = ceiling[m] * (k + 0.5) / _STARTS
                profit = _profit(a[m], rivals, alpha, epsilon, worth[m], tried)
                if profit > best:
                    best, sampled[m] = profit, tried
        if not _newton(a, alpha, epsilon, worth, ceiling, sampled):
            x[:, 0], x[:, 1] = sampled, sampled
            return inf, inf
        x[:, end] = sampled
    if np.abs(x[:, 0] - x[:, 1]).max() >= TOLERANCE:
        return inf, inf
    lost, gained = 0.0, 0.0
    for m in range(rsus):
        rivals = _rivals(a, epsilon, x[:, 0], m)
        best, bound, profit = _gain(a[m], rivals, alpha, epsilon, worth[m], ceiling[m], x[m, 0])
        if best > 0.0:
            lost += (best - profit) / best
        if bound > 0.0:
            gained = max(gained, 1.0 - profit / bound)
    return lost / rsus, gained


@_compiled
def _rivals(a: Any, epsilon: float, x: Any, rsu: int) -> Any:
    total = np.full(a.shape[1], 1e-300)
    for k in range(len(a)):
        if k != rsu:
            weight = exp(-epsilon * x[k])
            for n in range(len(total)):
                total[n] += a[k, n] * weight
    return total


@_compiled
def _revenue(own: Any, rivals: Any, alpha: Any, epsilon: float, x: float) -> float:
    weight, power, revenue = exp(-epsilon * x), -1.0 / epsilon, 0.0
    for n in range(len(own)):
        offered = own[n] * weight
        total = offered + rivals[n]
        if total > 1.0 and offered > 0.0:
            revenue -= alpha[n] * offered / total * expm1(power * log(total))
    return revenue


@_compiled
def _profit(own: Any, rivals: Any, alpha: Any, epsilon: float, worth: float, x: float) -> float:
    return min(_revenue(own, rivals, alpha, epsilon, x), worth * exp(x)) * -expm1(-x)


@_compiled
def _gain(
    own: Any, rivals: Any, alpha: Any, epsilon: float, worth: float, ceiling: float, start: float
) -> tuple[float, float, float]:
    """The highest profit found, a bound on it at any price, and profit at ``start``; see `certificate`."""
    points = np.empty(2 * _POINTS + 3)
    points[0], points[-1] = 0.0, ceiling
    for k in range(-_POINTS, _POINTS + 1):
        step = _NEAR * _FACTOR ** (abs(k) - 1) / (1.0 + epsilon) if k else 0.0
        points[k + _POINTS + 1] = min(max(start + (step if k > 0 else -step), 0.0), ceiling)
    slack = 1.0 + ROUNDING * (1.0 + epsilon)
    current = _profit(own, rivals, alpha, epsilon, worth, start)
    best, proven = current, current
    low, high, waiting = np.empty(_WAITING), np.empty(_WAITING), 0
    for k in range(len(points) - 1, 0, -1):
        low[waiting], high[waiting] = points[k - 1], points[k]
        waiting += points[k] > points[k - 1]
    states = np.empty((2, 3, len(own)))
    for _ in range(_CUTS):
        if waiting == 0:
            return best, max(proven, best), current
        waiting -= 1
        a, b = low[waiting], high[waiting]
        above = slack * _above(own, rivals, alpha, epsilon, worth, a, b, states)
        if above <= best * (1.0 + 0.5 * CLAIMED) or above <= current * (1.0 + CLAIMED):
            proven = max(proven, above)
            continue
        middle = 0.5 * (a + b)
        best = max(best, _profit(own, rivals, alpha, epsilon, worth, middle))
        if best > current * (1.0 + CLAIMED) or waiting + 2 > _WAITING:
            return best, inf, current
        low[waiting], high[waiting] = middle, b
        low[waiting + 1], high[waiting + 1] = a, middle
        waiting += 2
    return best, inf, current


@_compiled
def _state(own: Any, rivals: Any, alpha: Any, epsilon: float, x: float, at: Any) -> tuple[float, float]:
    """Shares, spending and needs of all UAVs into ``at`` [3, N]; revenue and its fall."""
    weight, power, revenue, fall = exp(-epsilon * x), -1.0 / epsilon, 0.0, 0.0
    for n in range(len(own)):
        offered = own[n] * weight
        total = offered + rivals[n]
        share = offered / total
        index = min(power * log(total), 0.0)
        at[0, n], at[1, n], at[2, n] = share, -alpha[n] * expm1(index), alpha[n] * exp(index)
        if index < 0.0:
            revenue += share * at[1, n]
            fall += share * (epsilon * at[1, n] * (1.0 - share) + share * at[2, n])
    return revenue, fall


@_compiled
def _above(own: Any, rivals: Any, alpha: Any, epsilon: float, worth: float, a: float, b: float, states: Any) -> float:
    """A bound on profit between log mark-ups ``a`` and ``b``."""
    revenue_a, fall_a = _state(own, rivals, alpha, epsilon, a, states[0])
    revenue_b, fall_b = _state(own, rivals, alpha, epsilon, b, states[1])
    least = most = bend = 0.0
    smooth = True
    for n in range(len(own)):
        sa, ta, za = states[0, 0, n], states[0, 1, n], states[0, 2, n]
        sb, tb, zb = states[1, 0, n], states[1, 1, n], states[1, 2, n]
        if ta > 0.0:
            most += sa * (epsilon * ta * (1.0 - sb) + sa * zb)
        if tb > 0.0:
            least += sb * (epsilon * tb * (1.0 - sa) + sb * za)
            drop = sa - sb
            cubic = sa * (1.0 - sa) * (1.0 - 2.0 * sa) + 0.5 * drop
            steep = max((9.0 * epsilon + 3.0) * sa * sa - 6.0 * epsilon * sb, 0.0)
            other = sa * sa * (3.0 * epsilon - (3.0 * epsilon + 1.0) * sa) + steep * drop
            bend += epsilon * epsilon * max(cubic * ta, cubic * tb) + max(other * za, other * zb)
        elif ta > 0.0:
            smooth = False
    margin_a, margin_b, discount_a, discount_b = -expm1(-a), -expm1(-b), exp(-a), exp(-b)
    rising = discount_a * revenue_a - margin_a * least
    falling = discount_b * revenue_b - margin_b * most
    if smooth:
        curve = max(bend, 0.0) * margin_b + min(bend, 0.0) * margin_a - discount_b * (2.0 * least + revenue_b)
        curve = max(curve, 0.0) * (b - a)
        rising = min(rising, discount_a * revenue_a - margin_a * fall_a + curve)
        falling = max(falling, discount_b * revenue_b - margin_b * fall_b - curve)
    left, right = margin_a * revenue_a, margin_b * revenue_b
    up, down = max(rising, 0.0), max(-falling, 0.0)
    cone = max(left, right)
    if up + down > 0.0:
        cone = max(cone, (left * down + right * up + up * down * (b - a)) / (up + down))
    return float(min(cone, revenue_a * margin_b, worth * expm1(b)))


@_compiled
def _newton(a: Any, alpha: Any, epsilon: float, worth: Any, ceiling: Any, x: Any) -> bool:
    """Moves log mark-ups ``x`` to where the first-order conditions hold; whether that was reached. See `newton`."""
    rsus, uavs = a.shape
    share, step, jacobian = np.empty(rsus), np.empty(rsus), np.empty((rsus, rsus))
    first, second, revenue = np.empty((rsus, rsus)), np.empty((rsus, rsus)), np.empty(rsus)
    for _ in range(_STEPS):
        first[:], second[:], revenue[:] = 0.0, 0.0, 0.0
        weight = np.exp(-epsilon * x)
        for n in range(uavs):
            total = 0.0
            for m in range(rsus):
                share[m] = a[m, n] * weight[m]
                total += share[m]
            if total <= 1.0:
                continue
            needed = alpha[n] * exp(-log(total) / epsilon)
            spent = alpha[n] - needed
            u = epsilon * spent - needed
            v = 2.0 * epsilon * epsilon * spent - (1.0 + 3.0 * epsilon) * needed
            for m in range(rsus):
                share[m] /= total
            for m in range(rsus):
                revenue[m] += share[m] * spent
                for k in range(rsus):
                    first[m, k] += share[m] * share[k] * u
                    second[m, k] += share[m] * share[m] * share[k] * v
        residual = 0.0
        for m in range(rsus):
            jacobian[m] = 0.0
            jacobian[m, m] = 1.0
            wanted = 0.0
            if revenue[m] > 0.0:
                ratio = first[m, m] / revenue[m]
                elasticity = max(1.0 + epsilon - ratio, 1.0 + 1e-12)
                markup = -log1p(-1.0 / elasticity)
                full = x[m] + (log(revenue[m] / worth[m]) - x[m]) / elasticity if worth[m] > 0.0 else inf
                wanted = max(markup, full)
                if wanted > ceiling[m] or wanted < 0.0:
                    wanted = min(max(wanted, 0.0), ceiling[m])
                elif full > markup:
                    for k in range(rsus):
                        jacobian[m, k] = -first[m, k] / (elasticity * revenue[m])
                    jacobian[m, m] += (1.0 + epsilon) / elasticity
                else:
                    factor = 1.0 / (elasticity * (elasticity - 1.0))
                    for k in range(rsus):
                        jacobian[m, k] = factor * (ratio * first[m, k] - second[m, k]) / revenue[m]
                    jacobian[m, m] += 1.0 + factor * epsilon * ratio
            step[m] = wanted - x[m]
            residual = max(residual, abs(step[m]))
        _eliminate(jacobian, step)
        for m in range(rsus):
            x[m] = min(max(x[m] + step[m], 0.0), ceiling[m])
        if residual < CONVERGED:
            return True
    return False


@_compiled
def _eliminate(matrix: Any, right: Any) -> None:
    """Solves the system, in place, by Gaussian elimination with pivots."""
    size = len(right)
    for k in range(size):
        pivot = k + np.argmax(np.abs(matrix[k:, k]))
        if pivot != k:
            for j in range(size):
                matrix[k, j], matrix[pivot, j] = matrix[pivot, j], matrix[k, j]
            right[k], right[pivot] = right[pivot], right[k]
        for i in range(k + 1, size):
            factor = matrix[i, k] / matrix[k, k]
            for j in range(k + 1, size):
                matrix[i, j] -= factor * matrix[k, j]
            right[i] -= factor * right[k]
    for k in range(size - 1, -1, -1):
        for j in range(k + 1, size):
            right[k] -= matrix[k, j] * right[j]
        right[k] /= matrix[k, k]
