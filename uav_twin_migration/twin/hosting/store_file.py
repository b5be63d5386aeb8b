"""Whether the file at a store's path is still the one that the store was opened from.

Somebody may delete it, put another in its place, or copy one over it, while the RSU runs. SQLite notices none of that:
it goes on writing into a file that nobody will find again, or into a mixture of two.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from uav_twin_migration.twin.hosting.store_reader import APPLICATION_ID

MAGIC, HEAD = b"SQLite format 3\0", 100  # how a database begins, and bytes of its head: sqlite.org/fileformat2.html
TICK = 100_000_000  # ns, longer than the file system's clock stands still: what was written just now may be again
ID_AT, ID_END = 68, 72  # of it, the application's id


class StoreFile:
    """The files of a store that is open: its database, and those beside it, its lock and its journal."""

    def __init__(self, path: Path, beside: Sequence[Path], incarnation: int) -> None:
        """incarnation: what the database says, or will say once its write-ahead log is brought into it."""
        self._path = path
        self._right = {self._read_incarnation(), incarnation}
        self._odd = 0  # times in a row that it said another
        self._opened = {file: _identity(file) for file in (path, *beside)}
        self._overwritten = ""
        self._seen_right: tuple[int, int] | None = (
            None  # what the file system said of the database when it was last found right
        )

    def trouble(self) -> str:
        """What has become of the files; empty where they are the same as ever. Costs two looks into a directory."""
        if self._overwritten:
            return self._overwritten  # for good: what was there is gone
        for file, opened in self._opened.items():
            found = _identity(file)
            if found is None:
                return f"{file.name} is gone from its place"
            if found != opened:
                return f"another file has taken the place of {file.name}"
        return ""

    def read(self) -> str:
        """As `trouble`, and whether something was written over the database. Costs some 0.2 ms more."""
        trouble = self.trouble()
        if trouble:
            return trouble
        written = _written(self._path)
        if written is not None and written == self._seen_right:
            return ""  # nothing was written since
        self._odd = self._odd + 1 if self._is_another() else 0
        settled = written is not None and time.time_ns() - written[0] > TICK
        self._seen_right = written if settled and not self._odd else None
        if self._odd > 1:
            self._overwritten = f"something else was copied over {self._path.name}"
        return self._overwritten

    def _is_another(self) -> bool:
        """Whether the file is no store, or one of another incarnation.

        One that has a store's head and cannot be read is neither: it is so while the log is brought into it, in six
        of a thousand looks. What is damaged SQLite and the scrub find.
        """
        try:
            with open(self._path, "rb") as file:
                head = file.read(HEAD)
        except OSError:
            return False  # for want of a file descriptor, say
        if not head.startswith(MAGIC) or head[ID_AT:ID_END] != APPLICATION_ID.to_bytes(4, "big"):
            return True
        incarnation = self._read_incarnation()
        return incarnation is not None and incarnation not in self._right

    def _read_incarnation(self) -> object:
        """What stands in the database itself; None where that cannot be read."""
        uri = f"{self._path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
                (incarnation,) = database.execute("SELECT value FROM meta WHERE key = 'lives'").fetchone()
        except (sqlite3.Error, TypeError):
            return None
        return incarnation


def _written(file: Path) -> tuple[int, int] | None:
    """What differs after each write: when its state changed last, ns, and its size, bytes."""
    with contextlib.suppress(OSError):
        found = os.stat(file)
        return found.st_ctime_ns, found.st_size
    return None


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino
