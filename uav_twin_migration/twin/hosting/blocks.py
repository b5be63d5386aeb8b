"""The contents of a store's chunks: a file for each copy, beside the database, which says where in it a chunk is.

A database writes what it is given twice, into its log and into its pages. So contents are written once, in their final
place, and are on the disk before the transaction that tells of them.

Nothing that the database knows of is ever written over: what a chunk becomes goes to a free place. That of what it was
is free once the transaction is on the disk and nobody looks into the store who may have begun before (a shared lock on
the folder says that somebody does). So a crash at any instant leaves each chunk as it was committed; places that no
chunk has are free when the store is opened again, and files that no copy has go.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

PAGE = 4096  # bytes: a place begins at a page, and has whole ones
MOST_OPEN = 32  # files at once
MOST_AT_ONCE = 512  # contents in one call of the system's; it takes 1,024

Extent = tuple[int, int]  # where a content begins in its file, and how long it is, bytes


class BlockReader:
    """Contents to read."""

    _flags = os.O_RDONLY

    def __init__(self, folder: Path) -> None:
        """Say that somebody looks in, where there is such a folder. Raises OSError."""
        self._folder = folder
        self._files: OrderedDict[int, int] = OrderedDict()  # file -> descriptor; used last comes last
        self._lock = -1
        if folder.is_dir():
            self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._share()

    def _share(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """Let go of all files."""
        for descriptor in (*self._files.values(), self._lock):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._files.clear()
        self._lock = -1

    def read(self, file: int, extent: Extent) -> bytes | None:
        """What is in a place: less where the file ends sooner, None where there is no file. Raises OSError."""
        try:
            return os.pread(self._opened(file), extent[1], extent[0])
        except FileNotFoundError:
            return None

    def _opened(self, file: int) -> int:
        descriptor = self._files.get(file)
        if descriptor is None:
            if len(self._files) >= MOST_OPEN:
                self._let_go(next(iter(self._files)))
            descriptor = os.open(self._folder / str(file), self._flags | os.O_CLOEXEC, 0o600)
            self._files[file] = descriptor
        self._files.move_to_end(file)
        return descriptor

    def _let_go(self, file: int) -> None:
        descriptor = self._files.pop(file, None)
        if descriptor is not None:
            os.close(descriptor)


class Room:
    """Which pages of a file are free."""

    def __init__(self, used: Iterable[Extent]) -> None:
        """used: what must not be written over."""
        taken = sorted((place, place + _whole_pages(size)) for place, size in used)
        self._free: dict[int, list[int]] = {}  # bytes -> places that have so many
        self._end = 0
        for begin, end in taken:
            if begin > self._end:
                self.give_back((self._end, begin - self._end))
            self._end = max(self._end, end)

    def take(self, size: int) -> int:
        """A place for so many bytes."""
        wanted = _whole_pages(size)
        fits = min((free for free in self._free if free >= wanted), default=None)
        if fits is None:
            self._end += wanted
            return self._end - wanted
        places = self._free[fits]
        place = places.pop()
        if not places:
            del self._free[fits]
        if fits > wanted:
            self.give_back((place + wanted, fits - wanted))
        return place

    def give_back(self, extent: Extent) -> None:
        """A place is free."""
        self._free.setdefault(_whole_pages(extent[1]), []).append(extent[0])


class Blocks(BlockReader):
    """Contents to write, by one process. What was written since the last commit can be taken back."""

    _flags = os.O_RDWR

    def __init__(self, folder: Path, copies: Collection[int], used: Callable[[int], Iterable[Extent]]) -> None:
        """Open the folder, or make it. Raises OSError.

        copies: those whose files stay. used: the places in a file that the database knows of.
        """
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)
        super().__init__(folder)
        self._used = used
        self._rooms: dict[int, Room] = {}
        self._made: set[int] = set()  # files whose names may not be on the disk
        self._unsynced: set[int] = set()  # files whose contents may not be
        self._written: list[tuple[int, Extent]] = []  # since the last commit: file and place
        self._given_up: list[tuple[int, Extent]] = []
        self._removed: list[int] = []
        self._awaited: list[tuple[int, Extent]] = []  # committed; somebody who looks in may still read it
        self._unwanted: list[int] = [int(name) for name in os.listdir(folder) if name.isdigit()]
        self._unwanted = [file for file in self._unwanted if file not in copies]
        self.committed()

    def _share(self) -> None:
        """Its own reads need no lock."""

    def write(self, file: int, contents: Sequence[bytes | memoryview]) -> list[int]:
        """Write contents; returns their places. Raises OSError."""
        room = self._room(file)
        extents = [(room.take(len(content)), len(content)) for content in contents]
        self._written += [(file, extent) for extent in extents]
        try:
            descriptor = self._opened(file)
        except FileNotFoundError:
            self._made.add(file)
            os.close(os.open(self._folder / str(file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            descriptor = self._opened(file)
        self._unsynced.add(file)
        for first, last in _runs(extents):
            _write(descriptor, contents[first:last], extents[first][0])
        return [place for place, _ in extents]

    def give_up(self, file: int, extents: Iterable[Extent]) -> None:
        """With the next commit nothing needs these places any more. To be told while the database still has them."""
        self._room(file)
        self._given_up += [(file, extent) for extent in extents]

    def remove(self, file: int) -> None:
        """With the next commit nothing needs this file any more."""
        self._removed.append(file)

    def sync(self) -> str:
        """Put on the disk what was written. Returns what is wrong with a file. Raises OSError."""
        for file in list(self._unsynced):
            descriptor = self._opened(file)
            if os.fstat(descriptor).st_nlink == 0:
                return f"{self._folder.name}/{file} is gone from its place"
            os.fdatasync(descriptor)
            self._unsynced.discard(file)
        if self._made:
            os.fsync(self._lock)
            self._made.clear()
        return ""

    def committed(self) -> None:
        """What was written is what the database knows."""
        self._awaited += self._given_up
        self._unwanted += self._removed
        self._begin_anew()
        if (self._awaited or self._unwanted) and self._nobody_looks_in():
            for file, extent in self._awaited:
                if file in self._rooms:
                    self._rooms[file].give_back(extent)
            for file in self._unwanted:
                self._rooms.pop(file, None)
                self._unsynced.discard(file)
                self._let_go(file)
                with contextlib.suppress(OSError):  # it goes when the store is opened again
                    (self._folder / str(file)).unlink(missing_ok=True)
            self._awaited, self._unwanted = [], []

    def rolled_back(self) -> None:
        """Nothing of that has happened."""
        for file, extent in self._written:
            self._rooms[file].give_back(extent)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._written, self._given_up, self._removed = [], [], []

    def _nobody_looks_in(self) -> bool:
        """At this instant: who begins later sees the database as it is now."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        return True

    def _room(self, file: int) -> Room:
        room = self._rooms.get(file)
        if room is None:
            awaited = [extent for other, extent in self._awaited if other == file]
            room = self._rooms[file] = Room([*self._used(file), *awaited])
        return room

    def _let_go(self, file: int) -> None:
        if file in self._unsynced and file in self._files:
            os.fdatasync(self._files[file])
            self._unsynced.discard(file)
        super()._let_go(file)


def size_of(folder: Path) -> int:
    """Bytes that all files take on the disk. Raises OSError."""
    with os.scandir(folder) as files:
        return sum(file.stat().st_blocks * 512 for file in files)


def _whole_pages(size: int) -> int:
    return max(1, -(-size // PAGE)) * PAGE


def _runs(extents: Sequence[Extent]) -> list[tuple[int, int]]:
    """From which to before which they follow each other without a gap."""
    ends = [0]
    for number, (one, following) in enumerate(pairwise(extents), start=1):
        if one[0] + one[1] != following[0] or number - ends[-1] >= MOST_AT_ONCE:
            ends.append(number)
    return list(pairwise([*ends, len(extents)]))


def _write(file: int, contents: Sequence[bytes | memoryview], at: int) -> None:
    left = [memoryview(content) for content in contents]
    while left:
        written = os.pwritev(file, left, at)
        at += written
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def sync_folder(folder: Path) -> None:
    """Names of files that were made, or changed their names, are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
