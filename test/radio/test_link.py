"""SNR, efficiency, loss: by hand, and what the defaults result in (docs/radio.md states it)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.radio.link import (
    HIGHEST_EFFICIENCY,
    Links,
    links,
    minimum_snr,
    noise,
    packet_loss,
    snr,
    spectral_efficiency,
)
from uav_twin_migration.scenario.model import RadioParameters

DEFAULTS = RadioParameters()


def at(ground: float, *, los: bool = True, height: float = 100.0, reach: float = 1e4) -> Links:
    return links(DEFAULTS, [[0.0, 0.0, 15.0]], [reach], [[ground, 0.0, height]], los)


def test_link_budget_by_hand() -> None:
    # -174 dBm/Hz + 73.0103 dB (20 MHz) + 9 dB
    assert noise(DEFAULTS) == pytest.approx(-91.9897, abs=1e-4)
    # 23 dBm + 2 dBi - 90 dB + 91.9897 dBm
    assert snr(DEFAULTS, 90.0) == pytest.approx(26.9897, abs=1e-4)
    # log2(1 + 10^((13 - 3) / 10)) = log2(11)
    assert spectral_efficiency(13.0, 3.0) == pytest.approx(np.log2(11.0))
    # 2^0.234375 - 1 = 0.17641, -7.535 dB
    assert minimum_snr(3.0) == pytest.approx(-4.535, abs=1e-3)
    # 1 - exp(-10^((-4.535 - 15.465) / 10)) = 1 - exp(-0.01)
    assert packet_loss(15.465, 3.0) == pytest.approx(0.00995, abs=1e-5)


def test_efficiency_is_that_of_5g_between_its_lowest_and_highest_scheme() -> None:
    assert pytest.approx(7.4063, abs=5e-5) == HIGHEST_EFFICIENCY
    assert spectral_efficiency(60.0, 3.0) == HIGHEST_EFFICIENCY
    threshold = minimum_snr(3.0)
    assert spectral_efficiency(threshold + 0.001, 3.0) == pytest.approx(0.2344, abs=1e-3)
    assert spectral_efficiency(threshold - 0.001, 3.0) == 0.0


def test_the_defaults_result_in_what_the_documentation_says() -> None:
    assert at(100.0).snr == pytest.approx(30.2, abs=0.05)
    assert at(600.0).snr == pytest.approx(16.1, abs=0.05)
    assert at(100.0).efficiency == HIGHEST_EFFICIENCY
    assert at(600.0).efficiency == pytest.approx(4.41, abs=0.01)
    assert at(300.0, los=False).efficiency == pytest.approx(1.15, abs=0.01)


def test_nothing_is_served_beyond_the_range() -> None:
    assert at(599.9, reach=600.0).efficiency > 0
    beyond = at(600.1, reach=600.0)
    assert beyond.efficiency == 0.0
    assert beyond.loss == 1.0
    assert np.isfinite(beyond.snr)


@given(st.lists(st.floats(-60.0, 80.0), min_size=2, max_size=20), st.floats(0.0, 10.0))
def test_a_better_signal_never_carries_less_or_loses_more(values: list[float], implementation_loss: float) -> None:
    ratio = np.sort(values)
    assert (np.diff(spectral_efficiency(ratio, implementation_loss)) >= 0).all()
    loss = packet_loss(ratio, implementation_loss)
    assert (np.diff(loss) <= 0).all()
    assert ((loss >= 0) & (loss <= 1)).all()


def test_batches_of_games_give_what_each_game_gives() -> None:
    rng = np.random.default_rng(1)
    antennas = np.concatenate([rng.uniform(-500, 500, (7, 3, 2)), np.full((7, 3, 1), 15.0)], axis=-1)
    positions = np.concatenate([rng.uniform(-500, 500, (7, 5, 2)), rng.uniform(1, 300, (7, 5, 1))], axis=-1)
    ranges, los = rng.uniform(200, 900, (7, 3)), rng.random((7, 5, 3)) < 0.5
    batch = links(DEFAULTS, antennas, ranges, positions, los)
    for game in range(7):
        one = links(DEFAULTS, antennas[game], ranges[game], positions[game], los[game])
        for name in ("distance", "line_of_sight", "snr", "efficiency", "loss"):
            assert np.array_equal(getattr(batch, name)[game], getattr(one, name))
