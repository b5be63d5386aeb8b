"""Path loss: values worked out by hand from the tables, and the laws that the formulas obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from uav_twin_migration.radio.path_loss import AERIAL, breakpoint_distance, path_loss

ENVIRONMENTS = ("UMi-AV", "UMa-AV")


def over(distance: float, rise: float) -> float:
    """Ground distance of a link of the given length in space."""
    return float(np.sqrt(distance**2 - rise**2))


# Columns: environment, f (GHz), ground distance, antenna height, height (m), line of sight, loss (dB); the working.
BY_HAND = [
    # 30.9 + (22.25 - 0.5 x 2) x 2.30103 + 10.88136
    ("UMi-AV", 3.5, over(200, 90), 10.0, 100.0, True, 90.6782),
    # free space is more there: 32.4 + 20 x 1.30103 + 10.88136 (against 30.9 + 21.01144 x 1.30103 + 10.88136 = 69.118)
    ("UMi-AV", 3.5, over(20, 10), 290.0, 300.0, True, 69.3020),
    # 32.4 + (43.2 - 7.6 x 2) x 2.30103 + 10.88136
    ("UMi-AV", 3.5, over(200, 90), 10.0, 100.0, False, 107.7102),
    # 28 + 22 x 2.69897 + 6.0206
    ("UMa-AV", 2.0, over(500, 25), 25.0, 50.0, True, 93.3979),
    # -17.5 + (46 - 7 x 1.69897) x 2.69897 + 20 log10(40 pi 2 / 3) = -17.5 + 92.0543 + 38.4624
    ("UMa-AV", 2.0, over(500, 25), 25.0, 50.0, False, 113.0167),
    # above 100 m as at 100 m: -17.5 + 32 x 2.69897 + 38.4624
    ("UMa-AV", 2.0, over(500, 175), 25.0, 200.0, False, 107.3294),
    # before the breakpoint 4 x 9 x 0.5 x 3.5e9 / 3e8 = 210 m; d = 100.3606: 32.4 + 21 x 2.001564 + 10.88136
    ("UMi-AV", 3.5, 100.0, 10.0, 1.5, True, 85.3142),
    # beyond it; d = 400.0903: 32.4 + 40 x 2.602158 + 10.88136 - 9.5 x log10(210^2 + 8.5^2) = ... - 9.5 x 4.645149
    ("UMi-AV", 3.5, 400.0, 10.0, 1.5, True, 103.2388),
    # 35.3 x 2.001564 + 22.4 + 21.3 x 0.544068 - 0
    ("UMi-AV", 3.5, 100.0, 10.0, 1.5, False, 104.6439),
    # before the breakpoint 4 x 24 x 19 x 2e9 / 3e8 = 12160 m; d = 500.025: 28 + 22 x 2.698992 + 6.0206
    ("UMa-AV", 2.0, 500.0, 25.0, 20.0, True, 93.3984),
    # 13.54 + 39.08 x 2.698992 + 6.0206 - 0.6 x 18.5
    ("UMa-AV", 2.0, 500.0, 25.0, 20.0, False, 113.9372),
    # beyond 320 m; d = 1000.276: 28 + 40 x 3.00012 + 6.0206 - 9 x log10(320^2 + 23.5^2) = ... - 9 x 5.012636
    ("UMa-AV", 2.0, 1000.0, 25.0, 1.5, True, 108.9117),
]


@pytest.mark.parametrize(("environment", "f", "ground", "antenna", "height", "los", "loss"), BY_HAND)
def test_values_by_hand(
    environment: str, f: float, ground: float, antenna: float, height: float, los: bool, loss: float
) -> None:
    assert path_loss(environment, f, ground, antenna, height, los) == pytest.approx(loss, abs=5e-4)


heights = st.floats(1.5, 300.0)
antennas = st.floats(3.0, 40.0)
frequencies = st.floats(0.5, 60.0)


@given(st.sampled_from(ENVIRONMENTS), frequencies, antennas, heights, st.booleans())
def test_loss_never_falls_with_distance(environment: str, f: float, antenna: float, height: float, los: bool) -> None:
    ground = np.geomspace(1.0, 4000.0, 400)
    assert (np.diff(path_loss(environment, f, ground, antenna, height, los)) >= -1e-9).all()


@given(st.sampled_from(ENVIRONMENTS), frequencies, antennas, heights, st.floats(0.0, 4000.0))
def test_line_of_sight_never_costs(environment: str, f: float, antenna: float, height: float, ground: float) -> None:
    losses = path_loss(environment, f, ground, antenna, height, [True, False])
    assert losses[0] <= losses[1]


@given(st.sampled_from(ENVIRONMENTS), st.floats(0.5, 6.0), antennas, st.floats(1.5, AERIAL))
def test_loss_is_continuous_at_the_breakpoint(environment: str, f: float, antenna: float, height: float) -> None:
    at = breakpoint_distance(np.float64(f), np.float64(antenna), np.float64(height))
    assume(at > 11)  # below 10 m the table does not hold
    before, after = path_loss(environment, f, at * np.array([1 - 1e-9, 1 + 1e-9]), antenna, height, True)
    assert before == pytest.approx(after, abs=1e-6)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("los", [True, False])
def test_loss_is_continuous_in_height_except_between_the_two_models(environment: str, los: bool) -> None:
    for low, high in ((0.0, AERIAL), (AERIAL + 1e-9, 400.0)):
        loss = path_loss(environment, 3.5, 300.0, 15.0, np.linspace(low, high, 4001), los)
        assert np.abs(np.diff(loss)).max() < 0.05


def test_shapes_broadcast_and_extremes_are_finite() -> None:
    ground = np.zeros((5, 4, 3))
    loss = path_loss("UMi-AV", 3.5, ground, np.array([5.0, 15.0, 25.0]), np.linspace(0, 1000, 4)[:, None], True)
    assert loss.shape == (5, 4, 3)
    assert np.isfinite(loss).all()
    with pytest.raises(ValueError, match="UMi-AV or UMa-AV"):
        path_loss("RMa-AV", 3.5, 100.0, 15.0, 100.0, True)
