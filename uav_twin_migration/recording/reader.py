"""Reads a recording, also a damaged one, as far as it goes; and makes it whole again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from uav_twin_migration.errors import InputError
from uav_twin_migration.recording import metadata
from uav_twin_migration.recording.library import missing
from uav_twin_migration.recording.metadata import File, Span, Topic
from uav_twin_migration.recording.writer import McapFile

MAGIC = b"\x89MCAP0\r\n"  # the digit is MCAP's version


class Recorded(NamedTuple):
    """One message of a recording."""

    topic: Topic
    time: int  # of reception, ns since the epoch
    data: bytes  # CDR


class Reader:
    """Goes through a recording from its beginning; afterwards knows what was wrong with it.

    Raises:
        InputError: there is no recording, or one of a newer version.
    """

    def __init__(self, source: Path) -> None:
        """`source`: a rosbag2 folder, or an MCAP file."""
        self.files = mcap_files(source)
        self.damage: list[str] = []  # one sentence each; empty for a whole recording
        self.topics: dict[str, Topic] = {}
        self.span = Span()

    def __iter__(self) -> Iterator[Recorded]:
        """Messages in the order in which they were written."""
        self.damage, self.topics, self.span = [], {}, Span()
        for file in self.files:
            yield from self._read(file)

    def _read(self, file: Path) -> Iterator[Recorded]:
        schemas: dict[int, Any] = {}
        channels: dict[int, Topic] = {}
        lost = 0
        _check_version(file)
        for record in self._records(file):
            kind = type(record).__name__
            if kind == "Schema":
                schemas[record.id] = record
            elif kind == "Channel" and record.schema_id in schemas:
                channels[record.id] = self._note(record, schemas[record.schema_id])
            elif kind == "Message" and record.channel_id in channels:
                topic = channels[record.channel_id]
                topic.messages += 1
                self.span.note(record.log_time)
                yield Recorded(topic, record.log_time, record.data)
            elif kind == "Message":
                lost += 1
        if lost:
            self.damage.append(f"{file}: {lost} messages are of topics whose announcement is lost")

    def _records(self, file: Path) -> Iterator[Any]:
        """What is in a file, without the parts that are broken."""
        try:
            from mcap.records import Chunk
            from mcap.stream_reader import StreamReader, breakup_chunk
        except ImportError:
            raise missing("mcap>=1.5") from None
        with open(file, "rb") as stream:
            size = file.stat().st_size
            try:
                for record in StreamReader(stream, emit_chunks=True, record_size_limit=size).records:
                    if not isinstance(record, Chunk):
                        yield record
                        continue
                    try:
                        inside = breakup_chunk(record, validate_crc=True)
                    except Exception as error:  # bad bytes raise whatever the decompressor or struct raises
                        self.damage.append(f"{file}: a chunk is broken and left out ({_first_line(error)})")
                        continue
                    yield from inside
            except Exception as error:  # the same, outside of a chunk: what follows cannot be found
                if stream.tell() >= size:
                    self.damage.append(f"{file}: was cut off; what stands before the cut is there")
                else:
                    self.damage.append(f"{file}: is broken at byte {stream.tell()} of {size} ({_first_line(error)})")

    def _note(self, channel: Any, schema: Any) -> Topic:
        about = (channel.metadata.get(key, "") for key in ("offered_qos_profiles", "topic_type_hash"))
        topic = Topic(channel.topic, schema.name, schema.data.decode(errors="replace"), *about)
        return self.topics.setdefault(topic.name, topic)


class Contents(NamedTuple):
    """What a recording holds."""

    topics: dict[str, Topic]
    span: Span
    damage: list[str]

    @property
    def messages(self) -> int:
        """Of all topics."""
        return sum(topic.messages for topic in self.topics.values())

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "messages": self.messages,
            "topics": {name: {"type": t.kind, "messages": t.messages} for name, t in sorted(self.topics.items())},
            "seconds": self.span.nanoseconds / 1e9,
            "damage": self.damage,
        }


def contents(source: Path) -> Contents:
    """Read a recording through. Raises InputError where there is none."""
    reader = Reader(source)
    for _ in reader:
        pass
    return Contents(reader.topics, reader.span, reader.damage)


def repair(directory: Path) -> Contents:
    """Write every damaged file of a recording anew, from what can be read of it, and its metadata.yaml.

    Whole files stay as they are. Returns what the recording now holds, with the damage there was.

    Raises:
        InputError: there is no recording.
    """
    if not directory.is_dir():
        raise InputError(str(directory), "folder", "no folder", "a recording's folder")
    found = contents(directory)
    if not found.damage and (directory / metadata.FILE).is_file():
        return found
    files = []
    for file in mcap_files(directory):
        held = contents(file)
        if held.damage:
            _rewrite(file)
        files.append(File(file.name, held.messages, held.span))
    metadata.write(directory, files, list(found.topics.values()))
    return found


def _rewrite(file: Path) -> None:
    """The readable part of a file in its place."""
    partial = file.with_name(file.name + ".part")
    partial.unlink(missing_ok=True)  # of a repair that was interrupted
    whole = McapFile(partial)
    for topic, time, data in Reader(file):
        if topic.name not in whole.topics:
            whole.add_topic(replace(topic, messages=0))
        whole.write(topic.name, data, time)
    whole.close()
    partial.replace(file)


def mcap_files(source: Path) -> list[Path]:
    """The MCAP files of a recording, in order. Raises InputError where there is none."""
    if source.is_file() and source.suffix == ".mcap":
        return [source]
    if not source.exists():
        raise InputError(str(source), "recording", "nothing there", "a rosbag2 folder or an .mcap file")
    files = sorted(source.glob("*.mcap"), key=lambda file: (len(file.name), file.name)) if source.is_dir() else []
    if not files:
        raise InputError(
            str(source), "recording", "no .mcap file", "a rosbag2 folder with MCAP files, or an .mcap file"
        )
    return files


def _check_version(file: Path) -> None:
    """Raises InputError for a file that a newer MCAP made: it is not broken, and `repair` must leave it alone.

    A file ends as it begins: one that ends as ours do is ours, with a wrong byte in front.
    """
    with open(file, "rb") as stream:
        magic = stream.read(len(MAGIC))
        stream.seek(-min(len(MAGIC), file.stat().st_size), os.SEEK_END)
        is_ours = stream.read() == MAGIC
    newer = magic[:5] == MAGIC[:5] and magic[6:] == MAGIC[6:] and magic[5:6] > MAGIC[5:6]
    if newer and not is_ours:
        version = f"MCAP {magic[5:6].decode(errors='replace')}"
        raise InputError(str(file), "format", version, "MCAP 0; upgrade this software to read newer ones")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0][:100]
