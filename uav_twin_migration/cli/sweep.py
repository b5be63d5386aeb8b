"""A command over settings, options, policies, plug-ins and seeds: tables, bands and plots of all its runs.

What is to run stands in a file, docs/sweeps.md. Runs that are done stay done: the same command goes on where it
stopped, does again what failed, and only what is new where the file has changed. Exit code 1 where a run failed.
"""

from __future__ import annotations

import argparse
import contextlib
import re
from pathlib import Path
from typing import Any


class Spec(argparse.Action):
    """The file; what it runs is looked up before anything is installed for it."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        """Sets `spec` and `runs`."""
        namespace.spec, namespace.runs = Path(values), ""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found = re.search(r"^run:\s*(\w+)", Path(values).read_text(encoding="utf-8"), re.MULTILINE)
            namespace.runs = found[1] if found else ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("spec", metavar="SPEC", action=Spec, help="what to run, as docs/sweeps.md says")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="where all of it goes")
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="runs at a time (default: one per CPU; sim: 1)"
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="do them on a Ray cluster: HOST:PORT, auto, or ray://HOST:PORT"
    )
    parser.add_argument("--dry-run", action="store_true", help="list the runs and check them, and do none")
    parser.add_argument("--json", metavar="FILE", help="write how it went as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    from uav_twin_migration.studies.sweep.sweep import sweep

    return sweep(args)
