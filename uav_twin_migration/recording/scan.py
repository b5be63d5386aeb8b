"""What stands in an MCAP file, also in a damaged one: its records, and where they are missing.

A file is a magic, then records (one byte that says what it is, eight for its length, its content), then the magic again
(mcap.dev/spec). After a hole the next records are looked for: some bytes are a record where they are the head of one,
and where two more follow it. Files that were put one after another are parts of one.
"""

from __future__ import annotations

import mmap
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from uav_twin_migration.errors import InputError

MAGIC = b"\x89MCAP0\r\n"  # the digit is MCAP's version
ZSTD = b"\x28\xb5\x2f\xfd"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = range(1, 7)
ATTACHMENT, STATISTICS, METADATA, DATA_END = 9, 11, 12, 15
SHORTEST = {  # bytes of content that each kind of record has at least
    **{HEADER: 8, FOOTER: 20, SCHEMA: 14, CHANNEL: 16, MESSAGE: 22, CHUNK: 40, 7: 6, 8: 60, ATTACHMENT: 36},
    **{10: 48, STATISTICS: 42, METADATA: 8, 13: 20, 14: 17, DATA_END: 4},
}
PRIVATE = 0x80  # opcodes from here on are other programs' own
HEAD = 9  # bytes of a record before its content
CHAINED = 3  # records in a row that are believed
WINDOW = 1 << 20  # bytes that are searched at once
LARGEST = 1 << 40  # bytes that a file compressed as a whole may unfold to


class Piece(NamedTuple):
    """A record, by where its content stands in the file."""

    kind: int
    start: int
    end: int


class Hole(NamedTuple):
    """Bytes that are no records."""

    start: int
    end: int


class Part(NamedTuple):
    """One of the MCAP files that a file holds: most hold one."""

    pieces: list[Piece]
    holes: list[Hole]
    whole: bool  # whether it ends as it should


@contextmanager
def content(file: Path) -> Iterator[mmap.mmap | bytes]:
    """A file's bytes; of one that is compressed as a whole, as `ros2 bag record --compression-mode file` does, inside.

    Raises:
        InputError: it is no MCAP file, or one of a newer MCAP, or cannot be decompressed.
    """
    with tempfile.TemporaryFile() as plain, open(file, "rb") as stream:
        is_compressed = stream.read(len(ZSTD)) == ZSTD
        if is_compressed:
            stream.seek(0)
            _decompress(file, stream, plain)
            plain.flush()
        opened = plain if is_compressed else stream
        if opened.seek(0, 2) == 0:
            yield b""
            return
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as held:
            check(file, held)
            yield held


def _decompress(file: Path, stream: IO[bytes], plain: IO[bytes]) -> None:
    import zstandard

    size = 0
    try:
        packed = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
        while block := packed.read(WINDOW):
            size += len(block)
            if size > LARGEST:
                raise InputError(str(file), "size", size, f"at most {LARGEST} bytes unfolded")
            plain.write(block)
    except zstandard.ZstdError:
        pass  # what came before is there; that the rest is missing shows where it ends


def check(file: Path, held: mmap.mmap) -> None:
    """Raises InputError for what is no MCAP file, and for one of a newer MCAP.

    A file ends as it begins: one that has records of ours, or ends as ours do, is ours with a wrong byte in front.
    """
    magic = held[: len(MAGIC)]
    if magic == MAGIC or held[-len(MAGIC) :] == MAGIC or held.find(MAGIC) >= 0:
        return
    if magic[:5] == MAGIC[:5] and magic[6:] == MAGIC[6:] and magic[5:6] > MAGIC[5:6]:
        version = f"MCAP {magic[5:6].decode(errors='replace')}"
        raise InputError(str(file), "format", version, "MCAP 0; upgrade this software to read newer ones")
    if _next_record(held, 0) is None and len(held) >= len(MAGIC):
        raise InputError(str(file), "format", bytes(held[:24]), "an MCAP file, which begins with \\x89MCAP0")


def parts(held: mmap.mmap | bytes) -> Iterator[Part]:
    """The MCAP files that a file holds, with their records and holes."""
    position, size = 0, len(held)
    begun = False
    pieces: list[Piece] = []
    holes: list[Hole] = []
    while position < size:
        if held[position : position + len(MAGIC)] == MAGIC:
            position += len(MAGIC)
            ended = bool(pieces) and pieces[-1].kind == FOOTER
            if begun and (ended or pieces):
                yield Part(pieces, holes, ended)
                pieces, holes = [], []
                begun = not ended  # after a footer the magic closes; else it opens the next file
            else:
                begun = True
            continue
        record = _record(held, position)
        if record is not None and record.kind == HEADER and not _is_followed(held, record):
            record = None  # a wrong length would swallow what stands behind it
        if record is not None and (begun or pieces or position):
            pieces.append(record)
            begun = True
            position = record.end
            continue
        found = _next_record(held, position + 1)
        if found is None:
            holes.append(Hole(position, size))
            break
        holes.append(Hole(position, found))
        begun = True
        position = found
    if begun or holes or not size:
        yield Part(pieces, holes, False)


def _record(held: mmap.mmap | bytes, position: int) -> Piece | None:
    """The record that begins here; None where none does, or where the file ends before it."""
    if position + HEAD > len(held):
        return None
    kind, length = struct.unpack_from("<BQ", held, position)
    shortest = SHORTEST.get(kind, 0 if kind >= PRIVATE else None)
    end = position + HEAD + length
    if shortest is None or length < shortest or end > len(held):
        return None
    return Piece(kind, position + HEAD, end)


def _is_followed(held: mmap.mmap | bytes, record: Piece) -> bool:
    """Whether another record, or the end, stands behind a record."""
    return record.end >= len(held) or _record(held, record.end) is not None


def _next_record(held: mmap.mmap | bytes, position: int) -> int | None:
    """Where the next records begin, from `position` on."""
    while position < len(held):
        window = np.frombuffer(held[position : position + WINDOW + HEAD], dtype=np.uint8)
        places = len(window) - HEAD + 1
        if places > 0:
            # what a head looks like: a known kind, and a length below 2^40
            likely = (window[:places] >= HEADER) & (window[:places] <= DATA_END)
            for byte in range(6, HEAD):
                likely &= window[byte : byte + places] == 0
            for offset in np.flatnonzero(likely).tolist():
                if _chained(held, position + int(offset)):
                    return position + int(offset)
        magic = held[position : position + WINDOW + HEAD].find(MAGIC)
        if magic >= 0:
            return position + magic
        position += WINDOW
    return None


def _chained(held: mmap.mmap | bytes, position: int) -> bool:
    """Whether records follow each other here: enough of them, or up to the end."""
    for count in range(CHAINED):
        if held[position : position + len(MAGIC)] == MAGIC or (count and position == len(held)):
            return True
        record = _record(held, position)
        if record is None or record.kind >= PRIVATE:
            return False
        position = record.end
    return True
