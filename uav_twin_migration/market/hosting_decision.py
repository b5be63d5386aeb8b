"""Which RSU should host a UAV's twin: what decides it, and the choice that is kept meanwhile.

Built in are the decision that is used unless a scenario says otherwise, `LongestStay`, and others that the field
compares it with. A plug-in is one more class with `choose`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from uav_twin_migration.plugins import Plugged


class Prospect(NamedTuple):
    """What one RSU offers as a host."""

    stay: float  # s, predicted time in its coverage, within the market's bounds
    efficiency: float  # bit/s/Hz, 0 out of range
    distance: float = 0.0  # m on the ground
    price: float = 0.0  # credit/MHz, posted last
    bandwidth: float = 0.0  # MHz that it has to sell


Prospects = Mapping[str, Prospect]  # by RSU, of those that have posted an offer lately


class HostingDecision(Protocol):
    """Says which RSU should host; one object a UAV, so it may remember what it saw.

    Its constructor may take `uav`, the UAV's id.
    """

    def choose(self, now: float, host: str | None, since: float, prospects: Prospects) -> str | None:
        """The RSU that should host from now on, one of the prospects; None where there is none.

        host: that is wanted now, since the time `since` (s); None where there is none yet.
        """


def reachable(prospects: Prospects) -> list[str]:
    """The RSUs in range."""
    return [rsu for rsu, prospect in prospects.items() if prospect.efficiency > 0.0]


def is_lost(host: str | None, prospects: Prospects) -> bool:
    """Whether there is no host to keep."""
    return host is None or host not in prospects or prospects[host].efficiency <= 0.0


@dataclass(frozen=True)
class LongestStay:
    """The RSU that will serve longest as the UAV flies. The built-in.

    With hysteresis: a move costs bandwidth and a moment of downtime.
    """

    gain_factor: float = 1.5  # the other RSU must promise this many times the stay
    gain: float = 5.0  # s, and this much more of it
    dwell: float = 5.0  # s after a change in which only the loss of the host brings another

    def choose(self, now: float, host: str | None, since: float, prospects: Prospects) -> str | None:
        """See `HostingDecision`."""
        best = max(
            reachable(prospects),
            key=lambda rsu: (prospects[rsu].stay, prospects[rsu].efficiency, rsu),
            default=None,
        )
        if host is None or best is None or is_lost(host, prospects):
            return best
        stay, other = prospects[host].stay, prospects[best].stay
        worth_it = other > self.gain_factor * stay and other > stay + self.gain
        return best if worth_it and now - since >= self.dwell else host


@dataclass(frozen=True)
class Nearest:
    """Always the nearest RSU in range, at once: what a twin pays for not looking ahead."""

    margin: float = 0.0  # m by which another must be nearer

    def choose(self, now: float, host: str | None, since: float, prospects: Prospects) -> str | None:
        """See `HostingDecision`."""
        best = min(reachable(prospects), key=lambda rsu: (prospects[rsu].distance, rsu), default=None)
        if host is None or best is None or is_lost(host, prospects):
            return best
        return best if prospects[best].distance < prospects[host].distance - self.margin else host


class Reactive:
    """Stays until the host is out of range, then takes the best link."""

    def choose(self, now: float, host: str | None, since: float, prospects: Prospects) -> str | None:
        """See `HostingDecision`."""
        if not is_lost(host, prospects):
            return host
        return max(reachable(prospects), key=lambda rsu: (prospects[rsu].efficiency, rsu), default=None)


@dataclass(frozen=True)
class CostAware:
    """Stays until the host will soon be out of range; then the RSU whose bandwidth carries a bit for least money."""

    ahead: float = 45.0  # s of predicted stay below which it looks for another that promises more

    def choose(self, now: float, host: str | None, since: float, prospects: Prospects) -> str | None:
        """See `HostingDecision`."""
        lost = host is None or is_lost(host, prospects)
        stay = 0.0 if host is None or lost else prospects[host].stay
        if not lost and stay >= self.ahead:
            return host
        better = [rsu for rsu in reachable(prospects) if rsu == host or prospects[rsu].stay > 1.5 * stay]
        return min(
            better, key=lambda rsu: (rsu == host, prospects[rsu].price / prospects[rsu].efficiency, rsu), default=None
        )


class HostingChoice:
    """A UAV's choice: feed it prospects, it says when the host should change."""

    def __init__(self, plugin: str = "", tell: Callable[[str], None] | None = None, uav: str = "") -> None:
        """plugin: the decision's, empty for the built-in. tell: see `Plugged`."""
        self.decision = Plugged[HostingDecision]("hosting", plugin, LongestStay(), tell, uav=uav)
        self.host: str | None = None
        self.changes = 0  # hand-overs from one RSU to another; the first host and losing all do not count
        self._since = 0.0
        self._last: str | None = None

    def update(self, now: float, prospects: Prospects) -> bool:
        """Decide anew. Returns whether the wanted host changed."""
        if now < self._since:
            self._since = now  # the clock jumped back
        wanted = self.decision.ask(lambda decision: self._checked(decision, now, prospects))
        if wanted == self.host:
            return False
        if wanted is not None:
            self.changes += self._last is not None and wanted != self._last
            self._last = wanted
        self.host, self._since = wanted, now
        return True

    def _checked(self, decision: HostingDecision, now: float, prospects: Prospects) -> str | None:
        wanted = decision.choose(now, self.host, self._since, prospects)
        if wanted is not None and wanted not in prospects:
            raise ValueError(f"chose {wanted!r}, expected None or one of {', '.join(prospects)}")
        return wanted
