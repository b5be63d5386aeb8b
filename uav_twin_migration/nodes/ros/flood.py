"""Notices where messages come faster than a process takes them, and bounds the time that it spends on them.

rclpy's events executor keeps every event there has been, in the order in which they came: in a flood timers wait behind
ever more messages. One that is taken as bytes and dropped costs 20 us less than one that is only converted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.node import Node

from uav_twin_migration.nodes.ros.timing import steady_timer

LOOK = 0.25  # s between two looks, and between two beats of the timer that is looked at
LATE = 1.0  # s that the executor's thread has to work while timers stand still, for these to be called starved
CALM = 30.0  # s that a flood is taken to last once it was noticed
SHARE = 0.5  # of the time, that messages get in a flood; each subscription the same
SAVED = 0.2  # s of its share that a subscription may save up


class Flood:
    """Whether there is one in this process, and who shares the time then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._until = -1.0
        self.noticed = 0  # floods
        self.sharers = 0

    def notice(self) -> None:
        """There is one. For any thread."""
        self.noticed += not self.on
        self._until = self.clock() + CALM

    @property
    def on(self) -> bool:
        """Whether it still lasts."""
        return self._until > 0.0 and self.clock() < self._until


class Share:
    """A subscription's share of the time."""

    def __init__(self, flood: Flood) -> None:
        self._flood = flood
        self._left = self._at = 0.0
        flood.sharers += 1

    def end(self) -> None:
        """The subscription is gone."""
        self._flood.sharers -= 1

    def is_spent(self) -> bool:
        """Whether the next message is to be dropped."""
        now = self._flood.clock()
        earned = (now - self._at) * SHARE / max(self._flood.sharers, 1)
        self._left, self._at = min(self._left + earned, SAVED), now
        return self._left <= 0.0

    def spend(self, seconds: float) -> None:
        """A message took so long."""
        self._left -= seconds


class Pulse:
    """A timer of the process's first node that another thread looks at.

    It is looked at by the time that the executor's thread has worked: where the process was suspended, has no processor
    or trains in another thread, that is no flood; where it gets a tenth of a processor, a flood is still one.
    """

    def __init__(self, node: Node, flood: Flood, clock: Callable[[], float] | None = None) -> None:
        """For the thread that serves the node; it works by `clock`, its own CPU time if there is none."""
        own = time.pthread_getcpuclockid(threading.get_ident())
        self._node, self._flood, self._clock = node, flood, clock or (lambda: time.clock_gettime(own))
        self._told = flood.noticed
        self._beat_at = self._clock()
        # what an RSU's cleanup leaves alone: it is not of its configuration
        getattr(node, "bare", set[object]()).add(steady_timer(node, LOOK, self.beat))

    def beat(self) -> None:
        """Timers are served."""
        self._beat_at = self._clock()
        if self._told != self._flood.noticed:
            self._told = self._flood.noticed
            told = f"more messages come than this process can take; they get {SHARE:.0%} of its time"
            self._node.get_logger().warning(f"{told} until it is calm, the rest is dropped")

    def look(self) -> None:
        """Notice a flood where timers have stood still for `LATE`. For another thread."""
        if self._clock() - self._beat_at > LATE:
            self._flood.notice()


FLOOD = Flood()  # this process's
