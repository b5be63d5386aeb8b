"""Time, and what happens in it: a queue of events, and processes that may be down or stopped when their event comes."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial

Act = Callable[[], object]


class Events:
    """What will happen, in the order of time; of one time, in the order in which it was asked for."""

    def __init__(self) -> None:
        self.now = 0.0  # s
        self._heap: list[tuple[float, int, Act]] = []
        self._count = 0

    def at(self, time: float, act: Act) -> None:
        """Have something happen at a time, s, or now where that is over."""
        self._count += 1
        heapq.heappush(self._heap, (time if time > self.now else self.now, self._count, act))

    def run(self, until: float, watch: Act | None = None) -> None:
        """Let everything up to a time happen. watch: to be called after each event."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until:
            self.now, _, act = pop(heap)
            act()
            if watch is not None:
                watch()
        self.now = until


class Process:
    """One process of the city. What is to happen in it happens while it runs; what comes while it is down is lost."""

    def __init__(self, events: Events, name: str) -> None:
        self.events, self.name = events, name
        self.incarnation = 0
        self.is_up, self.is_stopped = True, False
        self._held: list[Act] = []  # for when it goes on

    def at(self, time: float, act: Act) -> None:
        """Have something happen in this incarnation of the process."""
        self.events.at(time, partial(self._happen, self.incarnation, act))

    def _happen(self, incarnation: int, act: Act) -> None:
        if incarnation == self.incarnation:
            self.deliver(act)

    def every(self, period: Callable[[], float], act: Act, first: float) -> None:
        """Have something happen again and again: first at a time, then after each `period()`, s."""

        def happen() -> None:
            act()
            self.at(self.events.now + period(), happen)

        self.at(first, happen)

    def deliver(self, act: Act) -> None:
        """Something comes from outside."""
        if self.is_stopped:
            self._held.append(act)
        elif self.is_up:
            act()

    def kill(self) -> None:
        """All that was in its memory is gone."""
        self.incarnation += 1
        self.is_up = self.is_stopped = False
        self._held.clear()

    def start(self) -> None:
        """Run again, from nothing."""
        self.is_up = True

    def stop(self) -> None:
        """Stand still, as a machine that is suspended."""
        self.is_stopped = self.is_up

    def go_on(self) -> None:
        """Deal with all that came while it stood still."""
        self.is_stopped = False
        held, self._held = self._held, []
        for act in held:
            self.deliver(act)
