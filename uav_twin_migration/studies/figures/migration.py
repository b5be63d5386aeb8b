"""Studies of migration: hand-overs on the map, ages and immersion by how RSUs price, what a broken RSU does to users.

All of it is played in virtual time (docs/virtual.md); the pricings are a sweep, which goes on where it was stopped.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uav_twin_migration.output import write_text
from uav_twin_migration.scenario.draw import drawn
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.load import dump, load
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.studies.figures.panels import Measure, panels
from uav_twin_migration.studies.figures.style import save
from uav_twin_migration.studies.harnesses.flown import Array, Flown, Seen, at_equilibrium, fly, watch
from uav_twin_migration.studies.sweep.sweep import rows_of_study

SUMMARY = "hand-overs on the map, age of twin migration and immersion by pricing, a broken RSU's users"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

SCENARIO, SEED = "default", 1
RSUS, UAVS, SEEDS = 4, 8, (1, 2, 3)  # cities in which pricing is compared; the first is the default one
DURATION = 300.0  # s of flight
FIXED_MARKUP = 2.0
BROKEN, RETURNS, OUTAGE = 100.0, 200.0, "rsu_1"  # s, s, which RSU
WATCHED = 2  # whose twin has users in the study of a broken RSU: two RSUs are in its reach then
DOWN, VIEWED = (20.0, 70.0), 100.0  # s, of its host, and how long users are watched
BLUE, ORANGE, GREEN, RED, GREY, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc3311", "#777777", "#7b4fa3"
SHIPPED = "config/policies/default.safetensors"

Columns = Mapping[str, Iterable[Any]]


def run(directory: Path) -> None:
    """Makes every picture and its table."""
    studies = {
        "handovers": handovers,
        "pricing": lambda: pricing(directory / "migration_pricing"),
        "broken_rsu": broken_rsu,
    }
    for number, (name, study) in enumerate(studies.items(), 1):
        print(f"  {number} of {len(studies)}: {name} ...", flush=True)
        canvas, columns = study()
        path = directory / f"migration_{name}.png"
        save(canvas, path)
        _write(columns, path.with_suffix(".csv"))
        print(f"    {path}, .pdf, .svg and .csv", flush=True)


# -- the map -----------------------------------------------------------------------------------------------------------


def handovers() -> tuple[Figure, Columns]:
    """Where twins changed their RSUs, at equilibrium prices."""
    scenario = load(SCENARIO)
    flown = _flown(at_equilibrium(scenario), "equilibrium")
    canvas, axes = drawn(scenario)
    for line in axes.get_lines():
        if line.get_linestyle() == "-":
            line.set(alpha=0.25, linewidth=1.2)  # routes: here hand-overs are what is to be seen
    places = {rsu.id: rsu.position for rsu in scenario.rsus}
    colours = colormaps["Set1"].colors  # type: ignore[attr-defined]
    for number, (rsu, place) in enumerate(places.items()):
        moves = [move.position for move in flown.handovers if move.target == rsu]
        for x, y in moves:
            axes.plot([x, place[0]], [y, place[1]], color=colours[number], lw=0.8, alpha=0.6, zorder=5)
        label = f"{len(moves)} twins moved to {rsu}"
        axes.plot(*_xy(moves), "X", ms=7, mec="white", mew=0.5, color=colours[number], ls="", label=label, zorder=7)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, borderaxespad=0)
    title = f"{len(flown.handovers)} hand-overs in {DURATION:.0f} s: UAVs where they began, lines to the new host"
    axes.set_title(title, loc="left", fontsize=11)
    return canvas, {
        "uav": [move.uav for move in flown.handovers],
        "source": [move.source for move in flown.handovers],
        "target": [move.target for move in flown.handovers],
        "east_m": [move.position[0] for move in flown.handovers],
        "north_m": [move.position[1] for move in flown.handovers],
        "began_s": [move.began for move in flown.handovers],
        "age_of_migration_s": [move.age for move in flown.handovers],
    }


def _xy(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


# -- how RSUs price ----------------------------------------------------------------------------------------------------


PRICINGS = {  # rsus[].pricing, and the policy: what the study compares
    "equilibrium": ("equilibrium", "none"),
    "learned policy": ("", "default"),
    "rule (no policy)": ("elasticity", "none"),
    "fixed, 2 times the cost": ("markup(markup=2.0)", "none"),
    "random": ("any_price", "none"),
}
AXES = ("rsus[].pricing", "policy")
MEASURES = (
    Measure("age of twin migration, mean", "s", lambda row: float(row.get("age_of_migration_s.mean", math.nan))),
    Measure("age of twin migration, p95", "s", lambda row: float(row.get("age_of_migration_s.p95", math.nan))),
    Measure("mean immersion of a UAV", "credit", lambda row: float(row["mean_immersion"])),
    Measure("mean profit of an RSU", "credit a round", lambda row: float(row["mean_profit"])),
    Measure("price gap to equilibrium", "", lambda row: float(row["price_gap_to_equilibrium"])),
    Measure("what an RSU that moved alone would gain", "of its profit", lambda row: float(row["exploitability"])),
)


def pricing(folder: Path) -> tuple[Figure, Columns]:
    """Age of twin migration, immersion, profit, by how RSUs price, in cities of one size. Runs are kept in `folder`."""
    cities = [f"city_{seed}.yaml" for seed in SEEDS]
    folder.mkdir(parents=True, exist_ok=True)
    for seed, city in zip(SEEDS, cities, strict=True):
        write_text(folder / city, dump(generate(RSUS, UAVS, seed, f"seed {seed}")))
    pairs = [(*way, city) for way in PRICINGS.values() for city in cities]
    study = {
        "name": "pricing",
        "run": "virtual",
        "options": {"duration": DURATION},
        "design": "list",
        "over": dict(zip((*AXES, "scenario"), map(list, zip(*pairs, strict=True)), strict=True)),
    }
    rows = rows_of_study(study, folder)
    ways = {name: dict(zip(AXES, values, strict=True)) for name, values in PRICINGS.items()}
    title = f"{UAVS} UAVs, {RSUS} RSUs, {DURATION:.0f} s in each of {len(SEEDS)} cities"
    canvas, table = panels(rows, ways, MEASURES, title)
    return canvas, {key: [row[key] for row in table] for key in table[0]}


# -- a broken RSU ------------------------------------------------------------------------------------------------------


def broken_rsu() -> tuple[Figure, Columns]:
    """Users of one twin whose host dies, and all UAVs in a market that has lost an RSU."""
    scenario = load(SCENARIO)
    whole = _flown(at_equilibrium(scenario), "unbroken")
    torn = _flown(at_equilibrium(scenario), "broken", broken=True)
    views = {
        "given up after 10 s (default)": (watch(scenario, WATCHED, DOWN, VIEWED, 10.0), BLUE),
        "given up after 4 s": (watch(scenario, WATCHED, DOWN, VIEWED, 4.0), GREEN),
        "waited for": (watch(scenario, WATCHED, DOWN, VIEWED, 1e4), ORANGE),
        "no outage": (watch(scenario, WATCHED, (1e9, 1e9), VIEWED, 10.0), GREY),
    }
    canvas = Figure(figsize=(14.5, 8.2), layout="constrained")
    canvas.suptitle("A broken RSU: users of a twin that it hosts, and the market around it", fontsize=11)
    (ages, errors), (immersion, prices) = canvas.subplots(2, 2)
    for name, (view, colour) in views.items():
        times = [one.time for one in view]
        worst, unserved = max(one.age for one in view), sum(one.rsu == "" for one in view) * (times[1] - times[0])
        label = f"{name}: at most {worst:.1f} s, unserved {unserved:.1f} s"
        ages.plot(times, [one.age for one in view], color=colour, label=label)
        errors.plot(times, [max(one.error, 1e-2) for one in view], color=colour, label=name)
    for axes in (ages, errors):
        axes.axvspan(*DOWN, color=RED, alpha=0.08, lw=0, label="its host is down")
        axes.set_yscale("log")
    _labels(ages, "time, s", "age of information, s", "what users of the twin know: its age")
    _labels(errors, "time, s", "error, m", "... and how far off what they were told is")
    for name, flown, colour in (("no outage", whole, GREY), (f"{OUTAGE} down", torn, RED)):
        mean = np.mean(flown.immersion, axis=1)
        immersion.plot(flown.times, _smooth(mean), color=colour, label=f"{name}: {_during(flown, mean):.2f} meanwhile")
        cost = np.nanmean(flown.prices, axis=1)
        prices.plot(flown.times, _smooth(cost), color=colour, label=f"{name}: {_during(flown, cost):.2f} meanwhile")
    for axes in (immersion, prices):
        axes.axvspan(BROKEN, RETURNS, color=RED, alpha=0.08, lw=0)
    _labels(
        immersion,
        "time, s",
        "mean immersion of a UAV, credit",
        "all UAVs at equilibrium prices, means of the last 30 s",
    )
    _labels(prices, "time, s", "mean price of RSUs that are up, credit/MHz", "prices, means of the last 30 s")
    return canvas, _broken_columns(views, whole, torn)


def _broken_columns(views: Mapping[str, tuple[Sequence[Seen], str]], whole: Flown, torn: Flown) -> Columns:
    columns: dict[str, list[Any]] = {"study": [], "case": [], "time_s": [], "value": [], "unit": []}

    def add(study: str, case: str, times: Iterable[float], values: Iterable[float], unit: str) -> None:
        for time, value in zip(times, values, strict=True):
            for key, entry in zip(columns, (study, case, f"{time:.1f}", f"{value:.4f}", unit), strict=True):
                columns[key].append(entry)

    for name, (view, _) in views.items():
        add("age of information", name, [one.time for one in view], [one.age for one in view], "s")
        add("error", name, [one.time for one in view], [one.error for one in view], "m")
    for name, flown in (("no outage", whole), (f"{OUTAGE} down", torn)):
        add("immersion", name, flown.times, np.mean(flown.immersion, axis=1), "credit")
        add("price", name, flown.times, np.nanmean(flown.prices, axis=1), "credit/MHz")
    return columns


def _during(flown: Flown, values: Array) -> float:
    """The mean while the RSU is down."""
    times = np.array(flown.times)
    return float(values[(times >= BROKEN) & (times < RETURNS)].mean())


# -- what the studies share --------------------------------------------------------------------------------------------


def _flown(scenario: Scenario, name: str, broken: bool = False) -> Flown:
    faults = [f"at {BROKEN} s: kill {OUTAGE}", f"at {RETURNS} s: back {OUTAGE}"] if broken else []

    def tell(part: float) -> None:
        if sys.stderr.isatty():
            print(f"\r    {name}: {part:.0%}   ", end="\r", file=sys.stderr, flush=True)

    flown = fly(scenario, DURATION, faults, tell)
    if broken:  # what it posted last is no price
        place = [rsu.id for rsu in scenario.rsus].index(OUTAGE)
        for time, prices in zip(flown.times, flown.prices, strict=True):
            prices[place] = math.nan if BROKEN <= time < RETURNS else prices[place]
    return flown


def _smooth(values: Array, width: int = 30) -> Array:
    """Means over the last `width` values, fewer at the beginning."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - width, 0)
    return np.asarray((total[last] - total[first]) / (last - first))


def _labels(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8, loc="best")


def _write(columns: Columns, path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
