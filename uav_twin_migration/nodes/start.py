"""Starts a node's executable: what has to be in place before anything else is imported. Standard library only.

SIGINT and SIGTERM are blocked first, so that one that comes while libraries are imported waits for `spin.Stop`, which
ends the node in good order. numpy's libraries would start threads at import, which would take the signals: none now.
Launch files name themselves in `LAUNCHED_BY`; their nodes end with them, also where `ros2 launch` dies of SIGTERM.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
LAUNCHED_BY = "UAVTWIN_LAUNCHED_BY"  # pid of the launch that a node ends with
OWN = "uav_twin_migration"
BAD_INPUT = 2  # the exit code that ends a launch: a restart would not make it better
PR_SET_PDEATHSIG = 1


def start(target: str) -> int:
    """Run `module:function` as a node's executable. Returns its exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    for name in THREADS:
        os.environ.setdefault(name, "1")
    end_with_launch()
    module, function = target.split(":")
    try:
        return int(getattr(importlib.import_module(module), function)())
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(OWN):
            raise
        from uav_twin_migration.errors import missing_library

        print(missing_library(f"{module.rpartition('.')[2]} needs", error.name), file=sys.stderr)
        return BAD_INPUT


def end_with_launch() -> None:
    """Have the kernel send SIGTERM when the launch that started this process dies."""
    launch = os.environ.get(LAUNCHED_BY)
    if launch == str(os.getppid()):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if launch != str(os.getppid()):  # it died in between
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(start(sys.argv.pop(1)))
