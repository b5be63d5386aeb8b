"""Writes a recording."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from uav_twin_migration.errors import InputError, missing_library
from uav_twin_migration.recording import metadata
from uav_twin_migration.recording.metadata import Attachment, File, Span, Topic

ABOUT = "uav_twin_migration"  # the metadata record that says what a recording is of
CHUNK_SIZE = 1 << 20  # bytes; a chunk ends earlier where `flush` is called
MOST_DESCRIBING = (
    20.0  # times as long as metadata.yaml takes to write until it is written again: it grows with the files
)
LARGEST_SEQUENCE = 0xFFFFFFFF  # MCAP has 32 bits for it


class McapFile:
    """A new MCAP file with ROS 2 messages. What was written before the last `flush` outlives the process.

    Raises:
        UavTwinError: the library is missing.
        OSError: the file exists or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        try:
            from mcap.writer import Writer
        except ImportError:
            raise missing_library("recordings need", "mcap>=1.5") from None
        self.path = path
        self.topics: dict[str, Topic] = {}
        self.span = Span()
        self._channels: dict[str, int] = {}
        self._stream = open(path, "xb")  # noqa: SIM115 - closed by `close`
        self._writer: Any = Writer(self._stream, chunk_size=CHUNK_SIZE)
        self._writer.start(profile="ros2", library="uav_twin_migration")

    def add_topic(self, topic: Topic) -> None:
        """Announce a topic before its first message."""
        schema = 0  # MCAP's word for none
        if topic.kind:
            schema = self._writer.register_schema(topic.kind, topic.language, topic.definition.encode())
        about = {"offered_qos_profiles": topic.qos, "topic_type_hash": topic.hash}
        self._channels[topic.key] = self._writer.register_channel(topic.name, topic.encoding, schema, about)
        self.topics[topic.key] = topic

    def write(
        self, topic: str, data: bytes, time: int, published: int | None = None, sequence: int | None = None
    ) -> None:
        """One serialised message of an announced topic (its key), received at `time`, published at `published`, ns."""
        self.topics[topic].messages += 1
        sequence = self.topics[topic].messages if sequence is None else sequence
        published = time if published is None else published
        self._writer.add_message(self._channels[topic], time, data, published, sequence & LARGEST_SEQUENCE)
        self.span.note(time)

    def describe(self, name: str, about: Mapping[str, str]) -> None:
        """Write a metadata record: words under a name."""
        self._writer.add_metadata(name, dict(about))

    def attach(self, attachment: Attachment) -> None:
        """Write a file into the file."""
        one = attachment
        self._writer.add_attachment(one.created, one.time, one.name, one.media_type, one.data)

    def flush(self) -> None:
        """Put into the file what has been written so far."""
        self._writer.flush()

    def close(self) -> None:
        """End the file with its index."""
        self._writer.finish()
        self._stream.close()

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._stream.closed

    def about(self) -> File:
        """For the folder's metadata."""
        return File(self.path.name, sum(topic.messages for topic in self.topics.values()), self.span)


class Recording:
    """A new rosbag2 folder, with one file or more. Each file holds what is said of the whole and its attachments.

    Raises:
        InputError: the folder is not empty, or cannot be made.
    """

    def __init__(
        self, directory: Path, about: Mapping[str, str] | None = None, attachments: Sequence[Attachment] = ()
    ) -> None:
        self.directory = directory
        self._about, self._attachments = dict(about or {}), attachments
        self._ended: list[File] = []
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise InputError(str(directory), "folder", "one that is not empty", "a new or empty one to record to")
            self._file = self._next_file()
        except OSError as error:
            raise InputError(str(directory), "folder", error.strerror or str(error), "one to record to") from None
        self.topics: dict[str, Topic] = {}
        self._described_at, self._describing = -math.inf, 0.0  # s, and how long it took
        self.flush()

    def _next_file(self) -> McapFile:
        file = McapFile(self.directory / f"{self.directory.resolve().name}_{len(self._ended)}.mcap")
        if self._about:
            file.describe(ABOUT, self._about)
        for attachment in self._attachments:
            file.attach(attachment)
        return file

    def add_topic(self, topic: Topic) -> None:
        """Announce a topic before its first message."""
        self.topics[topic.name] = topic
        self._file.add_topic(replace(topic))

    def write(self, topic: str, data: bytes, time: int) -> None:
        """One serialised message (CDR) of an announced topic, received at `time`, ns since the epoch."""
        self.topics[topic].messages += 1
        self._file.write(topic, data, time)

    def split(self) -> None:
        """Go on in a new file: the index of one that is open is kept in memory, and grows."""
        self._file.close()
        self._ended.append(self._file.about())
        self._file = self._next_file()
        for topic in self.topics.values():
            self._file.add_topic(replace(topic, messages=0))
        self._describe()

    def flush(self) -> None:
        """Put into the folder what has been written so far: a kill cannot take it away."""
        self._file.flush()
        if time.monotonic() - self._described_at >= MOST_DESCRIBING * self._describing:
            self._describe()

    def close(self) -> None:
        """End the recording with its index; a second call does nothing."""
        if not self._file.closed:
            self._file.close()
            self._describe()

    def _describe(self) -> None:
        began = time.monotonic()
        metadata.write(self.directory, [*self._ended, self._file.about()], list(self.topics.values()), self._about)
        self._described_at = time.monotonic()
        self._describing = self._described_at - began
