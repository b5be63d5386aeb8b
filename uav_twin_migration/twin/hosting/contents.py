"""The chunks of the twins that a host (host.py) serves: made of what is stored, and stored as they change."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

from uav_twin_migration.twin.hosting.application import Piece, Twin
from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin, HostState
from uav_twin_migration.twin.hosting.outputs import Durable
from uav_twin_migration.twin.hosting.store_reader import Copy, StoreError
from uav_twin_migration.twin.protocol.chunks import Chunk, Entry, digest
from uav_twin_migration.twin.protocol.messages import Reason
from uav_twin_migration.twin.protocol.migration import Event
from uav_twin_migration.twin.protocol.replica_state import Filled, Wrote

# What bad chunks make of a `restore`.
NOT_RESTORABLE = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, struct.error)


class Contents:
    """What the hosted twins consist of."""

    def __init__(self, state: HostState, step: Callable[[HostedTwin, Event], None]) -> None:
        """step: lets the protocol have an event."""
        self._state, self._step = state, step
        self._filled = 0  # bytes of first snapshots in this tick
        self._unsound: set[int] = set()  # copies that were found damaged
        self._found: list[str] = []  # UAVs whose twins the scrub found damaged
        self._scrubbing = self._scrub()

    def begin_tick(self) -> None:
        """There is time again to write first snapshots."""
        self._filled = 0

    def create(self, hosted_twin: HostedTwin, size: int) -> None:
        """A twin begins empty. size: bytes of payload."""
        name, chunk_size = self._state.application.name, self._state.application.chunk_size(size)
        hosted_twin.own = self._state.store.add_copy(hosted_twin.uav, name, chunk_size, size, whole=False)
        hosted_twin.twin = hosted_twin.filling = None
        hosted_twin.served = False

    def bring_up(self, hosted_twin: HostedTwin) -> None:
        """A hosted twin is in memory: made of its chunks. One whose first snapshot was cut off begins anew.

        One that cannot be made is neither served nor spoken of, and stays on the disk as it is.
        """
        own, state = hosted_twin.own, self._state
        if (
            own is None
            or own.id in self._unsound
            or (hosted_twin.twin is not None and (own.whole or hosted_twin.filling is not None))
        ):
            return
        try:
            if own.whole:
                wrong = next(state.store.damaged(own), None)
                if wrong is not None:
                    raise ValueError(f"its chunk {wrong} is not what was stored")
                hosted_twin.twin = self._restored(hosted_twin.uav, own)
            else:
                hosted_twin.twin = state.application.create(hosted_twin.uav, own.size)
                hosted_twin.filling = hosted_twin.twin.snapshot()
        except (StoreError, *NOT_RESTORABLE) as error:
            self.mark_damaged(hosted_twin, error)
            return
        state.damaged.pop(hosted_twin.uav, None)
        hosted_twin.stored_version = hosted_twin.twin.version()

    def mark_damaged(self, hosted_twin: HostedTwin, error: Exception) -> None:
        """It is neither served nor spoken of from here on, and stays on the disk as it is."""
        state, hint = self._state, "look at it with `uavtwin twins`"
        what = f"the twin of {hosted_twin.uav} is damaged ({error})"
        state.damaged[hosted_twin.uav] = state.trouble = StoreError(state.store.path, what, hint, Reason.CORRUPT)
        hosted_twin.twin = hosted_twin.filling = None
        if hosted_twin.own is not None:
            self._unsound.add(hosted_twin.own.id)

    def scrub(self) -> list[str]:
        """Look at some more of the chunks of hosted twins. Whose were found damaged. Raises StoreError."""
        try:
            next(self._scrubbing)
        except StoreError:
            self._scrubbing = self._scrub()
            raise
        found, self._found = self._found, []
        return found

    def _scrub(self) -> Iterator[None]:
        """Look at every chunk of every hosted twin, over and over; yields after each `scrub` bytes, and each round."""
        while self._state.settings.scrub == 0:
            yield
        while True:
            checked = 0
            for hosted_twin in list(self._state.twins.values()):
                own = hosted_twin.own
                for entry in self._state.store.entries(own) if own is not None and hosted_twin.twin is not None else ():
                    if own is None or hosted_twin.own is not own or hosted_twin.twin is None:
                        break  # it has moved meanwhile
                    if self._is_wrong(own, entry):
                        self.mark_damaged(hosted_twin, ValueError(f"its chunk {entry.number} is not what was stored"))
                        self._found.append(hosted_twin.uav)
                    checked += entry.size
                    if checked >= self._state.settings.scrub:
                        yield
                        checked = 0
            yield

    def _is_wrong(self, own: Copy, entry: Entry) -> bool:
        try:
            content = self._state.store.read(own, entry.number)
        except StoreError:
            content = None
        if content is not None and digest(content) == entry.digest:
            return False
        return entry in self._state.store.entries(own)  # else it has changed since it was listed

    def take_down(self, hosted_twin: HostedTwin) -> None:
        """A twin that is not hosted is not in memory."""
        hosted_twin.twin = hosted_twin.filling = None
        self._state.damaged.pop(hosted_twin.uav, None)
        self._state.outputs += [Durable(done, False) for done in hosted_twin.waiting]
        hosted_twin.waiting.clear()

    def try_restore(self, uav: str, copy: Copy) -> Twin | None:
        """The twin that a whole copy makes; None where it makes none."""
        try:
            return self._restored(uav, copy)
        except NOT_RESTORABLE:
            self._state.counts["not_restorable"] += 1
            return None

    def fill(self, hosted_twin: HostedTwin) -> None:
        """Write some more of a new twin's first snapshot, where others have not written enough for now."""
        most = self._state.settings.fill
        if self._filled >= most or hosted_twin.filling is None:
            return
        assert hosted_twin.own is not None
        self._state.touch(hosted_twin)
        pieces = []
        for piece in hosted_twin.filling:
            pieces.append(piece)
            self._filled += len(piece.content)
            if self._filled >= most:
                self._write(hosted_twin, pieces, self._state.store.write)
                return
        self._write(hosted_twin, pieces, self._state.store.write)
        hosted_twin.filling, hosted_twin.own = None, self._state.store.set_whole(hosted_twin.own)
        self.flush(hosted_twin)  # what changed meanwhile belongs to the whole
        self._step(hosted_twin, Filled(hosted_twin.replica_state.record.version))

    def flush(self, hosted_twin: HostedTwin) -> None:
        """Write what changed in a twin since the last time."""
        twin = hosted_twin.twin
        if twin is None or hosted_twin.filling is not None:
            return
        store, before = self._state.store, self._state.undo.get(hosted_twin.uav)
        on_disk = before.stored_version if before is not None else hosted_twin.stored_version
        changes = twin.changes_since(on_disk)
        if changes.pieces:
            self._state.touch(hosted_twin)
            self._write(hosted_twin, changes.pieces, store.change)
        hosted_twin.stored_version = changes.version
        self._state.durable += hosted_twin.waiting
        hosted_twin.waiting.clear()

    def _write(
        self,
        hosted_twin: HostedTwin,
        pieces: Sequence[Piece],
        put: Callable[[Copy, Sequence[Chunk]], None],
    ) -> None:
        """Write chunks of a hosted twin, and let its transfers follow. put: how they come into the store."""
        if not pieces:
            return
        assert hosted_twin.own is not None
        version = hosted_twin.replica_state.record.version
        chunks = [
            Chunk(piece.number, version + place, piece.digest or digest(piece.content), piece.content)
            for place, piece in enumerate(pieces, start=1)
        ]
        put(hosted_twin.own, chunks)
        self._step(hosted_twin, Wrote(chunks[-1].version))
        for outbound in hosted_twin.outbound.values():
            if outbound.flow is not None:
                outbound.flow.changed(chunks)

    def _restored(self, uav: str, copy: Copy) -> Twin:
        return self._state.application.restore(uav, lambda number: self._state.store.read(copy, number))
