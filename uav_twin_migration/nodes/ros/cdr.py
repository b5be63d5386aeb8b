"""Reads fields out of a message's bytes, for what is heard hundreds of times a second.

To make such a message as rclpy does takes several times as long as to read what is wanted of it.

The bytes are plain CDR, version 1, little-endian (OMG DDSI-RTPS 2.3, 10.2; CORBA 3.3, part 2, 9.3): each number at a
multiple of its size, counted from the end of the four bytes that say so. Whatever else they are raises ValueError: a
message that rclpy may make something of, or may not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct, error, unpack_from
from typing import Any

HEAD = 4  # bytes before the first field
_PLAIN = b"\0\1"


def start(data: bytes) -> int:
    """The place of the first field."""
    if data[:2] != _PLAIN:
        raise ValueError("not plain CDR, little-endian")
    return HEAD


def length(data: bytes, at: int) -> tuple[int, int]:
    """The length of a text or an array, and the place behind it."""
    at += -at % 4
    return int.from_bytes(data[at : at + 4], "little"), at + 4


def skip_text(data: bytes, at: int) -> int:
    """The place behind a text."""
    size, at = length(data, at)
    return at + size


def texts(data: bytes, at: int) -> tuple[list[str], int]:
    """An array of texts, and the place behind it."""
    count, at = length(data, at)
    found = []
    for _ in range(count):
        at += -at % 4
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data):
            raise ValueError("a text is cut off")
        found.append(data[at + 4 : end - 1].decode("utf-8", "replace"))
        at = end
    return found, at


def columns(data: bytes, at: int, codes: str, lengths: Sequence[int]) -> tuple[list[tuple[Any, ...]], int]:
    """Arrays of numbers of 8 bytes that follow each other, and the place behind them.

    codes: their struct formats. lengths: of each, none 0.
    """
    at += -at % 4
    layout = _layout(codes, tuple(lengths), (at - HEAD) % 8 == 0)
    try:
        values = layout.unpack_from(data, at)
    except error:
        raise ValueError("arrays are cut off") from None
    found, place = [], 0
    for count in lengths:
        if not count or values[place] != count:
            raise ValueError("an array of another length")
        found.append(values[place + 1 : place + 1 + count])
        place += 1 + count
    return found, at + layout.size


@lru_cache(maxsize=64)
def _layout(codes: str, lengths: tuple[int, ...], first_is_padded: bool) -> Struct:
    """Each array's length, and its numbers."""
    first, *others = [f"{count}{code}" for code, count in zip(codes, lengths, strict=True)]
    return Struct(f"<I{'4x' * first_is_padded}{first}" + "".join(f"I4x{one}" for one in others))


def numbers(data: bytes, at: int, layout: str) -> tuple[float, ...]:
    """Numbers of 8 bytes that follow each other. layout: as struct has it."""
    at += (HEAD - at) % 8
    try:
        return unpack_from(layout, data, at)
    except error:
        raise ValueError("numbers are cut off") from None
