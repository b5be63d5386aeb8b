"""What the UAV decides about its twin's host, as an RSU carries it out. `migration.py` explains it."""

from __future__ import annotations

from dataclasses import replace

from uav_twin_migration.twin.custody import (
    LONG_AGO,
    NEVER,
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
    with_record,
)
from uav_twin_migration.twin.epochs import term_of
from uav_twin_migration.twin.messages import HostReply, HostRequest, Reason, Recognition
from uav_twin_migration.twin.source import abandon


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
    custody, actions = abandon(custody, Reason.SUPERSEDED, context)
    mark, kept = _best_copy(record)
    record = Record(Status.HOSTING, event.epoch, mark, fence=event.epoch, taken=record.taken)
    custody = replace(custody, record=record, outgoing=None, intake_deadline=NEVER, lease_until=LONG_AGO, gone_to="")
    custody, answer = _answer(custody, event, context, restored=not any(isinstance(one, Create) for one in kept))
    return custody, (*actions, *kept, *answer)


def recognised(custody: Custody, event: Recognition, context: Context) -> Step:
    """Hear whom the UAV takes for its host: it renews a lease, or ends a hosting that was overtaken."""
    epoch = max(event.epoch, event.fence)
    if epoch >= custody.heard_epoch:
        custody = replace(custody, heard_host=event.host, heard_epoch=epoch)
    if epoch > custody.gone_epoch:
        custody = replace(custody, gone_to="", gone_epoch=0)
    record = custody.record
    if _is_overtaken(record, epoch):
        custody, actions = abandon(custody, Reason.STALE, context)
        custody = with_record(custody, status=Status.FENCED, target="", fence=max(record.fence, epoch))
        return replace(custody, outgoing=None, lease_until=LONG_AGO), actions
    return _renewed(custody, event, context), ()


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


def _best_copy(record: Record) -> tuple[int, tuple[Action, ...]]:
    """The mark of the newest whole copy, and what to do to keep it alone."""
    incoming = record.incoming
    if incoming is not None and incoming.prepared and (incoming.epoch, incoming.mark) > (record.epoch, record.mark):
        return incoming.mark, (Adopt(),)
    drop: tuple[Action, ...] = (DropIncoming(),) if incoming is not None else ()
    if record.status is not Status.ABSENT:
        return record.mark, drop
    return 0, (*drop, Create())


def _answer(
    custody: Custody, event: HostRequest, context: Context, reason: Reason | None = None, restored: bool = False
) -> Step:
    fence = custody.fence if reason is Reason.STALE else 0
    return custody, (Answer(HostReply(context.uav, context.me, event.epoch, reason, fence, restored)),)
