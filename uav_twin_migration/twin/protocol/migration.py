"""The migration protocol: how a twin moves from RSU to RSU, and stays the only one.

Theory of operation
===================

For each twin an RSU has a `ReplicaState` (replica_state.py): a `Record` that is on disk, and a few things that a crash
may take. `step` takes a replica state and an event and gives the next replica state and actions. It does nothing else:
whoever calls it stores the record and the chunks that came with the event in one transaction, and carries the actions
out *after* that is on disk. So whatever one RSU has told another is on its disk, and a crash between two steps loses
messages and nothing else. Any message may be lost, repeated, delayed or overtaken, and either side may crash after any
step.

*The copy.* A twin is a set of numbered chunks. Each change gives its chunk the next *version*, and the newest version
is the twin's *version*. The source sends chunks in the order of their versions, while it serves and the twin changes;
so one number says what the target has on its disk, and a break costs only what was not acknowledged.

*The hand-over.* When little is left, the source freezes: it serves no more, sends the rest and what a whole copy must
look like (`Checkpoint`, with a digest). The target verifies, has it on disk, and says `Verified`. Until here either
side may turn back without asking: the source just serves on. Then the source decides: it writes HANDING_OVER to its
disk, and only the target's word ends that:

- `Activated`: the target hosts, or has hosted, under the next epoch. The source drops its copy and keeps the epoch.
- `Unprepared`: the target has no such copy (it gave up waiting, or its disk was replaced), and has on disk that it
  will never activate that epoch. The source hosts again, under the epoch after it. The target says so only to the RSU
  that the UAV takes for its host: an unknown RSU's commit, however high its epoch, leaves no trace.
- `Fenced`: the UAV has re-hosted its twin meanwhile. The source keeps its copy but serves no more.

Since the source keeps its copy until the target hosts, a target may forget what it prepared: that costs time, not
data.

*Epochs.* An epoch is activated by one RSU only: a hand-over's by its target, a term's first by the RSU that its UAV
asked, one after `Unprepared` by the source. So an epoch is a *fencing token*: whoever has a lower one is fenced off.
`Record.newest_epoch` is the highest that an RSU has given away, taken or forsworn; it is never forgotten, and nothing
at or below it can begin again. That is what is left of a twin that moved on.

*Leases.* Epochs alone cannot keep a host that nobody reaches from serving while its UAV gives the twin to another
RSU. So a host serves only while it has a lease: `HostHeartbeat` carries the host's own clock, its UAV's `LeaseRenewal`
echoes it, and the host may serve until `lease` seconds after the echoed instant. A UAV re-hosts only when more than
that has passed since it last echoed any stamp (host_discovery.py). Neither needs the other's clock, and a late message
is an old stamp, not a long lease. A hand-over passes the rest of the lease on: it counts from the target's stamp on
`Verified`, which was earlier than the decision, so that the target's lease ends before the source's would have.

*Re-hosting.* A UAV without a host asks an RSU (`HostRequest`) to host under the first epoch of a new term. The RSU
takes the newest whole copy it has: its own, an overtaken one, one that was prepared; else the twin begins empty. Who
hosted under an older epoch hears of the new one, and is FENCED. An offer is accepted from an RSU only when the UAV
has said that it is the host, and a commit only for a copy that was prepared: a node that never had the twin cannot
make one.

Places (replica_state.py: `Status` is on disk, `Phase` is not; a restart finds OFFERING, COPYING and FROZEN as
HOSTING)::

                         MigrateRequest        Accept       Complete       Verified
    ABSENT     HOSTING ----------------> OFFERING -----> COPYING -----> FROZEN -----> HANDING_OVER --Activated--> ABSENT
       |        ^  ^ ^                      |  ^            |              |            |  |
       +--------+  | +--- Refuse, Cancel ---+--|------------+--------------+            |  +-----Fenced----> FENCED
       HostRequest |                           +-- a break, a timeout -----+            |
                   +---------------------------- Unprepared ----------------------------+

and beside it, of a copy that arrives: NONE --Offer--> RECEIVING --Checkpoint--> PREPARED --Commit--> (HOSTING).

A replica is kept by the same transfer (replica.py): OFFERING and COPYING, where it stays; at its target each checkpoint
makes the copy the replica. A host may be sending two copies at once, `migration` and `replication`.

*The first snapshot.* A twin that begins empty is written little by little, and is `filling` until `Filled`: it serves,
but nothing of it is acknowledged, no copy of it is offered, and who asks to move it hears BUSY.

*Time.* `timers` says when which timer's time comes; `Timeout` says it has. Nothing else waits.

`TRANSITIONS` and `TRANSFER` are the whole tables. What is not in them is ignored and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from uav_twin_migration.twin.protocol import inbound, outbound, rehosting, replica, source
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Activated,
    Cancel,
    CancelRequest,
    Checkpoint,
    Commit,
    Data,
    Fenced,
    HostRequest,
    LeaseRenewal,
    MigrateRequest,
    Offer,
    Purpose,
    Refuse,
    Unprepared,
    Verified,
)
from uav_twin_migration.twin.protocol.outbound import Answered
from uav_twin_migration.twin.protocol.rehosting import Unheard
from uav_twin_migration.twin.protocol.replica_state import (
    Complete,
    Context,
    Filled,
    Funded,
    InboundPhase,
    LinkDown,
    OutboundTransfer,
    Phase,
    ReplicaState,
    Sent,
    Status,
    Step,
    Timeout,
    Timer,
    Wrote,
    ignored,
)

Place = Status | Phase | InboundPhase
Event = (
    Accept
    | Ack
    | Activated
    | Cancel
    | CancelRequest
    | Checkpoint
    | Commit
    | Complete
    | Data
    | Fenced
    | Filled
    | Funded
    | HostRequest
    | LeaseRenewal
    | LinkDown
    | MigrateRequest
    | Offer
    | Refuse
    | Sent
    | Timeout
    | Unheard
    | Unprepared
    | Verified
    | Wrote
)
Transition = Callable[[ReplicaState, Any, Context], Step]
TransferTransition = Callable[[ReplicaState, OutboundTransfer, Any, Context], Step]

INBOUND: Mapping[type, Transition] = {
    Offer: inbound.offered,
    Data: inbound.received,
    Checkpoint: inbound.checkpoint,
    Commit: inbound.committed,
    Cancel: inbound.cancelled,
}
TRANSITIONS: Mapping[Place, Mapping[type, Transition]] = {
    # the own copy
    Status.ABSENT: {MigrateRequest: source.cannot_migrate},
    Status.FENCED: {MigrateRequest: source.cannot_migrate},
    Status.REPLICA: {MigrateRequest: source.cannot_migrate},
    Status.HOSTING: {MigrateRequest: source.migrate, Wrote: source.wrote, Filled: source.filled},
    Phase.OFFERING: {MigrateRequest: source.migrate_again, CancelRequest: source.cancel, Wrote: source.wrote},
    Phase.COPYING: {MigrateRequest: source.migrate_again, CancelRequest: source.cancel, Wrote: source.wrote},
    Phase.FROZEN: {MigrateRequest: source.migrate_again, CancelRequest: source.cancel},
    Phase.HANDING_OVER: {
        MigrateRequest: source.migrate_again,
        Activated: source.activated,
        Unprepared: source.unprepared,
        Fenced: source.fenced,
    },
    # an inbound transfer
    InboundPhase.NONE: {
        Offer: inbound.offered,
        Data: inbound.no_session,
        Checkpoint: inbound.no_session,
        Commit: inbound.committed,
    },
    InboundPhase.RECEIVING: INBOUND,
    InboundPhase.PREPARED: INBOUND,
}
ANYWHERE: Mapping[type, Transition] = {
    HostRequest: rehosting.host,
    LeaseRenewal: rehosting.recognised,
    Funded: source.funded,
    Unheard: rehosting.unheard,
}
UNDER_WAY: Mapping[type, TransferTransition] = {  # while the host may still turn back
    Refuse: outbound.refused,
    LinkDown: outbound.link_down,
}
TRANSFER: Mapping[Phase, Mapping[type, TransferTransition]] = {  # an outbound transfer
    Phase.OFFERING: {**UNDER_WAY, Accept: outbound.accepted},
    Phase.COPYING: {
        **UNDER_WAY,
        Ack: outbound.acknowledged,
        Sent: outbound.sent,
        Complete: outbound.complete,
        Verified: outbound.confirmed,  # a replica: a migration that asks for that is FROZEN
    },
    Phase.FROZEN: {**UNDER_WAY, Ack: outbound.acknowledged, Verified: source.hand_over},
    Phase.HANDING_OVER: {},
}


def step(replica_state: ReplicaState, event: Event, context: Context) -> Step:
    """The next replica state of a twin, and what is to be done once that is on disk."""
    if isinstance(event, Timeout):
        return _timed_out(replica_state, event.timer, context)
    if isinstance(event, (Answered, Sent, Complete)):
        return _at_transfer(replica_state, event, context)
    kind = type(event)
    transition = (
        ANYWHERE.get(kind)
        or TRANSITIONS[replica_state.place].get(kind)
        or TRANSITIONS[replica_state.inbound_phase].get(kind)
    )
    if transition is None:
        return ignored(replica_state, "unexpected")
    return transition(replica_state, event, context)


def revive(replica_state: ReplicaState, context: Context) -> ReplicaState:
    """After a restart, of what is on the disk."""
    return inbound.revived(source.revived(replica_state, context), context)


def _at_transfer(replica_state: ReplicaState, event: Answered | Sent | Complete, context: Context) -> Step:
    if isinstance(event, (Sent, Complete)):
        migrates = event.purpose is Purpose.MIGRATION
        transfer = replica_state.migration if migrates else replica_state.replication
        why = "unexpected"
    else:
        transfer, why = outbound.concerned(replica_state, event, context), "old_session"
    transition = TRANSFER[transfer.phase].get(type(event)) if transfer is not None else None
    if transfer is None or transition is None:
        return ignored(replica_state, why)
    return transition(replica_state, transfer, event, context)


def _timed_out(replica_state: ReplicaState, timer: Timer, context: Context) -> Step:
    if timer is Timer.INBOUND:
        return inbound.forgotten(replica_state, context)
    if timer is Timer.UNWANTED:
        return replica.unwanted(replica_state, context)
    transfer = replica_state.replication if timer is Timer.REPLICATION else replica_state.migration
    if transfer is None:
        return ignored(replica_state, "unexpected")
    if timer is Timer.FUNDING:
        return source.unfunded(replica_state, context)
    if transfer.phase is Phase.HANDING_OVER:
        return source.commit(replica_state, transfer, context)
    return outbound.timeout(replica_state, transfer, context)
