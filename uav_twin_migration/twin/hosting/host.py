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
from collections.abc import Callable, Sequence
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
    Lane,
    Leaving,
    Mirror,
    Resident,
    Undo,
    Visible,
)
from uav_twin_migration.twin.hosting.lanes import Lanes
from uav_twin_migration.twin.hosting.outputs import (
    Close,
    Durable,
    MigrationReport,
    Open,
    Output,
    Pace,
    Progress,
    Reply,
    Served,
    Tenure,
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
from uav_twin_migration.twin.protocol.epochs import is_epoch
from uav_twin_migration.twin.protocol.flow import Flow
from uav_twin_migration.twin.protocol.messages import (
    Ack,
    Cancel,
    CancelRequest,
    Checkpoint,
    Commit,
    HostRequest,
    MigrateRequest,
    Offer,
    Prepare,
    Presence,
    Reason,
    Recognition,
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
    Custody,
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
    ReplicaTimeout,
    Send,
    Sent,
    StandbyTimeout,
    Status,
    Timeout,
    Wrote,
    presence,
)
from uav_twin_migration.twin.protocol.source import revive

FILL = MEGABYTE  # bytes of new twins' first snapshots that are written in one go
PUMP_PERIOD = 0.01  # s between two looks at what a migration may send
SESSION_BITS = 32  # of a session's number, below the life of the process
NOT_RESTORABLE = (ValueError, KeyError, TypeError, IndexError, struct.error)  # what bad chunks make of a `restore`
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
    ) -> None:
        """Take up what the store has. Raises StoreError.

        queued: how many bytes wait to be sent over a link.
        """
        self.store, self.application, self.settings = store, application, settings or HostSettings()
        self._lanes = Lanes(store, queued)
        self.rsu = store.rsu
        self.counts: Counter[str] = Counter()  # events that were refused or ignored, by why
        self.trouble: StoreError | None = None  # why the disk refused last; None once it takes again
        self.damaged: dict[str, StoreError] = {}  # twins that cannot be made of what is on the disk
        self.taken_in = 0  # bytes of arriving chunks that are on the disk
        self._taking_in = 0  # and that wait for the commit
        self.draining = False
        self._drain_targets: tuple[str, ...] = ()
        self._drain_rate = 0.0
        self._drain_turn: Counter[str] = Counter()
        self._now = now
        self._session = store.life << SESSION_BITS
        self._outputs: list[Output] = []
        self._acks: dict[tuple[int, str], Ack] = {}
        self._undo: dict[str, Undo] = {}
        self._durable: list[tuple[Resident, list[Callable[[bool], None]]]] = []
        self._retry_store_at = -math.inf
        self._flush_at = now  # all twins at once: a commit costs the same for one and for many
        self._filled = 0  # bytes of first snapshots in this tick
        self.visible: dict[str, Visible] = {}  # replaced as a whole with each commit
        self._residents: dict[str, Resident] = {}
        for uav, stored in store.load().items():
            self._take_up(uav, stored)

    # -- events ------------------------------------------------------------------------------------------------------

    def receive(self, link: int, peer: str, frame: wire.Chunks | object, now: float) -> None:
        """A message from another RSU, known by its certificate, over a link (an own one, or one that came in)."""
        self._now = now
        if isinstance(frame, wire.Chunks):
            self._receive_chunks(link, peer, frame)
        elif isinstance(frame, (Prepare, Checkpoint)):
            self._receive_whole(link, peer, frame)
        else:
            resident = self._resident(frame.uav)  # type: ignore[attr-defined]
            offer = frame if isinstance(frame, (Offer, ReplicaOffer)) else None
            refusal = None
            if offer is not None:
                here = self._occupancy(resident, promised=True)
                refusal = objection_to_offer(offer, self.application.name, self.settings, here)
            self._step(resident, frame, peer, link, refusal=refusal, offer=offer)  # type: ignore[arg-type]

    def link_down(self, link: int, now: float) -> None:
        """A link broke, or could not be made."""
        self._now = now
        uav = self._lanes.broke(link)
        resident = self._residents.get(uav) if uav is not None else None
        if resident is None:
            return
        leaving, mirror, custody = resident.leaving, resident.mirror, resident.custody
        if leaving is not None and leaving.link == link:
            leaving.alive = False
            if custody.outgoing is not None and custody.outgoing.phase is not Phase.LEAVING:
                self._step(resident, LinkDown(custody.outgoing.session))
        elif mirror is not None and mirror.link == link:
            mirror.alive = False
            if custody.replication is not None and custody.replication.session:
                self._step(resident, LinkDown(custody.replication.session))

    def recognise(self, recognition: Recognition, now: float) -> None:
        """A UAV told whom it takes for its twin's host."""
        self._now = now
        if not is_epoch(recognition.epoch) or not is_epoch(recognition.fence):
            self.counts["bad_epoch"] += 1
            return
        resident = self._resident(recognition.uav)
        if resident.filling is not None:
            recognition = replace(recognition, standby="")  # nobody can be told yet how large a copy will be
        self._step(resident, recognition)

    def request(self, request: HostRequest, now: float) -> None:
        """A UAV asks this RSU to host its twin."""
        self._now = now
        if request.rsu != self.rsu or not is_epoch(request.epoch) or request.size < 0:
            self.counts["bad_request"] += 1
            return
        resident = self._resident(request.uav)
        status, here = resident.custody.record.status, self._occupancy(resident, promised=False)
        refusal = objection_to_hosting(request, status, self.settings, here)
        self._step(resident, request, refusal=refusal, size=request.size)

    def migrate(self, request: MigrateRequest, rate: float, now: float) -> None:
        """A UAV asks to move its twin; `rate`, in bytes/s, has been granted. A report follows in any case."""
        self._now = now
        resident = self._resident(request.uav)
        outgoing = resident.custody.outgoing
        if outgoing is None or outgoing.target == request.target:
            self.grant(request.uav, rate, now)
        if outgoing is None and resident.filling is not None:
            self._report(resident, Ended(request.target, request.epoch, Reason.BUSY))
            return
        self._step(resident, request)

    def grant(self, uav: str, rate: float, now: float) -> None:
        """The bandwidth that a UAV has bought for its migration changed; in bytes/s, 0 for none."""
        self._now = now
        resident = self._residents.get(uav)
        if resident is None or not rate >= 0.0:
            return
        leaving = resident.leaving
        if leaving is not None:
            leaving.grant(leaving.rate, now)
            leaving.unfunded_since = min(leaving.unfunded_since, now) if rate == 0 else math.inf
        resident.rate = rate
        self._share_out(resident)

    def cancel(self, request: CancelRequest, now: float) -> None:
        """Stop moving a twin, if that is still possible."""
        self._now = now
        self._step(self._resident(request.uav), request)

    def observe(self, uav: str, telemetry: Telemetry, now: float, world_time: float) -> bool:
        """Telemetry for a twin; taken only while it is served here. world_time: s, on the clock of the time stamps."""
        self._now = now
        resident = self._residents.get(uav)
        if resident is None or resident.twin is None or not resident.custody.serves(now):
            self.counts["not_served_here"] += 1
            return False
        reason = resident.twin.observe(telemetry, world_time)
        if reason is not None:
            self.counts[f"telemetry_{reason}"] += 1
        return reason is None

    def update(self, uav: str, change: Callable[[Twin], None], done: Callable[[bool], None], now: float) -> None:
        """Change a twin; `done(True)` once that is on the disk, `done(False)` where it is not served here."""
        self._now = now
        resident = self._residents.get(uav)
        if resident is None or resident.twin is None or not resident.custody.serves(now):
            self.counts["not_served_here"] += 1
            self._outputs.append(Durable(done, False))
            return
        change(resident.twin)
        resident.waiting.append(done)

    def drain(self, targets: Sequence[str], rate: float, now: float) -> None:
        """Take no more twins, and move those here to `targets` in turn, with `rate` bytes/s for all together."""
        self._now, self.draining = now, True
        self._drain_targets, self._drain_rate = tuple(targets), rate

    def stop_draining(self) -> None:
        """Take twins again."""
        self.draining, self._drain_targets = False, ()

    # -- questions ---------------------------------------------------------------------------------------------------

    def presences(self, now: float) -> list[Presence]:
        """What to tell UAVs: several times in a lease, and at once on `Tenure`. For any thread."""
        said = []
        for uav, visible in self.visible.items():
            if visible.twin is None and visible.custody.record.status is Status.HOSTING:
                continue  # damaged: the UAV shall give its twin to another RSU
            context = Context(self.rsu, uav, now, life=self.store.life)
            said.append(presence(visible.custody, context))
        return [one for one in said if one is not None]

    def served(self, now: float, world_time: float) -> list[Served]:
        """The twins that users may see. world_time: s, on the clock of the telemetry's time stamps. For any thread."""
        served = []
        for uav, visible in self.visible.items():
            if visible.twin is not None and visible.custody.serves(now):
                estimate = visible.twin.estimate(world_time)
                if estimate is not None:
                    served.append(Served(uav, visible.custody.record.epoch, estimate))
        return served

    def replica_ages(self, now: float) -> dict[str, float]:
        """By how much the warm copies of hosted twins are behind, s by UAV; infinite before one is confirmed."""
        return {
            uav: _age(visible, now)
            for uav, visible in self.visible.items()
            if visible.custody.record.status is Status.HOSTING and (visible.custody.replica or visible.custody.standby)
        }

    def as_of(self, uav: str) -> float | None:
        """When the newest telemetry in a hosted twin was measured, s by the UAV's clock. For any thread."""
        visible = self.visible.get(uav)
        return visible.twin.as_of() if visible is not None and visible.twin is not None else None

    def progress(self) -> list[Progress]:
        """The migrations under way."""
        return [self._progress(one, one.custody.outgoing) for one in self._residents.values() if one.custody.outgoing]

    @property
    def hosted(self) -> list[str]:
        """The UAVs whose twins are here and have not been taken over by another RSU."""
        kept = (Status.HOSTING, Status.LEAVING)
        return [uav for uav, one in self._residents.items() if one.custody.record.status in kept]

    # -- transactions ------------------------------------------------------------------------------------------------

    def commit(self, now: float) -> list[Output]:
        """Put everything on the disk and release what is to be done about it."""
        self._now = now
        try:
            for uav, before in self._undo.items():
                self._save(self._residents[uav], before)
            wrote = self.store.dirty
            self.store.commit()
        except StoreError as error:
            return self.roll_back(error)
        if wrote:
            self.trouble = next(iter(self.damaged.values()), None)
        acks = [Transmit(link, [wire.encode(ack)], paced=False) for (link, _), ack in self._acks.items()]
        outputs, self._outputs = [*acks, *self._lanes.taken(), *self._outputs, *self._tenures()], []
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
        self._filled, wake_at = 0, self._flush_at
        for resident in list(self._residents.values()):
            wake_at = min(wake_at, self._look_after(resident, flushing))
        if self.draining:
            self._drain_on()
        if self.trouble is None and self._sweep():
            wake_at = now
        return wake_at

    def _publish(self) -> None:
        """Let others see what is on the disk now."""
        visible = dict(self.visible)
        for uav in self._undo:
            resident = self._residents[uav]
            visible[uav] = Visible(resident.custody, resident.twin, resident.replicated_at)
        self.visible = visible

    def _tenures(self) -> list[Output]:
        """Who began or ceased to be hosted here."""
        tenures: list[Output] = []
        for uav, before in self._undo.items():
            record, old = self._residents[uav].custody.record, before.custody.record
            hosting, hosted = record.status is Status.HOSTING, old.status is Status.HOSTING
            if hosting != hosted or (hosting and record.epoch != old.epoch):
                tenures.append(Tenure(uav, record.epoch, hosting))
        return tenures

    def _save(self, resident: Resident, before: Undo) -> None:
        record, old = resident.custody.record, before.custody.record
        copies = (resident.own, resident.incoming)
        if record == old and copies == (before.own, before.incoming):
            return
        if copies == (before.own, before.incoming) and replace(record, mark=old.mark) == old:
            self.store.save_mark(resident.uav, record.mark)
        else:
            self.store.save(resident.uav, resident.stored)

    def roll_back(self, error: StoreError) -> list[Output]:
        """The disk refused: everything is as after the last commit, and what was to be said since is not said."""
        self.counts["store_failed"] += 1
        self.trouble = error
        self._retry_store_at = self._now + self.settings.retry_store
        self.store.rollback()
        kept = (one for one in self._outputs if isinstance(one, MigrationReport) and one.uav not in self._undo)
        outputs: list[Output] = [*kept, *(one for one in self._outputs if isinstance(one, Durable))]
        outputs += [Durable(done, False) for _, callbacks in self._durable for done in callbacks]
        for uav, before in self._undo.items():
            resident = self._residents[uav]
            for lane in (resident.leaving, before.leaving, resident.mirror, before.mirror):
                if lane is not None:
                    lane.alive, lane.flow = False, None
                    outputs.append(Close(lane.link))
            resident.custody, resident.own, resident.incoming, resident.stored_mark = before[:4]
            resident.leaving, resident.mirror = before.leaving, before.mirror
            resident.arriving, resident.filling = None, None
            self._settle(resident)
        for kept_for_the_commit in (self._undo, self._durable, self._outputs, self._acks):
            kept_for_the_commit.clear()
        self._lanes.taken()
        self._taking_in = 0
        return outputs

    # -- one step of the protocol ------------------------------------------------------------------------------------

    def _step(
        self,
        resident: Resident,
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
        self._touch(resident)
        before = resident.custody
        context = self._context(resident, peer, refusal, verified)
        resident.custody, actions = step(resident.custody, event, context)
        outgoing, replication = resident.custody.outgoing, resident.custody.replication
        if outgoing is not None:
            self._session = max(self._session, outgoing.session)
            if before.outgoing is None:
                resident.leaving = Leaving(started=self._now)
                resident.leaving.unfunded_since = self._now if resident.rate == 0 else math.inf
        if replication is not None:
            self._session = max(self._session, replication.session)
            resident.mirror = resident.mirror or Mirror()
        self._share_out(resident)
        for action in actions:
            self._do(resident, action, link, size)
        if offer is not None:
            self._expect(resident, offer, link)
        self._follow(resident, before.outgoing)
        self._follow_replica(resident, before)
        self._settle(resident)

    def _context(
        self,
        resident: Resident,
        peer: str = "",
        refusal: Reason | None = None,
        verified: bool = True,
        now: float | None = None,
    ) -> Context:
        now = self._now if now is None else now
        life, timing = self.store.life, self.settings.timing
        return Context(self.rsu, resident.uav, now, peer, life, self._session + 1, timing, refusal, verified)

    def _do(self, resident: Resident, action: Action, link: int, size: int) -> None:
        if isinstance(action, Send):
            self._send(resident, action, link)
        elif isinstance(action, Answer):
            self._outputs.append(Reply(action.reply))
        elif isinstance(action, Create):
            name, chunk_size = self.application.name, self.application.chunk_size(size)
            resident.own = self.store.add_copy(resident.uav, name, chunk_size, size, whole=False)
            resident.twin = None
        elif isinstance(action, Adopt):
            self._adopt(resident)
        elif isinstance(action, Keep):
            self._keep(resident)
        elif isinstance(action, DropOwn):
            self._doom(resident.own)
            resident.own = None
        elif isinstance(action, DropIncoming):
            self._doom(resident.incoming)
            resident.incoming = resident.arriving = None
        elif isinstance(action, Ended):
            self._report(resident, action)
        elif isinstance(action, Ignored):
            self.counts[action.why] += 1

    def _adopt(self, resident: Resident) -> None:
        incoming = resident.incoming
        if incoming is not None and incoming.base is not None:
            self.store.merge(incoming)
            self._doom(incoming)
        else:
            self._doom(resident.own)
            resident.own = incoming
        resident.incoming = None
        resident.twin = resident.arriving.twin if resident.arriving is not None else None
        resident.arriving, resident.stored_mark = None, 0

    def _keep(self, resident: Resident) -> None:
        """What arrived is the warm copy, or part of it; what changes from now on lies beside it."""
        incoming = resident.incoming
        assert incoming is not None
        if incoming.base is not None:
            self.store.merge(incoming)
            return
        self._doom(resident.own)
        resident.own = incoming
        kind = (incoming.application, incoming.chunk_size, incoming.size)
        resident.incoming = self.store.add_copy(resident.uav, *kind, base=incoming)

    def _doom(self, copy: Copy | None) -> None:
        if copy is not None:
            self.store.doom(copy)

    def _settle(self, resident: Resident) -> None:
        """A twin is in memory while it is hosted, a migration's figures while one is under way."""
        status = resident.custody.record.status
        if status is not Status.HOSTING:
            resident.twin = resident.filling = None
            self.damaged.pop(resident.uav, None)
            self._refuse_waiting(resident)
        elif (resident.own is not None and resident.twin is None) or (
            resident.own is not None and not resident.own.whole and resident.filling is None
        ):
            self._bring_up(resident, resident.own)
        if resident.custody.outgoing is None and resident.leaving is not None:
            self._lanes.let_go(resident.leaving)
            resident.leaving = None
        if resident.custody.replication is None and resident.mirror is not None:
            self._lanes.let_go(resident.mirror)
            resident.mirror = None
        self._share_out(resident)

    def _bring_up(self, resident: Resident, own: Copy) -> None:
        """Make a hosted twin of its chunks. One whose first snapshot was cut off begins anew.

        One that cannot be made is neither served nor spoken of, and stays on the disk as it is.
        """
        try:
            if own.whole:
                resident.twin = self.application.restore(resident.uav, lambda number: self.store.read(own, number))
            else:
                resident.twin = self.application.create(resident.uav, own.size)
                resident.filling = resident.twin.snapshot()
        except (StoreError, *NOT_RESTORABLE) as error:
            what, remedy = f"the twin of {resident.uav} is damaged ({error})", "look at it with `uavtwin twins`"
            self.damaged[resident.uav] = self.trouble = StoreError(self.store.path, what, remedy, Reason.CORRUPT)
            return
        self.damaged.pop(resident.uav, None)
        resident.stored_mark = resident.twin.mark()

    def _refuse_waiting(self, resident: Resident) -> None:
        self._outputs += [Durable(done, False) for done in resident.waiting]
        resident.waiting.clear()

    def _touch(self, resident: Resident) -> None:
        if resident.uav not in self._undo:
            copies = (resident.own, resident.incoming, resident.stored_mark)
            self._undo[resident.uav] = Undo(resident.custody, *copies, resident.leaving, resident.mirror)

    # -- links -------------------------------------------------------------------------------------------------------

    def _send(self, resident: Resident, send: Send, link: int) -> None:
        message = send.message
        if isinstance(message, Ack):
            self._acks[link, message.uav] = message  # of several in one commit the last one says it all
            return
        if not isinstance(message, SourceMessage):
            self._lanes.say(link, message)
            return
        lane = self._lane_of(resident, message)
        if isinstance(message, (Offer, ReplicaOffer)):
            message = self._announced(resident, message)
        if isinstance(message, (Offer, ReplicaOffer)) or (isinstance(message, Commit) and not lane.alive):
            self._lanes.connect(resident.uav, lane, send.peer)
        if lane.alive:
            self._lanes.say(lane.link, message)

    def _lane_of(self, resident: Resident, message: SourceMessage) -> Lane:
        """The link that a message goes over: the migration's, or the warm copy's."""
        mirror, lane = resident.mirror, resident.leaving
        if isinstance(message, ReplicaOffer) and mirror is not None:
            mirror.session = message.session
        if mirror is not None and not isinstance(message, Commit) and message.session == mirror.session:
            return mirror
        assert lane is not None
        return lane

    def _share_out(self, resident: Resident) -> None:
        self._lanes.share_out(resident, self.settings.replica_share)

    def _announced(self, resident: Resident, offer: Offer | ReplicaOffer) -> Offer | ReplicaOffer:
        own = resident.own
        assert own is not None
        return replace(offer, size=self.store.size_of(own), chunk_size=own.chunk_size, application=own.application)

    # -- copying, at the source --------------------------------------------------------------------------------------

    def _follow(self, resident: Resident, before: Outgoing | None) -> None:
        """Let the bytes follow what the protocol decided."""
        outgoing, leaving = resident.custody.outgoing, resident.leaving
        if outgoing is None or leaving is None or resident.own is None:
            return
        if outgoing.phase is Phase.COPYING and leaving.flow is None and leaving.alive:
            leaving.flow = Flow(self.store.entries(resident.own), outgoing.acked)
            leaving.size = leaving.flow.size
            if math.isnan(leaving.copying_since):
                leaving.copying_since = leaving.granted_at = self._now
            self._pump(resident)
        elif outgoing.phase is Phase.OFFERING and before is not None and before.phase is not Phase.OFFERING:
            leaving.frozen_at = math.nan  # it serves again
        if leaving.flow is not None and before is not None and outgoing.acked > before.acked:
            leaving.flow.acknowledged(outgoing.acked)
            self._pump(resident)

    def _pump(self, resident: Resident) -> None:
        """Send what the rate and the window let through; freeze when little enough is left."""
        leaving, outgoing = resident.leaving, resident.custody.outgoing
        if leaving is None or leaving.flow is None or not leaving.alive or outgoing is None:
            return
        if outgoing.phase is not Phase.COPYING:
            return
        flow = leaving.flow
        self._lanes.send_on(resident, leaving, flow, outgoing.session)
        self._mark_sent(resident, flow)
        if flow.may_freeze(self._now, leaving.rate):
            self._freeze(resident, leaving, flow)

    def _mark_sent(self, resident: Resident, flow: Flow) -> None:
        outgoing = resident.custody.outgoing
        if outgoing is not None and flow.sent > outgoing.sent:
            self._step(resident, Sent(flow.sent))

    def _freeze(self, resident: Resident, leaving: Leaving, flow: Flow) -> None:
        """The last changes are written and sent, and from here on there are no more."""
        self._flush(resident)
        outgoing = resident.custody.outgoing
        assert outgoing is not None
        self._lanes.send_all(resident, leaving, flow, outgoing.session)
        self._mark_sent(resident, flow)
        leaving.frozen_at = self._now
        self._step(resident, Freeze(flow.digest(resident.uav)))

    # -- keeping a warm copy up to date, at the host -----------------------------------------------------------------

    def _follow_replica(self, resident: Resident, before: Custody) -> None:
        """Let the bytes follow what the protocol decided about the warm copy."""
        replication, mirror = resident.custody.replication, resident.mirror
        if resident.custody.replica_mark == 0:
            resident.replicated_at = math.nan
        if replication is None or mirror is None or resident.own is None or not replication.copying:
            return
        if mirror.flow is None and mirror.alive:
            mirror.flow = Flow(self.store.entries(resident.own), replication.acked)
            self._share_out(resident)
        if mirror.flow is not None:
            mirror.flow.acknowledged(replication.acked)
        if resident.custody.replica_mark != before.replica_mark:
            resident.replicated_at = mirror.checked_at

    def _pump_replica(self, resident: Resident) -> float:
        """Send changes to the warm copy, and have it verified when it has all. Returns when to look again."""
        replication, mirror = resident.custody.replication, resident.mirror
        if replication is None or mirror is None:
            return NEVER
        if self._now >= replication.deadline:
            self._step(resident, ReplicaTimeout())
            return self._now + PUMP_PERIOD
        if replication.copying and not mirror.alive:  # the disk refused meanwhile
            self._step(resident, LinkDown(replication.session))
            return self._now + PUMP_PERIOD
        flow = mirror.flow
        if flow is None or not replication.copying or mirror.rate == 0.0:
            return replication.deadline
        self._lanes.send_on(resident, mirror, flow, replication.session)
        if flow.sent > replication.sent:
            self._step(resident, ReplicaSent(flow.sent))
        if not flow.is_empty:
            return self._now + PUMP_PERIOD
        if resident.filling is not None or replication.checked or resident.custody.is_replicated:
            return replication.deadline
        return self._check(resident, mirror, flow)

    def _check(self, resident: Resident, mirror: Mirror, flow: Flow) -> float:
        if self._now < mirror.check_at:
            return mirror.check_at
        mirror.checked_at, mirror.check_at = self._now, self._now + self.settings.replica_period
        self._step(resident, Check(flow.digest(resident.uav)))
        return mirror.check_at

    # -- taking over, at the target ----------------------------------------------------------------------------------

    def _occupancy(self, resident: Resident, promised: bool) -> Occupancy:
        """How full this RSU is without a twin. promised: whether room promised to arriving copies is taken."""
        arriving = [
            one.arriving
            for one in self._residents.values()
            if one.arriving is not None and one is not resident and not _is_kept_up(one)
        ]
        spoken_for = sum(one.limit - one.total for one in arriving) if promised else 0
        room = self.store.free() - self.settings.reserve - spoken_for
        trouble = self.trouble.reason if self.trouble is not None else None
        return Occupancy(self.draining, trouble, len(self.hosted), len(arriving), room)

    def _expect(self, resident: Resident, offer: Offer | ReplicaOffer, link: int) -> None:
        """Make room for the copy that was accepted, or go on with what there is of it."""
        incoming = resident.custody.record.incoming
        if incoming is None or resident.custody.session != offer.session or incoming.epoch != offer.epoch:
            return
        if resident.incoming is None:
            kind, base = (offer.application, offer.chunk_size, offer.size), resident.own if incoming.base else None
            resident.incoming = self.store.add_copy(resident.uav, *kind, base=base)
        latest = {entry.number: entry for entry in self.store.entries(resident.incoming)}
        resident.arriving = Arriving(
            link, latest, limit_of(offer, self.settings), sum(entry.size for entry in latest.values())
        )

    def _receive_chunks(self, link: int, peer: str, frame: wire.Chunks) -> None:
        data = frame.data
        resident = self._resident(data.uav)
        custody, arriving = resident.custody, resident.arriving
        if (custody.source, custody.session) != (peer, data.session):
            self._step(resident, data, peer, link)  # which refuses it
            return
        if arriving is None or resident.incoming is None:  # the disk refused meanwhile
            refusal = Refuse(data.uav, data.session, Reason.NO_SESSION)
            self._lanes.say(link, refusal)
            return
        chunk_size = resident.incoming.chunk_size
        reason = objection_to_chunks(frame.chunks, frame.intact, chunk_size, arriving.total, arriving.limit)
        if reason is not None:
            self.counts[f"chunks_{reason.value}"] += 1
            refusal = Refuse(data.uav, data.session, reason)
            self._lanes.say(link, refusal)
            self._step(resident, Cancel(data.uav, data.session, reason), peer, link)
            return
        before = custody.record.incoming
        self._step(resident, data, peer, link)
        if resident.custody.record.incoming == before:
            return  # out of order
        self.store.write(resident.incoming, frame.chunks)
        for chunk in frame.chunks:
            old = arriving.latest.get(chunk.number)
            entry = Entry(chunk.number, chunk.version, chunk.digest, len(chunk.content))
            arriving.latest[chunk.number] = entry
            self._taking_in += entry.size
            arriving.total += entry.size - (old.size if old is not None else 0)

    def _receive_whole(self, link: int, peer: str, message: Prepare | Checkpoint) -> None:
        """Is the copy whole, and, where it is to be hosted, a twin that the application can make?"""
        resident = self._resident(message.uav)
        arriving, copy = resident.arriving, resident.incoming
        mine = (resident.custody.source, resident.custody.session) == (peer, message.session)
        verified = False
        if mine and arriving is not None and copy is not None:
            verified = digest_of_twin(message.uav, arriving.latest.values()) == message.digest
            if verified and isinstance(message, Prepare):
                arriving.twin = self._try_restore(message.uav, copy)
                verified = arriving.twin is not None
        self._step(resident, message, peer, link, verified=verified)

    def _try_restore(self, uav: str, copy: Copy) -> Twin | None:
        try:
            return self.application.restore(uav, lambda number: self.store.read(copy, number))
        except NOT_RESTORABLE:
            self.counts["not_restorable"] += 1
            return None

    # -- hosting -----------------------------------------------------------------------------------------------------

    def _look_after(self, resident: Resident, flushing: bool) -> float:
        """What it is time for with one twin. Returns when to look again."""
        now, custody = self._now, resident.custody
        if now >= custody.intake_deadline:
            self._step(resident, IntakeTimeout())
        if now >= custody.unwanted_at:
            self._step(resident, StandbyTimeout())
        outgoing, leaving = resident.custody.outgoing, resident.leaving
        if outgoing is not None and now >= outgoing.deadline:
            self._step(resident, Timeout())
        if leaving is not None and outgoing is not None and outgoing.phase is not Phase.LEAVING:
            self._look_after_migration(resident, leaving)
        if resident.filling is not None:
            self._fill(resident)
            return now
        if flushing or resident.waiting:
            self._flush(resident)
        self._pump(resident)
        replica_at = self._pump_replica(resident)
        outgoing = resident.custody.outgoing
        deadline = outgoing.deadline if outgoing is not None else NEVER
        copying = now + PUMP_PERIOD if outgoing is not None and outgoing.phase is Phase.COPYING else NEVER
        return min(deadline, copying, replica_at, resident.custody.intake_deadline, resident.custody.unwanted_at)

    def _look_after_migration(self, resident: Resident, leaving: Leaving) -> None:
        if self._now >= leaving.unfunded_since + self.settings.lease_patience:
            self._step(resident, CancelRequest(resident.uav, Reason.LEASE_LOST))
        elif leaving.flow is not None and leaving.flow.diverges(self._now):
            self._step(resident, CancelRequest(resident.uav, Reason.DIVERGING))

    def _fill(self, resident: Resident) -> None:
        """Write some more of a new twin's first snapshot, where others have not written enough for now."""
        if self._filled >= FILL:
            return
        assert resident.filling is not None
        assert resident.own is not None
        self._touch(resident)
        pieces = []
        for piece in resident.filling:
            pieces.append(piece)
            self._filled += len(piece.content)
            if self._filled >= FILL:
                break
        else:
            resident.filling, resident.own = None, self.store.set_whole(resident.own)
        self._write(resident, pieces)
        if resident.filling is None:
            self._flush(resident)  # what changed meanwhile belongs to the whole

    def _flush(self, resident: Resident) -> None:
        """Write what changed in a twin since the last time."""
        twin = resident.twin
        if twin is None or resident.filling is not None:
            return
        changes = twin.changes_since(resident.stored_mark)
        if changes.pieces:
            self._touch(resident)
            self._write(resident, changes.pieces)
        resident.stored_mark = changes.mark
        if resident.waiting:
            self._durable.append((resident, list(resident.waiting)))
            resident.waiting.clear()

    def _write(self, resident: Resident, pieces: Sequence[Piece]) -> None:
        """Write chunks of a hosted twin, and let a migration follow."""
        if not pieces:
            return
        assert resident.own is not None
        version = resident.custody.record.mark
        chunks = [
            Chunk(piece.number, version + place, digest(piece.content), piece.content)
            for place, piece in enumerate(pieces, start=1)
        ]
        self.store.write(resident.own, chunks)
        self._step(resident, Wrote(chunks[-1].version))
        for lane in (resident.leaving, resident.mirror):
            if lane is not None and lane.flow is not None:
                lane.flow.changed(chunks)

    # -- draining ----------------------------------------------------------------------------------------------------

    def _drain_on(self) -> None:
        """Begin to move as many twins as may go at once."""
        under_way = sum(1 for one in self._residents.values() if one.custody.outgoing is not None)
        waiting = [
            one
            for one in self._residents.values()
            if one.custody.record.status is Status.HOSTING and one.custody.outgoing is None and one.filling is None
        ]
        share = self._drain_rate / max(1, min(self.settings.drain_at_once, under_way + len(waiting)))
        for resident in waiting[: max(0, self.settings.drain_at_once - under_way)]:
            if self._drain_targets:
                turn = self._drain_turn[resident.uav]
                self._drain_turn[resident.uav] += 1
                target = self._drain_targets[turn % len(self._drain_targets)]
                self.migrate(MigrateRequest(resident.uav, resident.custody.record.epoch, target), share, self._now)

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _take_up(self, uav: str, stored: Stored) -> None:
        """A twin that the store has, after a start."""
        resident = Resident(uav, Custody(stored.record), stored.own, stored.incoming)
        self._residents[uav] = resident
        resident.custody = revive(resident.custody, self._context(resident))
        if stored.record.incoming is not None:
            incoming, timing = stored.record.incoming, self.settings.timing
            patience = timing.keep_prepared if incoming.prepared else timing.keep_partial
            resident.custody = replace(resident.custody, intake_deadline=self._now + patience)
        if resident.custody.outgoing is not None:
            resident.leaving = Leaving(started=self._now)
        self._settle(resident)
        self.visible[uav] = Visible(resident.custody, resident.twin)

    def _resident(self, uav: str) -> Resident:
        resident = self._residents.get(uav)
        if resident is None:
            if len(self._residents) >= MOST_STRANGERS:
                self._forget_strangers()
            resident = self._residents[uav] = Resident(uav)
        return resident

    def _forget_strangers(self) -> None:
        """UAVs that never had anything here. (What is in a record, if only a fence, stays.)"""
        blank = Custody().record
        for uav in [uav for uav, one in self._residents.items() if one.custody.record == blank]:
            if uav not in self._undo:
                del self._residents[uav]
        self.visible = {uav: one for uav, one in self.visible.items() if uav in self._residents}

    def _sweep(self) -> bool:
        """Delete some of what is no longer wanted. Whether there is more."""
        return self.store.sweep()

    def _report(self, resident: Resident, ended: Ended) -> None:
        leaving = resident.leaving or Leaving(started=self._now)
        leaving.grant(leaving.rate, self._now)
        flow = leaving.flow
        sent = leaving.sent + (flow.bytes_sent if flow is not None else 0)
        copying = self._now - leaving.copying_since
        moved = ended.reason is None and not math.isnan(leaving.frozen_at)
        report = MigrationReport(
            resident.uav,
            self.rsu,
            ended.target,
            ended.epoch,
            ended.reason,
            flow.size if flow is not None else leaving.size,
            sent,
            self._now - leaving.started,
            self._now - leaving.frozen_at if moved else 0.0,
            leaving.granted / copying if copying > 0 else resident.rate,
            sent / copying if copying > 0 else 0.0,
        )
        self._outputs.append(report)

    def _progress(self, resident: Resident, outgoing: Outgoing) -> Progress:
        flow = resident.leaving.flow if resident.leaving is not None else None
        size = flow.size if flow is not None else (self.store.size_of(resident.own) if resident.own is not None else 0)
        remaining = flow.remaining if flow is not None else size
        return Progress(resident.uav, outgoing.target, outgoing.phase, size, remaining, resident.rate)


def _age(visible: Visible, now: float) -> float:
    """By how much the warm copy is behind, s."""
    custody = visible.custody
    if not custody.replica or math.isnan(visible.replicated_at):
        return math.inf
    return 0.0 if custody.replica_mark == custody.record.mark else now - visible.replicated_at


def _is_kept_up(resident: Resident) -> bool:
    """Whether what arrives are the changes to a warm copy: there is room for those."""
    return resident.incoming is not None and resident.incoming.base is not None


__all__ = [
    "Close",
    "Durable",
    "HostSettings",
    "MigrationReport",
    "Open",
    "Output",
    "Pace",
    "Progress",
    "Reply",
    "Resident",
    "Served",
    "Tenure",
    "Transmit",
    "TwinHost",
]
