"""What else a machine had to do while something was measured on it, and what bounded the measurement.

Read from Linux's ``/proc``: how busy the processors were, how long they waited for disks, what a hypervisor took;
and how much of that was this process's and its children's. Elsewhere nothing is known, and nothing is called good.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LOOK = 2.0  # s that the machine is looked at before
QUIET = 0.1  # of a core: what others may take, on average, of a figure that is called good
_FULL = 0.85  # of a core, or of all of them: used up
_DISK = 0.2  # of a core: that much waiting for disks bounds
_TICKS = 100.0  # a second, of /proc/stat


@dataclass(frozen=True)
class Times:
    """Seconds since some moment, of all processors together."""

    at: float  # by the clock
    busy: float  # by anybody; taken away by a hypervisor, too
    waiting: float  # for disks, with nothing else to do
    ours: float  # by this process and its children that have ended


@dataclass(frozen=True)
class Conditions:
    """How a figure came about. Cores, on average."""

    cores: int
    load: float  # mean number of processes that wanted a core in the minute before
    before: float  # taken by others just before
    others: float  # taken by others meanwhile
    ours: float
    waiting: float  # for disks

    @property
    def quiet(self) -> bool:
        """Whether figures may be called good: others took next to nothing, before and meanwhile."""
        return max(self.before, self.others) <= QUIET

    @property
    def bound(self) -> str:
        """What limited the measurement, as far as the processors tell."""
        if not self.quiet and self.ours + self.others >= _FULL * self.cores:
            return f"other work on this machine, which took {self.others:.1f} of {self.cores} cores"
        if self.ours >= _FULL * self.cores:
            return f"the processor: all {self.cores} cores"
        if self.waiting >= _DISK:
            return f"the disk: {self.waiting:.1f} cores waited for it"
        if _FULL <= self.ours <= 2.0 - _FULL:
            return "the processor: one core, by one thread"
        return f"no processor ({self.ours:.2f} of {self.cores} cores used): the clock, timers or the network"

    def lines(self) -> list[str]:
        """For people."""
        told = [
            f"  bounded by {self.bound}",
            f"  load before {self.load:.1f}; others took {self.before:.2f} cores then, {self.others:.2f} meanwhile",
        ]
        if not self.quiet:
            told.append("  BUSY: no figure above is called good; run it again on a quiet machine")
        return told


class Watch:
    """Looks at the machine when made, for `LOOK` seconds, and again when asked."""

    def __init__(self, now: Callable[[], Times] | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._now = now or times
        self.load = os.getloadavg()[0]
        before = self._now()
        sleep(LOOK)
        self._start = self._now()
        self._before = _others(before, self._start)

    def conditions(self) -> Conditions:
        """Since it was made."""
        now, start = self._now(), self._start
        elapsed = max(now.at - start.at, 1e-9)
        ours, waiting = (now.ours - start.ours) / elapsed, (now.waiting - start.waiting) / elapsed
        return Conditions(os.cpu_count() or 1, self.load, self._before, _others(start, now), ours, waiting)


def _others(start: Times, end: Times) -> float:
    elapsed = max(end.at - start.at, 1e-9)
    return max(end.busy - start.busy - (end.ours - start.ours), 0.0) / elapsed


def times(stat: Path = Path("/proc/stat")) -> Times:
    """Now. Raises OSError where there is no such file."""
    user, nice, system, _idle, waiting, *interrupts = (
        float(word) for word in stat.read_text().split("\n")[0].split()[1:]
    )
    used = os.times()
    ours = used.user + used.system + used.children_user + used.children_system
    busy = user + nice + system + sum(interrupts[:3])  # irq, softirq, steal; guests are counted as user
    return Times(time.monotonic(), busy / _TICKS, waiting / _TICKS, ours)
