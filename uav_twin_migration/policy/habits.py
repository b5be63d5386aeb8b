"""Rivals that keep jumping: which of the past rounds the next one will be like.

A policy answers the last round, as where everybody learns the next one is like it. Rivals that take turns between two
prices, or ask any, are another matter: who answers what they asked last is always late. A habit of `k` rounds says that
they ask what they asked `k` rounds ago, and has been wrong by so much on the whole (`misses`). Where the habit of one
round is wrong by more than `RESTLESS` most of the time, the policy is asked once for each habit, as if only every
`k`-th round had been played, and its answers are averaged: by how right the habit was, and by what its round earned, as
most is at stake where rivals are dear. So rivals in turn are foreseen, and against random ones the price is about the
best on average over what they have asked lately.

Nobody who follows a policy or a rule jumps like that: one jump, as after a change, is not enough.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

PAST = 16  # closed rounds that are looked at
FEWEST = 4  # of them, to tell a habit
RESTLESS = 0.2  # change of the logarithm of rivals' prices, on average over rivals, in the median round
ALIKE = 0.3  # the same: by how much a habit may be worse than the best one and still count
LEAST_STAKE = 1e-3  # of what the best round earned


def misses(levels: FloatArray) -> FloatArray:
    """[T // 2, ...] by how much each habit, of 1, 2, ... rounds, has been wrong: the median of absolute values.

    levels: [T, ...] logarithms of rivals' prices, their mean, newest round first; NaN where none was heard.
    """
    rounds = len(levels)
    return np.stack([np.median(np.abs(levels[:-k] - levels[k:]), axis=0) for k in range(1, rounds // 2 + 1)])


def weights(missed: FloatArray, earned: FloatArray) -> FloatArray:
    """[K, ...] of the answers by each habit; they add up to 1.

    missed: [K, ...] of habits. earned: [K, ...] credit, the profits of the last K rounds, newest first.
    """
    most = np.maximum(earned.max(axis=0), 1e-300)
    stake = np.maximum(earned / most, LEAST_STAKE) ** 2
    right = np.exp(-(((missed - missed.min(axis=0)) / ALIKE) ** 2))
    weight = stake * right
    return np.asarray(weight / weight.sum(axis=0))
