"""A signed city beside somebody who says 10,000 messages a second that nobody should: who is served, and how fast.

The city of `bench soak`, in real time and without restarts. First it runs undisturbed, then beside the attackers
(nodes/attacker.py). Nothing may be lost, doubled, unserved or oversold; how many rounds there are, and how long grants
take, stands beside what it was before.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from uav_twin_migration.deployment.discovery import keep_to_this_machine
from uav_twin_migration.deployment.simulation import claim_domain
from uav_twin_migration.errors import InputError
from uav_twin_migration.nodes import start
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses.long_running_city import LongRunningCity

SUMMARY = "a city under 10,000 attacks a second for an hour (UAVTWIN_ATTACK_MINUTES, UAVTWIN_ATTACK_RATE)"
NEEDS = ("ros", "keys", "recording")  # groups of setup.py's REQUIREMENTS besides the command's

MINUTES, RATE = "UAVTWIN_ATTACK_MINUTES", "UAVTWIN_ATTACK_RATE"
RSUS, UAVS = 3, 4
BEFORE = 60.0  # s at most, undisturbed
EVERY = 2.0  # s between two looks


class Seen(NamedTuple):
    """The city for a while."""

    seconds: float
    rounds: int
    latencies: list[float]  # ms, from offers to grants
    grown: float  # MB, of the RSU that grew most, from a quarter of the time on


def run(directory: Path | None) -> list[Figure]:
    """Raises UavTwinError where a process ends, InputError where the environment says no numbers."""
    minutes, rate = number(MINUTES, 60.0), number(RATE, 10_000.0)
    os.environ.update(dict.fromkeys(start.THREADS, "1"))  # nodes' matrices are small
    keep_to_this_machine()
    claim_domain()
    domain = int(os.environ.get("ROS_DOMAIN_ID", "0"))
    with tempfile.TemporaryDirectory(prefix="uavtwin-attack-", dir=os.environ.get("TMPDIR")) as folder:
        city = LongRunningCity(Path(folder), generate(RSUS, UAVS, seed=1), 1.0, domain, record=False)
        try:
            city.start()
            before = watch(city, min(BEFORE, 60.0 * minutes / 4.0))
            city.attack(rate)
            during = watch(city, 60.0 * minutes)
            missing = unserved(city)
        finally:
            city.stop()
    twins = city.hearing.twins
    return [
        Figure("messages of the attackers, wanted", rate, "1/s"),
        *compared("grants, median after the offer", 50, before, during),
        *compared("grants, 99 % after the offer", 99, before, during),
        Figure("rounds", during.rounds / during.seconds, "1/s", before.rounds / before.seconds),
        Figure("an RSU's memory grew by at most", during.grown, "MB"),
        Figure("twins lost", len(twins.lost), ""),
        Figure("twins served twice", len(twins.duplicated), ""),
        Figure("twins that nobody serves at the end", missing, ""),
        Figure("grants beyond the capacity", city.hearing.oversold, ""),
    ]


def number(name: str, otherwise: float) -> float:
    """A positive number from the environment. Raises InputError."""
    try:
        value = float(os.environ.get(name, otherwise))
    except ValueError:
        value = math.nan
    if not 0.0 < value < 1e7:
        raise InputError("environment", name, os.environ.get(name), "a number above 0")
    return value


def watch(city: LongRunningCity, seconds: float) -> Seen:
    """Look at the city for so long."""
    began, latencies, memory = time.monotonic(), list[float](), list[dict[str, float]]()
    for rsu in city.rsus:
        city.hearing.latencies(rsu)
    rounds = sum(city.hearing.rounds.values())
    while (elapsed := time.monotonic() - began) < seconds:
        time.sleep(EVERY)
        city.check()
        with city.lock:
            latencies += [one for rsu in city.rsus for one in city.hearing.latencies(rsu)]
        memory.append({rsu: psutil.Process(city.processes[rsu].pid).memory_info().rss / 1e6 for rsu in city.rsus})
        if int(elapsed / 60.0) != int((elapsed + EVERY) / 60.0):
            print(f"  {elapsed / 60.0:.0f} of {seconds / 60.0:.0f} min", file=sys.stderr, flush=True)
    settled = memory[len(memory) // 4]
    grown = max(memory[-1][rsu] - settled[rsu] for rsu in city.rsus)
    return Seen(time.monotonic() - began, sum(city.hearing.rounds.values()) - rounds, latencies, grown)


def unserved(city: LongRunningCity) -> int:
    """Twins of which no state comes any more, still beside the attackers."""
    now = time.monotonic()
    try:
        city.wait_for(lambda: all(at > now for at in city.hearing.states.values()), "a state of every twin")
    except Exception:
        return sum(at <= now for at in city.hearing.states.values())
    return 0


def compared(name: str, quantile: float, before: Seen, during: Seen) -> list[Figure]:
    """Latencies under attack beside those without; nothing where there were none."""
    if not before.latencies or not during.latencies:
        return []
    then, now = (float(np.percentile(one.latencies, quantile)) for one in (before, during))
    return [Figure(name, now, "ms", then)]
