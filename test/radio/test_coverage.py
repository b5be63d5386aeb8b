"""Predicted stay in coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.radio.coverage import predicted_stay, predicted_stay_of_one


@pytest.mark.parametrize(
    ("position", "velocity", "stay"),
    [
        ((0, 0), (10, 0), 60.0),  # from the centre: a radius
        ((-600, 0), (10, 0), 120.0),  # on the rim, inwards: a diameter
        ((600, 0), (10, 0), 0.0),  # on the rim, outwards
        ((360, 0), (0, 8), 60.0),  # half a chord: sqrt(600^2 - 360^2) = 480
        ((700, 0), (-10, 0), 0.0),  # not in coverage yet
        ((100, 100), (0, 0), np.inf),
        ((700, 0), (0, 0), 0.0),
    ],
)
def test_by_hand(position: tuple[int, int], velocity: tuple[int, int], stay: float) -> None:
    assert predicted_stay(position, velocity, (0, 0), 600) == pytest.approx(stay)


@given(st.floats(0, 0.999), st.floats(-np.pi, np.pi), st.floats(-np.pi, np.pi), st.floats(1e-6, 1e3))
def test_the_uav_is_on_the_rim_then(depth: float, bearing: float, course: float, speed: float) -> None:
    position = 600 * depth * np.array([np.cos(bearing), np.sin(bearing)])
    velocity = speed * np.array([np.cos(course), np.sin(course)])
    stay = predicted_stay(position, velocity, (0, 0), 600)
    assert stay > 0
    assert np.hypot(*(position + stay * velocity)) == pytest.approx(600, rel=1e-9)


def test_all_pairs_at_once() -> None:
    rng = np.random.default_rng(1)
    position, velocity = rng.uniform(-800, 800, (7, 2)), rng.uniform(-15, 15, (7, 2))
    centre, reach = rng.uniform(-300, 300, (3, 2)), rng.uniform(300, 700, 3)
    stays = predicted_stay(position[:, None], velocity[:, None], centre, reach)
    assert stays.shape == (7, 3)
    assert stays[4, 1] == predicted_stay(position[4], velocity[4], centre[1], reach[1])


@given(
    st.tuples(*[st.floats(-1e4, 1e4)] * 2),
    st.tuples(*[st.sampled_from([0.0, 3.0, -7.5])] * 2) | st.tuples(*[st.floats(-50, 50)] * 2),
    st.tuples(*[st.floats(-1e4, 1e4)] * 2),
    st.floats(0, 3e4),
)
def test_one_pair_is_the_same_to_the_bit(
    position: tuple[float, float], velocity: tuple[float, float], centre: tuple[float, float], reach: float
) -> None:
    assert predicted_stay_of_one(position, velocity, centre, reach) == predicted_stay(position, velocity, centre, reach)
