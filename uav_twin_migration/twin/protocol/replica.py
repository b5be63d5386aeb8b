"""Warm copies: transitions of a host that keeps a second RSU up to date, and of that RSU.

Theory of operation
===================

A UAV may want a warm copy of its twin on a second RSU, its *standby*, and says so with each recognition. The host then
offers one (`ReplicaOffer`), and sends what the standby lacks, as a migration does: chunks in the order of their
versions, while it serves. Whenever nothing is left to send, what the standby has is a whole twin: the host says so
with a `Checkpoint` and its digest, the standby verifies it, puts it on its disk as STANDBY, and answers `Replicated`.
From then on only changes go. They lie beside the warm copy (an incoming copy with `base`) until the next checkpoint
makes them part of it, so that the copy is whole at any moment.

Nothing here serves, and no epoch begins here. A standby takes over as any RSU does that has a copy: the UAV, having
heard nothing of the host for long enough, asks it to host under a new term (rehosting.py), and what it had at its last
checkpoint goes on. The host tells in its `Presence` who has confirmed which version, so that the UAV asks for no less
than that (finder.py).

Within a term a twin's versions are one history, whoever hosted: so a warm copy is of use to each of the term's hosts,
and to a migration that ends at the standby, which then takes changes alone. The source of such a migration keeps its
copy: the two change places. A copy of another term is replaced as a whole.

A warm copy is not given up before the UAV has for a while named another RSU.
"""

from __future__ import annotations

from dataclasses import replace

from uav_twin_migration.twin.protocol.epochs import term_of
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Cancel,
    Checkpoint,
    Offer,
    Reason,
    Recognition,
    Refuse,
    ReplicaOffer,
    Replicated,
)
from uav_twin_migration.twin.protocol.replica_state import (
    NEVER,
    Action,
    Check,
    Context,
    Custody,
    DropIncoming,
    DropOwn,
    Incoming,
    Keep,
    LinkDown,
    Phase,
    Record,
    ReplicaSent,
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


def follow(custody: Custody, context: Context) -> Step:
    """Begin, go on or cease to keep a warm copy, as the UAV wants."""
    if custody.record.status is not Status.HOSTING or custody.place is Phase.FROZEN:
        return custody, ()
    moving_there = custody.outgoing is not None and custody.outgoing.target == custody.standby
    wanted = "" if moving_there or custody.standby == context.me else custody.standby
    replication = custody.replication
    if wanted == (replication.target if replication is not None else ""):
        return custody, ()
    custody, stopped = stop(custody, context)
    if not wanted:
        return custody, stopped
    custody, offered = _offer(replace(custody, replication=Replication(wanted)), context)
    return custody, (*stopped, *offered)


def stop(custody: Custody, context: Context) -> Step:
    """Keep no warm copy up to date any more."""
    replication = custody.replication
    if replication is None:
        return custody, ()
    custody = replace(custody, replication=None)
    if not replication.session or custody.standby == replication.target:
        return custody, ()  # what was sent will be of use
    return custody, (Send(replication.target, Cancel(context.uav, replication.session)),)


def concerns(custody: Custody, event: Answered, context: Context) -> bool:
    """Whether an answer is of the session with the standby, and not of a migration."""
    replication = custody.replication
    if replication is None or not event.session or event.session != replication.session:
        return False
    return isinstance(event, LinkDown) or context.peer == replication.target


def accepted(custody: Custody, event: Accept, context: Context) -> Step:
    """The standby takes a copy: send from where it already is."""
    if event.mark > custody.record.mark:
        return _wait(custody, context)  # it claims changes that never were
    copying = replace(_replication(custody), copying=True, sent=event.mark, acked=event.mark, deadline=NEVER)
    return replace(custody, replication=copying), ()


def sent(custody: Custody, event: ReplicaSent, context: Context) -> Step:
    """More changes are on their way."""
    replication = custody.replication
    if replication is None or not replication.copying:
        return ignored(custody, "unexpected")
    assert replication.sent <= event.mark <= custody.record.mark
    return replace(custody, replication=replace(replication, sent=event.mark)), ()


def acknowledged(custody: Custody, event: Ack, context: Context) -> Step:
    """More changes are on the standby's disk."""
    replication = _replication(custody)
    if not replication.acked < event.mark <= replication.sent:
        return ignored(custody, "old_session")
    return replace(custody, replication=replace(replication, acked=event.mark)), ()


def check(custody: Custody, event: Check, context: Context) -> Step:
    """Nothing is left to send: have the standby verify what it has."""
    replication, mark = custody.replication, custody.record.mark
    if replication is None or not replication.copying or replication.sent != mark:
        return ignored(custody, "unexpected")
    deadline = context.now + context.timing.copy_patience
    custody = replace(custody, replication=replace(replication, checked=mark, deadline=deadline))
    return custody, (Send(replication.target, Checkpoint(context.uav, replication.session, mark, event.digest)),)


def replicated(custody: Custody, event: Replicated, context: Context) -> Step:
    """The standby has it all: so much survives this RSU."""
    replication = _replication(custody)
    if event.mark != replication.checked:
        return ignored(custody, "old_session")
    replication = replace(replication, checked=0, attempts=0, deadline=NEVER)
    return replace(custody, replication=replication, replica=context.peer, replica_mark=event.mark), ()


def refused(custody: Custody, event: Refuse, context: Context) -> Step:
    """Not now; whether another RSU would do better is the UAV's to say."""
    return _wait(custody, context)


def link_down(custody: Custody, event: LinkDown, context: Context) -> Step:
    """The connection is gone: try again in a while."""
    return _wait(custody, context)


def timeout(custody: Custody, event: ReplicaTimeout, context: Context) -> Step:
    """The standby is silent, or it is time for another try."""
    if custody.replication is None:
        return ignored(custody, "unexpected")
    return _offer(custody, context)


# -- the standby -------------------------------------------------------------------------------------------------------


def offered(custody: Custody, event: ReplicaOffer, context: Context) -> Step:
    """Take a warm copy, or say why not."""
    if context.peer == custody.source and event.session < custody.session:
        return ignored(custody, "old_session")
    reason = _objection(custody, event, context)
    if reason is not None:
        refusal = Refuse(context.uav, event.session, reason, custody.fence if reason is Reason.STALE else 0)
        return custody, (Send(context.peer, refusal),)
    incoming, dropped = resume(custody.record, event, context)
    deadline = context.now + context.timing.keep_partial
    custody = replace(with_record(custody, incoming=incoming), source=context.peer, session=event.session)
    accept = Send(context.peer, Accept(context.uav, event.session, incoming.mark))
    return replace(custody, intake_deadline=deadline), (*dropped, accept)


def checkpoint(custody: Custody, event: Checkpoint, context: Context) -> Step:
    """What is here is whole: it is the warm copy from now on, unless it is not what the host has."""
    incoming = custody.record.incoming
    if incoming is None or (context.peer, event.session) != (custody.source, custody.session):
        return custody, (Send(context.peer, Refuse(context.uav, event.session, Reason.NO_SESSION)),)
    if event.mark != incoming.mark:
        return ignored(custody, "out_of_order")
    if not context.verified:
        custody, dropped = discard(custody)
        return custody, (*dropped, Send(context.peer, Refuse(context.uav, event.session, Reason.CORRUPT)))
    changes = replace(incoming, base=True, prepared=False)
    custody = with_record(
        custody, status=Status.STANDBY, epoch=incoming.epoch, mark=incoming.mark, target="", incoming=changes
    )
    custody = replace(custody, intake_deadline=context.now + context.timing.keep_partial)
    return custody, (Keep(), Send(context.peer, Replicated(context.uav, event.session, event.mark)))


def named(custody: Custody, event: Recognition, context: Context) -> Custody:
    """The UAV told which RSU shall have a warm copy."""
    elsewhere = event.host not in ("", context.me) and event.standby != context.me
    if custody.record.status is not Status.STANDBY or event.standby == context.me:
        return replace(custody, unwanted_at=NEVER)
    if elsewhere and event.epoch >= custody.record.epoch and custody.unwanted_at == NEVER:
        return replace(custody, unwanted_at=context.now + context.timing.keep_unwanted)
    return custody


def unwanted(custody: Custody, event: StandbyTimeout, context: Context) -> Step:
    """Nobody has wanted the warm copy for a while; what remains is the fence."""
    if custody.record.status is not Status.STANDBY:
        return ignored(custody, "unexpected")
    incoming = custody.record.incoming
    custody = replace(with_record(custody, status=Status.ABSENT, epoch=0, mark=0), unwanted_at=NEVER)
    if incoming is None or not incoming.base:
        return custody, (DropOwn(),)
    custody, dropped = discard(custody)
    return custody, (*dropped, DropOwn())


# -- what the transitions share ----------------------------------------------------------------------------------------


def resume(record: Record, offer: Offer | ReplicaOffer, context: Context) -> tuple[Incoming, tuple[Action, ...]]:
    """What an offered copy begins with: what is left of an earlier session, else the warm copy, else nothing.

    Within a term versions are one history: it does not matter which of its hosts sent what is here.
    """
    fresh = Incoming(context.peer, offer.epoch, chunk_size=offer.chunk_size, application=offer.application)
    incoming = record.incoming
    if incoming is not None and _is_of_use(incoming, fresh):
        prepared = incoming.prepared and (incoming.source, incoming.epoch) == (fresh.source, fresh.epoch)
        return replace(incoming, source=fresh.source, epoch=fresh.epoch, prepared=prepared), ()
    dropped: tuple[Action, ...] = (DropIncoming(),) if incoming is not None else ()
    if record.status is Status.STANDBY and term_of(record.epoch) == term_of(offer.epoch):
        return replace(fresh, mark=record.mark, base=True), dropped
    return fresh, dropped


def _is_of_use(incoming: Incoming, fresh: Incoming) -> bool:
    same = (incoming.application, incoming.chunk_size) == (fresh.application, fresh.chunk_size)
    return same and term_of(incoming.epoch) == term_of(fresh.epoch)


def discard(custody: Custody) -> Step:
    """The incoming copy is not as it should be. A warm one that it was built upon is kept, but not built upon again."""
    incoming = custody.record.incoming
    custody = replace(with_record(custody, incoming=None), intake_deadline=NEVER)
    if incoming is not None and incoming.base and custody.record.status is Status.STANDBY:
        custody = with_record(custody, status=Status.FENCED)
    return custody, (DropIncoming(),)


def _replication(custody: Custody) -> Replication:
    assert custody.replication is not None
    return custody.replication


def _offer(custody: Custody, context: Context) -> Step:
    replication = _replication(custody)
    offer = ReplicaOffer(context.uav, context.session, custody.record.epoch)
    deadline = context.now + context.timing.offer_patience
    replication = Replication(replication.target, context.session, attempts=replication.attempts + 1, deadline=deadline)
    return replace(custody, replication=replication), (Send(replication.target, offer),)


def _wait(custody: Custody, context: Context) -> Step:
    """No session until the deadline, which makes a new offer."""
    replication, timing = _replication(custody), context.timing
    pause = min(timing.retry * 2.0 ** min(replication.attempts, 20), timing.longest_retry)
    waiting = Replication(replication.target, attempts=replication.attempts, deadline=context.now + pause)
    return replace(custody, replication=waiting), ()


def _objection(custody: Custody, offer: ReplicaOffer, context: Context) -> Reason | None:
    """Why a warm copy is refused."""
    if custody.record.status is Status.HOSTING:
        return Reason.HOSTING
    if custody.record.status is Status.LEAVING:
        return Reason.BUSY
    if offer.epoch < custody.fence:
        return Reason.STALE
    if (custody.heard_host, custody.heard_epoch) != (context.peer, offer.epoch):
        return Reason.UNCONFIRMED
    return context.refusal
