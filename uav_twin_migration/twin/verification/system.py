"""RSUs and a network between them: what an event does to a world of the model (`model.py`), worked out once each."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from uav_twin_migration.twin.protocol.epochs import (
    format_epoch,
)
from uav_twin_migration.twin.protocol.host_discovery import (
    HostDiscovery,
    HostDiscoveryTiming,
)
from uav_twin_migration.twin.protocol.replica_state import NEVER, Timing
from uav_twin_migration.twin.verification.rsu import (
    REFUSALS,
    Outcome,
    Rsu,
    is_dead,
    is_prepared,
    is_whole,
)
from uav_twin_migration.twin.verification.world import (
    PATIENCE,
    UAV,
    UNBOUNDED,
    BrokenPromiseError,
    Content,
    Interned,
    Packet,
    Promise,
    Rules,
    Site,
    World,
    bits,
    is_within,
)


class Effect(NamedTuple):
    """What an event did to a site."""

    site: int
    packets: int  # bit mask
    activated: int = -1  # what began, if anything
    new_term: bool = False


class System:
    """The parts of all worlds, and what becomes of a world when something happens at an RSU."""

    def __init__(self, rsus: Sequence[str], rules: Rules | None = None) -> None:
        self.rsus, self.rules = tuple(rsus), rules or Rules()
        self.timing = Timing(self.rules.lease, 0, 0, 0, 0, 0, NEVER, 0, 0, 0, 0)  # timers fire whenever they like
        self._rsu = Rsu(self.rules, self.timing)
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
        self._calm = False  # whether bounds are off
        self._addressed: dict[str, int] = {}  # name -> mask of the packets to it
        self._idle: dict[tuple[str, int, int], int] = {}  # (name, part, time) -> packets known to change nothing there
        self._dead: dict[tuple[tuple[int, ...], bool], tuple[int, int]] = {}  # of sites: packets seen, found dead
        self._effects: dict[Hashable, Effect | None] = {}
        self._facts: dict[Hashable, Any] = {}

    def kinds_at(self, number: int) -> Sequence[str]:
        """What may happen at a site besides the arrival of messages."""
        key = ("kinds", number)
        if key not in self._facts:
            self._facts[key] = tuple(self._rsu.kinds(self.sites[number].replica_state))
        kinds: Sequence[str] = self._facts[key]
        return kinds

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
            how = f"epoch {format_epoch(epoch)} began a second time, at {self.rsus[where]}"
            self._break(Promise.ONCE, how)
        if effect.new_term and epoch > max(begun, default=-1):
            own = self.sites[effect.site].own
            if not is_within(self.contents[world.promised], own[:-1]):
                self._break(Promise.REPLICA, f"{self.rsus[where]} goes on without what a replica was said to have")
            acked = own if is_whole(self.sites[effect.site]) else ()  # of half a twin nothing is acknowledged
            world = world._replace(acked=self.contents.number(acked), promised=0)
        return world._replace(activated=world.activated | 1 << effect.activated)

    def _break(self, promise: Promise, how: str) -> None:
        if promise not in self.rules.waived:
            raise BrokenPromiseError(promise, how)

    def _work_out(self, site: Site, event: tuple[Any, ...], now: int) -> Effect | None:
        kind = event[0]
        if len(event) == 1:
            outcome = self._rsu.happened(site, kind, now)
        elif kind == "undone":
            outcome = self._rsu.undone(site, self.packets[event[1]], now)
        else:
            outcome = self._rsu.delivered(site, self.packets[event[1]], now, REFUSALS.get(kind))
        return None if outcome is None else self._effect(outcome)

    def _effect(self, outcome: Outcome) -> Effect:
        site, packets, began, new_term = outcome
        activated = self.hostings.number((began, site.me)) if began else -1
        return Effect(self.sites.number(site), self._mask(packets), activated, new_term)

    # -- the network -------------------------------------------------------------------------------------------------

    def on_their_way(self, packets: Iterable[Packet]) -> int:
        """A network of these."""
        return self._mask(packets)

    def _mask(self, packets: Iterable[Packet]) -> int:
        mask = 0
        for packet in packets:
            if packet.destination != UAV and packet.destination not in self.rsus:
                continue  # to a liar, which says what it likes anyway
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
                    dead |= is_dead(packet, site, crashless=key[1]) << number
            self._dead[key] = seen | network, dead
        return network & ~dead

    # -- what is on disks --------------------------------------------------------------------------------------------

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
            own = is_whole(site) and is_within(content, site.own)
            arrived = is_prepared(site) and is_within(content, site.inbound)
            self._facts[key] = own or arrived
        return bool(self._facts[key])
