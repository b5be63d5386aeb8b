"""Benchmarks, each beside its baseline in the same run; what bounded them, and how busy the machine was, with each."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from uav_twin_migration.studies.machine import Watch

    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    figures: list[dict[str, Any]] = []
    conditions = {}
    if args.px4_dir:
        os.environ["UAVTWIN_PX4_DIR"] = args.px4_dir
    for name in args.names or BENCHMARKS:
        module = importlib.import_module(f"uav_twin_migration.studies.benchmarks.{name}")
        if args.json != "-":
            print(f"{name} ({machine})", flush=True)
        if args.output:
            args.output.mkdir(parents=True, exist_ok=True)
        watch = Watch()
        measured: list[Figure] = module.run(args.output)
        seen = watch.conditions()
        figures += [figure._asdict() | {"good": seen.quiet} for figure in measured]
        conditions[name] = asdict(seen) | {"bounded_by": seen.bound, "quiet": seen.quiet}
        if args.json != "-":
            print("\n".join([*(_line(figure, seen.quiet) for figure in measured), *seen.lines()]))
    if args.json:
        write({"machine": machine, "conditions": conditions, "figures": figures}, args.json)
    return 0


def _line(figure: Figure, quiet: bool) -> str:
    line = f"  {figure.name:<58} {figure.value:>10.4g} {figure.unit}"
    if figure.baseline is not None:
        line += f"   baseline {figure.baseline:.4g}"
    if figure.ratio is not None and quiet:
        line += f"   {figure.ratio:,.1f} times"
    return line
