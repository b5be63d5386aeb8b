"""An RSU's store: all twins it holds, in one SQLite file.

Write-ahead log, `synchronous=FULL`: once `commit` returns, what was written is on the disk, and before that nothing of
it is. Chunks are read and written one by one; a twin is never whole in memory.

Formats: 1, without bases; 2. A file of an earlier format is brought to the present one when its RSU opens it; one of a
later format is refused and left as it is.

Errors: StoreError, which says what to do. Nothing here repairs or deletes a file by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from uav_twin_migration.twin.hosting.store_file import StoreFile
from uav_twin_migration.twin.hosting.store_reader import (
    APPLICATION_ID,
    SCHEMA,
    SCHEMA_VERSION,
    STATUS_ON_DISK,
    Copy,
    Stored,
    StoreError,
    StoreReader,
    StoreReplacedError,
    content_id,
    explained,
)
from uav_twin_migration.twin.protocol.chunks import LARGEST_NUMBER, Chunk
from uav_twin_migration.twin.protocol.replica_state import InboundTransfer

PAGE_SIZE = 32 * 1024  # bytes: large pages cost less per byte of a chunk, small ones less per small change
GARBAGE_STEP = 128  # chunks of copies with a tombstone that go in one step
KEPT_LOG = 32 * 1024 * 1024  # bytes of the write-ahead log that stay allocated
CACHE = 32  # pages in memory: by itself SQLite keeps the number that it would of small ones, 16 MB
FROM_1 = "ALTER TABLE copies ADD COLUMN base INTEGER REFERENCES copies"
CLOCK_ZERO = 1577836800  # s since 1970, of the year 2020: incarnations are counted from there
LATEST_INCARNATION = 1 << 30  # that a clock can give: a session's number has room for no more


class Store(StoreReader):
    """One RSU's store, opened by one process at a time. Not for use by several threads at once."""

    def __init__(self, path: Path | str, rsu: str) -> None:
        """Open the file, or make it. Raises StoreError."""
        self._owner = rsu
        self._lock = _lock(Path(path))
        self._file: StoreFile | None = None  # while it is being opened
        try:
            super().__init__(path)
            self.incarnation = self._begin_incarnation()
            self._all("PRAGMA wal_checkpoint(TRUNCATE)")  # the file itself says which incarnation it is of
            self._file = StoreFile(self.path, Path(f"{path}.lock"), self.incarnation)
            self._next_copy = 1 + int(self._value("SELECT coalesce(max(id), 0) FROM copies"))
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. What was not committed is forgotten."""
        with contextlib.suppress(StoreError):
            self.rollback()
        super().close()
        self._lock.close()

    # -- transactions ------------------------------------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Whether something was written and not committed."""
        return self._database.in_transaction

    def commit(self) -> None:
        """Put what was written on the disk. Raises StoreError; then nothing of it was written."""
        if not self.dirty:
            return
        try:
            self._refuse(self._file.trouble() if self._file else "")
            self._run("COMMIT")
        except StoreError:
            self.rollback()
            raise

    def verify_file(self) -> None:
        """Look whether the store's file is still the one that was opened. Raises StoreReplacedError."""
        self._refuse(self._file.read() if self._file else "")

    def _refuse(self, trouble: str) -> None:
        if trouble:
            hint = (
                f"no twin is served here; put the file back or restart this RSU. Until its process {os.getpid()} ends, "
                f"a file that was deleted can be copied from /proc/{os.getpid()}/fd"
            )
            raise StoreReplacedError(self.path, trouble, hint)

    def rollback(self) -> None:
        """Forget what was written since the last commit."""
        if self.dirty:
            self._run("ROLLBACK")

    def touch(self) -> None:
        """Write something that changes nothing."""
        self._write("UPDATE meta SET value = value WHERE key = 'lives'")

    # -- twins -------------------------------------------------------------------------------------------------------

    def save(self, uav: str, stored: Stored) -> None:
        """Write a twin's row."""
        record = stored.record
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

    def save_version(self, uav: str, version: int) -> None:
        """Write only how far the own copy is."""
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
        first, last = content_id(copy.id, 0), content_id(copy.id, LARGEST_NUMBER)
        moved = content_id(copy.base, 0) - first
        contents = "INSERT OR REPLACE INTO contents SELECT id + ?, bytes FROM contents WHERE id BETWEEN ? AND ?"
        self._write(contents, (moved, first, last))
        chunks = "SELECT ?, number, version, size, digest FROM chunks WHERE copy = ?"
        self._write(f"INSERT OR REPLACE INTO chunks {chunks}", (copy.base, copy.id))
        self._write("DELETE FROM contents WHERE id BETWEEN ? AND ?", (first, last))
        self._write("DELETE FROM chunks WHERE copy = ?", (copy.id,))

    def set_whole(self, copy: Copy) -> Copy:
        """The copy's first snapshot is all written."""
        self._write("UPDATE copies SET whole = 1 WHERE id = ?", (copy.id,))
        return replace(copy, whole=True)

    def set_tombstone(self, copy: Copy) -> None:
        """The copy is no longer wanted."""
        self._write("UPDATE copies SET doomed = 1 WHERE id = ?", (copy.id,))

    def collect_garbage(self) -> bool:
        """Delete a little of what has a tombstone. Whether there is more."""
        row = self._one("SELECT id FROM copies WHERE doomed LIMIT 1")
        if row is None:
            return False
        (copy,) = row
        numbers = self._all("SELECT number FROM chunks WHERE copy = ? LIMIT ?", (copy, GARBAGE_STEP))
        if not numbers:
            self._write("DELETE FROM copies WHERE id = ?", (copy,))
            return True
        last = numbers[-1][0]
        self._write("DELETE FROM contents WHERE id BETWEEN ? AND ?", (content_id(copy, 0), content_id(copy, last)))
        self._write("DELETE FROM chunks WHERE copy = ? AND number <= ?", (copy, last))
        return True

    # -- chunks ------------------------------------------------------------------------------------------------------

    def write(self, copy: Copy, chunks: Sequence[Chunk]) -> None:
        """Write chunks, over what was there."""
        self._write_many(
            "INSERT OR REPLACE INTO contents VALUES (?, ?)",
            [(content_id(copy.id, chunk.number), chunk.content) for chunk in chunks],
        )
        self._write_many(
            "INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?)",
            [(copy.id, chunk.number, chunk.version, len(chunk.content), chunk.digest) for chunk in chunks],
        )

    # -- room --------------------------------------------------------------------------------------------------------

    def free(self) -> int:
        """Bytes that can still be written, by what the file system says and what the file has unused."""
        try:
            system = os.statvfs(self.path.parent)
        except OSError:
            return 0
        unused = int(self._value("PRAGMA freelist_count")) * PAGE_SIZE
        return system.f_bavail * system.f_frsize + unused

    def log_size(self) -> int:
        """Bytes of the write-ahead log."""
        try:
            return os.stat(f"{self.path}-wal").st_size
        except OSError:
            return 0

    def checkpoint(self) -> None:
        """Bring what is in the write-ahead log into the file, so that the log begins anew."""
        self._all("PRAGMA wal_checkpoint(RESTART)")

    # -- SQLite ------------------------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(self.path, timeout=5.0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise explained(self.path, error) from error

    def _check(self) -> None:
        """Whose file this is; an empty one becomes ours. One that is not ours is left as it is."""
        if self._value("PRAGMA application_id") == 0 and not self._value("SELECT count(*) FROM sqlite_master"):
            self._configure()
            self._make()
        super()._check()
        if self.rsu != self._owner:
            what = f"the store of RSU {self.rsu!r}, not {self._owner!r}"
            raise StoreError(self.path, what, "name this RSU's own file")
        self._configure()
        if self._format == 1:
            self._write(FROM_1)
            self._run(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self.commit()
            self._format = SCHEMA_VERSION

    def _configure(self) -> None:
        self._run(f"PRAGMA page_size = {PAGE_SIZE}")
        self._run(f"PRAGMA cache_size = {CACHE}")
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = FULL")
        self._run("PRAGMA wal_autocheckpoint = 0")  # see `checkpoint_beside`
        self._run(f"PRAGMA journal_size_limit = {KEPT_LOG}")

    def _make(self) -> None:
        self._begin()
        for statement in SCHEMA.split(";"):
            self._run(statement)
        # An RSU whose disk was replaced must not count as an earlier life of its own: others remember those.
        self._run("INSERT INTO meta VALUES ('rsu', ?), ('lives', ?)", (self._owner, _incarnation_by_clock()))
        self._run(f"PRAGMA application_id = {APPLICATION_ID}")
        self._run(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self.commit()

    def _begin_incarnation(self) -> int:
        """A number that rises with each opening of the store, and of the copies that were made of it, by the clock."""
        self._write("UPDATE meta SET value = max(value + 1, ?) WHERE key = 'lives'", (_incarnation_by_clock(),))
        self.commit()
        return int(self._value("SELECT value FROM meta WHERE key = 'lives'"))

    def _begin(self) -> None:
        if not self.dirty:
            self._run("BEGIN IMMEDIATE")

    def _write(self, statement: str, values: Sequence[Any] = ()) -> None:
        self._begin()
        self._run(statement, values)

    def _write_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self._begin()
        try:
            self._database.executemany(statement, rows)
        except sqlite3.Error as error:
            raise explained(self.path, error) from error


def checkpoint_beside(path: Path) -> None:
    """Bring most of the write-ahead log into the file while the store goes on writing. For a thread of its own.

    Where it fails, the log just stays as long as it is.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"  # it does not make one where it was deleted
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(uri, uri=True, timeout=5.0)) as database,
    ):
        database.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _incarnation_by_clock() -> int:
    return max(0, min(int(time.time()) - CLOCK_ZERO, LATEST_INCARNATION))


def _lock(path: Path) -> Any:
    """Keep other processes off the store."""
    beside = Path(f"{path}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = beside.open("a")
    except OSError as error:
        hint = "make the directory writable for this user, or name another file"
        raise StoreError(path, f"cannot be written ({error.strerror})", hint) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StoreError(path, "in use by another process", "stop that process; two cannot share a store") from error
    return file
