"""Damage of every kind: nothing is destroyed, and no message is lost that can be found."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcap", reason="needs the libraries of recordings")

import zstandard
from hypothesis import example, given
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from test.recording.test_recording import STRING, cdr_string, numbers, record
from uav_twin_migration.cli.main import main
from uav_twin_migration.errors import InputError
from uav_twin_migration.recording.metadata import Attachment, Topic
from uav_twin_migration.recording.reader import Reader, contents
from uav_twin_migration.recording.repair import repair
from uav_twin_migration.recording.writer import ABOUT, McapFile, Recording


def only_file(directory: Path) -> Path:
    (file,) = directory.glob("*.mcap*")
    return file


def fingerprints(folder: Path) -> dict[str, str]:
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


def chunks(file: Path) -> list[tuple[int, int]]:
    """Where the chunks of a whole file begin, and how long they are."""
    with open(file, "rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    return [(chunk.chunk_start_offset, chunk.chunk_length) for chunk in summary.chunk_indexes]


def test_after_a_hole_the_next_chunk_is_found(tmp_path: Path) -> None:
    """Also where the hole covers the head of a chunk, and the announcements within it."""
    record(tmp_path / "bag", 6)
    file = only_file(tmp_path / "bag")
    (first, _), (second, length), *_ = chunks(file)
    data = bytearray(file.read_bytes())
    data[first + 20 : second + length - 5] = bytes(second + length - 5 - first - 20)
    file.write_bytes(data)
    before = fingerprints(tmp_path)
    found = repair(tmp_path / "bag")
    assert found.folder is not None
    assert numbers(found.folder) == list(range(20, 60))
    assert before.items() <= fingerprints(tmp_path).items()


@given(start=st.integers(0, 4000), length=st.integers(1, 600), seed=st.integers(0, 9))
@example(start=9, length=1, seed=0)  # the length of the header, which then reaches into the first chunk
def test_wherever_the_hole_no_other_chunk_is_lost(
    tmp_path_factory: pytest.TempPathFactory, start: int, length: int, seed: int
) -> None:
    directory = tmp_path_factory.mktemp("hole") / "bag"
    record(directory, 8)
    file = only_file(directory)
    places = chunks(file)
    data = bytearray(file.read_bytes())
    start %= len(data)
    end = min(start + length, len(data))
    data[start:end] = random.Random(seed).randbytes(end - start)
    file.write_bytes(data)
    safe = [k for k, (at, size) in enumerate(places) if at + size <= start or at >= end]
    try:
        said = set(numbers(directory))
    except InputError:
        assert start < 8 or not safe
        return
    if all(end <= at or start >= at + size for at, size in places[:1]):  # announcements stand in the first chunk
        assert {10 * k + i for k in safe for i in range(10)} <= said


def test_what_is_no_recording_stays_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bag").mkdir()
    for number, content in enumerate((b"<html>" * 400, b"\x00" * 5000, b"PK\x03\x04" + bytes(90), b"text")):
        (tmp_path / "bag" / "bag_0.mcap").write_bytes(content)
        before = fingerprints(tmp_path)
        assert main(["bag", "repair", str(tmp_path / "bag")]) == 2, number
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert fingerprints(tmp_path) == before


def test_a_file_compressed_as_a_whole_is_read(tmp_path: Path) -> None:
    for name in ("bag_0.mcap.zstd", "bag_0.mcap"):  # as rosbag2 names it, and as people do
        directory = tmp_path / name
        record(directory / "bag", 3)
        file = only_file(directory / "bag")
        packed = zstandard.compress(file.read_bytes())
        file.unlink()
        (directory / "bag" / name).write_bytes(packed)
        (directory / "bag" / "metadata.yaml").unlink()
        before = fingerprints(directory)
        assert numbers(directory / "bag") == list(range(30))
        assert repair(directory / "bag").folder is None
        assert before.items() <= fingerprints(directory).items()
        (directory / "bag" / name).write_bytes(packed[: len(packed) // 2])
        assert contents(directory / "bag").damage


def test_files_one_after_another_are_all_read(tmp_path: Path) -> None:
    record(tmp_path / "one", 2)
    record(tmp_path / "two", 3)
    both = tmp_path / "both.mcap"
    both.write_bytes(only_file(tmp_path / "one").read_bytes() + only_file(tmp_path / "two").read_bytes())
    assert numbers(both) == [*range(20), *range(30)]
    (note,) = contents(both).notes
    assert "2 files" in note
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(both.read_bytes()[: -only_file(tmp_path / "two").stat().st_size // 3])
    found = repair(cut)
    assert found.folder is not None
    assert len(numbers(found.folder)) == found.found.messages > 20


def test_messages_without_a_schema_and_attachments_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "bag.mcap"
    with open(file, "wb") as stream:
        writer = Writer(stream, chunk_size=200, compression=CompressionType.LZ4)
        writer.start(profile="", library="another")
        channel = writer.register_channel("/plain", "json", 0)
        for number in range(40):
            writer.add_message(channel, number, b'{"n": %d}' % number, number + 7, number + 3)
        writer.add_attachment(1, 2, "notes.txt", "text/plain", b"hello")
        writer.add_metadata("who", {"name": "somebody"})
        writer.finish()
    data = file.read_bytes()
    file.write_bytes(data[:-60])
    found = repair(file)
    assert found.folder is not None
    reader = Reader(found.folder)
    messages = list(reader)
    assert [(m.data, m.time, m.published, m.sequence) for m in messages] == [
        (b'{"n": %d}' % n, n, n + 7, n + 3) for n in range(40)
    ]
    assert (messages[0].topic.kind, messages[0].topic.encoding) == ("", "json")
    assert reader.attachments["notes.txt"].data == b"hello"
    assert reader.about == {"who": {"name": "somebody"}}


def test_a_topic_whose_type_changes_is_two(tmp_path: Path) -> None:
    file = McapFile(tmp_path / "bag.mcap")
    file.add_topic(Topic("/a", "std_msgs/msg/String", STRING))
    file.add_topic(Topic("/a", "std_msgs/msg/Int8", "int8 data\n", channel="other"))
    file.write("/a", cdr_string("1"), 1)
    file.write("other", b"\x00\x01\x00\x00\x05", 2)
    file.close()
    found = contents(tmp_path / "bag.mcap")
    assert {name: topic.kind for name, topic in found.topics.items()} == {
        "/a": "std_msgs/msg/String",
        "/a (std_msgs/msg/Int8)": "std_msgs/msg/Int8",
    }
    assert found.notes


def test_files_of_other_recordings_are_left_out_with_a_word(tmp_path: Path) -> None:
    record(tmp_path / "bag", 2)
    record(tmp_path / "other", 1)
    only_file(tmp_path / "other").rename(tmp_path / "bag" / "stray.mcap")
    assert numbers(tmp_path / "bag") == list(range(20))
    (note,) = contents(tmp_path / "bag").notes
    assert "stray.mcap" in note


def test_one_file_of_several_that_is_none_costs_itself(tmp_path: Path) -> None:
    recording = record(tmp_path / "bag", 2, close=False)
    recording.split()
    recording.close()
    (tmp_path / "bag" / "bag_1.mcap").write_bytes(b"<html>" * 100)
    before = fingerprints(tmp_path)
    found = repair(tmp_path / "bag")
    assert found.folder is not None
    assert numbers(found.folder) == list(range(20))
    assert before.items() <= fingerprints(tmp_path).items()


def test_every_file_of_a_recording_says_what_it_is_of(tmp_path: Path) -> None:
    scenario = Attachment("scenario.yaml", "application/yaml", b"name: town\n")
    recording = Recording(tmp_path / "bag", {"seed": "7"}, [scenario])
    recording.add_topic(Topic("/a", "std_msgs/msg/String", STRING))
    recording.write("/a", cdr_string("1"), 1)
    recording.split()
    recording.close()
    for source in (tmp_path / "bag", *(tmp_path / "bag").glob("*.mcap")):
        found = contents(source)
        assert found.about == {ABOUT: {"seed": "7"}}
        assert found.attachments["scenario.yaml"].data == b"name: town\n"
    assert "seed: '7'" in (tmp_path / "bag" / "metadata.yaml").read_text()


def test_a_chunk_that_claims_to_be_huge_is_left_out(tmp_path: Path) -> None:
    record(tmp_path / "bag", 2)
    file = only_file(tmp_path / "bag")
    data: Any = bytearray(file.read_bytes())
    (first, _), *_ = chunks(file)
    data[first + 9 + 16 : first + 9 + 24] = (1 << 50).to_bytes(8, "little")  # its uncompressed size
    file.write_bytes(data)
    found = contents(tmp_path / "bag")
    assert found.messages == 10
    assert "more than" in found.damage[0]
