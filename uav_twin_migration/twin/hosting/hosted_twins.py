"""What a host (hosting.py) keeps in memory of each twin."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from uav_twin_migration.twin.hosting.application import Piece, Twin
from uav_twin_migration.twin.hosting.store import Copy, Stored
from uav_twin_migration.twin.protocol.chunks import Entry
from uav_twin_migration.twin.protocol.flow import Flow
from uav_twin_migration.twin.protocol.replica_state import ReplicaState


@dataclass
class Lane:
    """The way of a copy's bytes to another RSU."""

    link: int = 0
    alive: bool = False  # whether the link still stands
    rate: float = 0.0  # bytes/s, its part of what was granted
    flow: Flow | None = None
    sent: int = 0  # bytes, in earlier sessions


@dataclass
class Mirror(Lane):
    """The bytes that keep a replica on another RSU up to date."""

    session: int = 0

    check_at: float = -math.inf  # s, of the next checkpoint
    checked_at: float = math.nan  # s, of the last one


@dataclass
class Leaving(Lane):
    """An outgoing migration's bytes and figures."""

    started: float = 0.0
    copying_since: float = math.nan
    frozen_at: float = math.nan
    granted: float = 0.0  # bytes that the grants allowed since copying began
    granted_at: float = math.nan
    unfunded_since: float = math.inf
    size: int = 0

    def grant(self, rate: float, now: float) -> None:
        """Count what was granted at `rate` until now."""
        if now > self.granted_at:
            self.granted += rate * (now - self.granted_at)
        self.granted_at = now


@dataclass
class Arriving:
    """An incoming copy's chunks."""

    link: int
    latest: dict[int, Entry]
    limit: int  # bytes
    total: int = 0  # bytes
    twin: Twin | None = None  # made when the copy was whole


@dataclass
class HostedTwin:
    """One twin at this RSU."""

    uav: str
    replica_state: ReplicaState = field(default_factory=ReplicaState)
    own: Copy | None = None
    incoming: Copy | None = None
    twin: Twin | None = None
    filling: Iterator[Piece] | None = None
    stored_version: int = 0  # the twin's own version up to which the store has it
    waiting: list[Callable[[bool], None]] = field(default_factory=list)
    rate: float = 0.0  # bytes/s granted to move it
    leaving: Leaving | None = None
    mirror: Mirror | None = None
    replicated_at: float = math.nan  # s, when what the replica has was the newest here
    arriving: Arriving | None = None

    @property
    def stored(self) -> Stored:
        return Stored(self.replica_state.record, self.own, self.incoming)


class Visible(NamedTuple):
    """What others may know of a twin: what is on the disk. Read by any thread."""

    replica_state: ReplicaState
    twin: Twin | None
    replicated_at: float = math.nan  # s


class Undo(NamedTuple):
    """A hosted twin as the disk has it."""

    replica_state: ReplicaState
    own: Copy | None
    incoming: Copy | None
    stored_version: int
    leaving: Leaving | None
    mirror: Mirror | None
