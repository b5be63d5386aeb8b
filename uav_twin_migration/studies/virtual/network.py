"""Messages between processes: how long they take, which are lost, who cannot hear whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from uav_twin_migration.scenario.chance import Draw
from uav_twin_migration.studies.virtual.events import Act, Events, Process


class Network:
    """Everybody's messages."""

    def __init__(self, events: Events, delay: Draw, is_lost: Callable[[], bool]) -> None:
        """delay: s, of each message. is_lost: whether the next one is."""
        self.events, self._delay, self._is_lost = events, delay, is_lost
        self.slowness: dict[str, float] = {}  # by process: how many times as long everything takes
        self._cuts: set[frozenset[str]] = set()  # a pair, or one process that nobody reaches
        self.on_change: list[Act] = []  # who has to know when cuts change

    def send(self, source: str, target: Process, act: Act, reliable: bool = False) -> None:
        """Have something happen in another process, unless the message is lost.

        reliable: only a cut keeps it back.
        """
        if (self._cuts and self.is_cut(source, target.name)) or (not reliable and self._is_lost()):
            return
        self.events.at(self.events.now + self.delay(source, target.name), act, target)

    def delay(self, source: str, target: str = "") -> float:
        """How long a message takes, s."""
        slow = self.slowness
        return self._delay() * max(slow.get(source, 1.0), slow.get(target, 1.0)) if slow else self._delay()

    def cut(self, names: Iterable[str]) -> None:
        """Keep one process from everybody, or two from each other."""
        self._cuts.add(frozenset(names))
        self._tell()

    def mend(self, name: str) -> None:
        """Take away all cuts that a process is part of."""
        self._cuts = {pair for pair in self._cuts if name not in pair}
        self._tell()

    def is_cut(self, source: str, target: str) -> bool:
        """Whether nothing gets through between two."""
        return any(
            pair in (frozenset((source,)), frozenset((target,)), frozenset((source, target))) for pair in self._cuts
        )

    def _tell(self) -> None:
        for act in self.on_change:
            act()
