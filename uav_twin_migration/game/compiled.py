"""The first pass of the solver on one market at a time, as plain loops that numba compiles where it is installed.

What limits single markets is what a numpy call costs, a microsecond or two, times the hundreds of calls of a solution;
in a batch that does not matter. These loops do what `newton` and `search` do to a batch, in the same terms. What they
cannot settle goes on to those. Nothing imports this module unless it is asked for: compiling takes half a minute, once
a machine.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from math import exp, expm1, inf, log, log1p
from typing import Any, TypeVar, cast

import numpy as np

from uav_twin_migration.game.block import Block
from uav_twin_migration.game.market import FloatArray
from uav_twin_migration.game.newton import CONVERGED

AVAILABLE = find_spec("numba") is not None
_STARTS, _STEPS = 6, 8
_SAMPLES, _HIGH = 24, 0.9  # as in `search`
_SECTIONS = 18  # narrow a peak down by a factor of 6000

Function = TypeVar("Function", bound=Callable[..., Any])


def _compiled(function: Function) -> Function:
    if not AVAILABLE:
        return function
    from numba import njit

    return cast(Function, njit(cache=True, nogil=True, error_model="numpy")(function))


def first_pass(block: Block) -> tuple[FloatArray, FloatArray]:
    """Log mark-ups [M, 2, B] from below and from above, and their exploitability [2, B]; inf if the two do not meet."""
    rsus, _, markets = block.attraction.shape
    x, gain = np.empty((rsus, 2, markets)), np.empty((2, markets))
    for i in range(markets):
        attraction = np.ascontiguousarray(block.attraction[:, :, i])
        given = (
            attraction,
            block.alpha[:, i].copy(),
            block.epsilon[i],
            block.worth[:, i].copy(),
            block.ceiling[:, i].copy(),
        )
        gain[:, i] = _solve(*given, x[:, :, i])
    return x, gain


@_compiled
def _solve(a: Any, alpha: Any, epsilon: float, worth: Any, ceiling: Any, x: Any) -> float:
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
            return inf
        x[:, end] = sampled
    if np.abs(x[:, 0] - x[:, 1]).max() >= 1e-6:
        return inf
    lost = 0.0
    for m in range(rsus):
        rivals = _rivals(a, epsilon, x[:, 0], m)
        profit = _profit(a[m], rivals, alpha, epsilon, worth[m], x[m, 0])
        best = _best(a[m], rivals, alpha, epsilon, worth[m], ceiling[m])
        if best > profit:
            lost += (best - profit) / best
    return lost / rsus


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
def _best(own: Any, rivals: Any, alpha: Any, epsilon: float, worth: float, ceiling: float) -> float:
    """The highest profit: around each high sample that is higher than its neighbours, and beside each dip."""
    width = ceiling / (_SAMPLES - 1)
    height = np.empty(_SAMPLES)
    for k in range(_SAMPLES):
        height[k] = _profit(own, rivals, alpha, epsilon, worth, k * width)
    highest = height.max()
    best = highest
    for k in range(_SAMPLES):
        if (
            height[k] > _HIGH * highest
            and (k == 0 or height[k] >= height[k - 1])
            and (k == _SAMPLES - 1 or height[k] > height[k + 1])
        ):
            best = max(best, _zoom(own, rivals, alpha, epsilon, worth, ceiling, k * width, width))
    for n in range(len(own)):
        if own[n] > 0.0 and rivals[n] < 1.0:
            x = log(own[n] / (1.0 - rivals[n])) / epsilon
            if 0.0 < x < ceiling:
                k = min(int(x / width), _SAMPLES - 2)
                if max(height[k], height[k + 1]) > _HIGH * highest and _dips(own, rivals, alpha, epsilon, x, n):
                    for side in (-0.5, 0.5):
                        middle = x + side * width
                        best = max(best, _zoom(own, rivals, alpha, epsilon, worth, ceiling, middle, 0.5 * width))
    return float(best)


@_compiled
def _zoom(
    own: Any, rivals: Any, alpha: Any, epsilon: float, worth: float, ceiling: float, middle: float, width: float
) -> float:
    """The highest profit within ``width`` of ``middle``, by golden sections."""
    golden = 0.6180339887498949
    low, high = max(middle - width, 0.0), min(middle + width, ceiling)
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left = _profit(own, rivals, alpha, epsilon, worth, left)
    at_right = _profit(own, rivals, alpha, epsilon, worth, right)
    best = max(_profit(own, rivals, alpha, epsilon, worth, low), _profit(own, rivals, alpha, epsilon, worth, high))
    for _ in range(_SECTIONS):
        if at_left > at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = _profit(own, rivals, alpha, epsilon, worth, left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = _profit(own, rivals, alpha, epsilon, worth, right)
    return float(max(best, at_left, at_right))


@_compiled
def _dips(own: Any, rivals: Any, alpha: Any, epsilon: float, x: float, out: int) -> bool:
    """Whether profit falls up to ``x``, where UAV ``out`` drops out, and rises from there."""
    weight, power = exp(-epsilon * x), -1.0 / epsilon
    revenue = loss = 0.0
    for n in range(len(own)):
        offered = own[n] * weight
        total = offered + rivals[n]
        if n != out and total > 1.0:
            share, index = offered / total, exp(power * log(total))
            revenue += share * alpha[n] * (1.0 - index)
            loss += share * share * alpha[n] * (epsilon * (1.0 - index) - index)
    if revenue <= 0.0:
        return True
    share = own[out] * weight / (own[out] * weight + rivals[out])
    elasticity = 1.0 + epsilon - loss / revenue
    margin = -expm1(-x)
    return bool(margin * elasticity < 1.0 < margin * (elasticity + share * share * alpha[out] / revenue))


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
