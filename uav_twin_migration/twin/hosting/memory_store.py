"""A store without a disk: what a `Store` promises, for an RSU whose machine lives in this process's memory.

What a crash takes and what it leaves is the same: what was committed is there for whoever opens the `Disk` again, the
rest is not. A test holds the two stores to each other, over whatever sequence of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import Copy, Stored
from uav_twin_migration.twin.protocol.chunks import Chunk, Entry
from uav_twin_migration.twin.protocol.records import replace
from uav_twin_migration.twin.protocol.replica_state import InboundTransfer

ROOM = 1 << 50  # bytes that are free
IN_MEMORY = "memory"  # as the folder of RSUs' stores: there is none


@dataclass
class Disk:
    """What outlives a process. incarnation: of the last one; each that opens it counts one more."""

    incarnation: int = 0
    rows: dict[str, Stored] = field(default_factory=dict)
    copies: dict[int, Copy] = field(default_factory=dict)
    chunks: dict[int, dict[int, Chunk]] = field(default_factory=dict)  # of each copy, by number
    tombstones: dict[int, None] = field(default_factory=dict)


class MemoryStore(Store):
    """One RSU's store."""

    def __init__(self, disk: Disk, rsu: str) -> None:
        """Begin the next incarnation."""
        self._disk, self._owner = disk, rsu
        self.path = Path(f"{rsu} (in memory)")
        self._undo: list[Callable[[], object]] = []
        self.commits = 0  # that wrote something
        disk.incarnation += 1
        self.incarnation = disk.incarnation
        self._next_copy = 1 + max(disk.copies, default=0)

    def close(self) -> None:
        """What was not committed is forgotten."""
        self.rollback()

    @property
    def rsu(self) -> str:
        """Whose store this is."""
        return self._owner

    def problems(self) -> list[str]:
        """None."""
        return []

    def load(self) -> dict[str, Stored]:
        """Everything there is, by UAV."""
        return {uav: self._loaded(stored) for uav, stored in sorted(self._disk.rows.items())}

    def _loaded(self, stored: Stored) -> Stored:
        own = self._disk.copies[stored.own.id] if stored.own else None
        inbound = self._disk.copies[stored.inbound.id] if stored.inbound else None
        transfer = None
        if inbound is not None:
            said = stored.record.inbound or InboundTransfer("", 0)
            kind = (inbound.chunk_size, inbound.application, inbound.base is not None)
            transfer = InboundTransfer(said.source, said.epoch, said.version, said.prepared, *kind)
        filling = own is not None and not own.whole
        return Stored(replace(stored.record, inbound=transfer, filling=filling), own, inbound)

    def entries(self, copy: Copy) -> list[Entry]:
        """All chunks of a copy, without their contents."""
        latest = {chunk.number: chunk for chunk in self._ordered(copy.base)}
        latest.update({chunk.number: chunk for chunk in self._ordered(copy.id)})
        return [Entry(one.number, one.version, one.digest, len(one.content)) for one in latest.values()]

    def _ordered(self, copy: int | None) -> list[Chunk]:
        chunks = self._disk.chunks.get(copy, {}) if copy is not None else {}
        return [chunks[number] for number in sorted(chunks)]

    def read(self, copy: Copy, number: int) -> bytes | None:
        """One chunk's content; None where there is none."""
        for one in (copy.id, copy.base):
            chunk = self._disk.chunks.get(one, {}).get(number) if one is not None else None
            if chunk is not None:
                return chunk.content  # type: ignore[return-value]  # only bytes are written here
        return None

    def size_of(self, copy: Copy) -> int:
        """Bytes of a copy's chunks."""
        return sum([entry.size for entry in self.entries(copy)])

    # -- transactions ------------------------------------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Whether something was written and not committed."""
        return bool(self._undo)

    def commit(self) -> None:
        """Keep what was written."""
        self.commits += bool(self._undo)
        self._undo.clear()

    def rollback(self) -> None:
        """Forget what was written since the last commit."""
        while self._undo:
            self._undo.pop()()

    def verify_file(self) -> None:
        """There is no file."""

    def touch(self) -> None:
        """Write something that changes nothing."""
        self._undo.append(bool)

    # -- twins and copies --------------------------------------------------------------------------------------------

    def save(self, uav: str, stored: Stored) -> None:
        """Write a twin's row."""
        self._set(self._disk.rows, uav, stored)

    def forget(self, uav: str) -> None:
        """Remove a twin's row. Its copies have tombstones."""
        self.touch()
        if uav in self._disk.rows:
            self._delete(self._disk.rows, uav)

    def save_version(self, uav: str, version: int, own: Copy | None = None) -> None:
        """Write only how far the own copy is."""
        self.touch()
        row = self._disk.rows.get(uav)
        if row is not None:
            self._set(self._disk.rows, uav, row._replace(record=replace(row.record, version=version)))

    def add_copy(
        self, uav: str, application: str, chunk_size: int, size: int = 0, whole: bool = True, base: Copy | None = None
    ) -> Copy:
        """Begin a copy without chunks, or with those of its base."""
        disk = self._disk
        copy = Copy(self._next_copy, application, chunk_size, size, whole, base.id if base is not None else None)
        self._next_copy += 1
        self._set(disk.copies, copy.id, copy)
        self._set(disk.chunks, copy.id, {})
        return copy

    def merge(self, copy: Copy) -> None:
        """Make what changed in a copy part of its base; the copy then has no chunks of its own."""
        assert copy.base is not None
        for number, chunk in self._disk.chunks[copy.id].items():
            self._set(self._disk.chunks[copy.base], number, chunk)
        self._set(self._disk.chunks, copy.id, {})

    def set_whole(self, copy: Copy) -> Copy:
        """The copy's first snapshot is all written."""
        whole = replace(copy, whole=True)
        self._set(self._disk.copies, copy.id, replace(self._disk.copies[copy.id], whole=True))
        return whole

    def set_tombstone(self, copy: Copy) -> None:
        """The copy is no longer wanted."""
        self._set(self._disk.tombstones, copy.id, None)

    def collect_garbage(self) -> bool:
        """Delete what has a tombstone. There is never more."""
        for copy in list(self._disk.tombstones):
            for table in (self._disk.tombstones, self._disk.copies, self._disk.chunks):
                self._delete(table, copy)
        return False

    def write(self, copy: Copy, chunks: Sequence[Chunk]) -> None:
        """Write chunks, over what was there."""
        table = self._disk.chunks[copy.id]
        for chunk in chunks:
            content = chunk.content
            kept = chunk if isinstance(content, bytes) else chunk._replace(content=bytes(content))
            self._set(table, chunk.number, kept)

    def change(self, copy: Copy, chunks: Sequence[Chunk]) -> None:
        """As `write`: there is no journal."""
        self.write(copy, chunks)

    def free(self) -> int:
        """Bytes that can still be written."""
        return ROOM

    def log_size(self) -> int:
        """There is no log."""
        return 0

    def checkpoint(self) -> None:
        """There is no log."""

    def _set(self, table: dict, key: object, value: object) -> None:  # type: ignore[type-arg]
        if key in table:
            self._undo.append(lambda old=table[key]: table.__setitem__(key, old))  # type: ignore[misc]
        else:
            self._undo.append(lambda: table.pop(key))
        table[key] = value

    def _delete(self, table: dict, key: object) -> None:  # type: ignore[type-arg]
        old = table.pop(key)
        self._undo.append(lambda: table.__setitem__(key, old))
