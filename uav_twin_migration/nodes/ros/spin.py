"""Runs nodes until they are told to stop: the one place that knows rclpy's executors and signals."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.nodes.ros import systemd
from uav_twin_migration.nodes.ros.flood import FLOOD, LOOK, Pulse
from uav_twin_migration.transport.addresses import is_here

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
ONE_HOUR = 3600.0
FAILED = 70  # the exit code, EX_SOFTWARE, of a process that has to be restarted: not 2, which no restart makes better


def make_executor() -> Executor:
    """The events executor where rclpy has it (Jazzy and newer): it spends a half to a third of the default's CPU."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


class Stop:
    """Ends a spin between two callbacks, so that none of them finds its context gone.

    rclpy's own signal handlers shut the context down while callbacks run. Here SIGINT and SIGTERM are blocked, and a
    thread waits for them. Make it before any other thread: threads inherit what is blocked.
    """

    def __init__(self, address: str = "") -> None:
        self.requested = Future()
        self.failed = self.anew = False
        self._awaited = "" if not address or is_here(address) else address
        self.leave: Callable[[], bool] = lambda: False  # begins to end in good order; whether it does
        self._executor: Executor | None = None
        self._pulse: Pulse | None = None
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        """SIGINT ends at once, and so does the second signal. Once it begins anew, signals wait for what it becomes."""
        heard, self._awaited = self._next_signal(), ""
        if heard == signal.SIGTERM and self.leave():
            self._next_signal()
        self.request()

    def _next_signal(self) -> int | None:
        """Wait for a signal that ends the process, and look after its pulse and its address meanwhile."""
        # CPython returns what no signal filled where SIGCONT interrupts it and its time is over: a host that had slept
        while (heard := signal.sigtimedwait(STOP_SIGNALS, LOOK)) is None or heard.si_signo not in STOP_SIGNALS:
            if self._pulse is not None:
                self._pulse.look()
            if self._awaited and is_here(self._awaited):
                print(f"begins anew: this host has its address {self._awaited} only now", file=sys.stderr, flush=True)
                self.anew = True
                return None
        return heard.si_signo

    def request(self) -> None:
        """Stop spinning."""
        if not self.requested.done():
            self.requested.set_result(None)
        if self._executor is not None:
            self._executor.wake()

    def fail(self, why: str) -> None:
        """A part of this process has ended, and nothing but a restart brings it back. For any thread."""
        print(f"ends to be restarted: {why}", file=sys.stderr, flush=True)
        self.failed = True
        self.request()

    def spin(self, nodes: Sequence[Node]) -> None:
        """Serve the nodes until a stop is requested."""
        executor = self._executor = make_executor()
        if not isinstance(executor, SingleThreadedExecutor):  # which serves messages and timers in turn
            self._pulse = Pulse(nodes[0], FLOOD)
        for node in nodes:
            executor.add_node(node)
        try:
            # rclpy 7.1's EventsExecutor.spin() turns at full speed and delivers nothing; waiting for a future works
            while rclpy.ok() and not self.requested.done():
                executor.spin_until_future_complete(self.requested, timeout_sec=ONE_HOUR)
        except ExternalShutdownException:
            pass
        finally:
            for node in nodes:
                executor.remove_node(node)


def log_where_it_can_be_written() -> None:
    """Keep ROS's logs in the temporary folder where the home folder takes none: rclpy would not start."""
    if os.environ.get("ROS_LOG_DIR") or os.environ.get("ROS_HOME"):
        return
    usual = Path.home() / ".ros" / "log"
    try:
        usual.mkdir(parents=True, exist_ok=True)
        writable = os.access(usual, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        import tempfile

        os.environ["ROS_LOG_DIR"] = str(Path(tempfile.gettempdir()) / f"ros-log-{os.getuid()}")


def run(create: Callable[[], Sequence[Node]], arguments: list[str] | None = None, address: str = "") -> int:
    """Create nodes and spin them: a node executable's ``main``. Its exit code is 2 for what no restart makes better.

    A node that has a `stop` attribute gets the function that ends the spin; one that has a `leave` is asked on SIGTERM.

    address: by which its host takes part in the network. Where it is not there yet, the program begins anew when it
    comes: the middleware (Fast DDS 2.14, 2026-12-01) tells others the addresses that it finds when it begins, and no
    later one, so that nobody beyond this host would ever hear it.
    """
    stop = Stop(address)
    log_where_it_can_be_written()
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    nodes: Sequence[Node] = ()
    try:
        nodes = create()
        for node in nodes:
            if hasattr(node, "stop"):
                node.stop = stop.request
            if hasattr(node, "leave"):
                stop.leave = node.leave
            if hasattr(node, "fail"):
                node.fail = stop.fail
        systemd.watch(nodes)
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not look at it again and again
        stop.spin(nodes)
        if not stop.anew:
            systemd.notify("STOPPING=1")
    except UavTwinError as error:
        print(error, file=sys.stderr, flush=True)
        return 1 if error.may_pass else 2
    finally:
        for node in nodes:
            node.destroy_node()
        _shut_down(whole=bool(nodes))
    if stop.anew and not stop.failed:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return FAILED if stop.failed else max((getattr(node, "exit_code", 0) for node in nodes), default=0)


def _shut_down(whole: bool) -> None:
    """Kilted's rclpy also destroys a node whose making failed: it misses what its own `destroy_node` looks for."""
    try:
        rclpy.try_shutdown()
    except AttributeError:
        if whole:
            raise
