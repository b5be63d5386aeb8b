"""The target of a migration: transitions of the RSU that a twin moves to. `migration.py` explains them."""

from __future__ import annotations

from dataclasses import replace

from uav_twin_migration.twin.protocol.epochs import term_of
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Activated,
    Cancel,
    Commit,
    Data,
    Fenced,
    Offer,
    PeerMessage,
    Prepare,
    Prepared,
    Reason,
    Refuse,
    Stamp,
    Unprepared,
)
from uav_twin_migration.twin.protocol.replica import discard, resume
from uav_twin_migration.twin.protocol.replica_state import (
    LONG_AGO,
    NEVER,
    Adopt,
    Context,
    Custody,
    DropIncoming,
    Incoming,
    IntakeTimeout,
    Record,
    Send,
    Status,
    Step,
    hosting,
    ignored,
    with_record,
)


def offered(custody: Custody, event: Offer, context: Context) -> Step:
    """Take the twin, or say why not. What an earlier session of the same hand-over left on disk is kept."""
    if context.peer == custody.source and event.session < custody.session:
        return ignored(custody, "old_session")
    reason = _objection(custody, event, context)
    if reason is not None:
        refusal = Refuse(context.uav, event.session, reason, custody.fence if reason is Reason.STALE else 0)
        return custody, (Send(context.peer, refusal),)
    incoming, dropped = resume(custody.record, event, context)
    custody = with_record(custody, incoming=incoming)
    deadline = _patience(incoming, context)
    custody = replace(custody, source=context.peer, session=event.session, intake_deadline=deadline)
    return custody, (*dropped, Send(context.peer, Accept(context.uav, event.session, incoming.mark)))


def received(custody: Custody, event: Data, context: Context) -> Step:
    """More of the copy arrived. Only what follows on what is here counts: sessions are in order, so the rest is old."""
    incoming = custody.record.incoming
    if incoming is None or not _is_session(custody, event.session, context):
        return no_session(custody, event, context)
    if event.after != incoming.mark or event.to <= event.after:
        return ignored(custody, "out_of_order")
    incoming = replace(incoming, mark=event.to, prepared=False)
    custody = replace(with_record(custody, incoming=incoming), intake_deadline=_patience(incoming, context))
    return custody, (Send(context.peer, Ack(context.uav, event.session, event.to)),)


def prepare(custody: Custody, event: Prepare, context: Context) -> Step:
    """The copy is whole: say so once that is on disk. One that is not what the source has is thrown away."""
    incoming = custody.record.incoming
    if incoming is None or not _is_session(custody, event.session, context):
        return no_session(custody, event, context)
    if event.mark != incoming.mark:
        return ignored(custody, "out_of_order")
    if not context.verified:
        custody, dropped = discard(custody)
        return custody, (*dropped, Send(context.peer, Refuse(context.uav, event.session, Reason.CORRUPT)))
    incoming = replace(incoming, prepared=True)
    custody = replace(with_record(custody, incoming=incoming), intake_deadline=_patience(incoming, context))
    done = Prepared(context.uav, event.session, event.mark, Stamp(context.life, context.now))
    return custody, (Send(context.peer, done),)


def committed(custody: Custody, event: Commit, context: Context) -> Step:
    """Host the twin, if this is its prepared copy; else tell the source what became of that epoch."""
    record, incoming = custody.record, custody.record.incoming
    if _was_taken(record, event.epoch):
        return _tell(custody, Activated(context.uav, event.epoch), context)
    if event.epoch < custody.fence:
        return _tell(custody, Fenced(context.uav, custody.fence), context)
    if incoming is None or event.epoch <= record.fence or not _is_meant(incoming, event, context):
        if not _is_hosts_word(custody, event.epoch, context):
            return ignored(custody, "unconfirmed_commit")  # a host that means it says it again
        # The fence is on disk before this is said: that epoch will never be activated here.
        custody = with_record(custody, fence=max(record.fence, event.epoch))
        return _tell(custody, Unprepared(context.uav, event.epoch), context)
    record = Record(Status.HOSTING, event.epoch, incoming.mark, fence=event.epoch, taken=event.epoch)
    lease_until = _inherited_lease(event, context)
    return hosting(custody, record, lease_until), (Adopt(), Send(context.peer, Activated(context.uav, event.epoch)))


def cancelled(custody: Custody, event: Cancel, context: Context) -> Step:
    """The source thought better of it."""
    if not _is_session(custody, event.session, context):
        return ignored(custody, "old_session")
    return _forget(custody)


def forgotten(custody: Custody, event: IntakeTimeout, context: Context) -> Step:
    """Nobody continued. The source keeps its copy until this RSU hosts, so nothing is lost with this one."""
    return _forget(custody)


def no_session(custody: Custody, event: Data | Prepare, context: Context) -> Step:
    """Data that nobody here waits for, for example after a restart."""
    refusal = Refuse(context.uav, event.session, Reason.NO_SESSION)
    return custody, (Send(context.peer, refusal),)


# -- what the transitions share ----------------------------------------------------------------------------------------


def _is_session(custody: Custody, session: int, context: Context) -> bool:
    return (context.peer, session) == (custody.source, custody.session)


def _objection(custody: Custody, offer: Offer, context: Context) -> Reason | None:
    """Why the offer is refused."""
    if custody.record.status is Status.HOSTING:
        return Reason.HOSTING
    if offer.epoch <= custody.fence:
        return Reason.STALE
    if not _is_hosts_word(custody, offer.epoch, context):
        return Reason.UNCONFIRMED
    return context.refusal


def _is_hosts_word(custody: Custody, epoch: int, context: Context) -> bool:
    """Whether the UAV takes the sender for the host that may hand over under `epoch`."""
    return (custody.heard_host, custody.heard_epoch) == (context.peer, epoch - 1)


def _is_meant(incoming: Incoming, event: Commit, context: Context) -> bool:
    """Whether the commit is for this very copy."""
    meant = (context.peer, event.epoch, event.mark)
    return incoming.prepared and (incoming.source, incoming.epoch, incoming.mark) == meant


def _inherited_lease(event: Commit, context: Context) -> float:
    """Until when this RSU may serve on its predecessor's lease, s."""
    if event.stamp is None or event.stamp.life != context.life:
        return LONG_AGO
    return event.stamp.time + event.lease


def _was_taken(record: Record, epoch: int) -> bool:
    """Whether `epoch` was activated here.

    Its source hands over to this RSU alone, so that whoever was host later in the same term had the twin from here.
    """
    return term_of(record.taken) == term_of(epoch) and epoch <= record.taken


def _patience(incoming: Incoming, context: Context) -> float:
    timing = context.timing
    return context.now + (timing.keep_prepared if incoming.prepared else timing.keep_partial)


def _tell(custody: Custody, message: PeerMessage, context: Context) -> Step:
    return custody, (Send(context.peer, message),)


def _forget(custody: Custody) -> Step:
    """Drop what arrived; a warm copy that it was built upon stays."""
    custody = replace(with_record(custody, incoming=None), intake_deadline=NEVER)
    return custody, (DropIncoming(),)
