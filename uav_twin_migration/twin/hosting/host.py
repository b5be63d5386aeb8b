"""An RSU as a host of twins: the protocol, the store and the application put together. No sockets, no clock.

`TwinHost` is fed events (messages, requests, telemetry, the time) and collects what is to be done about them. Nothing
of that is released before `commit` has put everything the events changed on the disk; where the disk refuses, all is as
it was before, as if the messages had been lost. Whoever calls it may gather as many events as he likes before a commit:
that is how many migrations share one.

::

    host.receive(...), host.recognise(...), host.request(...)    any number of events
    outputs = host.commit(now)                                   now they count
    wake_at = host.tick(now); outputs += host.commit(now)        timers, writing what changed, copying
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from uav_twin_migration.twin.hosting.admission import (
    MEGABYTE,
    HostSettings,
    Occupancy,
    limit_of,
    objection_to_chunks,
    objection_to_hosting,
    objection_to_offer,
)
from uav_twin_migration.twin.hosting.application import Application, Piece, Twin
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.hosting.hosted_twins import (
    Arriving,
    HostedTwin,
    Lane,
    Leaving,
    Mirror,
    Undo,
    Visible,
)
from uav_twin_migration.twin.hosting.lanes import Lanes
from uav_twin_migration.twin.hosting.outputs import (
    Close,
    Durable,
    HostingChange,
    MigrationReport,
    Open,
    Output,
    Pace,
    Progress,
    Reply,
    Served,
    Transmit,
)
from uav_twin_migration.twin.hosting.store import (
    Copy,
    Store,
    Stored,
    StoreError,
)
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.chunks import (
    Chunk,
    Entry,
    digest,
    digest_of_twin,
)
from uav_twin_migration.twin.protocol.epochs import horizon, is_epoch
from uav_twin_migration.twin.protocol.flow import Flow
from uav_twin_migration.twin.protocol.messages import (
    Ack,
    Cancel,
    CancelRequest,
    Checkpoint,
    Commit,
    HostHeartbeat,
    HostRequest,
    LeaseRenewal,
    MigrateRequest,
    Offer,
    Prepare,
    Reason,
    Refuse,
    ReplicaOffer,
    SourceMessage,
)
from uav_twin_migration.twin.protocol.migration import Event, step
from uav_twin_migration.twin.protocol.replica_state import (
    NEVER,
    Action,
    Adopt,
    Answer,
    Check,
    Context,
    Create,
    DropIncoming,
    DropOwn,
    Ended,
    Freeze,
    Ignored,
    IntakeTimeout,
    Keep,
    LinkDown,
    Outgoing,
    Phase,
    ReplicaSent,
    ReplicaState,
    ReplicaTimeout,
    Send,
    Sent,
    StandbyTimeout,
    Status,
    Timeout,
    Wrote,
    host_heartbeat,
)
from uav_twin_migration.twin.protocol.source import revive

FILL = MEGABYTE  # bytes of new twins' first snapshots that are written in one go
SCRUB = MEGABYTE  # bytes of hosted twins that are checked in each flush period: 2 MiB/s
PUMP_PERIOD = 0.01  # s between two looks at what a migration may send
SESSION_BITS = 32  # of a session's number, below the life of the process
# What bad chunks make of a `restore`.
NOT_RESTORABLE = (
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    RecursionError,
    struct.error,
)
MOST_STRANGERS = 10_000  # UAVs that are heard of but have nothing here


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
        self.store, self.application, self.settings = store, application, settings or HostSettings()
        self._lanes = Lanes(store, queued)
        self.rsu = store.rsu
        self.counts: Counter[str] = Counter()  # events that were refused or ignored, by why
        self.trouble: StoreError | None = None  # why the disk refused last; None once it takes again
        self.damaged: dict[str, StoreError] = {}  # twins that cannot be made of what is on the disk
        self.last_error: Exception | None = None  # that nobody expected
        self.taken_in = 0  # bytes of arriving chunks that are on the disk
        self._taking_in = 0  # and that wait for the commit
        self.draining = False
        self._drain_targets: tuple[str, ...] = ()
        self._drain_rate = 0.0
        self._drain_turn: Counter[str] = Counter()
        self._now = now
        self._clock_ahead = wall_clock - now
        self._session = store.incarnation << SESSION_BITS
        self._outputs: list[Output] = []
        self._acks: dict[tuple[int, str], Ack] = {}
        self._undo: dict[str, Undo] = {}
        self._durable: list[tuple[HostedTwin, list[Callable[[bool], None]]]] = []
        self._retry_store_at = -math.inf
        self._flush_at = now  # all twins at once: a commit costs the same for one and for many
        self._filled = 0  # bytes of first snapshots in this tick
        self._looking_after: HostedTwin | None = None
        self._unsound: set[int] = set()  # copies that were found damaged
        self._scrubbing = self._scrub()
        self.visible: dict[str, Visible] = {}  # replaced as a whole with each commit
        self._hosted_twins: dict[str, HostedTwin] = {}
        for uav, stored in store.load().items():
            self._take_up(uav, stored)

    # -- events ------------------------------------------------------------------------------------------------------

    def receive(self, link: int, peer: str, frame: wire.Chunks | object, now: float) -> None:
        """A message from another RSU, known by its certificate, over a link (an own one, or one that came in)."""
        self._now = now
        if isinstance(frame, wire.Chunks):
            self._receive_chunks(link, peer, frame)
        elif not self._is_epoch(getattr(frame, "fence", 0)):
            self.counts["bad_epoch"] += 1
        elif isinstance(frame, (Prepare, Checkpoint)):
            self._receive_whole(link, peer, frame)
        else:
            hosted_twin = self._hosted_twin(frame.uav)  # type: ignore[attr-defined]
            offer = frame if isinstance(frame, (Offer, ReplicaOffer)) else None
            refusal = None
            if offer is not None:
                here = self._occupancy(hosted_twin)
                refusal = objection_to_offer(offer, self.application.name, self.settings, here)
            self._step(hosted_twin, frame, peer, link, refusal=refusal, offer=offer)  # type: ignore[arg-type]

    def _is_epoch(self, epoch: object) -> bool:
        """Whether it can be believed to be an epoch, whoever says so: none of the far future is."""
        return is_epoch(epoch) and epoch <= horizon(self._now + self._clock_ahead)

    def link_down(self, link: int, now: float) -> None:
        """A link broke, or could not be made."""
        self._now = now
        uav = self._lanes.broke(link)
        hosted_twin = self._hosted_twins.get(uav) if uav is not None else None
        if hosted_twin is None:
            return
        leaving, mirror, replica_state = hosted_twin.leaving, hosted_twin.mirror, hosted_twin.replica_state
        if leaving is not None and leaving.link == link:
            leaving.alive = False
            if replica_state.outgoing is not None and replica_state.outgoing.phase is not Phase.LEAVING:
                self._step(hosted_twin, LinkDown(replica_state.outgoing.session))
        elif mirror is not None and mirror.link == link:
            mirror.alive = False
            if replica_state.replication is not None and replica_state.replication.session:
                self._step(hosted_twin, LinkDown(replica_state.replication.session))

    def recognise(self, lease_renewal: LeaseRenewal, now: float) -> None:
        """A UAV told whom it takes for its twin's host."""
        self._now = now
        if not self._is_epoch(lease_renewal.epoch) or not self._is_epoch(lease_renewal.fence):
            self.counts["bad_epoch"] += 1
            return
        hosted_twin = self._hosted_twin(lease_renewal.uav)
        if hosted_twin.filling is not None:
            lease_renewal = replace(lease_renewal, standby="")  # nobody can be told yet how large a copy will be
        self._step(hosted_twin, lease_renewal)

    def request(self, request: HostRequest, now: float) -> None:
        """A UAV asks this RSU to host its twin."""
        self._now = now
        if not self._is_epoch(request.epoch):
            self.counts["bad_epoch"] += 1
            return
        if request.rsu != self.rsu or request.size < 0:
            self.counts["bad_request"] += 1
            return
        hosted_twin = self._hosted_twin(request.uav)
        status, here = hosted_twin.replica_state.record.status, self._occupancy(hosted_twin)
        refusal = objection_to_hosting(request, status, self.settings, here)
        self._step(hosted_twin, request, refusal=refusal, size=request.size)

    def migrate(self, request: MigrateRequest, rate: float, now: float) -> None:
        """A UAV asks to move its twin; `rate`, in bytes/s, has been granted. A report follows in any case."""
        self._now = now
        hosted_twin = self._hosted_twin(request.uav)
        outgoing = hosted_twin.replica_state.outgoing
        if outgoing is None or outgoing.target == request.target:
            self.grant(request.uav, rate, now)
        if outgoing is None and hosted_twin.filling is not None:
            self._report(hosted_twin, Ended(request.target, request.epoch, Reason.BUSY))
            return
        self._step(hosted_twin, request)

    def grant(self, uav: str, rate: float, now: float) -> None:
        """The bandwidth that a UAV has bought for its migration changed; in bytes/s, 0 for none."""
        self._now = now
        hosted_twin = self._hosted_twins.get(uav)
        if hosted_twin is None or not rate >= 0.0:
            return
        leaving = hosted_twin.leaving
        if leaving is not None:
            leaving.grant(leaving.rate, now)
            leaving.unfunded_since = min(leaving.unfunded_since, now) if rate == 0 else math.inf
        hosted_twin.rate = rate
        self._share_out(hosted_twin)

    def cancel(self, request: CancelRequest, now: float) -> None:
        """Stop moving a twin, if that is still possible."""
        self._now = now
        self._step(self._hosted_twin(request.uav), request)

    def observe(self, uav: str, telemetry: Telemetry, now: float, world_time: float) -> bool:
        """Telemetry for a twin; taken only while it is served here. world_time: s, on the clock of the time stamps."""
        self._now = now
        hosted_twin = self._hosted_twins.get(uav)
        if hosted_twin is None or hosted_twin.twin is None or not hosted_twin.replica_state.serves(now):
            self.counts["not_served_here"] += 1
            return False
        reason = hosted_twin.twin.observe(telemetry, world_time)
        if reason is not None:
            self.counts[f"telemetry_{reason}"] += 1
        return reason is None

    def update(self, uav: str, change: Callable[[Twin], None], done: Callable[[bool], None], now: float) -> None:
        """Change a twin; `done(True)` once that is on the disk, `done(False)` where it is not served here."""
        self._now = now
        hosted_twin = self._hosted_twins.get(uav)
        if hosted_twin is None or hosted_twin.twin is None or not hosted_twin.replica_state.serves(now):
            self.counts["not_served_here"] += 1
            self._outputs.append(Durable(done, False))
            return
        change(hosted_twin.twin)
        hosted_twin.waiting.append(done)

    def drain(self, targets: Sequence[str], rate: float, now: float) -> None:
        """Take no more twins, and move those here to `targets` in turn, with `rate` bytes/s for all together."""
        self._now, self.draining = now, True
        self._drain_targets, self._drain_rate = tuple(targets), rate

    def stop_draining(self) -> None:
        """Take twins again."""
        self.draining, self._drain_targets = False, ()

    # -- questions ---------------------------------------------------------------------------------------------------

    def host_heartbeats(self, now: float) -> list[HostHeartbeat]:
        """What to tell UAVs: several times in a lease, and at once on `HostingChange`. For any thread."""
        said = []
        for uav, visible in self.visible.items():
            if visible.twin is None and visible.replica_state.record.status is Status.HOSTING:
                continue  # damaged: the UAV shall give its twin to another RSU
            context = Context(self.rsu, uav, now, incarnation=self.store.incarnation)
            said.append(host_heartbeat(visible.replica_state, context))
        return [one for one in said if one is not None]

    def served(self, now: float, world_time: float) -> list[Served]:
        """The twins that users may see. world_time: s, on the clock of the telemetry's time stamps. For any thread."""
        served = []
        for uav, visible in self.visible.items():
            if visible.twin is not None and visible.replica_state.serves(now):
                estimate = visible.twin.estimate(world_time)
                if estimate is not None:
                    served.append(Served(uav, visible.replica_state.record.epoch, estimate))
        return served

    def replica_ages(self, now: float) -> dict[str, float]:
        """By how much the replicas of hosted twins are behind, s by UAV; infinite before one is confirmed."""
        return {
            uav: _age(visible, now)
            for uav, visible in self.visible.items()
            if visible.replica_state.record.status is Status.HOSTING
            and (visible.replica_state.replica or visible.replica_state.standby)
        }

    def as_of(self, uav: str) -> float | None:
        """When the newest telemetry in a hosted twin was measured, s by the UAV's clock. For any thread."""
        visible = self.visible.get(uav)
        return visible.twin.as_of() if visible is not None and visible.twin is not None else None

    def progress(self) -> list[Progress]:
        """The migrations under way."""
        return [
            self._progress(one, one.replica_state.outgoing)
            for one in self._hosted_twins.values()
            if one.replica_state.outgoing
        ]

    @property
    def hosted(self) -> list[str]:
        """The UAVs whose twins are here and have not been taken over by another RSU."""
        kept = (Status.HOSTING, Status.LEAVING)
        return [uav for uav, one in self._hosted_twins.items() if one.replica_state.record.status in kept]

    # -- transactions ------------------------------------------------------------------------------------------------

    def commit(self, now: float) -> list[Output]:
        """Put everything on the disk and release what is to be done about it."""
        self._now = now
        try:
            for uav, before in self._undo.items():
                self._save(self._hosted_twins[uav], before)
            wrote = self.store.dirty
            self.store.commit()
        except StoreError as error:
            return self.roll_back(error)
        if wrote:
            self.trouble = next(iter(self.damaged.values()), None)
        acks = [Transmit(link, [wire.encode(ack)], paced=False) for (link, _), ack in self._acks.items()]
        outputs, self._outputs = [*acks, *self._lanes.taken(), *self._outputs, *self._hosting_changes()], []
        self._acks.clear()
        self._publish()
        self.taken_in, self._taking_in = self.taken_in + self._taking_in, 0
        self._undo.clear()
        for _, callbacks in self._durable:
            outputs += [Durable(done, True) for done in callbacks]
        self._durable.clear()
        return outputs

    def tick(self, now: float) -> float:
        """Do what it is time for. Returns when to be called again at the latest, s."""
        self._now = now
        if now < self._retry_store_at:
            return self._retry_store_at
        if self.trouble is not None:
            self.store.touch()  # does the disk take anything again?
        flushing = now >= self._flush_at
        if flushing:
            self._flush_at = now + self.settings.flush_period
            try:
                next(self._scrubbing)
            except StoreError:
                self._scrubbing = self._scrub()
                raise
        self._filled, wake_at = 0, self._flush_at
        for hosted_twin in list(self._hosted_twins.values()):
            self._looking_after = hosted_twin
            wake_at = min(wake_at, self._look_after(hosted_twin, flushing))
        self._looking_after = None
        if self.draining:
            self._drain_on()
        if self.trouble is None and self._sweep():
            wake_at = now
        return wake_at

    def _publish(self, *further: str) -> None:
        """Let others see what is on the disk now."""
        visible = dict(self.visible)
        for uav in (*self._undo, *further):
            hosted_twin = self._hosted_twins[uav]
            visible[uav] = Visible(hosted_twin.replica_state, hosted_twin.twin, hosted_twin.replicated_at)
        self.visible = visible

    def _hosting_changes(self) -> list[Output]:
        """Who began or ceased to be hosted here."""
        hosting_changes: list[Output] = []
        for uav, before in self._undo.items():
            record, old = self._hosted_twins[uav].replica_state.record, before.replica_state.record
            hosting, hosted = record.status is Status.HOSTING, old.status is Status.HOSTING
            if hosting != hosted or (hosting and record.epoch != old.epoch):
                hosting_changes.append(HostingChange(uav, record.epoch, hosting))
        return hosting_changes

    def _save(self, hosted_twin: HostedTwin, before: Undo) -> None:
        record, old = hosted_twin.replica_state.record, before.replica_state.record
        copies = (hosted_twin.own, hosted_twin.incoming)
        if record == old and copies == (before.own, before.incoming):
            return
        if copies == (before.own, before.incoming) and replace(record, version=old.version) == old:
            self.store.save_version(hosted_twin.uav, record.version)
        else:
            self.store.save(hosted_twin.uav, hosted_twin.stored)

    def roll_back(self, error: StoreError) -> list[Output]:
        """The disk refused: everything is as after the last commit, and what was to be said since is not said."""
        self.counts["store_failed"] += 1
        self.trouble = error
        self._retry_store_at = self._now + self.settings.retry_store
        return self._undo_all()

    def drop(self, error: Exception) -> list[Output]:
        """The last catch: an event that could not be dealt with has not been, nor have the others since the commit."""
        self.counts["unexpected_error"] += 1
        self.last_error = error
        return self._undo_all()

    def set_aside(self, error: Exception) -> list[Output]:
        """The last catch of `tick`: the twin that could not be looked after is damaged, the others go on."""
        hosted_twin, self._looking_after = self._looking_after, None
        outputs = self.drop(error)
        if hosted_twin is not None and hosted_twin.twin is not None:
            self._mark_damaged(hosted_twin, error)
            self._publish(hosted_twin.uav)
        return outputs

    def _undo_all(self) -> list[Output]:
        self.store.rollback()
        kept = (one for one in self._outputs if isinstance(one, MigrationReport) and one.uav not in self._undo)
        outputs: list[Output] = [*kept, *(one for one in self._outputs if isinstance(one, Durable))]
        outputs += [Durable(done, False) for _, callbacks in self._durable for done in callbacks]
        for uav, before in self._undo.items():
            hosted_twin = self._hosted_twins[uav]
            for lane in (hosted_twin.leaving, before.leaving, hosted_twin.mirror, before.mirror):
                if lane is not None:
                    lane.alive, lane.flow = False, None
                    outputs.append(Close(lane.link))
            hosted_twin.replica_state, hosted_twin.own, hosted_twin.incoming, hosted_twin.stored_version = before[:4]
            hosted_twin.leaving, hosted_twin.mirror = before.leaving, before.mirror
            hosted_twin.arriving, hosted_twin.filling = None, None
            self._settle(hosted_twin)
        for kept_for_the_commit in (self._undo, self._durable, self._outputs, self._acks):
            kept_for_the_commit.clear()
        self._lanes.taken()
        self._taking_in = 0
        return outputs

    # -- one step of the protocol ------------------------------------------------------------------------------------

    def _step(
        self,
        hosted_twin: HostedTwin,
        event: Event,
        peer: str = "",
        link: int = 0,
        refusal: Reason | None = None,
        verified: bool = True,
        offer: Offer | ReplicaOffer | None = None,
        size: int = 0,
    ) -> None:
        """Let the protocol have an event, and do what it says.

        offer: whose copy to make room for. size: bytes of payload, of a twin that begins empty.
        """
        self._touch(hosted_twin)
        before = hosted_twin.replica_state
        context = self._context(hosted_twin, peer, refusal, verified)
        hosted_twin.replica_state, actions = step(hosted_twin.replica_state, event, context)
        outgoing, replication = hosted_twin.replica_state.outgoing, hosted_twin.replica_state.replication
        if outgoing is not None:
            self._session = max(self._session, outgoing.session)
            if before.outgoing is None:
                hosted_twin.leaving = Leaving(started=self._now)
                hosted_twin.leaving.unfunded_since = self._now if hosted_twin.rate == 0 else math.inf
        if replication is not None:
            self._session = max(self._session, replication.session)
            hosted_twin.mirror = hosted_twin.mirror or Mirror()
        self._share_out(hosted_twin)
        for action in actions:
            self._do(hosted_twin, action, link, size)
        if offer is not None:
            self._expect(hosted_twin, offer, link)
        self._follow(hosted_twin, before.outgoing)
        self._follow_replica(hosted_twin, before)
        self._settle(hosted_twin)

    def _context(
        self,
        hosted_twin: HostedTwin,
        peer: str = "",
        refusal: Reason | None = None,
        verified: bool = True,
        now: float | None = None,
    ) -> Context:
        now = self._now if now is None else now
        incarnation, timing = self.store.incarnation, self.settings.timing
        return Context(self.rsu, hosted_twin.uav, now, peer, incarnation, self._session + 1, timing, refusal, verified)

    def _do(self, hosted_twin: HostedTwin, action: Action, link: int, size: int) -> None:
        if isinstance(action, Send):
            self._send(hosted_twin, action, link)
        elif isinstance(action, Answer):
            self._outputs.append(Reply(action.reply))
        elif isinstance(action, Create):
            name, chunk_size = self.application.name, self.application.chunk_size(size)
            hosted_twin.own = self.store.add_copy(hosted_twin.uav, name, chunk_size, size, whole=False)
            hosted_twin.twin = None
        elif isinstance(action, Adopt):
            self._adopt(hosted_twin)
        elif isinstance(action, Keep):
            self._keep(hosted_twin)
        elif isinstance(action, DropOwn):
            self._doom(hosted_twin.own)
            hosted_twin.own = None
        elif isinstance(action, DropIncoming):
            self._doom(hosted_twin.incoming)
            hosted_twin.incoming = hosted_twin.arriving = None
        elif isinstance(action, Ended):
            self._report(hosted_twin, action)
        elif isinstance(action, Ignored):
            self.counts[action.why] += 1

    def _adopt(self, hosted_twin: HostedTwin) -> None:
        incoming = hosted_twin.incoming
        if incoming is not None and incoming.base is not None:
            self.store.merge(incoming)
            self._doom(incoming)
        else:
            self._doom(hosted_twin.own)
            hosted_twin.own = incoming
        hosted_twin.incoming = None
        hosted_twin.twin = hosted_twin.arriving.twin if hosted_twin.arriving is not None else None
        hosted_twin.arriving, hosted_twin.stored_version = None, 0

    def _keep(self, hosted_twin: HostedTwin) -> None:
        """What arrived is the replica, or part of it; what changes from now on lies beside it."""
        incoming = hosted_twin.incoming
        assert incoming is not None
        if incoming.base is not None:
            self.store.merge(incoming)
            return
        self._doom(hosted_twin.own)
        hosted_twin.own = incoming
        kind = (incoming.application, incoming.chunk_size, incoming.size)
        hosted_twin.incoming = self.store.add_copy(hosted_twin.uav, *kind, base=incoming)

    def _doom(self, copy: Copy | None) -> None:
        if copy is not None:
            self.store.doom(copy)

    def _settle(self, hosted_twin: HostedTwin) -> None:
        """A twin is in memory while it is hosted, a migration's figures while one is under way."""
        status = hosted_twin.replica_state.record.status
        if status is not Status.HOSTING:
            hosted_twin.twin = hosted_twin.filling = None
            self.damaged.pop(hosted_twin.uav, None)
            self._refuse_waiting(hosted_twin)
        elif (
            hosted_twin.own is not None
            and hosted_twin.own.id not in self._unsound
            and (hosted_twin.twin is None or (not hosted_twin.own.whole and hosted_twin.filling is None))
        ):
            self._bring_up(hosted_twin, hosted_twin.own)
        if hosted_twin.replica_state.outgoing is None and hosted_twin.leaving is not None:
            self._lanes.let_go(hosted_twin.leaving)
            hosted_twin.leaving = None
        if hosted_twin.replica_state.replication is None and hosted_twin.mirror is not None:
            self._lanes.let_go(hosted_twin.mirror)
            hosted_twin.mirror = None
        self._share_out(hosted_twin)

    def _bring_up(self, hosted_twin: HostedTwin, own: Copy) -> None:
        """Make a hosted twin of its chunks. One whose first snapshot was cut off begins anew.

        One that cannot be made is neither served nor spoken of, and stays on the disk as it is.
        """
        try:
            if own.whole:
                wrong = next(self.store.damaged(own), None)
                if wrong is not None:
                    raise ValueError(f"its chunk {wrong} is not what was stored")
                hosted_twin.twin = self.application.restore(
                    hosted_twin.uav, lambda number: self.store.read(own, number)
                )
            else:
                hosted_twin.twin = self.application.create(hosted_twin.uav, own.size)
                hosted_twin.filling = hosted_twin.twin.snapshot()
        except (StoreError, *NOT_RESTORABLE) as error:
            self._mark_damaged(hosted_twin, error)
            return
        self.damaged.pop(hosted_twin.uav, None)
        hosted_twin.stored_version = hosted_twin.twin.version()

    def _mark_damaged(self, hosted_twin: HostedTwin, error: Exception) -> None:
        """It is neither served nor spoken of from here on, and stays on the disk as it is."""
        what, hint = f"the twin of {hosted_twin.uav} is damaged ({error})", "look at it with `uavtwin twins`"
        self.damaged[hosted_twin.uav] = self.trouble = StoreError(self.store.path, what, hint, Reason.CORRUPT)
        hosted_twin.twin = hosted_twin.filling = None
        if hosted_twin.own is not None:
            self._unsound.add(hosted_twin.own.id)

    def _scrub(self) -> Iterator[None]:
        """Look at every chunk of every hosted twin, over and over; yields after each `SCRUB` bytes, and each round."""
        while True:
            checked = 0
            for hosted_twin in list(self._hosted_twins.values()):
                own = hosted_twin.own
                for entry in self.store.entries(own) if own is not None and hosted_twin.twin is not None else ():
                    if own is None or hosted_twin.own is not own or hosted_twin.twin is None:
                        break  # it has moved meanwhile
                    if self._is_wrong(own, entry):
                        self._mark_damaged(hosted_twin, ValueError(f"its chunk {entry.number} is not what was stored"))
                        self._publish(hosted_twin.uav)
                    checked += entry.size
                    if checked >= SCRUB:
                        yield
                        checked = 0
            yield

    def _is_wrong(self, own: Copy, entry: Entry) -> bool:
        try:
            content = self.store.read(own, entry.number)
        except StoreError:
            content = None
        if content is not None and digest(content) == entry.digest:
            return False
        return entry in self.store.entries(own)  # else it has changed since it was listed

    def _refuse_waiting(self, hosted_twin: HostedTwin) -> None:
        self._outputs += [Durable(done, False) for done in hosted_twin.waiting]
        hosted_twin.waiting.clear()

    def _touch(self, hosted_twin: HostedTwin) -> None:
        if hosted_twin.uav not in self._undo:
            copies = (hosted_twin.own, hosted_twin.incoming, hosted_twin.stored_version)
            self._undo[hosted_twin.uav] = Undo(
                hosted_twin.replica_state, *copies, hosted_twin.leaving, hosted_twin.mirror
            )

    # -- links -------------------------------------------------------------------------------------------------------

    def _send(self, hosted_twin: HostedTwin, send: Send, link: int) -> None:
        message = send.message
        if isinstance(message, Ack):
            self._acks[link, message.uav] = message  # of several in one commit the last one says it all
            return
        if not isinstance(message, SourceMessage):
            self._lanes.say(link, message)
            return
        lane = self._lane_of(hosted_twin, message)
        if isinstance(message, (Offer, ReplicaOffer)):
            message = self._announced(hosted_twin, message)
        if isinstance(message, (Offer, ReplicaOffer)) or (isinstance(message, Commit) and not lane.alive):
            self._lanes.connect(hosted_twin.uav, lane, send.peer)
        if lane.alive:
            self._lanes.say(lane.link, message)

    def _lane_of(self, hosted_twin: HostedTwin, message: SourceMessage) -> Lane:
        """The link that a message goes over: the migration's, or the replica's."""
        mirror, lane = hosted_twin.mirror, hosted_twin.leaving
        if isinstance(message, ReplicaOffer) and mirror is not None:
            mirror.session = message.session
        if mirror is not None and not isinstance(message, Commit) and message.session == mirror.session:
            return mirror
        assert lane is not None
        return lane

    def _share_out(self, hosted_twin: HostedTwin) -> None:
        self._lanes.share_out(hosted_twin, self.settings.replica_share)

    def _announced(self, hosted_twin: HostedTwin, offer: Offer | ReplicaOffer) -> Offer | ReplicaOffer:
        own = hosted_twin.own
        assert own is not None
        return replace(offer, size=self.store.size_of(own), chunk_size=own.chunk_size, application=own.application)

    # -- copying, at the source --------------------------------------------------------------------------------------

    def _follow(self, hosted_twin: HostedTwin, before: Outgoing | None) -> None:
        """Let the bytes follow what the protocol decided."""
        outgoing, leaving = hosted_twin.replica_state.outgoing, hosted_twin.leaving
        if outgoing is None or leaving is None or hosted_twin.own is None:
            return
        if outgoing.phase is Phase.COPYING and leaving.flow is None and leaving.alive:
            leaving.flow = Flow(self.store.entries(hosted_twin.own), outgoing.acked)
            leaving.size = leaving.flow.size
            if math.isnan(leaving.copying_since):
                leaving.copying_since = leaving.granted_at = self._now
            self._pump(hosted_twin)
        elif outgoing.phase is Phase.OFFERING and before is not None and before.phase is not Phase.OFFERING:
            leaving.frozen_at = math.nan  # it serves again
        if leaving.flow is not None and before is not None and outgoing.acked > before.acked:
            leaving.flow.acknowledged(outgoing.acked)
            self._pump(hosted_twin)

    def _pump(self, hosted_twin: HostedTwin) -> None:
        """Send what the rate and the window let through; freeze when little enough is left."""
        leaving, outgoing = hosted_twin.leaving, hosted_twin.replica_state.outgoing
        if leaving is None or leaving.flow is None or not leaving.alive or outgoing is None:
            return
        if outgoing.phase is not Phase.COPYING:
            return
        flow = leaving.flow
        self._lanes.send_on(hosted_twin, leaving, flow, outgoing.session)
        self._mark_sent(hosted_twin, flow)
        if flow.may_freeze(self._now, leaving.rate):
            self._freeze(hosted_twin, leaving, flow)

    def _mark_sent(self, hosted_twin: HostedTwin, flow: Flow) -> None:
        outgoing = hosted_twin.replica_state.outgoing
        if outgoing is not None and flow.sent > outgoing.sent:
            self._step(hosted_twin, Sent(flow.sent))

    def _freeze(self, hosted_twin: HostedTwin, leaving: Leaving, flow: Flow) -> None:
        """The last changes are written and sent, and from here on there are no more."""
        self._flush(hosted_twin)
        outgoing = hosted_twin.replica_state.outgoing
        assert outgoing is not None
        self._lanes.send_all(hosted_twin, leaving, flow, outgoing.session)
        self._mark_sent(hosted_twin, flow)
        leaving.frozen_at = self._now
        self._step(hosted_twin, Freeze(flow.digest(hosted_twin.uav)))

    # -- keeping a replica up to date, at the host -----------------------------------------------------------------

    def _follow_replica(self, hosted_twin: HostedTwin, before: ReplicaState) -> None:
        """Let the bytes follow what the protocol decided about the replica."""
        replication, mirror = hosted_twin.replica_state.replication, hosted_twin.mirror
        if hosted_twin.replica_state.replica_version == 0:
            hosted_twin.replicated_at = math.nan
        if replication is None or mirror is None or hosted_twin.own is None or not replication.copying:
            return
        if mirror.flow is None and mirror.alive:
            mirror.flow = Flow(self.store.entries(hosted_twin.own), replication.acked)
            self._share_out(hosted_twin)
        if mirror.flow is not None:
            mirror.flow.acknowledged(replication.acked)
        if hosted_twin.replica_state.replica_version != before.replica_version:
            hosted_twin.replicated_at = mirror.checked_at

    def _pump_replica(self, hosted_twin: HostedTwin) -> float:
        """Send changes to the replica, and have it verified when it has all. Returns when to look again."""
        replication, mirror = hosted_twin.replica_state.replication, hosted_twin.mirror
        if replication is None or mirror is None:
            return NEVER
        if self._now >= replication.deadline:
            self._step(hosted_twin, ReplicaTimeout())
            return self._now + PUMP_PERIOD
        if replication.copying and not mirror.alive:  # the disk refused meanwhile
            self._step(hosted_twin, LinkDown(replication.session))
            return self._now + PUMP_PERIOD
        flow = mirror.flow
        if flow is None or not replication.copying or mirror.rate == 0.0:
            return replication.deadline
        self._lanes.send_on(hosted_twin, mirror, flow, replication.session)
        if flow.sent > replication.sent:
            self._step(hosted_twin, ReplicaSent(flow.sent))
        if not flow.is_empty:
            return self._now + PUMP_PERIOD
        if hosted_twin.filling is not None or replication.checked or hosted_twin.replica_state.is_replicated:
            return replication.deadline
        return self._check(hosted_twin, mirror, flow)

    def _check(self, hosted_twin: HostedTwin, mirror: Mirror, flow: Flow) -> float:
        if self._now < mirror.check_at:
            return mirror.check_at
        mirror.checked_at, mirror.check_at = self._now, self._now + self.settings.replica_period
        self._step(hosted_twin, Check(flow.digest(hosted_twin.uav)))
        return mirror.check_at

    # -- taking over, at the target ----------------------------------------------------------------------------------

    def _occupancy(self, hosted_twin: HostedTwin) -> Occupancy:
        """How full this RSU is without a twin. What was promised is taken: to copies that arrive, to new twins."""
        arriving = [
            one.arriving
            for one in self._hosted_twins.values()
            if one.arriving is not None and one is not hosted_twin and not _is_kept_up(one)
        ]
        others = [one for one in self._hosted_twins.values() if one is not hosted_twin]
        unwritten = sum(one.own.size for one in others if one.own is not None and not one.own.whole)
        spoken_for = sum(one.limit - one.total for one in arriving) + unwritten
        room = self.store.free() - self.settings.reserve - spoken_for
        trouble = self.trouble.reason if self.trouble is not None else None
        return Occupancy(self.draining, trouble, len(self.hosted), len(arriving), room)

    def _expect(self, hosted_twin: HostedTwin, offer: Offer | ReplicaOffer, link: int) -> None:
        """Make room for the copy that was accepted, or go on with what there is of it."""
        incoming = hosted_twin.replica_state.record.incoming
        if incoming is None or hosted_twin.replica_state.session != offer.session or incoming.epoch != offer.epoch:
            return
        if hosted_twin.incoming is None:
            kind, base = (offer.application, offer.chunk_size, offer.size), hosted_twin.own if incoming.base else None
            hosted_twin.incoming = self.store.add_copy(hosted_twin.uav, *kind, base=base)
        latest = {entry.number: entry for entry in self.store.entries(hosted_twin.incoming)}
        hosted_twin.arriving = Arriving(
            link, latest, limit_of(offer, self.settings), sum(entry.size for entry in latest.values())
        )

    def _receive_chunks(self, link: int, peer: str, frame: wire.Chunks) -> None:
        data = frame.data
        hosted_twin = self._hosted_twin(data.uav)
        replica_state, arriving = hosted_twin.replica_state, hosted_twin.arriving
        if (replica_state.source, replica_state.session) != (peer, data.session):
            self._step(hosted_twin, data, peer, link)  # which refuses it
            return
        if arriving is None or hosted_twin.incoming is None:  # the disk refused meanwhile
            refusal = Refuse(data.uav, data.session, Reason.NO_SESSION)
            self._lanes.say(link, refusal)
            return
        chunk_size = hosted_twin.incoming.chunk_size
        reason = objection_to_chunks(frame.chunks, frame.intact, chunk_size, arriving.total, arriving.limit)
        if reason is not None:
            self.counts[f"chunks_{reason.value}"] += 1
            refusal = Refuse(data.uav, data.session, reason)
            self._lanes.say(link, refusal)
            self._step(hosted_twin, Cancel(data.uav, data.session, reason), peer, link)
            return
        before = replica_state.record.incoming
        self._step(hosted_twin, data, peer, link)
        if hosted_twin.replica_state.record.incoming == before:
            return  # out of order
        self.store.write(hosted_twin.incoming, frame.chunks)
        for chunk in frame.chunks:
            old = arriving.latest.get(chunk.number)
            entry = Entry(chunk.number, chunk.version, chunk.digest, len(chunk.content))
            arriving.latest[chunk.number] = entry
            self._taking_in += entry.size
            arriving.total += entry.size - (old.size if old is not None else 0)

    def _receive_whole(self, link: int, peer: str, message: Prepare | Checkpoint) -> None:
        """Is the copy whole, and, where it is to be hosted, a twin that the application can make?"""
        hosted_twin = self._hosted_twin(message.uav)
        arriving, copy = hosted_twin.arriving, hosted_twin.incoming
        mine = (hosted_twin.replica_state.source, hosted_twin.replica_state.session) == (peer, message.session)
        verified = False
        if mine and arriving is not None and copy is not None:
            verified = digest_of_twin(message.uav, arriving.latest.values()) == message.digest
            if verified and isinstance(message, Prepare):
                arriving.twin = self._try_restore(message.uav, copy)
                verified = arriving.twin is not None
        self._step(hosted_twin, message, peer, link, verified=verified)

    def _try_restore(self, uav: str, copy: Copy) -> Twin | None:
        try:
            return self.application.restore(uav, lambda number: self.store.read(copy, number))
        except NOT_RESTORABLE:
            self.counts["not_restorable"] += 1
            return None

    # -- hosting -----------------------------------------------------------------------------------------------------

    def _look_after(self, hosted_twin: HostedTwin, flushing: bool) -> float:
        """What it is time for with one twin. Returns when to look again."""
        now, replica_state = self._now, hosted_twin.replica_state
        if now >= replica_state.intake_deadline:
            self._step(hosted_twin, IntakeTimeout())
        if now >= replica_state.unwanted_at:
            self._step(hosted_twin, StandbyTimeout())
        outgoing, leaving = hosted_twin.replica_state.outgoing, hosted_twin.leaving
        if outgoing is not None and now >= outgoing.deadline:
            self._step(hosted_twin, Timeout())
        if leaving is not None and outgoing is not None and outgoing.phase is not Phase.LEAVING:
            self._look_after_migration(hosted_twin, leaving)
        if hosted_twin.filling is not None:
            self._fill(hosted_twin)
            return now
        if flushing or hosted_twin.waiting:
            self._flush(hosted_twin)
        self._pump(hosted_twin)
        replica_at = self._pump_replica(hosted_twin)
        outgoing = hosted_twin.replica_state.outgoing
        deadline = outgoing.deadline if outgoing is not None else NEVER
        copying = now + PUMP_PERIOD if outgoing is not None and outgoing.phase is Phase.COPYING else NEVER
        return min(
            deadline,
            copying,
            replica_at,
            hosted_twin.replica_state.intake_deadline,
            hosted_twin.replica_state.unwanted_at,
        )

    def _look_after_migration(self, hosted_twin: HostedTwin, leaving: Leaving) -> None:
        if self._now >= leaving.unfunded_since + self.settings.lease_patience:
            self._step(hosted_twin, CancelRequest(hosted_twin.uav, Reason.LEASE_LOST))
        elif leaving.flow is not None and leaving.flow.diverges(self._now):
            self._step(hosted_twin, CancelRequest(hosted_twin.uav, Reason.DIVERGING))

    def _fill(self, hosted_twin: HostedTwin) -> None:
        """Write some more of a new twin's first snapshot, where others have not written enough for now."""
        if self._filled >= FILL:
            return
        assert hosted_twin.filling is not None
        assert hosted_twin.own is not None
        self._touch(hosted_twin)
        pieces = []
        for piece in hosted_twin.filling:
            pieces.append(piece)
            self._filled += len(piece.content)
            if self._filled >= FILL:
                break
        else:
            hosted_twin.filling, hosted_twin.own = None, self.store.set_whole(hosted_twin.own)
        self._write(hosted_twin, pieces)
        if hosted_twin.filling is None:
            self._flush(hosted_twin)  # what changed meanwhile belongs to the whole

    def _flush(self, hosted_twin: HostedTwin) -> None:
        """Write what changed in a twin since the last time."""
        twin = hosted_twin.twin
        if twin is None or hosted_twin.filling is not None:
            return
        changes = twin.changes_since(hosted_twin.stored_version)
        if changes.pieces:
            self._touch(hosted_twin)
            self._write(hosted_twin, changes.pieces)
        hosted_twin.stored_version = changes.version
        if hosted_twin.waiting:
            self._durable.append((hosted_twin, list(hosted_twin.waiting)))
            hosted_twin.waiting.clear()

    def _write(self, hosted_twin: HostedTwin, pieces: Sequence[Piece]) -> None:
        """Write chunks of a hosted twin, and let a migration follow."""
        if not pieces:
            return
        assert hosted_twin.own is not None
        version = hosted_twin.replica_state.record.version
        chunks = [
            Chunk(piece.number, version + place, digest(piece.content), piece.content)
            for place, piece in enumerate(pieces, start=1)
        ]
        self.store.write(hosted_twin.own, chunks)
        self._step(hosted_twin, Wrote(chunks[-1].version))
        for lane in (hosted_twin.leaving, hosted_twin.mirror):
            if lane is not None and lane.flow is not None:
                lane.flow.changed(chunks)

    # -- draining ----------------------------------------------------------------------------------------------------

    def _drain_on(self) -> None:
        """Begin to move as many twins as may go at once."""
        under_way = sum(1 for one in self._hosted_twins.values() if one.replica_state.outgoing is not None)
        waiting = [
            one
            for one in self._hosted_twins.values()
            if one.replica_state.record.status is Status.HOSTING
            and one.replica_state.outgoing is None
            and one.filling is None
        ]
        share = self._drain_rate / max(1, min(self.settings.drain_at_once, under_way + len(waiting)))
        for hosted_twin in waiting[: max(0, self.settings.drain_at_once - under_way)]:
            if self._drain_targets:
                turn = self._drain_turn[hosted_twin.uav]
                self._drain_turn[hosted_twin.uav] += 1
                target = self._drain_targets[turn % len(self._drain_targets)]
                self.migrate(
                    MigrateRequest(hosted_twin.uav, hosted_twin.replica_state.record.epoch, target), share, self._now
                )

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _take_up(self, uav: str, stored: Stored) -> None:
        """A twin that the store has, after a start."""
        hosted_twin = HostedTwin(uav, ReplicaState(stored.record), stored.own, stored.incoming)
        self._hosted_twins[uav] = hosted_twin
        hosted_twin.replica_state = revive(hosted_twin.replica_state, self._context(hosted_twin))
        if stored.record.incoming is not None:
            incoming, timing = stored.record.incoming, self.settings.timing
            patience = timing.keep_prepared if incoming.prepared else timing.keep_partial
            hosted_twin.replica_state = replace(hosted_twin.replica_state, intake_deadline=self._now + patience)
        if hosted_twin.replica_state.outgoing is not None:
            hosted_twin.leaving = Leaving(started=self._now)
        self._settle(hosted_twin)
        self.visible[uav] = Visible(hosted_twin.replica_state, hosted_twin.twin)

    def _hosted_twin(self, uav: str) -> HostedTwin:
        hosted_twin = self._hosted_twins.get(uav)
        if hosted_twin is None:
            if len(self._hosted_twins) >= MOST_STRANGERS:
                self._forget_unknown_twins()
            hosted_twin = self._hosted_twins[uav] = HostedTwin(uav)
        return hosted_twin

    def _forget_unknown_twins(self) -> None:
        """UAVs that never had anything here. (What is in a record, if only a fence, stays.)"""
        blank = ReplicaState().record
        for uav in [uav for uav, one in self._hosted_twins.items() if one.replica_state.record == blank]:
            if uav not in self._undo:
                del self._hosted_twins[uav]
        self.visible = {uav: one for uav, one in self.visible.items() if uav in self._hosted_twins}

    def _sweep(self) -> bool:
        """Delete some of what is no longer wanted. Whether there is more."""
        return self.store.sweep()

    def _report(self, hosted_twin: HostedTwin, ended: Ended) -> None:
        leaving = hosted_twin.leaving or Leaving(started=self._now)
        leaving.grant(leaving.rate, self._now)
        flow = leaving.flow
        sent = leaving.sent + (flow.bytes_sent if flow is not None else 0)
        copying = self._now - leaving.copying_since
        moved = ended.reason is None and not math.isnan(leaving.frozen_at)
        report = MigrationReport(
            hosted_twin.uav,
            self.rsu,
            ended.target,
            ended.epoch,
            ended.reason,
            flow.size if flow is not None else leaving.size,
            sent,
            self._now - leaving.started,
            self._now - leaving.frozen_at if moved else 0.0,
            leaving.granted / copying if copying > 0 else hosted_twin.rate,
            sent / copying if copying > 0 else 0.0,
        )
        self._outputs.append(report)

    def _progress(self, hosted_twin: HostedTwin, outgoing: Outgoing) -> Progress:
        flow = hosted_twin.leaving.flow if hosted_twin.leaving is not None else None
        size = (
            flow.size
            if flow is not None
            else (self.store.size_of(hosted_twin.own) if hosted_twin.own is not None else 0)
        )
        remaining = flow.remaining if flow is not None else size
        return Progress(hosted_twin.uav, outgoing.target, outgoing.phase, size, remaining, hosted_twin.rate)


def _age(visible: Visible, now: float) -> float:
    """By how much the replica is behind, s."""
    replica_state = visible.replica_state
    if not replica_state.replica or math.isnan(visible.replicated_at):
        return math.inf
    return 0.0 if replica_state.replica_version == replica_state.record.version else now - visible.replicated_at


def _is_kept_up(hosted_twin: HostedTwin) -> bool:
    """Whether what arrives are the changes to a replica: there is room for those."""
    return hosted_twin.incoming is not None and hosted_twin.incoming.base is not None


__all__ = [
    "Close",
    "Durable",
    "HostSettings",
    "HostedTwin",
    "HostingChange",
    "MigrationReport",
    "Open",
    "Output",
    "Pace",
    "Progress",
    "Reply",
    "Served",
    "Transmit",
    "TwinHost",
]
