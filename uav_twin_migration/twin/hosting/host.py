"""An RSU as a host of twins: the protocol, the store and the application put together. No sockets, no clock.

`TwinHost` is fed events (messages, requests, telemetry, the time) and collects what is to be done about them. Nothing
of that is released before `commit` has put everything the events changed on the disk; where the disk refuses, all is as
it was before, as if the messages had been lost. Whoever calls it may gather many events before a commit, for all::

    host.receive(...), host.recognise(...), host.request(...)    any number of events
    outputs = host.commit(now)                                   now they count
    wake_at = host.tick(now); outputs += host.commit(now)        timers, writing what changed, copying

It decides nothing about a twin: each event goes to the protocol (`step`), and what that says is carried out by the
parts, which share a `HostState`: `contents.py` (what the twins consist of), `outbound.py` and `inbound.py` (the bytes
of transfers), `transaction.py` (all or nothing), `draining.py`, `expiry.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from uav_twin_migration.twin.hosting.admission import HostSettings, objection_to_hosting
from uav_twin_migration.twin.hosting.application import Application, Twin
from uav_twin_migration.twin.hosting.contents import Contents
from uav_twin_migration.twin.hosting.draining import Draining
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.hosting.expiry import Expiry
from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin, HostState, Visible
from uav_twin_migration.twin.hosting.inbound import InboundTransfers, Reader
from uav_twin_migration.twin.hosting.links import Links
from uav_twin_migration.twin.hosting.outbound import OutboundTransfers
from uav_twin_migration.twin.hosting.outputs import Durable, Output, Progress, Reply, Served
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import Stored, StoreError
from uav_twin_migration.twin.hosting.transaction import Transaction
from uav_twin_migration.twin.protocol.epochs import horizon, is_epoch
from uav_twin_migration.twin.protocol.messages import (
    Ack,
    CancelRequest,
    HostHeartbeat,
    HostRequest,
    Known,
    LeaseRenewal,
    MigrateRequest,
    Reason,
    SourceMessage,
)
from uav_twin_migration.twin.protocol.migration import Event, revive, step
from uav_twin_migration.twin.protocol.replica_state import (
    Action,
    Adopt,
    Answer,
    Context,
    Create,
    DropInbound,
    DropOwn,
    Ended,
    Funded,
    Ignored,
    Keep,
    ReplicaState,
    Send,
    Status,
    Timeout,
    host_heartbeat,
    is_told,
)
from uav_twin_migration.twin.protocol.timers import next_timer, timers


class TwinHost:
    """One RSU's twins."""

    def __init__(
        self,
        store: Store,
        application: Application,
        now: float,
        settings: HostSettings | None = None,
        queued: Callable[[int], int] = lambda link: 0,
        wall_clock: float = 0.0,
    ) -> None:
        """Take up what the store has. Raises StoreError.

        wall_clock: s since 1970, at `now`; no epoch from far beyond it is believed.
        queued: how many bytes wait to be sent over a link.
        """
        self.store, self.rsu = store, store.rsu
        self.state = HostState(store, application, now, settings or HostSettings())
        self._links = Links(store, queued)
        self.contents = Contents(self.state, self._step)
        self._outbound = OutboundTransfers(self.state, self._links, self._step, self.contents.flush)
        self._inbound = InboundTransfers(self.state, self._links, self._step, self.contents.try_restore)
        self._readers: dict[type, Reader] = {**self._inbound.readers(), Known: self._outbound.known}
        self._transaction = Transaction(self.state, self._links.taken)
        self._draining = Draining(self.state, lambda request, rate: self.migrate(request, rate, self.state.now))
        self._expiry = Expiry(self.state, self._step)
        self._clock_ahead = wall_clock - now
        self.last_error: Exception | None = None  # that nobody expected
        self._looking_after: HostedTwin | None = None
        self._flush_at = self._check_at = now  # all twins at once: a commit costs the same for one and for many
        for uav, stored in store.load().items():
            self._take_up(uav, stored)

    def _take_up(self, uav: str, stored: Stored) -> None:
        """A twin that the store has, after a start."""
        hosted_twin = self.state.twin(uav)
        hosted_twin.replica_state = ReplicaState(stored.record)
        hosted_twin.own, hosted_twin.inbound = stored.own, stored.inbound
        hosted_twin.replica_state = revive(hosted_twin.replica_state, self.state.context(uav))
        self._outbound.begin(hosted_twin)
        self._settle(hosted_twin)
        self.state.visible[uav] = Visible(hosted_twin.replica_state, hosted_twin.twin)

    # -- events ------------------------------------------------------------------------------------------------------

    def receive(self, link: int, peer: str, frame: Any, now: float) -> None:
        """A message from another RSU, known by its certificate, over a link (an own one, or one that came in)."""
        self.state.now = now
        read = self._readers.get(type(frame))
        if not self._is_epoch(getattr(frame, "newest_epoch", 0)):
            self.counts["bad_epoch"] += 1
        elif read is not None:
            read(link, peer, frame)
        else:
            self._step(self.state.twin(frame.uav), frame, peer, link)

    def _is_epoch(self, epoch: object) -> bool:
        """Whether it can be believed to be an epoch, whoever says so: none of the far future is."""
        return is_epoch(epoch) and epoch <= horizon(self.state.now + self._clock_ahead)

    def link_down(self, link: int, now: float) -> None:
        """A link broke, or could not be made."""
        self.state.now = now
        self._outbound.link_down(link)

    def recognise(self, lease_renewal: LeaseRenewal, now: float) -> None:
        """A UAV told whom it takes for its twin's host."""
        self.state.now = now
        if not self._is_epoch(lease_renewal.epoch) or not self._is_epoch(lease_renewal.newest_epoch):
            self.counts["bad_epoch"] += 1
            return
        self._step(self.state.heard(lease_renewal.uav), lease_renewal)

    def request(self, request: HostRequest, now: float) -> None:
        """A UAV asks this RSU to host its twin."""
        self.state.now = now
        if not self._is_epoch(request.epoch):
            self.counts["bad_epoch"] += 1
            return
        if request.rsu != self.rsu or request.size < 0:
            self.counts["bad_request"] += 1
            return
        hosted_twin = self.state.twin(request.uav)
        status, here = hosted_twin.replica_state.record.status, self._inbound.occupancy(hosted_twin)
        refusal = objection_to_hosting(request, status, self.state.settings, here)
        self._step(hosted_twin, request, refusal=refusal)

    def migrate(self, request: MigrateRequest, rate: float, now: float) -> None:
        """A UAV asks to move its twin; `rate`, in bytes/s, has been granted. A report follows in any case."""
        self.state.now = now
        hosted_twin = self.state.twin(request.uav)
        migration = hosted_twin.replica_state.migration
        if migration is None or migration.target == request.target:
            self.grant(request.uav, rate, now)
        self._step(hosted_twin, request)

    def grant(self, uav: str, rate: float, now: float) -> None:
        """The bandwidth that a UAV has bought for its migration changed; in bytes/s, 0 for none."""
        self.state.now = now
        hosted_twin = self.state.twins.get(uav)
        if hosted_twin is None or not rate >= 0.0:
            return
        if rate != hosted_twin.rate:
            self.state.agenda.wake(hosted_twin)
        self._outbound.grant(hosted_twin, rate)
        if hosted_twin.replica_state.funded != (rate > 0.0):
            self._step(hosted_twin, Funded(rate > 0.0))

    def cancel(self, request: CancelRequest, now: float) -> None:
        """Stop moving a twin, if that is still possible."""
        self.state.now = now
        self._step(self.state.twin(request.uav), request)

    def observe(self, uav: str, telemetry: Telemetry, now: float, world_time: float) -> bool:
        """Telemetry for a twin; taken only while it is served here. world_time: s, on the clock of the time stamps."""
        self.state.now = now
        hosted_twin = self.state.served_twin(uav)
        if hosted_twin is None or hosted_twin.twin is None:
            return False
        reason = hosted_twin.twin.observe(telemetry, world_time)
        if reason is not None:
            self.counts[f"telemetry_{reason}"] += 1
        return reason is None

    def update(self, uav: str, change: Callable[[Twin], None], done: Callable[[bool], None], now: float) -> None:
        """Change a twin; `done(True)` once that is on the disk, `done(False)` where it is not served here."""
        self.state.now = now
        hosted_twin = self.state.served_twin(uav)
        if hosted_twin is None or hosted_twin.twin is None:
            self.state.outputs.append(Durable(done, False))
            return
        change(hosted_twin.twin)
        hosted_twin.waiting.append(done)
        self.state.agenda.wake(hosted_twin)

    def drain(self, targets: Sequence[str], rate: float, now: float) -> None:
        """Take no more twins, and move those here to `targets` in turn, with `rate` bytes/s for all together."""
        self.state.now = now
        self._draining.begin(targets, rate)

    def stop_draining(self) -> None:
        """Take twins again."""
        self._draining.stop()

    # -- questions ---------------------------------------------------------------------------------------------------

    def host_heartbeats(self, now: float) -> list[HostHeartbeat]:
        """What to tell UAVs: several times in a lease, and at once on `HostingChange`. For any thread."""
        said = []
        for uav, visible in self.state.shown.items():
            damaged = visible.twin is None and visible.replica_state.record.status is Status.HOSTING
            if damaged or not is_told(visible.replica_state):
                continue  # a damaged one's UAV shall give its twin to another RSU
            context = Context(self.rsu, uav, now, incarnation=self.store.incarnation)
            said.append(host_heartbeat(visible.replica_state, context))
        return [one for one in said if one is not None]

    def served(self, now: float, world_time: float) -> list[Served]:
        """The twins that users may see. world_time: s, on the clock of the telemetry's time stamps. For any thread."""
        served = []
        for uav, visible in self.state.shown.items():
            if visible.twin is not None and visible.serves(now):
                estimate = visible.twin.estimate(world_time)
                if estimate is not None:
                    served.append(Served(uav, visible.replica_state.record.epoch, estimate))
        return served

    def replica_ages(self, now: float) -> dict[str, float]:
        """By how much the replicas of hosted twins are behind, s by UAV; infinite before one is confirmed."""
        return {
            uav: visible.replica_age(now)
            for uav, visible in self.state.visible.items()
            if visible.replica_state.record.status is Status.HOSTING
            and (visible.replica_state.replica or visible.replica_state.replica_host)
        }

    def as_of(self, uav: str) -> float | None:
        """When the newest telemetry in a hosted twin was measured, s by the UAV's clock. For any thread."""
        visible = self.state.visible.get(uav)
        return visible.twin.as_of() if visible is not None and visible.twin is not None else None

    def progress(self) -> list[Progress]:
        """The migrations under way."""
        return self._outbound.progress()

    @property
    def hosted(self) -> list[str]:
        """The UAVs whose twins are here and have not been taken over by another RSU."""
        return self.state.hosted

    @property
    def counts(self) -> Counter[str]:
        """Events that were refused or ignored, by why."""
        return self.state.counts

    @property
    def trouble(self) -> StoreError | None:
        """Why the disk refused last; None once it takes again."""
        return self.state.trouble

    # -- transactions and time ---------------------------------------------------------------------------------------

    def commit(self, now: float) -> list[Output]:
        """Put everything on the disk and release what is to be done about it."""
        self.state.now = now
        return self._transaction.commit(self._settle)

    def roll_back(self, error: StoreError) -> list[Output]:
        """The disk refused: everything is as after the last commit, and what was to be said since is not said."""
        return self._transaction.roll_back(error, self._settle)

    def drop(self, error: Exception) -> list[Output]:
        """The last catch: an event that could not be dealt with has not been, nor have the others since the commit."""
        self.counts["unexpected_error"] += 1
        self.last_error = error
        return self._transaction.undo_all(self._settle)

    def set_aside(self, error: Exception) -> list[Output]:
        """The last catch of `tick`: the twin that could not be looked after is damaged, the others go on."""
        hosted_twin, self._looking_after = self._looking_after, None
        outputs = self.drop(error)
        if hosted_twin is not None and hosted_twin.twin is not None:
            self.contents.mark_damaged(hosted_twin, error)
            self._transaction.publish([hosted_twin.uav])
        return outputs

    def tick(self, now: float) -> float:
        """Do what it is time for. Returns when to be called again at the latest, s."""
        state = self.state
        state.now = now
        if now < self._transaction.retry_at:
            return self._transaction.retry_at
        if state.trouble is not None:
            self.store.touch()  # does the disk take anything again?
        flushing = now >= self._flush_at
        if now >= self._check_at:
            self._check_at = now + state.settings.check_period
            self.store.verify_file()
            self._transaction.publish(self.contents.scrub())
            self._expiry.look()
        if flushing:
            self._flush_at = now + state.settings.flush_period
            state.agenda.wake(*[one for one in state.twins.values() if one.own is not None])
        self.contents.begin_tick()
        for hosted_twin in state.agenda.due(now):
            self._looking_after = hosted_twin
            state.agenda.wait(hosted_twin, self._look_after(hosted_twin, flushing))
        self._looking_after = None
        wake_at = min(self._flush_at, self._check_at, state.agenda.next)
        self._draining.go_on()
        if state.trouble is None and self.store.collect_garbage():
            wake_at = now
        return wake_at

    def _look_after(self, hosted_twin: HostedTwin, flushing: bool) -> float:
        """What it is time for with one twin. Returns when to look again."""
        now = self.state.now
        if now >= next_timer(hosted_twin.replica_state):
            for timer, at in timers(hosted_twin.replica_state).items():
                if now >= at and timer in timers(hosted_twin.replica_state):
                    self._step(hosted_twin, Timeout(timer))
        if hosted_twin.filling is not None:
            self.contents.fill(hosted_twin)
            return now
        if flushing or hosted_twin.waiting:
            self.contents.flush(hosted_twin)
        wake_at = self._outbound.look_after(hosted_twin)
        return min(wake_at, next_timer(hosted_twin.replica_state))

    def _step(
        self,
        hosted_twin: HostedTwin,
        event: Event,
        peer: str = "",
        link: int = 0,
        refusal: Reason | None = None,
        verified: bool = True,
    ) -> None:
        """Let the protocol have an event, and do what it says. link: over which a message came."""
        self.state.touch(hosted_twin)
        before = hosted_twin.replica_state
        context = self.state.context(hosted_twin.uav, peer, refusal, verified)
        hosted_twin.replica_state, actions = step(before, event, context)
        self._outbound.begin(hosted_twin)
        size = event.size if isinstance(event, HostRequest) else 0
        for action in actions:
            self._do(hosted_twin, action, link, size)
        self._outbound.follow(hosted_twin, before)
        self._settle(hosted_twin)

    def _do(self, hosted_twin: HostedTwin, action: Action, link: int, size: int) -> None:
        if isinstance(action, Send):
            self._send(hosted_twin, action, link)
        elif isinstance(action, Answer):
            self.state.outputs.append(Reply(action.reply))
        elif isinstance(action, Create):
            self.contents.create(hosted_twin, size)
        elif isinstance(action, Adopt):
            self._inbound.adopt(hosted_twin)
        elif isinstance(action, Keep):
            self._inbound.keep(hosted_twin)
        elif isinstance(action, DropOwn):
            self.state.drop(hosted_twin.own)
            hosted_twin.own = None
        elif isinstance(action, DropInbound):
            self._inbound.drop(hosted_twin)
        elif isinstance(action, Ended):
            self._outbound.report(hosted_twin, action)
        elif isinstance(action, Ignored):
            self.counts[action.why] += 1

    def _send(self, hosted_twin: HostedTwin, send: Send, link: int) -> None:
        if isinstance(send.message, Ack):
            self.state.acks[link, send.message.uav] = send.message
        elif isinstance(send.message, SourceMessage):
            self._outbound.send(hosted_twin, send)
        else:
            self._links.say(link, send.message)

    def _settle(self, hosted_twin: HostedTwin) -> None:
        """A twin is in memory while it is hosted, a transfer's bytes while one is under way."""
        if hosted_twin.replica_state.record.status is Status.HOSTING:
            self.contents.bring_up(hosted_twin)
        else:
            self.contents.take_down(hosted_twin)
        self._outbound.settle(hosted_twin)
