"""Small-scale fading: what many paths at once do to a link within the centimetres that a UAV flies in a millisecond.

The received power is the mean times g, which is distributed as the square of a Rician amplitude: with a steady path K
times as strong as all others together in line of sight (3GPP TR 36.777, Annex B, alternative 3: K is 15 dB), and
without one where the link is blocked (Rayleigh). A measurement lasts longer than dozens of fades, so that what counts
is their mean: there is no chance in it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Rate = Callable[[ArrayLike, float], Array]  # bit/s/Hz at an SNR (dB) with an implementation loss (dB)

FADES = 256  # values of g that stand for its distribution, each as likely as the others
DEEPEST, HIGHEST, STEP = -60.0, 12.0, 0.05  # dB, of g where its distribution is tabled
SNRS = np.arange(-40.0, 60.01, 0.25)  # dB, at which means are tabled


@functools.cache
def _table(steady: float) -> tuple[Array, Array]:
    """Fades in dB, and the probability of a deeper one; `steady` is K in linear terms.

    g is a Poisson mixture of Erlang distributions: with k of mean K, (1 + K) g is a sum of k + 1 exponential variables.
    (Simon and Alouini, Digital Communication over Fading Channels, 2005, section 2.2.1: noncentral chi-square.)
    """
    fades = np.arange(DEEPEST, HIGHEST + STEP / 2, STEP)
    mean = (1.0 + steady) * 10 ** (fades / 10)
    most = int(steady + 12.0 * math.sqrt(steady + 1.0) + 20.0)
    below = np.zeros_like(mean)
    term, reached = np.exp(-mean), np.exp(-mean)  # P(Poisson(mean) = k), and <= k
    share = math.exp(-steady)
    for k in range(most):
        below += share * (1.0 - reached)
        share *= steady / (k + 1)
        term = term * mean / (k + 1)
        reached = reached + term
    return fades, np.clip(np.maximum.accumulate(below), 0.0, 1.0)


@functools.cache
def _typical(steady: float) -> Array:
    """[FADES] dB, the distribution's quantiles; their mean power is 1."""
    fades, below = _table(steady)
    rising = np.concatenate([[True], np.diff(below) > 0.0])
    found = np.interp((np.arange(FADES) + 0.5) / FADES, below[rising], fades[rising])
    return np.asarray(found - 10 * np.log10(np.mean(10 ** (found / 10))))


def outage(margin_db: ArrayLike, k_factor_db: float | None) -> Array:
    """Share of the time that the power is more than `margin_db` below its mean; k_factor_db None: Rayleigh."""
    fades, below = _table(_linear(k_factor_db))
    return np.asarray(np.interp(-np.asarray(margin_db, dtype=float), fades, below))


def mean_over_fades(rate: Rate, implementation_loss: float, snr_db: ArrayLike, k_factor_db: float | None) -> Array:
    """The mean of `rate(SNR in dB, implementation_loss)` over the fades of links of mean SNRs (dB), by a table."""
    return np.asarray(
        np.interp(np.asarray(snr_db, dtype=float), SNRS, _means(rate, implementation_loss, _linear(k_factor_db)))
    )


@functools.lru_cache(maxsize=64)
def _means(rate: Rate, implementation_loss: float, steady: float) -> Array:
    return np.asarray(rate(SNRS[:, None] + _typical(steady), implementation_loss).mean(axis=1))


def _linear(k_factor_db: float | None) -> float:
    return 0.0 if k_factor_db is None else 10 ** (k_factor_db / 10)
