"""What one RSU knows and holds of one twin: the state that the migration protocol moves. `migration.py` explains it.

All records are immutable: a transition makes a new one, so that a batch of events can be undone when the disk refuses
it, and so that the checker can visit every state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostHeartbeat,
    HostReply,
    PeerMessage,
    Reason,
    Stamp,
)

NEVER = math.inf
LONG_AGO = -math.inf


class Status(str, Enum):
    """What the RSU's own copy of the twin is. On disk."""

    ABSENT = "absent"  # there is none; `fence` remembers what was
    HOSTING = "hosting"
    LEAVING = "leaving"  # handed over for good, kept until the target confirms
    FENCED = "fenced"  # overtaken by a newer hosting elsewhere
    STANDBY = "standby"  # a replica of what another RSU hosts, whole at `version`


class Phase(str, Enum):
    """How far an outgoing migration is. Forgotten in a crash: the RSU is then simply HOSTING (or LEAVING)."""

    OFFERING = "offering"
    COPYING = "copying"
    FROZEN = "frozen"
    LEAVING = "leaving"


class Intake(str, Enum):
    """What the RSU has of a copy that another RSU is sending. On disk."""

    NONE = "none"
    RECEIVING = "receiving"
    PREPARED = "prepared"


@dataclass(frozen=True)
class Incoming:
    """A copy that another RSU is sending. On disk."""

    source: str
    epoch: int  # under which it would be activated
    version: int = 0  # newest version on disk
    prepared: bool = False  # whole and verified
    chunk_size: int = 65536  # bytes
    application: str = ""
    base: bool = False  # it has only what changed since the own copy, which is a warm one


@dataclass(frozen=True)
class Record:
    """What is on disk of one twin, besides its chunks."""

    status: Status = Status.ABSENT
    epoch: int = 0  # of the own copy
    version: int = 0  # newest version in the own copy
    fence: int = 0  # no hosting up to this epoch may begin here any more
    taken: int = 0  # the last epoch that was handed over to this RSU
    target: str = ""  # LEAVING: to whom, under epoch + 1
    incoming: Incoming | None = None


@dataclass(frozen=True)
class Outgoing:
    """The migration that moves the own copy away. Not on disk."""

    target: str
    session: int
    phase: Phase = Phase.OFFERING
    sent: int = 0  # newest version sent
    acked: int = 0  # newest version on the target's disk
    stamp: Stamp | None = None  # the target's, on Prepared
    attempts: int = 0  # offers without progress since
    deadline: float = NEVER  # s: then Timeout
    give_up_at: float = NEVER  # s: no progress until then fails the migration


@dataclass(frozen=True)
class Replication:
    """How the host keeps the replica on another RSU up to date. Not on disk."""

    target: str
    session: int = 0  # 0: none, the next offer is due at the deadline
    copying: bool = False  # the offer was accepted
    sent: int = 0  # newest version sent
    acked: int = 0  # newest version on the target's disk
    checked: int = 0  # the version of a checkpoint that is not confirmed; 0: none
    attempts: int = 0  # offers since the last confirmation
    deadline: float = NEVER  # s: then ReplicaTimeout


@dataclass(frozen=True)
class ReplicaState:
    """One twin at one RSU."""

    record: Record = Record()
    outgoing: Outgoing | None = None
    replication: Replication | None = None
    replica: str = ""  # while it hosts: the RSU that confirmed a replica last, and up to which version
    replica_version: int = 0
    standby: str = ""  # the RSU that the UAV wants to keep a replica
    unwanted_at: float = NEVER  # s: then a replica here may go, because the UAV wants it elsewhere
    source: str = ""  # whose offer was accepted last
    session: int = 0  # and in which session; its data alone are taken
    heard_host: str = ""  # whom the UAV recognised last, and under which epoch
    heard_epoch: int = 0
    lease_until: float = LONG_AGO  # s, own clock: the UAV recognises nobody else before
    intake_deadline: float = NEVER  # s: then IntakeTimeout
    gone_to: str = ""  # to whom the twin went last, until the UAV knows; and the epoch that ended so
    gone_epoch: int = 0

    @property
    def place(self) -> Status | Phase:
        """Where the own copy stands: the transition table's key."""
        return self.outgoing.phase if self.outgoing is not None else self.record.status

    @property
    def intake(self) -> Intake:
        """Where the incoming copy stands: the transition table's other key."""
        incoming = self.record.incoming
        if incoming is None:
            return Intake.NONE
        return Intake.PREPARED if incoming.prepared else Intake.RECEIVING

    @property
    def fence(self) -> int:
        """The newest epoch known of, on disk or heard."""
        return max(self.record.fence, self.heard_epoch)

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
    keep_partial: float = 60.0  # an incoming copy that nobody continues
    keep_prepared: float = 600.0  # a whole one: it may be the best there is
    keep_unwanted: float = 60.0  # a replica while the UAV wants another RSU to have it


@dataclass(frozen=True)
class Context:
    """What a transition may know besides its state and its event."""

    me: str
    uav: str
    now: float  # s, own steady clock
    peer: str = ""  # the RSU that sent the message, known from its certificate
    incarnation: int = 1  # of this process, higher each time
    session: int = 1  # higher than any session this RSU has used
    timing: Timing = Timing()
    refusal: Reason | None = None  # why this RSU takes no (further) copy of this twin
    verified: bool = True  # Prepare: the digest of what is here equals the source's


# -- events from inside the RSU ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrote:
    """The twin changed; its newest version is `version`. Stored in the same transaction."""

    version: int


@dataclass(frozen=True)
class Sent:
    """All versions up to `version` are on their way to the target."""

    version: int


@dataclass(frozen=True)
class Freeze:
    """Little enough is left: stop serving and finish. Everything up to the record's version was sent."""

    digest: bytes = b""


@dataclass(frozen=True)
class LinkDown:
    """The connection of an outgoing session broke, or could not be made."""

    session: int


@dataclass(frozen=True)
class Timeout:
    """The outgoing migration's deadline passed."""


@dataclass(frozen=True)
class IntakeTimeout:
    """The incoming copy's deadline passed."""


@dataclass(frozen=True)
class ReplicaSent:
    """All versions up to `version` are on their way to the replica."""

    version: int


@dataclass(frozen=True)
class Check:
    """Everything up to the record's version was sent to the replica: what it must look like now."""

    digest: bytes = b""


@dataclass(frozen=True)
class ReplicaTimeout:
    """The replication's deadline passed."""


@dataclass(frozen=True)
class StandbyTimeout:
    """The deadline of a replica that nobody wants here passed."""


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
    """The incoming copy becomes the own one; what was there goes."""


@dataclass(frozen=True)
class Keep:
    """The incoming copy becomes the own one, or what changed in it; an incoming one that has no changes begins."""


@dataclass(frozen=True)
class DropOwn:
    """Delete the own copy's chunks."""


@dataclass(frozen=True)
class DropIncoming:
    """Delete the incoming copy's chunks."""


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


Action = Send | Answer | Create | Adopt | Keep | DropOwn | DropIncoming | Ended | Ignored
Step = tuple[ReplicaState, tuple[Action, ...]]


def ignored(replica_state: ReplicaState, why: str) -> Step:
    """Nothing happens."""
    return replica_state, (Ignored(why),)


def hosting(replica_state: ReplicaState, record: Record, lease_until: float = LONG_AGO) -> ReplicaState:
    """`replica_state` at the beginning of a hosting; what was under way before is over."""
    return replace(
        replica_state,
        record=record,
        outgoing=None,
        replication=None,
        replica="",
        replica_version=0,
        unwanted_at=NEVER,
        intake_deadline=NEVER,
        lease_until=lease_until,
        gone_to="",
    )


def with_record(replica_state: ReplicaState, **changes: object) -> ReplicaState:
    """`replica_state` with changes to its record."""
    return replace(replica_state, record=replace(replica_state.record, **changes))  # type: ignore[arg-type]


def host_heartbeat(replica_state: ReplicaState, context: Context) -> HostHeartbeat | None:
    """What to tell of this twin, or None where there is nothing to tell."""
    record, stamp = replica_state.record, Stamp(context.incarnation, context.now)
    idle = record.status not in (Status.HOSTING, Status.LEAVING)
    if idle and replica_state.gone_to:
        return HostHeartbeat(
            context.uav, context.me, Holding.LEAVING, replica_state.gone_epoch, 0, stamp, replica_state.gone_to
        )
    if idle and record.incoming is not None and record.incoming.prepared:
        return HostHeartbeat(
            context.uav, context.me, Holding.PREPARED, record.incoming.epoch, record.incoming.version, stamp
        )
    if record.status is Status.ABSENT:
        return None
    successor = replica_state.outgoing.target if replica_state.outgoing is not None else record.target
    said = HostHeartbeat(
        context.uav, context.me, _HOLDING[record.status], record.epoch, record.version, stamp, successor
    )
    hosting = record.status is Status.HOSTING
    return (
        replace(said, replica=replica_state.replica, replica_version=replica_state.replica_version) if hosting else said
    )


_HOLDING: Mapping[Status, Holding] = {
    Status.HOSTING: Holding.HOSTING,
    Status.LEAVING: Holding.LEAVING,
    Status.FENCED: Holding.FENCED,
    Status.STANDBY: Holding.STANDBY,
}
