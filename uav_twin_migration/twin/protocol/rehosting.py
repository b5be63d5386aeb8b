"""What the UAV decides about its twin's host, as an RSU carries it out. `migration.py` explains it."""

from __future__ import annotations

from dataclasses import dataclass

from uav_twin_migration.twin.protocol import outbound, replica
from uav_twin_migration.twin.protocol.epochs import term_of
from uav_twin_migration.twin.protocol.messages import (
    HostReply,
    HostRequest,
    LeaseRenewal,
    Reason,
)
from uav_twin_migration.twin.protocol.records import replace
from uav_twin_migration.twin.protocol.replica_state import (
    LONG_AGO,
    Action,
    Adopt,
    Answer,
    Context,
    Create,
    DropInbound,
    DropOwn,
    Record,
    ReplicaState,
    Status,
    Step,
    hosting,
    ignored,
    with_record,
)


@dataclass(frozen=True)
class Unheard:
    """The UAV was not heard for so long that its twin shall not be kept any longer."""

    served: bool  # whether users ever saw it, or it took anything: False where it never got a lease


def host(replica_state: ReplicaState, event: HostRequest, context: Context) -> Step:
    """Host the twin under a new epoch: from the newest copy there is here, or from nothing."""
    record = replica_state.record
    if record.status is Status.HOSTING and record.epoch == event.epoch:
        return _answer(replica_state, event, context, restored=record.version > 0 and not record.filling)
    # The epoch that is asked for may have been heard before, as the newest epoch of a UAV that has no host yet.
    known = max(record.newest_epoch, record.inbound.epoch if record.inbound else 0)
    if event.epoch <= known or event.epoch < replica_state.heard_epoch:
        return _answer(replica_state, event, context, Reason.STALE)
    if context.refusal is not None:
        return _answer(replica_state, event, context, context.refusal)
    epoch, version, kept = _best_copy(record)
    if not _is_enough(epoch, version, event):
        return _answer(replica_state, event, context, Reason.UNKNOWN)
    replica_state, actions = _abandon_all(replica_state, Reason.SUPERSEDED, context)
    anew = any(isinstance(one, Create) for one in kept)
    record = Record(Status.HOSTING, event.epoch, version, event.epoch, record.taken, filling=anew)
    replica_state = hosting(replica_state, record)
    replica_state, answer = _answer(replica_state, event, context, restored=not anew)
    return replica_state, (*actions, *kept, *answer)


def recognised(replica_state: ReplicaState, event: LeaseRenewal, context: Context) -> Step:
    """Hear whom the UAV takes for its host: it renews a lease, or ends a hosting that was overtaken."""
    epoch = max(event.epoch, event.newest_epoch)
    if epoch >= replica_state.heard_epoch:
        known = replica_state.heard_host, replica_state.heard_epoch, replica_state.replica_host
        if known != (event.host, epoch, event.replica_host):
            replica_state = replace(
                replica_state, heard_host=event.host, heard_epoch=epoch, replica_host=event.replica_host
            )
        replica_state = replica.named(replica_state, event, context)
    if epoch > replica_state.gone_epoch and (replica_state.gone_to or replica_state.gone_epoch):
        replica_state = replace(replica_state, gone_to="", gone_epoch=0)
    record = replica_state.record
    if _is_overtaken(record, epoch):
        replica_state, actions = _abandon_all(replica_state, Reason.STALE, context)
        replica_state = with_record(
            replica_state, status=Status.FENCED, target="", newest_epoch=max(record.newest_epoch, epoch)
        )
        return replace(replica_state, migration=None, lease_until=LONG_AGO), actions
    return replica.follow(_renewed(replica_state, event, context), context)


def unheard(replica_state: ReplicaState, event: Unheard, context: Context) -> Step:
    """Drop a twin whose UAV is silent.

    What is left is the newest epoch; of a twin that never was served, which is nothing but a request that anybody may
    have sent, nothing is. To host it again under the same epoch harms nobody: the UAV that asked has never recognised
    that hosting, and a UAV never goes back to an earlier term.
    """
    record = replica_state.record
    if record.status not in (Status.HOSTING, Status.FENCED, Status.REPLICA) or replica_state.migration is not None:
        return ignored(replica_state, "unexpected")
    replica_state, stopped = _abandon_all(replica_state, Reason.CANCELLED, context)
    dropped: tuple[Action, ...] = (*stopped, *((DropInbound(),) if record.inbound is not None else ()), DropOwn())
    left = Record(newest_epoch=record.newest_epoch, taken=record.taken) if event.served else Record()
    return replace(hosting(replica_state, left), replica_host=""), dropped


def _abandon_all(replica_state: ReplicaState, reason: Reason, context: Context) -> Step:
    """End what the RSU was doing as this twin's host."""
    replica_state, stopped = replica.stop(replica_state, context)
    replica_state, abandoned = outbound.abandon(replica_state, reason, context)
    return replica_state, (*stopped, *abandoned)


def _is_enough(epoch: int, version: int, event: HostRequest) -> bool:
    """Whether a copy has what the UAV knows of. Within a term versions count on; a later one began with a copy."""
    if term_of(epoch) == term_of(event.least_epoch):
        return version >= event.least_version
    return epoch >= event.least_epoch


def _is_overtaken(record: Record, epoch: int) -> bool:
    if record.status is Status.HOSTING:
        return epoch > record.epoch
    # A twin that was handed over goes on in the same term: its copy is released by the target's word alone.
    return record.status is Status.HANDING_OVER and term_of(epoch) > term_of(record.epoch)


def _renewed(replica_state: ReplicaState, event: LeaseRenewal, context: Context) -> ReplicaState:
    record, stamp = replica_state.record, event.stamp
    mine = record.status is Status.HOSTING and event.host == context.me and event.epoch == record.epoch
    if not mine or stamp is None or stamp.incarnation != context.incarnation or stamp.time > context.now:
        return replica_state
    return replace(replica_state, lease_until=max(replica_state.lease_until, stamp.time + context.timing.lease))


def _best_copy(record: Record) -> tuple[int, int, tuple[Action, ...]]:
    """Epoch and version of the newest whole copy, and what to do to keep it alone."""
    inbound = record.inbound
    if inbound is not None and inbound.prepared and (inbound.epoch, inbound.version) > (record.epoch, record.version):
        return inbound.epoch, inbound.version, (Adopt(),)
    drop: tuple[Action, ...] = (DropInbound(),) if inbound is not None else ()
    if record.status is Status.ABSENT:
        return 0, 0, (*drop, Create())
    if record.filling:  # a first snapshot that was never all written: nothing of it was acknowledged
        return 0, 0, (*drop, DropOwn(), Create())
    return record.epoch, record.version, drop


def _answer(
    replica_state: ReplicaState,
    event: HostRequest,
    context: Context,
    reason: Reason | None = None,
    restored: bool = False,
) -> Step:
    newest_epoch = replica_state.newest_epoch if reason is Reason.STALE else 0
    return replica_state, (Answer(HostReply(context.uav, context.me, event.epoch, reason, newest_epoch, restored)),)
