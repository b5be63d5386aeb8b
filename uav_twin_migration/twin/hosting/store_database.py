"""An RSU's store as its one writer has it open: SQLite, its settings, its format, and its lock.

The file is made where it is missing, and brought to the present format where it is of an earlier one; see store.py.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uav_twin_migration.twin.hosting.blocks import sync_folder
from uav_twin_migration.twin.hosting.store_reader import (
    APPLICATION_ID,
    SCHEMA,
    SCHEMA_VERSION,
    StoreError,
    StoreReader,
    blocks_of,
    content_id,
    explained,
)
from uav_twin_migration.twin.protocol.messages import Reason

PAGE_SIZE = 4096  # bytes: what a transaction changes of a twin is a row or two, and a whole page of it is written
KEPT_LOG = 4 * 1024 * 1024  # bytes of the write-ahead log that stay allocated
CACHE = 1024 * 1024  # bytes of pages in memory
FROM_1 = "ALTER TABLE copies ADD COLUMN base INTEGER REFERENCES copies"
FROM_3 = "ALTER TABLE chunks ADD COLUMN place INTEGER"
RENAMED = {"mark": "version", "incoming_mark": "incoming_version"}  # columns of `twins`, within formats 1 and 2
CLOCK_ZERO = 1577836800  # s since 1970, of the year 2020: incarnations are counted from there
LATEST_INCARNATION = 1 << 30  # that a clock can give: a session's number has room for no more


class StoreDatabase(StoreReader):
    """The database of one RSU's store, to write to."""

    def __init__(self, path: Path | str, rsu: str) -> None:
        """Open the file, or make it. Raises StoreError."""
        self._owner = rsu
        self._lock = _lock(Path(path))
        try:
            super().__init__(path)
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        super().close()
        self._lock.close()

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
        if self._format < SCHEMA_VERSION:
            self._keep_a_copy()
            self._set_blocks_aside()
            self._begin()
            if self._format == 1:
                self._run(FROM_1)
            columns = {row[1] for row in self._all("PRAGMA table_info(twins)")}
            for old, new in RENAMED.items():
                if old in columns:
                    self._run(f"ALTER TABLE twins RENAME COLUMN {old} TO {new}")
            if self._format < 3:
                self._run("INSERT INTO meta VALUES ('journal', 0)")
            self._run(FROM_3)
            self._run(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._end()
            self._format = SCHEMA_VERSION
            self._vacuum()

    def _vacuum(self) -> None:
        """Give a file of an earlier format small pages. Where there is no room for that it works with large ones."""
        with contextlib.suppress(StoreError):
            self._run("PRAGMA journal_mode = DELETE")
            self._run("VACUUM")
        self._configure()

    def _keep_a_copy(self) -> None:
        """Before its format changes: the way back. `uavtwin rsu restore` goes it."""
        to = self.path.with_name(f"{self.path.name}.format{self._format}")
        if not to.exists():
            self._newer = self._read_journal()
            copy_database(self, to)
            self._newer = {}

    def _set_blocks_aside(self) -> None:
        """They are of another file than this, which somebody may want to put back."""
        blocks = blocks_of(self.path)
        if not blocks.exists():
            return
        when = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        try:
            blocks.rename(blocks.with_name(f"{blocks.name}.before-{when}-{secrets.token_hex(2)}"))
        except OSError as error:
            raise write_error(blocks, error) from error

    def _configure(self) -> None:
        self._run(f"PRAGMA page_size = {PAGE_SIZE}")
        self._run(f"PRAGMA cache_size = {CACHE // int(self._value('PRAGMA page_size'))}")
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = FULL")
        self._run("PRAGMA wal_autocheckpoint = 0")  # see `checkpoint_beside`
        self._run(f"PRAGMA journal_size_limit = {KEPT_LOG}")

    def _make(self) -> None:
        self._set_blocks_aside()
        self._begin()
        for statement in SCHEMA.split(";"):
            self._run(statement)
        # An RSU whose disk was replaced must not count as an earlier life of its own: others remember those.
        own = (self._owner, _incarnation_by_clock())
        self._run("INSERT INTO meta VALUES ('rsu', ?), ('lives', ?), ('journal', 0)", own)
        self._run(f"PRAGMA application_id = {APPLICATION_ID}")
        self._run(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._end()

    def _begin_incarnation(self) -> int:
        """A number that rises with each opening of the store, and of the copies that were made of it, by the clock."""
        self._write("UPDATE meta SET value = max(value + 1, ?) WHERE key = 'lives'", (_incarnation_by_clock(),))
        self._end()
        return int(self._value("SELECT value FROM meta WHERE key = 'lives'"))

    def _begin(self) -> None:
        if not self._database.in_transaction:
            self._run("BEGIN IMMEDIATE")

    def _end(self) -> None:
        """End the transaction, where there is one."""
        if self._database.in_transaction:
            self._run("COMMIT")

    def _write(self, statement: str, values: Sequence[Any] = ()) -> None:
        self._begin()
        self._run(statement, values)

    def _write_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self._begin()
        try:
            self._database.executemany(statement, rows)
        except sqlite3.Error as error:
            raise explained(self.path, error) from error


def copy_database(reader: StoreReader, to: Path) -> None:
    """All that a store has as one file that needs no other, whole or not at all. Raises StoreError."""
    part = to.with_name(f"{to.name}.part")
    try:
        with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as made:
            reader.database.backup(made)
            made.execute("PRAGMA journal_mode = DELETE")
            made.execute("BEGIN IMMEDIATE")
            _pack(made, reader)
            made.execute("COMMIT")
        os.replace(part, to)
        sync_folder(to.parent)
    except (sqlite3.Error, OSError) as error:
        part.unlink(missing_ok=True)
        what = f"no copy of it could be made as {to.name} ({error})"
        raise StoreError(reader.path, what, "make room beside it: nothing was changed", Reason.FULL) from error


def _pack(made: sqlite3.Connection, reader: StoreReader) -> None:
    """Have a copy of the database contain what lies beside it, in its blocks and in its journal."""
    content = "INSERT OR REPLACE INTO contents VALUES (?, ?)"
    entry = "INSERT OR REPLACE INTO chunks (copy, number, version, size, digest) VALUES (?, ?, ?, ?, ?)"
    made.executemany(content, ((content_id(copy, number), data) for copy, number, data in reader.in_blocks()))
    if reader.format > 3:
        made.execute("UPDATE chunks SET place = NULL")
    for copy, chunks in reader.newer.items():
        for chunk in chunks.values():
            made.execute(content, (content_id(copy, chunk.number), chunk.content))
            row = (copy, chunk.number, chunk.version, len(chunk.content), chunk.digest)
            made.execute(entry, row)
            made.execute("UPDATE twins SET version = max(version, ?) WHERE own = ?", (chunk.version, copy))
    if reader.format > 2:
        made.execute("UPDATE meta SET value = ? WHERE key = 'journal'", (secrets.randbits(62),))


def write_error(path: Path, error: OSError) -> StoreError:
    """What the system's refusal to write a file beside the database means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(path, "the disk is full", "free some space; no twin is lost", Reason.FULL)
    return StoreError(path, f"cannot be written ({error.strerror})", "check its owner, the disk and the system's log")


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
