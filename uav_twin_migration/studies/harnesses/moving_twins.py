"""Twins that move all the time, between RSU processes without ROS, as much as those of the default city do.

In the default city 8 twins of 100 Mbit make 15 moves a minute among 4 RSUs, two of them at once, and hear their UAVs
four times a second all along (`uavtwin sim default`, 2026-11-30).
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from uav_twin_migration.studies.benchmarks.migration import Street, street
from uav_twin_migration.studies.harnesses.plain_rsu import written_to_device

RSUS, UAVS = ("north", "east", "south", "west"), 8
SIZE = 100.0  # Mbit of a twin
RATE = 14.0  # Mbit/s of a move
AT_ONCE = 2  # moves
PERIOD = 0.25  # s between two heartbeats of a UAV
ROUND = 0.1  # s between two looks at what is to be done


class Moved(NamedTuple):
    """What all RSUs did in a while. Bytes."""

    seconds: float
    moved: float  # of chunks from other RSUs, on the disk
    written: float  # by the processes, as the kernel counts it
    to_device: float  # by whoever uses it; NaN where the stores have no device of their own
    moves: int


def measure(seconds: float) -> Moved:
    """Let twins move for so long."""
    with street(RSUS) as here:
        uavs = [f"uav_{number}" for number in range(UAVS)]
        for uav, rsu in zip(uavs, itertools.cycle(RSUS)):
            here.place(uav, rsu, SIZE)
        stop = threading.Event()
        flying = threading.Thread(target=_fly, args=(here, uavs, stop), daemon=True)
        flying.start()
        before = _used(here)
        moves = sum(_move(here, uavs, time.monotonic() + seconds))
        after = _used(here)
        stop.set()
        flying.join()
    seconds, moved, written, to_device = (late - early for early, late in zip(before, after, strict=True))
    return Moved(seconds, moved, written, to_device, moves)


def _used(here: Street) -> tuple[float, float, float, float]:
    usages: list[dict[str, Any]] = [here.usage(rsu) for rsu in here.rsus]
    moved, wrote = (math.fsum(usage[what] for usage in usages) for what in ("taken_in", "written"))
    return time.monotonic(), moved, wrote, written_to_device(Path(here.directory))


def _fly(here: Street, uavs: list[str], stop: threading.Event) -> None:
    """Have each twin hear its UAV."""
    for sequence in itertools.count(1):
        if stop.wait(PERIOD):
            return
        for number, uav in enumerate(uavs):
            at = sequence * PERIOD
            noise = [float.fromhex(f"0x1.{os.urandom(6).hex()}p3") for _ in range(3)]  # digits that do not compress
            place = [at + noise[0], 100.0 * number + noise[1], 80.0 + noise[2]]
            here.say(here.hosts[uav].rsu, "observe", uav=uav, sequence=sequence, stamp=at, position=place)


def _move(here: Street, uavs: list[str], until: float) -> Iterator[int]:
    """Move twins, some at once, each to the next RSU; yields 1 for each that has moved."""
    waiting, moving = list(uavs), 0
    while time.monotonic() < until:
        while moving < AT_ONCE:
            uav = waiting.pop(0)
            waiting.append(uav)
            target = RSUS[(RSUS.index(here.hosts[uav].rsu) + 1) % len(RSUS)]
            here.migrate(uav, target, RATE)
            moving += 1
        try:
            report = here.wait("report", patience=ROUND)
        except TimeoutError:
            continue
        moving -= 1
        yield int(report["reason"] is None)
