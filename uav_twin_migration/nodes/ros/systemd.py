"""Tells systemd that a node is ready, alive and stopping: sd_notify(3), where systemd started it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence

from rclpy.node import Node

from uav_twin_migration.nodes.ros.timing import steady_timer


def notify(state: str) -> None:
    """Send a state, as READY=1, to who started us, where they want to know."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.send(state.encode())


def watch(nodes: Sequence[Node]) -> None:
    """Say that the nodes are ready, and go on saying that they live.

    For as long as their executor serves timers, and each node that has a `stuck` says that no thread of its own is.
    """
    notify("READY=1")
    within = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    wanted_by = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if within > 0.0 and wanted_by == str(os.getpid()):

        def look() -> None:
            if not any(node.stuck(within) for node in nodes if hasattr(node, "stuck")):
                notify("WATCHDOG=1")

        # an RSU's cleanup leaves it alone
        getattr(nodes[0], "bare", set[object]()).add(steady_timer(nodes[0], within / 4.0, look))
