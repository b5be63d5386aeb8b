"""The tiny actor: what it computes, and how an action becomes a price."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.policy.actor import Actor, action_of, price_of
from uav_twin_migration.policy.single import ask


def test_it_is_a_relu_perceptron() -> None:
    actor = Actor([([[1.0, -1.0], [0.0, 2.0]], [0.0, -1.0]), ([[3.0, 0.5]], [0.25])])
    # hidden: max(2 - 3, 0) = 0 and max(2 * 3 - 1, 0) = 5
    assert actor(np.array([2.0, 3.0])) == pytest.approx(2.75)
    assert actor.sizes == (2, 2, 1)
    assert actor.parameters == 9


def test_a_batch_is_many_single_ones() -> None:
    rng = np.random.default_rng(1)
    sizes = (7, 5, 4, 1)
    actor = Actor([(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in itertools.pairwise(sizes)])
    observations = rng.normal(size=(3, 2, 7)).astype(np.float32)
    together = actor(observations)
    assert together.shape == (3, 2)
    for index in np.ndindex(3, 2):
        assert together[index] == pytest.approx(actor(observations[index]), rel=1e-5)


@given(
    st.floats(-1e6, 1e6),
    st.floats(0.01, 100.0),
    st.floats(1.0, 100.0),
)
def test_a_price_lies_between_cost_and_cap(action: float, cost: float, ratio: float) -> None:
    cap = cost * ratio
    assert cost <= price_of(action, cost, cap) <= cap
    assert ask(action, cost, cap) == pytest.approx(float(price_of(action, cost, cap)), rel=1e-12)


@given(st.floats(-10.0, 10.0), st.floats(0.1, 10.0), st.floats(1.5, 100.0))
def test_action_of_undoes_price_of(action: float, cost: float, ratio: float) -> None:
    price = price_of(action, cost, cost * ratio)
    assert action_of(price, cost, cost * ratio) == pytest.approx(action, abs=1e-6)


def test_action_zero_is_the_geometric_mean() -> None:
    assert price_of(0.0, 2.0, 18.0) == pytest.approx(6.0)
    assert np.isfinite(action_of([2.0, 18.0], 2.0, 18.0)).all()
