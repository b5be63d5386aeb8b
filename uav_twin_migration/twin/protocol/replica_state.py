"""What one RSU knows and holds of one twin: the state that the migration protocol moves. `migration.py` explains it.

All records are immutable: a transition makes a new one, so that a batch of events can be undone when the disk refuses
it, and so that the checker can visit every state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostHeartbeat,
    HostReply,
    PeerMessage,
    Purpose,
    Reason,
    Stamp,
)
from uav_twin_migration.twin.protocol.records import replace

NEVER = math.inf
LONG_AGO = -math.inf


class Status(str, Enum):
    """What the RSU's own copy of the twin is. On disk."""

    ABSENT = "absent"  # there is none; `newest_epoch` remembers what was
    HOSTING = "hosting"
    HANDING_OVER = "handing_over"  # handed over for good, kept until the target confirms
    FENCED = "fenced"  # overtaken by a newer hosting elsewhere
    REPLICA = "replica"  # a replica of what another RSU hosts, whole at `version`


class Phase(str, Enum):
    """How far a migration is. Forgotten in a crash: the RSU is then simply HOSTING (or HANDING_OVER)."""

    OFFERING = "offering"
    COPYING = "copying"
    FROZEN = "frozen"
    HANDING_OVER = "handing_over"


class InboundPhase(str, Enum):
    """What the RSU has of a copy that another RSU is sending. On disk."""

    NONE = "none"
    RECEIVING = "receiving"
    PREPARED = "prepared"


@dataclass(frozen=True)
class InboundTransfer:
    """A copy that another RSU is sending. On disk."""

    source: str
    epoch: int  # under which it would be activated
    version: int = 0  # newest version on disk
    prepared: bool = False  # whole and verified
    chunk_size: int = 65536  # bytes
    application: str = ""
    base: bool = False  # it has only what changed since the own copy, which is a replica


@dataclass(frozen=True)
class Record:
    """What is on disk of one twin, besides its chunks."""

    status: Status = Status.ABSENT
    epoch: int = 0  # of the own copy
    version: int = 0  # newest version in the own copy
    newest_epoch: int = 0  # no hosting up to this epoch may begin here any more
    taken: int = 0  # the last epoch that was handed over to this RSU
    target: str = ""  # HANDING_OVER: to whom, under epoch + 1
    inbound: InboundTransfer | None = None
    filling: bool = False  # the own copy's first snapshot is not all written: it is no whole twin yet


@dataclass(frozen=True)
class OutboundTransfer:
    """A copy that is being sent to another RSU: to move the twin there, or to keep a replica. Not on disk."""

    purpose: Purpose
    target: str
    session: int = 0  # 0: none, the next offer is due at the deadline
    phase: Phase = Phase.OFFERING
    sent: int = 0  # newest version sent
    acked: int = 0  # newest version on the target's disk
    checkpoint: int | None = None  # the version of a checkpoint that is not confirmed
    stamp: Stamp | None = None  # the target's, when it had verified the copy that is handed over
    attempts: int = 0  # offers, or commits, without progress since
    deadline: float = NEVER  # s: then Timeout
    give_up_at: float = NEVER  # s: no progress until then fails a migration


@dataclass(frozen=True)
class ReplicaState:
    """One twin at one RSU."""

    record: Record = Record()
    migration: OutboundTransfer | None = None
    replication: OutboundTransfer | None = None
    funded: bool = True  # whether there is bandwidth for a migration
    unfunded_at: float = NEVER  # s: then a migration without is given up
    replica: str = ""  # while it hosts: the RSU that confirmed a replica last, and up to which version
    replica_version: int = 0
    replica_host: str = ""  # the RSU that the UAV wants to keep a replica
    unwanted_at: float = NEVER  # s: then a replica here may go, because the UAV wants it elsewhere
    source: str = ""  # whose offer was accepted last
    session: int = 0  # and in which session; its data alone are taken
    purpose: Purpose = Purpose.MIGRATION  # and what for
    heard_host: str = ""  # whom the UAV recognised last, and under which epoch
    heard_epoch: int = 0
    lease_until: float = LONG_AGO  # s, own clock: the UAV recognises nobody else before
    inbound_deadline: float = NEVER  # s: then the inbound copy may go
    gone_to: str = ""  # to whom the twin went last, until the UAV knows; and the epoch that ended so
    gone_epoch: int = 0

    @property
    def place(self) -> Status | Phase:
        """Where the own copy stands: the transition table's key."""
        return self.migration.phase if self.migration is not None else self.record.status

    @property
    def inbound_phase(self) -> InboundPhase:
        """Where the inbound copy stands: the transition table's other key."""
        inbound = self.record.inbound
        if inbound is None:
            return InboundPhase.NONE
        return InboundPhase.PREPARED if inbound.prepared else InboundPhase.RECEIVING

    @property
    def newest_epoch(self) -> int:
        """The newest epoch known of, on disk or heard."""
        return max(self.record.newest_epoch, self.heard_epoch)

    @property
    def outbound(self) -> tuple[OutboundTransfer, ...]:
        """What is being sent to other RSUs."""
        migration, replication = self.migration, self.replication
        if migration is None:
            return () if replication is None else (replication,)
        return (migration,) if replication is None else (migration, replication)

    @property
    def is_replicated(self) -> bool:
        """Whether the RSU that keeps the replica has confirmed all there is."""
        target = self.replication.target if self.replication is not None else ""
        return bool(target) and (self.replica, self.replica_version) == (target, self.record.version)

    def serves(self, now: float) -> bool:
        """Whether this RSU may serve the twin, take its telemetry and change it."""
        return self.record.status is Status.HOSTING and self.place is not Phase.FROZEN and now < self.lease_until


@dataclass(frozen=True)
class Timing:
    """Durations of the protocol, s. Only `lease` and the host discovery's `quarantine` matter for safety."""

    lease: float = 3.0  # for which a host may serve after a stamp that its UAV echoed
    offer_patience: float = 5.0  # without an answer to an offer
    copy_patience: float = 10.0  # without an acknowledgement while copying
    freeze_limit: float = 1.0  # frozen without an answer: the source serves again
    retry: float = 0.2  # before the second try after a break or a transient refusal; doubles
    longest_retry: float = 5.0
    give_up: float = 60.0  # without any progress
    keep_partial: float = 60.0  # an inbound copy that nobody continues
    keep_prepared: float = 600.0  # a whole one: it may be the best there is
    keep_unwanted: float = 60.0  # a replica while the UAV wants another RSU to have it
    lease_patience: float = 3.0  # a migration without bandwidth


class Context(NamedTuple):
    """What a transition may know besides its state and its event."""

    me: str
    uav: str
    now: float  # s, own steady clock
    peer: str = ""  # the RSU that sent the message, known from its certificate
    incarnation: int = 1  # of this process, higher each time
    session: int = 1  # higher than any session this RSU has used
    timing: Timing = Timing()
    refusal: Reason | None = None  # why this RSU takes no (further) copy of this twin
    verified: bool = True  # Checkpoint: the digest of what is here equals the source's


# -- events from inside the RSU ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrote:
    """The twin changed; its newest version is `version`. Stored in the same transaction."""

    version: int


@dataclass(frozen=True)
class Filled:
    """The twin's first snapshot is all written; its newest version is `version`. Stored in the same transaction."""

    version: int


@dataclass(frozen=True)
class Sent:
    """All versions up to `version` are on their way to the target."""

    purpose: Purpose
    version: int


@dataclass(frozen=True)
class Complete:
    """Everything up to the record's version was sent; what the copy must look like now.

    A migration completes when little enough is left: the rest is sent first, and nothing changes from then on.
    """

    purpose: Purpose
    digest: bytes = b""


@dataclass(frozen=True)
class LinkDown:
    """The connection of an outbound session broke, or could not be made."""

    session: int


@dataclass(frozen=True)
class Funded:
    """Bandwidth for a migration was bought, or has lapsed."""

    funded: bool


class Timer(str, Enum):
    """What waits for a time."""

    MIGRATION = "migration"  # its target's answer, or the next try
    REPLICATION = "replication"
    FUNDING = "funding"  # bandwidth for a migration
    INBOUND = "inbound"  # somebody to continue a copy
    UNWANTED = "unwanted"  # the UAV to want the replica again


@dataclass(frozen=True)
class Timeout:
    """A timer's time has come."""

    timer: Timer


# -- actions -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Send:
    """To another RSU, over the session's connection. Only after this step's record is on disk."""

    peer: str
    message: PeerMessage


@dataclass(frozen=True)
class Answer:
    """To the UAV. Only after this step's record is on disk."""

    reply: HostReply


@dataclass(frozen=True)
class Create:
    """The own copy begins empty."""


@dataclass(frozen=True)
class Adopt:
    """The inbound copy becomes the own one; what was there goes."""


@dataclass(frozen=True)
class Keep:
    """The inbound copy becomes the own one, or what changed in it; an inbound one that has no changes begins."""


@dataclass(frozen=True)
class DropOwn:
    """Delete the own copy's chunks."""


@dataclass(frozen=True)
class DropInbound:
    """Delete the inbound copy's chunks."""


@dataclass(frozen=True)
class Ended:
    """A migration is over; `reason` is None where the twin moved."""

    target: str
    epoch: int
    reason: Reason | None = None


@dataclass(frozen=True)
class Ignored:
    """The event changed nothing; counted by `why`."""

    why: str


Action = Send | Answer | Create | Adopt | Keep | DropOwn | DropInbound | Ended | Ignored
Step = tuple[ReplicaState, tuple[Action, ...]]


def ignored(replica_state: ReplicaState, why: str) -> Step:
    """Nothing happens."""
    return replica_state, (Ignored(why),)


def hosting(replica_state: ReplicaState, record: Record, lease_until: float = LONG_AGO) -> ReplicaState:
    """`replica_state` at the beginning of a hosting; what was under way before is over."""
    return replace(
        replica_state,
        record=record,
        migration=None,
        replication=None,
        replica="",
        replica_version=0,
        unwanted_at=NEVER,
        inbound_deadline=NEVER,
        lease_until=lease_until,
        gone_to="",
    )


def with_record(replica_state: ReplicaState, **changes: object) -> ReplicaState:
    """`replica_state` with changes to its record."""
    return replace(replica_state, record=replace(replica_state.record, **changes))


def with_transfer(replica_state: ReplicaState, transfer: OutboundTransfer) -> ReplicaState:
    """`replica_state` with its transfer of the same purpose as `transfer`."""
    if transfer.purpose is Purpose.MIGRATION:
        return replace(replica_state, migration=transfer)
    return replace(replica_state, replication=transfer)


def is_told(replica_state: ReplicaState) -> bool:
    """Whether there may be something to tell of this twin: not of most that were ever heard of."""
    record = replica_state.record
    return record.status is not Status.ABSENT or record.inbound is not None or bool(replica_state.gone_to)


def host_heartbeat(replica_state: ReplicaState, context: Context) -> HostHeartbeat | None:
    """What to tell of this twin, or None where there is nothing to tell."""
    record = replica_state.record
    if not is_told(replica_state):
        return None
    stamp = Stamp(context.incarnation, context.now)
    idle = record.status not in (Status.HOSTING, Status.HANDING_OVER)
    if idle and replica_state.gone_to:
        return HostHeartbeat(
            context.uav, context.me, Holding.HANDING_OVER, replica_state.gone_epoch, 0, stamp, replica_state.gone_to
        )
    if idle and record.inbound is not None and record.inbound.prepared:
        return HostHeartbeat(
            context.uav, context.me, Holding.PREPARED, record.inbound.epoch, record.inbound.version, stamp
        )
    if record.status is Status.ABSENT or (idle and record.filling):
        return None
    successor = replica_state.migration.target if replica_state.migration is not None else record.target
    said = HostHeartbeat(
        context.uav, context.me, _HOLDING[record.status], record.epoch, record.version, stamp, successor
    )
    hosting = record.status is Status.HOSTING
    return (
        replace(said, replica=replica_state.replica, replica_version=replica_state.replica_version) if hosting else said
    )


_HOLDING: Mapping[Status, Holding] = {
    Status.HOSTING: Holding.HOSTING,
    Status.HANDING_OVER: Holding.HANDING_OVER,
    Status.FENCED: Holding.FENCED,
    Status.REPLICA: Holding.REPLICA,
}
