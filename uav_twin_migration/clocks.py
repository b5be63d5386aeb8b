"""Clocks that no setting of the time of day disturbs."""

from __future__ import annotations

import time

LONGEST_STEP = 1.0  # s


def boot_time() -> float:
    """Seconds since the machine was started, those in which it was suspended as well: what leases are counted in.

    Python's monotonic clock stands still in a suspended machine, so a host that wakes up would go on serving a twin
    that another host has had for hours.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class ListeningClock:
    """Seconds in which this process could hear somebody: what the silence of others is counted in.

    It is behind a steady clock by the time in which the process was stopped, suspended, or kept from running for longer
    than `LONGEST_STEP` at a time: who slept for a minute has not been left alone for a minute.
    """

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._now = self._last

    def now(self) -> float:
        """The time, s. To be asked oftener than every `LONGEST_STEP`."""
        last, self._last = self._last, time.monotonic()
        self._now += min(self._last - last, LONGEST_STEP)
        return self._now
