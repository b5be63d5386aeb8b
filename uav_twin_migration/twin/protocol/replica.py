"""Replicas: transitions of a host that keeps a second RSU up to date, and of that RSU.

Theory of operation
===================

A UAV may want a replica of its twin on a second RSU, its *standby*, and says so with each lease renewal. The host then
offers one (`ReplicaOffer`), and sends what the standby lacks, as a migration does: chunks in the order of their
versions, while it serves. Whenever nothing is left to send, what the standby has is a whole twin: the host says so
with a `Checkpoint` and its digest, the standby verifies it, puts it on its disk as STANDBY, and answers `Replicated`.
From then on only changes go. They lie beside the replica (an incoming copy with `base`) until the next checkpoint
makes them part of it, so that the copy is whole at any moment.

Nothing here serves, and no epoch begins here. A standby takes over as any RSU does that has a copy: the UAV, having
heard nothing of the host for long enough, asks it to host under a new term (rehosting.py), and what it had at its last
checkpoint goes on. The host tells in its `HostHeartbeat` who has confirmed which version, so that the UAV asks for no
less than that (host_discovery.py).

Within a term a twin's versions are one history, whoever hosted: so a replica is of use to each of the term's hosts,
and to a migration that ends at the standby, which then takes changes alone. The source of such a migration keeps its
copy: the two change places. A copy of another term is replaced as a whole.

A replica is not given up before the UAV has for a while named another RSU.
"""

from __future__ import annotations

from dataclasses import replace

from uav_twin_migration.twin.protocol.epochs import term_of
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Cancel,
    Checkpoint,
    LeaseRenewal,
    Offer,
    Reason,
    Refuse,
    ReplicaOffer,
    Replicated,
)
from uav_twin_migration.twin.protocol.replica_state import (
    NEVER,
    Action,
    Check,
    Context,
    DropIncoming,
    DropOwn,
    Incoming,
    Keep,
    LinkDown,
    Phase,
    Record,
    ReplicaSent,
    ReplicaState,
    ReplicaTimeout,
    Replication,
    Send,
    StandbyTimeout,
    Status,
    Step,
    ignored,
    with_record,
)

Answered = Accept | Ack | LinkDown | Refuse | Replicated  # what concerns the host's session with its standby

# -- the host ----------------------------------------------------------------------------------------------------------


def follow(replica_state: ReplicaState, context: Context) -> Step:
    """Begin, go on or cease to keep a replica, as the UAV wants."""
    if replica_state.record.status is not Status.HOSTING or replica_state.place is Phase.FROZEN:
        return replica_state, ()
    moving_there = replica_state.outgoing is not None and replica_state.outgoing.target == replica_state.standby
    wanted = "" if moving_there or replica_state.standby == context.me else replica_state.standby
    replication = replica_state.replication
    if wanted == (replication.target if replication is not None else ""):
        return replica_state, ()
    replica_state, stopped = stop(replica_state, context)
    if not wanted:
        return replica_state, stopped
    replica_state, offered = _offer(replace(replica_state, replication=Replication(wanted)), context)
    return replica_state, (*stopped, *offered)


def stop(replica_state: ReplicaState, context: Context) -> Step:
    """Keep no replica up to date any more."""
    replication = replica_state.replication
    if replication is None:
        return replica_state, ()
    replica_state = replace(replica_state, replication=None)
    if not replication.session or replica_state.standby == replication.target:
        return replica_state, ()  # what was sent will be of use
    return replica_state, (Send(replication.target, Cancel(context.uav, replication.session)),)


def concerns(replica_state: ReplicaState, event: Answered, context: Context) -> bool:
    """Whether an answer is of the session with the standby, and not of a migration."""
    replication = replica_state.replication
    if replication is None or not event.session or event.session != replication.session:
        return False
    return isinstance(event, LinkDown) or context.peer == replication.target


def accepted(replica_state: ReplicaState, event: Accept, context: Context) -> Step:
    """The standby takes a copy: send from where it already is."""
    if event.version > replica_state.record.version:
        return _wait(replica_state, context)  # it claims changes that never were
    copying = replace(
        _replication(replica_state), copying=True, sent=event.version, acked=event.version, deadline=NEVER
    )
    return replace(replica_state, replication=copying), ()


def sent(replica_state: ReplicaState, event: ReplicaSent, context: Context) -> Step:
    """More changes are on their way."""
    replication = replica_state.replication
    if replication is None or not replication.copying:
        return ignored(replica_state, "unexpected")
    assert replication.sent <= event.version <= replica_state.record.version
    return replace(replica_state, replication=replace(replication, sent=event.version)), ()


def acknowledged(replica_state: ReplicaState, event: Ack, context: Context) -> Step:
    """More changes are on the standby's disk."""
    replication = _replication(replica_state)
    if not replication.acked < event.version <= replication.sent:
        return ignored(replica_state, "old_session")
    return replace(replica_state, replication=replace(replication, acked=event.version)), ()


def check(replica_state: ReplicaState, event: Check, context: Context) -> Step:
    """Nothing is left to send: have the standby verify what it has."""
    replication, version = replica_state.replication, replica_state.record.version
    if replication is None or not replication.copying or replication.sent != version:
        return ignored(replica_state, "unexpected")
    deadline = context.now + context.timing.copy_patience
    replica_state = replace(replica_state, replication=replace(replication, checked=version, deadline=deadline))
    return replica_state, (
        Send(replication.target, Checkpoint(context.uav, replication.session, version, event.digest)),
    )


def replicated(replica_state: ReplicaState, event: Replicated, context: Context) -> Step:
    """The standby has it all: so much survives this RSU."""
    replication = _replication(replica_state)
    if event.version != replication.checked:
        return ignored(replica_state, "old_session")
    replication = replace(replication, checked=0, attempts=0, deadline=NEVER)
    return replace(replica_state, replication=replication, replica=context.peer, replica_version=event.version), ()


def refused(replica_state: ReplicaState, event: Refuse, context: Context) -> Step:
    """Not now; whether another RSU would do better is the UAV's to say."""
    return _wait(replica_state, context)


def link_down(replica_state: ReplicaState, event: LinkDown, context: Context) -> Step:
    """The connection is gone: try again in a while."""
    return _wait(replica_state, context)


def timeout(replica_state: ReplicaState, event: ReplicaTimeout, context: Context) -> Step:
    """The standby is silent, or it is time for another try."""
    if replica_state.replication is None:
        return ignored(replica_state, "unexpected")
    return _offer(replica_state, context)


# -- the standby -------------------------------------------------------------------------------------------------------


def offered(replica_state: ReplicaState, event: ReplicaOffer, context: Context) -> Step:
    """Take a replica, or say why not."""
    if context.peer == replica_state.source and event.session < replica_state.session:
        return ignored(replica_state, "old_session")
    reason = _objection(replica_state, event, context)
    if reason is not None:
        refusal = Refuse(context.uav, event.session, reason, replica_state.fence if reason is Reason.STALE else 0)
        return replica_state, (Send(context.peer, refusal),)
    incoming, dropped = resume(replica_state.record, event, context)
    deadline = context.now + context.timing.keep_partial
    replica_state = replace(with_record(replica_state, incoming=incoming), source=context.peer, session=event.session)
    accept = Send(context.peer, Accept(context.uav, event.session, incoming.version))
    return replace(replica_state, intake_deadline=deadline), (*dropped, accept)


def checkpoint(replica_state: ReplicaState, event: Checkpoint, context: Context) -> Step:
    """What is here is whole: it is the replica from now on, unless it is not what the host has."""
    incoming = replica_state.record.incoming
    if incoming is None or (context.peer, event.session) != (replica_state.source, replica_state.session):
        return replica_state, (Send(context.peer, Refuse(context.uav, event.session, Reason.NO_SESSION)),)
    if event.version != incoming.version:
        return ignored(replica_state, "out_of_order")
    if not context.verified:
        replica_state, dropped = discard(replica_state)
        return replica_state, (*dropped, Send(context.peer, Refuse(context.uav, event.session, Reason.CORRUPT)))
    changes = replace(incoming, base=True, prepared=False)
    replica_state = with_record(
        replica_state,
        status=Status.STANDBY,
        epoch=incoming.epoch,
        version=incoming.version,
        target="",
        incoming=changes,
    )
    replica_state = replace(replica_state, intake_deadline=context.now + context.timing.keep_partial)
    return replica_state, (Keep(), Send(context.peer, Replicated(context.uav, event.session, event.version)))


def named(replica_state: ReplicaState, event: LeaseRenewal, context: Context) -> ReplicaState:
    """The UAV told which RSU shall have a replica."""
    elsewhere = event.host not in ("", context.me) and event.standby != context.me
    if replica_state.record.status is not Status.STANDBY or event.standby == context.me:
        return replace(replica_state, unwanted_at=NEVER)
    if elsewhere and event.epoch >= replica_state.record.epoch and replica_state.unwanted_at == NEVER:
        return replace(replica_state, unwanted_at=context.now + context.timing.keep_unwanted)
    return replica_state


def unwanted(replica_state: ReplicaState, event: StandbyTimeout, context: Context) -> Step:
    """Nobody has wanted the replica for a while; what remains is the fence."""
    if replica_state.record.status is not Status.STANDBY:
        return ignored(replica_state, "unexpected")
    incoming = replica_state.record.incoming
    replica_state = replace(with_record(replica_state, status=Status.ABSENT, epoch=0, version=0), unwanted_at=NEVER)
    if incoming is None or not incoming.base:
        return replica_state, (DropOwn(),)
    replica_state, dropped = discard(replica_state)
    return replica_state, (*dropped, DropOwn())


# -- what the transitions share ----------------------------------------------------------------------------------------


def resume(record: Record, offer: Offer | ReplicaOffer, context: Context) -> tuple[Incoming, tuple[Action, ...]]:
    """What an offered copy begins with: what is left of an earlier session, else the replica, else nothing.

    Within a term versions are one history: it does not matter which of its hosts sent what is here.
    """
    fresh = Incoming(context.peer, offer.epoch, chunk_size=offer.chunk_size, application=offer.application)
    incoming = record.incoming
    if incoming is not None and _is_of_use(incoming, fresh):
        prepared = incoming.prepared and (incoming.source, incoming.epoch) == (fresh.source, fresh.epoch)
        return replace(incoming, source=fresh.source, epoch=fresh.epoch, prepared=prepared), ()
    dropped: tuple[Action, ...] = (DropIncoming(),) if incoming is not None else ()
    if record.status is Status.STANDBY and term_of(record.epoch) == term_of(offer.epoch):
        return replace(fresh, version=record.version, base=True), dropped
    return fresh, dropped


def _is_of_use(incoming: Incoming, fresh: Incoming) -> bool:
    same = (incoming.application, incoming.chunk_size) == (fresh.application, fresh.chunk_size)
    return same and term_of(incoming.epoch) == term_of(fresh.epoch)


def discard(replica_state: ReplicaState) -> Step:
    """The incoming copy is not as it should be. A warm one that it was built upon is kept, but not built upon again."""
    incoming = replica_state.record.incoming
    replica_state = replace(with_record(replica_state, incoming=None), intake_deadline=NEVER)
    if incoming is not None and incoming.base and replica_state.record.status is Status.STANDBY:
        replica_state = with_record(replica_state, status=Status.FENCED)
    return replica_state, (DropIncoming(),)


def _replication(replica_state: ReplicaState) -> Replication:
    assert replica_state.replication is not None
    return replica_state.replication


def _offer(replica_state: ReplicaState, context: Context) -> Step:
    replication = _replication(replica_state)
    offer = ReplicaOffer(context.uav, context.session, replica_state.record.epoch)
    deadline = context.now + context.timing.offer_patience
    replication = Replication(replication.target, context.session, attempts=replication.attempts + 1, deadline=deadline)
    return replace(replica_state, replication=replication), (Send(replication.target, offer),)


def _wait(replica_state: ReplicaState, context: Context) -> Step:
    """No session until the deadline, which makes a new offer."""
    replication, timing = _replication(replica_state), context.timing
    pause = min(timing.retry * 2.0 ** min(replication.attempts, 20), timing.longest_retry)
    waiting = Replication(replication.target, attempts=replication.attempts, deadline=context.now + pause)
    return replace(replica_state, replication=waiting), ()


def _objection(replica_state: ReplicaState, offer: ReplicaOffer, context: Context) -> Reason | None:
    """Why a replica is refused."""
    if replica_state.record.status is Status.HOSTING:
        return Reason.HOSTING
    if replica_state.record.status is Status.LEAVING:
        return Reason.BUSY
    if offer.epoch < replica_state.fence:
        return Reason.STALE
    if (replica_state.heard_host, replica_state.heard_epoch) != (context.peer, offer.epoch):
        return Reason.UNCONFIRMED
    return context.refusal
