"""Runs nodes until they are told to stop: the one place that knows rclpy's executors and signals."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.nodes.ros import flood, systemd
from uav_twin_migration.nodes.ros.flood import CALM, LOOK, InTurn, Pulse

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
ONE_HOUR = 3600.0
TURN = 0.05  # s that the executor that serves in turn waits at most, before coroutines of the usual one go on
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

    def __init__(self) -> None:
        self.requested = Future()
        self.failed = False
        self.leave: Callable[[], bool] = lambda: False  # begins to end in good order; whether it does
        self._executor: Executor | None = None
        self._pulse: Pulse | None = None
        self._flooded = Future()
        self._interrupted = Future()  # by either
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        """SIGINT ends at once, and so does the second signal."""
        if self._next_signal() == signal.SIGTERM and self.leave():
            self._next_signal()
        self.request()

    def _next_signal(self) -> int:
        """Wait for a signal that ends the process, and look after its pulse meanwhile."""
        # CPython returns what no signal filled where SIGCONT interrupts it and its time is over: a host that had slept
        while (heard := signal.sigtimedwait(STOP_SIGNALS, LOOK)) is None or heard.si_signo not in STOP_SIGNALS:
            starved = self._pulse is not None and self._pulse.starved()
            if starved and not self._flooded.done():
                flood.shedding = True
                self._interrupt(self._flooded)
        return heard.si_signo

    def request(self) -> None:
        """Stop spinning."""
        self._interrupt(self.requested)

    def _interrupt(self, why: Future) -> None:
        if not why.done():
            why.set_result(None)
        if not self._interrupted.done():
            self._interrupted.set_result(None)
        if self._executor is not None:
            self._executor.wake()

    def fail(self, why: str) -> None:
        """A part of this process has ended, and nothing but a restart brings it back. For any thread."""
        print(f"ends to be restarted: {why}", file=sys.stderr, flush=True)
        self.failed = True
        self.request()

    def spin(self, nodes: Sequence[Node]) -> None:
        """Serve the nodes until a stop is requested."""
        usual = make_executor()
        if not isinstance(usual, SingleThreadedExecutor):
            self._pulse = Pulse(nodes[0])
        self._take(usual, nodes)
        try:
            while self._goes_on():
                # rclpy 7.1's EventsExecutor.spin() turns at full speed and delivers nothing; waiting for a future works
                usual.spin_until_future_complete(self._interrupted, timeout_sec=ONE_HOUR)
                if self._flooded.done():
                    self._in_turn(usual, nodes)
        except ExternalShutdownException:
            pass
        finally:
            assert self._executor is not None  # it took the nodes
            self._give(self._executor, nodes)

    def _goes_on(self) -> bool:
        return rclpy.ok() and not self.requested.done()

    def _take(self, executor: Executor, nodes: Sequence[Node]) -> None:
        self._executor = executor
        for node in nodes:
            executor.add_node(node)

    def _give(self, executor: Executor, nodes: Sequence[Node]) -> None:
        for node in nodes:
            executor.remove_node(node)

    def _in_turn(self, usual: Executor, nodes: Sequence[Node]) -> None:
        """Messages have come faster than they are taken: serve them in turn with the timers until it is calm.

        The usual executor goes on with coroutines that began in it, and this one with its own until they have ended.
        """
        told = f"more messages come than this process can take; for {CALM:g} s it takes them in turn with all else"
        nodes[0].get_logger().warning(told)
        self._give(usual, nodes)
        cleared = usual.create_task(lambda: None)  # behind all that has piled up
        while self._goes_on() and not cleared.done():
            usual.spin_once(timeout_sec=0.0)
        flood.shedding = False
        in_turn = InTurn()
        self._take(in_turn, nodes)
        until = time.monotonic() + CALM
        while self._goes_on() and (time.monotonic() < until or in_turn.busy):
            in_turn.spin_once(timeout_sec=TURN)
            usual.spin_once(timeout_sec=0.0)
        if self._goes_on():
            self._give(in_turn, nodes)
            in_turn.shutdown()
            self._take(usual, nodes)
            assert self._pulse is not None  # it noticed the flood
            self._pulse.beat()
            self._flooded, self._interrupted = Future(), Future()


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


def run(create: Callable[[], Sequence[Node]], arguments: list[str] | None = None) -> int:
    """Create nodes and spin them: a node executable's ``main``. Its exit code is 2 for what no restart makes better.

    A node that has a `stop` attribute gets the function that ends the spin; one that has a `leave` is asked on SIGTERM.
    """
    stop = Stop()
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
        systemd.notify("STOPPING=1")
    except UavTwinError as error:
        print(error, file=sys.stderr, flush=True)
        return 1 if error.may_pass else 2
    finally:
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    return FAILED if stop.failed else max((getattr(node, "exit_code", 0) for node in nodes), default=0)
