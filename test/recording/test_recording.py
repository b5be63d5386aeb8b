"""Recordings as files: what is written is read again, by us and by others, whole or damaged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcap", reason="needs the libraries of recordings")

from hypothesis import example, given
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader

from uav_twin_migration.cli.main import main
from uav_twin_migration.errors import InputError
from uav_twin_migration.recording.metadata import Topic
from uav_twin_migration.recording.reader import Reader, contents
from uav_twin_migration.recording.repair import repair
from uav_twin_migration.recording.writer import Recording

CHECKOUT = Path(__file__).resolve().parents[2]  # where a program of its own finds `test`
STRING = "string data\n"


def cdr_string(text: str) -> bytes:
    """A std_msgs/String on the wire: encapsulation, length, characters, NUL."""
    data = text.encode() + b"\0"
    return b"\x00\x01\x00\x00" + len(data).to_bytes(4, "little") + data


def record(directory: Path, chunks: int, per_chunk: int = 10, close: bool = True) -> Recording:
    """Numbers as strings on two topics, half of them each."""
    recording = Recording(directory)
    for name in ("/a", "/b"):
        recording.add_topic(Topic(name, "std_msgs/msg/String", STRING))
    for i in range(chunks * per_chunk):
        recording.write("/ab"[0:1] + "ab"[i % 2], cdr_string(str(i)), 1_000_000_000 + i * 1_000_000)
        if i % per_chunk == per_chunk - 1:
            recording.flush()
    if close:
        recording.close()
    return recording


def numbers(source: Path) -> list[int]:
    """What a recording says, in order."""
    return [int(message.data[8:-1]) for message in Reader(source)]


def test_what_is_recorded_is_read_again(tmp_path: Path) -> None:
    record(tmp_path / "bag", 3)
    assert numbers(tmp_path / "bag") == list(range(30))
    found = contents(tmp_path / "bag")
    assert not found.damage
    assert {name: topic.messages for name, topic in found.topics.items()} == {"/a": 15, "/b": 15}
    assert found.span.nanoseconds == 29_000_000


def test_another_reader_opens_it_by_its_metadata(tmp_path: Path) -> None:
    record(tmp_path / "bag", 3)
    with AnyReader([tmp_path / "bag"]) as reader:
        strings: list[Any] = [reader.deserialize(data, topic.msgtype) for topic, _, data in reader.messages()]
        assert reader.message_count == 30
    assert sorted(int(string.data) for string in strings) == list(range(30))


def test_a_recording_goes_on_in_new_files(tmp_path: Path) -> None:
    recording = record(tmp_path / "bag", 3, close=False)
    recording.split()
    recording.write("/b", cdr_string("30"), 2_000_000_000)
    recording.split()
    recording.add_topic(Topic("/c", "std_msgs/msg/String", STRING))
    recording.write("/c", cdr_string("31"), 3_000_000_000)
    recording.close()
    assert sorted(file.name for file in (tmp_path / "bag").glob("*.mcap")) == [f"bag_{n}.mcap" for n in range(3)]
    assert numbers(tmp_path / "bag") == list(range(32))
    found = contents(tmp_path / "bag")
    assert not found.damage
    assert {name: topic.messages for name, topic in found.topics.items()} == {"/a": 15, "/b": 16, "/c": 1}
    with AnyReader([tmp_path / "bag"]) as reader:
        assert reader.message_count == 32
        assert len(list(reader.messages())) == 32


def test_the_memory_for_the_index_is_given_back_with_each_new_file(tmp_path: Path) -> None:
    def grown(recording: Recording, split: bool) -> int:
        """Bytes more than before, of two hundred flushes."""
        tracemalloc.start()
        for number in range(200):
            recording.write("/a", b"x" * 100, number)
            recording.flush()
        if split:
            recording.split()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    whole = record(tmp_path / "whole", 1, close=False)
    split = record(tmp_path / "split", 1, close=False)
    assert grown(split, split=True) < grown(whole, split=False) / 2
    whole.close()
    split.close()


@given(cut=st.integers(0, 3000))
def test_a_file_that_was_cut_anywhere_is_read_up_to_the_cut(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    directory = tmp_path_factory.mktemp("cut") / "bag"
    record(directory, 4)
    (file,) = directory.glob("*.mcap")
    data = file.read_bytes()
    file.write_bytes(data[: cut % len(data)])
    reader = Reader(directory)
    said = [int(message.data[8:-1]) for message in reader]
    assert said == list(range(len(said)))
    assert len(said) % 10 == 0
    assert len(reader.damage) == 1
    assert str(file) in reader.damage[0]


@given(place=st.integers(0, 5000), wrong=st.integers(1, 255))
@example(place=5, wrong=1)  # the version, which then looks newer
@example(place=582, wrong=1)  # a chunk, which then is an index
@example(place=392, wrong=2)  # an index, which then is a message
def test_a_wrong_byte_costs_no_more_than_is_told(
    tmp_path_factory: pytest.TempPathFactory, place: int, wrong: int
) -> None:
    directory = tmp_path_factory.mktemp("flipped") / "bag"
    record(directory, 4)
    (file,) = directory.glob("*.mcap")
    data = bytearray(file.read_bytes())
    data[place % len(data)] ^= wrong
    file.write_bytes(data)
    reader = Reader(directory)
    said = {message.data for message in reader}
    assert said == {cdr_string(str(number)) for number in range(40)} or reader.damage


def test_a_broken_chunk_is_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    record(tmp_path / "bag", 4)
    (file,) = (tmp_path / "bag").glob("*.mcap")
    data = bytearray(file.read_bytes())
    second = data.index(b"zstd", data.index(b"zstd") + 1)
    data[second + 40] ^= 0xFF
    file.write_bytes(data)
    reader = Reader(tmp_path / "bag")
    assert [int(message.data[8:-1]) for message in reader] == [*range(10), *range(20, 40)]
    assert len(reader.damage) == 1
    assert "chunk is broken" in reader.damage[0]


def test_repair_writes_a_whole_recording_beside_the_damaged_one(tmp_path: Path) -> None:
    directory = tmp_path / "bag"
    record(directory, 4)
    (file,) = directory.glob("*.mcap")
    file.write_bytes(file.read_bytes()[: -len(file.read_bytes()) // 3])
    (directory / "metadata.yaml").unlink()
    before, data = numbers(directory), file.read_bytes()
    repaired = repair(directory)
    assert repaired.found.damage
    assert repaired.folder == tmp_path / "bag_repaired"
    assert numbers(repaired.folder) == before
    assert not contents(repaired.folder).damage
    with AnyReader([repaired.folder]) as reader:
        assert reader.message_count == len(before) > 0
    assert repair(repaired.folder).folder is None
    assert (file.read_bytes(), [*directory.iterdir()]) == (data, [file])
    assert repair(directory).folder == tmp_path / "bag_repaired_2"


def test_a_recording_that_is_whole_is_not_touched_by_repair(tmp_path: Path) -> None:
    record(tmp_path / "bag", 2)
    (file,) = (tmp_path / "bag").glob("*.mcap")
    before = file.read_bytes()
    repair(tmp_path / "bag")
    assert file.read_bytes() == before


def test_killed_at_once_it_holds_all_that_was_flushed(tmp_path: Path) -> None:
    """The process kills itself with -9: nothing of Python's or the library's own buffers is written after that."""
    program = (
        "import os, signal, sys; from pathlib import Path; from test.recording.test_recording import record\n"
        "recording = record(Path(sys.argv[1]), 5, close=False)\n"
        "recording.write('/a', b'what is not flushed is lost', 2_000_000_000)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.run([sys.executable, "-c", program, str(tmp_path / "bag")], cwd=CHECKOUT)
    assert process.returncode == -signal.SIGKILL
    assert numbers(tmp_path / "bag") == list(range(50))
    repair(tmp_path / "bag")
    with AnyReader([tmp_path / "bag_repaired"]) as reader:
        assert reader.message_count == 50


def test_no_recording_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    with pytest.raises(InputError, match="new or empty"):
        Recording(tmp_path)


def test_the_command_tells_what_a_recording_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "bag", 3)
    assert main(["bag", "info", str(tmp_path / "bag"), "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["messages"] == 30
    assert told["seconds"] == pytest.approx(0.029)
    assert told["topics"]["/a"] == {"type": "std_msgs/msg/String", "messages": 15}


def test_the_command_says_a_word_about_damage_and_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "bag", 3, close=False)
    assert main(["bag", "info", str(tmp_path / "bag")]) == 0
    assert "cut off" in capsys.readouterr().err
    assert main(["bag", "repair", str(tmp_path / "bag"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["messages"] == 30
    assert main(["bag", "info", str(tmp_path / "bag_repaired")]) == 0
    assert "cut off" not in capsys.readouterr().err


def test_the_command_refuses_what_is_no_recording_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bag", "info", str(tmp_path / "nothing")]) == 2
    assert main(["bag", "info", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
