"""An inbound transfer: transitions of the RSU that takes a copy of a twin which another RSU hosts.

Whether it is a migration or the upkeep of a replica, the copy is offered, arrives, and is verified at a checkpoint.
What is then said to be whole is on the disk: as a prepared copy, which its source's commit makes the twin; or as a
replica, beside which the next changes lie. `migration.py` and `replica.py` explain the two.
"""

from __future__ import annotations

from uav_twin_migration.twin.protocol.epochs import may_hand_over, term_of
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Activated,
    Cancel,
    Checkpoint,
    Commit,
    Data,
    Fenced,
    Offer,
    PeerMessage,
    Purpose,
    Reason,
    Refuse,
    Stamp,
    Unprepared,
    Verified,
)
from uav_twin_migration.twin.protocol.records import replace
from uav_twin_migration.twin.protocol.replica_state import (
    LONG_AGO,
    NEVER,
    Action,
    Adopt,
    Context,
    DropInbound,
    InboundTransfer,
    Keep,
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
    """Take the copy, or say why not. What an earlier session left on disk is kept, where it is of use."""
    if context.peer == replica_state.source and event.session < replica_state.session:
        return ignored(replica_state, "old_session")
    reason = _objection(replica_state, event, context)
    if reason is not None:
        newest_epoch = replica_state.newest_epoch if reason is Reason.STALE else 0
        return _tell(replica_state, Refuse(context.uav, event.session, reason, newest_epoch), context)
    inbound, dropped = _resumed(replica_state.record, event, context)
    replica_state = replace(
        with_record(replica_state, inbound=inbound),
        source=context.peer,
        session=event.session,
        purpose=event.purpose,
        inbound_deadline=_patience(inbound, context),
    )
    return replica_state, (*dropped, Send(context.peer, Accept(context.uav, event.session, inbound.version)))


def received(replica_state: ReplicaState, event: Data, context: Context) -> Step:
    """More of the copy arrived. Only what follows on what is here counts: sessions are in order, so the rest is old."""
    inbound = replica_state.record.inbound
    if inbound is None or not _is_session(replica_state, event.session, context):
        return no_session(replica_state, event, context)
    if event.after != inbound.version or event.to <= event.after:
        return ignored(replica_state, "out_of_order")
    inbound = replace(inbound, version=event.to, prepared=False)
    replica_state = replace(with_record(replica_state, inbound=inbound), inbound_deadline=_patience(inbound, context))
    return _tell(replica_state, Ack(context.uav, event.session, event.to), context)


def checkpoint(replica_state: ReplicaState, event: Checkpoint, context: Context) -> Step:
    """The copy is whole: say so once that is on disk. One that is not what the source has is thrown away."""
    inbound = replica_state.record.inbound
    if inbound is None or not _is_session(replica_state, event.session, context):
        return no_session(replica_state, event, context)
    if event.version != inbound.version:
        return ignored(replica_state, "out_of_order")
    if not context.verified:
        replica_state, dropped = discard(replica_state)
        return replica_state, (*dropped, Send(context.peer, Refuse(context.uav, event.session, Reason.CORRUPT)))
    whole = _prepare if replica_state.purpose is Purpose.MIGRATION else _keep
    replica_state, kept = whole(replica_state, inbound, context)
    stamp = Stamp(context.incarnation, context.now)
    return replica_state, (*kept, Send(context.peer, Verified(context.uav, event.session, event.version, stamp)))


def committed(replica_state: ReplicaState, event: Commit, context: Context) -> Step:
    """Host the twin, if this is its prepared copy; else tell the source what became of that epoch."""
    record, inbound = replica_state.record, replica_state.record.inbound
    if _was_taken(record, event.epoch):
        return _tell(replica_state, Activated(context.uav, event.epoch), context)
    if event.epoch < replica_state.newest_epoch:
        return _tell(replica_state, Fenced(context.uav, replica_state.newest_epoch), context)
    if inbound is None or event.epoch <= record.newest_epoch or not _is_meant(inbound, event, context):
        if not _is_hosts_word(replica_state, event.epoch - 1, context):
            return ignored(replica_state, "unconfirmed_commit")  # a host that means it says it again
        # The epoch is on disk before this is said: it will never be activated here.
        replica_state = with_record(replica_state, newest_epoch=max(record.newest_epoch, event.epoch))
        return _tell(replica_state, Unprepared(context.uav, event.epoch), context)
    record = Record(Status.HOSTING, event.epoch, inbound.version, newest_epoch=event.epoch, taken=event.epoch)
    replica_state = hosting(replica_state, record, _inherited_lease(event, context))
    return replica_state, (Adopt(), Send(context.peer, Activated(context.uav, event.epoch)))


def cancelled(replica_state: ReplicaState, event: Cancel, context: Context) -> Step:
    """The source thought better of it."""
    if not _is_session(replica_state, event.session, context):
        return ignored(replica_state, "old_session")
    return forgotten(replica_state, context)


def forgotten(replica_state: ReplicaState, context: Context) -> Step:
    """Nobody continues: drop what arrived; a replica that it was built upon stays.

    The source keeps its copy until this RSU hosts, so nothing is lost with this one.
    """
    if replica_state.record.inbound is None:
        return ignored(replica_state, "unexpected")
    return replace(with_record(replica_state, inbound=None), inbound_deadline=NEVER), (DropInbound(),)


def no_session(replica_state: ReplicaState, event: Data | Checkpoint, context: Context) -> Step:
    """What nobody here waits for, for example after a restart."""
    return _tell(replica_state, Refuse(context.uav, event.session, Reason.NO_SESSION), context)


def discard(replica_state: ReplicaState) -> Step:
    """The copy is not as it should be. A replica that it was built upon is kept, but not built upon again."""
    inbound = replica_state.record.inbound
    replica_state = replace(with_record(replica_state, inbound=None), inbound_deadline=NEVER)
    if inbound is not None and inbound.base and replica_state.record.status is Status.REPLICA:
        replica_state = with_record(replica_state, status=Status.FENCED)
    return replica_state, (DropInbound(),)


def revived(replica_state: ReplicaState, context: Context) -> ReplicaState:
    """After a restart: what had arrived waits for its source, as long as it would have."""
    inbound = replica_state.record.inbound
    if inbound is None:
        return replica_state
    return replace(replica_state, inbound_deadline=_patience(inbound, context))


# -- what the transitions share ----------------------------------------------------------------------------------------


def _prepare(replica_state: ReplicaState, inbound: InboundTransfer, context: Context) -> Step:
    inbound = replace(inbound, prepared=True)
    return replace(with_record(replica_state, inbound=inbound), inbound_deadline=_patience(inbound, context)), ()


def _keep(replica_state: ReplicaState, inbound: InboundTransfer, context: Context) -> Step:
    """What is here is the replica from now on."""
    changes = replace(inbound, base=True, prepared=False)
    replica_state = with_record(
        replica_state,
        status=Status.REPLICA,
        epoch=inbound.epoch,
        version=inbound.version,
        target="",
        filling=False,
        inbound=changes,
    )
    return replace(replica_state, inbound_deadline=_patience(changes, context)), (Keep(),)


def _objection(replica_state: ReplicaState, offer: Offer, context: Context) -> Reason | None:
    """Why the offer is refused."""
    status = replica_state.record.status
    if status is Status.HOSTING:
        return Reason.HOSTING
    if status is Status.HANDING_OVER and offer.purpose is Purpose.REPLICATION:
        return Reason.BUSY  # a replica would take the place of the copy that is being handed over
    if offer.epoch < replica_state.newest_epoch:
        return Reason.STALE
    if not _is_hosts_word(replica_state, offer.epoch, context):
        return Reason.UNCONFIRMED
    if offer.purpose is Purpose.MIGRATION and not may_hand_over(offer.epoch):
        return Reason.INVALID  # there is no epoch after it
    return context.refusal


def _resumed(record: Record, offer: Offer, context: Context) -> tuple[InboundTransfer, tuple[Action, ...]]:
    """What an offered copy begins with: what is left of an earlier session, else the replica, else nothing.

    Within a term versions are one history: it does not matter which of its hosts sent what is here.
    """
    epoch = offer.epoch + 1 if offer.purpose is Purpose.MIGRATION else offer.epoch
    fresh = InboundTransfer(context.peer, epoch, chunk_size=offer.chunk_size, application=offer.application)
    inbound = record.inbound
    if inbound is not None and _is_of_use(inbound, fresh):
        prepared = inbound.prepared and (inbound.source, inbound.epoch) == (fresh.source, fresh.epoch)
        return replace(inbound, source=fresh.source, epoch=fresh.epoch, prepared=prepared), ()
    dropped: tuple[Action, ...] = (DropInbound(),) if inbound is not None else ()
    if record.status is Status.REPLICA and term_of(record.epoch) == term_of(offer.epoch):
        return replace(fresh, version=record.version, base=True), dropped
    return fresh, dropped


def _is_of_use(inbound: InboundTransfer, fresh: InboundTransfer) -> bool:
    same = (inbound.application, inbound.chunk_size) == (fresh.application, fresh.chunk_size)
    return same and term_of(inbound.epoch) == term_of(fresh.epoch)


def _is_session(replica_state: ReplicaState, session: int, context: Context) -> bool:
    return (context.peer, session) == (replica_state.source, replica_state.session)


def _is_hosts_word(replica_state: ReplicaState, epoch: int, context: Context) -> bool:
    """Whether the UAV takes the sender for the host under `epoch`."""
    return (replica_state.heard_host, replica_state.heard_epoch) == (context.peer, epoch)


def _is_meant(inbound: InboundTransfer, event: Commit, context: Context) -> bool:
    """Whether the commit is for this very copy."""
    meant = (context.peer, event.epoch, event.version)
    return inbound.prepared and (inbound.source, inbound.epoch, inbound.version) == meant


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


def _patience(inbound: InboundTransfer, context: Context) -> float:
    timing = context.timing
    return context.now + (timing.keep_prepared if inbound.prepared else timing.keep_partial)


def _tell(replica_state: ReplicaState, message: PeerMessage, context: Context) -> Step:
    return replica_state, (Send(context.peer, message),)
