"""The bytes of outbound transfers: a host (host.py) sends its twins' chunks to other RSUs, for either purpose alike.

What is sent when, and what it means, the protocol decides (protocol/outbound.py). Here is how fast: as the rate and the
window let through, and, of two transfers of one twin, each with its part of what was bought.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin, HostState, Outbound
from uav_twin_migration.twin.hosting.links import Links
from uav_twin_migration.twin.hosting.outputs import MigrationReport, Progress
from uav_twin_migration.twin.hosting.transfer_strategy import TransferProgress
from uav_twin_migration.twin.protocol.flow import Flow
from uav_twin_migration.twin.protocol.messages import (
    CancelRequest,
    Commit,
    Known,
    Offer,
    Purpose,
    Reason,
    SourceMessage,
)
from uav_twin_migration.twin.protocol.migration import Event
from uav_twin_migration.twin.protocol.outbound import may_complete
from uav_twin_migration.twin.protocol.records import replace
from uav_twin_migration.twin.protocol.replica_state import (
    NEVER,
    Complete,
    Ended,
    LinkDown,
    OutboundTransfer,
    Phase,
    ReplicaState,
    Send,
    Sent,
)

LONGEST_WAIT = 5.0  # s that a strategy may wait once all is sent; less than the protocol's copy_patience
PUMP_PERIOD = 0.01  # s between two looks at what a transfer may send


class OutboundTransfers:
    """What a host sends."""

    def __init__(
        self,
        state: HostState,
        links: Links,
        step: Callable[[HostedTwin, Event], None],
        flush: Callable[[HostedTwin], None],
    ) -> None:
        """step: lets the protocol have an event. flush: writes what changed in a twin."""
        self._state, self._links, self._step, self._flush = state, links, step, flush

    # -- what the protocol decided -----------------------------------------------------------------------------------

    def send(self, hosted_twin: HostedTwin, send: Send) -> None:
        """Send a message to the RSU that a copy goes to, over the transfer's link."""
        message = send.message
        assert isinstance(message, SourceMessage)
        outbound = hosted_twin.outbound[self._purpose_of(hosted_twin, message)]
        if isinstance(message, Offer):
            own = hosted_twin.own
            assert own is not None
            size = self._state.store.size_of(own)
            message = replace(message, size=size, chunk_size=own.chunk_size, application=own.application)
        if isinstance(message, Offer) or (isinstance(message, Commit) and not outbound.alive):
            self._links.connect(hosted_twin.uav, outbound, send.peer)
        if outbound.alive:
            self._links.say(outbound.link, message)

    def begin(self, hosted_twin: HostedTwin) -> None:
        """Let the bytes follow a step: there are as many as there are transfers."""
        transfers = hosted_twin.replica_state.outbound
        if not transfers and not hosted_twin.outbound:
            return
        for transfer in transfers:
            self._state.session = max(self._state.session, transfer.session)
            if transfer.purpose not in hosted_twin.outbound:
                hosted_twin.outbound[transfer.purpose] = Outbound(started=self._state.now)
        self.share_out(hosted_twin)

    def follow(self, hosted_twin: HostedTwin, before: ReplicaState) -> None:
        """Let the bytes follow a step: what was accepted flows, what is on the peer's disk makes room for more."""
        replica_state = hosted_twin.replica_state
        transfers = replica_state.outbound
        for transfer in transfers:
            outbound = hosted_twin.outbound[transfer.purpose]
            if transfer.phase is Phase.COPYING and outbound.flow is None and outbound.alive:
                self._begin_copying(hosted_twin, transfer, outbound)
            if outbound.flow is not None:
                outbound.flow.acknowledged(transfer.acked)
        if replica_state.replica_version == 0:
            hosted_twin.replicated_at = math.nan
        elif replica_state.replica_version != before.replica_version:
            hosted_twin.replicated_at = hosted_twin.outbound[Purpose.REPLICATION].completed_at
        if not transfers:
            return
        acked = {transfer.purpose: transfer.acked for transfer in before.outbound if transfer.phase is Phase.COPYING}
        for transfer in transfers:
            if transfer.acked > acked.get(transfer.purpose, -1):
                self._pump(hosted_twin, transfer)

    def settle(self, hosted_twin: HostedTwin) -> None:
        """No bytes are left of a transfer that is over."""
        if not hosted_twin.outbound:
            return
        under_way = [transfer.purpose for transfer in hosted_twin.replica_state.outbound]
        for purpose in [purpose for purpose in hosted_twin.outbound if purpose not in under_way]:
            self._links.let_go(hosted_twin.outbound.pop(purpose))
        self.share_out(hosted_twin)

    def known(self, link: int, peer: str, known: Known) -> None:
        """An RSU that is offered a copy says what it has of it already."""
        hosted_twin = self._state.twins.get(known.uav)
        if hosted_twin is None:
            return
        for outbound in hosted_twin.outbound.values():
            if outbound.alive and (outbound.link, outbound.session) == (link, known.session):
                outbound.known = frozenset(known.digests)

    # -- links and rates ---------------------------------------------------------------------------------------------

    def link_down(self, link: int) -> None:
        """A link broke, or could not be made."""
        uav = self._links.broke(link)
        hosted_twin = self._state.twins.get(uav) if uav is not None else None
        if hosted_twin is None:
            return
        for transfer in hosted_twin.replica_state.outbound:
            outbound = hosted_twin.outbound[transfer.purpose]
            if outbound.link == link:
                outbound.alive = False
                if transfer.session and transfer.phase is not Phase.HANDING_OVER:
                    self._step(hosted_twin, LinkDown(transfer.session))
                return

    def grant(self, hosted_twin: HostedTwin, rate: float) -> None:
        """The bandwidth that a UAV has bought for its migration changed; in bytes/s."""
        migration = hosted_twin.outbound.get(Purpose.MIGRATION)
        if migration is not None:
            migration.grant(migration.rate, self._state.now)
        hosted_twin.rate = rate
        self.share_out(hosted_twin)

    def share_out(self, hosted_twin: HostedTwin) -> None:
        """Give each of a twin's transfers its part of what was bought: while it moves, its replica gets a little."""
        replication = hosted_twin.replica_state.replication
        share = 0.0
        if Purpose.MIGRATION not in hosted_twin.outbound:
            share = 1.0
        elif replication is not None and replication.phase is Phase.COPYING:
            share = self._state.settings.replica_share
        shares = {Purpose.MIGRATION: 1.0 - share, Purpose.REPLICATION: share}
        for purpose, outbound in hosted_twin.outbound.items():
            part = shares[purpose]
            self._links.pace(outbound, hosted_twin.rate * part if part else 0.0)

    # -- copying -----------------------------------------------------------------------------------------------------

    def look_after(self, hosted_twin: HostedTwin) -> float:
        """Send on. Returns when to look again, s."""
        if not hosted_twin.outbound:
            return NEVER
        wake_at = NEVER
        for purpose in list(hosted_twin.outbound):
            transfer = _transfer(hosted_twin, purpose)
            if transfer is not None:
                wake_at = min(wake_at, self._look_after(hosted_twin, transfer))
        return wake_at

    def _look_after(self, hosted_twin: HostedTwin, transfer: OutboundTransfer) -> float:
        outbound = hosted_twin.outbound[transfer.purpose]
        if transfer.phase is not Phase.COPYING:
            return NEVER
        if not outbound.alive:  # the disk refused meanwhile
            self._step(hosted_twin, LinkDown(transfer.session))
            return self._state.now + PUMP_PERIOD
        migrates = transfer.purpose is Purpose.MIGRATION
        if migrates and outbound.flow is not None and outbound.flow.diverges(self._state.now):
            self._step(hosted_twin, CancelRequest(hosted_twin.uav, Reason.DIVERGING))
            return NEVER
        self._pump(hosted_twin, transfer)
        left = _transfer(hosted_twin, transfer.purpose)
        if left is None or left.phase is not Phase.COPYING:
            return NEVER
        if migrates or (outbound.rate > 0.0 and not (outbound.flow and outbound.flow.is_empty)):
            return self._next_look(outbound, migrates)
        waits = outbound.rate > 0.0 and may_complete(hosted_twin.replica_state, left)
        return outbound.complete_at if waits else NEVER

    def _next_look(self, outbound: Outbound, migrates: bool) -> float:
        """When a transfer may go on by time alone, s; whatever happens to its twin has it looked at before."""
        flow, rate, soon = outbound.flow, outbound.rate, self._state.now + PUMP_PERIOD
        if flow is None:
            return soon
        asks = self._state.settings.transfer.own is not None and math.isnan(outbound.stopped_at)
        at = NEVER
        if rate > 0.0 and not flow.is_empty and not flow.fills_window(rate):
            at = self._state.now + self._links.wait(outbound)
        elif migrates:
            at = soon if asks else min(flow.freezes_at(rate), flow.diverges_at)
        return max(soon, at)

    def _begin_copying(self, hosted_twin: HostedTwin, transfer: OutboundTransfer, outbound: Outbound) -> None:
        assert hosted_twin.own is not None
        outbound.flow = Flow(self._state.store.entries(hosted_twin.own), transfer.acked, outbound.known)
        outbound.size = outbound.flow.size
        outbound.ready_at, outbound.stopped_at = math.inf, math.nan
        if math.isnan(outbound.copying_since):
            outbound.copying_since = outbound.granted_at = self._state.now

    def _pump(self, hosted_twin: HostedTwin, transfer: OutboundTransfer) -> None:
        """Send what the rate and the window let through; then have it verified, if that is all."""
        outbound = hosted_twin.outbound.get(transfer.purpose)
        if outbound is None or outbound.flow is None or not outbound.alive or transfer.phase is not Phase.COPYING:
            return
        if outbound.rate == 0.0:
            return  # nothing was bought
        flow = outbound.flow
        self._links.send_on(hosted_twin, outbound, flow, transfer.session)
        self._tell_sent(hosted_twin, transfer, flow)
        if transfer.purpose is Purpose.MIGRATION:
            ready = flow.may_freeze(self._state.now, outbound.rate)
            if math.isnan(outbound.stopped_at) and self._stops(hosted_twin.uav, outbound, flow, ready):
                self._flush(hosted_twin)  # the last changes; from here on there are no more
                self._state.touch(hosted_twin)
                outbound.stopped_at = self._state.now
            if ready and not math.isnan(outbound.stopped_at):
                self._links.send_all(hosted_twin, outbound, flow, transfer.session)
                self._complete(hosted_twin, transfer, outbound, flow)
        elif flow.is_empty and self._state.now >= outbound.complete_at:
            self._complete(hosted_twin, transfer, outbound, flow)

    def _stops(self, uav: str, outbound: Outbound, flow: Flow, ready: bool) -> bool:
        """Whether the twin should no longer be served, as the RSU's strategy has it."""
        outbound.ready_at = min(outbound.ready_at, self._state.now) if ready else outbound.ready_at
        if self._state.now > outbound.ready_at + LONGEST_WAIT:
            return True
        elapsed = self._state.now - outbound.copying_since
        progress = TransferProgress(uav, flow.size, flow.remaining, outbound.rate, elapsed, ready)
        return self._state.settings.transfer.ask(lambda strategy: bool(strategy.stop(progress)))

    def _complete(self, hosted_twin: HostedTwin, transfer: OutboundTransfer, outbound: Outbound, flow: Flow) -> None:
        self._tell_sent(hosted_twin, transfer, flow)
        now, current = self._state.now, _transfer(hosted_twin, transfer.purpose)
        if current is None or not may_complete(hosted_twin.replica_state, current):
            return
        outbound.completed_at, outbound.complete_at = now, now + self._state.settings.replica_period
        self._step(hosted_twin, Complete(transfer.purpose, flow.digest(hosted_twin.uav)))

    def _tell_sent(self, hosted_twin: HostedTwin, transfer: OutboundTransfer, flow: Flow) -> None:
        current = _transfer(hosted_twin, transfer.purpose)
        if current is not None and flow.sent > current.sent:
            self._step(hosted_twin, Sent(transfer.purpose, flow.sent))

    def _purpose_of(self, hosted_twin: HostedTwin, message: SourceMessage) -> Purpose:
        if isinstance(message, Offer):
            hosted_twin.outbound[message.purpose].session = message.session
            return message.purpose
        replication = hosted_twin.outbound.get(Purpose.REPLICATION)
        if replication is not None and not isinstance(message, Commit) and message.session == replication.session:
            return Purpose.REPLICATION
        return Purpose.MIGRATION

    # -- figures -----------------------------------------------------------------------------------------------------

    def report(self, hosted_twin: HostedTwin, ended: Ended) -> None:
        """Tell how a migration went."""
        now = self._state.now
        outbound = hosted_twin.outbound.get(Purpose.MIGRATION) or Outbound(started=now)
        outbound.grant(outbound.rate, now)
        flow = outbound.flow
        sent = outbound.sent + (flow.bytes_sent if flow is not None else 0)
        copying = now - outbound.copying_since
        report = MigrationReport(
            hosted_twin.uav,
            self._state.rsu,
            ended.target,
            ended.epoch,
            ended.reason,
            flow.size if flow is not None else outbound.size,
            sent,
            now - outbound.started,
            now - outbound.stopped_at if ended.reason is None and not math.isnan(outbound.stopped_at) else 0.0,
            outbound.granted / copying if copying > 0 else hosted_twin.rate,
            sent / copying if copying > 0 else 0.0,
        )
        self._state.outputs.append(report)

    def progress(self) -> list[Progress]:
        """The migrations under way."""
        return [
            self._progress(one, one.replica_state.migration)
            for one in self._state.twins.values()
            if one.replica_state.migration is not None
        ]

    def _progress(self, hosted_twin: HostedTwin, migration: OutboundTransfer) -> Progress:
        outbound, own = hosted_twin.outbound.get(Purpose.MIGRATION), hosted_twin.own
        if outbound is not None and outbound.flow is not None:
            size, remaining = outbound.flow.size, outbound.flow.remaining
        else:
            size = remaining = self._state.store.size_of(own) if own is not None else 0
        return Progress(hosted_twin.uav, migration.target, migration.phase, size, remaining, hosted_twin.rate)


def _transfer(hosted_twin: HostedTwin, purpose: Purpose) -> OutboundTransfer | None:
    replica_state = hosted_twin.replica_state
    return replica_state.migration if purpose is Purpose.MIGRATION else replica_state.replication
