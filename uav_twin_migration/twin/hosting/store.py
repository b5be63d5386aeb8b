"""An RSU's store: all twins it holds: an SQLite file, the contents of chunks beside it, and a journal of what changes.

Write-ahead log, `synchronous=FULL`: once `commit` returns, what was written is on the disk, and before that nothing of
it is. What a chunk consists of is written once, among the blocks (blocks.py); the database has where. Small changes of
chunks go into the journal (journal.py), and to their places when they have ceased, or the journal is long, or the store
is opened or closed. Chunks are read and written one by one; a twin is never whole in memory.

Formats: 1, without bases; 2, without a journal; 3, with all contents in the database; 4. A file of an earlier format is
brought to the present one when its RSU opens it, and a copy of it stays beside it; one of a later format is refused and
left as it is.

Errors: StoreError, which says what to do. Nothing here repairs or deletes a file by itself.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from uav_twin_migration.twin.hosting.blocks import size_of
from uav_twin_migration.twin.hosting.changes import Changes
from uav_twin_migration.twin.hosting.journal import Journal
from uav_twin_migration.twin.hosting.store_chunks import StoreChunks
from uav_twin_migration.twin.hosting.store_database import write_error
from uav_twin_migration.twin.hosting.store_file import StoreFile
from uav_twin_migration.twin.hosting.store_reader import (
    STATUS_ON_DISK,
    Copy,
    Stored,
    StoreError,
    blocks_of,
    content_id,
    journal_of,
)
from uav_twin_migration.twin.protocol.chunks import LARGEST_NUMBER, Chunk
from uav_twin_migration.twin.protocol.replica_state import InboundTransfer

GARBAGE_STEP = 128  # chunks of copies with a tombstone that go in one step
LONG_JOURNAL = 16 * 1024 * 1024  # bytes of the journal from which the database takes it in
MUCH_CHANGED = 2 * 1024 * 1024  # bytes of changed chunks in memory, from which those that have ceased to change leave


class Store(StoreChunks):
    """One RSU's store, opened by one process at a time. Not for use by several threads at once."""

    def __init__(self, path: Path | str, rsu: str) -> None:
        """Open the file, or make it. Raises StoreError."""
        self._changes = Changes()
        self._compact_at = LONG_JOURNAL  # bytes of the journal
        self.commits = 0  # that wrote something
        self._file: StoreFile | None = None  # while it is being opened
        self._journal: Journal | None = None
        super().__init__(path, rsu)
        try:
            self._journal = self._open_journal()
            self.incarnation = self._begin_incarnation()
            self._all("PRAGMA wal_checkpoint(TRUNCATE)")  # the file itself says which incarnation it is of
            beside = (Path(f"{path}.lock"), self._journal.path, blocks_of(self.path))
            self._file = StoreFile(self.path, beside, self.incarnation)
            self._next_copy = 1 + int(self._value("SELECT coalesce(max(id), 0) FROM copies"))
        except BaseException:
            self._let_go()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. What was not committed is forgotten, what was is in the database."""
        with contextlib.suppress(StoreError):
            self.rollback()
            self._refuse(self._file.trouble() if self._file else "")
            self._take_in_journal()
        self._let_go()

    def _let_go(self) -> None:
        if self._journal is not None:
            self._journal.close()
        super().close()

    # -- transactions ------------------------------------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Whether something was written and not committed."""
        return self._database.in_transaction or bool(self._changes)

    def commit(self) -> None:
        """Put what was written on the disk. Raises StoreError; then nothing of it was written."""
        if not self.dirty:
            return
        try:
            self._refuse(self._file.trouble() if self._file else "")
            for copy in self._changes.large():
                self._touch(copy)
            self._append()
            self._end()
        except StoreError:
            self.rollback()
            raise
        self.commits += 1
        self._changes.commit()
        self._compact()

    def _append(self) -> None:
        """Put into the journal what belongs there: first, as it can be taken back."""
        if not self._changes:
            return
        assert self._journal is not None
        try:
            self._journal.append(self._changes.records())
        except OSError as error:
            raise write_error(self._journal.path, error) from error

    def _end(self) -> None:
        """End the transaction in the database, where there is one."""
        try:
            super()._end()
        except StoreError:
            if self._changes and self._journal is not None:
                self._journal.take_back()
            raise

    def verify_file(self) -> None:
        """Look whether the store's file is still the one that was opened. Raises StoreReplacedError."""
        self._refuse(self._file.read() if self._file else "")

    def rollback(self) -> None:
        """Forget what was written since the last commit."""
        self._roll_back()
        self._changes.rollback()

    def touch(self) -> None:
        """Write something that changes nothing."""
        self._write("UPDATE meta SET value = value WHERE key = 'lives'")

    # -- twins -------------------------------------------------------------------------------------------------------

    def save(self, uav: str, stored: Stored) -> None:
        """Write a twin's row."""
        record = stored.record
        for copy in (stored.own, stored.inbound):
            if copy is not None:
                self._touch(copy.id)
        inbound = record.inbound or InboundTransfer("", 0)
        own = (
            STATUS_ON_DISK.get(record.status, record.status.value),
            record.epoch,
            record.version,
            record.newest_epoch,
            record.taken,
            record.target,
        )
        copies = (stored.own.id if stored.own else None, stored.inbound.id if stored.inbound else None)
        transfer = (inbound.source, inbound.epoch, inbound.version, int(inbound.prepared))
        row = (uav, *own, *copies, *transfer)
        self._write("INSERT OR REPLACE INTO twins VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def forget(self, uav: str) -> None:
        """Remove a twin's row. Its copies have tombstones."""
        self._write("DELETE FROM twins WHERE uav = ?", (uav,))

    def save_version(self, uav: str, version: int, own: Copy | None = None) -> None:
        """Write only how far the own copy is: nothing where the journal says it, as of all that changes by a little."""
        if own is not None and self._changes.newest_version(own.id) == version:
            return
        self._write("UPDATE twins SET version = ? WHERE uav = ?", (version, uav))

    # -- copies ------------------------------------------------------------------------------------------------------

    def add_copy(
        self, uav: str, application: str, chunk_size: int, size: int = 0, whole: bool = True, base: Copy | None = None
    ) -> Copy:
        """Begin a copy without chunks, or with those of its base."""
        copy = Copy(self._next_copy, application, chunk_size, size, whole, base.id if base is not None else None)
        self._next_copy += 1
        row = (copy.id, uav, application, chunk_size, size, int(whole), copy.base)
        self._write("INSERT INTO copies VALUES (?, ?, ?, ?, ?, ?, 0, ?)", row)
        return copy

    def merge(self, copy: Copy) -> None:
        """Make what changed in a copy part of its base; the copy then has no chunks of its own."""
        assert copy.base is not None
        for one in (copy.base, copy.id):
            self._touch(one)
        changed = [number for (number,) in self._all("SELECT number FROM chunks WHERE copy = ?", (copy.id,))]
        self._give_up(copy.base, changed)
        self._write_many("DELETE FROM chunks WHERE copy = ? AND number = ?", [(copy.base, one) for one in changed])
        self._write("UPDATE chunks SET copy = ? WHERE copy = ?", (copy.base, copy.id))
        first, last = content_id(copy.id, 0), content_id(copy.id, LARGEST_NUMBER)
        moved = content_id(copy.base, 0) - first
        contents = "INSERT OR REPLACE INTO contents SELECT id + ?, bytes FROM contents WHERE id BETWEEN ? AND ?"
        self._write(contents, (moved, first, last))
        self._write("DELETE FROM contents WHERE id BETWEEN ? AND ?", (first, last))

    def set_whole(self, copy: Copy) -> Copy:
        """The copy's first snapshot is all written."""
        self._touch(copy.id)
        self._write("UPDATE copies SET whole = 1 WHERE id = ?", (copy.id,))
        return replace(copy, whole=True)

    def set_tombstone(self, copy: Copy) -> None:
        """The copy is no longer wanted."""
        self._changes.lift(copy.id)
        self._write("UPDATE copies SET doomed = 1 WHERE id = ?", (copy.id,))

    def collect_garbage(self) -> bool:
        """Delete a little of what has a tombstone. Whether there is more."""
        row = self._one("SELECT id, base FROM copies WHERE doomed LIMIT 1")
        if row is None:
            return False
        copy, base = row
        some = "SELECT number FROM chunks WHERE copy = ? ORDER BY number LIMIT ?"
        last = self._one(f"SELECT max(number) FROM ({some})", (copy, GARBAGE_STEP))[0]
        if last is None:
            self._write("DELETE FROM copies WHERE id = ?", (copy,))
            self._let_go_of(copy, base)
            return True
        if base is not None:
            self._give_up(copy, [number for (number,) in self._all(some, (copy, GARBAGE_STEP))])
        self._write("DELETE FROM contents WHERE id BETWEEN ? AND ?", (content_id(copy, 0), content_id(copy, last)))
        self._write("DELETE FROM chunks WHERE copy = ? AND number <= ?", (copy, last))
        return True

    # -- chunks ------------------------------------------------------------------------------------------------------

    def write(self, copy: Copy, chunks: Sequence[Chunk]) -> None:
        """Write chunks, over what was there."""
        self._touch(copy.id)
        self._write_chunks([(copy.id, chunk) for chunk in chunks])

    def change(self, copy: Copy, chunks: Sequence[Chunk]) -> None:
        """Write chunks of which little is new, each as a whole: the store finds out what."""
        if not self._changes.add(copy.id, chunks):
            self.write(copy, chunks)

    def _touch(self, copy: int) -> None:
        """The transaction in the database has to do with a copy: it takes its changes in."""
        changed = self._changes.lift(copy)
        if changed:
            self._take_in([(copy, chunk) for chunk in changed])

    # -- the journal -------------------------------------------------------------------------------------------------

    def _changes_of(self, copy: int) -> Mapping[int, Chunk]:
        return self._changes.of(copy)

    def _change_of(self, copy: int, number: int) -> Chunk | None:
        return self._changes.newest(copy, number)

    def _look(self) -> None:
        """Its own writes are all that is new."""

    def _open_journal(self) -> Journal:
        """What the last process left in it comes into the database."""
        found = [(copy, chunk) for copy, chunks in self._read_journal().items() for chunk in chunks.values()]
        try:
            opened = Journal(journal_of(self.path))
        except OSError as error:
            raise write_error(journal_of(self.path), error) from error
        try:
            self._take_in(found)
            opened.begin(self._begin_generation())
            self._end()
        except BaseException:
            opened.close()
            raise
        return opened

    def _begin_generation(self) -> int:
        generation = secrets.randbits(62)
        self._write("UPDATE meta SET value = ? WHERE key = 'journal'", (generation,))
        return generation

    def _take_in(self, chunks: Sequence[tuple[int, Chunk]]) -> None:
        """Write what the journal has into the database, and how far that brings its twins."""
        self._write_chunks(chunks)
        versions: dict[int, int] = {}
        for copy, chunk in chunks:
            versions[copy] = max(chunk.version, versions.get(copy, 0))
        rows = [(version, copy) for copy, version in versions.items()]
        self._write_many("UPDATE twins SET version = max(version, ?) WHERE own = ?", rows)

    def _take_in_journal(self) -> None:
        """All of it, so that it begins anew. Raises StoreError."""
        assert self._journal is not None
        if not self._journal.size:
            return
        everything = self._changes.all()
        self._take_in(everything)
        generation = self._begin_generation()
        self._end()
        self._journal.begin(generation)
        self._changes.forget(everything)

    def _compact(self) -> None:
        """Have the database take in what has ceased to change, or all when the journal is long.

        Where the disk refuses, that stays where it is, and is tried again some commits later.
        """
        assert self._journal is not None
        try:
            if self._journal.size > self._compact_at:
                self._take_in_journal()
                self._compact_at = LONG_JOURNAL
            elif self._changes.size > MUCH_CHANGED and (at_rest := self._changes.at_rest()):
                self._take_in(at_rest)
                self._end()
                self._changes.forget(at_rest)
        except StoreError:
            self._compact_at = self._journal.size + LONG_JOURNAL // 16
            with contextlib.suppress(StoreError):
                self._roll_back()

    # -- room --------------------------------------------------------------------------------------------------------

    def free(self) -> int:
        """Bytes that can still be written, by what the file system says."""
        try:
            system = os.statvfs(self.path.parent)
        except OSError:
            return 0
        return system.f_bavail * system.f_frsize

    def size(self) -> int:
        """Bytes that all its files take. For any thread."""
        beside = 0
        with contextlib.suppress(OSError):
            beside = sum(file.stat().st_size for file in (self.path, journal_of(self.path)))
            beside += size_of(blocks_of(self.path))
        return beside + self.log_size()

    def log_size(self) -> int:
        """Bytes of the write-ahead log."""
        try:
            return os.stat(f"{self.path}-wal").st_size
        except OSError:
            return 0

    def checkpoint(self) -> None:
        """Bring what is in the write-ahead log into the file, so that the log begins anew."""
        self._all("PRAGMA wal_checkpoint(RESTART)")
