"""A model checker for the migration protocol: every reachable state within bounds, and random schedules.

`model.py` has the model and its promises.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

from uav_twin_migration.twin.verification.model import Model
from uav_twin_migration.twin.verification.rsu import COPYING, REFUSALS
from uav_twin_migration.twin.verification.world import (
    BrokenPromiseError,
    Move,
    World,
    bits,
)


class Found(NamedTuple):
    """What a search went through."""

    states: int
    moves: int


def explore(
    model: Model,
    start: World,
    settle: bool = True,
    tell: Callable[[int], None] | None = None,
    most: float = math.inf,
) -> Found:
    """Visit every reachable state, nearest first. Raises BrokenPromiseError with the shortest moves that lead to one.

    settle: from each state, also end the faults and wait for rest.
    tell: is called now and then with the number of states so far.
    most: states after which it ends; all that were not seen are farther away.
    """
    came: dict[int, tuple[int, Move | None]] = {_fingerprint(start): (0, None)}
    rested: set[World] = set()
    frontier, moves = deque([start]), 0
    while frontier and len(came) < most:
        world = frontier.popleft()
        here = _fingerprint(world)
        for move in model.moves(world):
            moves += 1
            try:
                after = model.after(world, move)
                if after is None:
                    continue
                there = _fingerprint(after)
                if there in came:
                    continue
                came[there] = here, move
                model.check(after)
                calm = after._replace(network=0, left=start.left)
                if settle and calm not in rested:
                    rested.add(calm)
                    model.settle(after)
            except BrokenPromiseError as violation:
                trace = map(model.tell, _path(came, here, move))
                raise BrokenPromiseError(violation.promise, violation.how, trace) from None
            frontier.append(after)
            if tell is not None and len(came) % 10_000 == 0:
                tell(len(came))
    return Found(len(came), moves)


def wander(model: Model, starts: Sequence[World], seed: int, length: int = 100) -> Found:
    """One random schedule of `length` moves, then rest. Raises BrokenPromiseError with its moves.

    The seed alone makes the schedule if the model is new: what it remembers of others leads it elsewhere.

    starts: a world for each twin. They share RSUs and time: a crash hits all.
    """
    chance = random.Random(seed)
    worlds, tries = list(starts), 0
    trace: list[tuple[int, Move]] = []
    try:
        while len(trace) < length and tries < 4 * length:
            tries += 1
            twin = chance.randrange(len(worlds))
            move = _draw(model, worlds[twin], chance)
            trace.append((twin, move))
            if not _make(model, worlds, twin, move):
                trace.pop()
        for world in worlds:
            model.settle(world)
    except BrokenPromiseError as violation:
        moves = [f"twin {twin}: {model.tell(move)}" for twin, move in trace]
        raise BrokenPromiseError(violation.promise, violation.how, [f"seed {seed}", *moves]) from None
    return Found(len(trace), tries)


def _make(model: Model, worlds: list[World], twin: int, move: Move) -> bool:
    """Make a move in the twin's world, or in all where it is not the twin's alone. Whether it changed anything."""
    changed = False
    for number in range(len(worlds)) if move.kind in ("crash", "tick", "lose") else (twin,):
        after = model.after(worlds[number], move)
        if after is not None:
            worlds[number] = model.check(after)
            changed = True
    return changed


LIKELIHOOD = {
    "announce": 6.0,
    "say": 5.0,
    "act": 3.0,
    "migrate": 3.0,
    "write": 4.0,
    "tick": 2.0,
    "timeout": 1.5,
    "crash": 0.5,
    "cancel": 0.3,
    "forget": 0.3,
    "break_": 0.5,
    "uav_crash": 0.1,
    "replica_timeout": 0.5,
    "lose": 0.1,
    "unwanted": 0.1,
    "unfund": 0.1,
    "fund": 1.0,
    "unfunded": 0.3,
}
_KINDS = list(LIKELIHOOD)
_LIKELIHOODS = list(accumulate(LIKELIHOOD.values()))
_AT_UAV = {"say", "act", "tick", "uav_crash"}


def _draw(model: Model, world: World, chance: random.Random) -> Move:
    """A random move: most often one that gets a migration on, and of the messages most often a new one."""
    where = chance.randrange(len(model.rsus))
    worth = model.worth_delivering(world)
    if worth and chance.random() < 0.6:
        what = _newest(worth, chance) if chance.random() < 0.7 else chance.choice(list(bits(worth)))
        full = world.left.refuse > 0 and chance.random() < 0.1 and model.is_request(what)
        return Move(chance.choice(list(REFUSALS)) if full else "deliver", what=what)
    possible = model.kinds_at(world.sites[where])
    copying = [kind for kind in possible if kind in COPYING]
    if copying and chance.random() < 0.6:
        return Move(chance.choice(copying), where)
    kind = chance.choices(_KINDS, cum_weights=_LIKELIHOODS)[0]
    if kind == "migrate":
        return Move(kind, what=where)
    if kind in _AT_UAV:
        return Move(kind)
    return Move(kind if kind in possible else possible[0], where)


def _newest(mask: int, chance: random.Random) -> int:
    """One of the four highest places in a bit mask."""
    for _ in range(chance.randrange(4)):
        rest = mask ^ 1 << mask.bit_length() - 1
        mask = rest or mask
    return mask.bit_length() - 1


def _fingerprint(world: World) -> int:
    """64 bits that tell worlds apart. (An integer's own hash would take distant bits of a mask for each other.)"""
    network = world.network.to_bytes(world.network.bit_length() // 8 + 1, "little")
    return hash((world.sites, world.host_discovery, network, *world[3:]))


def _path(came: dict[int, tuple[int, Move | None]], here: int, last: Move) -> list[Move]:
    moves = [last]
    here, move = came[here]
    while move is not None:
        moves.append(move)
        here, move = came[here]
    return moves[::-1]
