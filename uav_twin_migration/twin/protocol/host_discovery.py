"""A UAV's side: whom it takes for its twin's host, and when it gives its twin to another.

Theory of operation
===================

The host discovery hears what RSUs say they hold (`HostHeartbeat`) and says whom it recognises (`LeaseRenewal`), which
renews the host's lease (migration.py). It goes from one recognised hosting to the next in three ways only:

- *by a hand-over*: the next hosting has a higher epoch of the same term, and is at an RSU to which the UAV asked to
  migrate, or which the recognised host named as its successor. That RSU could not have come by the epoch if the host
  had not ceased before, so it is recognised at once.
- *by the host itself*, which raised its epoch because a hand-over failed.
- *by re-hosting*: nothing was heard of the host for `rehost_after`. Then the UAV asks another RSU to host, under the
  first epoch of a new term. `rehost_after` is at least a `quarantine`, which is a little more than a lease: whatever
  stamp the UAV echoed, it heard it before that, so no RSU has a lease any more. It prefers the RSU that has the
  newest copy, of those that can have come by one: who hosted it in this life of the UAV, was to host it next, or has
  its replica. A UAV that has just started knows of none, and believes whoever says so. A term that was once offered
  is never gone back from: the old host, should it appear again, is at best asked to host in yet another term.

A host that tells of an older version than before, within one epoch, is not what it was: its store was restored from a
copy, or cloned, and maybe two of them run. No lease is renewed from then on, and after a quarantine the twin is
re-hosted, under a new term and from the newest copy that anybody has.

A UAV that starts listens for one quarantine, because its earlier life may have renewed a lease. Its terms must be above
those of its earlier incarnations: `epochs.first_epoch` of a clock sees to that.

An RSU that merely claims a high epoch fits none of the three and is not recognised.

A UAV that wants a replica (replica.py) asks for no less than what it has heard to be confirmed: first RSUs heard to
have a copy, then the one that confirmed it, then the old host, whoever of them may be back. Only when none of them has
hosted for `begin_anew_after` is the twin given to an RSU that has nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from uav_twin_migration.scenario.settings import CLOCKS_DIFFER
from uav_twin_migration.twin.protocol.epochs import (
    LAST_TERM,
    is_epoch,
    make_epoch,
    next_term,
    term_of,
)
from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostHeartbeat,
    HostReply,
    HostRequest,
    LeaseRenewal,
    Stamp,
)
from uav_twin_migration.twin.protocol.records import replace

LONG_AGO = -math.inf
MOST_HEARD = 64  # RSUs that are remembered to have said something of a twin
MOST_HOSTS = 16  # of these, and of those that hosted it
MOST_DOUBLINGS = 2  # of the time that an RSU has to answer, with each that was asked in vain


class Stage(str, Enum):
    """What the host discovery is doing."""

    LISTENING = "listening"  # just started
    HOSTED = "hosted"
    SEEKING = "seeking"  # the host is silent; nobody was asked yet
    ASKING = "asking"


@dataclass(frozen=True)
class HostDiscoveryTiming:
    """Durations, s."""

    quarantine: float = 3.3  # the RSUs' `lease` and 10 %: more than their clocks may differ in rate
    rehost_after: float = 10.0  # of silence: the host is given up for good
    ask_again: float = 0.5  # without an answer to a request; twice, then four times as long where another gave none
    tries: int = 4  # of one RSU before the next
    begin_anew_after: float = 60.0  # of silence: a replica, known of but out of reach, is given up as well

    def __post_init__(self) -> None:
        if self.rehost_after < self.quarantine:
            raise ValueError(f"rehost_after ({self.rehost_after} s) must not be below quarantine ({self.quarantine} s)")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> HostDiscoveryTiming:
        """As a UAV's parameters say, by name."""
        return cls(
            quarantine=CLOCKS_DIFFER * values["twin_lease"],
            rehost_after=values["rehost_after"],
            begin_anew_after=values["begin_anew_after"],
        )


@dataclass(frozen=True)
class Heard:
    """The last that an RSU said of this twin."""

    rsu: str
    holding: Holding
    epoch: int
    version: int
    stamp: Stamp
    at: float  # s


@dataclass(frozen=True)
class Fall:
    """A host told of an older version than before, within one epoch."""

    rsu: str
    known: int  # the version before
    told: int
    at: float  # s


@dataclass(frozen=True)
class HostDiscovery:
    """The host discovery's state; `step`-like functions below make the next one."""

    uav: str
    started: float  # s
    newest_epoch: int  # no epoch below is recognised any more
    size: int = 0  # bytes, of the twin's payload
    stage: Stage = Stage.LISTENING
    host: str = ""
    epoch: int = 0
    version: int = 0  # the newest that the host told of, under that epoch
    stamp: Stamp | None = None
    heard_at: float = LONG_AGO  # s, when a recognised host was last heard
    fall: Fall | None = None  # why no lease is renewed, until there is another hosting
    replica_host: str = ""  # the RSU that shall have a replica
    replica: str = ""  # the RSU that has one, as a host told last; of which hosting and change
    replica_epoch: int = 0
    replica_version: int = 0
    hosts: tuple[str, ...] = ()  # that were recognised in this life, the last one last
    successors: tuple[str, ...] = ()  # to whom the recognised host may hand over
    heard: tuple[Heard, ...] = ()  # by RSU
    asked: str = ""
    ask_at: float = LONG_AGO  # s, of the next request
    tries: int = 0
    candidates: tuple[str, ...] = ()  # RSUs that could host, best first
    turn: int = 0  # of the candidates


def hear(host_discovery: HostDiscovery, host_heartbeat: HostHeartbeat, now: float) -> HostDiscovery:
    """An RSU told what it holds."""
    if (
        host_heartbeat.uav != host_discovery.uav
        or not is_epoch(host_heartbeat.epoch)
        or term_of(host_heartbeat.epoch) >= LAST_TERM
    ):
        return host_discovery
    said = Heard(
        host_heartbeat.rsu,
        host_heartbeat.holding,
        host_heartbeat.epoch,
        host_heartbeat.version,
        host_heartbeat.stamp,
        now,
    )
    others = tuple(one for one in host_discovery.heard if one.rsu != host_heartbeat.rsu)
    if len(others) >= MOST_HEARD:  # of so many, most are invented
        kept = (host_discovery.host, host_discovery.asked, host_discovery.replica, host_discovery.replica_host)
        oldest = min((one for one in others if one.rsu not in kept), key=lambda one: one.at)
        others = tuple(one for one in others if one is not oldest)
    host_discovery = replace(host_discovery, heard=tuple(sorted((*others, said), key=lambda one: one.rsu)))
    if (
        host_heartbeat.rsu == host_discovery.host
        and host_heartbeat.epoch == host_discovery.epoch
        and host_discovery.stage in (Stage.HOSTED, Stage.SEEKING)
    ):
        return _hear_host(host_discovery, host_heartbeat, now)
    if host_heartbeat.holding is not Holding.HOSTING or host_heartbeat.epoch < host_discovery.newest_epoch:
        return host_discovery
    if host_discovery.stage is Stage.ASKING and (host_heartbeat.rsu, host_heartbeat.epoch) == (
        host_discovery.asked,
        host_discovery.newest_epoch,
    ):
        return _recognise(host_discovery, said, now)
    if host_discovery.stage in (Stage.HOSTED, Stage.SEEKING) and _succeeds(host_discovery, host_heartbeat):
        return _recognise(host_discovery, said, now)
    return host_discovery


def answer(host_discovery: HostDiscovery, reply: HostReply, now: float) -> HostDiscovery:
    """An RSU answered a request to host. Where it refuses, another is asked; if it knows a newer epoch, above that."""
    asked = host_discovery.stage is Stage.ASKING and (reply.rsu, reply.epoch) == (
        host_discovery.asked,
        host_discovery.newest_epoch,
    )
    if reply.uav != host_discovery.uav or not asked or reply.reason is None:
        return host_discovery  # the host's host heartbeat, with a stamp to echo, says the rest
    newest_epoch = host_discovery.newest_epoch
    if is_epoch(reply.newest_epoch) and term_of(reply.newest_epoch) < LAST_TERM - 1:
        newest_epoch = max(newest_epoch, reply.newest_epoch)
    return replace(
        host_discovery, stage=Stage.SEEKING, newest_epoch=newest_epoch, host="", turn=host_discovery.turn + 1
    )


def moving(host_discovery: HostDiscovery, target: str) -> HostDiscovery:
    """The UAV asked its host to hand the twin over to `target`."""
    return replace(host_discovery, successors=tuple(sorted({*host_discovery.successors, target})))


def wish(host_discovery: HostDiscovery, candidates: Sequence[str], replica_host: str = "") -> HostDiscovery:
    """The RSUs that the UAV would have as a host, best first, and the one that shall have a replica."""
    return replace(host_discovery, candidates=tuple(candidates), replica_host=replica_host)


def act(
    host_discovery: HostDiscovery, now: float, timing: HostDiscoveryTiming
) -> tuple[HostDiscovery, tuple[HostRequest, ...]]:
    """What time alone brings about. To be called often, with `lease_renewal` after it."""
    if host_discovery.stage is Stage.LISTENING and now >= host_discovery.started + timing.quarantine:
        host_discovery = _choose(host_discovery, now, timing)
    if host_discovery.stage is Stage.HOSTED and now >= host_discovery.heard_at + timing.rehost_after:
        host_discovery = replace(host_discovery, stage=Stage.SEEKING)
    if host_discovery.stage is Stage.ASKING and now >= host_discovery.ask_at and host_discovery.tries >= timing.tries:
        host_discovery = replace(host_discovery, stage=Stage.SEEKING, host="", turn=host_discovery.turn + 1)
    fallen = host_discovery.fall is not None and now < host_discovery.fall.at + timing.quarantine
    if host_discovery.stage is Stage.SEEKING and not fallen:
        host_discovery = _turn_to(host_discovery, _best_candidate(host_discovery, now, timing), now)
    if host_discovery.stage is Stage.ASKING and now >= host_discovery.ask_at:
        # Where RSUs are slow, not dead, each that is asked begins a twin in the end: so more and more patience.
        pause = timing.ask_again * 2.0 ** min(host_discovery.turn, MOST_DOUBLINGS)
        host_discovery = replace(host_discovery, ask_at=now + pause, tries=host_discovery.tries + 1)
        least = _least(host_discovery) if _insists(host_discovery, now, timing) else (0, 0)
        return host_discovery, (
            HostRequest(
                host_discovery.uav, host_discovery.asked, host_discovery.newest_epoch, host_discovery.size, *least
            ),
        )
    return host_discovery, ()


def lease_renewal(host_discovery: HostDiscovery) -> LeaseRenewal:
    """What to tell all RSUs, several times in a lease."""
    if host_discovery.stage is not Stage.HOSTED:
        return LeaseRenewal(
            host_discovery.uav, "", 0, host_discovery.newest_epoch, replica_host=host_discovery.replica_host
        )
    return LeaseRenewal(
        host_discovery.uav,
        host_discovery.host,
        host_discovery.epoch,
        host_discovery.newest_epoch,
        host_discovery.stamp,
        host_discovery.replica_host,
    )


def _hear_host(host_discovery: HostDiscovery, host_heartbeat: HostHeartbeat, now: float) -> HostDiscovery:
    said, known = _instant(host_heartbeat.stamp), _instant(host_discovery.stamp)
    if said < known:
        return host_discovery  # overtaken on its way, or sent again by somebody
    hosting = host_heartbeat.holding is Holding.HOSTING
    if hosting and host_heartbeat.version < host_discovery.version and said > known:
        fall = Fall(host_heartbeat.rsu, host_discovery.version, host_heartbeat.version, now)
        return replace(host_discovery, stage=Stage.SEEKING, host="", fall=fall)
    if host_heartbeat.successor:
        host_discovery = moving(host_discovery, host_heartbeat.successor)
    if not hosting:
        return host_discovery
    newest = max(host_discovery.version, host_heartbeat.version)
    host_discovery = replace(
        host_discovery, stage=Stage.HOSTED, stamp=host_heartbeat.stamp, heard_at=now, version=newest
    )
    if not host_heartbeat.replica:
        return host_discovery
    version = host_heartbeat.replica_version
    return replace(
        host_discovery, replica=host_heartbeat.replica, replica_epoch=host_heartbeat.epoch, replica_version=version
    )


def _instant(stamp: Stamp | None) -> tuple[int, float]:
    """An RSU's instants in their order."""
    return (stamp.incarnation, stamp.time) if stamp is not None else (-1, LONG_AGO)


def _succeeds(host_discovery: HostDiscovery, host_heartbeat: HostHeartbeat) -> bool:
    """Whether this hosting can only have come from the recognised one."""
    known = host_heartbeat.rsu == host_discovery.host or host_heartbeat.rsu in host_discovery.successors
    newer = host_heartbeat.epoch > host_discovery.epoch and term_of(host_heartbeat.epoch) == term_of(
        host_discovery.epoch
    )
    return bool(host_discovery.host) and known and newer


def _recognise(host_discovery: HostDiscovery, said: Heard, now: float) -> HostDiscovery:
    if said.rsu == host_discovery.replica:  # by a hand-over the two change places; else nobody else has a copy
        host_discovery = replace(host_discovery, replica=host_discovery.host)
    if said.rsu == host_discovery.replica_host and host_discovery.host:
        host_discovery = replace(host_discovery, replica_host=host_discovery.host)
    if host_discovery.stage is Stage.ASKING:  # a new term: what is known of the old one's changes is over
        host_discovery = replace(host_discovery, replica="", replica_epoch=0, replica_version=0)
    return replace(
        host_discovery,
        hosts=(*(rsu for rsu in host_discovery.hosts if rsu != said.rsu), said.rsu)[-MOST_HOSTS:],
        stage=Stage.HOSTED,
        host=said.rsu,
        epoch=said.epoch,
        newest_epoch=max(host_discovery.newest_epoch, said.epoch),
        version=said.version,
        stamp=said.stamp,
        heard_at=said.at,
        fall=None,
        successors=(),
        asked="",
        tries=0,
        turn=0,
    )


def _choose(host_discovery: HostDiscovery, now: float, timing: HostDiscoveryTiming) -> HostDiscovery:
    """After listening: the newest host heard, if it is none of before this life's first term."""
    hosts = [
        one
        for one in host_discovery.heard
        if one.holding is Holding.HOSTING and one.epoch >= host_discovery.newest_epoch
    ]
    if not hosts:
        return replace(host_discovery, stage=Stage.SEEKING)
    newest = max(hosts, key=lambda one: one.epoch)
    return _recognise(host_discovery, newest, now)


def _insists(host_discovery: HostDiscovery, now: float, timing: HostDiscoveryTiming) -> bool:
    """Whether the UAV still waits for somebody with what may be on a disk."""
    return (
        bool(host_discovery.replica_host or host_discovery.replica)
        and now < host_discovery.heard_at + timing.begin_anew_after
    )


def _least(host_discovery: HostDiscovery) -> tuple[int, int]:
    """Epoch and version of the copy that the UAV knows of; else any of the last term."""
    return max(
        (host_discovery.replica_epoch, host_discovery.replica_version), (make_epoch(term_of(host_discovery.epoch)), 1)
    )


def _best_candidate(host_discovery: HostDiscovery, now: float, timing: HostDiscoveryTiming) -> str:
    """Those lately heard to have a copy, the newest first, then the others as the UAV prefers them, each in turn.

    A host that was given up comes last. Where the UAV insists on a replica, only who may have it is asked. Who says
    that it has a copy and cannot have come by one is no better than who says nothing.
    """
    may_have = {host_discovery.replica, host_discovery.replica_host, *host_discovery.hosts, *host_discovery.successors}
    holders = sorted(
        (
            one
            for one in host_discovery.heard
            if now < one.at + timing.rehost_after and (one.rsu in may_have or not host_discovery.hosts)
        ),
        key=lambda one: (-term_of(one.epoch), -one.version, one.rsu),
    )
    candidates: Sequence[str] = sorted(host_discovery.candidates, key=lambda rsu: rsu == host_discovery.host)
    if _insists(host_discovery, now, timing):
        last = (host_discovery.replica, host_discovery.replica_host, *host_discovery.hosts[-1:])
        candidates = [rsu for rsu in last if rsu]
    order = list(dict.fromkeys([*(one.rsu for one in holders), *candidates]))
    return order[host_discovery.turn % len(order)] if order else ""


def _turn_to(host_discovery: HostDiscovery, rsu: str, now: float) -> HostDiscovery:
    """Ask another RSU, under a term of its own; what was recognised before is over."""
    if not rsu:
        return host_discovery
    return replace(
        host_discovery,
        stage=Stage.ASKING,
        host="",
        asked=rsu,
        newest_epoch=next_term(host_discovery.newest_epoch),
        ask_at=now,
        tries=0,
    )
