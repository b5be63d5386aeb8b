"""An RSU's store: all twins it holds, in one SQLite file.

Write-ahead log, `synchronous=FULL`: once `commit` returns, what was written is on the disk, and before that nothing of
it is. Chunks are read and written one by one; a twin is never whole in memory.

Tables: `twins` has one row a UAV, what `replica state.Record` says; `copies` names the copies (an RSU may have two of
one twin, its own and one that arrives); `chunks` lists their chunks; `contents` has the bytes. A copy with a `base` has
only what changed since that one. A copy that is no longer wanted is given a tombstone
(`doomed`) in the transaction that makes it so, and is collected as garbage later, a little at a time. Columns and
states have the names that format 1 gave them: `fence` is the newest epoch, `lives`
counts incarnations, `STATUS_ON_DISK` has the states.

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.twin.protocol.chunks import (
    LARGEST_NUMBER,
    Chunk,
    Entry,
    is_intact,
)
from uav_twin_migration.twin.protocol.messages import Reason
from uav_twin_migration.twin.protocol.replica_state import InboundTransfer, Record, Status

APPLICATION_ID = 0x55545753  # "UTWS": what `file` and we know the format by
SCHEMA_VERSION = 2
PAGE_SIZE = 32 * 1024  # bytes: large pages cost less per byte of a chunk, small ones less per small change
NUMBER_BITS = 24  # of a chunk's number in `contents.id`
GARBAGE_STEP = 128  # chunks of copies with a tombstone that go in one step
KEPT_LOG = 32 * 1024 * 1024  # bytes of the write-ahead log that stay allocated
CACHE = 32  # pages in memory: by itself SQLite keeps the number that it would of small ones, 16 MB

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE copies (
    id INTEGER PRIMARY KEY, uav TEXT NOT NULL, application TEXT NOT NULL, chunk_size INTEGER NOT NULL,
    size INTEGER NOT NULL, whole INTEGER NOT NULL, doomed INTEGER NOT NULL, base INTEGER REFERENCES copies);
CREATE TABLE twins (
    uav TEXT PRIMARY KEY, status TEXT NOT NULL, epoch INTEGER NOT NULL, version INTEGER NOT NULL, fence INTEGER NOT
    NULL, taken INTEGER NOT NULL, target TEXT NOT NULL, own INTEGER REFERENCES copies, incoming INTEGER REFERENCES
    copies, source TEXT NOT NULL, incoming_epoch INTEGER NOT NULL, incoming_version INTEGER NOT NULL, prepared INTEGER
    NOT NULL ) WITHOUT ROWID;
CREATE TABLE chunks (
    copy INTEGER NOT NULL, number INTEGER NOT NULL, version INTEGER NOT NULL, size INTEGER NOT NULL,
    digest BLOB NOT NULL, PRIMARY KEY (copy, number)) WITHOUT ROWID;
CREATE TABLE contents (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
"""

FROM_1 = "ALTER TABLE copies ADD COLUMN base INTEGER REFERENCES copies"
STATUS_ON_DISK = {Status.HANDING_OVER: "leaving", Status.REPLICA: "standby"}  # the others: as they are called
_STATUS_FROM_DISK = {name: status for status, name in STATUS_ON_DISK.items()}
CLOCK_ZERO = 1577836800  # s since 1970, of the year 2020: a new store counts its incarnations from there


class StoreError(UavTwinError):
    """The store cannot be used, or could not be written; says what to do. `reason` is what to tell other RSUs."""

    def __init__(self, path: Path, what: str, hint: str, reason: Reason = Reason.STORE) -> None:
        super().__init__(f"{path}: {what}; {hint}")
        self.path, self.what, self.hint, self.reason = path, what, hint, reason


@dataclass(frozen=True)
class Copy:
    """One copy of a twin."""

    id: int
    application: str
    chunk_size: int  # bytes, of the largest chunk
    size: int = 0  # bytes, announced when it began
    whole: bool = True  # False: its first snapshot is not all written
    base: int | None = None  # the copy that it has the changes of


class Stored(NamedTuple):
    """What the store has of one twin."""

    record: Record
    own: Copy | None = None
    inbound: Copy | None = None


class StoreReader:
    """A store to look into; it may be in use by its RSU."""

    def __init__(self, path: Path | str) -> None:
        """Open an existing file. Raises StoreError."""
        self.path = Path(path)
        self._database = self._connect()
        try:
            self._check()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()

    @property
    def rsu(self) -> str:
        """Whose store this is."""
        return str(self._value("SELECT value FROM meta WHERE key = 'rsu'"))

    def problems(self) -> list[str]:
        """What SQLite finds wrong with the file; reads all of it."""
        found = [str(row[0]) for row in self._all("PRAGMA quick_check(20)")]
        return [] if found == ["ok"] else found

    def load(self) -> dict[str, Stored]:
        """Everything there is, by UAV. Raises StoreError."""
        columns = _COPY_COLUMNS if self._format > 1 else _COPY_COLUMNS.replace("base", "NULL")
        rows = self._all(f"SELECT {columns} FROM copies WHERE NOT doomed")
        copies = {row[0]: Copy(row[0], row[1], row[2], row[3], bool(row[4]), row[5]) for row in rows}
        return {row[0]: _stored(row, copies, self.path) for row in self._all("SELECT * FROM twins")}

    def entries(self, copy: Copy) -> list[Entry]:
        """All chunks of a copy, without their contents."""
        latest = {}
        for one in (copy.base, copy.id) if copy.base is not None else (copy.id,):
            latest.update({row[0]: Entry(*row) for row in self._all(_ENTRIES, (one,))})
        return list(latest.values())

    def read(self, copy: Copy, number: int) -> bytes | None:
        """One chunk's content; None where there is none."""
        for one in (copy.id, copy.base) if copy.base is not None else (copy.id,):
            row = self._one("SELECT bytes FROM contents WHERE id = ?", (_content_id(one, number),))
            if row is not None:
                return bytes(row[0])
        return None

    def damaged(self, copy: Copy) -> Iterator[int]:
        """The numbers of chunks whose content is not what their digest says."""
        for entry in self.entries(copy):
            try:
                content = self.read(copy, entry.number)
            except StoreError:
                content = None
            if content is None or not is_intact(Chunk(entry.number, entry.version, entry.digest, content)):
                yield entry.number

    def size_of(self, copy: Copy) -> int:
        """Bytes of a copy's chunks."""
        if copy.base is not None:
            return sum(entry.size for entry in self.entries(copy))
        return int(self._value("SELECT coalesce(sum(size), 0) FROM chunks WHERE copy = ?", (copy.id,)))

    def _connect(self) -> sqlite3.Connection:
        if not self.path.is_file():
            raise StoreError(self.path, "no such file", "name an RSU's store")
        try:
            return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise _explained(self.path, error) from error

    def _check(self) -> None:
        """Whether this is a store that this version can read."""
        if self._value("PRAGMA application_id") != APPLICATION_ID:
            raise StoreError(self.path, "not a twin store", "move it away, or name another file")
        self._format = int(self._value("PRAGMA user_version"))
        if self._format > SCHEMA_VERSION:
            what = f"written by a newer version (format {self._format}, this one knows {SCHEMA_VERSION})"
            raise StoreError(self.path, what, "upgrade this software; the file is untouched")

    def _run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise _explained(self.path, error) from error

    def _all(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._run(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _explained(self.path, error) from error

    def _one(self, statement: str, values: Sequence[Any] = ()) -> Any:
        rows = self._all(statement, values)
        return rows[0] if rows else None

    def _value(self, statement: str, values: Sequence[Any] = ()) -> Any:
        return self._one(statement, values)[0]


class Store(StoreReader):
    """One RSU's store, opened by one process at a time. Not for use by several threads at once."""

    def __init__(self, path: Path | str, rsu: str) -> None:
        """Open the file, or make it. Raises StoreError."""
        self._owner = rsu
        self._lock = _lock(Path(path))
        try:
            super().__init__(path)
            self.incarnation = self._begin_incarnation()
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
            self._run("COMMIT")
        except StoreError:
            self.rollback()
            raise

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
        first, last = _content_id(copy.id, 0), _content_id(copy.id, LARGEST_NUMBER)
        moved = _content_id(copy.base, 0) - first
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
        self._write("DELETE FROM contents WHERE id BETWEEN ? AND ?", (_content_id(copy, 0), _content_id(copy, last)))
        self._write("DELETE FROM chunks WHERE copy = ? AND number <= ?", (copy, last))
        return True

    # -- chunks ------------------------------------------------------------------------------------------------------

    def write(self, copy: Copy, chunks: Sequence[Chunk]) -> None:
        """Write chunks, over what was there."""
        self._write_many(
            "INSERT OR REPLACE INTO contents VALUES (?, ?)",
            [(_content_id(copy.id, chunk.number), chunk.content) for chunk in chunks],
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
            raise _explained(self.path, error) from error

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
        incarnations = max(0, int(time.time()) - CLOCK_ZERO)
        self._run("INSERT INTO meta VALUES ('rsu', ?), ('lives', ?)", (self._owner, incarnations))
        self._run(f"PRAGMA application_id = {APPLICATION_ID}")
        self._run(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self.commit()

    def _begin_incarnation(self) -> int:
        """A number that rises with each opening of the store."""
        self._write("UPDATE meta SET value = value + 1 WHERE key = 'lives'")
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
            raise _explained(self.path, error) from error


_COPY_COLUMNS = "id, application, chunk_size, size, whole, base"
_ENTRIES = "SELECT number, version, digest, size FROM chunks WHERE copy = ? ORDER BY number"


def checkpoint_beside(path: Path) -> None:
    """Bring most of the write-ahead log into the file while the store goes on writing. For a thread of its own.

    Where it fails, the log just stays as long as it is.
    """
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=5.0)) as database:
        database.execute("PRAGMA wal_checkpoint(PASSIVE)")


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


def _explained(path: Path, error: sqlite3.Error) -> StoreError:
    """What an error of SQLite's means to the person who has to do something about it."""
    said = str(error)
    if "full" in said:
        return StoreError(path, "the disk is full", "free some space; no twin is lost", Reason.FULL)
    if "readonly" in said or "read-only" in said:
        return StoreError(path, "the file is read-only", "make it and its directory writable for this user")
    if "not a database" in said:
        return StoreError(path, "not an SQLite file", "move it away, or name another file")
    if "malformed" in said or "corrupt" in said:
        hint = "keep the file, look at what `uavtwin twins` can read of it, and start with another one"
        return StoreError(path, f"damaged ({said})", hint, Reason.CORRUPT)
    if "unable to open" in said:
        return StoreError(path, "cannot be opened", "check that its directory exists and is writable for this user")
    if "locked" in said:
        return StoreError(path, "locked by another process", "close what else has it open")
    return StoreError(path, f"SQLite failed ({said})", "check the disk and the system's log")


def _content_id(copy: int, number: int) -> int:
    return copy << NUMBER_BITS | number


def _stored(row: Sequence[Any], copies: dict[int, Copy], path: Path) -> Stored:
    try:
        own, inbound = (None if number is None else copies[number] for number in (row[7], row[8]))
        transfer = None
        if inbound is not None:
            kind = (inbound.chunk_size, inbound.application, inbound.base is not None)
            transfer = InboundTransfer(row[9], row[10], row[11], bool(row[12]), *kind)
        status, filling = _STATUS_FROM_DISK.get(row[1]) or Status(row[1]), own is not None and not own.whole
        record = Record(status, row[2], row[3], row[4], row[5], row[6], transfer, filling)
    except (KeyError, ValueError) as error:
        raise _explained(path, sqlite3.DatabaseError(f"malformed row of {row[0]!r}: {error}")) from error
    return Stored(record, own, inbound)
