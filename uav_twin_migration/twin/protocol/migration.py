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
look like (`Prepare`, with a digest). The target verifies, has it on disk, and says `Prepared`. Until here either side
may turn back without asking: the source just serves on. Then the source decides: it writes LEAVING to its disk, and
only the target's word ends that:

- `Activated`: the target hosts, or has hosted, under the next epoch. The source drops its copy and keeps a fence.
- `Unprepared`: the target has no such copy (it gave up waiting, or its disk was replaced), and has on disk that it
  will never activate that epoch. The source hosts again, under the epoch after it. The target says so only to the RSU
  that the UAV takes for its host: a stranger's commit, however high its epoch, leaves no trace.
- `Fenced`: the UAV has re-hosted its twin meanwhile. The source keeps its copy but serves no more.

Since the source keeps its copy until the target hosts, a target may forget what it prepared: that costs time, not
data.

*Epochs.* An epoch is activated by one RSU only: a hand-over's by its target, a term's first by the RSU that its UAV
asked, one after `Unprepared` by the source. `Record.fence` is the highest epoch that an RSU has given away, taken or
forsworn; it is never forgotten, and nothing at or below it can begin again. That is what is left of a twin that moved
on.

*Leases.* Epochs alone cannot keep a host that nobody reaches from serving while its UAV gives the twin to another
RSU. So a host serves only while it has a lease: `HostHeartbeat` carries the host's own clock, its UAV's `LeaseRenewal`
echoes it, and the host may serve until `lease` seconds after the echoed instant. A UAV re-hosts only when more than
that has passed since it last echoed any stamp (host_discovery.py). Neither needs the other's clock, and a late message
is an old stamp, not a long lease. A hand-over passes the rest of the lease on: it counts from the target's stamp on
`Prepared`, which was earlier than the decision, so that the target's lease ends before the source's would have.

*Re-hosting.* A UAV without a host asks an RSU (`HostRequest`) to host under the first epoch of a new term. The RSU
takes the newest whole copy it has: its own, an overtaken one, one that was prepared; else the twin begins empty. Who
hosted under an older epoch hears of the new one, and is FENCED. An offer is accepted from an RSU only when the UAV
has said that it is the host, and a commit only for a copy that was prepared: a node that never had the twin cannot
make one.

Places (replica_state.py: `Status` is on disk, `Phase` is not; a restart finds OFFERING, COPYING and FROZEN as
HOSTING)::

                         MigrateRequest        Accept         Freeze        Prepared
    ABSENT     HOSTING ----------------> OFFERING -----> COPYING -----> FROZEN -----> LEAVING --Activated--> ABSENT
       |        ^  ^ ^                      |  ^            |              |            |  |
       +--------+  | +--- Refuse, Cancel ---+--|------------+--------------+            |  +-----Fenced----> FENCED
       HostRequest |                           +-- a break, a timeout -----+            |
                   +---------------------------- Unprepared ----------------------------+

and beside it, of a copy that arrives: NONE --Offer--> RECEIVING --Prepare--> PREPARED --Commit--> (own copy, HOSTING).

`TRANSITIONS` is the whole table. What is not in it is ignored and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from uav_twin_migration.twin.protocol import rehosting, replica, source, target
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
    Prepare,
    Prepared,
    Refuse,
    ReplicaOffer,
    Replicated,
    Unprepared,
)
from uav_twin_migration.twin.protocol.replica import Answered
from uav_twin_migration.twin.protocol.replica_state import (
    Check,
    Context,
    Freeze,
    Intake,
    IntakeTimeout,
    LinkDown,
    Phase,
    ReplicaSent,
    ReplicaState,
    ReplicaTimeout,
    Sent,
    StandbyTimeout,
    Status,
    Step,
    Timeout,
    Wrote,
    ignored,
)

Place = Status | Phase | Intake
Event = (
    Accept
    | Ack
    | Activated
    | Cancel
    | CancelRequest
    | Check
    | Checkpoint
    | Commit
    | Data
    | Fenced
    | Freeze
    | HostRequest
    | IntakeTimeout
    | LinkDown
    | MigrateRequest
    | Offer
    | Prepare
    | Prepared
    | LeaseRenewal
    | Refuse
    | ReplicaOffer
    | ReplicaSent
    | ReplicaTimeout
    | Replicated
    | Sent
    | StandbyTimeout
    | Timeout
    | Unprepared
    | Wrote
)
Transition = Callable[[ReplicaState, Any, Context], Step]

UNDER_WAY: Mapping[type, Transition] = {  # in each phase in which the source may still turn back
    MigrateRequest: source.migrate_again,
    CancelRequest: source.cancel,
    Refuse: source.refused,
    LinkDown: source.link_down,
    Timeout: source.timeout,
}
ARRIVING: Mapping[type, Transition] = {
    Offer: target.offered,
    Data: target.received,
    Prepare: target.prepare,
    Commit: target.committed,
    Cancel: target.cancelled,
    IntakeTimeout: target.forgotten,
}

TRANSITIONS: Mapping[Place, Mapping[type, Transition]] = {
    # the own copy
    Status.ABSENT: {MigrateRequest: source.cannot_migrate},
    Status.FENCED: {MigrateRequest: source.cannot_migrate},
    Status.STANDBY: {MigrateRequest: source.cannot_migrate},
    Status.HOSTING: {MigrateRequest: source.migrate, Wrote: source.wrote},
    Phase.OFFERING: {**UNDER_WAY, Wrote: source.wrote, Accept: source.accepted},
    Phase.COPYING: {
        **UNDER_WAY,
        Wrote: source.wrote,
        Ack: source.acknowledged,
        Sent: source.sent,
        Freeze: source.freeze,
    },
    Phase.FROZEN: {**UNDER_WAY, Ack: source.acknowledged, Prepared: source.prepared},
    Phase.LEAVING: {
        MigrateRequest: source.migrate_again,
        Timeout: source.commit_again,
        Activated: source.activated,
        Unprepared: source.unprepared,
        Fenced: source.fenced,
    },
    # a copy that arrives
    Intake.NONE: {
        Offer: target.offered,
        Data: target.no_session,
        Prepare: target.no_session,
        Commit: target.committed,
    },
    Intake.RECEIVING: ARRIVING,
    Intake.PREPARED: ARRIVING,
}
ANYWHERE: Mapping[type, Transition] = {
    HostRequest: rehosting.host,
    LeaseRenewal: rehosting.recognised,
    # a replica, at the standby
    ReplicaOffer: replica.offered,
    Checkpoint: replica.checkpoint,
    StandbyTimeout: replica.unwanted,
    # and at the host
    ReplicaSent: replica.sent,
    Check: replica.check,
    ReplicaTimeout: replica.timeout,
}
REPLICATION: Mapping[type, Transition] = {  # in the host's session with its standby
    Accept: replica.accepted,
    Ack: replica.acknowledged,
    Refuse: replica.refused,
    Replicated: replica.replicated,
    LinkDown: replica.link_down,
}


def step(replica_state: ReplicaState, event: Event, context: Context) -> Step:
    """The next replica state of a twin, and what is to be done once that is on disk."""
    kind = type(event)
    if isinstance(event, Answered) and replica.concerns(replica_state, event, context):
        return REPLICATION[kind](replica_state, event, context)
    transition = (
        ANYWHERE.get(kind) or TRANSITIONS[replica_state.place].get(kind) or TRANSITIONS[replica_state.intake].get(kind)
    )
    if transition is None:
        return ignored(replica_state, "old_session" if isinstance(event, Answered) else "unexpected")
    return transition(replica_state, event, context)
