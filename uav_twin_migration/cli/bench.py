"""Benchmarks, each beside its baseline in the same run."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from uav_twin_migration.cli.commands import BENCHMARKS, require_studies
from uav_twin_migration.cli.markets import write
from uav_twin_migration.cli.parser import one_of

if TYPE_CHECKING:
    from uav_twin_migration.studies.benchmarks import Figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    listed = "; ".join(f"{name}: {part.summary}" for name, part in BENCHMARKS.items())
    parser.add_argument(
        "names", nargs="*", metavar="NAME", type=one_of(BENCHMARKS), help=f"which (default: all). {listed}"
    )
    parser.add_argument("--px4-dir", metavar="DIR", help="PX4 SITL build folder that px4 flies (UAVTWIN_PX4_DIR)")
    parser.add_argument(
        "--px4-agent", metavar="PROGRAM", help="Micro XRCE-DDS agent that px4 flies over (UAVTWIN_PX4_AGENT)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON; - for stdout")
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="where plots and tables go (default: none made)"
    )


def run(args: argparse.Namespace) -> int:
    """Runs one benchmark after the other and tells what they measured."""
    require_studies(BENCHMARKS)
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    figures: list[Figure] = []
    for name in ("px4_dir", "px4_agent"):
        if getattr(args, name):
            os.environ[f"UAVTWIN_{name.upper()}"] = getattr(args, name)
    for name in args.names or BENCHMARKS:
        module = importlib.import_module(f"uav_twin_migration.studies.benchmarks.{name}")
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
