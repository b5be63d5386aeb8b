"""Frames: what is said is what is heard, however it is cut; and nothing else is a frame."""

from __future__ import annotations

import contextlib
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.chunks import Chunk, digest
from uav_twin_migration.twin.protocol.messages import Data, Known, Purpose, Reason, Stamp

whole = st.integers(0, (1 << 62) - 1)
seconds = st.floats(0.0, 1e9)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,63}", fullmatch=True)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    int: whole,
    str: st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=64),
    float: seconds,
    bytes: st.binary(min_size=32, max_size=32),
    Purpose: st.sampled_from(list(Purpose)),
    Reason: st.sampled_from(list(Reason)),
    Stamp: st.builds(Stamp, whole, seconds),
    Stamp | None: st.none() | st.builds(Stamp, whole, seconds),
}


def messages(kind: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    values = {field.name: VALUES[hints[field.name]] for field in fields(kind)}
    return st.builds(kind, **{name: names if name in ("uav", "rsu") else value for name, value in values.items()})


known = st.builds(Known, names, whole, st.lists(VALUES[bytes], max_size=9).map(tuple))
anything = st.one_of([*[messages(kind) for kind in wire._KINDS.values()], known])


def heard(data: bytes, cuts: list[int] | None = None, trusted: bool = True) -> list[Any]:
    """The frames in a stream, read in pieces of the given sizes and then of one byte."""
    reader, frames = wire.FrameReader(), []
    reader.trusted = trusted
    sizes = iter(cuts or [])
    while data:
        room = reader.room()
        size = min(len(room), len(data), next(sizes, 1 << 20))
        room[:size] = data[:size]
        frame, data = reader.filled(size), data[size:]
        frames += [frame] if frame is not None else []
    return frames


@given(said=st.lists(anything, max_size=4), cuts=st.lists(st.integers(1, 40), max_size=60))
def test_what_is_said_is_heard_however_it_is_cut(said: list[Any], cuts: list[int]) -> None:
    assert heard(b"".join(map(wire.encode, said)), cuts) == said


@given(
    uav=names,
    session=whole,
    after=st.integers(0, 1 << 40),
    contents=st.lists(st.binary(max_size=200), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 100), max_size=60),
)
def test_chunks_arrive_as_they_are(uav: str, session: int, after: int, contents: list[bytes], cuts: list[int]) -> None:
    chunks = [Chunk(n, after + 1 + 2 * n, digest(content), content) for n, content in enumerate(contents)]
    data = Data(uav, session, after, chunks[-1].version)
    sent = b"".join(wire.encode_chunks(data, chunks))
    assert wire.size_of(wire.Chunks(data, tuple(chunks))) == len(sent)
    (frame,) = heard(sent, cuts)
    assert (frame.data, frame.intact) == (data, True)
    assert [chunk._replace(content=bytes(chunk.content)) for chunk in frame.chunks] == chunks


@given(data=st.binary(max_size=300), trusted=st.booleans())
def test_other_bytes_are_no_frame_and_nothing_worse(data: bytes, trusted: bool) -> None:
    with contextlib.suppress(wire.WireError):
        heard(data, trusted=trusted)


@given(message=anything, place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_spoilt_frame_is_no_frame_or_another_one_but_nothing_worse(message: Any, place: int, byte: int) -> None:
    frame = bytearray(wire.encode(message))
    frame[place % len(frame)] = byte
    with contextlib.suppress(wire.WireError):
        heard(bytes(frame))


def test_who_is_not_yet_known_cannot_have_memory_reserved() -> None:
    chunk = Chunk(0, 1, digest(bytes(5000)), bytes(5000))
    frame = b"".join(wire.encode_chunks(Data("u1", 1, 0, 1), [chunk]))
    assert len(heard(frame)) == 1
    with pytest.raises(wire.WireError, match="at most 4096"):
        heard(frame, trusted=False)


@pytest.mark.parametrize("versions", [(1, 1), (2, 1), (0, 1)])
def test_versions_that_do_not_rise_are_no_frame(versions: tuple[int, int]) -> None:
    chunks = [Chunk(number, version, digest(b""), b"") for number, version in enumerate(versions)]
    with pytest.raises(wire.WireError, match="do not rise"):
        heard(b"".join(wire.encode_chunks(Data("u1", 1, 0, versions[-1]), chunks)))
