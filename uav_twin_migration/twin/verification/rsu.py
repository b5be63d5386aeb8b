"""One RSU of the model (`model.py`): what may happen there besides the arrival of messages, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Activated,
    Cancel,
    CancelRequest,
    Checkpoint,
    Data,
    HostRequest,
    Offer,
    Purpose,
    Reason,
    Refuse,
    Unprepared,
    Verified,
)
from uav_twin_migration.twin.protocol.migration import revive
from uav_twin_migration.twin.protocol.outbound import may_complete
from uav_twin_migration.twin.protocol.replica_state import (
    NEVER,
    Adopt,
    Answer,
    Complete,
    Context,
    Create,
    DropInbound,
    DropOwn,
    Filled,
    Funded,
    InboundPhase,
    Keep,
    LinkDown,
    OutboundTransfer,
    Phase,
    ReplicaState,
    Send,
    Sent,
    Status,
    Timeout,
    Timer,
    Timing,
    Wrote,
    host_heartbeat,
)
from uav_twin_migration.twin.protocol.timers import timers
from uav_twin_migration.twin.verification.world import MIXED, UAV, Content, Packet, Rules, Site, is_within

TIMERS = {
    "timeout": Timer.MIGRATION,
    "replica_timeout": Timer.REPLICATION,
    "forget": Timer.INBOUND,
    "unwanted": Timer.UNWANTED,
    "unfunded": Timer.FUNDING,
}
COPYING = ("fill", "pump", "complete", "replica_pump", "replica_complete")  # what a host does by itself, at once
REFUSALS = {"busy": Reason.BUSY, "full": Reason.FULL}  # what an RSU may have against an offer, or a request to host


class Outcome(NamedTuple):
    """What an event did to an RSU."""

    site: Site
    packets: Sequence[Packet]
    began: int = 0  # the epoch of the hosting that began; 0: none
    new_term: bool = False


class Rsu:
    """The RSUs of a model. `calm`: bounds are off."""

    def __init__(self, rules: Rules, timing: Timing, calm: bool = False) -> None:
        self.rules, self.timing, self.calm = rules, timing, calm
        self._ages = int(rules.lease < NEVER)  # where leases never end, an incarnation is not told from the next

    def kinds(self, replica_state: ReplicaState) -> Iterator[str]:
        """What may happen at an RSU."""
        record, migration = replica_state.record, replica_state.migration
        yield "converse" if self.rules.atomic_voice else "announce"
        yield "crash"
        if record.status is Status.HOSTING:
            yield "fill" if record.filling else "write"
        yield "lose"
        running = timers(replica_state)
        yield from (kind for kind, timer in TIMERS.items() if timer in running)
        if any(one.session for one in replica_state.outbound):
            yield "break_"
        if migration is not None and migration.phase is not Phase.HANDING_OVER:
            yield "cancel"
            yield "unfund" if replica_state.funded else "fund"
        yield from self._copying(replica_state)

    def _copying(self, replica_state: ReplicaState) -> Iterator[str]:
        for transfer, prefix in ((replica_state.migration, ""), (replica_state.replication, "replica_")):
            if transfer is None or transfer.phase is not Phase.COPYING:
                continue
            if transfer.sent < replica_state.record.version:
                yield f"{prefix}pump"
            elif may_complete(replica_state, transfer):
                yield f"{prefix}complete"

    def heartbeat(self, site: Site, now: int) -> Any:
        """What an RSU tells of the twin."""
        return host_heartbeat(site.replica_state, self._context(site, now))

    def happened(self, site: Site, kind: str, now: int) -> Outcome | None:
        """Something happened at an RSU. None: not within the bounds."""
        if kind == "crash":
            return Outcome(self._crashed(site, now), ())
        if kind == "announce":
            said = self.heartbeat(site, now)
            return None if said is None else Outcome(site, (Packet(site.me, UAV, said),))
        return self._stepped(site, self._event(site, kind), (), self._context(site, now))

    def delivered(self, site: Site, packet: Packet, now: int, refusal: Reason | None = None) -> Outcome | None:
        """A message arrived, at an RSU that may have no room."""
        message = packet.message
        verified = not isinstance(message, Checkpoint) or message.digest == digest_of(site.inbound)
        context = self._context(site, now)._replace(peer=packet.source, verified=verified, refusal=refusal)
        return self._stepped(site, message, packet.content, context)

    def undone(self, site: Site, packet: Packet, now: int) -> Outcome | None:
        """A crash undid what a message brought about before the disk had it; what was said is heard all the same."""
        done = self.delivered(site, packet, now)
        return None if done is None or not done.packets else Outcome(self._crashed(site, now), done.packets)

    def _event(self, site: Site, kind: str) -> Any:
        if kind in TIMERS:
            return Timeout(TIMERS[kind])
        replica_state, version = site.replica_state, site.replica_state.record.version
        sessions = [one.session for one in replica_state.outbound if one.session]
        events = {
            "write": Wrote(version + 1),
            "fill": Filled(version + 1),
            "break_": LinkDown(sessions[0] if sessions else 0),
            "cancel": CancelRequest(UAV),
            "fund": Funded(True),
            "unfund": Funded(False),
            "pump": Sent(Purpose.MIGRATION, version),
            "complete": Complete(Purpose.MIGRATION, digest_of(site.own)),
            "replica_pump": Sent(Purpose.REPLICATION, version),
            "replica_complete": Complete(Purpose.REPLICATION, digest_of(site.own)),
        }
        return events[kind]

    def _context(self, site: Site, now: int) -> Context:
        return Context(site.me, UAV, now, "", site.incarnation, site.session + 1, self.timing)

    def _crashed(self, site: Site, now: int) -> Site:
        site = replace(
            site, replica_state=ReplicaState(site.replica_state.record), incarnation=site.incarnation + self._ages
        )
        return replace(site, replica_state=_timeless(revive(site.replica_state, self._context(site, now))))

    def _stepped(self, site: Site, event: Any, content: Content, context: Context) -> Outcome | None:
        before = site.replica_state
        replica_state, actions = self.rules.step(before, event, context)
        session = max(site.session, *(one.session for one in replica_state.outbound), 0)
        if session > self.rules.sessions and not self.calm:
            return None
        after = replace(site, replica_state=_timeless(replica_state), session=session)
        if isinstance(event, Data) and replica_state.record.inbound != before.record.inbound:
            after = replace(after, inbound=_received(site.inbound, event, content))
        packets = [Packet(site.me, action.peer, action.message) for action in actions if isinstance(action, Send)]
        packets += [Packet(site.me, UAV, action.reply) for action in actions if isinstance(action, Answer)]
        if isinstance(event, Sent):
            migrates = event.purpose is Purpose.MIGRATION
            packets += _chunks(site, event.version, before.migration if migrates else before.replication)
        for action in actions:
            after = _stored(after, action)
        fresh = before.record.inbound is None or DropInbound() in actions
        if isinstance(event, Offer) and fresh:
            inbound = replica_state.record.inbound
            after = replace(after, inbound=site.own if inbound is not None and inbound.base else ())
        return _outcome(site, after, event, packets)


def _outcome(before: Site, after: Site, event: Any, packets: Sequence[Packet]) -> Outcome:
    record = after.replica_state.record
    if isinstance(event, (Wrote, Filled)):
        after = replace(after, own=(*after.own[:-1], (after.own[-1][0], record.version)))
    began = record.status is Status.HOSTING and record.epoch != before.replica_state.record.epoch
    new_term = began and isinstance(event, HostRequest)
    if new_term:
        after = replace(after, own=(*after.own, (record.epoch, record.version)))
    return Outcome(after, packets, record.epoch if began else 0, new_term)


def _timeless(replica_state: ReplicaState) -> ReplicaState:
    """A timer may fire whenever it is set: when its time comes, and after how many attempts, makes no difference."""

    def timeless(transfer: OutboundTransfer | None) -> OutboundTransfer | None:
        return None if transfer is None else replace(transfer, attempts=0, deadline=_set(transfer.deadline))

    return replace(
        replica_state,
        migration=timeless(replica_state.migration),
        replication=timeless(replica_state.replication),
        inbound_deadline=_set(replica_state.inbound_deadline),
        unwanted_at=_set(replica_state.unwanted_at),
        unfunded_at=_set(replica_state.unfunded_at),
    )


def _set(time: float) -> float:
    return 0.0 if time < NEVER else NEVER


def is_whole(site: Site) -> bool:
    """Whether an RSU's own copy is a whole twin."""
    return site.replica_state.record.status is not Status.ABSENT and not site.replica_state.record.filling


def is_prepared(site: Site) -> bool:
    """Whether an RSU has a whole copy that another one sent."""
    return site.replica_state.inbound_phase is InboundPhase.PREPARED


def is_dead(packet: Packet, site: Site, crashless: bool) -> bool:
    """Whether a packet can change nothing at a site any more, because sessions and epochs are used once."""
    message, record = packet.message, site.replica_state.record
    if isinstance(message, (Accept, Refuse, Ack, Verified)):
        under_way = [one.session for one in site.replica_state.outbound]
        return message.session <= site.session and message.session not in under_way
    if isinstance(message, (Activated, Unprepared)):
        waiting = record.status is Status.HANDING_OVER and record.epoch + 1 == message.epoch
        return message.epoch <= record.newest_epoch and not waiting
    if crashless and isinstance(message, (Offer, Data, Checkpoint, Cancel)):  # a crash forgets the session
        return message.session < site.replica_state.session and site.replica_state.source == packet.source
    return False


def digest_of(content: Content) -> bytes:
    """What a checkpoint says of a whole copy."""
    return repr(content).encode()


def _received(before: Content, event: Data, content: Content) -> Content:
    return content if event.after == 0 or is_within(before, content) else MIXED


def _chunks(site: Site, version: int, to: OutboundTransfer | None) -> list[Packet]:
    assert to is not None
    return [Packet(site.me, to.target, Data(UAV, to.session, to.sent, version), site.own)]


def _stored(site: Site, action: Any) -> Site:
    if isinstance(action, Adopt):
        return replace(site, own=site.inbound, inbound=())
    if isinstance(action, Keep):
        return replace(site, own=site.inbound)
    if isinstance(action, DropInbound):
        return replace(site, inbound=())
    if isinstance(action, (DropOwn, Create)):
        return replace(site, own=())
    return site
