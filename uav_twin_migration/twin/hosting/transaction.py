"""What a host (host.py) does is done once it is on the disk, or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin, HostState, Undo, Visible
from uav_twin_migration.twin.hosting.outputs import Close, Durable, HostingChange, MigrationReport, Output, Transmit
from uav_twin_migration.twin.hosting.store_reader import StoreError
from uav_twin_migration.twin.protocol.records import replace
from uav_twin_migration.twin.protocol.replica_state import Record, Status


class Transaction:
    """All that has happened at a host since the last commit."""

    def __init__(self, state: HostState, taken: Callable[[], list[Output]]) -> None:
        """taken: what is to be done about links."""
        self._state, self._taken = state, taken
        self.retry_at = -math.inf  # s: the disk refused, and is left alone until then

    def commit(self, settle: Callable[[HostedTwin], None]) -> list[Output]:
        """Put everything on the disk and release what is to be done about it."""
        state = self._state
        if not (state.undo or state.outputs or state.acks or state.durable or state.store.dirty):
            return self._taken()  # nothing has changed
        try:
            for uav, before in state.undo.items():
                self._save(state.twins[uav], before)
            wrote = state.store.dirty
            state.store.commit()
        except StoreError as error:
            return self.roll_back(error, settle)
        if wrote:
            state.trouble = next(iter(state.damaged.values()), None)
        outputs: list[Output] = [Transmit(link, ack, paced=False) for (link, _), ack in state.acks.items()]
        outputs += self._taken()
        outputs += state.outputs
        outputs += self._hosting_changes()
        outputs += [Durable(done, True) for done in state.durable]
        self.publish(state.undo)
        state.taken_in += state.taking_in
        self._begin_anew()
        return outputs

    def roll_back(self, error: StoreError, settle: Callable[[HostedTwin], None]) -> list[Output]:
        """The disk refused: everything is as after the last commit, and what was to be said since is not said."""
        state = self._state
        state.counts["store_failed"] += 1
        state.trouble = error
        self.retry_at = state.now + state.settings.retry_store
        return self.undo_all(settle)

    def undo_all(self, settle: Callable[[HostedTwin], None]) -> list[Output]:
        """Everything is as after the last commit."""
        state = self._state
        state.store.rollback()
        kept = (one for one in state.outputs if isinstance(one, MigrationReport) and one.uav not in state.undo)
        outputs: list[Output] = [*kept, *(one for one in state.outputs if isinstance(one, Durable))]
        outputs += [Durable(done, False) for done in state.durable]
        for uav, before in state.undo.items():
            hosted_twin = state.twins[uav]
            for outbound in (*hosted_twin.outbound.values(), *before.outbound.values()):
                outbound.alive, outbound.flow = False, None
                outputs.append(Close(outbound.link))
            hosted_twin.replica_state, hosted_twin.own, hosted_twin.inbound, hosted_twin.stored_version, _ = before
            hosted_twin.outbound = before.outbound
            state.agenda.wake(hosted_twin)
            hosted_twin.inbound_chunks, hosted_twin.filling = None, None
            settle(hosted_twin)
        self._taken()
        self._begin_anew()
        return outputs

    def _begin_anew(self) -> None:
        state = self._state
        for kept_for_the_commit in (state.undo, state.durable, state.outputs, state.acks):
            kept_for_the_commit.clear()
        state.taking_in = 0

    def _save(self, hosted_twin: HostedTwin, before: Undo) -> None:
        record, old = hosted_twin.replica_state.record, before.replica_state.record
        copies, store = (hosted_twin.own, hosted_twin.inbound), self._state.store
        if (record is old or record == old) and copies == (before.own, before.inbound):
            return
        if copies == (before.own, before.inbound) and replace(record, version=old.version) == old:
            store.save_version(hosted_twin.uav, record.version, hosted_twin.own)
        elif record == Record() and hosted_twin.own is None:
            store.forget(hosted_twin.uav)
        else:
            store.save(hosted_twin.uav, hosted_twin.stored)

    def publish(self, uavs: Iterable[str]) -> None:
        """Let others see what is on the disk now of these twins."""
        state = self._state
        seen: dict[str, Visible] = {}
        for uav in uavs:
            one = state.twins[uav]
            seen[uav] = Visible(one.replica_state, one.twin, one.replicated_at, one.stopped)
        if seen.keys() <= state.visible.keys():
            state.visible.update(seen)
        else:  # who reads in another thread goes on with the keys that there were
            state.visible = {**state.visible, **seen}

    def _hosting_changes(self) -> list[Output]:
        """Who began or ceased to be hosted here."""
        hosting_changes: list[Output] = []
        for uav, before in self._state.undo.items():
            record, old = self._state.twins[uav].replica_state.record, before.replica_state.record
            if record is old:
                continue
            hosting, hosted = record.status is Status.HOSTING, old.status is Status.HOSTING
            if hosting != hosted or (hosting and record.epoch != old.epoch):
                hosting_changes.append(HostingChange(uav, record.epoch, hosting))
        return hosting_changes
