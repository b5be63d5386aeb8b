"""Studies of migration: hand-overs on the map, ages and immersion by how RSUs price, what a broken RSU does to users.

The market is flown through in virtual time (flown.py); the outage plays the real hosts and host host discovery
(outage.py).
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uav_twin_migration.game.market import FloatArray
from uav_twin_migration.market.leader import PriceDecision, RoundResult
from uav_twin_migration.market.pricing import ElasticityPricer
from uav_twin_migration.policy import artifact
from uav_twin_migration.policy.pricer import PolicyPricer
from uav_twin_migration.scenario.draw import drawn
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Rsu, Scenario
from uav_twin_migration.shipped import shipped_file
from uav_twin_migration.studies.figures.style import save
from uav_twin_migration.studies.harnesses.flown import (
    AtEquilibrium,
    EachByItself,
    Flown,
    Pricing,
    fly,
)
from uav_twin_migration.studies.harnesses.outage import Seen, watch

SUMMARY = "hand-overs on the map, age of twin migration and immersion by pricing, a broken RSU's users"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

SCENARIO, SEED = "default", 1
RSUS, UAVS, SEEDS = 4, 8, (1, 2, 3)  # cities in which pricing is compared; the first is the default one
DURATION = 600.0  # s of flight
FIXED_MARKUP = 2.0
BROKEN, RETURNS, OUTAGE = 200.0, 400.0, "rsu_1"  # s, s, which RSU
BLUE, ORANGE, GREEN, RED, GREY, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc3311", "#777777", "#7b4fa3"
SHIPPED = "config/policies/default.safetensors"

Columns = Mapping[str, Iterable[Any]]


def run(directory: Path) -> None:
    """Makes every picture and its table."""
    studies = (handovers, pricing, broken_rsu)
    for number, study in enumerate(studies, 1):
        print(f"  {number} of {len(studies)}: {study.__name__} ...", flush=True)
        canvas, columns = study()
        path = directory / f"migration_{study.__name__}.png"
        save(canvas, path)
        _write(columns, path.with_suffix(".csv"))
        print(f"    {path}, .pdf, .svg and .csv", flush=True)


# -- the map -----------------------------------------------------------------------------------------------------------


def handovers() -> tuple[Figure, Columns]:
    """Where twins changed their RSUs, at equilibrium prices."""
    scenario = load(SCENARIO)
    flown = _flown(scenario, AtEquilibrium(scenario), "equilibrium")
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
    title = f"{len(flown.handovers)} hand-overs in {DURATION:.0f} s: UAVs where they decided, lines to the new host"
    axes.set_title(title, loc="left", fontsize=11)
    return canvas, {
        "uav": [scenario.uavs[move.uav].id for move in flown.handovers],
        "source": [move.source for move in flown.handovers],
        "target": [move.target for move in flown.handovers],
        "east_m": [move.position[0] for move in flown.handovers],
        "north_m": [move.position[1] for move in flown.handovers],
        "decided_s": [move.decided for move in flown.handovers],
        "age_of_migration_s": [move.age for move in flown.handovers],
    }


def _xy(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


# -- how RSUs price ----------------------------------------------------------------------------------------------------


class _Fixed:
    """Always the same price."""

    def __init__(self, price: float) -> None:
        self.price = price

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        return PriceDecision(self.price)


class _Random:
    """Any price from the cost to the cap, each round anew."""

    def __init__(self, rsu: Rsu, seed: int) -> None:
        self.rsu, self.chance = rsu, Random(seed)

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        return PriceDecision(self.chance.uniform(self.rsu.unit_cost, self.rsu.price_cap))


def pricings(scenario: Scenario) -> dict[str, tuple[Pricing, str]]:
    """How RSUs may price, with a colour: what the studies compare. The policy is there if one was shipped."""
    rho = scenario.market.rho

    def rule(number: int, rsu: Rsu) -> ElasticityPricer:
        return ElasticityPricer(rsu.unit_cost, rsu.price_cap, rsu.capacity, seed=SEED + number)

    def learned(number: int, rsu: Rsu) -> PolicyPricer:
        figures = (rsu.unit_cost, rsu.price_cap, rsu.capacity, rho)
        return PolicyPricer(*figures, fallback=rule(number, rsu), policy=policy)

    ways: dict[str, tuple[Pricing, str]] = {"equilibrium": (AtEquilibrium(scenario), BLUE)}
    file = shipped_file(SHIPPED)
    if file is not None:
        policy = artifact.load(file)
        ways["learned policy"] = (EachByItself(scenario, learned), GREEN)
    ways["rule (no policy)"] = (EachByItself(scenario, rule), PURPLE)
    fixed = f"fixed, {FIXED_MARKUP:g} times the cost"
    ways[fixed] = (EachByItself(scenario, lambda number, rsu: _Fixed(FIXED_MARKUP * rsu.unit_cost)), ORANGE)
    ways["random"] = (EachByItself(scenario, lambda number, rsu: _Random(rsu, SEED + number)), RED)
    return ways


def pricing() -> tuple[Figure, Columns]:
    """Age of twin migration, immersion and profit, by how RSUs price, in several cities of one size."""
    cities = [generate(RSUS, UAVS, seed, f"seed {seed}") for seed in SEEDS]
    flights: dict[str, list[Flown]] = {}
    colours: dict[str, str] = {}
    for city in cities:
        for name, (way, colour) in pricings(city).items():
            flights.setdefault(name, []).append(_flown(city, way, f"{name}, {city.name}"))
            colours[name] = colour
    canvas = Figure(figsize=(14.5, 4.4), layout="constrained")
    seeds = ", ".join(map(str, SEEDS))
    title = f"{UAVS} UAVs, {RSUS} RSUs, {DURATION:.0f} s in each of {len(SEEDS)} cities (seeds {seeds})"
    canvas.suptitle(f"{title}\nlines: means, bands: lowest to highest", fontsize=11)
    left, middle, right = canvas.subplots(1, 3)
    rows: list[dict[str, Any]] = []
    shares = np.linspace(0.0, 100.0, 101)
    for name, flown in flights.items():
        ages = np.array([np.percentile(_ages(one), shares) for one in flown])
        immersion = np.array([np.mean(one.immersion, axis=1) for one in flown])
        profits = np.array([np.mean(one.profits, axis=1) for one in flown])
        look: dict[str, Any] = {"color": colours[name]}
        left.fill_betweenx(shares, ages.min(axis=0), ages.max(axis=0), alpha=0.12, lw=0, **look)
        found = [float(np.mean(_ages(one))) for one in flown]
        left.plot(ages.mean(axis=0), shares, label=f"{name}: {np.mean(found):.1f} s on average", **look)
        for axes, values in ((middle, immersion), (right, profits)):
            smooth = np.array([_smooth(one) for one in values])
            axes.fill_between(flown[0].times, smooth.min(axis=0), smooth.max(axis=0), alpha=0.12, lw=0, **look)
            axes.plot(flown[0].times, smooth.mean(axis=0), label=f"{name}: {values.mean():.1f}", **look)
        for seed, one, age in zip(SEEDS, flown, found, strict=True):
            rows.append(
                {
                    "pricing": name,
                    "seed": seed,
                    "handovers": len(one.handovers),
                    "given_up": one.unfinished,
                    "age_of_migration_mean_s": age,
                    "age_of_migration_p95_s": float(np.percentile(_ages(one), 95)),
                    "immersion_mean_credit": float(np.mean(one.immersion)),
                    "price_mean_credit_per_MHz": float(np.nanmean(one.prices)),
                    "profit_mean_credit_per_s": float(np.mean(one.profits)),
                }
            )
    left.set_xlim(0.0, 40.0)
    for axes in (middle, right):
        axes.margins(y=0.3)  # for the legend
    _labels(left, "age of twin migration, s", "migrations, %", "from the decision until all of it was sent")
    _labels(middle, "time, s", "mean immersion of a UAV, credit", "immersion, means of the last 30 s")
    _labels(right, "time, s", "mean profit of an RSU, credit/s", "profit, means of the last 30 s")
    return canvas, {key: [row[key] for row in rows] for key in rows[0]}


def _ages(flown: Flown) -> list[float]:
    return [move.age for move in flown.handovers] or [float("nan")]


# -- a broken RSU ------------------------------------------------------------------------------------------------------


def broken_rsu() -> tuple[Figure, Columns]:
    """Users of one twin whose host dies, and all UAVs in a market that has lost an RSU."""
    scenario = load(SCENARIO)
    whole = _flown(scenario, AtEquilibrium(scenario), "unbroken")
    torn = _flown(scenario, AtEquilibrium(scenario), "broken", broken=True)
    views = {
        "given up after 10 s (default)": (watch(scenario, ("a", "b"), (20.0, 70.0), 100.0, 10.0), BLUE),
        "given up after 4 s": (watch(scenario, ("a", "b"), (20.0, 70.0), 100.0, 4.0), GREEN),
        "waited for": (watch(scenario, ("a", "b"), (20.0, 70.0), 100.0, 1e9), ORANGE),
        "no outage": (watch(scenario, ("a", "b"), (1e9, 1e9), 100.0, 10.0), GREY),
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
        axes.axvspan(20.0, 70.0, color=RED, alpha=0.08, lw=0, label="its host is down")
        axes.set_yscale("log")
    _labels(ages, "time, s", "age of information, s", "what users of the twin know: its age")
    _labels(errors, "time, s", "error, m", "... and how far off they are, guessing on at constant velocity")
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


def _during(flown: Flown, values: FloatArray) -> float:
    """The mean while the RSU is down."""
    times = np.array(flown.times)
    return float(values[(times >= BROKEN) & (times < RETURNS)].mean())


# -- what the studies share --------------------------------------------------------------------------------------------


def _flown(scenario: Scenario, way: Pricing, name: str, broken: bool = False) -> Flown:
    def down(time: float) -> Sequence[str]:
        return (OUTAGE,) if broken and BROKEN <= time < RETURNS else ()

    def tell(part: float) -> None:
        if sys.stderr.isatty():
            print(f"\r    {name}: {part:.0%}   ", end="\r", file=sys.stderr, flush=True)

    return fly(scenario, way, DURATION, down, tell)


def _smooth(values: FloatArray, width: int = 30) -> FloatArray:
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
