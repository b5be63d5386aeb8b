"""An outbound transfer: transitions of the RSU that hosts a twin and sends a copy of it to another.

A migration and the upkeep of a replica are two purposes of one transfer. Both offer, copy what the peer lacks in the
order of versions, and have it verified at a checkpoint. They differ where it must be so: a migration freezes the twin
at its checkpoint, to hand it over (`source.py`), and ends; a replication goes on with what changes, for as long as its
UAV wants it (`replica.py`).

In each phase there is a deadline, unless nothing is waited for: then the transfer begins a new session with an offer. A
session ends with a refusal, a break or silence; what is on the peer's disk by then counts in the next one.
"""

from __future__ import annotations

from uav_twin_migration.twin.protocol.messages import (
    TRANSIENT,
    Accept,
    Ack,
    Cancel,
    Checkpoint,
    Offer,
    Purpose,
    Reason,
    Refuse,
    Verified,
)
from uav_twin_migration.twin.protocol.records import replace
from uav_twin_migration.twin.protocol.replica_state import (
    NEVER,
    Complete,
    Context,
    Ended,
    LinkDown,
    OutboundTransfer,
    Phase,
    ReplicaState,
    Send,
    Sent,
    Step,
    ignored,
    with_transfer,
)

Answered = Accept | Ack | LinkDown | Refuse | Verified  # what concerns one session


def concerned(replica_state: ReplicaState, event: Answered, context: Context) -> OutboundTransfer | None:
    """The transfer whose session an answer is of, if it is under way."""
    for transfer in replica_state.outbound:
        if event.session and event.session == transfer.session:
            return transfer if isinstance(event, LinkDown) or context.peer == transfer.target else None
    return None


def offer(replica_state: ReplicaState, transfer: OutboundTransfer, context: Context) -> Step:
    """A new session begins with an offer."""
    transfer = OutboundTransfer(
        transfer.purpose,
        transfer.target,
        context.session,
        attempts=transfer.attempts + 1,
        deadline=context.now + context.timing.offer_patience,
        give_up_at=transfer.give_up_at,
    )
    offered = Offer(context.uav, context.session, replica_state.record.epoch, transfer.purpose)
    return with_transfer(replica_state, transfer), (Send(transfer.target, offered),)


def accepted(replica_state: ReplicaState, transfer: OutboundTransfer, event: Accept, context: Context) -> Step:
    """The peer takes the copy: send from where it already is."""
    if event.version > replica_state.record.version:
        return _failed(replica_state, transfer, Reason.INVALID, context)  # it claims changes that never were
    transfer = replace(
        _progressed(transfer, context),
        phase=Phase.COPYING,
        sent=event.version,
        acked=event.version,
        attempts=transfer.attempts,
    )
    return with_transfer(replica_state, transfer), ()


def sent(replica_state: ReplicaState, transfer: OutboundTransfer, event: Sent, context: Context) -> Step:
    """More of the copy is on its way."""
    assert transfer.sent <= event.version <= replica_state.record.version
    return with_transfer(replica_state, replace(transfer, sent=event.version)), ()


def acknowledged(replica_state: ReplicaState, transfer: OutboundTransfer, event: Ack, context: Context) -> Step:
    """More of the copy is on the peer's disk."""
    if not transfer.acked < event.version <= transfer.sent:
        return ignored(replica_state, "old_session")
    return with_transfer(replica_state, replace(_progressed(transfer, context), acked=event.version)), ()


def complete(replica_state: ReplicaState, transfer: OutboundTransfer, event: Complete, context: Context) -> Step:
    """All is sent: have the peer verify that it makes a whole twin. A migration serves no more.

    Nothing of this is on disk: a source that crashes now is simply the host again, as is one whose target is silent.
    """
    if not may_complete(replica_state, transfer):
        return ignored(replica_state, "unexpected")
    version, timing = replica_state.record.version, context.timing
    freezes = transfer.purpose is Purpose.MIGRATION
    transfer = replace(
        transfer,
        phase=Phase.FROZEN if freezes else transfer.phase,
        checkpoint=version,
        deadline=context.now + (timing.freeze_limit if freezes else timing.copy_patience),
    )
    checkpoint = Checkpoint(context.uav, transfer.session, version, event.digest)
    return with_transfer(replica_state, transfer), (Send(transfer.target, checkpoint),)


def may_complete(replica_state: ReplicaState, transfer: OutboundTransfer) -> bool:
    """Whether all is sent, and the peer has not been asked to verify it, or has not done so."""
    done = transfer.purpose is Purpose.REPLICATION and replica_state.is_replicated
    all_sent = transfer.phase is Phase.COPYING and transfer.sent == replica_state.record.version
    return all_sent and transfer.checkpoint is None and not done


def confirmed(replica_state: ReplicaState, transfer: OutboundTransfer, event: Verified, context: Context) -> Step:
    """The peer has a whole replica: so much survives this RSU."""
    if event.version != transfer.checkpoint:
        return ignored(replica_state, "old_session")
    replica_state = with_transfer(replica_state, replace(transfer, checkpoint=None, attempts=0, deadline=NEVER))
    return replace(replica_state, replica=context.peer, replica_version=event.version), ()


def refused(replica_state: ReplicaState, transfer: OutboundTransfer, event: Refuse, context: Context) -> Step:
    """The peer does not take the copy, or not now: the host serves on, and tries again where that may help."""
    return _failed(replica_state, transfer, event.reason, context)


def link_down(replica_state: ReplicaState, transfer: OutboundTransfer, event: LinkDown, context: Context) -> Step:
    """The connection is gone: serve on, and try again in a while."""
    return _failed(replica_state, transfer, Reason.BREAK, context)


def timeout(replica_state: ReplicaState, transfer: OutboundTransfer, context: Context) -> Step:
    """The peer is silent, or it is time for another try: serve on, and offer anew."""
    if context.now >= transfer.give_up_at:
        return abandon(replica_state, Reason.UNREACHABLE, context)
    return offer(replica_state, transfer, context)


def abandon(replica_state: ReplicaState, reason: Reason, context: Context) -> Step:
    """End the migration, if there is one; the twin is where it was."""
    migration = replica_state.migration
    if migration is None:
        return replica_state, ()
    ended = Ended(migration.target, replica_state.record.epoch + 1, reason)
    cancelled = Send(migration.target, Cancel(context.uav, migration.session, reason))
    return replace(replica_state, migration=None), (cancelled, ended) if migration.session else (ended,)


def backoff(transfer: OutboundTransfer, context: Context) -> float:
    """How long to wait before the next try, s."""
    timing = context.timing
    return min(timing.retry * 2.0 ** min(transfer.attempts, 20), timing.longest_retry)


def _failed(replica_state: ReplicaState, transfer: OutboundTransfer, reason: Reason, context: Context) -> Step:
    """A session is over. Whether another RSU would keep a replica better is the UAV's to say."""
    migrates = transfer.purpose is Purpose.MIGRATION
    if migrates and reason not in TRANSIENT:
        return abandon(replica_state, reason, context)
    if context.now >= transfer.give_up_at:
        return abandon(replica_state, Reason.UNREACHABLE if reason is Reason.BREAK else reason, context)
    waiting = OutboundTransfer(
        transfer.purpose,
        transfer.target,
        attempts=transfer.attempts,
        deadline=context.now + backoff(transfer, context),
        give_up_at=transfer.give_up_at,
    )
    return with_transfer(replica_state, waiting), ()  # no session until the deadline, which makes a new offer


def _progressed(transfer: OutboundTransfer, context: Context) -> OutboundTransfer:
    """The transfer after the peer took more. A replica that has all waits for changes: then nothing is overdue.

    A replica's offers are counted until one is confirmed: a peer that takes everything and then refuses to verify it
    shall not be sent the whole again and again.
    """
    if transfer.purpose is Purpose.REPLICATION:
        return replace(transfer, deadline=NEVER) if transfer.checkpoint is None else transfer
    transfer = replace(transfer, attempts=0, give_up_at=context.now + context.timing.give_up)
    frozen = transfer.phase is Phase.FROZEN
    return transfer if frozen else replace(transfer, deadline=context.now + context.timing.copy_patience)
