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
    Custody,
    DropOwn,
    Ended,
    Freeze,
    LinkDown,
    Outgoing,
    Phase,
    Send,
    Sent,
    Status,
    Step,
    Timeout,
    Wrote,
    ignored,
    with_record,
)


def migrate(custody: Custody, event: MigrateRequest, context: Context) -> Step:
    """Begin to move the twin, unless the request is for an earlier hosting."""
    if event.epoch != custody.record.epoch:
        return custody, (Ended(event.target, custody.record.epoch, Reason.STALE),)
    if event.target == context.me or not may_hand_over(custody.record.epoch):
        return custody, (Ended(event.target, custody.record.epoch, Reason.INVALID),)
    outgoing = Outgoing(event.target, 0, give_up_at=context.now + context.timing.give_up)
    custody, paused = replica.follow(replace(custody, outgoing=outgoing), context)
    custody, offered = _offer(custody, context)
    return custody, (*paused, *offered)


def migrate_again(custody: Custody, event: MigrateRequest, context: Context) -> Step:
    """A repeated request changes nothing; one for another target is refused until this migration ends."""
    if event.target == _outgoing(custody).target:
        return ignored(custody, "repeated")
    return custody, (Ended(event.target, custody.record.epoch, Reason.BUSY),)


def cannot_migrate(custody: Custody, event: MigrateRequest, context: Context) -> Step:
    """There is no twin here to move."""
    return custody, (Ended(event.target, custody.record.epoch, Reason.UNKNOWN),)


def wrote(custody: Custody, event: Wrote, context: Context) -> Step:
    """The twin changed."""
    assert event.mark > custody.record.mark
    return with_record(custody, mark=event.mark), ()


def accepted(custody: Custody, event: Accept, context: Context) -> Step:
    """The target takes the twin: copy from where it already is."""
    if not _is_current(custody, event.session, context):
        return ignored(custody, "old_session")
    if event.mark > custody.record.mark:
        return abandon(custody, Reason.INVALID, context)  # it claims changes that never were
    outgoing = replace(
        _outgoing(custody),
        phase=Phase.COPYING,
        sent=event.mark,
        acked=event.mark,
        deadline=context.now + context.timing.copy_patience,
        give_up_at=context.now + context.timing.give_up,
    )
    return replace(custody, outgoing=outgoing), ()


def refused(custody: Custody, event: Refuse, context: Context) -> Step:
    """The target does not take the twin, or not now: the source serves on, and tries again where that may help."""
    if not _is_current(custody, event.session, context):
        return ignored(custody, "old_session")
    if event.reason in TRANSIENT:
        return _wait(custody, event.reason, context)
    return abandon(custody, event.reason, context)


def sent(custody: Custody, event: Sent, context: Context) -> Step:
    """More of the copy is on its way."""
    outgoing = _outgoing(custody)
    assert outgoing.sent <= event.mark <= custody.record.mark
    return replace(custody, outgoing=replace(outgoing, sent=event.mark)), ()


def acknowledged(custody: Custody, event: Ack, context: Context) -> Step:
    """More of the copy is on the target's disk."""
    outgoing = _outgoing(custody)
    if not _is_current(custody, event.session, context) or not outgoing.acked < event.mark <= outgoing.sent:
        return ignored(custody, "old_session")
    outgoing = replace(outgoing, acked=event.mark, attempts=0, give_up_at=context.now + context.timing.give_up)
    if outgoing.phase is Phase.COPYING:
        outgoing = replace(outgoing, deadline=context.now + context.timing.copy_patience)
    return replace(custody, outgoing=outgoing), ()


def freeze(custody: Custody, event: Freeze, context: Context) -> Step:
    """Stop serving and tell the target what the whole copy is.

    Nothing of this is on disk: a source that crashes now is simply the host again, as is one whose target is silent.
    """
    outgoing, mark = _outgoing(custody), custody.record.mark
    assert outgoing.sent == mark
    prepare = Prepare(context.uav, outgoing.session, mark, event.digest)
    outgoing = replace(outgoing, phase=Phase.FROZEN, deadline=context.now + context.timing.freeze_limit)
    return replace(custody, outgoing=outgoing), (Send(outgoing.target, prepare),)


def prepared(custody: Custody, event: Prepared, context: Context) -> Step:
    """The decision: the target has all of it, so the twin leaves. Only the target's word can bring it back."""
    record = custody.record
    if not _is_current(custody, event.session, context) or event.mark != record.mark:
        return ignored(custody, "old_session")
    custody, stopped = replica.stop(custody, context)
    outgoing = replace(_outgoing(custody), phase=Phase.LEAVING, acked=event.mark, stamp=event.stamp, attempts=0)
    custody = replace(custody, outgoing=outgoing)
    custody = with_record(
        custody, status=Status.LEAVING, target=context.peer, fence=max(record.fence, record.epoch + 1)
    )
    custody, committed = _commit(custody, context)
    return custody, (*stopped, *committed)


def revive(custody: Custody, context: Context) -> Custody:
    """After a restart: a twin that was being handed over still is."""
    record = custody.record
    if record.status is not Status.LEAVING or custody.outgoing is not None:
        return custody
    return replace(custody, outgoing=Outgoing(record.target, 0, phase=Phase.LEAVING, deadline=context.now))


def commit_again(custody: Custody, event: Timeout, context: Context) -> Step:
    """No answer to the commit yet."""
    return _commit(custody, context)


def activated(custody: Custody, event: Activated, context: Context) -> Step:
    """The target hosts, or has: the copy here may go, what remains is the fence.

    Where the twin moved to its standby, the two change places: the copy here is the warm one now.
    """
    record = custody.record
    if context.peer != record.target or event.epoch != record.epoch + 1:
        return ignored(custody, "old_epoch")
    custody = _settled(custody)
    if custody.heard_epoch < event.epoch:
        custody = replace(custody, gone_to=record.target, gone_epoch=record.epoch)
    if custody.standby in (context.me, record.target):
        return with_record(custody, status=Status.STANDBY, target=""), (Ended(record.target, event.epoch),)
    custody = with_record(custody, status=Status.ABSENT, epoch=0, mark=0, target="")
    return custody, (DropOwn(), Ended(record.target, event.epoch))


def unprepared(custody: Custody, event: Unprepared, context: Context) -> Step:
    """The target can never activate that epoch: the twin stays, under the epoch after it."""
    record = custody.record
    if context.peer != record.target or event.epoch != record.epoch + 1:
        return ignored(custody, "old_epoch")
    epoch = event.epoch + 1
    custody = with_record(custody, status=Status.HOSTING, epoch=epoch, target="", fence=max(record.fence, epoch))
    return _settled(custody), (Ended(record.target, event.epoch, Reason.LOST_COPY),)


def fenced(custody: Custody, event: Fenced, context: Context) -> Step:
    """The twin lives elsewhere: keep the copy, serve it no more."""
    record = custody.record
    if context.peer != record.target or event.fence <= record.epoch + 1:
        return ignored(custody, "old_epoch")
    custody = with_record(custody, status=Status.FENCED, target="", fence=event.fence)
    return _settled(custody), (Ended(record.target, event.fence, Reason.STALE),)


def link_down(custody: Custody, event: LinkDown, context: Context) -> Step:
    """The connection is gone: serve on, and try again in a while."""
    if event.session != _outgoing(custody).session:
        return ignored(custody, "old_session")
    return _wait(custody, Reason.BREAK, context)


def timeout(custody: Custody, event: Timeout, context: Context) -> Step:
    """The target is silent, or it is time for another try: serve on, and offer anew."""
    if context.now >= _outgoing(custody).give_up_at:
        return abandon(custody, Reason.UNREACHABLE, context)
    return _offer(custody, context)


def cancel(custody: Custody, event: CancelRequest, context: Context) -> Step:
    """Stop moving; the source serves on."""
    return abandon(custody, event.reason, context)


def abandon(custody: Custody, reason: Reason, context: Context) -> Step:
    """End the migration, if there is one; the twin is where it was."""
    outgoing = custody.outgoing
    if outgoing is None:
        return custody, ()
    ended = Ended(outgoing.target, custody.record.epoch + 1, reason)
    cancelled = Send(outgoing.target, Cancel(context.uav, outgoing.session, reason))
    return replace(custody, outgoing=None), (cancelled, ended) if outgoing.session else (ended,)


# -- what the transitions share ----------------------------------------------------------------------------------------


def _outgoing(custody: Custody) -> Outgoing:
    assert custody.outgoing is not None
    return custody.outgoing


def _is_current(custody: Custody, session: int, context: Context) -> bool:
    """Whether a message is from the target and of the session that is under way."""
    outgoing = _outgoing(custody)
    return context.peer == outgoing.target and session == outgoing.session


def _settled(custody: Custody) -> Custody:
    """A hand-over is over: nothing is under way, and whatever lease there was went with it."""
    return replace(custody, outgoing=None, lease_until=LONG_AGO)


def _offer(custody: Custody, context: Context) -> Step:
    """A new session begins with an offer."""
    outgoing = _outgoing(custody)
    offer = Offer(context.uav, context.session, custody.record.epoch + 1)
    outgoing = replace(
        outgoing,
        session=context.session,
        phase=Phase.OFFERING,
        sent=0,
        acked=0,
        attempts=outgoing.attempts + 1,
        deadline=context.now + context.timing.offer_patience,
    )
    return replace(custody, outgoing=outgoing), (Send(outgoing.target, offer),)


def _wait(custody: Custody, reason: Reason, context: Context) -> Step:
    """No session until the deadline, which makes a new offer."""
    outgoing = _outgoing(custody)
    if context.now >= outgoing.give_up_at:
        return abandon(custody, Reason.UNREACHABLE if reason is Reason.BREAK else reason, context)
    deadline = context.now + _backoff(outgoing, context)
    outgoing = replace(outgoing, session=0, phase=Phase.OFFERING, sent=0, acked=0, deadline=deadline)
    return replace(custody, outgoing=outgoing), ()


def _commit(custody: Custody, context: Context) -> Step:
    """Tell the target (again) that the twin is its own."""
    outgoing, record = _outgoing(custody), custody.record
    lease = max(0.0, custody.lease_until - context.now)
    message = Commit(context.uav, record.epoch + 1, record.mark, lease, outgoing.stamp)
    deadline = context.now + _backoff(outgoing, context)
    outgoing = replace(outgoing, session=context.session, attempts=outgoing.attempts + 1, deadline=deadline)
    return replace(custody, outgoing=outgoing), (Send(record.target, message),)


def _backoff(outgoing: Outgoing, context: Context) -> float:
    timing = context.timing
    return min(timing.retry * 2.0 ** min(outgoing.attempts, 20), timing.longest_retry)
