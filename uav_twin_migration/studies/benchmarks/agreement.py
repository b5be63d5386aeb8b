"""`sim` beside `sim --virtual`: the mean of every key of the summary over the same seeds, and whether the two agree.

They agree on a key where the 95 % intervals of the two means overlap, or where the means differ by less than `SAME`.
What a processor takes is left out: virtual time has none. Both run as sweeps: what is done is kept in the folder, and
the same command goes on.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.sweep.results import Row, measures_of, write_csv
from uav_twin_migration.studies.sweep.sweep import rows_of_study

SUMMARY = "sim beside sim --virtual over ten seeds: the mean of every key of the summary, and which disagree"
NEEDS = ("ros",)  # groups of setup.py's REQUIREMENTS besides the command's

SCENARIO, SEEDS, DURATION = "default", 10, 60.0  # s
SAME = 0.02  # of a mean: what nobody would notice
OF_THE_MACHINE = (  # and not of the city: how long messages wait for a processor, and processes take to begin
    "grant_latency_ms",
    "downtime_ms",
    "silence_ms",
    "longest_silence_s",
    "first_",
    "messages_per_s",
    "real_time_factor",
)


class Mean(NamedTuple):
    """Of one key."""

    value: float
    half: float  # of its 95 % interval


class Compared(NamedTuple):
    """One key."""

    key: str
    sim: Mean
    virtual: Mean

    @property
    def agrees(self) -> bool:
        """Whether the two can be taken for the same."""
        apart = abs(self.sim.value - self.virtual.value)
        larger = max(abs(self.sim.value), abs(self.virtual.value))
        return apart <= self.sim.half + self.virtual.half or apart <= SAME * larger


def run(directory: Path | None) -> list[Figure]:
    """Ten simulated minutes in real time, and as many in virtual time."""
    with tempfile.TemporaryDirectory(prefix="uavtwin-agreement-") as made:
        folder = directory or Path(made)
        compared = compare(
            rows_of_study(study("sim"), folder / "sim"), rows_of_study(study("virtual"), folder / "virtual")
        )
        if directory is not None:
            table = [{"key": one.key, "sim": one.sim.value, "sim_half": one.sim.half} for one in compared]
            more = [{"virtual": one.virtual.value, "virtual_half": one.virtual.half} for one in compared]
            rows = [
                first | second | {"agrees": one.agrees}
                for first, second, one in zip(table, more, compared, strict=True)
            ]
            write_csv(folder / "agreement.csv", rows, list(rows[0]))
    figures = [Figure("keys of the summary that agree", sum(one.agrees for one in compared), f"of {len(compared)}")]
    return figures + [Figure(one.key, one.virtual.value, "", one.sim.value) for one in compared if not one.agrees]


def study(command: str, seeds: int = SEEDS, duration: float = DURATION) -> Mapping[str, object]:
    """The sweep of one of the two. duration: s."""
    return {
        "run": command,
        "scenario": SCENARIO,
        "options": {"duration": duration},
        "over": {"seed": list(range(seeds))},
    }


def compare(sim: Sequence[Row], virtual: Sequence[Row]) -> list[Compared]:
    """Every key that both tell in any run, but for what is of the machine. A run that does not tell it tells 0."""
    keys = [key for key in measures_of(sim, ("seed",)) if key in measures_of(virtual, ("seed",))]
    return [
        Compared(key, _mean([row.get(key, 0.0) for row in sim]), _mean([row.get(key, 0.0) for row in virtual]))
        for key in keys
        if not key.startswith(OF_THE_MACHINE)
    ]


def _mean(values: Sequence[float]) -> Mean:
    count = len(values)
    spread = float(np.std(values, ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    return Mean(float(np.mean(values)), float(student.ppf(0.975, count - 1)) * spread if count > 1 else 0.0)
