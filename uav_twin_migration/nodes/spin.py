"""Runs nodes until they are told to stop: the one place that knows rclpy's executors and signals."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future

from uav_twin_migration.errors import UavTwinError

ONE_HOUR = 3600.0


def make_executor() -> rclpy.executors.Executor:
    """The events executor where rclpy has it (Jazzy and newer): it spends a half to a third of the default's CPU."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def spin(nodes: Sequence[Node]) -> None:
    """Serve the nodes until the context is shut down, by SIGINT or SIGTERM for example."""
    executor = make_executor()
    for node in nodes:
        executor.add_node(node)
    try:
        while rclpy.ok():
            # EventsExecutor.spin() of rclpy 7.1 turns at full speed and delivers nothing; waiting for a future works.
            executor.spin_until_future_complete(Future(), timeout_sec=ONE_HOUR)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        for node in nodes:
            executor.remove_node(node)


def run(create: Callable[[], Sequence[Node]], arguments: Sequence[str] | None = None) -> int:
    """Create nodes and spin them: a node executable's ``main``. Returns its exit code, 2 for bad parameters."""
    nodes: Sequence[Node] = ()
    try:
        rclpy.init(args=None if arguments is None else list(arguments))
        nodes = create()
        spin(nodes)
    except UavTwinError as error:
        print(error, file=sys.stderr, flush=True)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
