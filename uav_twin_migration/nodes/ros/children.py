"""Programs that a node starts and that must end with it: simulators, bridges, autopilots."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
PATIENCE = 1.0  # s that a program gets to stop before it is killed


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _prepare() -> None:
    """Before a program starts: it ends with this process, and hears the signals that the process blocks."""
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))


def start(
    command: Sequence[str], folder: Path, log: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in `folder`, its output in the file `log` there.

    Raises:
        OSError: there is no such program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / log, "wb") as output:
        return subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C in the terminal is the node's to pass on
            preexec_fn=_prepare,
        )


def stop(programs: Sequence[subprocess.Popen[bytes]]) -> None:
    """End programs with all that they have started, politely at first."""
    for program in programs:
        _signal(program, signal.SIGINT)
    for program in programs:
        try:
            program.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            _signal(program, signal.SIGKILL)
            program.wait()


def _signal(program: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if program.poll() is None:
        os.killpg(program.pid, number)  # each leads a session, and so a group, of its own
