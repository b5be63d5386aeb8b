"""When a host (host.py) looks after which of its twins."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin


class Agenda:
    """Which twins are to be looked after, and when: a tick costs what is due, however many twins there are."""

    def __init__(self) -> None:
        self._due: dict[int, HostedTwin] = {}  # by number, until it was looked after
        self._later: list[tuple[float, int, HostedTwin]] = []  # a heap; some of it is no longer so
        self._count = 0

    def add(self, hosted_twin: HostedTwin) -> None:
        """A new twin, due at once."""
        self._count += 1
        hosted_twin.number = self._count
        self.wake(hosted_twin)

    def wake(self, *hosted_twins: HostedTwin) -> None:
        """Look after twins at the next tick."""
        for hosted_twin in hosted_twins:
            hosted_twin.look_at = -math.inf
            self._due[hosted_twin.number] = hosted_twin

    def wait(self, hosted_twin: HostedTwin, until: float) -> None:
        """A twin was looked after, and need not be before a time, s."""
        hosted_twin.look_at = until
        self._due.pop(hosted_twin.number, None)
        if until < math.inf:
            heapq.heappush(self._later, (until, hosted_twin.number, hosted_twin))

    def forget(self, hosted_twin: HostedTwin) -> None:
        """A twin is known no longer."""
        self._due.pop(hosted_twin.number, None)
        hosted_twin.look_at = math.nan

    def due(self, now: float) -> list[HostedTwin]:
        """Those whose time it is, in the order of their numbers."""
        while self._later and self._later[0][0] <= now:
            at, number, hosted_twin = heapq.heappop(self._later)
            if hosted_twin.look_at == at:
                self._due[number] = hosted_twin
        return [hosted_twin for _, hosted_twin in sorted(self._due.items())]

    @property
    def next(self) -> float:
        """When the next one is due, s."""
        if self._due:
            return -math.inf
        while self._later and self._later[0][2].look_at != self._later[0][0]:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else math.inf
