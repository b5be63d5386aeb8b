"""Small-scale fading and interference, against closed forms and chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.radio.fading import mean_over_fades, outage
from uav_twin_migration.radio.link import LOWEST_EFFICIENCY, interfered, links, packet_loss, spectral_efficiency
from uav_twin_migration.scenario.model import RadioParameters

DEFAULTS = RadioParameters()
ANTENNAS = [[0.0, 0.0, 15.0], [300.0, 0.0, 15.0], [0.0, 400.0, 15.0]]
PLACES = [[50.0, 20.0, 100.0], [200.0, 100.0, 100.0], [100.0, 350.0, 60.0]]


def rician(k_factor: float, count: int) -> np.ndarray:
    """Powers of mean 1, drawn from their definition."""
    dice, steady = np.random.default_rng(1), 10 ** (k_factor / 10)
    noise = dice.normal(size=count) + 1j * dice.normal(size=count)
    return np.asarray(np.abs(np.sqrt(steady / (steady + 1)) + noise / np.sqrt(2 * (steady + 1))) ** 2)


@given(st.floats(-4.0, 40.0))
def test_rayleigh_outage_is_the_closed_form(snr: float) -> None:
    margin = snr + 4.5349
    assert outage(margin, None) == pytest.approx(packet_loss(snr, 3.0), rel=2e-2, abs=1e-5)


@pytest.mark.parametrize("k_factor", [0.0, 7.0, 15.0])
@pytest.mark.parametrize("margin", [-1.0, 1.0, 3.0])
def test_rician_outage_is_what_is_drawn(k_factor: float, margin: float) -> None:
    drawn = np.mean(rician(k_factor, 400_000) < 10 ** (-margin / 10))
    assert outage(margin, k_factor) == pytest.approx(drawn, abs=4e-3)


@pytest.mark.parametrize("k_factor", [None, 3.0, 15.0])
@pytest.mark.parametrize("snr", [0.0, 8.0, 20.0])
def test_the_mean_efficiency_is_what_is_drawn(k_factor: float | None, snr: float) -> None:
    power = rician(-100.0 if k_factor is None else k_factor, 400_000)
    drawn = spectral_efficiency(snr + 10 * np.log10(power), 3.0).mean()
    assert mean_over_fades(spectral_efficiency, 3.0, snr, k_factor) == pytest.approx(drawn, abs=0.02)


def test_a_link_in_line_of_sight_loses_hardly_anything_and_a_blocked_one_much() -> None:
    radio = replace(DEFAULTS, small_scale="rician")
    for free, least, most in ((True, 0.97, 1.01), (False, 0.7, 0.95)):
        calm = links(DEFAULTS, ANTENNAS, [1e4] * 3, PLACES, free)
        fading = links(radio, ANTENNAS, [1e4] * 3, PLACES, free)
        good = (calm.efficiency > 1.0) & (calm.efficiency < 6.0)
        share = fading.efficiency[good] / calm.efficiency[good]
        assert least < share.min() <= share.max() < most
        assert (fading.snr == calm.snr).all()


@given(st.floats(0.0, 1.0), st.integers(0, 2))
def test_interference_is_the_others_power(load: float, n: int) -> None:
    calm = links(DEFAULTS, ANTENNAS, [1e4] * 3, PLACES, True)
    loud = links(replace(DEFAULTS, neighbour_load=load), ANTENNAS, [1e4] * 3, PLACES, True)
    power = 10 ** (calm.snr[n] / 10)
    for m in range(3):
        by_hand = 10 * np.log10(power[m] / (1.0 + load * (power.sum() - power[m])))
        assert loud.snr[n, m] == pytest.approx(by_hand, abs=1e-6)
    assert (loud.efficiency <= calm.efficiency).all()


def test_without_neighbours_or_load_there_is_no_interference() -> None:
    assert interfered([[3.0]], 1.0).tolist() == [[3.0]]
    assert interfered([[3.0, 5.0]], 0.0).tolist() == [[3.0, 5.0]]
    assert np.isfinite(interfered([[3.0, -200.0]], 1.0)).all()


def test_defaults_have_neither() -> None:
    assert (DEFAULTS.neighbour_load, DEFAULTS.small_scale) == (0.0, "none")
    assert spectral_efficiency(-4.4, 3.0) >= LOWEST_EFFICIENCY
