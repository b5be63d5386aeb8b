"""A traced radio map beside 3GPP's model: both maps, how they differ, and what that does to prices and migrations.

Drawn by `uavtwin radiomap --figure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from uav_twin_migration.game.market import FloatArray
from uav_twin_migration.output import whole_file
from uav_twin_migration.radio import radio_map
from uav_twin_migration.radio.comparison import by_3gpp, differences, places
from uav_twin_migration.radio.link import snr, spectral_efficiency
from uav_twin_migration.radio.radio_map import RadioMap
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.studies.harnesses.flown import Flown, at_equilibrium, fly

DURATION = 300.0  # s of flight
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#777777"
BINS = np.arange(-40.5, 41.0).tolist()  # dB
BY_3GPP, TRACED = "3GPP", "traced"


def draw(scenario: Scenario, traced: str | Path, path: str | Path) -> Mapping[str, Mapping[str, float]]:
    """Draw the comparison into a picture file. Returns its figures; raises UavTwinError where it cannot be written."""
    canvas, figures = comparison(scenario, traced)
    with whole_file(path) as partial:
        canvas.savefig(partial, dpi=110)
    return figures


def comparison(scenario: Scenario, traced: str | Path) -> tuple[Figure, dict[str, dict[str, float]]]:
    """The picture of a scenario and of the file of its radio map, and what each model results in, by name."""
    found = radio_map.load(traced)
    flights = {
        BY_3GPP: _flown(replace(scenario, radio=replace(scenario.radio, map=""))),
        TRACED: _flown(replace(scenario, radio=replace(scenario.radio, map=str(traced)))),
    }
    height = float(np.median([uav.altitude for uav in scenario.uavs]))
    canvas = Figure(figsize=(15.0, 9.0), layout="constrained")
    (left, middle, right), below = canvas.subplots(2, 3, height_ratios=(1.25, 1.0))
    lost, _ = by_3gpp(scenario, found, height)
    at = places(found, height)
    for axes, loss, name in ((left, lost, "3GPP TR 36.777"), (middle, found.loss_at(found.antennas, at), "traced")):
        image = _draw_map(axes, scenario, found, _best(scenario, at, loss), f"{name}, {height:g} m up")
    canvas.colorbar(image, ax=[left, middle], shrink=0.8, label="efficiency of the best RSU, bit/s/Hz")
    _draw_differences(right, scenario, found, [height])
    _draw_market(below, flights)
    canvas.suptitle(
        f"{scenario.name}: {len(found.rsus)} RSUs, {found.about.get('antenna', '')} antennas, "
        f"{found.frequency:g} GHz; {found.about.get('traced', '')}"
    )
    return canvas, {name: figures_of(flown) for name, flown in flights.items()}


def figures_of(flown: Flown) -> dict[str, float]:
    """A flight in numbers."""
    ages = [move.age for move in flown.handovers]
    return {
        "price_mean_credit_per_MHz": float(np.nanmean(flown.prices)),
        "immersion_mean_credit": float(np.nanmean(flown.immersion)),
        "migrations": float(len(flown.handovers)),
        "age_of_migration_mean_s": float(np.mean(ages)) if ages else float("nan"),
    }


def _flown(scenario: Scenario) -> Flown:
    return fly(at_equilibrium(scenario), DURATION)


def _best(scenario: Scenario, at: FloatArray, loss: FloatArray) -> FloatArray:
    """Efficiency (bit/s/Hz) [R, C] of the best RSU in range."""
    offset = at[..., None, :2] - np.array([rsu.position for rsu in scenario.rsus])
    near = np.hypot(offset[..., 0], offset[..., 1]) <= [rsu.range for rsu in scenario.rsus]
    efficiency = spectral_efficiency(snr(scenario.radio, loss), scenario.radio.implementation_loss)
    return np.asarray(np.where(near, efficiency, 0.0).max(axis=-1))


def _draw_map(axes: Axes, scenario: Scenario, found: RadioMap, values: FloatArray, title: str) -> Any:
    rows, columns = values.shape
    west, south = (start - found.cell / 2 for start in found.corner)
    extent = (west, west + columns * found.cell, south, south + rows * found.cell)
    image = axes.imshow(values, origin="lower", extent=extent, cmap="viridis", vmin=0.0, vmax=7.5)
    outlines = PolyCollection([b.footprint for b in scenario.buildings], facecolor="none", edgecolor="white", lw=0.4)
    axes.add_collection(outlines)
    axes.plot(*np.transpose([rsu.position for rsu in scenario.rsus]), "^", color="#c1121f", mec="white", ms=9)
    axes.set(title=title, xlabel="east, m", ylabel="north, m")
    return image


def _draw_differences(axes: Axes, scenario: Scenario, found: RadioMap, heights: list[float]) -> None:
    for (name, each), colour in zip(differences(scenario, found, heights).items(), (BLUE, ORANGE), strict=True):
        some = each[np.isfinite(each)]
        if len(some):
            label = f"{name}: {some.mean():+.1f} dB on average, deviation {some.std():.1f} dB"
            axes.hist(
                some, bins=np.arange(-40.5, 41.0).tolist(), density=True, histtype="step", color=colour, label=label
            )
    axes.axvline(0.0, color=GREY, lw=0.8)
    axes.set(title="traced loss less 3GPP's, within range", xlabel="dB", ylabel="share of places a dB")
    axes.margins(y=0.25)
    axes.legend(loc="upper left", fontsize=8)


def _draw_market(axes: Any, flights: Mapping[str, Flown]) -> None:
    prices, immersion, ages = axes
    for (name, flown), colour in zip(flights.items(), (BLUE, ORANGE), strict=True):
        told = figures_of(flown)
        mean = told["price_mean_credit_per_MHz"]
        posted = np.isfinite(flown.prices).all(axis=1)
        times = np.array(flown.times)[posted]
        prices.plot(times, np.array(flown.prices)[posted].mean(axis=1), color=colour, label=f"{name}: {mean:.2f}")
        mean = told["immersion_mean_credit"]
        immersion.plot(flown.times, np.nanmean(flown.immersion, axis=1), color=colour, label=f"{name}: {mean:.1f}")
        found = sorted(move.age for move in flown.handovers)
        label = f"{name}: {len(found)} migrations, {told['age_of_migration_mean_s']:.1f} s on average"
        ages.plot(found, np.linspace(0.0, 100.0, len(found)), color=colour, label=label)
    prices.set(title="equilibrium prices, mean of the RSUs", xlabel="time, s", ylabel="credit/MHz")
    immersion.set(title="immersion, mean of the UAVs", xlabel="time, s", ylabel="credit")
    ages.set(title="age of twin migration", xlabel="s", ylabel="migrations, %")
    for one in axes:
        one.grid(alpha=0.25)
        one.legend(fontsize=8)
