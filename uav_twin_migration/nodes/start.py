"""Starts a node's executable: what has to be in place before anything else is imported. Standard library only.

SIGINT and SIGTERM are blocked first (an installed script's env has done so before Python began). One that comes while
libraries are imported ends the process at once, as there is nothing yet to be closed; a later one waits for
`spin.Stop`, which ends the node in good order. numpy's libraries would start threads at import, which would take the
signals: none now.
Launch files name themselves in `LAUNCHED_BY`; their nodes end with them, also where `ros2 launch` dies of SIGTERM.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
LAUNCHED_BY = "UAVTWIN_LAUNCHED_BY"  # pid of the launch that a node ends with
OWN = "uav_twin_migration"
BAD_INPUT = 2  # the exit code that ends a launch: a restart would not make it better
PR_SET_PDEATHSIG = 1
LOOK = 0.05  # s between two looks whether all is imported


def start(target: str) -> int:
    """Run `module:function` as a node's executable. Returns its exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    for name in THREADS:
        os.environ.setdefault(name, "1")
    end_with_launch()
    module, function = target.split(":")
    try:
        with signals_end_it():
            run = getattr(importlib.import_module(module), function)
        return int(run())
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(OWN):
            raise
        from uav_twin_migration.errors import missing_library

        print(missing_library(f"{module.rpartition('.')[2]} needs", error.name), file=sys.stderr)
        return BAD_INPUT


@contextmanager
def signals_end_it() -> Iterator[None]:
    """Within it, a signal to stop ends the process, with exit code 0."""
    over = threading.Event()

    def wait() -> None:
        while not over.is_set():
            if (heard := signal.sigtimedwait(STOP_SIGNALS, LOOK)) is not None:
                if not over.is_set():
                    os._exit(0)
                os.kill(os.getpid(), heard.si_signo)  # it came a moment too late: for the node

    threading.Thread(target=wait, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def end_with_launch() -> None:
    """Have the kernel send SIGTERM when the launch that started this process dies."""
    launch = os.environ.get(LAUNCHED_BY)
    if launch == str(os.getppid()):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if launch != str(os.getppid()):  # it died in between
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(start(sys.argv.pop(1)))
