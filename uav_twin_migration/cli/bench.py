"""Benchmarks, each beside its baseline in the same run."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.cli.markets import write
from uav_twin_migration.errors import InputError

# name -> what it measures; `cli/bench_<name>.py` has `run(directory: Path | None) -> list[Figure]`
BENCHMARKS: dict[str, str] = {
    "game": "equilibria a second, beside a scipy best-response iteration and a grid search",
    "certificate": "10,000 random markets: every claimed equilibrium beside an independent search (an hour)",
    "edge": "memory and CPU of one RSU's process on its host, beside their budgets",
    "hosts": "RSUs on hosts of their own, cut off, killed, rebooted: what is lost, and time to recover (root; minutes)",
    "soak": "an hour at ten times real time, with restarts: what grows (UAVTWIN_SOAK_MINUTES for another duration)",
    "policy": "a decision's latency, a batch's, the artifact's size, beside the dense network's",
    "training": "speed of training, every way of pruning, market sizes, exploitability on games unseen in training",
    "learning": "from recordings alone, and in the running system while it runs",
    "baselines": "Tiny MADRL beside Stable-Baselines3, TorchRL, and rules that do not learn",
    "market": "offer-to-grant latency, missed rounds, CPU and memory of the running system",
    "protocol": "the migration protocol's states and 200,000 random schedules, searched for a broken promise (long)",
    "migration": "migrations between RSU processes: rates, CPU, downtime, fairness, memory, beside bare TLS",
    "crash": "RSU processes killed at random instants of migrations, and what is lost (nothing)",
}


class Figure(NamedTuple):
    """One measured number."""

    name: str
    value: float
    unit: str
    baseline: float | None = None  # the same by the plain way, in the same unit
    ratio: float | None = None  # how many times better than the baseline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    listed = "; ".join(f"{name}: {what}" for name, what in BENCHMARKS.items())
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default: all). {listed}")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON; - for stdout")
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="where plots and tables go (default: none made)"
    )


def run(args: argparse.Namespace) -> int:
    """Runs one benchmark after the other and tells what they measured."""
    for name in args.names:
        if name not in BENCHMARKS:
            raise InputError("bench", "NAME", name, f"one of {', '.join(BENCHMARKS)}")
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    figures: list[Figure] = []
    for name in args.names or BENCHMARKS:
        module = importlib.import_module(f"uav_twin_migration.cli.bench_{name}")
        if args.json != "-":
            print(f"{name} ({machine})", flush=True)
        if args.output:
            args.output.mkdir(parents=True, exist_ok=True)
        measured: list[Figure] = module.run(args.output)
        figures += measured
        if args.json != "-":
            print("\n".join(_line(figure) for figure in measured))
    if args.json:
        write({"machine": machine, "figures": [figure._asdict() for figure in figures]}, args.json)
    return 0


def _line(figure: Figure) -> str:
    line = f"  {figure.name:<58} {figure.value:>10.4g} {figure.unit}"
    if figure.baseline is not None:
        line += f"   baseline {figure.baseline:.4g}"
    if figure.ratio is not None:
        line += f"   {figure.ratio:,.1f} times"
    return line
