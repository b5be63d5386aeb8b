"""The source of a migration: transitions of the RSU that hosts a twin and moves it away. See `migration.py`."""

from __future__ import annotations

from dataclasses import replace

from uav_twin_migration.twin.protocol import replica
from uav_twin_migration.twin.protocol.epochs import may_hand_over
from uav_twin_migration.twin.protocol.messages import (
    TRANSIENT,
    Accept,
    Ack,
    Activated,
    Cancel,
    CancelRequest,
    Commit,
    Fenced,
    MigrateRequest,
    Offer,
    Prepare,
    Prepared,
    Reason,
    Refuse,
    Unprepared,
)
from uav_twin_migration.twin.protocol.replica_state import (
    LONG_AGO,
    Context,
    DropOwn,
    Ended,
    Freeze,
    LinkDown,
    Outgoing,
    Phase,
    ReplicaState,
    Send,
    Sent,
    Status,
    Step,
    Timeout,
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
    outgoing = Outgoing(event.target, 0, give_up_at=context.now + context.timing.give_up)
    replica_state, paused = replica.follow(replace(replica_state, outgoing=outgoing), context)
    replica_state, offered = _offer(replica_state, context)
    return replica_state, (*paused, *offered)


def migrate_again(replica_state: ReplicaState, event: MigrateRequest, context: Context) -> Step:
    """A repeated request changes nothing; one for another target is refused until this migration ends."""
    if event.target == _outgoing(replica_state).target:
        return ignored(replica_state, "repeated")
    return replica_state, (Ended(event.target, replica_state.record.epoch, Reason.BUSY),)


def cannot_migrate(replica_state: ReplicaState, event: MigrateRequest, context: Context) -> Step:
    """There is no twin here to move."""
    return replica_state, (Ended(event.target, replica_state.record.epoch, Reason.UNKNOWN),)


def wrote(replica_state: ReplicaState, event: Wrote, context: Context) -> Step:
    """The twin changed."""
    assert event.version > replica_state.record.version
    return with_record(replica_state, version=event.version), ()


def accepted(replica_state: ReplicaState, event: Accept, context: Context) -> Step:
    """The target takes the twin: copy from where it already is."""
    if not _is_current(replica_state, event.session, context):
        return ignored(replica_state, "old_session")
    if event.version > replica_state.record.version:
        return abandon(replica_state, Reason.INVALID, context)  # it claims changes that never were
    outgoing = replace(
        _outgoing(replica_state),
        phase=Phase.COPYING,
        sent=event.version,
        acked=event.version,
        deadline=context.now + context.timing.copy_patience,
        give_up_at=context.now + context.timing.give_up,
    )
    return replace(replica_state, outgoing=outgoing), ()


def refused(replica_state: ReplicaState, event: Refuse, context: Context) -> Step:
    """The target does not take the twin, or not now: the source serves on, and tries again where that may help."""
    if not _is_current(replica_state, event.session, context):
        return ignored(replica_state, "old_session")
    if event.reason in TRANSIENT:
        return _wait(replica_state, event.reason, context)
    return abandon(replica_state, event.reason, context)


def sent(replica_state: ReplicaState, event: Sent, context: Context) -> Step:
    """More of the copy is on its way."""
    outgoing = _outgoing(replica_state)
    assert outgoing.sent <= event.version <= replica_state.record.version
    return replace(replica_state, outgoing=replace(outgoing, sent=event.version)), ()


def acknowledged(replica_state: ReplicaState, event: Ack, context: Context) -> Step:
    """More of the copy is on the target's disk."""
    outgoing = _outgoing(replica_state)
    if not _is_current(replica_state, event.session, context) or not outgoing.acked < event.version <= outgoing.sent:
        return ignored(replica_state, "old_session")
    outgoing = replace(outgoing, acked=event.version, attempts=0, give_up_at=context.now + context.timing.give_up)
    if outgoing.phase is Phase.COPYING:
        outgoing = replace(outgoing, deadline=context.now + context.timing.copy_patience)
    return replace(replica_state, outgoing=outgoing), ()


def freeze(replica_state: ReplicaState, event: Freeze, context: Context) -> Step:
    """Stop serving and tell the target what the whole copy is.

    Nothing of this is on disk: a source that crashes now is simply the host again, as is one whose target is silent.
    """
    outgoing, version = _outgoing(replica_state), replica_state.record.version
    assert outgoing.sent == version
    prepare = Prepare(context.uav, outgoing.session, version, event.digest)
    outgoing = replace(outgoing, phase=Phase.FROZEN, deadline=context.now + context.timing.freeze_limit)
    return replace(replica_state, outgoing=outgoing), (Send(outgoing.target, prepare),)


def prepared(replica_state: ReplicaState, event: Prepared, context: Context) -> Step:
    """The decision: the target has all of it, so the twin leaves. Only the target's word can bring it back."""
    record = replica_state.record
    if not _is_current(replica_state, event.session, context) or event.version != record.version:
        return ignored(replica_state, "old_session")
    replica_state, stopped = replica.stop(replica_state, context)
    outgoing = replace(
        _outgoing(replica_state), phase=Phase.LEAVING, acked=event.version, stamp=event.stamp, attempts=0
    )
    replica_state = replace(replica_state, outgoing=outgoing)
    replica_state = with_record(
        replica_state, status=Status.LEAVING, target=context.peer, fence=max(record.fence, record.epoch + 1)
    )
    replica_state, committed = _commit(replica_state, context)
    return replica_state, (*stopped, *committed)


def revive(replica_state: ReplicaState, context: Context) -> ReplicaState:
    """After a restart: a twin that was being handed over still is."""
    record = replica_state.record
    if record.status is not Status.LEAVING or replica_state.outgoing is not None:
        return replica_state
    return replace(replica_state, outgoing=Outgoing(record.target, 0, phase=Phase.LEAVING, deadline=context.now))


def commit_again(replica_state: ReplicaState, event: Timeout, context: Context) -> Step:
    """No answer to the commit yet."""
    return _commit(replica_state, context)


def activated(replica_state: ReplicaState, event: Activated, context: Context) -> Step:
    """The target hosts, or has: the copy here may go, what remains is the fence.

    Where the twin moved to its standby, the two change places: the copy here is the warm one now.
    """
    record = replica_state.record
    if context.peer != record.target or event.epoch != record.epoch + 1:
        return ignored(replica_state, "old_epoch")
    replica_state = _settled(replica_state)
    if replica_state.heard_epoch < event.epoch:
        replica_state = replace(replica_state, gone_to=record.target, gone_epoch=record.epoch)
    if replica_state.standby in (context.me, record.target):
        return with_record(replica_state, status=Status.STANDBY, target=""), (Ended(record.target, event.epoch),)
    replica_state = with_record(replica_state, status=Status.ABSENT, epoch=0, version=0, target="")
    return replica_state, (DropOwn(), Ended(record.target, event.epoch))


def unprepared(replica_state: ReplicaState, event: Unprepared, context: Context) -> Step:
    """The target can never activate that epoch: the twin stays, under the epoch after it."""
    record = replica_state.record
    if context.peer != record.target or event.epoch != record.epoch + 1:
        return ignored(replica_state, "old_epoch")
    epoch = event.epoch + 1
    replica_state = with_record(
        replica_state, status=Status.HOSTING, epoch=epoch, target="", fence=max(record.fence, epoch)
    )
    return _settled(replica_state), (Ended(record.target, event.epoch, Reason.LOST_COPY),)


def fenced(replica_state: ReplicaState, event: Fenced, context: Context) -> Step:
    """The twin incarnations elsewhere: keep the copy, serve it no more."""
    record = replica_state.record
    if context.peer != record.target or event.fence <= record.epoch + 1:
        return ignored(replica_state, "old_epoch")
    replica_state = with_record(replica_state, status=Status.FENCED, target="", fence=event.fence)
    return _settled(replica_state), (Ended(record.target, event.fence, Reason.STALE),)


def link_down(replica_state: ReplicaState, event: LinkDown, context: Context) -> Step:
    """The connection is gone: serve on, and try again in a while."""
    if event.session != _outgoing(replica_state).session:
        return ignored(replica_state, "old_session")
    return _wait(replica_state, Reason.BREAK, context)


def timeout(replica_state: ReplicaState, event: Timeout, context: Context) -> Step:
    """The target is silent, or it is time for another try: serve on, and offer anew."""
    if context.now >= _outgoing(replica_state).give_up_at:
        return abandon(replica_state, Reason.UNREACHABLE, context)
    return _offer(replica_state, context)


def cancel(replica_state: ReplicaState, event: CancelRequest, context: Context) -> Step:
    """Stop moving; the source serves on."""
    return abandon(replica_state, event.reason, context)


def abandon(replica_state: ReplicaState, reason: Reason, context: Context) -> Step:
    """End the migration, if there is one; the twin is where it was."""
    outgoing = replica_state.outgoing
    if outgoing is None:
        return replica_state, ()
    ended = Ended(outgoing.target, replica_state.record.epoch + 1, reason)
    cancelled = Send(outgoing.target, Cancel(context.uav, outgoing.session, reason))
    return replace(replica_state, outgoing=None), (cancelled, ended) if outgoing.session else (ended,)


# -- what the transitions share ----------------------------------------------------------------------------------------


def _outgoing(replica_state: ReplicaState) -> Outgoing:
    assert replica_state.outgoing is not None
    return replica_state.outgoing


def _is_current(replica_state: ReplicaState, session: int, context: Context) -> bool:
    """Whether a message is from the target and of the session that is under way."""
    outgoing = _outgoing(replica_state)
    return context.peer == outgoing.target and session == outgoing.session


def _settled(replica_state: ReplicaState) -> ReplicaState:
    """A hand-over is over: nothing is under way, and whatever lease there was went with it."""
    return replace(replica_state, outgoing=None, lease_until=LONG_AGO)


def _offer(replica_state: ReplicaState, context: Context) -> Step:
    """A new session begins with an offer."""
    outgoing = _outgoing(replica_state)
    offer = Offer(context.uav, context.session, replica_state.record.epoch + 1)
    outgoing = replace(
        outgoing,
        session=context.session,
        phase=Phase.OFFERING,
        sent=0,
        acked=0,
        attempts=outgoing.attempts + 1,
        deadline=context.now + context.timing.offer_patience,
    )
    return replace(replica_state, outgoing=outgoing), (Send(outgoing.target, offer),)


def _wait(replica_state: ReplicaState, reason: Reason, context: Context) -> Step:
    """No session until the deadline, which makes a new offer."""
    outgoing = _outgoing(replica_state)
    if context.now >= outgoing.give_up_at:
        return abandon(replica_state, Reason.UNREACHABLE if reason is Reason.BREAK else reason, context)
    deadline = context.now + _backoff(outgoing, context)
    outgoing = replace(outgoing, session=0, phase=Phase.OFFERING, sent=0, acked=0, deadline=deadline)
    return replace(replica_state, outgoing=outgoing), ()


def _commit(replica_state: ReplicaState, context: Context) -> Step:
    """Tell the target (again) that the twin is its own."""
    outgoing, record = _outgoing(replica_state), replica_state.record
    lease = max(0.0, replica_state.lease_until - context.now)
    message = Commit(context.uav, record.epoch + 1, record.version, lease, outgoing.stamp)
    deadline = context.now + _backoff(outgoing, context)
    outgoing = replace(outgoing, session=context.session, attempts=outgoing.attempts + 1, deadline=deadline)
    return replace(replica_state, outgoing=outgoing), (Send(record.target, message),)


def _backoff(outgoing: Outgoing, context: Context) -> float:
    timing = context.timing
    return min(timing.retry * 2.0 ** min(outgoing.attempts, 20), timing.longest_retry)
