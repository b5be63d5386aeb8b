"""How fast virtual time passes: simulated seconds in a second of one core, and the time to a first result.

The baseline is real time, which is what `sim` takes. CPU time is that of this process, which has one thread; where the
machine has other work to do, a core's second is worth less, and the figures are as much lower.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from uav_twin_migration.scenario.load import load
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.virtual.run import run as play

SUMMARY = "virtual time beside real time: the default city, 16 x 200, and a first result from the command"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

CITIES = (("default", 60.0), ("large", 12.0))  # and s to play


def run(directory: Path | None) -> list[Figure]:
    """Measures."""
    figures = []
    for name, duration in CITIES:
        scenario = load(name)
        what = f"{len(scenario.rsus)} x {len(scenario.uavs)}"
        _say(f"{duration:g} s of {what} with twins")
        took = _cpu_time(name, duration)
        figures.append(Figure(f"{what} with twins, simulated seconds a CPU second", duration / took, "1", 1.0))
    _say("a first result from the command")
    started = time.perf_counter()
    command = [sys.executable, "-m", "uav_twin_migration.cli", "sim", "--virtual", "--duration", "30", "--plain"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    figures.append(Figure("sim --virtual --duration 30, from command to summary", time.perf_counter() - started, "s"))
    return [one._replace(ratio=one.value / one.baseline) if one.baseline else one for one in figures]


def _cpu_time(name: str, duration: float) -> float:
    started = time.process_time()
    play(name, duration=duration)
    return time.process_time() - started


def _say(what: str) -> None:
    print(f"  {what} ...", file=sys.stderr, flush=True)
