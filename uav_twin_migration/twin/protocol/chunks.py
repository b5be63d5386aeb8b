"""The chunks a twin is made of, and the digests that say whether they are what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

CHUNK_SIZE = 64 * 1024  # bytes, of a large twin's chunks
SMALL_CHUNK_SIZE = 16 * 1024  # bytes, of a small one's: less is sent again when a little of it changes
SMALL_TWIN = 32 * 1024 * 1024  # bytes, up to which a twin is small
LARGEST_CHUNK = 1024 * 1024  # bytes, that anybody may choose
LARGEST_NUMBER = (1 << 24) - 1
DIGEST_SIZE = 32
NOTHING = hashlib.sha256().digest()  # of a chunk without content


class Chunk(NamedTuple):
    """One chunk as it is stored and sent."""

    number: int
    version: int  # of the change that made it what it is
    digest: bytes  # SHA-256 of `content`
    content: bytes | memoryview


class Entry(NamedTuple):
    """A chunk without its content."""

    number: int
    version: int
    digest: bytes
    size: int  # bytes


def digest(content: bytes | memoryview) -> bytes:
    """SHA-256 of a chunk's content."""
    return hashlib.sha256(content).digest()


def is_intact(chunk: Chunk) -> bool:
    """Whether the content is what the digest says."""
    return digest(chunk.content) == chunk.digest


def digest_of_twin(uav: str, entries: Iterable[Entry]) -> bytes:
    """SHA-256 over the digests of a twin's chunks: equal for equal twins, in whatever order they were written."""
    total = hashlib.sha256(uav.encode())
    for entry in sorted(entries):
        total.update(entry.number.to_bytes(4, "big") + entry.size.to_bytes(4, "big") + entry.digest)
    return total.digest()


def chunk_size_for(size: int) -> int:
    """The chunk size for a twin of `size` bytes."""
    return SMALL_CHUNK_SIZE if size <= SMALL_TWIN else CHUNK_SIZE
