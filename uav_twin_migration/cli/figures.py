"""The paper's studies, as pictures (PNG, PDF, SVG) and as the numbers in them (CSV)."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from uav_twin_migration.errors import InputError
from uav_twin_migration.studies.figures import STUDIES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    listed = "; ".join(f"{name}: {what}" for name, what in STUDIES.items())
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default: all). {listed}")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="where the files go")


def run(args: argparse.Namespace) -> int:
    """Makes one study after the other."""
    for name in args.names:
        if name not in STUDIES:
            raise InputError("figures", "NAME", name, f"one of {', '.join(STUDIES)}")
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("figures", "-o", str(args.output), f"a folder to write to ({error.strerror})") from None
    for name in args.names or STUDIES:
        importlib.import_module(f"uav_twin_migration.studies.figures.{name}").run(args.output)
    return 0
