"""Path loss of urban links between an antenna on the ground and a UAV in the air, by the 3GPP models.

Aerial users, 22.5 m < h <= 300 m: 3GPP TR 36.777 V15.0.0, Table B-2, UMi-AV and UMa-AV. Lower ones are ground users:
3GPP TR 38.901, Table 7.4.1-1, UMi - Street Canyon and UMa. Frequencies f are GHz, distances d (3D) and heights h
metres, losses dB; no shadow fading, which line of sight against real buildings stands in for.

What the tables leave open:
- Links shorter than the 10 m where the tables begin count as 10 m.
- Heights below 1.5 m count as 1.5 m, those above 300 m as 300 m.
- UMa-AV has no NLOS loss above 100 m, its line of sight being certain there. Real buildings can block such a link all
  the same; it then loses what it would at 100 m, and never less than with line of sight.
- The effective environment height h_E of UMa is 1 m, the one value that Note 1 gives with certainty up to 13 m.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

AERIAL = 22.5  # m, above which a user is an aerial one
SPEED_OF_LIGHT = 3.0e8  # m/s, as TR 38.901 rounds it
ENVIRONMENT_HEIGHT = 1.0  # m, h_E


def path_loss(
    environment: str,
    carrier_frequency: ArrayLike,
    ground_distance: ArrayLike,
    antenna_height: ArrayLike,
    height: ArrayLike,
    line_of_sight: ArrayLike,
) -> Array:
    """Path loss (dB) of links, all arguments broadcast against each other.

    Args:
        environment: "UMi-AV" or "UMa-AV".
        carrier_frequency: GHz.
        ground_distance: m, seen from above.
        antenna_height: m above ground, of the RSU's antenna.
        height: m above ground, of the UAV.
        line_of_sight: whether the link is free.

    Raises:
        ValueError: an unknown environment.
    """
    if environment not in ("UMi-AV", "UMa-AV"):
        raise ValueError(f"environment {environment!r}: expected UMi-AV or UMa-AV")
    f = np.asarray(carrier_frequency, dtype=float)
    d2 = np.asarray(ground_distance, dtype=float)
    h = np.clip(height, 1.5, 300.0)
    h_bs = np.maximum(antenna_height, 1.5)
    d = np.maximum(np.hypot(d2, np.asarray(height, dtype=float) - antenna_height), 10.0)
    aerial, ground = (umi_av, umi) if environment == "UMi-AV" else (uma_av, uma)
    in_air = h > AERIAL
    los, nlos = aerial(f, d, h)
    if not in_air.all():
        los_on_ground, nlos_on_ground = ground(f, d2, d, h_bs, h)
        los, nlos = np.where(in_air, los, los_on_ground), np.where(in_air, nlos, nlos_on_ground)
    return np.where(line_of_sight, los, nlos)


def umi_av(f: Array, d: Array, h: Array) -> tuple[Array, Array]:
    """(LOS, NLOS) loss of UMi-AV, TR 36.777 Table B-2."""
    free_space = 32.4 + 20 * np.log10(d) + 20 * np.log10(f)
    los = np.maximum(free_space, 30.9 + (22.25 - 0.5 * np.log10(h)) * np.log10(d) + 20 * np.log10(f))
    nlos = np.maximum(los, 32.4 + (43.2 - 7.6 * np.log10(h)) * np.log10(d) + 20 * np.log10(f))
    return los, nlos


def uma_av(f: Array, d: Array, h: Array) -> tuple[Array, Array]:
    """(LOS, NLOS) loss of UMa-AV, TR 36.777 Table B-2; NLOS above 100 m as at 100 m."""
    los = 28.0 + 22 * np.log10(d) + 20 * np.log10(f)
    slope = 46 - 7 * np.log10(np.minimum(h, 100.0))
    nlos = -17.5 + slope * np.log10(d) + 20 * np.log10(40 * np.pi * f / 3)
    return los, np.maximum(los, nlos)


def umi(f: Array, d2: Array, d: Array, h_bs: Array, h: Array) -> tuple[Array, Array]:
    """(LOS, NLOS) loss of UMi - Street Canyon, TR 38.901 Table 7.4.1-1; `d2` is the ground distance."""
    near = 32.4 + 21 * np.log10(d) + 20 * np.log10(f)
    breakpoint_ = breakpoint_distance(f, h_bs, h)
    far = 32.4 + 40 * np.log10(d) + 20 * np.log10(f) - 9.5 * np.log10(breakpoint_**2 + (h_bs - h) ** 2)
    los = np.where(d2 <= breakpoint_, near, far)
    return los, np.maximum(los, 35.3 * np.log10(d) + 22.4 + 21.3 * np.log10(f) - 0.3 * (h - 1.5))


def uma(f: Array, d2: Array, d: Array, h_bs: Array, h: Array) -> tuple[Array, Array]:
    """(LOS, NLOS) loss of UMa, TR 38.901 Table 7.4.1-1; `d2` is the ground distance."""
    near = 28.0 + 22 * np.log10(d) + 20 * np.log10(f)
    breakpoint_ = breakpoint_distance(f, h_bs, h)
    far = 28.0 + 40 * np.log10(d) + 20 * np.log10(f) - 9 * np.log10(breakpoint_**2 + (h_bs - h) ** 2)
    los = np.where(d2 <= breakpoint_, near, far)
    return los, np.maximum(los, 13.54 + 39.08 * np.log10(d) + 20 * np.log10(f) - 0.6 * (h - 1.5))


def breakpoint_distance(f: Array, h_bs: Array, h: Array) -> Array:
    """d'_BP = 4 h'_BS h'_UT f / c in metres, heights counted from h_E: TR 38.901 Table 7.4.1-1, Note 1."""
    return np.asarray(4 * (h_bs - ENVIRONMENT_HEIGHT) * (h - ENVIRONMENT_HEIGHT) * f * 1e9 / SPEED_OF_LIGHT)
