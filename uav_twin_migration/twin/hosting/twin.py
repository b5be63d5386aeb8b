"""The twin that this package brings: a UAV's tracked motion, its history, and a payload of maps, media and the like.

Chunks: number 0 is the head, a JSON object; the next `HISTORY_BLOCKS` are the history, a ring of fixed records; the
payload begins at `PAYLOAD_AT`. Payload and history lie in the store: in memory there is only what was just changed, and
the block of the history that is being filled.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from uav_twin_migration.bounded import in_range, read_json
from uav_twin_migration.twin.hosting.application import Changes, Piece, Reader
from uav_twin_migration.twin.hosting.estimate import (
    LAST_SEQUENCE,
    LATEST,
    WIDEST,
    Axis,
    Estimate,
    Noise,
    Telemetry,
    Tracker,
)
from uav_twin_migration.twin.protocol.chunks import LARGEST_CHUNK, LARGEST_NUMBER, chunk_size_for

FORMAT = 1
HISTORY_BLOCKS = 16
PAYLOAD_AT = 1024
LARGEST_HEAD = 4096  # bytes
RECORD = struct.Struct("<q7d")  # sequence, stamp, position, velocity
BLOCK_RECORDS = 256
HISTORY = HISTORY_BLOCKS * BLOCK_RECORDS  # records: what came before is forgotten


class UavTwin:
    """One UAV's twin."""

    def __init__(self, uav: str, size: int, noise: Noise | None = None) -> None:
        """size: bytes of payload."""
        self.uav, self.size = uav, size
        self.piece_size = chunk_size_for(size)
        self.tracker = Tracker(noise)
        self.recorded = 0  # telemetry ever taken into the history
        self._blocks: dict[int, bytearray] = {}  # of the history, what the host has not yet stored, and the newest
        self._version = 0
        self._changed: dict[int, int] = {}  # chunk -> version of its last change
        self._written: dict[int, bytes] = {}  # payload that the host has not yet stored

    # -- serving -----------------------------------------------------------------------------------------------------

    def observe(self, telemetry: Telemetry, now: float) -> str | None:
        """Take telemetry into account, or say why it is refused."""
        reason = self.tracker.observe(telemetry, now)
        if reason is None:
            self._record(telemetry)
        return reason

    def estimate(self, now: float) -> Estimate | None:
        """The prediction for `now`."""
        return self.tracker.estimate(now)

    def as_of(self) -> float | None:
        """When the newest telemetry in it was measured, s, by the UAV's clock; None before any."""
        return self.tracker.stamp if self.tracker.axes else None

    def history(self, read: Reader = lambda number: None) -> list[Telemetry]:
        """What was observed, oldest first, as far back as it is kept. read: gives stored chunks.

        Raises ValueError where some of it is in neither.
        """
        first = self.recorded - sum(_records_in_blocks(self.recorded))
        blocks = {number: self._block(number, read) for number in range(HISTORY_BLOCKS)}
        return [_recorded(blocks, number) for number in range(first, self.recorded)]

    def _block(self, number: int, read: Reader) -> bytes | bytearray:
        block: bytes | bytearray = self._blocks[number] if number in self._blocks else read(1 + number) or b""
        if len(block) != RECORD.size * _records_in_blocks(self.recorded)[number]:
            raise ValueError(f"the history of {self.uav} has not the {self.recorded} records that its head tells of")
        return block

    def write_payload(self, number: int, content: bytes) -> None:
        """Replace one piece of the payload, counted from 0. Raises ValueError where there is no such piece."""
        if not 0 <= number < self.pieces or len(content) != self.size_of(number):
            raise ValueError(f"the payload of {self.uav} has no piece {number} of {len(content)} bytes")
        self._written[PAYLOAD_AT + number] = content
        self._touch(PAYLOAD_AT + number)

    @property
    def pieces(self) -> int:
        """Pieces that the payload has."""
        return -(-self.size // self.piece_size)

    # -- being stored ------------------------------------------------------------------------------------------------

    def version(self) -> int:
        """Counts changes."""
        return self._version

    def snapshot(self) -> Iterator[Piece]:
        """All pieces. A new twin's payload is noise that depends on the UAV's id, so that it does not compress."""
        chance = random.Random(self.uav)
        for number in range(self.pieces):
            yield Piece(PAYLOAD_AT + number, chance.randbytes(self.size_of(number)))
        yield from self._own_pieces()

    def _own_pieces(self) -> Iterator[Piece]:
        """All but the payload."""
        yield from (Piece(1 + number, bytes(block)) for number, block in self._blocks.items())
        yield Piece(0, self._head())

    def changes_since(self, version: int) -> Changes:
        """The pieces that changed after `version`."""
        for number in [number for number, changed in self._changed.items() if changed <= version]:
            del self._changed[number]
            self._written.pop(number, None)
        newest, _ = _place(self.recorded - 1)
        for block in [block for block in self._blocks if block != newest and 1 + block not in self._changed]:
            del self._blocks[block]
        return Changes(self._version, [Piece(number, self._content(number)) for number in self._changed])

    @classmethod
    def restored(cls, uav: str, read: Reader, noise: Noise | None = None) -> UavTwin:
        """The twin whose chunks `read` gives. Raises ValueError where they are none of such a twin."""
        head = _parse_head(uav, read(0))
        twin = cls(uav, head.size, noise)
        twin.piece_size, twin.recorded = head.piece_size, head.recorded
        twin.tracker.stamp, twin.tracker.sequence, twin.tracker.axes = head.stamp, head.sequence, head.axes
        for number in range(HISTORY_BLOCKS):
            block = twin._block(number, read)
            if block and number == _place(head.recorded - 1)[0]:
                twin._blocks[number] = bytearray(block)
        return twin

    # -- inside ------------------------------------------------------------------------------------------------------

    def _touch(self, number: int) -> None:
        self._version += 1
        self._changed[number] = self._version

    def _record(self, telemetry: Telemetry) -> None:
        block, place = _place(self.recorded)
        if place == 0:
            self._blocks[block] = bytearray()
        self._blocks[block] += RECORD.pack(
            telemetry.sequence, telemetry.stamp, *telemetry.position, *telemetry.velocity
        )
        self.recorded += 1
        self._touch(1 + block)
        self._touch(0)

    def _content(self, number: int) -> bytes:
        if number == 0:
            return self._head()
        return self._written[number] if number >= PAYLOAD_AT else bytes(self._blocks[number - 1])

    def _head(self) -> bytes:
        tracker = self.tracker
        known = tracker.axes != ()
        head = {
            "format": FORMAT,
            "uav": self.uav,
            "size": self.size,
            "piece_size": self.piece_size,
            "recorded": self.recorded,
            "sequence": tracker.sequence,
            "stamp": tracker.stamp if known else None,
            "axes": tracker.axes,
        }
        return json.dumps(head).encode()

    def size_of(self, number: int) -> int:
        """Bytes of one piece of the payload."""
        return min(self.piece_size, self.size - number * self.piece_size)


class _Head(NamedTuple):
    """What chunk 0 says."""

    size: int
    piece_size: int
    recorded: int
    sequence: int
    stamp: float
    axes: tuple[Axis, ...]


def _parse_head(uav: str, content: bytes | None) -> _Head:
    """Chunk 0, which another RSU may have sent. Raises ValueError."""
    if content is None:
        raise ValueError(f"the twin of {uav} has no head")
    head = read_json(content, LARGEST_HEAD)
    if not isinstance(head, dict) or head.get("format") != FORMAT or head.get("uav") != uav:
        raise ValueError(f"the twin of {uav} has the head of another: {bytes(content[:80])!r}")
    try:
        size, piece_size, recorded = (_whole(head[name]) for name in ("size", "piece_size", "recorded"))
        stamp = float("-inf") if head["stamp"] is None else in_range(head["stamp"], -LATEST, LATEST)
        axes = tuple(Axis(*(in_range(one, -WIDEST, WIDEST) for one in numbers)) for numbers in head["axes"])
        sequence = head["sequence"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"the head of {uav}'s twin lacks something: {error!r}") from error
    sensible = 1 <= piece_size <= LARGEST_CHUNK and size <= piece_size * (LARGEST_NUMBER - PAYLOAD_AT)
    counted = type(sequence) is int and -1 <= sequence <= LAST_SEQUENCE and recorded <= LAST_SEQUENCE
    known = len(axes) in (0, 3) and all(axis.is_possible() for axis in axes) and (head["stamp"] is None) == (not axes)
    if not (sensible and counted and known):
        raise ValueError(f"the head of {uav}'s twin says what cannot be: {bytes(content[:200])!r}")
    return _Head(size, piece_size, recorded, sequence, stamp, axes)


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} where a whole number was expected")
    return value


def _place(number: int) -> tuple[int, int]:
    """The block of a record, counted from the first ever, and its place there."""
    return divmod(number % HISTORY, BLOCK_RECORDS)


def _recorded(blocks: Mapping[int, bytes | bytearray], number: int) -> Telemetry:
    block, place = _place(number)
    sequence, stamp, *vectors = RECORD.unpack_from(blocks[block], place * RECORD.size)
    return Telemetry(sequence, stamp, (vectors[0], vectors[1], vectors[2]), (vectors[3], vectors[4], vectors[5]))


def _records_in_blocks(recorded: int) -> list[int]:
    """How many records each block has after so many were taken."""
    if recorded == 0:
        return [0] * HISTORY_BLOCKS
    newest, place = divmod((recorded - 1) % HISTORY, BLOCK_RECORDS)
    older = BLOCK_RECORDS if recorded > HISTORY else 0  # what is left of the last round
    rest = HISTORY_BLOCKS - newest - 1
    return [BLOCK_RECORDS] * newest + [place + 1] + [older] * rest


class UavTwins:
    """The application that makes such twins."""

    name = "uav_twin/1"

    def __init__(self, noise: Noise | None = None) -> None:
        self.noise = noise

    def chunk_size(self, size: int) -> int:
        """The largest chunk of a twin with a payload of `size` bytes."""
        return max(chunk_size_for(size), BLOCK_RECORDS * RECORD.size)

    def create(self, uav: str, size: int) -> UavTwin:
        """A twin that knows nothing."""
        return UavTwin(uav, size, self.noise)

    def restore(self, uav: str, read: Reader) -> UavTwin:
        """The twin whose chunks `read` gives. Raises ValueError."""
        return UavTwin.restored(uav, read, self.noise)
