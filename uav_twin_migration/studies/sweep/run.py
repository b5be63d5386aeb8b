"""One run of a sweep, on whichever machine: its files go to a folder that goes with it, and the command runs there."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from uav_twin_migration.studies.sweep.points import FUNCTION, POLICY_FILE, RESULT_FILE, Task

APART = ("sim",)  # has processes of its own, which write where we do
LONGEST_TEXT = 4000  # characters of what a failed run said, the last ones


class Outcome(NamedTuple):
    """What became of a run."""

    code: int  # exit code; negative for a signal
    result: dict[str, float]  # its numbers, by dotted names
    said: str  # the end of what it printed, where it failed
    seconds: float
    host: str
    policy: bytes = b""  # that it trained


def run(task: Task) -> Outcome:
    """Do it. Whatever goes wrong in it is told, not raised."""
    began = time.monotonic()
    with TemporaryDirectory(prefix="uavtwin-sweep-") as name:
        folder = Path(name)
        for file, content in task.files.items():
            (folder / file).write_bytes(content)
        way = _apart if task.run in APART else _called if task.run == FUNCTION else _here
        code, said = way(task, folder)
        result, policy = {}, b""
        if code == 0:
            result = dict(flat(json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))))
            policy = (folder / POLICY_FILE).read_bytes() if (folder / POLICY_FILE).exists() else b""
    failed = said[-LONGEST_TEXT:] if code else ""
    return Outcome(code, result, failed, time.monotonic() - began, socket.gethostname(), policy)


def _called(task: Task, folder: Path) -> tuple[int, str]:
    """A function of a study, module:function, with the values by name; it returns a mapping of numbers."""
    place, values = task.arguments
    module, _, name = place.partition(":")
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            result = getattr(import_module(module), name)(**json.loads(values))
    except Exception:  # as in `_here`
        return 1, said.getvalue() + traceback.format_exc()
    (folder / RESULT_FILE).write_text(json.dumps(result), encoding="utf-8")
    return 0, said.getvalue()


def _here(task: Task, folder: Path) -> tuple[int, str]:
    """In this process: it has imported already what the next one needs, too."""
    from uav_twin_migration.cli.main import main

    said, before = io.StringIO(), Path.cwd()
    sys.path[:] = [os.path.abspath(entry) for entry in sys.path]  # what is imported later is found from there, too
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(list(task.arguments))
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    except Exception:  # whatever it is, the other points go on
        said.write(traceback.format_exc())
        code = 1
    finally:
        os.chdir(before)
    return code, said.getvalue()


def _apart(task: Task, folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "uav_twin_migration.cli", *task.arguments]
    made = {**os.environ, "ROS_DOMAIN_ID": str(10 + os.getpid() % 90)}  # so that two on one machine do not meet
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", env=made)
    return done.returncode, done.stdout + done.stderr


def flat(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in a result: of mappings by dotted names, of lists of numbers their mean and their sum."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from flat(one, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (int, float)):
        yield name, float(value)
    elif isinstance(value, list) and value and all(isinstance(one, (int, float)) for one in value):
        yield f"{name}.mean", sum(value) / len(value)
        yield f"{name}.sum", float(sum(value))
