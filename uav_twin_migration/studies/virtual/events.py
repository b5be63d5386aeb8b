"""Time, and what happens in it: a queue of events, and processes that may be down or stopped when their event comes."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

Act = Callable[[], object]
ANY = -1  # incarnation of a process: whichever there is when the time comes


class Events:
    """What will happen, in the order of time; of one time, in the order in which it was asked for."""

    def __init__(self) -> None:
        self.now = 0.0  # s
        self._heap: list[tuple[float, int, Act, Process | None, int]] = []
        self._count = 0

    def at(self, time: float, act: Act, process: Process | None = None, incarnation: int = ANY) -> None:
        """Have something happen at a time, s, or now where that is over; in a process, as far as that runs then."""
        self._count += 1
        heappush(self._heap, (time if time > self.now else self.now, self._count, act, process, incarnation))

    def run(self, until: float, watch: Act | None = None) -> None:
        """Let everything up to a time happen. watch: to be called after each event."""
        heap, pop = self._heap, heappop
        while heap and heap[0][0] <= until:
            self.now, _, act, process, incarnation = pop(heap)
            if process is None:
                act()
            elif incarnation in (ANY, process.incarnation):
                if process.runs:
                    act()
                else:
                    process.deliver(act)
            if watch is not None:
                watch()
        self.now = until


class Process:
    """One process of the city. What is to happen in it happens while it runs; what comes while it is down is lost."""

    def __init__(self, events: Events, name: str) -> None:
        self.events, self.name = events, name
        self.incarnation = 0
        self.is_up, self.is_stopped, self.runs = True, False, True
        self._held: list[Act] = []  # for when it goes on

    def at(self, time: float, act: Act) -> None:
        """Have something happen in this incarnation of the process."""
        self.events.at(time, act, self, self.incarnation)

    def every(self, period: float, act: Act, first: float) -> None:
        """Have something happen again and again: first at a time, then after each `period`, s."""

        def happen() -> None:
            act()
            self.at(self.events.now + period, happen)

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
        self._become(up=False, stopped=False)
        self._held.clear()

    def start(self) -> None:
        """Run again, from nothing."""
        self._become(up=True, stopped=self.is_stopped)

    def stop(self) -> None:
        """Stand still, as a machine that is suspended."""
        self._become(up=self.is_up, stopped=self.is_up)

    def go_on(self) -> None:
        """Deal with all that came while it stood still."""
        self._become(up=self.is_up, stopped=False)
        held, self._held = self._held, []
        for act in held:
            self.deliver(act)

    def _become(self, up: bool, stopped: bool) -> None:
        self.is_up, self.is_stopped, self.runs = up, stopped, up and not stopped
