"""A UAV's side of its twin's life: it finds the twin a host, and has it moved to the RSU where the UAV wants it.

Sans-I/O: feed a `TwinClient` what is heard and the time, several times a lease; it returns what to ask of RSUs. Who
may be recognised as the host is `host_discovery.py`'s; here is when to ask for a migration:

- the UAV is hosted, wants another RSU as its host, and holds bandwidth;
- a migration that failed is asked for again after a pause, longer each time, while the UAV still wants it;
- one that is not wanted any more is cancelled;
- one whose source restarted or lost the hosting is over: the source has forgotten it.

And here is which RSU shall have a replica, if the UAV wants one: the best in reach that is not the host. It stays the
same for as long as it takes twins and keeps up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from uav_twin_migration.twin.protocol import host_discovery as finding
from uav_twin_migration.twin.protocol.epochs import first_epoch, horizon, is_epoch
from uav_twin_migration.twin.protocol.host_discovery import Fall, HostDiscovery, HostDiscoveryTiming, Stage
from uav_twin_migration.twin.protocol.messages import (
    HostHeartbeat,
    HostReply,
    HostRequest,
    LeaseRenewal,
)
from uav_twin_migration.twin.protocol.records import replace

FIRST_PAUSE = 1.0  # s after a migration that failed; doubles with each
LONGEST_PAUSE = 16.0  # s
STANDBY_PATIENCE = 60.0  # s for which a replica may stand still, although there is bandwidth, before another is begun


class Move(NamedTuple):
    """Ask the host to hand the twin over."""

    uav: str
    host: str
    epoch: int
    target: str
    rate: float  # Mbit/s that the UAV has bought


class Stop(NamedTuple):
    """Ask the host to cancel that."""

    uav: str
    host: str


Output = HostRequest | Move | Stop


class _Asked(NamedTuple):
    host: str
    epoch: int
    incarnation: int  # of the host's process
    target: str
    stopped: bool = False


class TwinClient:
    """One UAV's."""

    def __init__(
        self,
        uav: str,
        size: int,
        now: float,
        wall_clock: float,
        timing: HostDiscoveryTiming | None = None,
        may_host: Callable[[str], bool] = lambda rsu: True,
        replica: bool = False,
    ) -> None:
        """size: bytes of the twin's payload. wall_clock: s since 1970. may_host: whether an RSU takes twins now.

        replica: whether there shall be a replica on a second RSU.
        """
        self.timing = timing or HostDiscoveryTiming()
        self._host_discovery = HostDiscovery(uav, now, first_epoch(wall_clock), size)
        self._clock_ahead = wall_clock - now
        self._may_host = may_host
        self._replica = replica
        self._replicated: tuple[str, int] = ("", 0)  # what the host said last of the replica
        self._kept_up_at = now
        self._wanted: str | None = None
        self._others: tuple[str, ...] = ()
        self._asked: _Asked | None = None
        self._ask_at = -math.inf
        self._pause = FIRST_PAUSE

    @property
    def host(self) -> str:
        """Whom the UAV takes for its twin's host; empty for nobody."""
        return self._host_discovery.host if self._host_discovery.stage is Stage.HOSTED else ""

    @property
    def replica_host(self) -> str:
        """The RSU that shall have a replica; empty for none."""
        return self._host_discovery.replica_host

    @property
    def fall(self) -> Fall | None:
        """Why its host was given up, where that told of an older version than before."""
        return self._host_discovery.fall

    @property
    def rsus(self) -> set[str]:
        """Whom it must hear: the twin's host, where the twin is going, and who has its replica."""
        return {self.host, self.target, self.replica_host} - {""}

    @property
    def target(self) -> str:
        """Where the twin is being moved to; empty for nowhere."""
        return self._asked.target if self._asked else ""

    # -- events ------------------------------------------------------------------------------------------------------

    def hear(self, host_heartbeat: HostHeartbeat, now: float) -> None:
        """An RSU told what it holds. One that tells of an epoch from the far future is not believed."""
        if not self._is_believable(host_heartbeat.epoch, now):
            return
        self._host_discovery = finding.hear(self._host_discovery, host_heartbeat, now)
        replicated = (host_heartbeat.replica, host_heartbeat.replica_version)
        if host_heartbeat.rsu == self.host and (
            replicated != self._replicated or host_heartbeat.replica_version == host_heartbeat.version
        ):
            self._replicated, self._kept_up_at = replicated, now

    def answer(self, reply: HostReply, now: float) -> None:
        """An RSU answered a request to host. Where it knows an epoch from the far future, that is not believed."""
        if not self._is_believable(reply.newest_epoch, now):
            reply = replace(reply, newest_epoch=0)
        self._host_discovery = finding.answer(self._host_discovery, reply, now)

    def _is_believable(self, epoch: int, now: float) -> bool:
        return is_epoch(epoch) and epoch <= horizon(now + self._clock_ahead)

    def want(self, rsu: str | None, others: Sequence[str]) -> None:
        """The RSU that the UAV wants as its twin's host, and others that would do, best first."""
        self._wanted, self._others = rsu, tuple(others)

    def ended(self, host: str, target: str, moved: bool, now: float) -> None:
        """A migration that was asked for ended, or could not be asked for."""
        if self._asked is None or (self._asked.host, self._asked.target) != (host, target):
            return
        self._asked = None
        self._pause = FIRST_PAUSE if moved else min(2.0 * self._pause, LONGEST_PAUSE)
        self._ask_at = now + (self.timing.ask_again if moved else self._pause)

    def step(self, now: float, rate: float) -> list[Output]:
        """What to ask of RSUs now. rate: Mbit/s that the UAV has bought."""
        order = [self._wanted, *self._others] if self._wanted else [*self._others]
        candidates = [rsu for rsu in dict.fromkeys(order) if self._may_host(rsu)]
        self._host_discovery = finding.wish(
            self._host_discovery, candidates, self._choose_replica_host(candidates, now, rate)
        )
        self._host_discovery, requests = finding.act(self._host_discovery, now, self.timing)
        return [*requests, *self._follow_up(now), *self._begin(now, rate)]

    def lease_renewal(self) -> LeaseRenewal:
        """What to tell all RSUs."""
        return finding.lease_renewal(self._host_discovery)

    def _choose_replica_host(self, candidates: Sequence[str], now: float, rate: float) -> str:
        """The RSU that shall have a replica; empty for none."""
        current = self._host_discovery.replica_host
        if rate <= 0.0 or not self.host:
            self._kept_up_at = now  # nothing can be sent
        keeps_up = now < self._kept_up_at + STANDBY_PATIENCE
        if not self._replica or (current and current != self.host and keeps_up and self._may_host(current)):
            return current
        others = [rsu for rsu in candidates if rsu not in (self.host, current)]
        if not self.host or not others:
            return current if current != self.host else ""
        self._kept_up_at = now
        return others[0]

    # -- migrations --------------------------------------------------------------------------------------------------

    def _follow_up(self, now: float) -> list[Output]:
        """Give up, or call off, what was asked for."""
        asked = self._asked
        if asked is None:
            return []
        if self._is_over(asked):
            self.ended(asked.host, asked.target, self.host == asked.target, now)
            return []
        if self._wanted in (None, asked.target) or asked.stopped:
            return []
        self._asked = asked._replace(stopped=True)
        return [Stop(self._host_discovery.uav, asked.host)]

    def _is_over(self, asked: _Asked) -> bool:
        """Whether the host that was asked is not any more, or is in another life than then."""
        if self.host != asked.host:
            return bool(self.host)
        stamp = self._host_discovery.stamp
        return self._host_discovery.epoch != asked.epoch or (
            stamp is not None and stamp.incarnation != asked.incarnation
        )

    def _begin(self, now: float, rate: float) -> list[Output]:
        host, target, stamp = self.host, self._wanted, self._host_discovery.stamp
        if self._asked or not host or not target or host == target or stamp is None:
            return []
        if rate <= 0.0 or now < self._ask_at or not self._may_host(target):
            return []
        self._asked = _Asked(host, self._host_discovery.epoch, stamp.incarnation, target)
        self._host_discovery = finding.moving(self._host_discovery, target)
        return [Move(self._host_discovery.uav, host, self._host_discovery.epoch, target, rate)]
