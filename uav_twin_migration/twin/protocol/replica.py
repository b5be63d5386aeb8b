"""Replicas: which RSU is to have one, whether to keep the one that is here.

Theory of operation
===================

A UAV may want a replica of its twin on a second RSU, the *replica's host*, and says so with each lease renewal. The
host then begins an outbound transfer to it (outbound.py), once the twin's first snapshot is all written: before, nobody
can be told how large it will be. Whenever nothing is left to send, what the peer has is a whole twin: the host says so
with a `Checkpoint` and its digest, the peer verifies it, puts it on its disk as REPLICA, and answers `Verified`. From
then on only changes go. They lie beside the replica (an inbound transfer with `base`) until the next checkpoint makes
them part of it, so that the copy is whole at any moment.

Nothing here serves, and no epoch begins here. The replica's host takes over as any RSU does that has a copy: the UAV,
having heard nothing of the host for long enough, asks it to host under a new term (rehosting.py), and what it had at
its last checkpoint goes on. The host tells in its `HostHeartbeat` who has confirmed which version, so that the UAV asks
for no less than that (host_discovery.py).

Within a term a twin's versions are one history, whoever hosted: so a replica is of use to each of the term's hosts,
and to a migration that ends at the replica's host, which then takes changes alone. The source of such a migration keeps
its copy: the two change places. A copy of another term is replaced as a whole.

A replica is not given up before the UAV has for a while named another RSU.
"""

from __future__ import annotations

from uav_twin_migration.twin.protocol import outbound
from uav_twin_migration.twin.protocol.inbound import discard
from uav_twin_migration.twin.protocol.messages import Cancel, LeaseRenewal, Purpose
from uav_twin_migration.twin.protocol.records import replace
from uav_twin_migration.twin.protocol.replica_state import (
    NEVER,
    Context,
    DropOwn,
    OutboundTransfer,
    Phase,
    ReplicaState,
    Send,
    Status,
    Step,
    ignored,
    with_record,
)


def follow(replica_state: ReplicaState, context: Context) -> Step:
    """Begin, go on or cease to keep a replica, as the UAV wants."""
    record = replica_state.record
    if record.status is not Status.HOSTING or replica_state.place is Phase.FROZEN:
        return replica_state, ()
    moving_there = replica_state.migration is not None and replica_state.migration.target == replica_state.replica_host
    unwanted = moving_there or record.filling or replica_state.replica_host == context.me
    wanted = "" if unwanted else replica_state.replica_host
    replication = replica_state.replication
    if wanted == (replication.target if replication is not None else ""):
        return replica_state, ()
    replica_state, stopped = stop(replica_state, context)
    if not wanted:
        return replica_state, stopped
    replica_state, offered = outbound.offer(replica_state, OutboundTransfer(Purpose.REPLICATION, wanted), context)
    return replica_state, (*stopped, *offered)


def stop(replica_state: ReplicaState, context: Context) -> Step:
    """Keep no replica up to date any more."""
    replication = replica_state.replication
    if replication is None:
        return replica_state, ()
    replica_state = replace(replica_state, replication=None)
    if not replication.session or replica_state.replica_host == replication.target:
        return replica_state, ()  # what was sent will be of use
    return replica_state, (Send(replication.target, Cancel(context.uav, replication.session)),)


def named(replica_state: ReplicaState, event: LeaseRenewal, context: Context) -> ReplicaState:
    """The UAV told which RSU shall have a replica."""
    elsewhere = event.host not in ("", context.me) and event.replica_host != context.me
    if replica_state.record.status is not Status.REPLICA or event.replica_host == context.me:
        return replica_state if replica_state.unwanted_at == NEVER else replace(replica_state, unwanted_at=NEVER)
    if elsewhere and event.epoch >= replica_state.record.epoch and replica_state.unwanted_at == NEVER:
        return replace(replica_state, unwanted_at=context.now + context.timing.keep_unwanted)
    return replica_state


def unwanted(replica_state: ReplicaState, context: Context) -> Step:
    """Nobody has wanted the replica for a while; what remains is the newest epoch."""
    if replica_state.record.status is not Status.REPLICA:
        return ignored(replica_state, "unexpected")
    inbound = replica_state.record.inbound
    replica_state = replace(with_record(replica_state, status=Status.ABSENT, epoch=0, version=0), unwanted_at=NEVER)
    if inbound is None or not inbound.base:
        return replica_state, (DropOwn(),)
    replica_state, dropped = discard(replica_state)
    return replica_state, (*dropped, DropOwn())
