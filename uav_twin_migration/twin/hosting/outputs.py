"""What a host of twins (host.py) wants done, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from uav_twin_migration.twin.hosting.estimate import Estimate
from uav_twin_migration.twin.protocol.messages import HostReply, PeerMessage, Reason
from uav_twin_migration.twin.protocol.replica_state import Phase
from uav_twin_migration.twin.protocol.wire import Chunks


class Open(NamedTuple):
    """Connect to another RSU."""

    link: int
    peer: str
    rate: float  # bytes/s


class Transmit(NamedTuple):
    """Send a frame over a link, its own or one that came in."""

    link: int
    frame: Chunks | PeerMessage
    paced: bool  # chunks are; the rest goes as soon as it is its turn


class Pace(NamedTuple):
    """A link's rate is another from now on."""

    link: int
    rate: float  # bytes/s


class Close(NamedTuple):
    """Close a link once what was sent over it is gone."""

    link: int


class HostingChange(NamedTuple):
    """This RSU began or ceased to host a twin: host heartbeats should go out at once."""

    uav: str
    epoch: int
    hosting: bool


class Reply(NamedTuple):
    """Answer a UAV."""

    reply: HostReply


class MigrationReport(NamedTuple):
    """How a migration went, as its source saw it."""

    uav: str
    source: str
    target: str
    epoch: int  # under which it was to be hosted there
    reason: Reason | None  # why it failed; None where the twin moved
    size: int  # bytes of the twin
    sent: int  # bytes of chunks that were sent for it
    duration: float  # s from the request to the target's word: the age of twin migration
    downtime: float  # s from the last moment it could be served here to the target's word; 0 where it failed
    granted: float  # bytes/s, mean over the copying; infinite where unlimited
    achieved: float  # bytes/s, mean over the copying


class Durable(NamedTuple):
    """Call back: what was asked for is on the disk, or it was refused."""

    done: Callable[[bool], None]
    accepted: bool


class Expired(NamedTuple):
    """A twin was dropped, because its UAV is silent."""

    uav: str
    status: str  # what the copy was
    silence: float  # s
    served: bool  # False: nothing was lost, it never had taken anything


Output = Open | Transmit | Pace | Close | HostingChange | Reply | MigrationReport | Durable | Expired


class Progress(NamedTuple):
    """How far a migration is."""

    uav: str
    target: str
    phase: Phase
    size: int  # bytes of the twin
    remaining: int  # bytes that are not on the target's disk
    rate: float  # bytes/s granted


class Served(NamedTuple):
    """A twin as users see it."""

    uav: str
    epoch: int
    estimate: Estimate
