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
# As many at once as the machine has cores; test/conftest.py says which follow each other. `-- -n 0` runs one by one.
SIDE_BY_SIDE = ("-n", "auto", "--dist", "loadgroup")


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
    chosen = ["-m", "not ros and not slow"] if args.fast else []
    print("== tests", flush=True)
    run_pytest = [sys.executable, "-m", "pytest", *SIDE_BY_SIDE, *chosen, *args.pytest]
    if subprocess.run(run_pytest, cwd=CHECKOUT).returncode != 0:
        failed.append("tests")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0
