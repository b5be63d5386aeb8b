"""What the UAV decides about its twin's host, as an RSU carries it out. `migration.py` explains it."""

from __future__ import annotations

from dataclasses import replace

from uav_twin_migration.twin.protocol import replica
from uav_twin_migration.twin.protocol.epochs import term_of
from uav_twin_migration.twin.protocol.messages import (
    HostReply,
    HostRequest,
    Reason,
    Recognition,
)
from uav_twin_migration.twin.protocol.replica_state import (
    LONG_AGO,
    Action,
    Adopt,
    Answer,
    Context,
    Create,
    Custody,
    DropIncoming,
    Record,
    Status,
    Step,
    hosting,
    with_record,
)
from uav_twin_migration.twin.protocol.source import abandon


def host(custody: Custody, event: HostRequest, context: Context) -> Step:
    """Host the twin under a new epoch: from the newest copy there is here, or from nothing."""
    record = custody.record
    if record.status is Status.HOSTING and record.epoch == event.epoch:
        return _answer(custody, event, context, restored=record.mark > 0)
    # The epoch that is asked for may have been heard before, as the fence of a UAV that has no host yet.
    known = max(record.fence, record.incoming.epoch if record.incoming else 0)
    if event.epoch <= known or event.epoch < custody.heard_epoch:
        return _answer(custody, event, context, Reason.STALE)
    if context.refusal is not None:
        return _answer(custody, event, context, context.refusal)
    epoch, mark, kept = _best_copy(record)
    if not _is_enough(epoch, mark, event):
        return _answer(custody, event, context, Reason.UNKNOWN)
    custody, actions = _abandon_all(custody, Reason.SUPERSEDED, context)
    record = Record(Status.HOSTING, event.epoch, mark, fence=event.epoch, taken=record.taken)
    custody = hosting(custody, record)
    custody, answer = _answer(custody, event, context, restored=not any(isinstance(one, Create) for one in kept))
    return custody, (*actions, *kept, *answer)


def recognised(custody: Custody, event: Recognition, context: Context) -> Step:
    """Hear whom the UAV takes for its host: it renews a lease, or ends a hosting that was overtaken."""
    epoch = max(event.epoch, event.fence)
    if epoch >= custody.heard_epoch:
        custody = replace(custody, heard_host=event.host, heard_epoch=epoch, standby=event.standby)
        custody = replica.named(custody, event, context)
    if epoch > custody.gone_epoch:
        custody = replace(custody, gone_to="", gone_epoch=0)
    record = custody.record
    if _is_overtaken(record, epoch):
        custody, actions = _abandon_all(custody, Reason.STALE, context)
        custody = with_record(custody, status=Status.FENCED, target="", fence=max(record.fence, epoch))
        return replace(custody, outgoing=None, lease_until=LONG_AGO), actions
    return replica.follow(_renewed(custody, event, context), context)


def _abandon_all(custody: Custody, reason: Reason, context: Context) -> Step:
    """End what the RSU was doing as this twin's host."""
    custody, stopped = replica.stop(custody, context)
    custody, abandoned = abandon(custody, reason, context)
    return custody, (*stopped, *abandoned)


def _is_enough(epoch: int, mark: int, event: HostRequest) -> bool:
    """Whether a copy has what the UAV knows of. Within a term versions count on; a later one began with a copy."""
    if term_of(epoch) == term_of(event.least_epoch):
        return mark >= event.least_mark
    return epoch >= event.least_epoch


def _is_overtaken(record: Record, epoch: int) -> bool:
    if record.status is Status.HOSTING:
        return epoch > record.epoch
    # A twin that was handed over goes on in the same term: its copy is released by the target's word alone.
    return record.status is Status.LEAVING and term_of(epoch) > term_of(record.epoch)


def _renewed(custody: Custody, event: Recognition, context: Context) -> Custody:
    record, stamp = custody.record, event.stamp
    mine = record.status is Status.HOSTING and event.host == context.me and event.epoch == record.epoch
    if not mine or stamp is None or stamp.life != context.life or stamp.time > context.now:
        return custody
    return replace(custody, lease_until=max(custody.lease_until, stamp.time + context.timing.lease))


def _best_copy(record: Record) -> tuple[int, int, tuple[Action, ...]]:
    """Epoch and mark of the newest whole copy, and what to do to keep it alone."""
    incoming = record.incoming
    if incoming is not None and incoming.prepared and (incoming.epoch, incoming.mark) > (record.epoch, record.mark):
        return incoming.epoch, incoming.mark, (Adopt(),)
    drop: tuple[Action, ...] = (DropIncoming(),) if incoming is not None else ()
    if record.status is not Status.ABSENT:
        return record.epoch, record.mark, drop
    return 0, 0, (*drop, Create())


def _answer(
    custody: Custody, event: HostRequest, context: Context, reason: Reason | None = None, restored: bool = False
) -> Step:
    fence = custody.fence if reason is Reason.STALE else 0
    return custody, (Answer(HostReply(context.uav, context.me, event.epoch, reason, fence, restored)),)
