"""A radio map beside 3GPP's model: where, and by how much, they differ."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.radio.line_of_sight import View
from uav_twin_migration.radio.path_loss import path_loss
from uav_twin_migration.radio.radio_map import UNREACHED, RadioMap
from uav_twin_migration.scenario.model import Scenario

Array = NDArray[np.float64]


def places(radio_map: RadioMap, height: float) -> Array:
    """The map's points [R, C, 3] (m) at a height."""
    rows, columns = radio_map.codes.shape[2:]
    east = radio_map.corner[0] + radio_map.cell * np.arange(columns)
    north = radio_map.corner[1] + radio_map.cell * np.arange(rows)
    grid = np.stack(np.meshgrid(east, north), axis=-1)
    return np.concatenate([grid, np.full((rows, columns, 1), height)], axis=-1)


def by_3gpp(scenario: Scenario, radio_map: RadioMap, height: float) -> tuple[Array, NDArray[np.bool_]]:
    """Path loss (dB) by 3GPP's model at the map's points [R, C, M], and whether each is in line of sight."""
    at = places(radio_map, height)
    free = View(scenario.buildings, radio_map.antennas).line_of_sight(at)
    away = np.linalg.norm(at[..., None, :2] - radio_map.antennas[:, :2], axis=-1)
    radio = scenario.radio
    lost = path_loss(radio.environment, radio.carrier_frequency, away, radio_map.antennas[:, 2], height, free)
    return lost, free


def differences(scenario: Scenario, radio_map: RadioMap, heights: list[float]) -> dict[str, Array]:
    """Loss of the map less that of 3GPP, dB, within the RSUs' ranges: in line of sight, and blocked.

    NaN where the map has no path.
    """
    ranges = np.array([rsu.range for rsu in scenario.rsus])
    found: dict[str, list[Array]] = {"in line of sight": [], "blocked": []}
    for height in heights:
        at = places(radio_map, height)
        lost, free = by_3gpp(scenario, radio_map, height)
        away = np.linalg.norm(at[..., None, :2] - radio_map.antennas[:, :2], axis=-1)
        traced = radio_map.loss_at(radio_map.antennas, at)
        near = (away <= ranges) & np.isfinite(traced)
        traced = np.where(traced < UNREACHED, traced, np.nan)
        for name, kind in (("in line of sight", free), ("blocked", ~free)):
            found[name].append((traced - lost)[near & kind])
    return {name: np.concatenate(some) for name, some in found.items()}


def compared(scenario: Scenario, radio_map: RadioMap) -> dict[str, Any]:
    """How the map differs from 3GPP's model at the heights at which UAVs fly, in numbers."""
    low, high = float(radio_map.heights[0]), float(radio_map.heights[-1])
    heights = sorted({min(max(uav.altitude, low), high) for uav in scenario.uavs})
    told = {}
    for name, some in differences(scenario, radio_map, heights).items():
        known = some[np.isfinite(some)]
        if len(known):
            p5, p50, p95 = np.percentile(known, [5, 50, 95])
            told[name] = {
                "places": len(some),
                "without_path": 1.0 - len(known) / len(some),
                "mean_db": float(known.mean()),
                "deviation_db": float(known.std()),
                "p5_db": float(p5),
                "median_db": float(p50),
                "p95_db": float(p95),
            }
    return {"heights_m": heights, "differences": told}
