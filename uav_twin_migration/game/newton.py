"""Prices at which no RSU gains by a small step: the leaders' first-order conditions, by semismooth Newton.

With the share ``s_nm`` of UAV n's spending ``t_n = (alpha_n - d_n P_n)+`` that RSU m gets, and ``z_n = d_n P_n`` where
``t_n > 0``, an RSU's revenue is ``R_m = sum_n s_nm t_n``. With its log price x_m it falls by
``F_m = sum_n s_nm (epsilon t_n (1 - s_nm) + s_nm z_n)``, ``epsilon = sigma - 1``, so that the elasticity of its demand
is ``E_m = 1 + F_m / R_m``. It is content at the highest of
- its mark-up price ``C E/(E-1) = C (1 + R/F)``, where marginal profit is zero,
- the price at which its demand is its capacity,
and within ``[C, p_max]``. How far the prices are from that is the residual; docs/game.md derives its derivative. For a
rival k, ``dR_m/dx_k = sum_n s_nm s_nk (epsilon t_n - z_n)`` and
``dF_m/dx_k = sum_n s_nm s_nk (epsilon^2 t_n (1 - 2 s_nm) + z_n (3 epsilon s_nm + s_nm - epsilon))``; for the own price,
``-F_m`` and ``-sum_n s_nm (epsilon^2 t_n (1-s_nm)(1-2s_nm) + s_nm z_n (3 epsilon (1-s_nm) - s_nm))``. None has a
difference of large numbers, so they keep their digits as sigma grows. Where it is small it is cheaper to take them from
what the sums for rivals give at k = m, D and E: ``epsilon R - D``, and ``epsilon^2 R - 2 epsilon D - E`` for the sum.
"""

from __future__ import annotations

import numpy as np

from uav_twin_migration.game.block import Block
from uav_twin_migration.game.market import FloatArray

# Newton squares the error, so a residual below this, in units of 1/sigma, leaves one of about 1e-9 after the step that
# is still taken.
CONVERGED = 6e-5
# Up to this epsilon, differences of sums leave enough digits for the two derivatives by the own price.
_PLAIN = 100.0
# From so many markets on, numpy is quicker along the batch than market by market.
_MANY = 32


@np.errstate(divide="ignore", over="ignore")
def stationary(block: Block, start: FloatArray, steps: int, *, clearing: bool = False) -> tuple[FloatArray, FloatArray]:
    """Log mark-ups [M, B] where the first-order conditions hold, from ``start`` [M, B] by at most ``steps`` steps.

    Also returns the residual [B], in units of 1/sigma, that the last step started from: converged where that is below
    `CONVERGED`.
    With ``clearing`` nobody adds a mark-up: prices are at cost, or where demand is the capacity.
    """
    epsilon, sigma = block.epsilon, 1.0 + block.epsilon
    tiny = block.tiny
    with np.errstate(invalid="ignore"):
        log_worth = np.log(block.worth)
    plain = bool(epsilon.max(initial=0.0) < _PLAIN)
    rsus = len(start)
    x = start
    for _ in range(steps):
        share, index = block.shares(x)
        buying = block.alpha * (index < 1.0)
        needed = buying * index
        spent = buying - needed
        revenue = np.einsum("mnb,nb->mb", share, spent)
        spent *= epsilon  # from here on
        balance = spent - needed
        first = _over_uavs(share * balance, share)
        weight = ((3.0 * epsilon + 1.0) * needed - 2.0 * epsilon * spent) * share
        weight += epsilon * balance
        weight *= share
        second = _over_uavs(weight, share)
        own_first, own_second = (array.reshape(rsus * rsus, -1)[:: rsus + 1] for array in (first, second))
        if plain:
            fall = epsilon * revenue - own_first
            bend = epsilon * (epsilon * revenue - 2.0 * own_first) - own_second
        else:
            fall, bend = _fall_and_bend(share, spent, needed, epsilon)
        revenue += tiny
        fall += tiny
        np.negative(fall, out=own_first)
        np.negative(bend, out=own_second)

        elasticity = 1.0 + fall / revenue
        markup = np.full_like(x, -1.0) if clearing else np.log1p(revenue / fall)
        full = x + (np.log(revenue) - x - log_worth) / elasticity
        target = np.maximum(markup, full)
        idle = revenue < block.idle
        if idle.any():
            # Who reaches nobody who buys asks for its unit cost. Who is outbid so far that its share is hardly a
            # double faces UAVs whose price index it does not move: the elasticity of demand is sigma.
            reach = ((block.attraction > (-np.inf if block.wide else 0.0)) & (buying > 0.0)).any(axis=1)
            target[idle] = np.where(reach, -np.log1p(-1.0 / sigma), -1.0)[idle]
        wanted = np.minimum(np.maximum(target, 0.0), block.ceiling)
        step = wanted - x
        residual = np.abs(step).max(axis=0) * sigma

        # The derivative of x - wanted is diag(c) - a * first + b * second, row by row.
        a = 1.0 / (fall + revenue)
        b = a * revenue / fall
        c = np.ones_like(x)
        limited = full > markup
        if limited.any():
            b[limited] = 0.0
            np.copyto(c, 1.0 / elasticity, where=limited)
        bound = (wanted != target) | idle
        if bound.any():
            a[bound] = b[bound] = 0.0
            c[bound] = 1.0
        first *= -a[:, None]
        second *= b[:, None]
        first += second
        first.reshape(rsus * rsus, -1)[:: rsus + 1] += c
        step = _solved(first, step)
        x = np.fmax(np.fmin(x + step, block.ceiling), 0.0)
        if residual.max(initial=0.0) < CONVERGED:
            break
    return x, residual


def _fall_and_bend(
    share: FloatArray, spent: FloatArray, needed: FloatArray, epsilon: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """[M, B] -dR/dx and d2R/dx2, of [M, N, B] shares and [N, B] epsilon t and z."""
    others = 1.0 - share
    slope = others * spent
    bend = slope * (others - share)
    bend *= epsilon
    own = share * needed
    slope += own
    own *= 3.0 * epsilon * others - share
    bend += own
    return np.einsum("mnb,mnb->mb", share, slope), np.einsum("mnb,mnb->mb", share, bend)


def _over_uavs(a: FloatArray, b: FloatArray) -> FloatArray:
    """[M, M, B] ``sum_n a_mn b_kn`` of [M, N, B]."""
    if a.shape[2] < _MANY:
        return np.ascontiguousarray(np.matmul(a.transpose(2, 0, 1), b.transpose(2, 1, 0)).transpose(1, 2, 0))
    total = np.empty((len(a), *a[:, 0].shape), dtype=a.dtype)
    for row, out in zip(a, total, strict=True):
        np.einsum("nb,knb->kb", row, b, out=out)
    return total


def _solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """[M, B] solutions of B systems [M, M, B] with right sides [M, B], both overwritten; not finite where singular.

    For many at once, Gaussian elimination along the batch; no pivots, as the diagonal dominates where it matters.
    """
    if right.shape[1] < _MANY:
        try:
            return np.asarray(np.linalg.solve(matrix.transpose(2, 0, 1), right.T[..., None])[..., 0].T)
        except np.linalg.LinAlgError:  # one of them is singular
            pass
    for k, (row, value) in enumerate(zip(matrix, right, strict=True)):
        value /= row[k]
        row[k + 1 :] /= row[k]
        matrix[k + 1 :, k + 1 :] -= matrix[k + 1 :, k, None] * row[k + 1 :]
        right[k + 1 :] -= matrix[k + 1 :, k] * value
    for k in range(len(right) - 1, 0, -1):
        right[:k] -= matrix[:k, k] * right[k]
    return right
