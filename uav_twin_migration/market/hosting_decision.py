"""Which RSU should host a UAV's twin: the one that will serve longest, with hysteresis against going to and fro."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class HostingSettings:
    """When a twin is worth moving. A move costs bandwidth and a moment of downtime."""

    gain_factor: float = 1.5  # the other RSU must promise this many times the stay
    gain: float = 5.0  # s, and this much more of it
    dwell: float = 5.0  # s after a change in which only the loss of the host brings another


class Prospect(NamedTuple):
    """What one RSU offers as a host."""

    stay: float  # s, predicted time in its coverage
    efficiency: float  # bit/s/Hz, 0 out of range


class HostingChoice:
    """A UAV's hosting decision: feed it prospects, it says when the host should change."""

    def __init__(self, settings: HostingSettings | None = None) -> None:
        self.settings = settings or HostingSettings()
        self.host: str | None = None
        self.changes = 0  # hand-overs from one RSU to another; the first host and losing all do not count
        self._since = 0.0
        self._last: str | None = None

    def update(self, now: float, prospects: Mapping[str, Prospect]) -> bool:
        """Decide anew. Returns whether the wanted host changed."""
        if now < self._since:
            self._since = now  # the clock jumped back
        best = max(
            (rsu for rsu, prospect in prospects.items() if prospect.efficiency > 0.0),
            key=lambda rsu: (prospects[rsu].stay, prospects[rsu].efficiency, rsu),
            default=None,
        )
        if best == self.host or not self._worth_it(now, best, prospects):
            return False
        if best is not None:
            self.changes += self._last is not None and best != self._last
            self._last = best
        self.host, self._since = best, now
        return True

    def _worth_it(self, now: float, best: str | None, prospects: Mapping[str, Prospect]) -> bool:
        current = prospects.get(self.host) if self.host is not None else None
        if current is None or current.efficiency <= 0.0 or best is None:
            return True  # there is no host to keep
        if now - self._since < self.settings.dwell:
            return False
        stay = prospects[best].stay
        return stay > self.settings.gain_factor * current.stay and stay > current.stay + self.settings.gain
