"""The source of a migration: transitions of the RSU that hosts a twin and hands it over. See `migration.py`.

How the copy gets to the target is in `outbound.py`."""

from __future__ import annotations

from uav_twin_migration.twin.protocol import outbound, replica
from uav_twin_migration.twin.protocol.epochs import may_hand_over
from uav_twin_migration.twin.protocol.messages import (
    Activated,
    CancelRequest,
    Commit,
    Fenced,
    MigrateRequest,
    Purpose,
    Reason,
    Unprepared,
    Verified,
)
from uav_twin_migration.twin.protocol.records import replace
from uav_twin_migration.twin.protocol.replica_state import (
    LONG_AGO,
    NEVER,
    Context,
    DropOwn,
    Ended,
    Filled,
    Funded,
    OutboundTransfer,
    Phase,
    ReplicaState,
    Send,
    Status,
    Step,
    Wrote,
    ignored,
    with_record,
)


def migrate(replica_state: ReplicaState, event: MigrateRequest, context: Context) -> Step:
    """Begin to move the twin, unless the request is for an earlier hosting."""
    if event.epoch != replica_state.record.epoch:
        return replica_state, (Ended(event.target, replica_state.record.epoch, Reason.STALE),)
    if event.target == context.me or not may_hand_over(replica_state.record.epoch):
        return replica_state, (Ended(event.target, replica_state.record.epoch, Reason.INVALID),)
    if replica_state.record.filling:  # nobody can be told yet how large a copy will be
        return replica_state, (Ended(event.target, replica_state.record.epoch, Reason.BUSY),)
    give_up_at = context.now + context.timing.give_up
    migration = OutboundTransfer(Purpose.MIGRATION, event.target, give_up_at=give_up_at)
    unfunded_at = NEVER if replica_state.funded else context.now + context.timing.lease_patience
    replica_state = replace(replica_state, migration=migration, unfunded_at=unfunded_at)
    replica_state, paused = replica.follow(replica_state, context)
    replica_state, offered = outbound.offer(replica_state, migration, context)
    return replica_state, (*paused, *offered)


def migrate_again(replica_state: ReplicaState, event: MigrateRequest, context: Context) -> Step:
    """A repeated request changes nothing; one for another target is refused until this migration ends."""
    if event.target == _migration(replica_state).target:
        return ignored(replica_state, "repeated")
    return replica_state, (Ended(event.target, replica_state.record.epoch, Reason.BUSY),)


def cannot_migrate(replica_state: ReplicaState, event: MigrateRequest, context: Context) -> Step:
    """There is no twin here to move."""
    return replica_state, (Ended(event.target, replica_state.record.epoch, Reason.UNKNOWN),)


def wrote(replica_state: ReplicaState, event: Wrote, context: Context) -> Step:
    """The twin changed."""
    assert event.version > replica_state.record.version
    return with_record(replica_state, version=event.version), ()


def filled(replica_state: ReplicaState, event: Filled, context: Context) -> Step:
    """The twin is whole: from now on there can be copies of it."""
    if not replica_state.record.filling:
        return ignored(replica_state, "unexpected")
    assert event.version >= replica_state.record.version
    return replica.follow(with_record(replica_state, version=event.version, filling=False), context)


def funded(replica_state: ReplicaState, event: Funded, context: Context) -> Step:
    """There is bandwidth for a migration, or none: then it is given up after a while."""
    if event.funded or replica_state.migration is None:
        return replace(replica_state, funded=event.funded, unfunded_at=NEVER), ()
    unfunded_at = min(replica_state.unfunded_at, context.now + context.timing.lease_patience)
    return replace(replica_state, funded=False, unfunded_at=unfunded_at), ()


def hand_over(replica_state: ReplicaState, transfer: OutboundTransfer, event: Verified, context: Context) -> Step:
    """The decision: the target has all of it, so the twin leaves. Only the target's word can bring it back."""
    record = replica_state.record
    if event.version != record.version:
        return ignored(replica_state, "old_session")
    replica_state, stopped = replica.stop(replica_state, context)
    migration = replace(
        transfer, phase=Phase.HANDING_OVER, acked=event.version, checkpoint=None, stamp=event.stamp, attempts=0
    )
    replica_state = with_record(
        replace(replica_state, migration=migration),
        status=Status.HANDING_OVER,
        target=context.peer,
        newest_epoch=max(record.newest_epoch, record.epoch + 1),
    )
    replica_state, committed = commit(replica_state, migration, context)
    return replica_state, (*stopped, *committed)


def revived(replica_state: ReplicaState, context: Context) -> ReplicaState:
    """After a restart: a twin that was being handed over still is."""
    record = replica_state.record
    if record.status is not Status.HANDING_OVER or replica_state.migration is not None:
        return replica_state
    migration = OutboundTransfer(Purpose.MIGRATION, record.target, phase=Phase.HANDING_OVER, deadline=context.now)
    return replace(replica_state, migration=migration)


def commit(replica_state: ReplicaState, transfer: OutboundTransfer, context: Context) -> Step:
    """Tell the target (again) that the twin is its own."""
    record = replica_state.record
    lease = max(0.0, replica_state.lease_until - context.now)
    message = Commit(context.uav, record.epoch + 1, record.version, lease, transfer.stamp)
    deadline = context.now + outbound.backoff(transfer, context)
    migration = replace(transfer, session=context.session, attempts=transfer.attempts + 1, deadline=deadline)
    return replace(replica_state, migration=migration), (Send(record.target, message),)


def activated(replica_state: ReplicaState, event: Activated, context: Context) -> Step:
    """The target hosts, or has: the copy here may go, what remains is the newest epoch.

    Where the twin moved to its replica's host, the two change places: the copy here is the replica now.
    """
    record = replica_state.record
    if context.peer != record.target or event.epoch != record.epoch + 1:
        return ignored(replica_state, "old_epoch")
    replica_state = _settled(replica_state)
    if replica_state.heard_epoch < event.epoch:
        replica_state = replace(replica_state, gone_to=record.target, gone_epoch=record.epoch)
    if replica_state.replica_host in (context.me, record.target):
        return with_record(replica_state, status=Status.REPLICA, target=""), (Ended(record.target, event.epoch),)
    replica_state = with_record(replica_state, status=Status.ABSENT, epoch=0, version=0, target="")
    return replica_state, (DropOwn(), Ended(record.target, event.epoch))


def unprepared(replica_state: ReplicaState, event: Unprepared, context: Context) -> Step:
    """The target can never activate that epoch: the twin stays, under the epoch after it."""
    record = replica_state.record
    if context.peer != record.target or event.epoch != record.epoch + 1:
        return ignored(replica_state, "old_epoch")
    epoch = event.epoch + 1
    replica_state = with_record(
        replica_state, status=Status.HOSTING, epoch=epoch, target="", newest_epoch=max(record.newest_epoch, epoch)
    )
    return _settled(replica_state), (Ended(record.target, event.epoch, Reason.LOST_COPY),)


def fenced(replica_state: ReplicaState, event: Fenced, context: Context) -> Step:
    """The twin is hosted elsewhere: keep the copy, serve it no more."""
    record = replica_state.record
    if context.peer != record.target or event.newest_epoch <= record.epoch + 1:
        return ignored(replica_state, "old_epoch")
    replica_state = with_record(replica_state, status=Status.FENCED, target="", newest_epoch=event.newest_epoch)
    return _settled(replica_state), (Ended(record.target, event.newest_epoch, Reason.STALE),)


def cancel(replica_state: ReplicaState, event: CancelRequest, context: Context) -> Step:
    """Stop moving; the source serves on."""
    return outbound.abandon(replica_state, event.reason, context)


def unfunded(replica_state: ReplicaState, context: Context) -> Step:
    """Nobody has bought bandwidth for a while: the source serves on."""
    if replica_state.place is Phase.HANDING_OVER:
        return ignored(replica_state, "unexpected")
    return outbound.abandon(replace(replica_state, unfunded_at=NEVER), Reason.LEASE_LOST, context)


# -- what the transitions share ----------------------------------------------------------------------------------------


def _migration(replica_state: ReplicaState) -> OutboundTransfer:
    assert replica_state.migration is not None
    return replica_state.migration


def _settled(replica_state: ReplicaState) -> ReplicaState:
    """A hand-over is over: nothing is under way, and whatever lease there was went with it."""
    return replace(replica_state, migration=None, lease_until=LONG_AGO)
