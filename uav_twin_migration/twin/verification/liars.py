"""Liars in the model: what an RSU with good keys, or a UAV, might say at any time, any number of times.

The network of the model (`model.py`) never forgets. So a liar is all that it might say, on its way from the beginning:
the search has each of it arrive anywhere in between, or never. An RSU lies in its own name, for which it has a
certificate; a UAV about its own twin. What somebody without keys can say where nobody signs is what a UAV can.

`outcome` tells which promises a liar can break, and that the others hold in every state that was searched. `CASES` has
who may lie, and what is expected of it: `test/twin/test_liars.py` and `uavtwin bench protocol` hold it to that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from uav_twin_migration.twin.protocol.epochs import make_epoch
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Activated,
    Cancel,
    Checkpoint,
    Commit,
    Data,
    Fenced,
    Holding,
    HostHeartbeat,
    HostReply,
    HostRequest,
    LeaseRenewal,
    MigrateRequest,
    Offer,
    Purpose,
    Reason,
    Refuse,
    Stamp,
    Unprepared,
    Verified,
)
from uav_twin_migration.twin.verification.checker import Found, explore
from uav_twin_migration.twin.verification.model import Model
from uav_twin_migration.twin.verification.rsu import digest_of
from uav_twin_migration.twin.verification.world import (
    MIXED,
    UAV,
    BrokenPromiseError,
    Left,
    Packet,
    Promise,
    Rules,
)

LIAR = "liar"  # an RSU that has nothing to do with the twin
Lies = Callable[[Sequence[str], Sequence[int]], Iterator[Packet]]  # of RSUs and epochs


class Outcome(NamedTuple):
    """What a search for a liar's possibilities found."""

    broken: dict[Promise, tuple[str, ...]]  # with the shortest moves that lead there
    found: Found  # of the search in which all else held


def outcome(
    rsus: Sequence[str], rules: Rules, left: Left, lies: Lies, epochs: Sequence[int], most: float = math.inf
) -> Outcome:
    """Which promises somebody can break who says any of `lies` at any time. most: states to search."""
    broken: dict[Promise, tuple[str, ...]] = {}
    while True:
        model = Model(rsus, replace(rules, waived=frozenset(broken)))
        try:
            start = model.hosted(left)
            start = start._replace(network=model.on_their_way(lies(rsus, epochs)))
            return Outcome(broken, explore(model, start, most=most))
        except BrokenPromiseError as violation:
            broken[violation.promise] = violation.trace


def of_an_rsu(liar: str = LIAR, sessions: Sequence[int] = (1, 2)) -> Lies:
    """What an RSU can say in its own name. Its copies are of a twin that it made up, with the digest of that."""

    def lies(rsus: Sequence[str], epochs: Sequence[int]) -> Iterator[Packet]:
        for rsu in rsus:
            if rsu != liar:
                yield from _to_rsu(liar, rsu, epochs, sessions)
        yield from _to_uav(liar, epochs)

    return lies


def _to_rsu(liar: str, rsu: str, epochs: Sequence[int], sessions: Sequence[int]) -> Iterator[Packet]:
    for session in sessions:
        for epoch in epochs:
            yield from (Packet(liar, rsu, Offer(UAV, session, epoch, purpose)) for purpose in Purpose)
        yield Packet(liar, rsu, Data(UAV, session, 0, 1), MIXED)
        yield Packet(liar, rsu, Checkpoint(UAV, session, 1, digest_of(MIXED)))
        answers = (Accept(UAV, session, 0), Ack(UAV, session, 1), Verified(UAV, session, 1, Stamp(1, 0)))
        yield from (Packet(liar, rsu, one) for one in (*answers, Cancel(UAV, session)))
        for reason in (Reason.BUSY, Reason.STALE):
            yield Packet(liar, rsu, Refuse(UAV, session, reason, max(epochs)))
    for epoch in epochs:
        words = (Activated(UAV, epoch), Unprepared(UAV, epoch), Fenced(UAV, epoch))
        yield from (Packet(liar, rsu, one) for one in (*words, Commit(UAV, epoch, 1, 1, Stamp(1, 0))))


def _to_uav(liar: str, epochs: Sequence[int]) -> Iterator[Packet]:
    for epoch in epochs:
        for holding in (Holding.HOSTING, Holding.REPLICA):
            yield Packet(liar, UAV, HostHeartbeat(UAV, liar, holding, epoch, 9, Stamp(1, 0), liar, liar, 9))
        yield Packet(liar, UAV, HostReply(UAV, liar, epoch, Reason.STALE, max(epochs)))


def of_a_uav(rsus: Sequence[str], epochs: Sequence[int]) -> Iterator[Packet]:
    """What a UAV can say about its own twin; where UAVs do not sign, what anybody can say about any."""
    for rsu in rsus:
        for epoch in epochs:
            yield Packet(UAV, rsu, HostRequest(UAV, rsu, epoch))
            for host in ("", *rsus):
                yield Packet(UAV, rsu, LeaseRenewal(UAV, host, epoch, epoch, Stamp(1, 0)))
            others = [target for target in rsus if target != rsu]
            yield from (Packet(UAV, rsu, MigrateRequest(UAV, epoch, target)) for target in others)


def in_an_rsus_name(forged: str) -> Lies:
    """What somebody without keys can say in an RSU's name where RSUs do not sign; links are TLS all the same."""

    def lies(rsus: Sequence[str], epochs: Sequence[int]) -> Iterator[Packet]:
        for time in (0, 2):
            for epoch in epochs:
                for holding in (Holding.HOSTING, Holding.HANDING_OVER):
                    said = HostHeartbeat(UAV, forged, holding, epoch, 1, Stamp(1, time), successor=LIAR)
                    yield Packet(forged, UAV, said)
        for epoch in epochs:
            yield Packet(forged, UAV, HostReply(UAV, forged, epoch, Reason.STALE, max(epochs)))

    return lies


class Case(NamedTuple):
    """Who lies, and what comes of it."""

    name: str
    rules: Rules
    left: Left
    lies: Lies
    epochs: Sequence[int]
    breaks: frozenset[Promise]  # what is expected; all else holds
    most: float = math.inf  # states that a short search visits, the nearest first


HOSTED = Rules(atomic_voice=True, terms=1, sessions=2)
RE_HOSTED = Rules(atomic_voice=True, lease=1, rehost_after=1, sessions=1, terms=2)
RSUS = ("source", "target")
FIRST, MOVED, NEXT = make_epoch(1), make_epoch(1, 1), make_epoch(2)
ITS_OWN = frozenset({Promise.ONE, Promise.NEWEST, Promise.SERVED})
CASES = (
    Case(
        "an RSU that has nothing to do with the twin",
        *(HOSTED, Left(crash=0), of_an_rsu(), (FIRST, MOVED, NEXT), frozenset()),
    ),
    Case(
        "... and the host is silent: it says that it has the newest copy",
        *(RE_HOSTED, Left(crash=0, write=0, migrate=0, tick=1), of_an_rsu(sessions=(1,)), (FIRST, NEXT), frozenset()),
    ),
    Case(
        "the RSU that the UAV moves its twin to",
        *(replace(HOSTED, sessions=1), Left(crash=0, write=0), of_an_rsu("target", (1,)), (FIRST, MOVED)),
        *(frozenset({Promise.KEPT, Promise.REST}), 5_000),
    ),
    Case(
        "the twin's host",
        *(RE_HOSTED, Left(crash=0, write=0, migrate=0, tick=1), of_an_rsu("source", (1,)), (FIRST, MOVED)),
        *(ITS_OWN | {Promise.REST}, 1_500),
    ),
    Case(
        "the UAV, about its own twin",
        *(RE_HOSTED, Left(crash=0, migrate=0, tick=1), of_a_uav, (FIRST, NEXT)),
        *(ITS_OWN | {Promise.KEPT, Promise.ONCE, Promise.REST}, 1_500),
    ),
    Case(
        "somebody without keys, in the host's name, where RSUs do not sign",
        *(RE_HOSTED, Left(crash=0, write=0, migrate=0, tick=1), in_an_rsus_name("source"), (FIRST, MOVED), frozenset()),
    ),
)


def search(case: Case, most: float) -> Outcome:
    """What comes of a case, in so many states."""
    return outcome(RSUS, case.rules, case.left, case.lies, case.epochs, most)
