"""A file of changes beside a store's database: append-only, so that a small change costs a small write.

A database writes whole pages, several times over; a twin that hears its UAV changes by some hundred bytes. So what is
new in a chunk is appended here, one *frame* a commit, and comes into the database when a block of it is full:

    frame    length of the rest (4 bytes), CRC-32 of the rest (4), generation (8), records, compressed
    record   copy (8 bytes), chunk's number (4), its version (8), bytes of the chunk as it was that stay (4), bytes that
             follow them (4), those

A *generation* is all frames since the database took everything in; which one counts stands in the database, and changes
in the very transaction that takes it in. So frames are never erased: those of another generation count for nothing, and
the next ones are written over them. A generation's first record of a chunk has the whole of it.

Room is written once, as zeros, and used again: to append does not change the file's length, which would cost the file
system as much again.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.twin.hosting.blocks import sync_folder
from uav_twin_migration.twin.protocol.chunks import LARGEST_CHUNK, Chunk, digest

FRAME = struct.Struct("<II")
GENERATION = struct.Struct("<Q")
RECORD = struct.Struct("<QIQII")
ROOM = 256 * 1024  # bytes that the file grows by
PAGE = 4096  # bytes of it at a time: Linux marks as changed, and counts, as much as was once written or read in one go
LARGEST_FRAME = 64 * 1024 * 1024  # bytes, compressed or not
LEVEL = 1  # of zlib: half of the bytes for a fiftieth of a millisecond a twin

Contents = dict[int, dict[int, Chunk]]  # copy -> number -> what is in it


class JournalError(ValueError):
    """What was written is not what is there."""


class Record(NamedTuple):
    """A chunk's change."""

    copy: int
    number: int
    version: int
    kept: int  # bytes of what the chunk was that stay, from its beginning
    new: bytes  # that follow them


class Journal:
    """The file, open for its one writer."""

    def __init__(self, path: Path) -> None:
        """Open or make it. Raises OSError."""
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._room = os.fstat(self._file).st_size  # bytes that can be written without growing it
        if not self._room:
            sync_folder(path.parent)  # it may be new: what is synced in it is of use where its name is on the disk
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)  # what was read at once
        self.size, self._last = 0, 0  # bytes of this generation, and of it before its last frame
        self.generation = 0

    def begin(self, generation: int) -> None:
        """What was appended counts no more."""
        self.generation, self.size, self._last = generation, 0, 0

    def append(self, records: Iterable[Record]) -> None:
        """Put records on the disk, all or none. Raises OSError."""
        data = frame(self.generation, records)
        end = self.size + len(data)
        while end > self._room:
            for page in range(0, ROOM, PAGE):
                _write(self._file, bytes(PAGE), self._room + page)
            self._room += ROOM
        _write(self._file, data, self.size)
        os.fdatasync(self._file)
        self._last, self.size = self.size, end

    def take_back(self) -> None:
        """Forget the last frame: the next one is written over it."""
        self.size = self._last

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def _write(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written


# -- what is in the file ---------------------------------------------------------------------------------------------


def record_of(copy: int, chunk: Chunk, before: Chunk | None) -> Record:
    """How a chunk comes into the journal that has it as it was before."""
    kept = _common(before.content, chunk.content) if before is not None else 0
    return Record(copy, chunk.number, chunk.version, kept, bytes(chunk.content[kept:]))


def frame(generation: int, records: Iterable[Record]) -> bytes:
    """A frame."""
    parts = []
    for record in records:
        parts += [RECORD.pack(*record[:4], len(record.new)), record.new]
    rest = GENERATION.pack(generation) + zlib.compress(b"".join(parts), LEVEL)
    return FRAME.pack(len(rest), zlib.crc32(rest)) + rest


def read(path: Path, generation: int) -> Contents:
    """What a generation's frames make of chunks; nothing where there is no file, or no generation was begun (0).

    Raises:
        JournalError: a frame is damaged that others follow.
        OSError: it cannot be read.
    """
    try:
        data = path.read_bytes() if generation else b""
    except FileNotFoundError:
        return {}
    contents: dict[int, dict[int, tuple[int, bytes]]] = {}
    for record in _records(data, generation):
        chunks = contents.setdefault(record.copy, {})
        _, before = chunks.get(record.number, (0, b""))
        if len(before) < record.kept or record.kept + len(record.new) > LARGEST_CHUNK:
            raise JournalError(f"chunk {record.number} of copy {record.copy} does not go on from what it was")
        chunks[record.number] = record.version, before[: record.kept] + record.new
    return {
        copy: {number: Chunk(number, version, digest(made), made) for number, (version, made) in chunks.items()}
        for copy, chunks in contents.items()
    }


def _records(data: bytes, generation: int) -> Iterator[Record]:
    at = 0
    while (rest := _rest(data, at, generation)) is not None:
        yield from _parsed(rest)
        at += FRAME.size + len(rest)
    following = data.find(GENERATION.pack(generation), at)
    while following >= 0:  # a crash cuts off the last frame alone
        if _rest(data, following - FRAME.size, generation) is not None:
            raise JournalError(f"its frame at byte {at} is damaged, and others follow it")
        following = data.find(GENERATION.pack(generation), following + 1)


def _rest(data: bytes, at: int, generation: int) -> memoryview | None:
    """The frame at a place, without its head; None where there is none of that generation."""
    if at < 0 or at + FRAME.size + GENERATION.size > len(data):
        return None
    length, checksum = FRAME.unpack_from(data, at)
    if not GENERATION.size <= length <= min(LARGEST_FRAME, len(data) - at - FRAME.size):
        return None
    rest = memoryview(data)[at + FRAME.size : at + FRAME.size + length]
    whole = GENERATION.unpack_from(rest)[0] == generation and zlib.crc32(rest) == checksum
    return rest if whole else None


def _parsed(rest: memoryview) -> Iterator[Record]:
    try:
        unpacker = zlib.decompressobj()
        payload = unpacker.decompress(rest[GENERATION.size :], LARGEST_FRAME)
        at = 0
        while at < len(payload):
            copy, number, version, kept, length = RECORD.unpack_from(payload, at)
            at += RECORD.size
            if at + length > len(payload):
                raise JournalError("a record is cut off")
            yield Record(copy, number, version, kept, payload[at : at + length])
            at += length
    except (zlib.error, struct.error) as error:
        raise JournalError(f"a frame has what cannot be: {error}") from error


def _common(first: bytes | memoryview, second: bytes | memoryview) -> int:
    """Bytes that two contents begin with in common."""
    low, high = 0, min(len(first), len(second))
    if first[:high] == second[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle)
    return low
