"""Rivals that keep jumping: who is told apart, and how much each past round counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.market.leader import RoundResult
from uav_twin_migration.policy import habits
from uav_twin_migration.policy.single import restless

LEVELS = st.lists(st.floats(-2.0, 3.0), min_size=1, max_size=24)  # logarithms of a rival's prices, newest first


def history(levels: list[float]) -> tuple[list[RoundResult], tuple[float, ...]]:
    """Closed rounds in which one rival posted that, oldest first; and what it posted last."""
    posted = [(math.exp(level),) for level in levels]
    rounds = [RoundResult(i, 2.0, 1.0, 1.0, 1.0, 1, before) for i, before in enumerate([*posted[1:], ()][::-1])]
    return rounds, posted[0]


@given(LEVELS)
def test_an_rsu_tells_the_same_rivals_apart_as_a_batch(levels: list[float]) -> None:
    seen = levels[: habits.PAST]
    jumping = len(seen) >= habits.FEWEST and habits.misses(np.array(seen))[0] > habits.RESTLESS + 1e-9
    calm = len(seen) < habits.FEWEST or habits.misses(np.array(seen))[0] < habits.RESTLESS - 1e-9
    told = restless(*history(levels))
    if jumping:
        assert told == pytest.approx(seen)
    if calm:
        assert not told


@pytest.mark.parametrize("levels", [[0.0] * 8, [1.0, 1.0, 1.0, 0.0, 0.0], [0.1 * k for k in range(16)]])
def test_one_jump_or_a_slow_change_is_no_restlessness(levels: list[float]) -> None:
    assert not restless(*history(levels))


@pytest.mark.parametrize("period", [2, 3, 4])
def test_rivals_in_turn_are_foreseen(period: int) -> None:
    prices = [0.0, 2.0, 0.7, 1.4][:period]
    levels = np.array([prices[-round_ % period] for round_ in range(1, habits.PAST + 1)])
    weight = habits.weights(habits.misses(levels), np.ones(habits.PAST // 2))
    habit = np.arange(1, habits.PAST // 2 + 1)
    assert weight[habit % period == 0].sum() > 0.95


@given(st.integers(0, 99), st.floats(1e-3, 1e3))
def test_weights_know_no_currency_and_add_up(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    missed, earned = habits.misses(random.normal(size=(16, 3))), random.exponential(size=(8, 3))
    weight = habits.weights(missed, earned)
    assert weight.sum(axis=0) == pytest.approx(1.0)
    assert weight == pytest.approx(habits.weights(missed, scale * earned))


def test_nothing_earned_is_no_reason_to_ask_nothing() -> None:
    weight = habits.weights(np.zeros((3, 1)), np.array([[0.0], [-1.0], [0.0]]))
    assert weight == pytest.approx(1.0 / 3.0)
