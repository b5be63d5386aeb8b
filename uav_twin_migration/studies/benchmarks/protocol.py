"""The migration protocol's model checker: all states within bounds, then 200,000 random schedules. Takes a while."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.twin.verification.checker import Found, explore, wander
from uav_twin_migration.twin.verification.liars import CASES, Case, search
from uav_twin_migration.twin.verification.model import Model
from uav_twin_migration.twin.verification.world import (
    BrokenPromiseError,
    Left,
    Rules,
)

SUMMARY = "the migration protocol's states and 200,000 random schedules, searched for a broken promise (long)"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

BATCH = 500  # schedules that a process takes at once
LIES = 30_000  # states that are searched for what a liar can do
PLENTY = 1_000_000
FREE = Left(*[PLENTY] * len(Left._fields))._replace(lose=0)


class Bounds(NamedTuple):
    """What is searched exhaustively, with one source, one target and one UAV."""

    name: str
    rules: Rules
    left: Left
    hosted: bool = True  # False: the twin has no host at first


class Schedules(NamedTuple):
    """Random schedules of one size."""

    rsus: str
    twins: int
    moves: int
    total: int
    lost_disks: int = 0  # where there is a replica


ONE_TERM = Rules(atomic_voice=True, terms=1, sessions=3)
RE_HOSTING = Rules(atomic_voice=True, lease=1, rehost_after=1, sessions=2, terms=2)
REPLICATED = Rules(atomic_voice=True, terms=1, replica_host="target")
LOSING = replace(RE_HOSTING, replica_host="target")
TWO_SESSIONS = replace(ONE_TERM, sessions=2)
FILLING = replace(LOSING, terms=1, sessions=1)
EXHAUSTIVE = (
    Bounds("a crash, a change, a lost copy, 3 sessions", ONE_TERM, Left(crash=1, write=1, forget=1)),
    Bounds("2 crashes, 3 sessions", ONE_TERM, Left(crash=2, write=0)),
    Bounds("2 changes, a cancellation, a break, 3 sessions", ONE_TERM, Left(0, write=2, cancel=1, break_=1)),
    Bounds("2 hand-overs, late lease renewals", Rules(terms=1, sessions=2), Left(0, write=0, migrate=2)),
    Bounds("re-hosting, a crash", RE_HOSTING, Left(crash=1, write=0, tick=1)),
    Bounds("re-hosting, a change, 2 ticks", RE_HOSTING, Left(0, write=1, tick=2)),
    Bounds(
        "re-hosting, late lease renewals", Rules(lease=1, rehost_after=1, sessions=1, terms=2), Left(0, 0, 0, tick=1)
    ),
    Bounds("a replica, a crash, a change, 2 sessions", replace(REPLICATED, sessions=2), Left(migrate=0)),
    Bounds("a replica, a hand-over to it, 3 sessions", replace(REPLICATED, sessions=3), Left(crash=0)),
    Bounds("a replica, a change, a lost disk", replace(LOSING, sessions=1), Left(0, migrate=0, tick=1, lose=1)),
    Bounds("a replica, a change, 2 breaks, 3 sessions", replace(REPLICATED, sessions=3), Left(0, migrate=0, break_=2)),
    Bounds("a change, a refusal, lapsed bandwidth, 2 sessions", TWO_SESSIONS, Left(0, refuse=1, unfund=1)),
    Bounds("a replica, a refusal, a crash, 2 sessions", replace(REPLICATED, sessions=2), Left(1, 0, 0, 0, refuse=1)),
    Bounds("a first snapshot, a replica, a crash, a refusal", FILLING, Left(write=0, tick=1, refuse=1), hosted=False),
)
RANDOM = (Schedules("ABC", 2, 60, 150_000), Schedules("ABCD", 3, 100, 50_000), Schedules("ABC", 2, 60, 50_000, 1))


def run(directory: Path | None) -> list[Figure]:
    """Searches; a broken promise is an error that tells the moves that lead to it."""
    figures = []
    try:
        for bounds in EXHAUSTIVE:
            figures += _exhaust(bounds)
        for schedules in RANDOM:
            figures += _wander(schedules)
        for case in CASES:
            figures.append(_lie(case))
    except BrokenPromiseError as broken:
        raise UavTwinError(f"the protocol is broken: {broken}") from None
    return [*figures, Figure("broken promises", 0.0, "")]


def _exhaust(bounds: Bounds) -> list[Figure]:
    model = Model(("source", "target"), bounds.rules)
    _progress(f"{bounds.name} ...")
    start = model.hosted(bounds.left) if bounds.hosted else model.empty(bounds.left)
    found = explore(model, start, tell=lambda states: _progress(f"{bounds.name}: {states:,} states"))
    print(f"  {bounds.name}: {found.states:,} states, {found.moves:,} moves", file=sys.stderr, flush=True)
    return [Figure(f"all states: {bounds.name}", found.states, "states")]


def _lie(case: Case) -> Figure:
    """What a liar can do, in more states than the tests visit. Raises UavTwinError where that is not as expected."""
    _progress(f"a liar: {case.name} ...")
    found = search(case, LIES)
    broken = ", ".join(sorted(promise.name for promise in found.broken)) or "nothing"
    print(f"  a liar, {case.name}: {found.found.states:,} states, breaks {broken}", file=sys.stderr, flush=True)
    if found.broken.keys() != case.breaks:
        raise UavTwinError(f"a liar, {case.name}, breaks {broken}: not what liars.py expects")
    return Figure(f"states with a liar: {case.name}", found.found.states, "states")


def _wander(schedules: Schedules) -> list[Figure]:
    name = f"{len(schedules.rsus)} RSUs, {schedules.twins} twins, up to {schedules.moves} moves"
    name += ", replicas, a lost disk" if schedules.lost_disks else ""
    done, moves, began = 0, 0, time.monotonic()
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for found in pool.imap_unordered(_batch, _batches(schedules)):
            done, moves = done + BATCH, moves + found.states
            _progress(f"{name}: {done:,} schedules, {done / (time.monotonic() - began):.0f}/s")
    print(f"  {name}: {done:,} schedules", file=sys.stderr, flush=True)
    return [
        Figure(f"random schedules: {name}", done, "schedules"),
        Figure(f"random schedules: {name}: moves that changed something", moves, "moves"),
    ]


def _batches(schedules: Schedules) -> Iterator[tuple[Schedules, int]]:
    yield from ((schedules, seed) for seed in range(0, schedules.total, BATCH))


def _batch(work: tuple[Schedules, int]) -> Found:
    """So many seeds. Every other twin has no host at first."""
    schedules, first = work
    states = moves = 0
    for seed in range(first, first + BATCH):
        losing = schedules.lost_disks > 0
        model = Model(schedules.rsus, Rules(lease=3, rehost_after=4, replica_host=schedules.rsus[1] if losing else ""))
        left = FREE._replace(lose=1, uav_crash=0) if losing else FREE
        starts = [model.empty(left) if twin % 2 else model.hosted(left) for twin in range(schedules.twins)]
        found = wander(model, starts, seed, schedules.moves)
        states, moves = states + found.states, moves + found.moves
    return Found(states, moves)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r  {text:<90}", end="", file=sys.stderr, flush=True)
