"""All tests: style, types, the house rules, and pytest. Further arguments go to pytest."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

CHECKS = (
    ("style", ("ruff", "check", ".")),
    ("format", ("ruff", "format", "--check", ".")),
    ("types", ("mypy",)),
    ("house rules", ("import-linter",)),
)
# Nodes have the machine to themselves: they are in a hurry. All else runs side by side, on all cores.
SUITES = (
    ("tests without nodes", ("-n", "auto", "-m", "not ros")),
    ("tests of nodes", ("-m", "ros")),
)
FAST = (("tests without nodes", ("-n", "auto", "-m", "not ros and not slow")),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin test`."""
    parser.add_argument("--fast", action="store_true", help="only the tests that need no ROS and little time")
    parser.add_argument(
        "pytest", nargs="*", help="arguments for pytest, after --; style and types are then not checked"
    )


def run(args: argparse.Namespace) -> int:
    """Returns 0 if everything passed."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    failed = []
    for name, command in () if args.pytest else CHECKS:
        print(f"== {name}: {' '.join(command)}", flush=True)
        program = ["lint-imports"] if command[0] == "import-linter" else [sys.executable, "-m", *command]
        if subprocess.run(program, cwd=CHECKOUT).returncode != 0:
            failed.append(name)
    suites = (("tests", tuple(args.pytest)),) if args.pytest else FAST if args.fast else SUITES
    for name, chosen in suites:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", "pytest", *chosen], cwd=CHECKOUT).returncode != 0:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0
