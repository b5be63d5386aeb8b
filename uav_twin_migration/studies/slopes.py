"""Does something grow? The slope of a series that begins anew now and then, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as students_t

Array = NDArray[np.float64]

CONFIDENCE = 0.95


class Slope(NamedTuple):
    """A slope, and the ends of its confidence interval; in units of the values by units of the times."""

    value: float
    low: float
    high: float

    @property
    def flat(self) -> bool:
        """Whether 0 is in the interval."""
        return self.low <= 0.0 <= self.high


UNKNOWN = Slope(math.nan, -math.inf, math.inf)


def slope(times: ArrayLike, values: ArrayLike, segments: ArrayLike) -> Slope:
    """The slope that all segments share, each with an offset of its own: least squares. NaN values are left out.

    Samples that follow each other are alike, so they count as fewer than they are: with r, the autocorrelation of
    neighbouring residuals, n samples count as n (1 - r) / (1 + r) (Santer et al., J. Geophys. Res. 105, 2000, eq. 6).
    `UNKNOWN` where there are too few of them.
    """
    time, value, segment = (np.asarray(column, dtype=np.float64) for column in (times, values, segments))
    known = np.isfinite(value)
    time, value, segment = time[known], value[known], segment[known]
    pieces = [segment == number for number in np.unique(segment)]
    for piece in pieces:
        time[piece] -= time[piece].mean()
        value[piece] -= value[piece].mean()
    spread = float(time @ time)
    if spread == 0.0 or len(time) < len(pieces) + 2:
        return UNKNOWN
    best = float(time @ value) / spread
    residual = value - best * time
    counted = len(time) * _independent(residual, pieces)
    freedom = max(counted - len(pieces) - 1.0, 1.0)
    error = math.sqrt(float(residual @ residual) / freedom / spread)
    margin = float(students_t.ppf(0.5 + CONFIDENCE / 2.0, freedom)) * error
    return Slope(best, best - margin, best + margin)


def _independent(residual: Array, pieces: Sequence[NDArray[np.bool_]]) -> float:
    """The share of the samples that is news."""
    in_all = float(residual @ residual)
    if in_all <= 1e-24 * len(residual):
        return 1.0
    neighbours = sum(float(residual[piece][1:] @ residual[piece][:-1]) for piece in pieces)
    alike = min(max(neighbours / in_all, 0.0), 0.99)
    return (1.0 - alike) / (1.0 + alike)
