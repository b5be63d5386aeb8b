"""Prices at which no RSU gains by a small step: the leaders' first-order conditions, by semismooth Newton.

With the share ``s_nm`` of UAV n's spending ``t_n = (alpha_n - d_n P_n)+`` that RSU m gets, and ``z_n = d_n P_n`` where
``t_n > 0``, an RSU's revenue is ``R_m = sum_n s_nm t_n`` and the elasticity of its demand ``E_m = sigma - W_m / R_m``,
``W_m = sum_n s_nm^2 u_n``, ``u_n = (sigma-1) t_n - z_n``. It is content at the highest of
- its mark-up price ``C E/(E-1)``, where marginal profit is zero,
- the price at which its demand is its capacity,
and within ``[C, p_max]``. How far the prices are from that is the residual; docs/game.md derives its derivative,
``p dQ_m/dx_k = sum_n s_nm s_nk u_n - sigma R_m [m=k]`` and
``dW_m/dx_k = sum_n s_nm^2 s_nk v_n - 2 (sigma-1) W_m [m=k]``, ``v_n = 2 (sigma-1)^2 t_n - (3 sigma - 2) z_n``.
"""

from __future__ import annotations

import numpy as np

from uav_twin_migration.game.block import TINY, Block
from uav_twin_migration.game.market import FloatArray

# Newton squares the error, so a residual below this leaves one of about 1e-9 after the step that is still taken.
CONVERGED = 3e-5
# From so many markets on, numpy is quicker along the batch than market by market.
_MANY = 32


@np.errstate(divide="ignore", over="ignore")
def stationary(block: Block, start: FloatArray, steps: int, *, clearing: bool = False) -> tuple[FloatArray, FloatArray]:
    """Log mark-ups [M, B] where the first-order conditions hold, from ``start`` [M, B] by at most ``steps`` steps.

    Also returns the residual [B] that the last step started from: converged where that is below `CONVERGED`.
    With ``clearing`` nobody adds a mark-up: prices are at cost, or where demand is the capacity.
    """
    epsilon, sigma = block.epsilon, 1.0 + block.epsilon
    log_worth = np.log(block.worth)
    rsus = len(start)
    x = start
    for _ in range(steps):
        share, index = block.shares(x)
        buying = block.alpha * (index < 1.0)
        needed = buying * index
        spent = buying - needed
        revenue = np.einsum("mnb,nb->mb", share, spent)
        revenue += TINY
        u = epsilon * spent
        u -= needed
        v = (2.0 * epsilon * epsilon) * spent
        v -= (1.0 + 3.0 * epsilon) * needed
        cross = share * u
        first = _over_uavs(cross, share)
        diagonal = first.reshape(rsus * rsus, -1)[:: rsus + 1]  # a view
        np.multiply(share, v, out=cross)
        cross *= share
        second = _over_uavs(cross, share)

        ratio = diagonal / revenue  # W / R
        elasticity = np.maximum(sigma - ratio, 1.0 + 1e-12)
        markup = np.full_like(x, -1.0) if clearing else -np.log1p(-1.0 / elasticity)
        full = x + (np.log(revenue) - x - log_worth) / elasticity
        target = np.maximum(markup, full)
        idle = revenue == TINY
        if idle.any():
            target[idle] = -1.0  # who sells nothing at any price asks for its unit cost
        wanted = np.minimum(np.maximum(target, 0.0), block.ceiling)
        step = wanted - x
        residual = np.abs(step).max(axis=0)

        # The derivative of x - wanted is a * first - b * second + diag(c), row by row.
        c = 1.0 / (elasticity * (elasticity - 1.0))
        b = c / revenue
        a = b * ratio
        c *= ratio
        c *= epsilon
        c += 1.0
        limited = full > markup
        if limited.any():
            np.copyto(a, b * (1.0 - elasticity), where=limited)
            np.copyto(c, sigma / elasticity, where=limited)
            b[limited] = 0.0
        bound = wanted != target
        if bound.any():
            a[bound] = b[bound] = 0.0
            c[bound] = 1.0
        first *= a[:, None]
        second *= b[:, None]
        first -= second
        diagonal += c
        step = _solved(first, step)
        x = np.fmax(np.fmin(x + step, block.ceiling), 0.0)
        if residual.max(initial=0.0) < CONVERGED:
            break
    return x, residual


def _over_uavs(a: FloatArray, b: FloatArray) -> FloatArray:
    """[M, M, B] ``sum_n a_mn b_kn`` of [M, N, B]."""
    if a.shape[2] < _MANY:
        return np.ascontiguousarray(np.matmul(a.transpose(2, 0, 1), b.transpose(2, 1, 0)).transpose(1, 2, 0))
    total = np.empty((len(a), *a[:, 0].shape))
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
