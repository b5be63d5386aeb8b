"""Notices where messages come faster than a process takes them, for more than a moment.

rclpy's events executor keeps every event there has been, and serves no timer while one waits: in a flood the process
would stand still for ever longer, and grow. `spin` then serves messages and timers in turn, which no flood can stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from uav_twin_migration.nodes.ros.timing import steady_timer

LOOK = 0.25  # s between two looks, and between two beats of the timer that is looked at
LATE = 3.0  # s that timers have to stand still to be called starved
CALM = 30.0  # s that a process serves in turn before it tries again as usual

shedding = False  # whether messages are dropped as they come: what had piled up is being cleared


class Pulse:
    """A timer of the process's first node that another thread looks at."""

    def __init__(self, node: Node, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beat_at = self._looked_at = clock()
        # what an RSU's cleanup leaves alone: it is not of its configuration
        getattr(node, "bare", set[object]()).add(steady_timer(node, LOOK, self.beat))

    def beat(self) -> None:
        """Timers are served."""
        self._beat_at = self._clock()

    def starved(self) -> bool:
        """Whether timers have stood still for `LATE`, though who looks came in time. For a thread of its own.

        A process that was suspended, or had no processor, is late with both.
        """
        now = self._clock()
        punctual = now - self._looked_at < 2.0 * LOOK
        self._looked_at = now
        if not punctual:
            self._beat_at = max(self._beat_at, now - LATE / 2.0)
        return now - self._beat_at > LATE


class InTurn(SingleThreadedExecutor):
    """One message of each topic, and each timer that is due, in turn. Knows whether a coroutine has not ended yet."""

    def __init__(self) -> None:
        super().__init__()
        self._begun: list[Any] = []

    def create_task(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """As rclpy's, and remembered until it is done."""
        task = super().create_task(callback, *args, **kwargs)
        self._begun = [*(one for one in self._begun if not one.done()), task]
        return task

    @property
    def busy(self) -> bool:
        """Whether somebody still waits for what was begun here."""
        return any(not task.done() for task in self._begun)
