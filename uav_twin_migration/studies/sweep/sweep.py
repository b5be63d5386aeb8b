"""`uavtwin sweep`: from the file to the plots."""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from uav_twin_migration import __version__
from uav_twin_migration.cli.markets import write
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.output import whole_file, write_text
from uav_twin_migration.plugins import file_of
from uav_twin_migration.studies.sweep import plots, results, workers
from uav_twin_migration.studies.sweep.points import FUNCTION, Task, tasks
from uav_twin_migration.studies.sweep.results import Run
from uav_twin_migration.studies.sweep.spec import Spec, read

PACKAGES = ("numpy", "scipy", "torch", "matplotlib", "pyarrow", "ray")
SIMULATIONS = ("sim",)  # of which one runs at a time on a machine, in real time
MOST_TOLD = 10  # failures


def sweep(args: argparse.Namespace) -> int:
    """Returns the exit code: 1 where a run failed."""
    spec = read(args.spec)
    wanted = tasks(spec, args.spec.resolve().parent)
    if args.jobs < 0:
        raise InputError("sweep", "--jobs", args.jobs, "a number >= 1")
    if args.dry_run:
        for task in wanted:
            print(f"{task.key}  {task.name}")
        print(f"{len(wanted)} runs of uavtwin {spec.run}")
        return 0
    folder: Path = args.output
    folder.mkdir(parents=True, exist_ok=True)
    keep_spec(spec, args.spec, folder)
    quiet = args.json == "-"
    ordered = carry_out(spec, wanted, folder, args.jobs, args.ray, quiet)
    rows = results.rows_of(ordered)
    results.write_tables(folder, rows, spec.axes)
    drawn = plots.draw(folder, spec, rows)
    failed = [run for run in ordered if run.code != 0]
    document = {"runs": len(ordered), "done": len(ordered) - len(failed), "failed": len(failed)}
    if args.json:
        failures = [{"values": run.values, "code": run.code, "said": run.said} for run in failed]
        write(document | {"failures": failures, "plots": [str(path) for path in drawn]}, args.json)
    if not quiet:
        _tell(folder, ordered, failed, drawn)
    return 1 if failed else 0


def carry_out(
    spec: Spec, wanted: Sequence[Task], folder: Path, jobs: int = 0, ray: str = "", quiet: bool = False
) -> list[Run]:
    """Do what is not yet done of a sweep, and write its manifest. Returns all runs, in the order of `wanted`.

    jobs: processes, 0 for one a core. ray: address of a cluster, empty for this machine.
    """
    (folder / results.RUNS).mkdir(parents=True, exist_ok=True)
    runs = {task.key: done for task in wanted if (done := results.kept(folder, task)) is not None}
    progress = Progress(len(wanted), len(runs), quiet)
    todo = list({task.key: task for task in wanted if task.key not in runs}.values())
    jobs = jobs or (1 if spec.run in SIMULATIONS else workers.cores())
    outcomes = workers.on_ray(todo, ray) if ray else workers.locally(todo, jobs)
    try:
        for task, outcome in outcomes if todo else ():
            runs[task.key] = results.keep(folder, task, outcome)
            progress.tell(task, runs[task.key])
    finally:
        write_manifest(folder, spec, wanted, runs)
    return [runs[task.key]._replace(values=task.values) for task in wanted]


def rows_of_study(document: Mapping[str, Any], folder: Path) -> list[results.Row]:
    """The table of a sweep that a study is made of: `uavtwin sweep FOLDER/sweep.yaml -o FOLDER` does the same.

    document: what stands in its file. Raises UavTwinError where a run failed; what is done is not done again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "sweep.yaml", yaml.safe_dump(dict(document), sort_keys=False))
    spec = read(folder / "sweep.yaml")
    return _rows(spec, tasks(spec, folder), folder, 0)


def rows_of_function(place: str, points: Sequence[Mapping[str, Any]], folder: Path, jobs: int) -> list[results.Row]:
    """A study's own function, as a sweep over its arguments: a row for each of `points`, what is done is kept.

    place: module:function, which returns a mapping of numbers. jobs: processes; one where it measures time.
    Raises UavTwinError where a run failed.
    """
    axes = tuple(dict.fromkeys(name for point in points for name in point))
    spec = Spec(place, FUNCTION, None, {}, tuple(map(dict, points)), axes, (), (), {})
    wanted = [
        Task(number, dict(point), FUNCTION, (place, json.dumps(point, sort_keys=True)), {})
        for number, point in enumerate(points)
    ]
    return _rows(spec, wanted, folder, jobs)


def _rows(spec: Spec, wanted: Sequence[Task], folder: Path, jobs: int) -> list[results.Row]:
    with contextlib.redirect_stdout(sys.stderr):  # a benchmark's JSON may go to standard output
        runs = carry_out(spec, wanted, folder, jobs)
    failed = [run for run in runs if run.code != 0]
    if failed:
        raise UavTwinError(f"{folder}: {len(failed)} of {len(runs)} runs failed; the first: {failed[0].said[-500:]}")
    rows = results.rows_of(runs)
    results.write_tables(folder, rows, spec.axes)
    return rows


def _tell(folder: Path, runs: Sequence[Run], failed: Sequence[Run], drawn: Sequence[Path]) -> None:
    print(f"{folder}: {len(runs)} runs, {len(failed)} failed; results.csv, summary.csv, {len(drawn)} plots")
    for run in failed[:MOST_TOLD]:
        named = ", ".join(f"{axis} {value}" for axis, value in run.values.items())
        said = (run.said.strip().splitlines() or ["it said nothing"])[-1]
        print(f"  failed with {run.code}: {named}: {said} ({results.RUNS}/{run.key}.json)")


class Progress:
    """Tells how far a sweep is, a line a run."""

    def __init__(self, total: int, before: int, quiet: bool) -> None:
        self.total, self.done, self.quiet = total, before, quiet
        self.failed, self.new = 0, 0
        self.began = time.monotonic()
        if before and not quiet:
            print(f"{before} of {total} runs are done already", flush=True)

    def tell(self, task: Task, run: Run) -> None:
        """One more."""
        self.done, self.new, self.failed = self.done + 1, self.new + 1, self.failed + (run.code != 0)
        spent = time.monotonic() - self.began
        left = spent / self.new * (self.total - self.done)
        failed = f", {self.failed} failed" if self.failed else ""
        if not self.quiet:
            state = "" if run.code == 0 else f"failed with {run.code}: "
            print(f"{self.done}/{self.total}{failed}, {_clock(left)} left: {state}{task.name}", flush=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


# --- what reproduces it -----------------------------------------------------------------------------------------------


def keep_spec(spec: Spec, path: Path, folder: Path) -> None:
    """sweep.yaml, and beside it the files that it names: `uavtwin sweep DIR/sweep.yaml -o OTHER` does it all again."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: kept(one) for key, one in value.items()}
        if isinstance(value, list):
            return [kept(one) for one in value]
        plugin = file_of(value) if isinstance(value, str) else None
        source = path.resolve().parent / (plugin or str(value))
        if not isinstance(value, str) or not value or not source.is_file():
            return value
        if source.parent != folder.resolve():
            with whole_file(folder / source.name) as copy:
                copy.write_bytes(source.read_bytes())
        return f"{source.name}:{value.partition('.py:')[2]}" if plugin else source.name

    text = yaml.safe_dump(kept(spec.document), sort_keys=False)
    write_text(folder / "sweep.yaml", text)


def write_manifest(folder: Path, spec: Spec, wanted: Sequence[Task], runs: dict[str, Run]) -> None:
    """manifest.json: with which versions, by which command, and what became of each run. Raises UavTwinError."""
    states = [
        {
            "key": task.key,
            "values": task.values,
            "command": shlex.join(["uavtwin", *task.arguments]),
            "status": "missing" if task.key not in runs else "done" if runs[task.key].code == 0 else "failed",
            "seconds": runs[task.key].seconds if task.key in runs else None,
            "host": runs[task.key].host if task.key in runs else None,
        }
        for task in wanted
    ]
    document = {
        "name": spec.name,
        "command": shlex.join(["uavtwin", "sweep", *sys.argv[2:]]),
        "again": f"uavtwin sweep {folder / 'sweep.yaml'} -o DIR",
        "versions": {"uav_twin_migration": __version__, "python": platform.python_version(), **_versions()},
        "machine": f"{platform.machine()}, {workers.cores()} CPUs",
        "seeds": sorted(
            {value for task in wanted for axis, value in task.values.items() if axis in results.REPETITIONS}
        ),
        "runs": states,
    }
    write_text(folder / "manifest.json", json.dumps(document, indent=1) + "\n")


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
