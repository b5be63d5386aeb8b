"""A UAV's side: whom it takes for its twin's host, and when it gives its twin to another.

Theory of operation
===================

The finder hears what RSUs say they hold (`Presence`) and says whom it recognises (`Recognition`), which renews the
host's lease (migration.py). It goes from one recognised hosting to the next in three ways only:

- *by a hand-over*: the next hosting has a higher epoch of the same term, and is at an RSU to which the UAV asked to
  migrate, or which the recognised host named as its successor. That RSU could not have come by the epoch if the host
  had not ceased before, so it is recognised at once.
- *by the host itself*, which raised its epoch because a hand-over failed.
- *by re-hosting*: nothing was heard of the host for `rehost_after`. Then the UAV asks another RSU to host, under the
  first epoch of a new term. `rehost_after` is at least a `quarantine`, which is a little more than a lease: whatever
  stamp the UAV echoed, it heard it before that, so no RSU has a lease any more. It prefers the RSU that has the newest
  copy. A term that was once offered is never gone back from: the old host, should it appear again, is at best asked to
  host in yet another term.

A UAV that starts listens for one quarantine, because its earlier life may have renewed a lease. Its terms must be above
those of its earlier lives: `epochs.first_epoch` of a clock sees to that.

An RSU that merely claims a high epoch fits none of the three and is not recognised.

A UAV that wants a warm copy (replica.py) asks for no less than what it has heard to be confirmed: first RSUs heard to
have a copy, then the one that confirmed it, then the old host, whoever of them may be back. Only when none of them has
hosted for `begin_anew_after` is the twin given to an RSU that has nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from uav_twin_migration.twin.protocol.epochs import (
    LAST_TERM,
    is_epoch,
    make_epoch,
    next_term,
    term_of,
)
from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostReply,
    HostRequest,
    Presence,
    Recognition,
    Stamp,
)

LONG_AGO = -math.inf


class Stage(str, Enum):
    """What the finder is doing."""

    LISTENING = "listening"  # just started
    HOSTED = "hosted"
    SEEKING = "seeking"  # the host is silent; nobody was asked yet
    ASKING = "asking"


@dataclass(frozen=True)
class FinderTiming:
    """Durations, s."""

    quarantine: float = 3.3  # the RSUs' `lease` and 10 %: more than their clocks may differ in rate
    rehost_after: float = 10.0  # of silence: the host is given up for good
    ask_again: float = 0.5  # without an answer to a request
    tries: int = 4  # of one RSU before the next
    begin_anew_after: float = 60.0  # of silence: a warm copy, known of but out of reach, is given up as well

    def __post_init__(self) -> None:
        if self.rehost_after < self.quarantine:
            raise ValueError(f"rehost_after ({self.rehost_after} s) must not be below quarantine ({self.quarantine} s)")


@dataclass(frozen=True)
class Heard:
    """The last that an RSU said of this twin."""

    rsu: str
    holding: Holding
    epoch: int
    mark: int
    stamp: Stamp
    at: float  # s


@dataclass(frozen=True)
class Finder:
    """The finder's state; `step`-like functions below make the next one."""

    uav: str
    started: float  # s
    fence: int  # no epoch below is recognised any more
    size: int = 0  # bytes, of the twin's payload
    stage: Stage = Stage.LISTENING
    host: str = ""
    epoch: int = 0
    stamp: Stamp | None = None
    heard_at: float = LONG_AGO  # s, when a recognised host was last heard
    standby: str = ""  # the RSU that shall have a warm copy
    replica: str = ""  # the RSU that has one, as a host told last; of which hosting and change
    replica_epoch: int = 0
    replica_mark: int = 0
    last_host: str = ""
    successors: tuple[str, ...] = ()  # to whom the recognised host may hand over
    heard: tuple[Heard, ...] = ()  # by RSU
    asked: str = ""
    ask_at: float = LONG_AGO  # s, of the next request
    tries: int = 0
    candidates: tuple[str, ...] = ()  # RSUs that could host, best first
    turn: int = 0  # of the candidates


def hear(finder: Finder, presence: Presence, now: float) -> Finder:
    """An RSU told what it holds."""
    if presence.uav != finder.uav or not is_epoch(presence.epoch) or term_of(presence.epoch) >= LAST_TERM:
        return finder
    said = Heard(presence.rsu, presence.holding, presence.epoch, presence.mark, presence.stamp, now)
    others = tuple(one for one in finder.heard if one.rsu != presence.rsu)
    finder = replace(finder, heard=tuple(sorted((*others, said), key=lambda one: one.rsu)))
    if presence.rsu == finder.host and presence.epoch == finder.epoch and finder.stage in (Stage.HOSTED, Stage.SEEKING):
        return _hear_host(finder, presence, now)
    if presence.holding is not Holding.HOSTING or presence.epoch < finder.fence:
        return finder
    if finder.stage is Stage.ASKING and (presence.rsu, presence.epoch) == (finder.asked, finder.fence):
        return _recognise(finder, said, now)
    if finder.stage in (Stage.HOSTED, Stage.SEEKING) and _succeeds(finder, presence):
        return _recognise(finder, said, now)
    return finder


def answer(finder: Finder, reply: HostReply, now: float) -> Finder:
    """An RSU answered a request to host. Where it refuses, another is asked; if it knows a newer epoch, above that."""
    asked = finder.stage is Stage.ASKING and (reply.rsu, reply.epoch) == (finder.asked, finder.fence)
    if reply.uav != finder.uav or not asked or reply.reason is None:
        return finder  # the host's presence, with a stamp to echo, says the rest
    fence = finder.fence
    if is_epoch(reply.fence) and term_of(reply.fence) < LAST_TERM - 1:
        fence = max(fence, reply.fence)
    return replace(finder, stage=Stage.SEEKING, fence=fence, host="", turn=finder.turn + 1)


def moving(finder: Finder, target: str) -> Finder:
    """The UAV asked its host to hand the twin over to `target`."""
    return replace(finder, successors=tuple(sorted({*finder.successors, target})))


def wish(finder: Finder, candidates: Sequence[str], standby: str = "") -> Finder:
    """The RSUs that the UAV would have as a host, best first, and the one that shall have a warm copy."""
    return replace(finder, candidates=tuple(candidates), standby=standby)


def act(finder: Finder, now: float, timing: FinderTiming) -> tuple[Finder, tuple[HostRequest, ...]]:
    """What time alone brings about. To be called often, with `recognition` after it."""
    if finder.stage is Stage.LISTENING and now >= finder.started + timing.quarantine:
        finder = _choose(finder, now, timing)
    if finder.stage is Stage.HOSTED and now >= finder.heard_at + timing.rehost_after:
        finder = replace(finder, stage=Stage.SEEKING)
    if finder.stage is Stage.ASKING and now >= finder.ask_at and finder.tries >= timing.tries:
        finder = replace(finder, stage=Stage.SEEKING, host="", turn=finder.turn + 1)
    if finder.stage is Stage.SEEKING:
        finder = _turn_to(finder, _best_candidate(finder, now, timing), now)
    if finder.stage is Stage.ASKING and now >= finder.ask_at:
        finder = replace(finder, ask_at=now + timing.ask_again, tries=finder.tries + 1)
        least = _least(finder) if _insists(finder, now, timing) else (0, 0)
        return finder, (HostRequest(finder.uav, finder.asked, finder.fence, finder.size, *least),)
    return finder, ()


def recognition(finder: Finder) -> Recognition:
    """What to tell all RSUs, several times in a lease."""
    if finder.stage is not Stage.HOSTED:
        return Recognition(finder.uav, "", 0, finder.fence, standby=finder.standby)
    return Recognition(finder.uav, finder.host, finder.epoch, finder.fence, finder.stamp, finder.standby)


def _hear_host(finder: Finder, presence: Presence, now: float) -> Finder:
    if presence.successor:
        finder = moving(finder, presence.successor)
    if presence.holding is not Holding.HOSTING:
        return finder
    finder = replace(finder, stage=Stage.HOSTED, stamp=presence.stamp, heard_at=now)
    if not presence.replica:
        return finder
    mark = presence.replica_mark
    return replace(finder, replica=presence.replica, replica_epoch=presence.epoch, replica_mark=mark)


def _succeeds(finder: Finder, presence: Presence) -> bool:
    """Whether this hosting can only have come from the recognised one."""
    known = presence.rsu == finder.host or presence.rsu in finder.successors
    newer = presence.epoch > finder.epoch and term_of(presence.epoch) == term_of(finder.epoch)
    return bool(finder.host) and known and newer


def _recognise(finder: Finder, said: Heard, now: float) -> Finder:
    if said.rsu == finder.replica:  # by a hand-over the two change places; else nobody else has a copy
        finder = replace(finder, replica=finder.host)
    if said.rsu == finder.standby and finder.host:
        finder = replace(finder, standby=finder.host)
    if finder.stage is Stage.ASKING:  # a new term: what is known of the old one's changes is over
        finder = replace(finder, replica="", replica_epoch=0, replica_mark=0)
    return replace(
        finder,
        last_host=said.rsu,
        stage=Stage.HOSTED,
        host=said.rsu,
        epoch=said.epoch,
        fence=max(finder.fence, said.epoch),
        stamp=said.stamp,
        heard_at=said.at,
        successors=(),
        asked="",
        tries=0,
        turn=0,
    )


def _choose(finder: Finder, now: float, timing: FinderTiming) -> Finder:
    """After listening: the newest host heard, if it is none of before this life's first term."""
    hosts = [one for one in finder.heard if one.holding is Holding.HOSTING and one.epoch >= finder.fence]
    if not hosts:
        return replace(finder, stage=Stage.SEEKING)
    newest = max(hosts, key=lambda one: one.epoch)
    return _recognise(finder, newest, now)


def _insists(finder: Finder, now: float, timing: FinderTiming) -> bool:
    """Whether the UAV still waits for somebody with what may be on a disk."""
    return bool(finder.standby or finder.replica) and now < finder.heard_at + timing.begin_anew_after


def _least(finder: Finder) -> tuple[int, int]:
    """Epoch and mark of the copy that the UAV knows of; else any of the last term."""
    return max((finder.replica_epoch, finder.replica_mark), (make_epoch(term_of(finder.epoch)), 1))


def _best_candidate(finder: Finder, now: float, timing: FinderTiming) -> str:
    """Those lately heard to have a copy, the newest first, then the others as the UAV prefers them, each in turn.

    A host that was given up comes last. Where the UAV insists on a warm copy, only who may have it is asked.
    """
    holders = sorted(
        (one for one in finder.heard if now < one.at + timing.rehost_after),
        key=lambda one: (-term_of(one.epoch), -one.mark, one.rsu),
    )
    candidates: Sequence[str] = sorted(finder.candidates, key=lambda rsu: rsu == finder.host)
    if _insists(finder, now, timing):
        candidates = [rsu for rsu in (finder.replica, finder.standby, finder.last_host) if rsu]
    order = list(dict.fromkeys([*(one.rsu for one in holders), *candidates]))
    return order[finder.turn % len(order)] if order else ""


def _turn_to(finder: Finder, rsu: str, now: float) -> Finder:
    """Ask another RSU, under a term of its own; what was recognised before is over."""
    if not rsu:
        return finder
    return replace(
        finder,
        stage=Stage.ASKING,
        host="",
        asked=rsu,
        fence=next_term(finder.fence),
        ask_at=now,
        tries=0,
        successors=(),
    )
