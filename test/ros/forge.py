"""Starts nodes without their second of imports, as `uavtwin sim` does: a process that has them all forks one for each.

The tests start hundreds. Each begins where an executable begins, in `nodes.start`, with the environment of the test, in
a session of its own, as a child of the tests' process; it ends with that.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from functools import cache
from multiprocessing.connection import wait
from typing import Any, NoReturn

CONTAINER = "uav_twin_migration.nodes.component_container:main"
IMPORTED = ("rsu", "uav", "uav_container", "world", "link", "pilot")  # what nearly all tests start
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # none may run where one forks
LONGEST_ORDER = 1 << 17  # bytes
PR_SET_CHILD_SUBREAPER = 36


class Forked:
    """A child that the forge has forked; what tests use of `subprocess.Popen`."""

    def __init__(self, pid: int, stdout: int, stderr: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout, self.stderr = (os.fdopen(one, encoding="utf-8", errors="replace") for one in (stdout, stderr))
        self._ended = os.pidfd_open(pid)
        self._said: tuple[list[bytes], list[bytes]] = ([], [])
        self._readers: list[threading.Thread] = []

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
                os.close(self._ended)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended. Raises subprocess.TimeoutExpired."""
        while (code := self.poll()) is None:
            if not wait([self._ended], timeout):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it has said until its end and has not been read. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout

        def left() -> float | None:
            return None if deadline is None else max(deadline - time.monotonic(), 0.0)

        if not self._readers:
            for file, said in zip((self.stdout, self.stderr), self._said, strict=True):
                self._readers.append(threading.Thread(target=_drain, args=(file.fileno(), said), daemon=True))
                self._readers[-1].start()
        for reader in self._readers:
            reader.join(left())
            if reader.is_alive():
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        self.wait(left())
        out, errors = (b"".join(said).decode(errors="replace") for said in self._said)
        return out, errors

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = subprocess.Popen[str] | Forked


def _drain(file: int, said: list[bytes]) -> None:
    while data := os.read(file, 1 << 16):
        said.append(data)


class Forge:
    """The tests' end of it."""

    def __init__(self) -> None:
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(other.fileno()), str(os.getpid())],
                env={**os.environ, **ONE_THREAD},
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def fork(self, arguments: Sequence[str]) -> Forked:
        """A process of the component container with these arguments."""
        order = json.dumps({"arguments": list(arguments), "environment": dict(os.environ), "folder": os.getcwd()})
        (out, said), (errors, complained) = os.pipe(), os.pipe()
        _adopt(True)  # what is orphaned now becomes a child of this process
        try:
            socket.send_fds(self._channel, [order.encode()], [said, complained])
            pid = int(self._channel.recv(100) or b"0")
        finally:
            _adopt(False)
            os.close(said)
            os.close(complained)
        assert pid, f"the forge has ended with {self._process.wait()}"
        return Forked(pid, out, errors)


@cache
def forge() -> Forge:
    """The one of this process."""
    return Forge()


def _adopt(whether: bool) -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(whether), 0, 0, 0)


def serve(channel: socket.socket, tests: int) -> None:
    """Fork a process for each order, until the tests end."""
    from uav_twin_migration.deployment.plan import NodeSpec, ProcessSpec
    from uav_twin_migration.nodes.ros.children import die_with_parent
    from uav_twin_migration.nodes.ros.runner import preload

    die_with_parent()
    preload([ProcessSpec("forge", tuple(NodeSpec(executable, "", {}) for executable in IMPORTED))])
    while True:
        order, files, _, _ = socket.recv_fds(channel, LONGEST_ORDER, 2)
        if not order:
            return
        between = os.fork()
        if not between:
            if os.fork():
                os._exit(0)  # the other is an orphan, which the tests adopt
            while os.getppid() != tests:
                os.sched_yield()
            die_with_parent()
            channel.send(str(os.getpid()).encode())
            channel.close()
            _become(json.loads(order), files)
        for file in files:
            os.close(file)
        os.waitpid(between, 0)


def _become(order: dict[str, Any], files: Sequence[int]) -> NoReturn:
    """Go on as a node's executable would, and end with its exit code."""
    code: Any = 1
    try:
        from uav_twin_migration.nodes.start import start

        os.setsid()
        for number, file in enumerate(files, start=1):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["folder"])
        tempfile.tempdir = None  # may be elsewhere in this environment
        sys.argv = [CONTAINER, *order["arguments"]]
        code = start(CONTAINER)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as made:
        serve(made, int(sys.argv[2]))
