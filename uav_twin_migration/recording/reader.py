"""Reads a recording, also a damaged one, as far as it goes."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from uav_twin_migration.bounded import is_deep_yaml
from uav_twin_migration.errors import InputError, missing_library
from uav_twin_migration.recording import metadata, scan
from uav_twin_migration.recording.metadata import Attachment, Span, Topic

SUFFIXES = (".mcap", ".mcap.zstd")
LARGEST_CHUNK = 1 << 30  # bytes, decompressed


class Recorded(NamedTuple):
    """One message of a recording."""

    topic: Topic
    time: int  # at which it was received, ns: simulated time in a simulation, else since the epoch
    data: bytes  # as its topic's `encoding` has it: CDR in what ROS 2 records
    published: int = 0  # ns
    sequence: int = 0


class Reader:
    """Goes through a recording from its beginning; afterwards knows what it holds and what was wrong with it.

    Raises:
        InputError: there is no recording, or one of a newer version.
    """

    def __init__(self, source: Path) -> None:
        """`source`: a rosbag2 folder, or an MCAP file."""
        self.notes: list[str] = []  # one sentence each on what is left out, or is not as usual
        self.files = mcap_files(source, self.notes.append)
        self._notes = list(self.notes)
        self.damage: list[str] = []  # one sentence each; empty for a whole recording
        self.topics: dict[str, Topic] = {}
        self.span = Span()
        self.attachments: dict[str, Attachment] = {}  # by name
        self.about: dict[str, dict[str, str]] = {}  # MCAP's metadata records, by name

    def __iter__(self) -> Iterator[Recorded]:
        """Messages in the order in which they were written."""
        self.damage, self.topics, self.span = [], {}, Span()
        self.notes, self.attachments, self.about = list(self._notes), {}, {}
        for file in self.files:
            yield from self._read(file)

    def _read(self, file: Path) -> Iterator[Recorded]:
        try:
            with scan.content(file) as data:
                found = list(scan.parts(data))
                if len(found) > 1:
                    self.notes.append(f"{file}: {len(found)} files stand one after another; all are read")
                for part in found:
                    yield from self._read_part(file, data, part)
        except ImportError:
            raise missing_library("recordings need", "mcap>=1.5") from None
        except InputError as error:
            if len(self.files) == 1:
                raise
            self.damage.append(f"{error}; it is left out")

    def _read_part(self, file: Path, data: mmap.mmap | bytes, part: scan.Part) -> Iterator[Recorded]:
        for hole in part.holes[: None if part.whole else -1]:
            self.damage.append(f"{file}: bytes {hole.start} to {hole.end} of {len(data)} are broken and left out")
        if not part.whole:
            at = part.holes[-1].start if part.holes else len(data)
            rest = f"byte {at} of {len(data)}"
            self.damage.append(f"{file}: was cut off, or is broken from {rest} on; what stands before is there")
        told = len(self.damage)
        announced = _Announced(self._note)
        for piece in part.pieces:  # also at a file's end: what a hole swallowed is announced there again
            if piece.kind in (scan.SCHEMA, scan.CHANNEL):
                for record in self._try(file, "an announcement", partial(_inside, data, piece)):
                    announced.take(record)
        read = lost = 0
        for piece in part.pieces:
            what = "a chunk" if piece.kind == scan.CHUNK else "a record"
            for record in self._try(file, what, partial(_inside, data, piece)):
                kind = type(record).__name__
                if kind in ("Schema", "Channel"):
                    announced.take(record)
                elif kind == "Message" and (topic := announced.topic(record.channel_id)) is not None:
                    read += 1
                    topic.messages += 1
                    self.span.note(record.log_time)
                    yield Recorded(topic, record.log_time, record.data, record.publish_time, record.sequence)
                elif kind == "Message":
                    lost += 1
                elif kind == "Attachment":
                    kept = Attachment(record.name, record.media_type, record.data, record.log_time, record.create_time)
                    self.attachments.setdefault(record.name, kept)
                elif kind == "Metadata":
                    self.about.setdefault(record.name, dict(record.metadata))
        if lost:
            self.damage.append(f"{file}: {lost} messages are of topics whose announcement is lost")
        counted = _counted(data, part)
        if counted not in (None, read) and len(self.damage) == told:  # a wrong byte made one kind of record another
            self.damage.append(f"{file}: {read} messages were found, and it counts {counted}")

    def _try(self, file: Path, what: str, read: Callable[[], list[Any]]) -> list[Any]:
        try:
            return read()
        except ImportError:
            raise
        except Exception as error:  # bad bytes raise whatever the decompressor or struct raises
            self.damage.append(f"{file}: {what} is broken and left out ({_first_line(error)})")
            return []

    def _note(self, topic: Topic) -> Topic:
        """The topic as it is known already; one whose messages are of another kind than before is another topic."""
        known = self.topics.get(topic.name)
        if known is not None and not known.is_like(topic):
            topic.channel = f"{topic.name} ({topic.kind})" if topic.kind != known.kind else f"{topic.name} (again)"
            known = self.topics.get(topic.channel)
            if known is None:
                self.notes.append(f"{topic.name}: its type {topic.kind or 'without a schema'} is defined in two ways")
        return self.topics.setdefault(topic.key, topic)


class _Announced:
    """The schemas and channels of one file."""

    def __init__(self, note: Callable[[Topic], Topic]) -> None:
        self._note = note
        self._schemas: dict[int, Any] = {}
        self._channels: dict[int, Any] = {}
        self._topics: dict[int, Topic] = {}

    def take(self, record: Any) -> None:
        if type(record).__name__ == "Schema":
            self._schemas[record.id] = record
        elif record.id not in self._topics:
            self._channels[record.id] = record

    def topic(self, channel: int) -> Topic | None:
        """What a channel's messages are of; None where that is not known."""
        if channel not in self._topics:
            record = self._channels.get(channel)
            schema = self._schemas.get(record.schema_id) if record is not None else None
            if record is None or (schema is None and record.schema_id):
                return None
            about = record.metadata
            self._topics[channel] = self._note(
                Topic(
                    name=record.topic,
                    kind="" if schema is None else schema.name,
                    definition="" if schema is None else schema.data.decode(errors="replace"),
                    qos=about.get("offered_qos_profiles", ""),
                    hash=about.get("topic_type_hash", ""),
                    encoding=record.message_encoding,
                    language="" if schema is None else schema.encoding,
                )
            )
        return self._topics[channel]


def _counted(data: mmap.mmap | bytes, part: scan.Part) -> int | None:
    """How many messages a file says that it holds; None where it does not say."""
    said = [piece.start for piece in part.pieces if piece.kind == scan.STATISTICS]
    return int.from_bytes(data[said[-1] : said[-1] + 8], "little") if said else None


def _decoded(data: mmap.mmap | bytes, piece: scan.Piece) -> Any:
    from mcap import records
    from mcap.data_stream import ReadDataStream

    kinds = {scan.SCHEMA: "Schema", scan.CHANNEL: "Channel", scan.CHUNK: "Chunk"}
    kinds |= {scan.ATTACHMENT: "Attachment", scan.METADATA: "Metadata"}
    stream = ReadDataStream(BytesIO(data[piece.start : piece.end]))
    if piece.kind == scan.MESSAGE:
        return records.Message.read(stream, piece.end - piece.start)
    return getattr(records, kinds[piece.kind]).read(stream) if piece.kind in kinds else None


def _inside(data: mmap.mmap | bytes, piece: scan.Piece) -> list[Any]:
    """A record, or what is in it where it is a chunk."""
    record = _decoded(data, piece)
    if piece.kind != scan.CHUNK:
        return [record]
    from mcap.stream_reader import breakup_chunk

    if record.compression == "zstd":
        import zstandard

        claimed = zstandard.frame_content_size(record.data)
    else:
        claimed = record.uncompressed_size
    if max(claimed, record.uncompressed_size) > LARGEST_CHUNK:
        raise ValueError(f"{claimed} bytes in a chunk are more than {LARGEST_CHUNK}")
    return list(breakup_chunk(record, validate_crc=True))


class Contents(NamedTuple):
    """What a recording holds."""

    topics: dict[str, Topic]
    span: Span
    damage: list[str]
    notes: list[str]
    attachments: dict[str, Attachment]
    about: dict[str, dict[str, str]]

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
            "notes": self.notes,
            "attachments": {name: len(one.data) for name, one in self.attachments.items()},
            "about": self.about,
        }


def contents(source: Path) -> Contents:
    """Read a recording through. Raises InputError where there is none."""
    reader = Reader(source)
    for _ in reader:
        pass
    topics = {name: topic for name, topic in reader.topics.items() if topic.messages}
    return Contents(topics, reader.span, reader.damage, reader.notes, reader.attachments, reader.about)


def mcap_files(source: Path, tell: Callable[[str], None] = lambda sentence: None) -> list[Path]:
    """The MCAP files of a recording, in order; `tell` gets a sentence on each that is not part of it.

    Where metadata.yaml names files, those belong to it, and others that go on with their numbering.

    Raises:
        InputError: there is none.
    """
    if source.is_file() and source.name.endswith(SUFFIXES):
        return [source]
    expected = "a rosbag2 folder with MCAP files, or an .mcap file"
    if not source.exists():
        raise InputError(str(source), "recording", "nothing there", expected)
    if not source.is_dir():
        raise InputError(str(source), "recording", "a file of another name", expected)
    files = [file for file in source.iterdir() if file.name.endswith(SUFFIXES) and file.is_file()]
    if not files:
        other = "SQLite; convert it with `ros2 bag convert`" if list(source.glob("*.db3")) else "no .mcap file"
        raise InputError(str(source), "recording", other, expected)
    files.sort(key=lambda file: (len(file.name), file.name))
    named = _named_files(source / metadata.FILE)
    series = {_series(name) for name in named}
    for file in files:
        if named and _series(file.name) not in series:
            tell(f"{file}: metadata.yaml does not name it; it is left out")
    return [file for file in files if not named or _series(file.name) in series]


def _named_files(file: Path) -> list[str]:
    """The files that metadata.yaml names and that are there; none where it cannot be read."""
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        text = file.read_text(encoding="utf-8")
        document = {} if is_deep_yaml(text) else yaml.load(text, Loader=loader)
        names = [str(name) for name in document["rosbag2_bagfile_information"]["relative_file_paths"]]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, RecursionError):
        return []
    return [name for name in names if (file.parent / name).is_file()]


def _series(name: str) -> str:
    """A file's name without its number: what the files of one recording have in common."""
    return name.partition(".mcap")[0].rstrip("0123456789")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0][:100]
