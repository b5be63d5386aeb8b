"""The migration protocol in virtual time: RSUs, one UAV and a hostile network, for `checker.py` to search.

The model runs the very transitions of `migration.py` and `host_discovery.py`. Around them it has

- a network that never forgets: every message ever sent may arrive at any later time, any number of times, or never. So
  loss, repetition, delay and overtaking need no bounds of their own;
- RSUs that crash after any step, keeping their `Record` and nothing else; a UAV that crashes and keeps nothing;
- timers that fire whenever they like, and a clock that the leases hang on;
- disks that are lost, with all that was on its way to their RSUs;
- replicas, at the RSU that the UAV names: what it heard to be confirmed must survive the host;
- contents: a twin's content is the list of its terms with the newest version written in each. Equal contents are equal
  twins, and what was acknowledged can be looked for.

`Model.violation` says which promise a state breaks. `Model.settle` ends the faults: the system must come to rest with
one serving host and no migration under way.

States must compare and hash fast: all parts of a world are interned as small integers, the network is a bit mask of
interned packets, and what a part does with an event is worked out once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

from uav_twin_migration.twin.protocol.epochs import (
    format_epoch,
    make_epoch,
    next_term,
    term_of,
)
from uav_twin_migration.twin.protocol.host_discovery import (
    HostDiscovery,
    HostDiscoveryTiming,
    Stage,
    act,
    answer,
    hear,
    lease_renewal,
    moving,
)
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Activated,
    Cancel,
    CancelRequest,
    Checkpoint,
    Data,
    HostHeartbeat,
    HostReply,
    HostRequest,
    MigrateRequest,
    Offer,
    Prepare,
    Prepared,
    Refuse,
    ReplicaOffer,
    Replicated,
    Stamp,
    Unprepared,
)
from uav_twin_migration.twin.protocol.migration import step
from uav_twin_migration.twin.protocol.replica_state import (
    NEVER,
    Adopt,
    Answer,
    Check,
    Context,
    Create,
    DropIncoming,
    DropOwn,
    Freeze,
    Intake,
    IntakeTimeout,
    Keep,
    LinkDown,
    Outgoing,
    Phase,
    Record,
    ReplicaSent,
    ReplicaState,
    ReplicaTimeout,
    Replication,
    Send,
    Sent,
    StandbyTimeout,
    Status,
    Step,
    Timeout,
    Timing,
    Wrote,
    host_heartbeat,
)
from uav_twin_migration.twin.protocol.source import revive

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
    arriving: Content = ()
    incarnation: int = 1
    session: int = 0


class Left(NamedTuple):
    """How often each thing may still happen."""

    crash: int = 1  # of RSUs
    uav_crash: int = 0
    write: int = 1
    migrate: int = 1
    cancel: int = 0
    forget: int = 0  # incoming copies that nobody continues
    break_: int = 0  # connections
    tick: int = 0
    lose: int = 0  # disks


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


class Effect(NamedTuple):
    """What an event did to a site."""

    site: int
    packets: int  # bit mask
    activated: int = -1  # what began, if anything
    new_term: bool = False


class BrokenPromiseError(Exception):
    """The protocol broke a promise: which one, and the moves that lead there."""

    def __init__(self, promise: str, trace: Iterable[str] = ()) -> None:
        self.promise, self.trace = promise, tuple(trace)
        super().__init__("\n".join([self.promise, *self.trace]))


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
    standby: str = ""  # the RSU that shall have a replica


class Model:
    """The moves and promises of a system of RSUs and one UAV."""

    def __init__(self, rsus: Sequence[str], rules: Rules | None = None) -> None:
        self.rsus, self.rules = tuple(rsus), rules or Rules()
        self.timing = Timing(self.rules.lease, *(NEVER,) * 8, keep_unwanted=0.0)
        self.host_discovery_timing = HostDiscoveryTiming(
            self.rules.rehost_after, self.rules.rehost_after, ask_again=0, tries=1, begin_anew_after=PATIENCE
        )
        self.sites: Interned[Site] = Interned()
        self.host_discoveries: Interned[HostDiscovery] = Interned()
        self.packets: Interned[Packet] = Interned()
        self.hostings: Interned[tuple[int, str]] = Interned()
        self.contents: Interned[Content] = Interned()
        self.contents.number(())
        # Messages that can change nothing any more are dropped. With more RSUs, sessions of several sources meet at one
        # target, and that is no longer easily told.
        self._prunes = len(rsus) == 2 and self.rules.sessions < UNBOUNDED
        self._ages = int(self.rules.lease < NEVER)  # where leases never end, a site's life is not told from its next
        self._calm = False  # whether bounds are off
        self._addressed: dict[str, int] = {}  # name -> mask of the packets to it
        self._idle: dict[tuple[str, int, int], int] = {}  # (name, part, time) -> packets known to change nothing there
        self._dead: dict[tuple[tuple[int, ...], bool], tuple[int, int]] = {}  # of sites: packets seen, found dead
        self._effects: dict[Hashable, Effect | None] = {}
        self._facts: dict[Hashable, Any] = {}

    # -- where it begins ---------------------------------------------------------------------------------------------

    def hosted(self, left: Left) -> World:
        """The first RSU hosts the twin and the UAV recognises it; all RSUs have heard so."""
        me, now = self.rsus[0], 0
        heard = ReplicaState(heard_host=me, heard_epoch=FIRST)
        record = Record(Status.HOSTING, FIRST, version=1, fence=FIRST)
        first = Site(me, replace(heard, record=record, lease_until=now + self.timing.lease), own=((FIRST, 1),))
        sites = (first, *(Site(rsu, heard) for rsu in self.rsus[1:]))
        host_discovery = self._started(FIRST, now)
        host_discovery = replace(
            host_discovery, stage=Stage.HOSTED, host=me, epoch=FIRST, stamp=Stamp(1, now), heard_at=now
        )
        numbers = tuple(map(self.sites.number, sites))
        activated, acked = 1 << self.hostings.number((FIRST, me)), self.contents.number(first.own)
        return World(numbers, self.host_discoveries.number(host_discovery), 0, now, left, activated, acked)

    def empty(self, left: Left) -> World:
        """Nobody hosts; the UAV has just started."""
        sites = tuple(self.sites.number(Site(rsu)) for rsu in self.rsus)
        return World(sites, self.host_discoveries.number(self._started(make_epoch(0), 0)), 0, 0, left, 0, 0)

    def _started(self, fence: int, now: int) -> HostDiscovery:
        return HostDiscovery(UAV, now, fence, candidates=self.rsus, standby=self.rules.standby)

    # -- what may happen ---------------------------------------------------------------------------------------------

    def moves(self, world: World) -> Iterator[Move]:
        """Everything that may happen next, and a little that cannot (`after` tells)."""
        for number in bits(self.worth_delivering(world)):
            yield Move("deliver", what=number)
        for where, number in enumerate(world.sites):
            for kind in self.kinds_at(number):
                yield Move(kind, where)
        for kind in ("act", "tick", "uav_crash") if self.rules.atomic_voice else ("say", "act", "tick", "uav_crash"):
            yield Move(kind)
        for what in range(len(self.rsus)):
            yield Move("migrate", what=what)
        if not self.rules.persist_first:
            for number in bits(world.network):
                yield Move("undone", what=number)

    def worth_delivering(self, world: World) -> int:
        """The packets on their way whose arrival may change something."""
        worth = self._addressed.get(UAV, 0) & ~self._idle.get((UAV, world.host_discovery, world.now), 0)
        for where, number in enumerate(world.sites):
            name = self.rsus[where]
            worth |= self._addressed.get(name, 0) & ~self._idle.get((name, number, world.now), 0)
        return world.network & worth

    def kinds_at(self, number: int) -> Sequence[str]:
        """What may happen at a site besides the arrival of messages."""
        key = ("kinds", number)
        if key not in self._facts:
            self._facts[key] = tuple(self._work_out_kinds(self.sites[number].replica_state))
        kinds: Sequence[str] = self._facts[key]
        return kinds

    def _work_out_kinds(self, replica_state: ReplicaState) -> Iterator[str]:
        outgoing = replica_state.outgoing
        yield "converse" if self.rules.atomic_voice else "announce"
        yield "crash"
        if replica_state.record.status is Status.HOSTING:
            yield "write"
        if replica_state.intake is not Intake.NONE:
            yield "forget"
        yield "lose"
        yield from self._work_out_replica_kinds(replica_state)
        if outgoing is None:
            return
        yield from ("timeout", "cancel")
        if outgoing.session:
            yield "break_"
        if outgoing.phase is Phase.COPYING:
            yield "pump" if outgoing.sent < replica_state.record.version else "freeze"

    def _work_out_replica_kinds(self, replica_state: ReplicaState) -> Iterator[str]:
        replication, version = replica_state.replication, replica_state.record.version
        if replica_state.unwanted_at < NEVER:
            yield "unwanted"
        if replication is None:
            return
        yield "replica_timeout"
        if replication.copying and replication.sent < version:
            yield "replica_pump"
        elif replication.copying and replica_state.replica_version < version and replication.checked < version:
            yield "check"

    def after(self, world: World, move: Move) -> World | None:
        """The world after a move; None where that changes nothing, or cannot be."""
        bound = "crash" if move.kind == "undone" else move.kind
        if bound in Left._fields:
            remaining = getattr(world.left, bound)
            if remaining <= 0:
                return None
            world = world._replace(left=world.left._replace(**{bound: remaining - 1}))
        if move.kind == "deliver":
            return self._promised(world, self._deliver(world, move.what))
        if move.kind == "undone":
            return self._undone(world, move.what)
        if move.kind == "write":
            return self._write(world, move.where)
        if move.kind == "converse":
            return self._promised(world, self._converse(world, move.where))
        if move.kind == "lose":
            return self._lose(world, move.where)
        if move.where >= 0:
            return self._apply(world, move.where, (move.kind,))
        if move.kind == "tick":
            return world._replace(now=world.now + 1)
        return self._at_uav(world, move)

    def _deliver(self, world: World, number: int) -> World | None:
        name = self.packets[number].destination
        if name == UAV:
            part, after = (
                world.host_discovery,
                self._with_host_discovery(world, ("hear", number, world.now), self._heard),
            )
        else:
            where = self.rsus.index(name)
            part, after = world.sites[where], self._apply(world, where, ("deliver", number))
            if after is None and self._effects[part, ("deliver", number), world.now] is not None:
                return None  # what it sends is on its way already; elsewhere it may not be
        if after is None:
            self._idle[name, part, world.now] = self._idle.get((name, part, world.now), 0) | 1 << number
        return after

    def _undone(self, world: World, number: int) -> World | None:
        name = self.packets[number].destination
        return None if name == UAV else self._apply(world, self.rsus.index(name), ("undone", number))

    def _write(self, world: World, where: int) -> World | None:
        if not self._serves(world.sites[where], world.now):
            return None
        after = self._apply(world, where, ("write",))
        if after is None:
            return None
        return after._replace(acked=self.contents.number(self.sites[after.sites[where]].own))

    def _promised(self, before: World, after: World | None) -> World | None:
        """The world after the UAV may have heard of a replica."""
        if after is None or not self.rules.standby or after.host_discovery == before.host_discovery:
            return after
        host_discovery = self.host_discoveries[after.host_discovery]
        newest = max((self.hostings[number][0] for number in bits(before.activated)), default=0)
        for number in before.sites if term_of(host_discovery.replica_epoch) == term_of(newest) else ():
            own = self.sites[number].own
            if own and term_of(own[-1][0]) == term_of(newest) and own[-1][1] >= host_discovery.replica_version:
                content = (*own[:-1], (own[-1][0], host_discovery.replica_version))
                if _is_within(self.contents[after.promised], content):
                    return after._replace(promised=self.contents.number(content))
        return after

    def _lose(self, world: World, where: int) -> World:
        """An RSU begins anew with an empty disk. What was under way to it, or in its name, has nobody any more."""
        site = Site(self.rsus[where], incarnation=self.sites[world.sites[where]].incarnation + 1)
        site = replace(site, session=self.sites[world.sites[where]].session)  # as by a clock
        gone = 0
        for number in bits(world.network):
            packet = self.packets[number]
            gone |= (site.me in (packet.source, packet.destination)) << number
        sites = (*world.sites[:where], self.sites.number(site), *world.sites[where + 1 :])
        world = world._replace(sites=sites, network=world.network & ~gone, whole=False)
        if not world.promised or self._covered(world, world.acked):
            return world
        return world._replace(acked=world.promised)

    def _converse(self, world: World, where: int) -> World | None:
        """An RSU tells what it holds, the UAV hears, and all RSUs hear whom it recognises, in no time."""
        key = (world.host_discovery, world.sites[where], world.now)
        if key not in self._facts:
            self._facts[key] = self._work_out_conversation(*key)
        host_discovery, heard = self._facts[key]
        after = world if host_discovery == world.host_discovery else world._replace(host_discovery=host_discovery)
        for number in heard:
            after = self._deliver(after, number) or after
        return None if after is world else after

    def _work_out_conversation(self, host_discovery_number: int, site: int, now: int) -> tuple[int, Sequence[int]]:
        host_discovery = self.host_discoveries[host_discovery_number]
        said = host_heartbeat(self.sites[site].replica_state, self._context(self.sites[site], now))
        if said is not None:
            host_discovery = self._hear(host_discovery, said, now)
        heard = self._mask([Packet(UAV, rsu, lease_renewal(host_discovery)) for rsu in self.rsus])
        return self.host_discoveries.number(host_discovery), list(bits(heard))

    # -- what the UAV does -------------------------------------------------------------------------------------------

    def _at_uav(self, world: World, move: Move) -> World | None:
        host_discovery = self.host_discoveries[world.host_discovery]
        if move.kind == "act":
            return self._with_host_discovery(world, ("act", world.now), self._acted)
        if move.kind == "say":
            said = lease_renewal(host_discovery)
            return self._sent(world, self._mask([Packet(UAV, rsu, said) for rsu in self.rsus]))
        if move.kind == "migrate":
            return self._migrate(world, host_discovery, self.rsus[move.what])
        fence = next_term(host_discovery.fence)  # as by a clock: above all of its earlier incarnations
        if term_of(fence) > self.rules.terms:
            return None
        return world._replace(host_discovery=self.host_discoveries.number(self._started(fence, world.now)))

    def _migrate(self, world: World, host_discovery: HostDiscovery, target: str) -> World | None:
        if host_discovery.stage is not Stage.HOSTED or host_discovery.host == target:
            return None
        request = Packet(UAV, host_discovery.host, MigrateRequest(UAV, host_discovery.epoch, target))
        return self._sent(
            world._replace(host_discovery=self.host_discoveries.number(moving(host_discovery, target))),
            self._mask([request]),
        )

    def _with_host_discovery(
        self,
        world: World,
        key: tuple[Any, ...],
        work_out: Callable[[HostDiscovery, tuple[Any, ...]], tuple[HostDiscovery, int]],
    ) -> World | None:
        known = self._facts.get((world.host_discovery, key))
        if known is None:
            host_discovery, packets = work_out(self.host_discoveries[world.host_discovery], key)
            beyond = term_of(host_discovery.fence) > self.rules.terms and not self._calm
            known = (world.host_discovery, 0) if beyond else (self.host_discoveries.number(host_discovery), packets)
            self._facts[world.host_discovery, key] = known
        number, packets = known
        if number == world.host_discovery:
            return self._sent(world, packets)
        return world._replace(host_discovery=number, network=world.network | packets)

    def _heard(self, host_discovery: HostDiscovery, key: tuple[Any, ...]) -> tuple[HostDiscovery, int]:
        message, now = self.packets[key[1]].message, key[2]
        if isinstance(message, HostHeartbeat):
            return self._hear(host_discovery, message, now), 0
        assert isinstance(message, HostReply)
        return answer(host_discovery, message, now), 0

    def _hear(self, host_discovery: HostDiscovery, said: HostHeartbeat, now: int) -> HostDiscovery:
        host_discovery = hear(host_discovery, said, now)
        return (
            host_discovery if self.rules.rehost_after < NEVER else replace(host_discovery, heard=())
        )  # it chooses nobody anyway

    def _acted(self, host_discovery: HostDiscovery, key: tuple[Any, ...]) -> tuple[HostDiscovery, int]:
        host_discovery, requests = act(host_discovery, key[1], self.host_discovery_timing)
        return host_discovery, self._mask([Packet(UAV, request.rsu, request) for request in requests])

    # -- what an RSU does --------------------------------------------------------------------------------------------

    def _apply(self, world: World, where: int, event: tuple[Any, ...]) -> World | None:
        number = world.sites[where]
        key = (number, event, world.now)
        if key not in self._effects:
            self._effects[key] = self._work_out(self.sites[number], event, world.now)
        effect = self._effects[key]
        if effect is None:
            return None
        if effect.site == number:
            return self._sent(world, effect.packets)
        sites = (*world.sites[:where], effect.site, *world.sites[where + 1 :])
        after = world._replace(sites=sites, network=self._alive(world, sites, effect.packets))
        return self._activate(after, where, effect) if effect.activated >= 0 else after

    def _activate(self, world: World, where: int, effect: Effect) -> World:
        epoch, _ = self.hostings[effect.activated]
        begun = [self.hostings[number][0] for number in bits(world.activated)]
        if epoch in begun:
            raise BrokenPromiseError(f"epoch {format_epoch(epoch)} began a second time, at {self.rsus[where]}")
        if effect.new_term and epoch > max(begun, default=-1):
            own = self.sites[effect.site].own
            if not _is_within(self.contents[world.promised], own[:-1]):
                raise BrokenPromiseError(f"{self.rsus[where]} goes on without what a replica was said to have")
            world = world._replace(acked=self.contents.number(own), promised=0)
        return world._replace(activated=world.activated | 1 << effect.activated)

    def _work_out(self, site: Site, event: tuple[Any, ...], now: int) -> Effect | None:
        kind = event[0]
        if kind == "crash":
            return Effect(self.sites.number(self._crashed(site, now)), 0)
        if kind == "undone":  # by a crash before the disk had it; what was said is heard all the same
            done = self._work_out(site, ("deliver", event[1]), now)
            crashed = self.sites.number(self._crashed(site, now))
            return None if done is None or not done.packets else Effect(crashed, done.packets)
        if kind == "announce":
            said = host_heartbeat(site.replica_state, self._context(site, now))
            return None if said is None else Effect(self.sites.number(site), self._mask([Packet(site.me, UAV, said)]))
        if kind == "deliver":
            packet = self.packets[event[1]]
            context = self._context(site, now, packet.source, packet.message)
            return self._stepped(site, packet.message, packet.content, context)
        return self._stepped(site, self._own_event(site, kind), (), self._context(site, now))

    def _own_event(self, site: Site, kind: str) -> Any:
        version, outgoing = site.replica_state.record.version, site.replica_state.outgoing
        events = {
            "write": Wrote(version + 1),
            "forget": IntakeTimeout(),
            "timeout": Timeout(),
            "break_": LinkDown(outgoing.session if outgoing else 0),
            "cancel": CancelRequest(UAV),
            "pump": Sent(version),
            "freeze": Freeze(_digest(site.own)),
            "unwanted": StandbyTimeout(),
            "replica_timeout": ReplicaTimeout(),
            "replica_pump": ReplicaSent(version),
            "check": Check(_digest(site.own)),
        }
        return events[kind]

    def _context(self, site: Site, now: int, peer: str = "", event: Any = None) -> Context:
        verified = not isinstance(event, (Prepare, Checkpoint)) or event.digest == _digest(site.arriving)
        return Context(site.me, UAV, now, peer, site.incarnation, site.session + 1, self.timing, verified=verified)

    def _crashed(self, site: Site, now: int) -> Site:
        site = replace(
            site, replica_state=ReplicaState(site.replica_state.record), incarnation=site.incarnation + self._ages
        )
        return replace(site, replica_state=revive(site.replica_state, self._context(site, now)))

    def _stepped(self, site: Site, event: Any, content: Content, context: Context) -> Effect | None:
        replica_state, actions = self.rules.step(site.replica_state, event, context)
        after = replace(site, replica_state=replica_state)
        if replica_state.outgoing is not None:
            session = max(site.session, replica_state.outgoing.session)
            if session > self.rules.sessions and not self._calm:
                return None
            outgoing = replace(replica_state.outgoing, attempts=0)  # which only lengthens the next wait
            after = replace(after, replica_state=replace(replica_state, outgoing=outgoing), session=session)
        replication = replica_state.replication
        if replication is not None:
            session = max(after.session, replication.session)
            if session > self.rules.sessions and not self._calm:
                return None
            replica_state = replace(after.replica_state, replication=replace(replication, attempts=0))
            after = replace(after, replica_state=replica_state, session=session)
        if isinstance(event, Data) and replica_state.record.incoming != site.replica_state.record.incoming:
            after = replace(after, arriving=_received(site.arriving, event, content))
        packets = [Packet(site.me, action.peer, action.message) for action in actions if isinstance(action, Send)]
        packets += [Packet(site.me, UAV, action.reply) for action in actions if isinstance(action, Answer)]
        if isinstance(event, Sent):
            assert site.replica_state.outgoing is not None
            packets.append(self._chunks(site, event.version, site.replica_state.outgoing))
        if isinstance(event, ReplicaSent):
            assert site.replica_state.replication is not None
            packets.append(self._chunks(site, event.version, site.replica_state.replication))
        for action in actions:
            after = _stored(after, action)
        fresh = site.replica_state.record.incoming is None or DropIncoming() in actions
        if isinstance(event, (Offer, ReplicaOffer)) and fresh:
            incoming = replica_state.record.incoming
            after = replace(after, arriving=site.own if incoming is not None and incoming.base else ())
        return self._effect(site, after, event, packets)

    def _chunks(self, site: Site, version: int, to: Outgoing | Replication) -> Packet:
        return Packet(site.me, to.target, Data(UAV, to.session, to.sent, version), site.own)

    def _effect(self, before: Site, after: Site, event: Any, packets: Sequence[Packet]) -> Effect:
        record = after.replica_state.record
        if isinstance(event, Wrote):
            after = replace(after, own=(*after.own[:-1], (after.own[-1][0], record.version)))
        began = record.status is Status.HOSTING and record.epoch != before.replica_state.record.epoch
        new_term = began and isinstance(event, HostRequest)
        if new_term:
            after = replace(after, own=(*after.own, (record.epoch, record.version)))
        activated = self.hostings.number((record.epoch, after.me)) if began else -1
        return Effect(self.sites.number(after), self._mask(packets), activated, new_term)

    # -- the network -------------------------------------------------------------------------------------------------

    def _mask(self, packets: Iterable[Packet]) -> int:
        mask = 0
        for packet in packets:
            bit = 1 << self.packets.number(packet)
            self._addressed[packet.destination] = self._addressed.get(packet.destination, 0) | bit
            mask |= bit
        return mask

    def _sent(self, world: World, packets: int) -> World | None:
        network = self._alive(world, world.sites, packets)
        return None if network == world.network else world._replace(network=network)

    def _alive(self, world: World, sites: tuple[int, ...], packets: int) -> int:
        """The network with more packets, without those that can never change anything again."""
        network = world.network | packets
        if not self._prunes:
            return network
        key = (sites, world.left.crash == 0)
        seen, dead = self._dead.get(key, (0, 0))
        if network & ~seen:
            for number in bits(network & ~seen):
                packet = self.packets[number]
                if packet.destination != UAV:
                    site = self.sites[sites[self.rsus.index(packet.destination)]]
                    dead |= _is_dead(packet, site, crashless=key[1]) << number
            self._dead[key] = seen | network, dead
        return network & ~dead

    # -- what must hold ----------------------------------------------------------------------------------------------

    def check(self, world: World) -> World:
        """The world, if it keeps all promises; else raises BrokenPromiseError."""
        broken = self.violation(world)
        if broken is not None:
            raise BrokenPromiseError(broken)
        return world

    def violation(self, world: World) -> str | None:
        """Which promise is broken in this state, if any. (That no epoch begins twice is seen when one begins.)"""
        serving = [where for where, number in enumerate(world.sites) if self._serves(number, world.now)]
        if len(serving) > 1:
            return f"two RSUs serve at once: {', '.join(self.rsus[where] for where in serving)}"
        for where in serving:
            epoch = self.sites[world.sites[where]].replica_state.record.epoch
            newest = max(self.hostings[number][0] for number in bits(world.activated))
            if epoch < newest:
                return f"{self.rsus[where]} serves under {format_epoch(epoch)}, {format_epoch(newest)} has begun"
            if not self._covers(world.sites[where], world.acked):
                return f"{self.rsus[where]} serves without something that was acknowledged"
        if (world.whole or world.promised) and not self._covered(world, world.acked):
            return "no disk has all that was acknowledged"
        return None

    def _covered(self, world: World, content: int) -> bool:
        """Whether some RSU's disk has all of a content, in a whole copy."""
        return not content or any(self._covers(number, content) for number in world.sites)

    def _serves(self, number: int, now: int) -> bool:
        key = ("serves", number, now)
        if key not in self._facts:
            self._facts[key] = self.sites[number].replica_state.serves(now)
        return bool(self._facts[key])

    def _covers(self, number: int, acked: int) -> bool:
        """Whether a whole copy on this RSU's disk has everything in the content `acked`."""
        key = ("covers", number, acked)
        if key not in self._facts:
            site, content = self.sites[number], self.contents[acked]
            own = site.replica_state.record.status is not Status.ABSENT and _is_within(content, site.own)
            arrived = site.replica_state.intake is Intake.PREPARED and _is_within(content, site.arriving)
            self._facts[key] = own or arrived
        return bool(self._facts[key])

    # -- how it ends -------------------------------------------------------------------------------------------------

    def settle(self, world: World, rounds: int = 40) -> World:
        """No more faults: what is on its way is lost, whatever is sent from now on arrives at once, time passes.

        Raises BrokenPromiseError where the system does not come to rest.
        """
        calm = self._undisturbed()
        for _ in range(rounds):
            world = calm._round(world)
            if calm.is_settled(world):
                return world
        raise BrokenPromiseError("it never comes to rest:\n  " + self.describe(world))

    def _undisturbed(self) -> Model:
        """This model without bounds; what lies beyond the bounds must not be remembered in the bounded one."""
        calm = Model.__new__(Model)
        calm.__dict__.update(self.__dict__)
        calm._calm, calm._prunes = True, False
        calm._effects, calm._facts, calm._idle = self._calm_memory
        return calm

    @property
    def _calm_memory(self) -> tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]]:
        memory = self.__dict__.setdefault("_calm_store", ({}, {}, {}))
        return memory  # type: ignore[no-any-return]

    def _round(self, world: World) -> World:
        world = world._replace(now=world.now + 1)
        for where in range(len(world.sites)):
            world = self._run(world, Move("announce", where))
        world = self._run(self._run(world, Move("act")), Move("say"))
        for where in range(len(world.sites)):
            for kinds in (("timeout", "pump", "freeze"), ("replica_timeout", "replica_pump", "check")):
                possible = [kind for kind in self.kinds_at(world.sites[where]) if kind in kinds]
                world = self._run(world, Move(possible[0], where)) if possible else world
        return world

    def _run(self, world: World, move: Move) -> World:
        """Make a move, deliver what it sends and what that brings about, and copy on."""
        next_move: Move | None = move
        while next_move is not None:
            after = self.after(world._replace(network=0), next_move)
            if after is None:
                return world
            world = self.check(after)
            arriving = deque(bits(world.network))
            while arriving:
                delivered = self._deliver(world._replace(network=0), arriving.popleft())
                if delivered is not None:
                    arriving.extend(bits(delivered.network))
                    world = self.check(delivered)
            next_move = self._copying(world)
        return world._replace(network=0)

    def _copying(self, world: World) -> Move | None:
        for where, number in enumerate(world.sites):
            for kind in self.kinds_at(number):
                if kind in ("pump", "freeze", "replica_pump", "check"):
                    return Move(kind, where)
        return None

    def is_settled(self, world: World) -> bool:
        """Whether one RSU hosts and serves, the UAV knows it, and nothing is under way."""
        host_discovery = self.host_discoveries[world.host_discovery]
        sites = [self.sites[number] for number in world.sites]
        serving = [site.me for site in sites if site.replica_state.serves(world.now)]
        hosting = [site.me for site in sites if site.replica_state.record.status is Status.HOSTING]
        migrating = any(site.replica_state.outgoing is not None for site in sites)
        return host_discovery.stage is Stage.HOSTED and not migrating and serving == hosting == [host_discovery.host]

    # -- for people --------------------------------------------------------------------------------------------------

    def tell(self, move: Move) -> str:
        """A move in words."""
        if move.kind in ("deliver", "undone"):
            packet = self.packets[move.what]
            return f"{move.kind}: {packet.source} -> {packet.destination}: {packet.message}"
        return " ".join([move.kind, *(self.rsus[number] for number in (move.where, move.what) if number >= 0)])

    def describe(self, world: World) -> str:
        """A world in words."""
        parts = [str(self.sites[number]) for number in world.sites]
        return "\n  ".join([f"time {world.now}", *parts, str(self.host_discoveries[world.host_discovery])])


def bits(mask: int) -> Iterator[int]:
    """The places of the ones in a bit mask."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _is_dead(packet: Packet, site: Site, crashless: bool) -> bool:
    """Whether a packet can change nothing at a site any more, because sessions and epochs are used once."""
    message, record = packet.message, site.replica_state.record
    if isinstance(message, (Accept, Refuse, Ack, Prepared, Replicated)):
        under_way = [
            one.session for one in (site.replica_state.outgoing, site.replica_state.replication) if one is not None
        ]
        return message.session <= site.session and message.session not in under_way
    if isinstance(message, (Activated, Unprepared)):
        waiting = record.status is Status.LEAVING and record.epoch + 1 == message.epoch
        return message.epoch <= record.fence and not waiting
    if crashless and isinstance(
        message, (Offer, ReplicaOffer, Data, Prepare, Checkpoint, Cancel)
    ):  # a crash forgets the session
        return message.session < site.replica_state.session and site.replica_state.source == packet.source
    return False


def _digest(content: Content) -> bytes:
    return repr(content).encode()


def _is_within(part: Content, whole: Content) -> bool:
    """Whether `whole` is `part`, or what it became by later writes of the same term."""
    if not part or not whole:
        return not part
    (term, early), (same, late) = part[-1], whole[-1]
    return part[:-1] == whole[:-1] and term == same and early <= late


def _received(before: Content, event: Data, content: Content) -> Content:
    return content if event.after == 0 or _is_within(before, content) else MIXED


def _stored(site: Site, action: Any) -> Site:
    if isinstance(action, Adopt):
        return replace(site, own=site.arriving, arriving=())
    if isinstance(action, Keep):
        return replace(site, own=site.arriving)
    if isinstance(action, DropIncoming):
        return replace(site, arriving=())
    if isinstance(action, (DropOwn, Create)):
        return replace(site, own=())
    return site
