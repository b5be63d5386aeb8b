"""The parts of the model's worlds (`model.py`): what there is, what may happen, what is checked."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

from uav_twin_migration.twin.protocol.epochs import make_epoch
from uav_twin_migration.twin.protocol.migration import step
from uav_twin_migration.twin.protocol.replica_state import NEVER, Context, ReplicaState, Step

UAV = "uav"
FIRST = make_epoch(1)
UNBOUNDED = 1 << 30
PATIENCE = 20  # ticks for which a UAV waits for a replica: more than a search has, fewer than it takes to settle
Content = tuple[tuple[int, int], ...]  # (epoch of a term's first hosting, newest version), oldest first
MIXED: Content = ((-1, -1),)  # parts of different twins; no digest is right for it


class Packet(NamedTuple):
    """A message on its way. `content` is what the chunks in `Data` are chunks of."""

    source: str
    destination: str
    message: Any
    content: Content = ()


@dataclass(frozen=True)
class Site:
    """One RSU, as far as one twin is concerned."""

    me: str
    replica_state: ReplicaState = field(default_factory=ReplicaState)
    own: Content = ()
    inbound: Content = ()
    incarnation: int = 1
    session: int = 0


class Left(NamedTuple):
    """How often each thing may still happen."""

    crash: int = 1  # of RSUs
    uav_crash: int = 0
    write: int = 1
    migrate: int = 1
    cancel: int = 0
    forget: int = 0  # inbound copies that nobody continues
    break_: int = 0  # connections
    tick: int = 0
    lose: int = 0  # disks
    refuse: int = 0  # copies and hostings, for want of room
    unfund: int = 0  # bandwidth of a migration that lapses


class World(NamedTuple):
    """A state of the model; the numbers stand for interned parts."""

    sites: tuple[int, ...]
    host_discovery: int
    network: int  # bit mask of packets
    now: int  # ticks
    left: Left
    activated: int  # bit mask of the (epoch, RSU) that began
    acked: int  # content that was acknowledged, in the newest term
    promised: int = 0  # content that a replica has, as the UAV heard, in the newest term
    whole: bool = True  # whether no disk was lost: then all that was acknowledged is on one


class Move(NamedTuple):
    """One thing that may happen next."""

    kind: str
    where: int = -1  # an RSU
    what: int = -1  # a packet, or another RSU


class Promise(str, Enum):
    """What must hold; docs/migration.md has it in words for people."""

    ONE = "one RSU serves at a time"
    NEWEST = "nobody serves under an older epoch than has begun"
    ONCE = "an epoch begins once"
    WHOLE = "no copy is sent of a twin that is not whole"
    SERVED = "what was acknowledged is served"
    KEPT = "what was acknowledged is on a disk"
    REPLICA = "who goes on has what a replica was said to have"
    REST = "when faults and lies end, one RSU hosts and serves, and nothing is under way"


class BrokenPromiseError(Exception):
    """The protocol broke a promise: which one, how, and the moves that lead there."""

    def __init__(self, promise: Promise, how: str, trace: Iterable[str] = ()) -> None:
        self.promise, self.how, self.trace = promise, how, tuple(trace)
        super().__init__("\n".join([self.how, *self.trace]))


T = TypeVar("T", bound=Hashable)


class Interned(Generic[T]):
    """Numbers for values, in the order in which they are first seen."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._numbers: dict[T, int] = {}

    def __getitem__(self, number: int) -> T:
        return self.values[number]

    def number(self, value: T) -> int:
        """The value's number."""
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


@dataclass(frozen=True)
class Rules:
    """What is checked. The defaults are the protocol's own; others are for checking that the checker finds faults."""

    step: Callable[[ReplicaState, Any, Context], Step] = step
    persist_first: bool = True  # False: what a step says may be heard although a crash undid the step
    lease: float = NEVER  # ticks
    rehost_after: float = NEVER  # ticks
    atomic_voice: bool = (
        False  # True: a host heartbeat and the lease renewal that follows take no time, or are lost together
    )
    sessions: int = UNBOUNDED  # of each RSU: offers and commits
    terms: int = UNBOUNDED  # that the UAV begins, its first included
    replica_host: str = ""  # the RSU that shall have a replica
    waived: frozenset[Promise] = frozenset()  # promises that may be broken


def bits(mask: int) -> Iterator[int]:
    """The places of the ones in a bit mask."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def is_within(part: Content, whole: Content) -> bool:
    """Whether `whole` is `part`, or what it became by later writes of the same term."""
    if not part or not whole:
        return not part
    (term, early), (same, late) = part[-1], whole[-1]
    return part[:-1] == whole[:-1] and term == same and early <= late
