"""What RSUs say to each other about one twin, and what a UAV and RSUs say to each other.

Between RSUs the sender is known from its certificate; no message has to say who it is from. `LeaseRenewal`,
`HostHeartbeat`, `HostRequest` and the rest of the second half travel over ROS. Epochs: `epochs.py`. A *version* is the
version of a twin's newest change: versions count a twin's changes, through all its hostings of a term.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Reason(str, Enum):
    """Why something was refused or failed. The first group is worth another try later; the others are final."""

    UNCONFIRMED = "unconfirmed"  # the UAV has not (yet) said here that the sender hosts its twin
    BUSY = "busy"  # an earlier hand-over of this twin is not finished here
    NO_SESSION = "no_session"  # data for a transfer that is not under way here
    BREAK = "break"  # the connection was lost

    DRAINING = "draining"  # going down on purpose
    FULL = "full"  # no room for the twin
    STORE = "store"  # the RSU's store does not work
    TOO_LARGE = "too_large"  # more than an RSU takes of one twin
    HOSTING = "hosting"  # already its host
    STALE = "stale"  # a newer hosting is known
    UNKNOWN = "unknown"  # no such twin or RSU
    CORRUPT = "corrupt"  # what arrived, or what lies on the disk, is not what was sent
    INCOMPATIBLE = "incompatible"  # another application's twin, or another version of the protocol
    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"  # the granted bandwidth lapsed
    UNREACHABLE = "unreachable"
    DIVERGING = "diverging"  # the twin changes faster than it is sent
    SUPERSEDED = "superseded"  # the UAV re-hosted its twin meanwhile
    LOST_COPY = "lost_copy"  # the target lost what it had prepared
    INVALID = "invalid"  # a message that cannot be right


TRANSIENT = frozenset({Reason.UNCONFIRMED, Reason.BUSY, Reason.NO_SESSION, Reason.BREAK})


class Purpose(str, Enum):
    """What a copy is sent for."""

    MIGRATION = "migration"  # the twin moves: once the copy is whole it is handed over
    REPLICATION = "replication"  # the copy is kept up to date, for when its host is lost


@dataclass(frozen=True)
class Stamp:
    """An instant on one RSU's own clock. `incarnation` tells a process from earlier ones: its clock may restart."""

    incarnation: int
    time: float  # s


# -- source to target --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """Take a copy of this twin, which the sender hosts under `epoch`. `session` is higher with each of one source."""

    uav: str
    session: int
    epoch: int
    purpose: Purpose
    size: int = 0  # bytes
    chunk_size: int = 65536  # bytes, of the largest chunk
    application: str = ""


@dataclass(frozen=True)
class Data:
    """All changes with versions in (after, to], where the target has everything up to `after`."""

    uav: str
    session: int
    after: int
    to: int


@dataclass(frozen=True)
class Checkpoint:
    """What was sent up to `version` makes a whole twin; its digest is `digest`. In a migration the twin is frozen."""

    uav: str
    session: int
    version: int
    digest: bytes = b""


@dataclass(frozen=True)
class Commit:
    """The twin is the target's, from now on and for ever, under `epoch`.

    The target may serve until `lease` seconds after the instant that it stamped on `Verified` (None: after a restart of
    the source, which forgot).
    """

    uav: str
    epoch: int
    version: int
    lease: float  # s
    stamp: Stamp | None


@dataclass(frozen=True)
class Cancel:
    """This transfer is off; drop what arrived."""

    uav: str
    session: int
    reason: Reason = Reason.CANCELLED


# -- target to source --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """Chunks with these digests (SHA-256) are here already, in a copy of another term: a reference will do for them.

    Said before an offer is accepted. To the protocol it is all one: a reference is a way to send a chunk.
    """

    uav: str
    session: int
    digests: tuple[bytes, ...]


@dataclass(frozen=True)
class Accept:
    """Send what changed after `version`: everything up to it is on the target's disk."""

    uav: str
    session: int
    version: int


@dataclass(frozen=True)
class Refuse:
    """No. `newest_epoch` is the newest epoch the target knows of."""

    uav: str
    session: int
    reason: Reason
    newest_epoch: int = 0


@dataclass(frozen=True)
class Ack:
    """Everything up to `version` is on the target's disk."""

    uav: str
    session: int
    version: int


@dataclass(frozen=True)
class Verified:
    """The whole twin at `version` is on the target's disk, verified."""

    uav: str
    session: int
    version: int
    stamp: Stamp


@dataclass(frozen=True)
class Activated:
    """The target hosts, or has hosted, under `epoch`; the source need keep nothing."""

    uav: str
    epoch: int


@dataclass(frozen=True)
class Unprepared:
    """The target has no copy to activate under `epoch`, and never will."""

    uav: str
    epoch: int


@dataclass(frozen=True)
class Fenced:
    """Both are behind: the twin is hosted elsewhere under `newest_epoch`."""

    uav: str
    newest_epoch: int


SourceMessage = Offer | Data | Checkpoint | Commit | Cancel
TargetMessage = Known | Accept | Refuse | Ack | Verified | Activated | Unprepared | Fenced
PeerMessage = SourceMessage | TargetMessage

# -- between a UAV and RSUs --------------------------------------------------------------------------------------------


class Holding(str, Enum):
    """What an RSU has of a twin, as others see it."""

    HOSTING = "hosting"
    HANDING_OVER = "handing_over"  # handed over, the target has not confirmed
    PREPARED = "prepared"  # a whole copy, waiting for the source's decision
    FENCED = "fenced"  # a copy that a newer hosting has overtaken
    REPLICA = "replica"  # a replica, which the host keeps up to date


@dataclass(frozen=True)
class HostHeartbeat:
    """An RSU tells what it holds of a twin. To be sent often: its stamp, echoed, is what the host's lease hangs on."""

    uav: str
    rsu: str
    holding: Holding
    epoch: int
    version: int
    stamp: Stamp
    successor: str = ""  # to whom it hands over, or is about to
    replica: str = ""  # the RSU that has confirmed a replica, and up to which change
    replica_version: int = 0


@dataclass(frozen=True)
class LeaseRenewal:
    """A UAV tells whom it takes for its twin's host, and that every epoch below `newest_epoch` is over.

    `stamp` echoes the last stamp heard from that host under that epoch; None where none was.
    """

    uav: str
    host: str  # empty: none
    epoch: int
    newest_epoch: int
    stamp: Stamp | None = None
    replica_host: str = ""  # the RSU that shall keep a replica; empty: none


@dataclass(frozen=True)
class HostRequest:
    """A UAV asks one RSU to host its twin under a new epoch, from the best copy it has or else from nothing.

    Where the UAV knows that there is a copy of (`least_epoch`, `least_version`), an older one, or none, will not do.
    """

    uav: str
    rsu: str
    epoch: int
    size: int = 0  # bytes, of the twin's payload
    least_epoch: int = 0  # 0: the twin may begin anew
    least_version: int = 0


@dataclass(frozen=True)
class HostReply:
    """The RSU hosts under `epoch`, or says why not (`reason`) and which epoch it knows to be newer (`newest_epoch`)."""

    uav: str
    rsu: str
    epoch: int
    reason: Reason | None = None
    newest_epoch: int = 0
    restored: bool = False  # from a copy, not from nothing


@dataclass(frozen=True)
class MigrateRequest:
    """Move the twin from the host under `epoch` to another RSU."""

    uav: str
    epoch: int
    target: str


@dataclass(frozen=True)
class CancelRequest:
    """Stop moving it."""

    uav: str
    reason: Reason = Reason.CANCELLED
