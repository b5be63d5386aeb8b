"""The paper's studies, as pictures (PNG, PDF, SVG) and as the numbers in them (CSV)."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from uav_twin_migration.cli.commands import FIGURES, require_studies
from uav_twin_migration.cli.parser import one_of
from uav_twin_migration.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    listed = "; ".join(f"{name}: {part.summary}" for name, part in FIGURES.items())
    parser.add_argument(
        "names", nargs="*", metavar="NAME", type=one_of(FIGURES), help=f"which (default: all). {listed}"
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="where the files go")


def run(args: argparse.Namespace) -> int:
    """Makes one study after the other."""
    require_studies(FIGURES)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("figures", "-o", str(args.output), f"a folder to write to ({error.strerror})") from None
    for name in args.names or FIGURES:
        importlib.import_module(f"uav_twin_migration.studies.figures.{name}").run(args.output)
    return 0
