"""The migration protocol under the model checker: small bounds exhaustively, larger ones at random.

`uavtwin bench protocol` does the same with larger bounds and 200,000 random schedules.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from uav_twin_migration.twin.protocol.epochs import make_epoch
from uav_twin_migration.twin.protocol.messages import Ack
from uav_twin_migration.twin.protocol.migration import step
from uav_twin_migration.twin.protocol.replica_state import (
    NEVER,
    Context,
    Filled,
    Phase,
    Record,
    ReplicaState,
    Status,
    Step,
    Timeout,
    Timer,
    with_record,
)
from uav_twin_migration.twin.verification.checker import explore, wander
from uav_twin_migration.twin.verification.model import Model
from uav_twin_migration.twin.verification.world import (
    BrokenPromiseError,
    Left,
    Rules,
)

RSUS = ("source", "target")
PLENTY = 1_000_000
FREE = Left(*[PLENTY] * len(Left._fields))._replace(lose=0)


@pytest.mark.parametrize(
    ("rules", "left", "least"),
    [
        pytest.param(
            Rules(atomic_voice=True, terms=1, sessions=2), Left(crash=1, write=1), 8_000, id="crash-and-write"
        ),
        pytest.param(
            Rules(atomic_voice=True, terms=1, sessions=3), Left(crash=1, write=0, forget=1), 20_000, id="forgotten-copy"
        ),
        pytest.param(
            Rules(atomic_voice=True, terms=1, sessions=2), Left(crash=1, write=0, migrate=2), 4_000, id="to-and-fro"
        ),
        pytest.param(
            Rules(atomic_voice=True, terms=1, sessions=2),
            Left(crash=0, write=1, refuse=1, unfund=1),
            4_000,
            id="refusals-and-lapsed-bandwidth",
        ),
        pytest.param(Rules(terms=1, sessions=2), Left(crash=0, write=0, migrate=2), 60_000, id="late-lease renewals"),
        pytest.param(
            Rules(atomic_voice=True, lease=1, rehost_after=1, sessions=2, terms=2),
            Left(crash=0, write=1, tick=1),
            7_000,
            id="re-hosting",
        ),
    ],
)
def test_every_promise_holds_in_every_state(rules: Rules, left: Left, least: int) -> None:
    model = Model(RSUS, rules)
    found = explore(model, model.hosted(left))
    assert found.states > least
    begun = {epoch for epoch, _ in model.hostings.values}
    assert make_epoch(1, left.migrate) in begun  # the bounds leave room for what is to be checked
    assert (make_epoch(2) in begun) == (rules.terms > 1)


REPLICATED = Rules(atomic_voice=True, replica_host="target")  # the target shall have a replica
FILLING = replace(REPLICATED, lease=1, rehost_after=1, terms=1, sessions=1)
LOSING = replace(REPLICATED, lease=1, rehost_after=1, terms=2, sessions=1)


@pytest.mark.parametrize(
    ("rules", "left", "least"),
    [
        pytest.param(replace(REPLICATED, terms=1, sessions=1), Left(crash=1, migrate=0), 4_000, id="crash-and-write"),
        pytest.param(replace(REPLICATED, terms=1, sessions=2), Left(crash=0), 3_500, id="migration-to-the-replica"),
        pytest.param(LOSING, Left(crash=0, write=0, migrate=0, tick=1, lose=1), 4_500, id="lost-disk"),
    ],
)
def test_every_promise_holds_where_there_is_a_replica(rules: Rules, left: Left, least: int) -> None:
    model = Model(RSUS, rules)
    found = explore(model, model.hosted(left))
    assert found.states > least
    copies = {site.replica_state.record.status for site in model.sites.values if site.me == "target"}
    assert Status.REPLICA in copies
    assert (Status.HOSTING in copies) == bool(left.migrate or left.lose)


@pytest.mark.parametrize("seed", range(0, 400, 100))
def test_what_a_replica_has_survives_a_lost_disk_in_random_schedules(seed: int) -> None:
    for number in range(seed, seed + 100):
        model = Model("ABC", Rules(lease=3, rehost_after=4, replica_host="B"))
        left = FREE._replace(lose=1, uav_crash=0)  # a UAV that forgets where the copy is may begin its twin anew
        wander(model, [model.hosted(left), model.empty(left)], number, length=60)


@pytest.mark.parametrize("seed", range(0, 600, 100))
def test_every_promise_holds_in_random_schedules(seed: int) -> None:
    for number in range(seed, seed + 100):
        model = Model("ABC", Rules(lease=3, rehost_after=4))
        wander(model, [model.hosted(FREE), model.empty(FREE)], number, length=60)


def search(rules: Rules, seed: int = 0) -> None:
    """Random schedules until one breaks a promise."""
    for number in range(seed, seed + 1000):
        model = Model("ABC", rules)
        wander(model, [model.hosted(FREE)], number, length=60)


def test_a_random_schedule_is_reproduced_by_its_seed() -> None:
    def traced(seed: int) -> str:
        with pytest.raises(BrokenPromiseError) as caught:
            search(Rules(lease=3, rehost_after=1), seed)
        return str(caught.value)

    first = traced(0)
    found = re.search(r"seed (\d+)", first)
    assert found is not None
    assert traced(int(found[1])) == first == traced(0)


# -- protocols that are broken on purpose ------------------------------------------------------------------------------


def forgets_the_tombstone(replica_state: ReplicaState, event: Any, context: Context) -> Step:
    """An RSU that remembers nothing of a twin that moved on."""
    replica_state, actions = step(replica_state, event, context)
    if replica_state.record.status is Status.ABSENT and replica_state.record.inbound is None:
        replica_state = replace(replica_state, record=Record())
    return replica_state, actions


def takes_the_twin_back(replica_state: ReplicaState, event: Any, context: Context) -> Step:
    """A source that serves again when the target does not answer its commit."""
    if event == Timeout(Timer.MIGRATION) and replica_state.place is Phase.HANDING_OVER:
        return replace(with_record(replica_state, status=Status.HOSTING, target=""), migration=None), ()
    return step(replica_state, event, context)


def believes_in_half_a_copy(replica_state: ReplicaState, event: Any, context: Context) -> Step:
    """A host that takes every acknowledgement for a whole replica."""
    replica_state, actions = step(replica_state, event, context)
    if isinstance(event, Ack) and replica_state.replication is not None:
        replica_state = replace(replica_state, replica=context.peer, replica_version=event.version)
    return replica_state, actions


def offers_half_a_twin(replica_state: ReplicaState, event: Any, context: Context) -> Step:
    """A host that makes copies of a twin whose first snapshot is not all written."""
    filling = replica_state.record.filling and not isinstance(event, Filled)
    after, actions = step(with_record(replica_state, filling=False) if filling else replica_state, event, context)
    return with_record(after, filling=filling or after.record.filling), actions


def waits_for_ever(replica_state: ReplicaState, event: Any, context: Context) -> Step:
    """A source that sets no timer for the answer to its offer."""
    replica_state, actions = step(replica_state, event, context)
    migration = replica_state.migration
    if migration is not None and migration.phase is Phase.OFFERING:
        replica_state = replace(replica_state, migration=replace(migration, deadline=NEVER))
    return replica_state, actions


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        pytest.param(
            Rules(waits_for_ever, atomic_voice=True, terms=1, sessions=1), Left(crash=0, write=0), id="waits-for-ever"
        ),
        pytest.param(
            replace(LOSING, step=believes_in_half_a_copy),
            Left(crash=0, write=0, migrate=0, tick=1, lose=1),
            id="half-a-copy",
        ),
        # what it says is heard although a crash undid it: it activated, and spoke, before that was on the disk
        pytest.param(
            Rules(atomic_voice=True, terms=1, sessions=2, persist_first=False), Left(crash=1), id="speaks-too-early"
        ),
        pytest.param(
            Rules(forgets_the_tombstone, terms=1, sessions=2), Left(crash=0, write=0, migrate=2), id="no-tombstone"
        ),
        pytest.param(
            Rules(takes_the_twin_back, atomic_voice=True, terms=1, sessions=2), Left(crash=0), id="takes-it-back"
        ),
        pytest.param(
            Rules(atomic_voice=True, lease=2, rehost_after=1, sessions=2, terms=2),
            Left(crash=0, write=0, tick=1),
            id="re-hosts-too-early",
        ),
    ],
)
def test_the_checker_finds_what_is_wrong_with_a_broken_protocol(rules: Rules, left: Left) -> None:
    model = Model(RSUS, rules)
    with pytest.raises(BrokenPromiseError) as caught:
        explore(model, model.hosted(left))
    assert caught.value.trace


def test_the_checker_finds_that_half_a_twin_is_sent() -> None:
    model = Model(RSUS, replace(FILLING, step=offers_half_a_twin))
    with pytest.raises(BrokenPromiseError, match="not whole"):
        explore(model, model.empty(Left(crash=0, write=0, tick=1)))


def test_every_promise_holds_while_a_twin_is_filled() -> None:
    model = Model(RSUS, FILLING)
    found = explore(model, model.empty(Left(crash=1, write=0, tick=1)))
    assert found.states > 5_000
    statuses = {(site.replica_state.record.status, site.replica_state.record.filling) for site in model.sites.values}
    assert {(Status.HOSTING, True), (Status.HOSTING, False), (Status.REPLICA, False)} <= statuses


@pytest.mark.parametrize("rules", [Rules(takes_the_twin_back, lease=3, rehost_after=4), Rules(lease=3, rehost_after=1)])
def test_random_schedules_find_broken_protocols_too(rules: Rules) -> None:
    with pytest.raises(BrokenPromiseError):
        search(rules)
