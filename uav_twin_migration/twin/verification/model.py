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

`Model.check` says which promise a state breaks. `Model.settle` ends the faults: the system must come to rest with
one serving host and no migration under way.

States must compare and hash fast: all parts of a world are interned as small integers, the network is a bit mask of
interned packets, and what a part does with an event is worked out once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from uav_twin_migration.twin.protocol.epochs import (
    format_epoch,
)
from uav_twin_migration.twin.protocol.host_discovery import (
    Stage,
)
from uav_twin_migration.twin.protocol.replica_state import Status
from uav_twin_migration.twin.verification.moves import Moves
from uav_twin_migration.twin.verification.rsu import (
    COPYING,
    REFUSALS,
    Rsu,
)
from uav_twin_migration.twin.verification.world import (
    BrokenPromiseError,
    Move,
    Promise,
    World,
    bits,
)


class Model(Moves):
    """The moves and promises of a system of RSUs and one UAV."""

    # -- what must hold ----------------------------------------------------------------------------------------------

    def check(self, world: World) -> World:
        """The world, if it keeps all promises; else raises BrokenPromiseError."""
        for promise, how in self._violations(world):
            if promise not in self.rules.waived:
                raise BrokenPromiseError(promise, how)
        return world

    def _violations(self, world: World) -> Iterator[tuple[Promise, str]]:
        """Which promises are broken in this state, and how. (That no epoch begins twice is seen when one begins.)"""
        serving = [where for where, number in enumerate(world.sites) if self._serves(number, world.now)]
        if len(serving) > 1:
            yield Promise.ONE, f"two RSUs serve at once: {', '.join(self.rsus[where] for where in serving)}"
        if any(map(self._sends_half_a_twin, world.sites)):
            yield Promise.WHOLE, "a copy is sent of a twin that is not whole"
        for where in serving:
            epoch = self.sites[world.sites[where]].replica_state.record.epoch
            newest = max(self.hostings[number][0] for number in bits(world.activated))
            if epoch < newest:
                how = f"{self.rsus[where]} serves under {format_epoch(epoch)}, {format_epoch(newest)} has begun"
                yield Promise.NEWEST, how
            if world.acked and not self._covers(world.sites[where], world.acked):
                yield Promise.SERVED, f"{self.rsus[where]} serves without something that was acknowledged"
        if (world.whole or world.promised) and not self._covered(world, world.acked):
            yield Promise.KEPT, "no disk has all that was acknowledged"

    def _sends_half_a_twin(self, number: int) -> bool:
        key = ("half", number)
        if key not in self._facts:
            replica_state = self.sites[number].replica_state
            self._facts[key] = replica_state.record.filling and bool(replica_state.outbound)
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
        if Promise.REST in self.rules.waived:
            return world
        raise BrokenPromiseError(Promise.REST, "it never comes to rest:\n  " + self.describe(world))

    def _undisturbed(self) -> Model:
        """This model without bounds; what lies beyond the bounds must not be remembered in the bounded one."""
        calm = Model.__new__(Model)
        calm.__dict__.update(self.__dict__)
        calm._calm, calm._prunes = True, False
        calm._rsu = Rsu(self.rules, self.timing, calm=True)
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
            for kind in ("fill", "unfunded", "timeout", "replica_timeout", *COPYING):
                if kind in self.kinds_at(world.sites[where]):
                    world = self._run(world, Move(kind, where))
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
                if kind in COPYING:
                    return Move(kind, where)
        return None

    def is_settled(self, world: World) -> bool:
        """Whether one RSU hosts and serves, the UAV knows it, and nothing is under way."""
        host_discovery = self.host_discoveries[world.host_discovery]
        sites = [self.sites[number] for number in world.sites]
        serving = [site.me for site in sites if site.replica_state.serves(world.now)]
        hosting = [site.me for site in sites if site.replica_state.record.status is Status.HOSTING]
        migrating = any(site.replica_state.migration is not None for site in sites)
        filling = any(site.replica_state.record.filling for site in sites if site.me == host_discovery.host)
        under_way = migrating or filling
        return host_discovery.stage is Stage.HOSTED and not under_way and serving == hosting == [host_discovery.host]

    # -- for people --------------------------------------------------------------------------------------------------

    def tell(self, move: Move) -> str:
        """A move in words."""
        if move.kind in ("deliver", "undone", *REFUSALS):
            packet = self.packets[move.what]
            return f"{move.kind}: {packet.source} -> {packet.destination}: {packet.message}"
        return " ".join([move.kind, *(self.rsus[number] for number in (move.where, move.what) if number >= 0)])

    def describe(self, world: World) -> str:
        """A world in words."""
        parts = [str(self.sites[number]) for number in world.sites]
        return "\n  ".join([f"time {world.now}", *parts, str(self.host_discoveries[world.host_discovery])])
