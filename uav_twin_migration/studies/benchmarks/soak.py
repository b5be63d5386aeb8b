"""The whole system for an hour at ten times real time, RSUs restarted every few minutes: does anything grow?

Three RSUs as their hosts run them, a UAV container of four UAVs, a world, a link node and a recorder. Resident memory,
descriptors and threads of every process, the size of the RSUs' stores, and what is heard of the market are sampled; a
slope of each is fitted with its confidence interval. A process begins anew with each start, so only the samples between
two starts are compared with each other; a store lives on, and is fitted in one piece. UAVTWIN_SOAK_MINUTES makes it
shorter or longer, UAVTWIN_SOAK_ATTACK has so many messages a second said by an attacker (nodes/attacker.py) meanwhile.
"""

from __future__ import annotations

import csv
import itertools
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from uav_twin_migration.deployment.discovery import keep_to_this_machine
from uav_twin_migration.deployment.simulation import claim_domain
from uav_twin_migration.errors import InputError
from uav_twin_migration.nodes import start
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses.long_running_city import LongRunningCity, folder_size
from uav_twin_migration.studies.slopes import Slope, slope

SUMMARY = "an hour at ten times real time, with restarts: what grows (UAVTWIN_SOAK_MINUTES for another duration)"
NEEDS = ("ros", "keys", "recording")  # groups of setup.py's REQUIREMENTS besides the command's

RSUS, UAVS = 3, 4
SPEED = 10.0  # simulated seconds in a second
MINUTES = "UAVTWIN_SOAK_MINUTES"
ATTACK = "UAVTWIN_SOAK_ATTACK"  # messages/s of somebody who says what nobody should; none by default
DOWN = 2.0  # s between the end of an RSU and its next start, as in its systemd unit
WAYS = (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)  # each for each of two RSUs in turn
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc3311", "#7b4fa3", "#777777"


class Course(NamedTuple):
    """How long, how often."""

    duration: float = 3600.0  # s
    restart_every: float = 180.0  # s
    sample_every: float = 5.0  # s
    warm_up: float = 60.0  # s of each start of a process that do not count
    restarts: int = 0  # at least, however long that takes


class Row(NamedTuple):
    """One process at one moment. NaN: it has no such thing."""

    seconds: float  # since the beginning
    process: str
    incarnation: int  # which start of the process
    age: float  # s since that start
    memory: float  # MB resident
    descriptors: float
    threads: float
    store: float = math.nan  # MB on disk
    latency: float = math.nan  # ms from offer to grant, median since the last sample
    rounds: float = math.nan  # 1/s
    log: float = math.nan  # kB that it has printed


UNITS = ("s", "", "", "s", "mb", "", "", "mb", "ms", "per_s", "kb")  # of a row's columns


class Quantity(NamedTuple):
    """A column of the rows that should not grow."""

    column: str
    name: str
    unit: str
    lives_on: bool = False  # through restarts


class Restart(NamedTuple):
    """One restart of an RSU."""

    seconds: float  # since the beginning
    rsu: str
    way: str  # name of the signal
    recovered: float  # s from the signal to the first grant with which somebody got something


class Trend(NamedTuple):
    """How a quantity of one process went."""

    process: str
    quantity: Quantity
    first: float  # median of the first tenth of the samples
    last: float  # of the last tenth
    slope: Slope  # an hour


class Soaked(NamedTuple):
    """What was seen."""

    rows: list[Row]
    restarts: list[Restart]
    lost: int
    duplicated: int
    missing: int  # twins that nobody served at the end
    oversold: int
    moved: int
    rounds: int
    served: int  # rounds in which somebody got something
    log_lines: int
    recording: float  # MB


MEMORY = Quantity("memory", "resident memory", "MB")
DESCRIPTORS = Quantity("descriptors", "file descriptors", "")
THREADS = Quantity("threads", "threads", "")
STORE = Quantity("store", "store on disk", "MB", lives_on=True)
LATENCY = Quantity("latency", "offer to grant", "ms")
ROUNDS = Quantity("rounds", "rounds", "1/s")
OF_ALL = (MEMORY, DESCRIPTORS, THREADS)
OF_RSUS = (*OF_ALL, STORE, LATENCY, ROUNDS)


def run(directory: Path | None) -> list[Figure]:
    """An hour, or as long as the environment says."""
    course = course_of(os.environ.get(MINUTES, ""))
    os.environ.update(dict.fromkeys(start.THREADS, "1"))  # nodes' matrices are small
    keep_to_this_machine()
    claim_domain()
    domain = int(os.environ.get("ROS_DOMAIN_ID", "0"))
    with tempfile.TemporaryDirectory(prefix="uavtwin-soak-", dir=os.environ.get("TMPDIR")) as folder:
        city = LongRunningCity(Path(folder), generate(RSUS, UAVS, seed=1), SPEED, domain)
        soaked = soak(city, course, float(os.environ.get(ATTACK, "0")))
    trends = trends_of(soaked.rows, course, city.rsus)
    if directory:
        write_rows(soaked.rows, directory / "soak.csv")
        write_trends(trends, directory / "soak_trends.csv")
        draw(soaked, city.rsus, directory / "soak.png")
    return figures_of(soaked, trends, city.rsus)


def course_of(minutes: str) -> Course:
    """The course of so many minutes; of an hour where nothing is said. Raises InputError."""
    if not minutes:
        return Course()
    try:
        duration = 60.0 * float(minutes)
    except ValueError:
        duration = math.nan
    if not 60.0 <= duration <= 1e7:
        raise InputError("environment", MINUTES, minutes, "minutes, at least 1")
    shrink = min(duration / 1200.0, 1.0)  # below twenty minutes restarts and warm-ups come faster
    return Course(duration, 180.0 * shrink, 5.0 * shrink, 60.0 * shrink)


# -- the hour ----------------------------------------------------------------------------------------------------------


def soak(city: LongRunningCity, course: Course, attack: float = 0.0) -> Soaked:
    """Run the city; the first RSU is never restarted. Raises UavTwinError where a process ends or does not return."""
    rows: list[Row] = []
    restarts: list[Restart] = []
    try:
        city.start()
        if attack:
            city.attack(attack)
        began = time.monotonic()
        to_restart = itertools.cycle(city.rsus[1:] or city.rsus)
        ways = itertools.cycle(WAYS)
        restart_at = began + course.restart_every
        sampler = Sampler(city, began)
        while (now := time.monotonic()) < began + course.duration or len(restarts) < course.restarts:
            if now >= restart_at:
                restarts.append(restart(city, next(to_restart), next(ways), began))
                restart_at = now + course.restart_every
            time.sleep(course.sample_every)
            city.check()
            rows += sampler.sample()
            tell(rows, restarts, city, course)
        return conclude(city, rows, restarts)
    finally:
        city.stop()


class Sampler:
    """Looks at all processes."""

    def __init__(self, city: LongRunningCity, began: float) -> None:
        self._city, self._began, self._last = city, began, began
        self._rounds = city.hearing.rounds.copy()
        for rsu in city.rsus:
            city.hearing.latencies(rsu)

    def sample(self) -> list[Row]:
        """A row for each process."""
        city, now = self._city, time.monotonic()
        elapsed, self._last = now - self._last, now
        rows = []
        for name, process in city.processes.items():
            usage = psutil.Process(process.pid)
            row = Row(
                now - self._began,
                name,
                city.incarnations[name],
                now - city.started[name],
                usage.memory_info().rss / 1e6,
                usage.num_fds(),
                usage.num_threads(),
            )
            rows.append(self._with_market(row, elapsed) if name in city.rsus else row)
        return rows

    def _with_market(self, row: Row, elapsed: float) -> Row:
        rsu = row.process
        with self._city.lock:
            latencies = self._city.hearing.latencies(rsu)
            rounds = self._city.hearing.rounds[rsu]
        before, self._rounds[rsu] = self._rounds[rsu], rounds
        log = (self._city.folder / f"{rsu}.log").stat().st_size / 1e3
        stored, latency = self._city.stored(rsu), median(latencies)
        return row._replace(store=stored, latency=latency, rounds=(rounds - before) / elapsed, log=log)


def restart(city: LongRunningCity, rsu: str, way: signal.Signals, began: float) -> Restart:
    """End an RSU, start it again, wait until it serves."""
    struck = time.monotonic()
    city.end_process(rsu, way)
    time.sleep(DOWN)
    city.start_process(rsu)
    since = time.monotonic()
    city.wait_for(lambda: city.hearing.grants[rsu][-1] > since, f"a grant of {rsu} after its restart")
    return Restart(struck - began, rsu, way.name, city.hearing.grants[rsu][-1] - struck)


def conclude(city: LongRunningCity, rows: list[Row], restarts: list[Restart]) -> Soaked:
    """Wait until every twin is served by somebody, or has not been for long, and add up."""
    now = time.monotonic()
    hearing = city.hearing
    missing = 0
    try:
        city.wait_for(lambda: all(at > now for at in hearing.states.values()), "a state of every twin")
    except Exception:
        missing = sum(at <= now for at in hearing.states.values())
    with city.lock:
        return Soaked(
            rows,
            restarts,
            lost=len(hearing.twins.lost),
            duplicated=len(hearing.twins.duplicated),
            missing=missing,
            oversold=hearing.oversold,
            moved=len(hearing.twins.handovers),
            rounds=sum(hearing.rounds.values()),
            served=sum(map(len, hearing.grants.values())),
            log_lines=sum(len(city.log(rsu)) for rsu in city.rsus),
            recording=folder_size(city.recording),
        )


def tell(rows: Sequence[Row], restarts: Sequence[Restart], city: LongRunningCity, course: Course) -> None:
    """Progress, once a minute."""
    seconds = rows[-1].seconds
    if math.floor(seconds / 60.0) == math.floor((seconds - course.sample_every) / 60.0):
        return
    memory = max(row.memory for row in rows[-len(city.processes) :] if row.process in city.rsus)
    print(
        f"  {seconds / 60.0:.0f} of {course.duration / 60.0:.0f} min: {len(restarts)} restarts, {memory:.0f} MB the "
        f"largest RSU, {city.told_of_twins()}",
        file=sys.stderr,
        flush=True,
    )


# -- what it says ------------------------------------------------------------------------------------------------------


def trends_of(rows: Sequence[Row], course: Course, rsus: Sequence[str]) -> list[Trend]:
    """How everything went, of every process."""
    trends = []
    for process in dict.fromkeys(row.process for row in rows):
        own = [row for row in rows if row.process == process and row.age >= course.warm_up]
        if own:
            trends += [trend(own, quantity) for quantity in (OF_RSUS if process in rsus else OF_ALL)]
    return trends


def trend(rows: Sequence[Row], quantity: Quantity) -> Trend:
    """How a quantity of one process went, the rows being all of it."""
    hours = [row.seconds / 3600.0 for row in rows]
    values = [float(getattr(row, quantity.column)) for row in rows]
    incarnations = [0 if quantity.lives_on else row.incarnation for row in rows]
    tenth = max(len(values) // 10, 1)
    return Trend(
        rows[0].process, quantity, median(values[:tenth]), median(values[-tenth:]), slope(hours, values, incarnations)
    )


def median(values: Sequence[float]) -> float:
    """The median of what is known; NaN of nothing."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else math.nan


def worst(trends: Sequence[Trend], quantity: Quantity) -> Trend:
    """The process that grows most; rounds are what should not become fewer."""
    sign = -1.0 if quantity is ROUNDS else 1.0
    known = [one for one in trends if one.quantity is quantity]
    return max(known, key=lambda one: -math.inf if math.isnan(one.slope.value) else sign * one.slope.value)


def figures_of(soaked: Soaked, trends: Sequence[Trend], rsus: Sequence[str]) -> list[Figure]:
    """What a person wants to know."""
    of_rsus = [one for one in trends if one.process in rsus]
    others = [one for one in trends if one.process not in rsus]
    figures = [figure for quantity in OF_RSUS for figure in in_figures("worst RSU", worst(of_rsus, quantity))]
    figures += [figure for quantity in OF_ALL for figure in in_figures("worst other", worst(others, quantity))]
    recovered = [one.recovered for one in soaked.restarts] or [math.nan]
    return [
        *figures,
        Figure("restarts of RSUs", len(soaked.restarts), ""),
        Figure("an RSU serves again after, median", float(np.median(recovered)), "s"),
        Figure("an RSU serves again after, at most", max(recovered), "s"),
        Figure("rounds heard", soaked.rounds, ""),
        Figure("rounds in which somebody got something", 100.0 * soaked.served / max(soaked.rounds, 1), "%"),
        Figure("twins moved", soaked.moved, ""),
        Figure("twins that began anew", soaked.lost, ""),
        Figure("twins that nobody served at the end", soaked.missing, ""),
        Figure("twins served by two RSUs", soaked.duplicated, ""),
        Figure("rounds with more under lease than an RSU has", soaked.oversold, ""),
        Figure("lines in the RSUs' logs", soaked.log_lines, ""),
        Figure("recorded", soaked.recording, "MB"),
    ]


def in_figures(kind: str, one: Trend) -> list[Figure]:
    """A trend of the worst process of a kind as figures."""
    name, unit = f"{one.quantity.name}, {kind} ({one.process})", one.quantity.unit
    each_hour = f"{unit}/h" if unit else "1/h"
    return [
        Figure(f"{name}: at first", one.first, unit),
        Figure(f"{name}: at last", one.last, unit),
        Figure(f"{name}: slope", one.slope.value, each_hour),
        Figure(f"{name}: slope, 95 % +-", one.slope.high - one.slope.value, each_hour),
    ]


def write_trends(trends: Sequence[Trend], file: Path) -> None:
    """All trends, with their 95 % intervals; units are those of the quantity, slopes of it an hour."""
    with file.open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["process", "quantity", "unit", "first", "last", "slope_per_h", "low_per_h", "high_per_h"])
        for one in trends:
            numbers = [f"{value:.5g}" for value in (one.first, one.last, *one.slope)]
            writer.writerow([one.process, one.quantity.name, one.quantity.unit, *numbers])


def write_rows(rows: Sequence[Row], file: Path) -> None:
    """All samples."""
    names = [f"{name}_{unit}" if unit else name for name, unit in zip(Row._fields, UNITS, strict=True)]
    with file.open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(names)
        writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows)


def draw(soaked: Soaked, rsus: Sequence[str], file: Path) -> None:
    """Every quantity over the time, a line a process."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(11.0, 11.0), layout="constrained")
    panels: Any = canvas.subplots(4, 2, sharex=True)
    processes = list(dict.fromkeys(row.process for row in soaked.rows))
    others = [name for name in processes if name not in rsus]
    shown = [(quantity, rsus) for quantity in OF_RSUS] + [(MEMORY, others), (DESCRIPTORS, others)]
    colours = (BLUE, ORANGE, GREEN, RED, PURPLE, GREY)
    for axes, (quantity, names) in zip(panels.flat, shown, strict=True):
        for name, colour in zip(names, itertools.cycle(colours), strict=False):
            own = [row for row in soaked.rows if row.process == name]
            minutes = [row.seconds / 60.0 for row in own]
            axes.plot(minutes, [getattr(row, quantity.column) for row in own], color=colour, lw=0.9, label=name)
        for one in soaked.restarts:
            axes.axvline(one.seconds / 60.0, color=GREY, lw=0.4, ls=":" if one.way == "SIGTERM" else "-")
        axes.set_ylabel(f"{quantity.name}{f', {quantity.unit}' if quantity.unit else ''}")
        axes.set_ylim(bottom=0.0)
        axes.set_title("RSUs" if names is rsus else "the others", loc="left", fontsize=9)
        axes.legend(fontsize=7, ncols=3)
    for axes in panels[-1]:
        axes.set_xlabel("time, min")
    canvas.suptitle("grey lines: an RSU restarted, by SIGTERM (dotted) and SIGKILL", fontsize=9)
    canvas.savefig(file, dpi=110)
