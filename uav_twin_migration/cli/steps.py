"""Steps of a checkout's set-up: what the machine must have, and a command that runs with its progress shown.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from uav_twin_migration.deployment.machines import WITHOUT_WHEELS, lacks_wheels

CHECKOUT = Path(__file__).resolve().parents[2]


class SetupError(Exception):
    """Setting up failed; the message says what to do."""


def digest(*parts: str | Path) -> str:
    """A digest of texts and of files' contents."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        sha.update(b"\0")
    return sha.hexdigest()


def done(stamp: Path, value: str) -> bool:
    """Whether the step of this stamp was last done from `value`."""
    try:
        return stamp.read_text() == value
    except OSError:
        return False


def missing_tools(build: bool) -> list[str]:
    """Debian and Ubuntu packages to install before the set-up can work."""
    missing = []
    if build and not shutil.which("cmake"):
        missing.append("cmake")
    if build and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        missing.append("g++")
    if build and not any(map(shutil.which, ("make", "ninja"))):
        missing.append("make")
    if build and not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        missing.append("python3-dev")
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        missing.append("python3-venv")
    return missing


def check_machine(build: bool, wheels: bool = False) -> None:
    """Raise SetupError, with the command to run, where something is missing that PyPI does not have.

    wheels: whether ROS 2 is to come from PyPI.
    """
    lacks = lacks_wheels(platform.machine()) if wheels else ""
    if lacks:
        raise SetupError(f"{lacks}; {WITHOUT_WHEELS}")
    missing = missing_tools(build)
    if missing:
        raise SetupError(f"not found: {', '.join(missing)}; install with: sudo apt-get install {' '.join(missing)}")


class Progress:
    """Says how far a step is: in place on a terminal, elsewhere a line now and then."""

    PATTERN = re.compile(r"^\[ *(?P<percent>\d+%)\]|^ *(?P<pip>(Downloading|Installing) [^\s(]+( \([^)]*B\))?)")
    PERIOD = 15.0  # s between two lines

    def __init__(self, what: str) -> None:
        self._what, self._began, self._said = what, time.monotonic(), time.monotonic()
        self._live = sys.stderr.isatty()
        print(f"uavtwin: {what} ...", end="" if self._live else "\n", flush=True, file=sys.stderr)

    def see(self, line: str) -> None:
        """Take a line of the step's output."""
        found = self.PATTERN.match(line)
        if found is None:
            return
        what = found["percent"] or found["pip"].split("/")[-1]
        if self._live:
            print(f"\r\033[Kuavtwin: {self._what} ... {what[:60]}", end="", flush=True, file=sys.stderr)
        elif time.monotonic() - self._said >= self.PERIOD:
            self._said = time.monotonic()
            print(f"uavtwin: {self._what} ... {what}", flush=True, file=sys.stderr)

    def end(self) -> None:
        """The step is over."""
        start = "\r\033[K" if self._live else ""
        print(f"{start}uavtwin: {self._what}: {time.monotonic() - self._began:.0f} s", flush=True, file=sys.stderr)


def step(what: str, command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
    """Run one step of the set-up, its output in a log; raise SetupError with the log's end when it fails."""
    progress = Progress(what)
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env=env,
        cwd=CHECKOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        with process, open(log, "a", encoding="utf-8") as output:
            for line in process.stdout:
                output.write(line)
                lines = [*lines[-14:], line]
                progress.see(line)
    except BaseException:  # Ctrl-C or SIGTERM: take compilers and downloads along
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise
    progress.end()
    if process.returncode != 0:
        raise SetupError(f"{what} failed; the end of {log}:\n{''.join(lines).rstrip()}")
