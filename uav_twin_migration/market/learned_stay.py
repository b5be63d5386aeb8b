"""A hosting decision that learns from its UAV's flight how long coverage lasts, where the built-in looks straight on.

Every look at an RSU in range is remembered by distance and by how fast that grows; once the RSU is out of range it is
known how long was left. The stay is then the mean of the nearest such looks (k nearest neighbours: Cover and Hart, IEEE
Trans. Inf. Theory 13, 1967). A UAV that flies a round again knows its turns by then.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from uav_twin_migration.market.hosting_decision import LongestStay, Prospects, reachable

LOOK = 1.0  # s between two looks that are remembered
ENOUGH = 20  # looks at an RSU before they are believed


class Look(NamedTuple):
    """At one RSU."""

    at: float  # s
    distance: float  # m
    opening: float  # m/s, by which the distance grows


class Known(NamedTuple):
    """A look whose end is known."""

    look: Look
    left: float  # s that the RSU stayed in range


class LearnedStay:
    """`LongestStay`, with stays as they were on this UAV's flight so far; before it knows enough, straight on."""

    def __init__(self, neighbours: int = 5, metres: float = 50.0, speed: float = 3.0, memory: int = 600) -> None:
        """metres, speed: m and m/s that count as one unit of difference. memory: looks kept of each RSU."""
        self._rule, self._neighbours, self._memory = LongestStay(), neighbours, memory
        self._metres, self._speed = metres, speed
        self._last: dict[str, Look] = {}
        self._visits: dict[str, list[Look]] = {}
        self._known: dict[str, deque[Known]] = {}

    def choose(self, now: float, host: str | None, since: float, prospects: Prospects) -> str | None:
        """See `HostingDecision`."""
        there = reachable(prospects)
        for rsu in [rsu for rsu in self._visits if rsu not in there]:
            known = self._known.setdefault(rsu, deque(maxlen=self._memory))
            known.extend(Known(look, now - look.at) for look in self._visits.pop(rsu))
            self._last.pop(rsu, None)
        for rsu in there:
            self._look(now, rsu, prospects[rsu].distance)
        learned = {rsu: one._replace(stay=self.stay(rsu, one.stay)) for rsu, one in prospects.items()}
        return self._rule.choose(now, host, since, learned)

    def stay(self, rsu: str, otherwise: float) -> float:
        """How long an RSU will stay in range, s; `otherwise` where too little is known."""
        last, known = self._last.get(rsu), self._known.get(rsu, ())
        if last is None or len(known) < ENOUGH:
            return otherwise
        nearest = sorted((self._difference(last, one.look), one.left) for one in known)[: self._neighbours]
        return sum(left for _, left in nearest) / len(nearest)

    def _look(self, now: float, rsu: str, distance: float) -> None:
        last = self._last.get(rsu)
        if last is not None and now < last.at + LOOK:
            return
        opening = (distance - last.distance) / (now - last.at) if last is not None else 0.0
        look = self._last[rsu] = Look(now, distance, opening)
        if last is not None:
            visit = self._visits.setdefault(rsu, [])
            visit.append(look)
            del visit[: -self._memory]

    def _difference(self, one: Look, other: Look) -> float:
        away = (one.distance - other.distance) / self._metres
        return away * away + ((one.opening - other.opening) / self._speed) ** 2
