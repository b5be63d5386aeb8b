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
    DropIncoming,
    Incoming,
    IntakeTimeout,
    Record,
    ReplicaState,
    Send,
    Status,
    Step,
    hosting,
    ignored,
    with_record,
)


def offered(replica_state: ReplicaState, event: Offer, context: Context) -> Step:
    """Take the twin, or say why not. What an earlier session of the same hand-over left on disk is kept."""
    if context.peer == replica_state.source and event.session < replica_state.session:
        return ignored(replica_state, "old_session")
    reason = _objection(replica_state, event, context)
    if reason is not None:
        refusal = Refuse(context.uav, event.session, reason, replica_state.fence if reason is Reason.STALE else 0)
        return replica_state, (Send(context.peer, refusal),)
    incoming, dropped = resume(replica_state.record, event, context)
    replica_state = with_record(replica_state, incoming=incoming)
    deadline = _patience(incoming, context)
    replica_state = replace(replica_state, source=context.peer, session=event.session, intake_deadline=deadline)
    return replica_state, (*dropped, Send(context.peer, Accept(context.uav, event.session, incoming.version)))


def received(replica_state: ReplicaState, event: Data, context: Context) -> Step:
    """More of the copy arrived. Only what follows on what is here counts: sessions are in order, so the rest is old."""
    incoming = replica_state.record.incoming
    if incoming is None or not _is_session(replica_state, event.session, context):
        return no_session(replica_state, event, context)
    if event.after != incoming.version or event.to <= event.after:
        return ignored(replica_state, "out_of_order")
    incoming = replace(incoming, version=event.to, prepared=False)
    replica_state = replace(with_record(replica_state, incoming=incoming), intake_deadline=_patience(incoming, context))
    return replica_state, (Send(context.peer, Ack(context.uav, event.session, event.to)),)


def prepare(replica_state: ReplicaState, event: Prepare, context: Context) -> Step:
    """The copy is whole: say so once that is on disk. One that is not what the source has is thrown away."""
    incoming = replica_state.record.incoming
    if incoming is None or not _is_session(replica_state, event.session, context):
        return no_session(replica_state, event, context)
    if event.version != incoming.version:
        return ignored(replica_state, "out_of_order")
    if not context.verified:
        replica_state, dropped = discard(replica_state)
        return replica_state, (*dropped, Send(context.peer, Refuse(context.uav, event.session, Reason.CORRUPT)))
    incoming = replace(incoming, prepared=True)
    replica_state = replace(with_record(replica_state, incoming=incoming), intake_deadline=_patience(incoming, context))
    done = Prepared(context.uav, event.session, event.version, Stamp(context.incarnation, context.now))
    return replica_state, (Send(context.peer, done),)


def committed(replica_state: ReplicaState, event: Commit, context: Context) -> Step:
    """Host the twin, if this is its prepared copy; else tell the source what became of that epoch."""
    record, incoming = replica_state.record, replica_state.record.incoming
    if _was_taken(record, event.epoch):
        return _tell(replica_state, Activated(context.uav, event.epoch), context)
    if event.epoch < replica_state.fence:
        return _tell(replica_state, Fenced(context.uav, replica_state.fence), context)
    if incoming is None or event.epoch <= record.fence or not _is_meant(incoming, event, context):
        if not _is_hosts_word(replica_state, event.epoch, context):
            return ignored(replica_state, "unconfirmed_commit")  # a host that means it says it again
        # The fence is on disk before this is said: that epoch will never be activated here.
        replica_state = with_record(replica_state, fence=max(record.fence, event.epoch))
        return _tell(replica_state, Unprepared(context.uav, event.epoch), context)
    record = Record(Status.HOSTING, event.epoch, incoming.version, fence=event.epoch, taken=event.epoch)
    lease_until = _inherited_lease(event, context)
    return hosting(replica_state, record, lease_until), (
        Adopt(),
        Send(context.peer, Activated(context.uav, event.epoch)),
    )


def cancelled(replica_state: ReplicaState, event: Cancel, context: Context) -> Step:
    """The source thought better of it."""
    if not _is_session(replica_state, event.session, context):
        return ignored(replica_state, "old_session")
    return _forget(replica_state)


def forgotten(replica_state: ReplicaState, event: IntakeTimeout, context: Context) -> Step:
    """Nobody continued. The source keeps its copy until this RSU hosts, so nothing is lost with this one."""
    return _forget(replica_state)


def no_session(replica_state: ReplicaState, event: Data | Prepare, context: Context) -> Step:
    """Data that nobody here waits for, for example after a restart."""
    refusal = Refuse(context.uav, event.session, Reason.NO_SESSION)
    return replica_state, (Send(context.peer, refusal),)


# -- what the transitions share ----------------------------------------------------------------------------------------


def _is_session(replica_state: ReplicaState, session: int, context: Context) -> bool:
    return (context.peer, session) == (replica_state.source, replica_state.session)


def _objection(replica_state: ReplicaState, offer: Offer, context: Context) -> Reason | None:
    """Why the offer is refused."""
    if replica_state.record.status is Status.HOSTING:
        return Reason.HOSTING
    if offer.epoch <= replica_state.fence:
        return Reason.STALE
    if not _is_hosts_word(replica_state, offer.epoch, context):
        return Reason.UNCONFIRMED
    return context.refusal


def _is_hosts_word(replica_state: ReplicaState, epoch: int, context: Context) -> bool:
    """Whether the UAV takes the sender for the host that may hand over under `epoch`."""
    return (replica_state.heard_host, replica_state.heard_epoch) == (context.peer, epoch - 1)


def _is_meant(incoming: Incoming, event: Commit, context: Context) -> bool:
    """Whether the commit is for this very copy."""
    meant = (context.peer, event.epoch, event.version)
    return incoming.prepared and (incoming.source, incoming.epoch, incoming.version) == meant


def _inherited_lease(event: Commit, context: Context) -> float:
    """Until when this RSU may serve on its predecessor's lease, s."""
    if event.stamp is None or event.stamp.incarnation != context.incarnation:
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


def _tell(replica_state: ReplicaState, message: PeerMessage, context: Context) -> Step:
    return replica_state, (Send(context.peer, message),)


def _forget(replica_state: ReplicaState) -> Step:
    """Drop what arrived; a replica that it was built upon stays."""
    replica_state = replace(with_record(replica_state, incoming=None), intake_deadline=NEVER)
    return replica_state, (DropIncoming(),)
