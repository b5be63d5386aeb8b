"""Slopes of series that begin anew now and then: a leak is found, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("psutil", reason="needs psutil")

from uav_twin_migration.errors import InputError
from uav_twin_migration.studies.benchmarks.soak import (
    MEMORY,
    STORE,
    Course,
    Row,
    Trend,
    course_of,
    trends_of,
    worst,
)
from uav_twin_migration.studies.slopes import Array, slope

HOUR = np.linspace(0.0, 1.0, 720)
LIVES = (HOUR * 5.0).astype(int)  # restarted every twelve minutes


def noise(seed: int, size: float = 0.5) -> Array:
    return np.random.default_rng(seed).normal(0.0, size, len(HOUR))


def test_a_leak_is_found_across_restarts_that_hide_it() -> None:
    since_start = HOUR - LIVES / 5.0
    memory = 90.0 + 6.0 * since_start + noise(1)  # 6 MB/h, all given back at every restart
    found = slope(HOUR, memory, LIVES)
    assert found.low < 6.0 < found.high
    assert not found.flat
    assert slope(HOUR, memory, np.zeros_like(LIVES)).value < 1.0  # in one piece it would not be seen


def test_what_only_jumps_at_restarts_is_flat() -> None:
    memory = 90.0 + 5.0 * LIVES + noise(2)
    assert slope(HOUR, memory, LIVES).flat
    assert not slope(HOUR, memory, np.zeros_like(LIVES)).flat


def test_flat_series_are_called_flat_as_often_as_the_confidence_says() -> None:
    def wandering(seed: int) -> Array:
        """Each sample is like the one before, as memory is."""
        series, steps = np.zeros(len(HOUR)), noise(seed)
        for now in range(1, len(HOUR)):
            series[now] = 0.8 * series[now - 1] + steps[now]
        return series

    flat = [slope(HOUR, wandering(seed), LIVES).flat for seed in range(200)]
    assert sum(flat) >= 180  # 95 % of them, and the estimated autocorrelation is a little low


def test_a_constant_series_has_slope_zero_and_no_doubt() -> None:
    assert slope(HOUR, np.full(len(HOUR), 17.0), LIVES) == (0.0, 0.0, 0.0)


def test_too_few_samples_tell_nothing_and_missing_ones_are_left_out() -> None:
    assert math.isnan(slope([0.0, 1.0], [1.0, 2.0], [0, 0]).value)
    assert math.isnan(slope([], [], []).value)
    gaps = np.where(np.arange(len(HOUR)) % 3 == 0, math.nan, 2.0 * HOUR)
    assert slope(HOUR, gaps, LIVES).value == pytest.approx(2.0)


@settings(max_examples=50)
@given(st.floats(-50.0, 50.0), st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=5), st.floats(0.1, 10.0))
def test_offsets_of_segments_do_not_matter_and_scale_does_what_it_should(
    true: float, offsets: list[float], scale: float
) -> None:
    values = true * HOUR + noise(3)
    plain = slope(HOUR, values, LIVES % 5)
    moved = slope(HOUR, scale * (values + np.array(offsets)[LIVES % 5]), LIVES % 5)
    assert moved == pytest.approx(tuple(scale * end for end in plain), abs=1e-6)


def rows(process: str, growth: float) -> list[Row]:
    """Two lives of a process, restarted after half an hour, whose memory grows and whose store does."""
    return [
        Row(s, process, s // 1800, s % 1800, 100.0 + growth * (s % 1800) / 3600.0, 20, 9, store=s / 3600.0)
        for s in range(0, 3600, 5)
    ]


def test_the_worst_process_is_the_one_that_grows_most() -> None:
    trends = trends_of([*rows("rsu_1", 0.0), *rows("rsu_2", 8.0)], Course(), ["rsu_1", "rsu_2"])
    leaking: Trend = worst(trends, MEMORY)
    assert (leaking.process, round(leaking.slope.value, 6)) == ("rsu_2", 8.0)
    assert worst(trends, STORE).slope.value == pytest.approx(1.0)  # through restarts
    assert leaking.first == pytest.approx(100.5, abs=0.1)  # after the warm-up


def test_how_long_it_takes_is_read_from_the_environment() -> None:
    assert course_of("") == Course()
    assert course_of("10") == Course(600.0, 90.0, 2.5, 30.0)
    for bad in ("soon", "0", "-3", "nan", "1e300"):
        with pytest.raises(InputError):
            course_of(bad)
