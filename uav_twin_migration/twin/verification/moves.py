"""What may happen in the model (`model.py`), and how the world is after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from uav_twin_migration.twin.protocol.epochs import (
    make_epoch,
    next_term,
    term_of,
)
from uav_twin_migration.twin.protocol.host_discovery import (
    HostDiscovery,
    Stage,
    act,
    answer,
    hear,
    lease_renewal,
    moving,
)
from uav_twin_migration.twin.protocol.messages import (
    HostHeartbeat,
    HostReply,
    HostRequest,
    MigrateRequest,
    Offer,
    Stamp,
)
from uav_twin_migration.twin.protocol.replica_state import NEVER, Record, ReplicaState, Status
from uav_twin_migration.twin.verification.rsu import (
    REFUSALS,
)
from uav_twin_migration.twin.verification.system import System
from uav_twin_migration.twin.verification.world import (
    FIRST,
    UAV,
    Left,
    Move,
    Packet,
    Site,
    World,
    bits,
    is_within,
)

BOUNDS = {"undone": "crash", "busy": "refuse", "full": "refuse"}  # what of `Left` a move uses up, if not its own name


class Moves(System):
    """The moves of a system of RSUs and one UAV."""

    # -- where it begins ---------------------------------------------------------------------------------------------

    def hosted(self, left: Left) -> World:
        """The first RSU hosts the twin and the UAV recognises it; all RSUs have heard so."""
        me, now = self.rsus[0], 0
        heard = ReplicaState(heard_host=me, heard_epoch=FIRST)
        record = Record(Status.HOSTING, FIRST, version=1, newest_epoch=FIRST)
        first = Site(me, replace(heard, record=record, lease_until=now + self.timing.lease), own=((FIRST, 1),))
        sites = (first, *(Site(rsu, heard) for rsu in self.rsus[1:]))
        host_discovery = self._started(FIRST, now)
        host_discovery = replace(
            host_discovery, stage=Stage.HOSTED, host=me, hosts=(me,), epoch=FIRST, stamp=Stamp(1, now), heard_at=now
        )
        numbers = tuple(map(self.sites.number, sites))
        activated, acked = 1 << self.hostings.number((FIRST, me)), self.contents.number(first.own)
        return World(numbers, self.host_discoveries.number(host_discovery), 0, now, left, activated, acked)

    def empty(self, left: Left) -> World:
        """Nobody hosts; the UAV has just started."""
        sites = tuple(self.sites.number(Site(rsu)) for rsu in self.rsus)
        return World(sites, self.host_discoveries.number(self._started(make_epoch(0), 0)), 0, 0, left, 0, 0)

    def _started(self, newest_epoch: int, now: int) -> HostDiscovery:
        return HostDiscovery(UAV, now, newest_epoch, candidates=self.rsus, replica_host=self.rules.replica_host)

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
        if world.left.refuse > 0:
            for number in bits(self.worth_delivering(world)):
                if self.is_request(number):
                    yield from (Move(kind, what=number) for kind in REFUSALS)
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

    def after(self, world: World, move: Move) -> World | None:
        """The world after a move; None where that changes nothing, or cannot be."""
        bound = BOUNDS.get(move.kind, move.kind)
        if bound in Left._fields:
            remaining = getattr(world.left, bound)
            if remaining <= 0:
                return None
            world = world._replace(left=world.left._replace(**{bound: remaining - 1}))
        if move.kind == "deliver":
            return self._promised(world, self._deliver(world, move.what))
        if move.kind in ("undone", *REFUSALS):
            return self._elsewise(world, move.kind, move.what)
        if move.kind in ("write", "fill"):
            return self._write(world, move.where, move.kind)
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

    def is_request(self, number: int) -> bool:
        """Whether a packet is something that an RSU may have no room for."""
        return isinstance(self.packets[number].message, (Offer, HostRequest))

    def _elsewise(self, world: World, kind: str, number: int) -> World | None:
        """A message arrives where there is no room, or where a crash undoes what it did."""
        name = self.packets[number].destination
        return None if name == UAV else self._apply(world, self.rsus.index(name), (kind, number))

    def _write(self, world: World, where: int, kind: str) -> World | None:
        """A change is acknowledged, or the first snapshot is all written: from now on it must be on a disk."""
        if kind == "write" and not self._serves(world.sites[where], world.now):
            return None
        after = self._apply(world, where, (kind,))
        if after is None or (kind == "fill" and self._is_old_term(after, where)):
            return after
        return after._replace(acked=self.contents.number(self.sites[after.sites[where]].own))

    def _is_old_term(self, world: World, where: int) -> bool:
        epoch = self.sites[world.sites[where]].replica_state.record.epoch
        return any(term_of(self.hostings[number][0]) > term_of(epoch) for number in bits(world.activated))

    def _promised(self, before: World, after: World | None) -> World | None:
        """The world after the UAV may have heard of a replica."""
        if after is None or not self.rules.replica_host or after.host_discovery == before.host_discovery:
            return after
        host_discovery = self.host_discoveries[after.host_discovery]
        newest = max((self.hostings[number][0] for number in bits(before.activated)), default=0)
        for number in before.sites if term_of(host_discovery.replica_epoch) == term_of(newest) else ():
            own = self.sites[number].own
            if own and term_of(own[-1][0]) == term_of(newest) and own[-1][1] >= host_discovery.replica_version:
                content = (*own[:-1], (own[-1][0], host_discovery.replica_version))
                if is_within(self.contents[after.promised], content):
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
        said = self._rsu.heartbeat(self.sites[site], now)
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
        newest_epoch = next_term(host_discovery.newest_epoch)  # as by a clock: above all of its earlier incarnations
        if term_of(newest_epoch) > self.rules.terms:
            return None
        return world._replace(host_discovery=self.host_discoveries.number(self._started(newest_epoch, world.now)))

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
            beyond = term_of(host_discovery.newest_epoch) > self.rules.terms and not self._calm
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
