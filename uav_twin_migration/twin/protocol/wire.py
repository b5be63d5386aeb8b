"""How RSUs' messages become bytes and, from whoever sent them, messages again. No I/O.

A frame is a length (4 bytes, big-endian, of what follows), a kind (1 byte) and a body. Chunks have a binary body, as
have digests of those that are known: a chunk without content that has another's digest is a reference to that. All else
is a JSON object with exactly the fields of its message. Whatever is not as it must be raises WireError: the connection
is then closed.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from itertools import pairwise
from typing import Any, NamedTuple, TypeGuard, get_type_hints

from uav_twin_migration.bounded import in_range, read_json
from uav_twin_migration.twin.protocol.chunks import (
    DIGEST_SIZE,
    LARGEST_CHUNK,
    LARGEST_NUMBER,
    NOTHING,
    Chunk,
    is_intact,
)
from uav_twin_migration.twin.protocol.epochs import is_epoch
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Activated,
    Cancel,
    Checkpoint,
    Commit,
    Data,
    Fenced,
    Known,
    Offer,
    PeerMessage,
    Purpose,
    Reason,
    Refuse,
    Stamp,
    Unprepared,
    Verified,
)

VERSION = 2
LARGEST_CONTROL = 4096  # bytes of a frame that carries no chunks
LARGEST_DATA = LARGEST_CHUNK + 4096  # bytes of one that does
MOST_CHUNKS = 64  # in one frame
MOST_KNOWN = 32_000  # digests in one frame: of larger twins the rest is sent as a whole
LONGEST_NAME = 64
LONGEST_TIME = 1e10  # s, of a stamp or a lease: three centuries

_HEADER = struct.Struct(">IB")
_DATA = struct.Struct(">BQQH")  # length of the UAV's id, session, after, how many chunks
_CHUNK = struct.Struct(f">IQI{DIGEST_SIZE}s")  # number, version, size, digest
_KNOWN = struct.Struct(">BQH")  # length of the UAV's id, session, how many digests
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")
_TEXT = re.compile(r"[ -~]{0,64}\Z")
_LARGEST = (1 << 62) - 1  # of versions: what counts on from there stays within the store's 63 bits


class WireError(Exception):
    """What arrived is no message of this protocol; says what is wrong with it."""


@dataclass(frozen=True)
class Hello:
    """The first frame each way: who speaks, and which version of the protocol."""

    rsu: str
    version: int = VERSION


@dataclass(frozen=True)
class KeepAlive:
    """Nothing to say, but still here."""


class Chunks(NamedTuple):
    """`Data` with its chunks, in the order of their versions."""

    data: Data
    chunks: tuple[Chunk, ...]
    intact: bool = True  # whether each is what its digest says, or a reference


Frame = Hello | KeepAlive | Chunks | PeerMessage

_DATA_KIND, _KNOWN_KIND = 1, 3
_KINDS: Mapping[int, type] = {
    0: Hello,
    2: KeepAlive,
    10: Offer,
    11: Checkpoint,
    12: Commit,
    13: Cancel,
    20: Accept,
    21: Refuse,
    22: Ack,
    23: Verified,
    24: Activated,
    25: Unprepared,
    26: Fenced,
}
_KIND_OF = {kind: number for number, kind in _KINDS.items()}


def encode(message: Hello | KeepAlive | PeerMessage) -> bytes:
    """A frame without chunks."""
    if isinstance(message, Known):
        name = message.uav.encode()
        head = _KNOWN.pack(len(name), message.session, len(message.digests))
        content = b"".join([head, name, *message.digests])
        return _HEADER.pack(len(content) + 1, _KNOWN_KIND) + content
    body = {field.name: _plain(getattr(message, field.name)) for field in fields(message)}
    content = json.dumps(body, separators=(",", ":")).encode()
    return _HEADER.pack(len(content) + 1, _KIND_OF[type(message)]) + content


def encode_chunks(data: Data, chunks: Sequence[Chunk]) -> list[bytes | memoryview]:
    """A frame of chunks, in pieces to be sent one after the other."""
    name = data.uav.encode()
    head = [_DATA.pack(len(name), data.session, data.after, len(chunks)), name]
    head += [_CHUNK.pack(chunk.number, chunk.version, len(chunk.content), chunk.digest) for chunk in chunks]
    contents = [chunk.content for chunk in chunks]
    length = sum(map(len, head)) + sum(map(len, contents)) + 1
    return [_HEADER.pack(length, _DATA_KIND) + b"".join(head), *contents]


def reference(number: int, version: int, known: bytes) -> Chunk:
    """A chunk whose content the peer has: it has said so of its digest."""
    return Chunk(number, version, known, b"")


def is_reference(chunk: Chunk) -> bool:
    """Whether the content is not here, but where its digest is known."""
    return not len(chunk.content) and chunk.digest != NOTHING


def encoded(frame: Frame) -> bytes:
    """A frame, with chunks or without."""
    return b"".join(encode_chunks(frame.data, frame.chunks)) if isinstance(frame, Chunks) else encode(frame)


def size_of(frame: Chunks) -> int:
    """Bytes of a frame of chunks."""
    heads = _HEADER.size + _DATA.size + len(frame.data.uav) + len(frame.chunks) * _CHUNK.size
    return heads + sum([len(chunk.content) for chunk in frame.chunks])


class FrameReader:
    """Takes a stream of bytes apart into frames, with memory for no more than one of the largest allowed.

    Fill `room()` with bytes that arrive, then tell `filled` how many; it returns the frame that they completed, if any.
    """

    def __init__(self) -> None:
        self.trusted = False  # until the first frame was accepted, frames must be small
        self._header = bytearray(_HEADER.size)
        self._body: bytearray | None = None
        self._kind = 0
        self._got = 0

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._got > 0 or self._body is not None

    def room(self) -> memoryview:
        """Where the next bytes go; never empty."""
        buffer = self._header if self._body is None else self._body
        return memoryview(buffer)[self._got :]

    def filled(self, size: int) -> Frame | None:
        """`size` bytes of the room were filled. Raises WireError."""
        self._got += size
        if self._body is None:
            if self._got < len(self._header):
                return None
            self._begin(*_HEADER.unpack(self._header))
        assert self._body is not None
        if self._got < len(self._body):
            return None
        body, self._body, self._got = self._body, None, 0
        if self._kind == _KNOWN_KIND:
            return _decode_known(bytes(body))
        return _decode_chunks(memoryview(body)) if self._kind == _DATA_KIND else _decode(_KINDS[self._kind], body)

    def _begin(self, length: int, kind: int) -> None:
        if kind not in _KINDS and kind not in (_DATA_KIND, _KNOWN_KIND):
            raise WireError(f"no frame is of kind {kind}")
        largest = LARGEST_DATA if kind not in _KINDS and self.trusted else LARGEST_CONTROL
        if not 1 <= length <= largest:
            raise WireError(f"a frame of {length} bytes where at most {largest} are allowed")
        self._body, self._kind, self._got = bytearray(length - 1), kind, 0


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Stamp):
        return [value.incarnation, value.time]
    return value.value if isinstance(value, Enum) else value


def _decode(kind: type, body: bytes | bytearray) -> Any:
    try:
        said = read_json(body, LARGEST_CONTROL)
    except ValueError as error:
        raise WireError(f"{kind.__name__}: the body is no JSON ({error})") from None
    checks = _CHECKS[kind]
    if not isinstance(said, dict) or said.keys() != checks.keys():
        raise WireError(f"{kind.__name__}: expected exactly the fields {', '.join(checks) or '(none)'}")
    return kind(**{name: check(f"{kind.__name__}.{name}", said[name]) for name, check in checks.items()})


def _decode_known(body: bytes) -> Known:
    try:
        length, session, count = _KNOWN.unpack_from(body)
        place = _KNOWN.size + length
        uav = str(body[_KNOWN.size : place], "ascii")
    except (struct.error, UnicodeDecodeError):
        raise WireError("Known: the frame ends too early") from None
    if _NAME.match(uav) is None or count > MOST_KNOWN or session > _LARGEST:
        raise WireError("Known: no UAV, session or number of digests can be that")
    if len(body) != place + count * DIGEST_SIZE:
        raise WireError("Known: the frame is not as long as its digests")
    ends = range(place + DIGEST_SIZE, len(body) + 1, DIGEST_SIZE)
    return Known(uav, session, tuple(body[end - DIGEST_SIZE : end] for end in ends))


def _decode_chunks(body: memoryview) -> Chunks:
    try:
        length, session, after, count = _DATA.unpack_from(body)
        place = _DATA.size + length
        uav = str(bytes(body[_DATA.size : place]), "ascii")
        heads = [_CHUNK.unpack_from(body, place + one * _CHUNK.size) for one in range(count)]
    except (struct.error, UnicodeDecodeError):
        raise WireError("Data: the frame ends too early") from None
    if _NAME.match(uav) is None or not 1 <= count <= MOST_CHUNKS or max(session, after) > _LARGEST:
        raise WireError("Data: no UAV, session or number of chunks can be that")
    chunks = tuple(_cut(body, place + count * _CHUNK.size, heads))
    versions = [after, *(chunk.version for chunk in chunks)]
    if any(late <= early for early, late in pairwise(versions)) or versions[-1] > _LARGEST:
        raise WireError("Data: the versions do not rise")
    intact = all(is_reference(one) or is_intact(one) for one in chunks)
    return Chunks(Data(uav, session, after, versions[-1]), chunks, intact)


def _cut(body: memoryview, place: int, heads: Sequence[tuple[int, int, int, bytes]]) -> Iterator[Chunk]:
    for number, version, size, digest in heads:
        if number > LARGEST_NUMBER or size > LARGEST_CHUNK or place + size > len(body):
            raise WireError("Data: no chunk has that number or size")
        yield Chunk(number, version, digest, body[place : place + size])
        place += size
    if place != len(body):
        raise WireError("Data: the frame is longer than its chunks")


# -- what a field must be ----------------------------------------------------------------------------------------------


def is_name(value: object) -> TypeGuard[str]:
    """Whether `value` can be the id of a UAV or an RSU."""
    return isinstance(value, str) and _NAME.match(value) is not None


def _name(where: str, value: object) -> str:
    if not is_name(value):
        raise WireError(f"{where}: expected a name of at most {LONGEST_NAME} letters, digits and _")
    return value


def _text(where: str, value: object) -> str:
    if not isinstance(value, str) or _TEXT.match(value) is None:
        raise WireError(f"{where}: expected a text of at most {LONGEST_NAME} ASCII characters")
    return value


def _whole(where: str, value: object) -> int:
    if not is_epoch(value):
        raise WireError(f"{where}: expected a whole number from 0 below 2^63")
    assert isinstance(value, int)
    return value


def _duration(where: str, value: object) -> float:
    try:
        return in_range(value, 0.0, LONGEST_TIME)
    except ValueError:
        raise WireError(f"{where}: expected seconds, from 0 to {LONGEST_TIME:g}") from None


def _stamp(where: str, value: object) -> Stamp | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise WireError(f"{where}: expected [incarnation, seconds]")
    return Stamp(_whole(where, value[0]), _duration(where, value[1]))


def _some_stamp(where: str, value: object) -> Stamp:
    stamp = _stamp(where, value)
    if stamp is None:
        raise WireError(f"{where}: expected [incarnation, seconds]")
    return stamp


def _bytes(where: str, value: object) -> bytes:
    try:
        content = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        content = b""
    if len(content) != DIGEST_SIZE:
        raise WireError(f"{where}: expected {DIGEST_SIZE} bytes in hexadecimal digits")
    return content


def _reason(where: str, value: object) -> Reason:
    try:
        return Reason(value)
    except ValueError:
        raise WireError(f"{where}: expected a reason") from None


def _purpose(where: str, value: object) -> Purpose:
    try:
        return Purpose(value)
    except ValueError:
        raise WireError(f"{where}: expected {' or '.join(one.value for one in Purpose)}") from None


_OF_TYPE: Mapping[Any, Callable[[str, object], Any]] = {
    int: _whole,
    str: _text,
    float: _duration,
    bytes: _bytes,
    Purpose: _purpose,
    Reason: _reason,
    Stamp: _some_stamp,
    Stamp | None: _stamp,
}
_NAMES = {"uav", "rsu"}


def _checks(kind: type) -> dict[str, Callable[[str, object], Any]]:
    hints = get_type_hints(kind)
    return {field.name: _name if field.name in _NAMES else _OF_TYPE[hints[field.name]] for field in fields(kind)}


_CHECKS = {kind: _checks(kind) for kind in _KINDS.values()}
