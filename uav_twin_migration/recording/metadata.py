"""rosbag2's metadata.yaml: what `ros2 bag info` shows without opening the recording."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = "metadata.yaml"
# Version 8 is the last one that also ROS 2 Humble's rosbag2 can read: later ones hold QoS profiles as lists.
VERSION = 8


@dataclass
class Topic:
    """A recorded topic."""

    name: str
    kind: str  # for example "std_msgs/msg/Header"; empty for messages that say nothing of their type
    definition: str = ""  # of the type, with those of all types within it
    qos: str = ""  # YAML list of the publishers' QoS profiles, as rosbag2 has it
    hash: str = ""  # RIHS01 of the type; empty where it is not known
    messages: int = 0
    encoding: str = "cdr"  # of the messages
    language: str = "ros2msg"  # of the definition
    channel: str = ""  # what tells it from another topic of its name, whose messages are of another type

    @property
    def key(self) -> str:
        """What no other topic of a recording is called."""
        return self.channel or self.name

    def is_like(self, other: Topic) -> bool:
        """Whether the messages of both can be read in the same way."""
        return (self.kind, self.definition, self.encoding) == (other.kind, other.definition, other.encoding)


@dataclass(frozen=True)
class Attachment:
    """A file within a recording."""

    name: str
    media_type: str
    data: bytes
    time: int = 0  # ns, as messages have it
    created: int = 0  # ns


@dataclass
class Span:
    """When the messages were recorded, ns since the epoch; None where there are none."""

    first: int | None = None
    last: int | None = None

    def note(self, time: int) -> None:
        """Another message."""
        self.first = time if self.first is None else min(self.first, time)
        self.last = time if self.last is None else max(self.last, time)

    @property
    def nanoseconds(self) -> int:
        """From the first to the last message."""
        return 0 if self.first is None or self.last is None else self.last - self.first


@dataclass(frozen=True)
class File:
    """One file of a recording."""

    name: str
    messages: int
    span: Span


def write(
    directory: Path, files: Sequence[File], topics: Sequence[Topic], about: Mapping[str, str] | None = None
) -> None:
    """Write the folder's metadata.yaml; never half of it. `about`: what rosbag2 calls custom data."""
    whole = Span()
    for time in (time for file in files for time in (file.span.first, file.span.last)):
        if time is not None:
            whole.note(time)
    document = {
        "version": VERSION,
        "storage_identifier": "mcap",
        **_times(whole),
        "message_count": sum(file.messages for file in files),
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.kind,
                    "serialization_format": topic.encoding,
                    "offered_qos_profiles": topic.qos,
                    "type_description_hash": topic.hash,
                },
                "message_count": topic.messages,
            }
            for topic in topics
        ],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file.name for file in files],
        "files": [{"path": file.name, **_times(file.span), "message_count": file.messages} for file in files],
        "custom_data": dict(about) if about else None,
        "ros_distro": os.environ.get("ROS_DISTRO", "unknown"),
    }
    text = yaml.dump({"rosbag2_bagfile_information": document}, sort_keys=False, Dumper=_NoAliases)
    partial = directory / (FILE + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(directory / FILE)


def _times(span: Span) -> dict[str, dict[str, int]]:
    return {
        "duration": {"nanoseconds": span.nanoseconds},
        "starting_time": {"nanoseconds_since_epoch": span.first or 0},
    }


class _NoAliases(yaml.SafeDumper):
    """Writes the same value twice where it stands twice: rosbag2's other readers need not know anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True
