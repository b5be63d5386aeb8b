"""What an RSU hears of UAVs, and which of that its twins have to know."""

from __future__ import annotations

from collections import Counter

from uav_twin_migration.market.messages import is_id
from uav_twin_migration.twin.protocol.messages import LeaseRenewal

UNHEARD_LEASES = 2.0  # leases without a word of its UAV after which an RSU no longer speaks of a twin
MOST_UAVS = 10_000  # that it listens to

News = tuple[str, int, int, str]


def news_of(said: LeaseRenewal) -> News:
    """What other RSUs than the host need to hear, once."""
    return said.host, said.epoch, said.newest_epoch, said.replica_host


class UavsHeard:
    """The UAVs around one RSU. Times are seconds in which it could hear somebody."""

    def __init__(self, rsu: str, now: float, verifies: bool = False) -> None:
        """verifies: whether what UAVs say is signed: then what is told again is refused."""
        self.rsu, self._began, self._verifies = rsu, now, verifies
        self.refused: Counter[str] = Counter()  # what was heard and makes no sense, by why
        self.held: set[str] = set()  # UAVs of whose twins something is here; the owner says
        self._recognised: dict[str, News] = {}
        self._heard_at: dict[str, float] = {}  # s
        self._sequences: dict[str, int] = {}  # of the newest UAV heartbeats

    @property
    def remembered(self) -> int:
        """How many UAVs it remembers."""
        return len(self._recognised)

    def is_relevant(self, uav: str, news: News) -> bool:
        """Whether it is news, or concerns a twin that is here: nothing else is worth verifying."""
        return uav in self.held or self._recognised.get(uav) != news

    def hear(self, said: LeaseRenewal, sequence: int | None, now: float) -> tuple[bool, bool]:
        """A UAV told whom it takes for its twin's host.

        sequence: of the telemetry with it, None for none.

        Returns: whether the twins have to recognise that; whether it is about a twin that is hosted here.
        """
        uav = said.uav
        if is_id(uav) and uav not in self._recognised and len(self._recognised) >= MOST_UAVS:
            self._forget_some()
        crowded = uav not in self._recognised and len(self._recognised) >= MOST_UAVS
        if not is_id(uav) or (said.replica_host and not is_id(said.replica_host)) or crowded:
            self.refused["unknown_rsu"] += 1
            return False, False
        if self._is_old(uav, sequence):
            self.refused["replayed"] += 1
            return False, False
        self._heard_at[uav] = now
        held = uav in self.held
        told = news_of(said)
        news = self._recognised.get(uav) != told or (held and said.host != self.rsu)
        if news:
            self._recognised[uav] = told
        return news, held and said.host == self.rsu

    def hears(self, uav: str, lease: float, now: float) -> bool:
        """Whether a UAV can be heard. An RSU that is heard and hears nothing would else keep the twin, unserved."""
        return now - self._heard_at.get(uav, self._began) < UNHEARD_LEASES * lease

    def _forget_some(self) -> None:
        """Forget UAVs heard first whose twins are not here: in months more of them pass by than are ever in range."""
        passed = [uav for uav in self._recognised if uav not in self.held]
        for uav in passed[: MOST_UAVS // 2]:
            del self._recognised[uav]
            self._sequences.pop(uav, None)
            self._heard_at.pop(uav, None)

    def _is_old(self, uav: str, sequence: int | None) -> bool:
        """Whether somebody sends a heartbeat again: its rate would be an old one, all else is guarded by itself.

        Only where UAVs sign: else, who forges a high sequence would silence the UAV.
        """
        if not self._verifies or sequence is None:
            return False
        if sequence <= self._sequences.get(uav, 0):
            return True
        self._sequences[uav] = sequence
        return False
