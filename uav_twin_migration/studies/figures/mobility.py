"""Recorded flights beside made-up ones: where twins are hosted, for how long, and how they move.

Drawn by `uavtwin scenario record --figure`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from uav_twin_migration.output import whole_file
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.studies.harnesses.flown import Flown, at_equilibrium, fly
from uav_twin_migration.vehicle.motion import Flight

DURATION = 300.0  # s of flight
BLUE, ORANGE = "#0072b2", "#d55e00"
MADE_UP, RECORDED = "made up", "recorded"


def draw(scenario: Scenario, recorded: Scenario, path: str | Path) -> dict[str, dict[str, float]]:
    """Draw both into a picture file. Returns the figures; raises UavTwinError where it cannot be written."""
    canvas, figures = comparison(scenario, recorded)
    with whole_file(path) as partial:
        canvas.savefig(partial, dpi=110)
    return figures


def comparison(scenario: Scenario, recorded: Scenario) -> tuple[Figure, dict[str, dict[str, float]]]:
    """The picture of both flown for `DURATION` at equilibrium prices, and what each results in, by name."""
    cities = {MADE_UP: scenario, RECORDED: recorded}
    canvas = Figure(figsize=(15.0, 9.0), layout="constrained")
    above, below = canvas.subplots(2, 3, height_ratios=(1.25, 1.0))
    figures: dict[str, dict[str, float]] = {}
    for axes, (name, city), colour in zip(above[:2], cities.items(), (BLUE, ORANGE), strict=True):
        flown = fly(at_equilibrium(city), DURATION)
        speeds = _draw_ways(axes, city, flown, name)
        figures[name] = figures_of(flown, city, speeds)
        _draw_lines([above[2], *below], name, colour, flown, speeds, city)
    for axes, title, label in zip(
        [above[2], *below],
        ("speed", "time for which an RSU hosts a twin", "age of twin migration", "immersion, mean of the UAVs"),
        ("m/s", "s", "s", "time, s"),
        strict=True,
    ):
        axes.set(title=title, xlabel=label, ylabel="credit" if label == "time, s" else "share, %")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8)
    canvas.suptitle(f"{scenario.name}: {len(scenario.uavs)} UAVs, {DURATION:g} s, equilibrium prices")
    return canvas, figures


def figures_of(flown: Flown, city: Scenario, speeds: Any) -> dict[str, float]:
    """A flight in numbers."""
    ages = [move.age for move in flown.handovers]
    return {
        "speed_mean_m_per_s": float(np.mean(speeds)),
        "migrations": float(len(flown.handovers)),
        "hosting_median_s": float(np.median(hostings(flown, city))),
        "age_of_migration_mean_s": float(np.mean(ages)) if ages else float("nan"),
        "immersion_mean_credit": float(np.nanmean(flown.immersion)),
    }


def hostings(flown: Flown, city: Scenario) -> list[float]:
    """For how long (s) twins were hosted by one RSU, those that began or ended with the flight included."""
    end = flown.times[-1] if flown.times else 0.0
    found: list[float] = []
    for uav in city.uavs:
        moved = [move.began + move.age for move in flown.handovers if move.uav == uav.id]
        found += np.diff([0.0, *moved, end]).tolist()
    return found


def _draw_ways(axes: Axes, city: Scenario, flown: Flown, name: str) -> Any:
    """Where UAVs flew and twins were handed over. Returns their speeds, m/s."""
    flight, places, speeds = Flight(city), [], []
    for time in np.arange(0.0, DURATION, 0.5):
        flight.advance(float(time))
        places.append(flight.position[:, :2].copy())
        speeds.append(np.linalg.norm(flight.velocity, axis=1))
    outlines = PolyCollection([b.footprint for b in city.buildings], facecolor="#dddddd", edgecolor="#aaaaaa", lw=0.4)
    axes.add_collection(outlines)
    axes.plot(*np.moveaxis(np.array(places), 2, 0), lw=0.9)
    spots = [move.position for move in flown.handovers]
    if spots:
        axes.plot(*np.transpose(spots), "X", color="black", ms=5, mec="white", mew=0.5)
    axes.plot(*np.transpose([rsu.position for rsu in city.rsus]), "^", color="#c1121f", mec="white", ms=10)
    title = f"{name}: {len(spots)} migrations"
    axes.set(aspect="equal", title=title, xlabel="east, m", ylabel="north, m")
    return np.array(speeds)


def _draw_lines(some: Sequence[Axes], name: str, colour: str, flown: Flown, speeds: Any, city: Scenario) -> None:
    speed, hosting, age, immersion = some
    ages = [move.age for move in flown.handovers]
    for axes, values, unit in (
        (speed, speeds.ravel(), "m/s"),
        (hosting, hostings(flown, city), "s"),
        (age, ages, "s"),
    ):
        ordered = np.sort(np.asarray(values, dtype=float))
        label = f"{name}: mean {ordered.mean():.1f}, median {np.median(ordered):.1f} {unit}" if len(ordered) else name
        axes.plot(ordered, np.linspace(0.0, 100.0, len(ordered)), color=colour, label=label)
    mean = np.nanmean(flown.immersion, axis=1)
    immersion.plot(flown.times, mean, color=colour, label=f"{name}: {mean.mean():.1f}")
