"""What a host (host.py) keeps in memory of each twin, and what its parts share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.agenda import Agenda
from uav_twin_migration.twin.hosting.application import Application, Piece, Twin
from uav_twin_migration.twin.hosting.outputs import Output
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import Copy, Stored, StoreError, StoreReplacedError
from uav_twin_migration.twin.protocol.chunks import Entry
from uav_twin_migration.twin.protocol.flow import Flow
from uav_twin_migration.twin.protocol.messages import Ack, Purpose, Reason
from uav_twin_migration.twin.protocol.replica_state import LONG_AGO, Context, ReplicaState, Status

SESSION_BITS = 32  # of a session's number, below the incarnation of the process
MOST_STRANGERS = 10_000  # UAVs that are heard of but have nothing here


@dataclass
class Outbound:
    """The bytes of an outbound transfer."""

    session: int = 0
    link: int = 0
    alive: bool = False  # whether the link still stands
    rate: float = 0.0  # bytes/s, its part of what was granted
    flow: Flow | None = None
    known: frozenset[bytes] = frozenset()  # digests of what the peer has of it in a copy of another term
    sent: int = 0  # bytes, in earlier sessions
    started: float = 0.0  # s
    copying_since: float = math.nan  # s
    granted: float = 0.0  # bytes that the grants allowed since copying began
    granted_at: float = math.nan  # s
    size: int = 0  # bytes of the twin, when copying began
    completed_at: float = math.nan  # s, of the last checkpoint
    ready_at: float = math.inf  # s, when pre-copy would have stopped it
    stopped_at: float = math.nan  # s, since when the twin is not served: the rest is on its way
    complete_at: float = -math.inf  # s: not before there is another

    def grant(self, rate: float, now: float) -> None:
        """Count what was granted at `rate` until now."""
        if now > self.granted_at:
            self.granted += rate * (now - self.granted_at)
        self.granted_at = now


@dataclass
class InboundChunks:
    """The chunks of an inbound transfer."""

    link: int
    latest: dict[int, Entry]
    limit: int  # bytes
    total: int = 0  # bytes
    twin: Twin | None = None  # made when the copy was whole
    known: Mapping[bytes, int] = field(default_factory=dict)  # digests of the own copy's chunks, and their numbers


@dataclass
class HostedTwin:
    """One twin at this RSU."""

    uav: str
    replica_state: ReplicaState = field(default_factory=ReplicaState)
    own: Copy | None = None
    inbound: Copy | None = None
    own_damaged: bool = False  # the own copy, of another term, was not what it should be: nothing of it is used
    twin: Twin | None = None
    filling: Iterator[Piece] | None = None  # what is left of the first snapshot
    stored_version: int = 0  # the twin's own version up to which the store has it
    waiting: list[Callable[[bool], None]] = field(default_factory=list)
    rate: float = 0.0  # bytes/s granted to move it
    outbound: dict[Purpose, Outbound] = field(default_factory=dict)
    replicated_at: float = math.nan  # s, when what the replica has was the newest here
    inbound_chunks: InboundChunks | None = None
    heard_at: float = -math.inf  # s, when its UAV was last heard, or this process began
    served: bool = True  # False: it began empty, and has taken nothing yet
    look_at: float = -math.inf  # s: not to be looked after before, unless something happens to it; see `Agenda`
    number: int = 0  # of all that this process ever knew: the order in which they are looked after

    @property
    def stopped(self) -> bool:
        """Whether it moves, and its users wait: its transfer's strategy stopped it before all is sent."""
        migration = self.outbound.get(Purpose.MIGRATION)
        return migration is not None and not math.isnan(migration.stopped_at)

    def serves(self, now: float) -> bool:
        """Whether it may be served, take telemetry and change."""
        return not self.stopped and self.replica_state.serves(now)

    @property
    def is_unclaimed(self) -> bool:
        """Whether somebody asked for it, and its UAV has not said that it takes this RSU for its host."""
        hosts = self.replica_state.record.status is Status.HOSTING
        return hosts and not self.served and self.replica_state.lease_until == LONG_AGO

    @property
    def stored(self) -> Stored:
        return Stored(self.replica_state.record, self.own, self.inbound)


class Visible(NamedTuple):
    """What others may know of a twin: what is on the disk. Read by any thread."""

    replica_state: ReplicaState
    twin: Twin | None
    replicated_at: float = math.nan  # s
    stopped: bool = False

    def serves(self, now: float) -> bool:
        """Whether users may see it."""
        return not self.stopped and self.replica_state.serves(now)

    def replica_age(self, now: float) -> float:
        """By how much the replica is behind, s."""
        replica_state = self.replica_state
        if not replica_state.replica or math.isnan(self.replicated_at):
            return math.inf
        return 0.0 if replica_state.replica_version == replica_state.record.version else now - self.replicated_at


class Undo(NamedTuple):
    """A hosted twin as the disk has it."""

    replica_state: ReplicaState
    own: Copy | None
    inbound: Copy | None
    stored_version: int
    outbound: dict[Purpose, Outbound]


class HostState:
    """What the parts of a host share: its twins, and what waits for the next commit."""

    def __init__(self, store: Store, application: Application, now: float, settings: HostSettings) -> None:
        self.store, self.application, self.now, self.settings = store, application, now, settings
        self.rsu = store.rsu
        self.twins: dict[str, HostedTwin] = {}
        self.agenda = Agenda()
        self.counts: Counter[str] = Counter()  # events that were refused or ignored, by why
        self.trouble: StoreError | None = None  # why the disk refused last; None once it takes again
        self.damaged: dict[str, StoreError] = {}  # twins that cannot be made of what is on the disk
        self.draining = False
        self.session = store.incarnation << SESSION_BITS
        self.outputs: list[Output] = []
        self.acks: dict[tuple[int, str], Ack] = {}  # of several in one commit the last one says it all
        self.undo: dict[str, Undo] = {}
        self.durable: list[Callable[[bool], None]] = []  # who waits for what was written
        self.taken_in = 0  # bytes of inbound chunks that are on the disk
        self.taking_in = 0  # and that wait for the commit
        self.visible: dict[str, Visible] = {}  # replaced as a whole where another twin comes: any thread may read

    @property
    def shown(self) -> Mapping[str, Visible]:
        """What is served and spoken of: nothing where the store's file was taken away. For any thread."""
        return {} if isinstance(self.trouble, StoreReplacedError) else self.visible

    @property
    def hosted(self) -> list[str]:
        """The UAVs whose twins are here and have not been taken over by another RSU."""
        kept = (Status.HOSTING, Status.HANDING_OVER)
        return [uav for uav, one in self.twins.items() if one.replica_state.record.status in kept]

    def twin(self, uav: str) -> HostedTwin:
        """What there is of a twin, if only its name."""
        hosted_twin = self.twins.get(uav)
        if hosted_twin is None:
            if len(self.twins) >= MOST_STRANGERS:
                self._forget_unknown_twins()
            hosted_twin = self.twins[uav] = HostedTwin(uav, heard_at=self.now)
            self.agenda.add(hosted_twin)
        return hosted_twin

    def heard(self, uav: str) -> HostedTwin:
        """What there is of a twin whose UAV spoke just now."""
        hosted_twin = self.twin(uav)
        hosted_twin.heard_at = self.now
        return hosted_twin

    def served_twin(self, uav: str) -> HostedTwin | None:
        """The twin that is to be told something; None, and counted, where it is not served here."""
        hosted_twin = self.twins.get(uav)
        if hosted_twin is None or hosted_twin.twin is None or not hosted_twin.serves(self.now):
            self.counts["not_served_here"] += 1
            return None
        hosted_twin.served = True
        return hosted_twin

    def touch(self, hosted_twin: HostedTwin) -> None:
        """Remember a twin as the disk has it: it is about to change."""
        if hosted_twin.look_at > -math.inf:
            self.agenda.wake(hosted_twin)
        if hosted_twin.uav not in self.undo:
            copies = (hosted_twin.own, hosted_twin.inbound, hosted_twin.stored_version)
            self.undo[hosted_twin.uav] = Undo(hosted_twin.replica_state, *copies, dict(hosted_twin.outbound))

    def context(self, uav: str, peer: str = "", refusal: Reason | None = None, verified: bool = True) -> Context:
        """What a transition may know."""
        incarnation, timing = self.store.incarnation, self.settings.timing
        return Context(self.rsu, uav, self.now, peer, incarnation, self.session + 1, timing, refusal, verified)

    def drop(self, copy: Copy | None) -> None:
        """A copy is no longer wanted."""
        if copy is not None:
            self.store.set_tombstone(copy)

    def _forget_unknown_twins(self) -> None:
        """UAVs that never had anything here. (What is in a record, if only an epoch, stays.)"""
        blank = ReplicaState().record
        for uav in [uav for uav, one in self.twins.items() if one.replica_state.record == blank]:
            if uav not in self.undo:
                self.agenda.forget(self.twins.pop(uav))
        self.visible = {uav: one for uav, one in self.visible.items() if uav in self.twins}
