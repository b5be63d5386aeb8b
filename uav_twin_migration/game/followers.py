"""The followers: what a UAV's users perceive, what it is worth to them, and how much bandwidth it buys.

Everything broadcasts over leading axes ``...``: one UAV has ``efficiency[M]``, ``prices[M]`` and scalars besides;
a market has ``efficiency[N, M]`` and ``prices[M]``; a batch ``efficiency[..., N, M]`` and ``prices[..., 1, M]``.

The model is that of Kang et al., arXiv:2401.09680, with the rates of several RSUs aggregated as weighted CES;
docs/game.md derives the closed forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from uav_twin_migration.game.market import FloatArray, Market

# Below this exponent a power mean goes through expm1 and log1p, which keep their digits as the exponent tends to 0
# but take twice the time of exp and log.
_SMALL_EXPONENT = 0.05
_FEW = 7  # terms that numpy adds one after the other


class Response(NamedTuple):
    """A UAV's best response to posted prices."""

    bandwidth: FloatArray  # [..., M] b_nm, MHz
    rate: FloatArray  # [...] effective rate X_n, Mbit/s; 0 where the UAV drops out
    price_index: FloatArray  # [...] P_n, credit per Mbit/s; inf where no RSU is in range


def best_response(
    prices: npt.ArrayLike,
    efficiency: npt.ArrayLike,
    alpha: npt.ArrayLike,
    required_rate: npt.ArrayLike,
    rho: npt.ArrayLike,
) -> Response:
    """The bandwidth that maximises a UAV's utility, in closed form.

    The UAV spends ``(alpha - d P)+`` in all, and on RSU m the share ``w_m (p_m/e_m)^(1-sigma) / P^(1-sigma)`` of it.
    It drops out (all zero) where ``alpha <= d P``, and an RSU with efficiency 0 sells it nothing.

    prices: [..., M] > 0, credit/MHz. efficiency: [..., M] >= 0, bit/s/Hz. alpha: [...] credit.
    required_rate: [...] > 0, d = D/T, Mbit/s. rho: [...] in (0, 1). Nothing is checked here.
    """
    p, weight, wanted = _floats(prices, alpha, required_rate)
    index, share = price_index_and_shares(prices, efficiency, rho)
    with np.errstate(invalid="ignore"):
        spent = np.maximum(weight - wanted * index, 0.0)
        bandwidth = share * (spent[..., None] / p)
        rate = np.maximum(weight / index - wanted, 0.0)
    return Response(bandwidth, rate, index)


def respond(market: Market, prices: npt.ArrayLike) -> Response:
    """All UAVs' best responses to ``prices`` [..., M]: bandwidth [..., N, M], rate and price index [..., N]."""
    p = np.asarray(prices, dtype=np.float64)[..., None, :]
    return best_response(p, market.efficiency, market.alpha, market.required_rate, market.rho[..., None])


def link_weights(efficiency: npt.ArrayLike) -> FloatArray:
    """[..., M] ``w_m = e_m / sum_k e_k``, the spread of traffic that costs no reliability; 0 where none is in range."""
    (e,) = _floats(efficiency)
    total = e.sum(axis=-1, keepdims=True)
    return e / np.where(total > 0.0, total, 1.0)


def price_index(prices: npt.ArrayLike, efficiency: npt.ArrayLike, rho: npt.ArrayLike) -> FloatArray:
    """[...] ``P = (sum_m w_m (p_m/e_m)^(1-sigma))^(1/(1-sigma))``, credit per Mbit/s; inf where none is in range."""
    return price_index_and_shares(prices, efficiency, rho)[0]


def price_index_and_shares(
    prices: npt.ArrayLike, efficiency: npt.ArrayLike, rho: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """[...] the price index, and [..., M] the part of what a UAV spends that each RSU gets, whatever it spends."""
    p, e, rho_ = _floats(prices, efficiency, rho)
    with np.errstate(divide="ignore"):
        return _power_mean(p / e, link_weights(e), -rho_ / (1.0 - rho_), otherwise=np.inf)


def effective_rate(bandwidth: npt.ArrayLike, efficiency: npt.ArrayLike, rho: npt.ArrayLike) -> FloatArray:
    """[...] ``X = (sum_m w_m^(1-rho) (e_m b_m)^rho)^(1/rho)``, Mbit/s, of any bandwidth [..., M] >= 0, MHz.

    As ``e_m / w_m`` is the same for all RSUs in range, X is the sum of efficiencies times a power mean of bandwidths.
    """
    b, e, rho_ = _floats(bandwidth, efficiency, rho)
    return np.asarray(e.sum(axis=-1) * _power_mean(b, link_weights(e), rho_, otherwise=0.0)[0])


def effective_rate_of_one(bandwidth: Sequence[float], efficiency: Sequence[float], rho: float) -> float:
    """`effective_rate`, Mbit/s, of one UAV: to the bit the same, and quicker where it has few RSUs in range.

    numpy takes logarithms and powers, as other libraries round them otherwise.
    """
    held = [(b, e) for b, e in zip(bandwidth, efficiency, strict=True) if b > 0.0 and e > 0.0]
    if len(efficiency) > _FEW or rho < _SMALL_EXPONENT:
        return float(effective_rate(bandwidth, efficiency, rho))
    if not held:
        return 0.0
    in_range = total = 0.0
    for e in efficiency:
        in_range += e
    top, powers = _powers(tuple([b for b, _ in held]), rho)
    for (_, e), power in zip(held, powers, strict=True):
        total += e / in_range * power
    return float(in_range * np.exp((top + np.log(total)) / rho))


@lru_cache(maxsize=4096)  # links change more often than what is held
def _powers(values: tuple[float, ...], exponent: float) -> tuple[float, list[float]]:
    """The logarithm of the largest power of some values, and each power in units of that."""
    logs = [exponent * log for log in np.log(values).tolist()]
    top = max(logs)
    return top, np.exp([log - top for log in logs]).tolist()


def immersion(rate: npt.ArrayLike, alpha: npt.ArrayLike, required_rate: npt.ArrayLike) -> FloatArray:
    """[...] ``G = alpha ln(1 + X/d)``, credit: Weber-Fechner perception of how fresh the twin arrives."""
    x, weight, wanted = _floats(rate, alpha, required_rate)
    return np.asarray(weight * np.log1p(x / wanted))


def age_of_migration(rate: npt.ArrayLike, twin_size: npt.ArrayLike) -> FloatArray:
    """[...] age of twin migration ``A = D / X``, s; inf where nothing is bought."""
    x, size = _floats(rate, twin_size)
    with np.errstate(divide="ignore"):
        return np.asarray(size / x)


def utility(
    bandwidth: npt.ArrayLike,
    prices: npt.ArrayLike,
    efficiency: npt.ArrayLike,
    alpha: npt.ArrayLike,
    required_rate: npt.ArrayLike,
    rho: npt.ArrayLike,
) -> FloatArray:
    """[...] ``U = G - sum_m p_m b_m``, credit, of any bandwidth [..., M] >= 0."""
    gained = immersion(effective_rate(bandwidth, efficiency, rho), alpha, required_rate)
    p, b = _floats(prices, bandwidth)
    return np.asarray(gained - (p * b).sum(axis=-1))


def utilities(market: Market, prices: npt.ArrayLike, bandwidth: npt.ArrayLike) -> FloatArray:
    """[..., N] utility of every UAV, credit, at ``prices`` [..., M] with any ``bandwidth`` [..., N, M]."""
    p = np.asarray(prices, dtype=np.float64)[..., None, :]
    return utility(bandwidth, p, market.efficiency, market.alpha, market.required_rate, market.rho[..., None])


def _floats(*values: npt.ArrayLike) -> tuple[FloatArray, ...]:
    return tuple(np.asarray(value, dtype=np.float64) for value in values)


def _power_mean(
    values: FloatArray, weights: FloatArray, exponent: FloatArray, otherwise: float
) -> tuple[FloatArray, FloatArray]:
    """Weighted power mean ``(sum_m w_m v_m^k)^(1/k)`` over the last axis, and each term's share of that sum.

    The largest term is factored out, so no exponent overflows. ``otherwise`` where every weight is 0.
    values: [..., M] >= 0. weights: [..., M], sum 1, or all 0. exponent: [...], not 0. Returns [...] and [..., M].
    """
    k = np.asarray(exponent)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(weights > 0.0, k * np.log(values), -np.inf)
        top = logs.max(axis=-1, keepdims=True, initial=-np.inf)
        logs -= np.where(np.isfinite(top), top, 0.0)
        terms = weights * np.exp(logs)
        total = terms.sum(axis=-1, keepdims=True)
        log_total = np.log(total)
        if np.abs(k).min(initial=1.0) < _SMALL_EXPONENT:
            short = (weights * np.expm1(logs)).sum(axis=-1, keepdims=True)
            log_total = np.where(short > -0.5, np.log1p(short), log_total)
        mean = np.exp((top + log_total) / k)
        mean = np.where(total > 0.0, mean, otherwise)
    return mean[..., 0], terms / np.where(total > 0.0, total, 1.0)
