"""The format of an RSU's store, and a store to look into: nothing here writes.

Tables: `twins` has one row a UAV, what `replica_state.Record` says; `copies` names the copies (an RSU may have two of
one twin, its own and one that arrives); `chunks` lists their chunks, and at which byte of the copy's file among the
blocks (blocks.py) each is; where that is none, as in backups and in what earlier formats wrote, `contents` has the
bytes. A copy with a `base` has only what changed since that one, in the same file. A copy that is no longer wanted is
given a tombstone (`doomed`) in the transaction that makes it so, and is collected as garbage later, a little at a time.
Columns and states have the names that format 1 gave them: `fence` is the newest epoch, `lives` counts incarnations,
`STATUS_ON_DISK` has the states.

Errors: StoreError, which says what to do.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.twin.hosting import journal
from uav_twin_migration.twin.hosting.blocks import BlockReader
from uav_twin_migration.twin.hosting.journal import Contents
from uav_twin_migration.twin.protocol.chunks import Chunk, Entry, is_intact
from uav_twin_migration.twin.protocol.messages import Reason
from uav_twin_migration.twin.protocol.records import replace
from uav_twin_migration.twin.protocol.replica_state import InboundTransfer, Record, Status

APPLICATION_ID = 0x55545753  # "UTWS": what `file` and we know the format by
SCHEMA_VERSION = 4
NUMBER_BITS = 24  # of a chunk's number in `contents.id`

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
    digest BLOB NOT NULL, place INTEGER, PRIMARY KEY (copy, number)) WITHOUT ROWID;
CREATE TABLE contents (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
"""

STATUS_ON_DISK = {Status.HANDING_OVER: "leaving", Status.REPLICA: "standby"}  # the others: as they are called
_STATUS_FROM_DISK = {name: status for status, name in STATUS_ON_DISK.items()}
_COPY_COLUMNS = "id, application, chunk_size, size, whole, base"
TRIES = 5  # to see a store that is written at one instant
_ENTRIES = "SELECT number, version, digest, size FROM chunks WHERE copy = ? ORDER BY number"


class StoreError(UavTwinError):
    """The store cannot be used, or could not be written; says what to do. `reason` is what to tell other RSUs."""

    may_pass = True  # who has the file lets go of it, a disk is mounted, a backup put back

    def __init__(self, path: Path, what: str, hint: str, reason: Reason = Reason.STORE) -> None:
        super().__init__(f"{path}: {what}; {hint}")
        self.path, self.what, self.hint, self.reason = path, what, hint, reason


class StoreReplacedError(StoreError):
    """The file that the store was opened from is not at its path any more: nothing that is written will be found."""


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
        self._newer: Contents = {}  # what the journal has that the database has not
        self._blocks: BlockReader | None = None
        self._database = self._connect()
        try:
            self._check()
            self._blocks = self._open_blocks()
            self._look()
        except BaseException:
            StoreReader.close(self)
            raise

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()
        if self._blocks is not None:
            self._blocks.close()

    @property
    def database(self) -> sqlite3.Connection:
        """The database, for copies of it."""
        return self._database

    @property
    def newer(self) -> Contents:
        """What the journal has that the database has not."""
        return self._newer

    @property
    def format(self) -> int:
        """The file's."""
        return self._format

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
        rows = self._all("SELECT * FROM twins")
        return {row[0]: self._with_changes(_stored(row, copies, self.path)) for row in rows}

    def _with_changes(self, stored: Stored) -> Stored:
        """With the version that the journal has brought the twin to."""
        changes = self._changes_of(stored.own.id) if stored.own is not None else {}
        version = max([chunk.version for chunk in changes.values()], default=0)
        if version <= stored.record.version:
            return stored
        return stored._replace(record=replace(stored.record, version=version))

    def _changes_of(self, copy: int) -> Mapping[int, Chunk]:
        """What is newer of a copy than the database has it, by number."""
        return self._newer.get(copy, {})

    def _change_of(self, copy: int, number: int) -> Chunk | None:
        return self._newer.get(copy, {}).get(number)

    def entries(self, copy: Copy) -> list[Entry]:
        """All chunks of a copy, without their contents."""
        latest = {}
        for one in (copy.base, copy.id) if copy.base is not None else (copy.id,):
            latest.update({row[0]: Entry(*row) for row in self._all(_ENTRIES, (one,))})
            changed = self._changes_of(one).values()
            latest.update({chunk.number: Entry(*chunk[:3], len(chunk.content)) for chunk in changed})
        return list(latest.values())

    def read(self, copy: Copy, number: int) -> bytes | None:
        """One chunk's content; None where there is none."""
        for one in (copy.id, copy.base) if copy.base is not None else (copy.id,):
            changed = self._change_of(one, number)
            if changed is not None:
                return bytes(changed.content)
            row = self._one(self._where, (one, number))
            if row is not None:
                return self._content(copy, content_id(one, number), *row)
        return None

    def _content(self, copy: Copy, packed: int, place: int | None, size: int) -> bytes | None:
        if place is None:
            row = self._one("SELECT bytes FROM contents WHERE id = ?", (packed,))
            return bytes(row[0]) if row is not None else None
        return self._in_block(copy.id if copy.base is None else copy.base, place, size)

    def _in_block(self, file: int, place: int, size: int) -> bytes | None:
        assert self._blocks is not None
        try:
            return self._blocks.read(file, (place, size))
        except OSError as error:
            what = f"a file of {blocks_of(self.path).name} cannot be read ({error.strerror})"
            raise StoreError(self.path, what, "check its owner, the disk and the system's log") from error

    def in_blocks(self) -> Iterator[tuple[int, int, bytes]]:
        """What lies beside the database: copy, number and content of each such chunk. Raises StoreError."""
        if self._format < 4:
            return
        rows = """SELECT copy, number, place, chunks.size, coalesce(base, id) FROM chunks JOIN copies ON copy = id
            WHERE place >= 0"""
        for copy, number, place, size, file in self._run(rows):
            yield copy, number, self._in_block(file, place, size) or b""

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
        size = int(self._value("SELECT coalesce(sum(size), 0) FROM chunks WHERE copy = ?", (copy.id,)))
        for number, chunk in self._changes_of(copy.id).items():  # a few; all entries would be a thousand
            row = self._one(self._where, (copy.id, number))
            size += len(chunk.content) - (row[1] if row is not None else 0)
        return size

    def _connect(self) -> sqlite3.Connection:
        if not self.path.is_file():
            raise StoreError(self.path, "no such file", "name an RSU's store")
        try:
            return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise explained(self.path, error) from error

    def _open_blocks(self) -> BlockReader:
        try:
            return BlockReader(blocks_of(self.path))
        except OSError as error:
            what = f"{blocks_of(self.path).name} cannot be read ({error.strerror})"
            raise StoreError(self.path, what, "check its owner") from error

    @property
    def _where(self) -> str:
        """What asks for a chunk's place and size: earlier formats had but one place."""
        place = "place" if self._format > 3 else "NULL"
        return f"SELECT {place}, size FROM chunks WHERE copy = ? AND number = ?"

    def _look(self) -> None:
        """See the store as it is at one instant, whatever its RSU writes meanwhile."""
        for _ in range(TRIES):
            self._run("BEGIN")
            self._newer = self._read_journal()
            if self._format < 3 or self._is_latest():
                return
            self._run("ROLLBACK")  # the database took the journal in while it was read
        raise StoreError(self.path, "cannot be read while its RSU writes so much", "try again")

    def _is_latest(self) -> bool:
        with contextlib.closing(self._connect()) as other:
            (generation,) = other.execute("SELECT value FROM meta WHERE key = 'journal'").fetchone()
        return bool(generation == self._generation())

    def _generation(self) -> int:
        return int(self._value("SELECT value FROM meta WHERE key = 'journal'"))

    def _read_journal(self) -> Contents:
        """What its frames say that the database does not know. Raises StoreError."""
        if self._format < 3:
            return {}
        file = journal_of(self.path)
        try:
            found = journal.read(file, self._generation())
        except journal.JournalError as error:
            hint = (
                f"keep it; without {file.name} its RSU goes on from what {self.path.name} has, which may be minutes old"
            )
            raise StoreError(file, f"damaged ({error})", hint, Reason.CORRUPT) from error
        except OSError as error:
            raise StoreError(file, f"cannot be read ({error.strerror})", "check its owner and the disk") from error
        copies = {row[0] for row in self._all("SELECT id FROM copies")}
        return {copy: self._newer_than_database(copy, chunks) for copy, chunks in found.items() if copy in copies}

    def _newer_than_database(self, copy: int, chunks: Mapping[int, Chunk]) -> dict[int, Chunk]:
        known = {row[0]: row[1] for row in self._all(_ENTRIES, (copy,))}
        return {number: chunk for number, chunk in chunks.items() if chunk.version > known.get(number, -1)}

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
            raise explained(self.path, error) from error

    def _all(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._run(statement, values).fetchall()
        except sqlite3.Error as error:
            raise explained(self.path, error) from error

    def _one(self, statement: str, values: Sequence[Any] = ()) -> Any:
        rows = self._all(statement, values)
        return rows[0] if rows else None

    def _value(self, statement: str, values: Sequence[Any] = ()) -> Any:
        return self._one(statement, values)[0]


def explained(path: Path, error: sqlite3.Error) -> StoreError:
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


def journal_of(path: Path) -> Path:
    """The file of a store's journal."""
    return path.with_name(f"{path.name}.changes")


def blocks_of(path: Path) -> Path:
    """The folder of a store's contents."""
    return path.with_name(f"{path.name}.blocks")


def content_id(copy: int, number: int) -> int:
    """The row of `contents` that has a copy's chunk."""
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
        raise explained(path, sqlite3.DatabaseError(f"malformed row of {row[0]!r}: {error}")) from error
    return Stored(record, own, inbound)
