"""The migration protocol in virtual time: RSUs, one UAV and a hostile network, for `checker.py` to search.

The model runs the very transitions of `migration.py` and `finder.py`. Around them it has

- a network that never forgets: every message ever sent may arrive at any later time, any number of times, or never. So
  loss, repetition, delay and overtaking need no bounds of their own;
- RSUs that crash after any step, keeping their `Record` and nothing else; a UAV that crashes and keeps nothing;
- timers that fire whenever they like, and a clock that the leases hang on;
- disks that are lost, with all that was on its way to their RSUs;
- warm copies, at the RSU that the UAV names: what it heard to be confirmed must survive the host;
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
    Finder,
    FinderTiming,
    Stage,
    act,
    answer,
    hear,
    moving,
    recognition,
)
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Activated,
    Cancel,
    CancelRequest,
    Checkpoint,
    Data,
    HostReply,
    HostRequest,
    MigrateRequest,
    Offer,
    Prepare,
    Prepared,
    Presence,
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
    Custody,
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
    presence,
)
from uav_twin_migration.twin.protocol.source import revive

UAV = "uav"
FIRST = make_epoch(1)
UNBOUNDED = 1 << 30
PATIENCE = 20  # ticks for which a UAV waits for a warm copy: more than a search has, fewer than it takes to settle
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
    custody: Custody = field(default_factory=Custody)
    own: Content = ()
    arriving: Content = ()
    life: int = 1
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
    finder: int
    network: int  # bit mask of packets
    now: int  # ticks
    left: Left
    activated: int  # bit mask of the (epoch, RSU) that began
    acked: int  # content that was acknowledged, in the newest term
    promised: int = 0  # content that a warm copy has, as the UAV heard, in the newest term
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

    step: Callable[[Custody, Any, Context], Step] = step
    persist_first: bool = True  # False: what a step says may be heard although a crash undid the step
    lease: float = NEVER  # ticks
    rehost_after: float = NEVER  # ticks
    atomic_voice: bool = False  # True: a presence and the recognition that follows take no time, or are lost together
    sessions: int = UNBOUNDED  # of each RSU: offers and commits
    terms: int = UNBOUNDED  # that the UAV begins, its first included
    standby: str = ""  # the RSU that shall have a warm copy


class Model:
    """The moves and promises of a system of RSUs and one UAV."""

    def __init__(self, rsus: Sequence[str], rules: Rules | None = None) -> None:
        self.rsus, self.rules = tuple(rsus), rules or Rules()
        self.timing = Timing(self.rules.lease, *(NEVER,) * 8, keep_unwanted=0.0)
        self.finder_timing = FinderTiming(
            self.rules.rehost_after, self.rules.rehost_after, ask_again=0, tries=1, begin_anew_after=PATIENCE
        )
        self.sites: Interned[Site] = Interned()
        self.finders: Interned[Finder] = Interned()
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
        heard = Custody(heard_host=me, heard_epoch=FIRST)
        record = Record(Status.HOSTING, FIRST, mark=1, fence=FIRST)
        first = Site(me, replace(heard, record=record, lease_until=now + self.timing.lease), own=((FIRST, 1),))
        sites = (first, *(Site(rsu, heard) for rsu in self.rsus[1:]))
        finder = self._started(FIRST, now)
        finder = replace(finder, stage=Stage.HOSTED, host=me, epoch=FIRST, stamp=Stamp(1, now), heard_at=now)
        numbers = tuple(map(self.sites.number, sites))
        activated, acked = 1 << self.hostings.number((FIRST, me)), self.contents.number(first.own)
        return World(numbers, self.finders.number(finder), 0, now, left, activated, acked)

    def empty(self, left: Left) -> World:
        """Nobody hosts; the UAV has just started."""
        sites = tuple(self.sites.number(Site(rsu)) for rsu in self.rsus)
        return World(sites, self.finders.number(self._started(make_epoch(0), 0)), 0, 0, left, 0, 0)

    def _started(self, fence: int, now: int) -> Finder:
        return Finder(UAV, now, fence, candidates=self.rsus, standby=self.rules.standby)

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
        worth = self._addressed.get(UAV, 0) & ~self._idle.get((UAV, world.finder, world.now), 0)
        for where, number in enumerate(world.sites):
            name = self.rsus[where]
            worth |= self._addressed.get(name, 0) & ~self._idle.get((name, number, world.now), 0)
        return world.network & worth

    def kinds_at(self, number: int) -> Sequence[str]:
        """What may happen at a site besides the arrival of messages."""
        key = ("kinds", number)
        if key not in self._facts:
            self._facts[key] = tuple(self._work_out_kinds(self.sites[number].custody))
        kinds: Sequence[str] = self._facts[key]
        return kinds

    def _work_out_kinds(self, custody: Custody) -> Iterator[str]:
        outgoing = custody.outgoing
        yield "converse" if self.rules.atomic_voice else "announce"
        yield "crash"
        if custody.record.status is Status.HOSTING:
            yield "write"
        if custody.intake is not Intake.NONE:
            yield "forget"
        yield "lose"
        yield from self._work_out_replica_kinds(custody)
        if outgoing is None:
            return
        yield from ("timeout", "cancel")
        if outgoing.session:
            yield "break_"
        if outgoing.phase is Phase.COPYING:
            yield "pump" if outgoing.sent < custody.record.mark else "freeze"

    def _work_out_replica_kinds(self, custody: Custody) -> Iterator[str]:
        replication, mark = custody.replication, custody.record.mark
        if custody.unwanted_at < NEVER:
            yield "unwanted"
        if replication is None:
            return
        yield "replica_timeout"
        if replication.copying and replication.sent < mark:
            yield "replica_pump"
        elif replication.copying and custody.replica_mark < mark and replication.checked < mark:
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
            part, after = world.finder, self._with_finder(world, ("hear", number, world.now), self._heard)
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
        """The world after the UAV may have heard of a warm copy."""
        if after is None or not self.rules.standby or after.finder == before.finder:
            return after
        finder = self.finders[after.finder]
        newest = max((self.hostings[number][0] for number in bits(before.activated)), default=0)
        for number in before.sites if term_of(finder.replica_epoch) == term_of(newest) else ():
            own = self.sites[number].own
            if own and term_of(own[-1][0]) == term_of(newest) and own[-1][1] >= finder.replica_mark:
                content = (*own[:-1], (own[-1][0], finder.replica_mark))
                if _is_within(self.contents[after.promised], content):
                    return after._replace(promised=self.contents.number(content))
        return after

    def _lose(self, world: World, where: int) -> World:
        """An RSU begins anew with an empty disk. What was under way to it, or in its name, has nobody any more."""
        site = Site(self.rsus[where], life=self.sites[world.sites[where]].life + 1)
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
        key = (world.finder, world.sites[where], world.now)
        if key not in self._facts:
            self._facts[key] = self._work_out_conversation(*key)
        finder, heard = self._facts[key]
        after = world if finder == world.finder else world._replace(finder=finder)
        for number in heard:
            after = self._deliver(after, number) or after
        return None if after is world else after

    def _work_out_conversation(self, finder_number: int, site: int, now: int) -> tuple[int, Sequence[int]]:
        finder = self.finders[finder_number]
        said = presence(self.sites[site].custody, self._context(self.sites[site], now))
        if said is not None:
            finder = self._hear(finder, said, now)
        heard = self._mask([Packet(UAV, rsu, recognition(finder)) for rsu in self.rsus])
        return self.finders.number(finder), list(bits(heard))

    # -- what the UAV does -------------------------------------------------------------------------------------------

    def _at_uav(self, world: World, move: Move) -> World | None:
        finder = self.finders[world.finder]
        if move.kind == "act":
            return self._with_finder(world, ("act", world.now), self._acted)
        if move.kind == "say":
            said = recognition(finder)
            return self._sent(world, self._mask([Packet(UAV, rsu, said) for rsu in self.rsus]))
        if move.kind == "migrate":
            return self._migrate(world, finder, self.rsus[move.what])
        fence = next_term(finder.fence)  # as by a clock: above all of its earlier lives
        if term_of(fence) > self.rules.terms:
            return None
        return world._replace(finder=self.finders.number(self._started(fence, world.now)))

    def _migrate(self, world: World, finder: Finder, target: str) -> World | None:
        if finder.stage is not Stage.HOSTED or finder.host == target:
            return None
        request = Packet(UAV, finder.host, MigrateRequest(UAV, finder.epoch, target))
        return self._sent(world._replace(finder=self.finders.number(moving(finder, target))), self._mask([request]))

    def _with_finder(
        self, world: World, key: tuple[Any, ...], work_out: Callable[[Finder, tuple[Any, ...]], tuple[Finder, int]]
    ) -> World | None:
        known = self._facts.get((world.finder, key))
        if known is None:
            finder, packets = work_out(self.finders[world.finder], key)
            beyond = term_of(finder.fence) > self.rules.terms and not self._calm
            known = (world.finder, 0) if beyond else (self.finders.number(finder), packets)
            self._facts[world.finder, key] = known
        number, packets = known
        if number == world.finder:
            return self._sent(world, packets)
        return world._replace(finder=number, network=world.network | packets)

    def _heard(self, finder: Finder, key: tuple[Any, ...]) -> tuple[Finder, int]:
        message, now = self.packets[key[1]].message, key[2]
        if isinstance(message, Presence):
            return self._hear(finder, message, now), 0
        assert isinstance(message, HostReply)
        return answer(finder, message, now), 0

    def _hear(self, finder: Finder, said: Presence, now: int) -> Finder:
        finder = hear(finder, said, now)
        return finder if self.rules.rehost_after < NEVER else replace(finder, heard=())  # it chooses nobody anyway

    def _acted(self, finder: Finder, key: tuple[Any, ...]) -> tuple[Finder, int]:
        finder, requests = act(finder, key[1], self.finder_timing)
        return finder, self._mask([Packet(UAV, request.rsu, request) for request in requests])

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
                raise BrokenPromiseError(f"{self.rsus[where]} goes on without what a warm copy was said to have")
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
            said = presence(site.custody, self._context(site, now))
            return None if said is None else Effect(self.sites.number(site), self._mask([Packet(site.me, UAV, said)]))
        if kind == "deliver":
            packet = self.packets[event[1]]
            context = self._context(site, now, packet.source, packet.message)
            return self._stepped(site, packet.message, packet.content, context)
        return self._stepped(site, self._own_event(site, kind), (), self._context(site, now))

    def _own_event(self, site: Site, kind: str) -> Any:
        mark, outgoing = site.custody.record.mark, site.custody.outgoing
        events = {
            "write": Wrote(mark + 1),
            "forget": IntakeTimeout(),
            "timeout": Timeout(),
            "break_": LinkDown(outgoing.session if outgoing else 0),
            "cancel": CancelRequest(UAV),
            "pump": Sent(mark),
            "freeze": Freeze(_digest(site.own)),
            "unwanted": StandbyTimeout(),
            "replica_timeout": ReplicaTimeout(),
            "replica_pump": ReplicaSent(mark),
            "check": Check(_digest(site.own)),
        }
        return events[kind]

    def _context(self, site: Site, now: int, peer: str = "", event: Any = None) -> Context:
        verified = not isinstance(event, (Prepare, Checkpoint)) or event.digest == _digest(site.arriving)
        return Context(site.me, UAV, now, peer, site.life, site.session + 1, self.timing, verified=verified)

    def _crashed(self, site: Site, now: int) -> Site:
        site = replace(site, custody=Custody(site.custody.record), life=site.life + self._ages)
        return replace(site, custody=revive(site.custody, self._context(site, now)))

    def _stepped(self, site: Site, event: Any, content: Content, context: Context) -> Effect | None:
        custody, actions = self.rules.step(site.custody, event, context)
        after = replace(site, custody=custody)
        if custody.outgoing is not None:
            session = max(site.session, custody.outgoing.session)
            if session > self.rules.sessions and not self._calm:
                return None
            outgoing = replace(custody.outgoing, attempts=0)  # which only lengthens the next wait
            after = replace(after, custody=replace(custody, outgoing=outgoing), session=session)
        replication = custody.replication
        if replication is not None:
            session = max(after.session, replication.session)
            if session > self.rules.sessions and not self._calm:
                return None
            custody = replace(after.custody, replication=replace(replication, attempts=0))
            after = replace(after, custody=custody, session=session)
        if isinstance(event, Data) and custody.record.incoming != site.custody.record.incoming:
            after = replace(after, arriving=_received(site.arriving, event, content))
        packets = [Packet(site.me, action.peer, action.message) for action in actions if isinstance(action, Send)]
        packets += [Packet(site.me, UAV, action.reply) for action in actions if isinstance(action, Answer)]
        if isinstance(event, Sent):
            assert site.custody.outgoing is not None
            packets.append(self._chunks(site, event.mark, site.custody.outgoing))
        if isinstance(event, ReplicaSent):
            assert site.custody.replication is not None
            packets.append(self._chunks(site, event.mark, site.custody.replication))
        for action in actions:
            after = _stored(after, action)
        fresh = site.custody.record.incoming is None or DropIncoming() in actions
        if isinstance(event, (Offer, ReplicaOffer)) and fresh:
            incoming = custody.record.incoming
            after = replace(after, arriving=site.own if incoming is not None and incoming.base else ())
        return self._effect(site, after, event, packets)

    def _chunks(self, site: Site, mark: int, to: Outgoing | Replication) -> Packet:
        return Packet(site.me, to.target, Data(UAV, to.session, to.sent, mark), site.own)

    def _effect(self, before: Site, after: Site, event: Any, packets: Sequence[Packet]) -> Effect:
        record = after.custody.record
        if isinstance(event, Wrote):
            after = replace(after, own=(*after.own[:-1], (after.own[-1][0], record.mark)))
        began = record.status is Status.HOSTING and record.epoch != before.custody.record.epoch
        new_term = began and isinstance(event, HostRequest)
        if new_term:
            after = replace(after, own=(*after.own, (record.epoch, record.mark)))
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
            epoch = self.sites[world.sites[where]].custody.record.epoch
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
            self._facts[key] = self.sites[number].custody.serves(now)
        return bool(self._facts[key])

    def _covers(self, number: int, acked: int) -> bool:
        """Whether a whole copy on this RSU's disk has everything in the content `acked`."""
        key = ("covers", number, acked)
        if key not in self._facts:
            site, content = self.sites[number], self.contents[acked]
            own = site.custody.record.status is not Status.ABSENT and _is_within(content, site.own)
            arrived = site.custody.intake is Intake.PREPARED and _is_within(content, site.arriving)
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
        finder = self.finders[world.finder]
        sites = [self.sites[number] for number in world.sites]
        serving = [site.me for site in sites if site.custody.serves(world.now)]
        hosting = [site.me for site in sites if site.custody.record.status is Status.HOSTING]
        migrating = any(site.custody.outgoing is not None for site in sites)
        return finder.stage is Stage.HOSTED and not migrating and serving == hosting == [finder.host]

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
        return "\n  ".join([f"time {world.now}", *parts, str(self.finders[world.finder])])


def bits(mask: int) -> Iterator[int]:
    """The places of the ones in a bit mask."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _is_dead(packet: Packet, site: Site, crashless: bool) -> bool:
    """Whether a packet can change nothing at a site any more, because sessions and epochs are used once."""
    message, record = packet.message, site.custody.record
    if isinstance(message, (Accept, Refuse, Ack, Prepared, Replicated)):
        under_way = [one.session for one in (site.custody.outgoing, site.custody.replication) if one is not None]
        return message.session <= site.session and message.session not in under_way
    if isinstance(message, (Activated, Unprepared)):
        waiting = record.status is Status.LEAVING and record.epoch + 1 == message.epoch
        return message.epoch <= record.fence and not waiting
    if crashless and isinstance(
        message, (Offer, ReplicaOffer, Data, Prepare, Checkpoint, Cancel)
    ):  # a crash forgets the session
        return message.session < site.custody.session and site.custody.source == packet.source
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
