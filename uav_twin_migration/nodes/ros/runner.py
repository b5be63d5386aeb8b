"""Runs a plan's processes: starts them, restarts those that die, stops all of them.

Python with rclpy takes a third of a second of CPU to start. The runner imports everything once and forks a process for
each entry of the plan, which makes a simulation of a dozen nodes start in about a second, and a restart immediate.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rclpy.type_support import check_for_type_support

from uav_twin_migration.deployment.discovery import HEARS_OF_ALL, DiscoveryServer, discovery_server
from uav_twin_migration.deployment.plan import ProcessSpec, needs_discovery_server
from uav_twin_migration.monitor.throttled_log import ThrottledLog
from uav_twin_migration.nodes.component_container import CLASSES, host, node_class
from uav_twin_migration.nodes.ros.children import die_with_parent
from uav_twin_migration.nodes.ros.starting import PERIOD, Starting

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 1.2  # s that processes get to stop before they are killed
SHORT_LIFE = 5.0  # s; a process that died younger waits longer before its next start
LONGEST_BACKOFF = 10.0  # s
BAD_INPUT = 2
PR_SET_NAME = 15


@dataclass
class _Child:
    process: ProcessSpec
    pid: int = 0
    started: float = 0.0
    backoff: float = 0.0
    restart_at: float | None = None
    restarts: int = field(default=0)


def preload(processes: Sequence[ProcessSpec], look: Callable[[], object] = bool) -> None:
    """Import what the processes need, once for all: node classes, and the type support of every interface they use.

    look: is called now and then meanwhile.
    """
    for executable in {node.executable for process in processes for node in process.nodes} & CLASSES.keys():
        node_class(executable)
        look()
    using = [module for name, module in sys.modules.items() if name.startswith((__package__, "rclpy."))]
    for interface in {value for module in using for value in vars(module).values() if is_interface(value)}:
        check_for_type_support(interface)
    gc.freeze()  # keeps the children's garbage collectors off the shared pages


def is_interface(value: object) -> bool:
    """Whether this is a class that rosidl generated, and has type support: Kilted's events of services have none."""
    return isinstance(value, type) and hasattr(value, "__import_type_support__") and hasattr(value, "_TYPE_SUPPORT")


def rename(name: str) -> None:
    """Call this process by its node's name, so that `ps` and `top` tell the children of one runner apart."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15])


def spawn(process: ProcessSpec, starting: Starting, quiet: bool = False) -> int:
    """Fork a process of the plan. Returns its pid. starting: is told once it is up. quiet: errors alone are logged."""
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        die_with_parent()
        if os.getppid() != parent:
            os._exit(1)  # the parent died in between
        rename(process.name)
        for node in process.nodes:
            os.environ.update(HEARS_OF_ALL.get(node.executable, {}))
        os.setsid()  # a Ctrl-C in the terminal is the runner's to pass on
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP, signal.SIGCHLD])  # `spin` keeps the others blocked
        code = host(process, quiet, made=starting.tell)
    except BaseException:  # whatever it is, this copy of the runner must not go on as one
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Runner:
    """Runs processes until the one named `until` ends (the monitor, at the end of its time) or a signal comes."""

    def __init__(
        self,
        processes: Sequence[ProcessSpec],
        until: str | None = None,
        quiet: bool = False,
        server: DiscoveryServer | None = None,
        alone: bool = True,
    ) -> None:
        """quiet: the processes log errors alone, since a live table has the terminal.

        alone: no other host has a share; else it is decided for all of them whether there is a `server`.
        """
        self._quiet, self._wanted_server, self._alone = quiet, server, alone
        self._children = [_Child(process) for process in processes]
        self._until = until
        self._server: subprocess.Popen[bytes] | None = None
        self._starting = Starting(len(processes), say)
        self._throttled_log = ThrottledLog(say)

    def run(self, meanwhile: Callable[[], object] = bool) -> int:
        """Returns an exit code: 0 done, 1 the awaited process failed, 2 a process refused its parameters.

        meanwhile: is called while the processes make their nodes.
        """
        watched = [*STOP_SIGNALS, signal.SIGCHLD]
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        try:
            processes = [child.process for child in self._children]
            if self._wanted_server is not None or (self._alone and needs_discovery_server(processes)):
                self._server = start_discovery_server(self._wanted_server or discovery_server(os.environ))
            preload(processes, self._starting.look)
            for child in self._children:
                self._start(child)
                self._starting.look()
            meanwhile()
            return self._watch(watched)
        finally:
            self._stop()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, watched)

    def _start(self, child: _Child) -> None:
        child.started, child.restart_at = time.monotonic(), None
        child.pid = spawn(child.process, self._starting, self._quiet)

    def _watch(self, watched: list[signal.Signals]) -> int:
        """Wait for signals, deaths and restarts that are due."""
        while True:
            due = [child.restart_at for child in self._children if child.restart_at is not None]
            patience = max(min(due) - time.monotonic(), 0.0) if due else 3600.0
            patience = min(patience, PERIOD) if self._starting.look() else patience
            caught = signal.sigtimedwait(watched, patience)
            if caught is not None and caught.si_signo in STOP_SIGNALS:
                return 0
            for child, code in self._reap():
                if child.process.name == self._until:
                    return 1 if code else 0
                if code == BAD_INPUT:
                    return BAD_INPUT
                self._schedule_restart(child, code)
            self._throttled_log.tick()
            for child in self._children:
                if child.restart_at is not None and child.restart_at <= time.monotonic():
                    self._start(child)

    def _reap(self) -> list[tuple[_Child, int]]:
        """Children that have died, with their exit codes (128 + the signal, as shells count)."""
        dead = []
        by_pid = {child.pid: child for child in self._children if child.pid}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            child = by_pid.get(pid)
            if child is not None:
                child.pid = 0
                code = os.waitstatus_to_exitcode(status)
                dead.append((child, code if code >= 0 else 128 - code))
        return dead

    def _schedule_restart(self, child: _Child, code: int) -> None:
        young = time.monotonic() - child.started < SHORT_LIFE
        child.backoff = min(max(child.backoff * 2.0, 0.5), LONGEST_BACKOFF) if young else 0.0
        child.restarts += 1
        child.restart_at = time.monotonic() + child.backoff
        self._throttled_log.note(
            f"{child.process.name} has ended", f"exit code {code}; it is restarted in {child.backoff:.1f} s"
        )

    def _stop(self) -> None:
        """Stop the awaited process first, so that it can still say what it saw, then all others; kill who lingers."""
        deadline = time.monotonic() + PATIENCE
        awaited = [child for child in self._children if child.process.name == self._until]
        others = [child for child in self._children if child not in awaited]
        for group, signal_, until in ((awaited, signal.SIGINT, deadline - 0.4), (others, signal.SIGTERM, deadline)):
            for child in group:
                if child.pid:
                    os.kill(child.pid, signal_)
            self._wait_for(group, until)
        for child in self._children:
            if child.pid:
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
        if self._server is not None:
            self._server.kill()
            self._server.wait()

    def _wait_for(self, group: list[_Child], deadline: float) -> None:
        while any(child.pid for child in group):
            self._reap()
            left = deadline - time.monotonic()
            if left <= 0.0 or not any(child.pid for child in group):
                return
            signal.sigtimedwait([signal.SIGCHLD], left)


def say(line: str) -> None:
    """To people, beside what the nodes log."""
    print(f"uavtwin: {line}", file=sys.stderr, flush=True)


def start_discovery_server(server: DiscoveryServer | None) -> subprocess.Popen[bytes] | None:
    """Start a discovery server, and point this process's children to it; say so where there is none to start."""
    if server is None:
        say("going without a discovery server; some nodes may not find each other")
        return None
    os.environ.update(server.variables)
    if not server.command:
        return None
    return subprocess.Popen(
        server.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent
    )
