"""From path loss to what a link can carry: SNR, spectral efficiency and packet loss; docs/radio.md tells the model.

Everything is vectorised: N UAVs against M RSUs, and any leading axes before them (games, times).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uav_twin_migration.radio import fading
from uav_twin_migration.radio.path_loss import path_loss
from uav_twin_migration.scenario.model import RadioParameters

Array = NDArray[np.float64]

THERMAL_NOISE = -174.0  # dBm/Hz, k T at 290 K
HIGHEST_EFFICIENCY = 948 / 1024 * 8  # bit/s/Hz, 7.4063: MCS 27, 256QAM, TS 38.214 Table 5.1.3.1-2
LOWEST_EFFICIENCY = 120 / 1024 * 2  # bit/s/Hz, 0.2344: MCS 0, QPSK, same table


@dataclass(frozen=True)
class Links:
    """All links between N UAVs and M RSUs, each field [..., N, M]."""

    distance: Array  # m, in space, between UAV and antenna
    line_of_sight: NDArray[np.bool_]
    snr: Array  # dB; over noise and, where that is counted, interference
    efficiency: Array  # bit/s/Hz; 0 beyond the RSU's range and below the lowest modulation and coding
    loss: Array  # share of packets lost, 0 to 1; 1 where the efficiency is 0


def links(
    radio: RadioParameters,
    antennas: ArrayLike,
    ranges: ArrayLike,
    positions: ArrayLike,
    line_of_sight: ArrayLike,
    known_loss: ArrayLike | None = None,
) -> Links:
    """Quality of all links between UAVs and RSUs.

    Args:
        antennas: [..., M, 3] m, antenna height included.
        ranges: [..., M] m of ground distance beyond which an RSU serves nobody.
        positions: [..., N, 3] m, of the UAVs.
        line_of_sight: [..., N, M], see `line_of_sight.View`.
        known_loss: [..., N, M] dB of path loss where it is known otherwise, as from a radio map; NaN where it is not.
    """
    antennas, positions = np.asarray(antennas, dtype=float), np.asarray(positions, dtype=float)
    offset = positions[..., :, None, :] - antennas[..., None, :, :]
    ground_distance = np.hypot(offset[..., 0], offset[..., 1])
    los = np.broadcast_to(np.asarray(line_of_sight, dtype=bool), ground_distance.shape)
    height, antenna_height = positions[..., :, None, 2], antennas[..., None, :, 2]
    lost = path_loss(radio.environment, radio.carrier_frequency, ground_distance, antenna_height, height, los)
    if known_loss is not None:
        lost = np.where(np.isnan(known_loss), lost, known_loss)
    ratio = interfered(snr(radio, lost), radio.neighbour_load)
    in_range = ground_distance <= np.asarray(ranges, dtype=float)[..., None, :]
    efficiency, loss = carried(radio, ratio, los, in_range)
    return Links(np.hypot(ground_distance, offset[..., 2]), los, ratio, efficiency, loss)


def faded(known: Links, radio: RadioParameters, fade: ArrayLike) -> Links:
    """The same links with so much more SNR, dB [..., N, M]. One that carries nothing without it carries nothing."""
    ratio = known.snr + np.asarray(fade, dtype=float)
    efficiency, loss = carried(radio, ratio, known.line_of_sight, known.efficiency > 0.0)
    return Links(known.distance, known.line_of_sight, ratio, efficiency, loss)


def carried(
    radio: RadioParameters, ratio: ArrayLike, line_of_sight: ArrayLike, in_range: ArrayLike
) -> tuple[Array, Array]:
    """Efficiency (bit/s/Hz) and share of packets lost of links of these SNRs (dB); nothing gets through out of range.

    With `small_scale` both are means over fades (fading.py), steadier where the link is in line of sight.
    """
    budget = radio.implementation_loss
    if radio.small_scale == "none":
        efficiency, lost = spectral_efficiency(ratio, budget), packet_loss(ratio, budget)
    else:
        margin = np.asarray(ratio, dtype=float) - minimum_snr(budget)
        kinds = (radio.k_factor, None)
        means = [fading.mean_over_fades(spectral_efficiency, budget, ratio, kind) for kind in kinds]
        efficiency = np.where(line_of_sight, *means)
        efficiency = np.where(efficiency < LOWEST_EFFICIENCY, 0.0, efficiency)
        lost = np.where(line_of_sight, *(fading.outage(margin, kind) for kind in kinds))
    efficiency = np.where(in_range, efficiency, 0.0)
    return efficiency, np.where(efficiency > 0, lost, 1.0)


def interfered(ratio: ArrayLike, load: float) -> Array:
    """SNR to SINR, dB [..., N, M]: at each UAV all other RSUs' signals, for a share `load` of the time, are noise."""
    ratio = np.asarray(ratio, dtype=float)
    if load == 0.0:
        return ratio
    power = 10 ** (ratio / 10)  # in units of the noise
    others = np.maximum(power.sum(axis=-1, keepdims=True) - power, 0.0)
    return np.asarray(ratio - 10 * np.log10(1.0 + load * others))


def noise(radio: RadioParameters) -> float:
    """Noise power in dBm over the reference bandwidth: thermal noise, receiver's noise figure, interference margin."""
    return THERMAL_NOISE + 10 * math.log10(radio.bandwidth * 1e6) + radio.noise_figure + radio.interference_margin


def snr(radio: RadioParameters, path_loss_db: ArrayLike) -> Array:
    """Signal-to-noise ratio in dB. Power spreads over the reference bandwidth, so that it holds for any part of it."""
    received = radio.transmit_power + radio.antenna_gain - np.asarray(path_loss_db, dtype=float)
    return np.asarray(received - noise(radio))


def spectral_efficiency(snr_db: ArrayLike, implementation_loss: float) -> Array:
    """bit/s/Hz: Shannon's log2(1 + SNR) at an SNR that is lower by the implementation loss (dB).

    At most that of the highest modulation and coding scheme of 5G NR, and 0 below that of the lowest.
    """
    shannon = np.log2(1 + 10 ** ((np.asarray(snr_db, dtype=float) - implementation_loss) / 10))
    return np.where(shannon < LOWEST_EFFICIENCY, 0.0, np.minimum(shannon, HIGHEST_EFFICIENCY))


def minimum_snr(implementation_loss: float) -> float:
    """dB, below which `spectral_efficiency` is 0: -4.5 dB for an implementation loss of 3 dB."""
    return 10 * math.log10(2**LOWEST_EFFICIENCY - 1) + implementation_loss


def packet_loss(snr_db: ArrayLike, implementation_loss: float) -> Array:
    """Share of packets lost at a mean SNR (dB): the outage probability of a Rayleigh fading link.

    A packet is lost when a fade takes the link below the lowest modulation and coding: 1 - exp(-SNR_min / SNR) in
    linear terms (Tse and Viswanath, Fundamentals of Wireless Communication, 2005, section 5.4.1).
    """
    fade = 10 ** ((minimum_snr(implementation_loss) - np.asarray(snr_db, dtype=float)) / 10)
    return np.asarray(-np.expm1(-fade))
