"""Feeds readers of what comes from outside with what nobody expects, and notes what they should not have done.

A mutation fuzzer: it changes seeds that are right (bits, bytes, numbers, brackets, pieces of each other), and keeps a
changed one that a reader takes, or refuses in words that are new, to change it further.
"""

from __future__ import annotations

import json
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from uav_twin_migration.bounded import read_json
from uav_twin_migration.errors import InputError
from uav_twin_migration.policy import artifact
from uav_twin_migration.radio import radio_map
from uav_twin_migration.recording.reader import Reader as RecordingReader
from uav_twin_migration.scenario.load import dump, load, loads
from uav_twin_migration.security.message_signature import MessageVerifier
from uav_twin_migration.shipped import shipped_file
from uav_twin_migration.studies.harnesses import fuzzing_messages
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.hosting.twin import UavTwins
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.chunks import Chunk, digest
from uav_twin_migration.twin.protocol.messages import Data, Fenced, Known, Offer, PeerMessage, Purpose, Stamp, Verified

SLOW = 0.05  # s of CPU that an input may take
LARGE = 50 * 1024  # KiB of memory by which an input may have the process grow
MOST_KEPT = 512  # inputs
LARGEST = 1 << 16  # bytes of an input
PIECES = (b"9" * 401, b"[" * 2000, b"{}", b"NaN", b"-1", b"1e999", b"null", b'"\\ud800"', b"\xff" * 8, b"\0" * 8, b"")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Reader(NamedTuple):
    """One reader: what it does with bytes, the one exception that it may raise, and inputs that are right."""

    read: Callable[[bytes], object]
    declared: tuple[type[Exception], ...]
    seeds: Callable[[], Sequence[bytes]]


class Finding(NamedTuple):
    """What a reader should not have done."""

    what: str
    data: bytes


class Result(NamedTuple):
    """One reader's run."""

    executions: int
    taken: int  # inputs that it read
    slowest: float  # s of CPU
    findings: list[Finding]


def _artifacts() -> Sequence[bytes]:
    path = shipped_file("config/policies/default.safetensors")
    return [path.read_bytes()] if path is not None else [b""]


def _frames() -> Sequence[bytes]:
    said: list[wire.Hello | PeerMessage] = [
        wire.Hello("north"),
        Offer("uav_1", 3, 1 << 24, Purpose.MIGRATION, 1000, 1024, "uav_twin/1"),
        Verified("uav_1", 3, 10, Stamp(1, 2.5)),
        Fenced("uav_1", 1 << 40),
        Known("uav_1", 3, (digest(b"content"),)),
    ]
    chunk = Chunk(0, 1, digest(b"content"), b"content")
    chunks = b"".join(wire.encode_chunks(Data("uav_1", 3, 0, 1), [chunk]))
    return [*map(wire.encode, said), chunks]


def _read_frames(data: bytes) -> None:
    """All frames in a stream, as a link would."""
    reader = wire.FrameReader()
    reader.trusted = True
    while data:
        room = reader.room()
        size = min(len(room), len(data))
        room[:size] = data[:size]
        reader.filled(size)
        data = data[size:]


def _heads() -> Sequence[bytes]:
    twin = UavTwins().create("uav_1", 1000)
    twin.observe(Telemetry(1, 1.0, (1.0, 2.0, 3.0), (0.0, 0.0, 0.0)), 1.0)
    pieces = {piece.number: bytes(piece.content) for piece in twin.snapshot()}
    return [pieces[0] + b"\0" + pieces[1]]


def _read_snapshot(data: bytes) -> None:
    head, _, block = data.partition(b"\0")
    twin = UavTwins().restore("uav_1", {0: head, 1: block}.get)
    twin.estimate(1e9)  # what is adopted is served, fed and written
    twin.observe(Telemetry(1 << 62, 1e10, (1.0, 2.0, 3.0), (0.0, 0.0, 0.0)), 1e10)
    twin.estimate(1e10)
    twin.changes_since(0)


def _radio_maps() -> Sequence[bytes]:
    codes = np.full((1, 2, 3, 4), 140, dtype=np.uint8)
    grid = ("west",), np.array([[0.0, 0.0, 15.0]]), 3.5, np.array([90.0, 110.0]), (-15.0, -10.0), 10.0, codes
    return [radio_map.to_bytes(radio_map.RadioMap(*grid, {"scenario": "small"}))]


def _read_signature(data: bytes) -> None:
    verifier = MessageVerifier(bytes(32))
    verifier.refusal("rsu_1", b"content", data, 0.0)
    verifier.refusal_of_uavs(["uav_1"], b"content", data, 0.0)


def _recordings() -> Sequence[bytes]:
    """A file of MCAP, compressed and not, with one message."""
    from io import BytesIO

    from mcap.writer import CompressionType, Writer

    made = []
    for compression in (CompressionType.NONE, CompressionType.ZSTD):
        stream = BytesIO()
        writer = Writer(stream, compression=compression)
        writer.start("ros2", "")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data")
        channel = writer.register_channel("/a", "cdr", schema)
        writer.add_message(channel, 1, b"\0\1\0\0\2\0\0\0a\0", 1)
        writer.add_metadata("scenario", {"name": "small"})
        writer.finish()
        made.append(stream.getvalue())
    return made


def _read_recording(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".mcap", dir=_in_memory()) as file:
        file.write(data)
        file.flush()
        for recorded in RecordingReader(Path(file.name)):
            assert len(recorded.data) <= len(data) + LARGEST


def _in_memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


READERS: dict[str, Reader] = {
    "artifacts": Reader(artifact.from_bytes, (artifact.PolicyRefused,), _artifacts),
    "frames": Reader(_read_frames, (wire.WireError,), _frames),
    "snapshots": Reader(_read_snapshot, (ValueError,), _heads),
    "signatures": Reader(_read_signature, (), lambda: [bytes(168), bytes(200), b"\xff" * 168 + b"uav_1"]),
    "messages": Reader(fuzzing_messages.read, (), fuzzing_messages.seeds),
    "bytes of messages": Reader(fuzzing_messages.read_bytes, (ValueError,), fuzzing_messages.seeds_of_bytes),
    "recordings": Reader(_read_recording, (InputError,), _recordings),
    "radio maps": Reader(radio_map.from_bytes, (ValueError,), _radio_maps),
    "json": Reader(
        lambda data: read_json(data, LARGEST), (ValueError,), lambda: [json.dumps({"a": [1, 2.5, None]}).encode()]
    ),
    "scenarios": Reader(
        lambda data: loads(data.decode("utf-8", "replace")), (InputError,), lambda: [dump(load("small")).encode()]
    ),
}


def mutated(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """An input with a few changes."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        at = chance.randrange(len(changed) + 1)
        kind = chance.randrange(6)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = chance.randrange(256)
        elif kind == 2:
            del changed[at : at + chance.choice((1, 4, 64))]
        elif kind == 3:
            changed[at:at] = chance.choice(PIECES)
        elif kind == 4:
            numbers = list(_NUMBER.finditer(changed))
            if numbers:
                number = chance.choice(numbers[:1000])
                changed[number.start() : number.end()] = chance.choice(PIECES)
        else:
            other = chance.choice(others)
            begin = chance.randrange(len(other) + 1)
            changed[at : at + chance.randrange(64)] = other[begin : begin + chance.randrange(1, 256)]
    return bytes(changed[:LARGEST])


def tried(reader: Reader, data: bytes) -> tuple[str, float]:
    """What a reader says to an input (empty: it was read), and how long that took, s of CPU.

    Raises what the reader should not have raised.
    """
    began, said = time.process_time(), ""
    try:
        reader.read(data)
    except reader.declared as error:
        said = re.sub(r"\d+|'.*'|\".*\"", "", str(error))[:80]
    return said, time.process_time() - began


def fuzz(
    reader: Reader, seconds: float, seed: int, executions: int = sys.maxsize, kept: Sequence[bytes] = ()
) -> Result:
    """Try inputs for so long, or so many. The same seed makes the same inputs, as far as it gets.

    kept: inputs of earlier runs, to begin with.
    """
    chance, corpus = random.Random(seed), [*reader.seeds(), *kept]
    heard, findings, taken, slowest, count = {""}, dict[str, Finding](), 0, 0.0, 0
    end = time.monotonic() + seconds
    while count < executions and time.monotonic() < end:
        data = mutated(chance.choice(corpus), corpus, chance) if count >= len(corpus) else corpus[count]
        count += 1
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            said, took = tried(reader, data)
            if took > SLOW:  # once more: somebody else may have had the CPU's caches
                took = min(took, tried(reader, data)[1])
        except Exception as error:
            findings.setdefault(type(error).__name__, Finding(f"{type(error).__name__}: {error}"[:200], data))
            continue
        taken, slowest = taken + (not said), max(slowest, took)
        if took > SLOW:
            findings.setdefault("slow", Finding(f"{took:.3f} s for {len(data)} bytes", data))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        if grown > LARGE:
            findings.setdefault("large", Finding(f"{grown / 1024:.0f} MiB for {len(data)} bytes", data))
        if (said not in heard or (not said and chance.random() < 0.01)) and len(corpus) < MOST_KEPT:
            heard.add(said)
            corpus.append(data)
    return Result(count, taken, slowest, list(findings.values()))
