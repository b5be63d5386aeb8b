"""A sweep's results: a file for each run, a tidy table, and what repetitions come to.

    runs/KEY.json         one run: its values, its command line, what it told, or why it failed
    runs/KEY/             its files: scenario, plug-ins, policy
    results.csv           a row a run: axes, measures              (results.parquet, with pyarrow)
    summary.csv           a row a combination of all axes but the seed: interquartile mean and its 95 % interval
    manifest.json         versions, seeds, command, and the state of every run
    sweep.yaml            the sweep itself, with the files that it names beside it

The interquartile mean is the mean of the middle half; its interval is a percentile bootstrap over repetitions. Both are
what Agarwal et al. recommend for few runs ("Deep RL at the Edge of the Statistical Precipice", NeurIPS 2021).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.output import whole_file, write_text
from uav_twin_migration.studies.sweep.points import Task
from uav_twin_migration.studies.sweep.run import Outcome
from uav_twin_migration.studies.sweep.spec import Values

REPETITIONS = ("seed", "city.seed")  # axes whose values are repetitions of each other
RESAMPLES, LEVEL = 2000, 0.95
RUNS = "runs"

Row = dict[str, Any]


class Run(NamedTuple):
    """One run, as its file has it."""

    key: str
    values: Values
    arguments: list[str]
    code: int
    result: dict[str, float]
    said: str
    seconds: float
    host: str


def keep(folder: Path, task: Task, outcome: Outcome) -> Run:
    """Write a run's file, and its files. Raises UavTwinError."""
    run = Run(task.key, task.values, list(task.arguments), *outcome[:5])
    beside = folder / RUNS / task.key
    beside.mkdir(parents=True, exist_ok=True)
    files = task.files | ({"policy.safetensors": outcome.policy} if outcome.policy else {})
    for name, content in files.items():
        with whole_file(beside / name) as path:
            path.write_bytes(content)
    write_text(folder / RUNS / f"{task.key}.json", json.dumps(run._asdict(), indent=1) + "\n")
    return run


def kept(folder: Path, task: Task) -> Run | None:
    """A run that was done before and did not fail; None where there is none that can be read."""
    try:
        document = json.loads((folder / RUNS / f"{task.key}.json").read_text(encoding="utf-8"))
        run = Run(**document)
    except (OSError, ValueError, TypeError):
        return None
    return run._replace(values=task.values) if run.code == 0 and run.arguments == list(task.arguments) else None


def rows_of(runs: Iterable[Run]) -> list[Row]:
    """The tidy table: axes, what became of it, measures."""
    return [{**run.result, **run.values, "status": "done" if run.code == 0 else "failed"} for run in runs]


def iqm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[...] interquartile mean over the last axis: a quarter is left out at either end, rounded down."""
    ordered = np.sort(values, axis=-1)
    out = int(0.25 * ordered.shape[-1])
    return np.asarray(ordered[..., out : ordered.shape[-1] - out].mean(axis=-1))


class Band(NamedTuple):
    """What repetitions come to."""

    runs: int
    middle: float  # interquartile mean
    low: float  # of its 95 % interval
    high: float


def band(values: Sequence[float], seed: int = 0) -> Band:
    """Of repetitions; NaNs are left out."""
    there = np.array([value for value in values if math.isfinite(value)])
    if not len(there):
        return Band(0, math.nan, math.nan, math.nan)
    middle = float(iqm(there))
    if len(there) == 1:
        return Band(1, middle, middle, middle)
    drawn = np.random.default_rng(seed).integers(0, len(there), (RESAMPLES, len(there)))
    low, high = np.quantile(iqm(there[drawn]), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Band(len(there), middle, float(low), float(high))


def grouped(rows: Iterable[Row], axes: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    """Rows that did not fail, by their values of these axes."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["status"] == "done":
            groups.setdefault(tuple(row[axis] for axis in axes), []).append(row)
    return groups


def measures_of(rows: Iterable[Row], axes: Sequence[str]) -> list[str]:
    """What runs told, in the order in which it came."""
    return list(dict.fromkeys(name for row in rows for name in row if name not in (*axes, "status")))


def summary(rows: Sequence[Row], axes: Sequence[str]) -> list[Row]:
    """A row for each combination of the axes that are no repetitions."""
    own = [axis for axis in axes if axis not in REPETITIONS]
    measures = measures_of(rows, axes)
    found = []
    for values, alike in grouped(rows, own).items():
        row: Row = dict(zip(own, values, strict=True)) | {"runs": len(alike)}
        for measure in measures:
            told = band([row_.get(measure, math.nan) for row_ in alike])
            row |= {measure: told.middle, f"{measure}.low": told.low, f"{measure}.high": told.high}
        found.append(row)
    return found


def write_tables(folder: Path, rows: Sequence[Row], axes: Sequence[str]) -> None:
    """results.csv and, with pyarrow, results.parquet; summary.csv. Raises UavTwinError."""
    columns = [*axes, "status", *measures_of(rows, axes)]
    write_csv(folder / "results.csv", rows, columns)
    summed = summary(rows, axes)
    write_csv(folder / "summary.csv", summed, list(dict.fromkeys(name for row in summed for name in row)))
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        return
    table = arrow.table({name: _column([row.get(name) for row in rows]) for name in columns})
    with whole_file(folder / "results.parquet") as path:
        parquet.write_table(table, path)


def _column(values: list[Any]) -> list[Any]:
    """Of one type: numbers, or texts."""
    numbers = all(
        value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in values
    )
    return [None if value is None else float(value) if numbers else str(value) for value in values]


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Rows by their names; what a row has not stays empty. Raises UavTwinError."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
