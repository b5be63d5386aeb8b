"""Recordings as tidy tables, and what is said where a message cannot be read."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rosbags", reason="needs the libraries of recordings")

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from test.recording.test_recording import STRING, cdr_string
from uav_twin_migration.cli.main import main
from uav_twin_migration.errors import InputError
from uav_twin_migration.learning import recordings
from uav_twin_migration.recording.metadata import Attachment, Topic
from uav_twin_migration.recording.writer import Recording

PAIRS = """std_msgs/Header header
string[] uav_ids
string[] rsu_ids
string[] regions
float32[] distance
"""
ENTRIES = """string rsu_id
uint64 round
string[] uav_ids
float64[] bandwidth
float64[] positions
uint8[] seal
float64[4] fixed
builtin_interfaces/Duration lease
diagnostic_msgs/KeyValue[] words
string message
"""


def serializer(kind: str, text: str) -> Any:
    """A type store that knows a message, and the definition that a recording carries of it."""
    store: Any = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(text, kind))
    return store, store.generate_msgdef(kind, ros_version=2)[0]


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with open(folder / f"{table}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def recorded(folder: Path) -> Path:
    """Two topics of one kind, a matrix of pairs, and one whose bytes do not fit its definition."""
    recording = Recording(folder, {"seed": "7"}, [Attachment("scenario.yaml", "application/yaml", b"name: town\n")])
    store, definition = serializer("a/msg/Grant", ENTRIES)
    word = store.types["diagnostic_msgs/msg/KeyValue"](key="k", value="v")
    lease = store.types["builtin_interfaces/msg/Duration"](sec=1, nanosec=500_000_000)
    for uav in ("uav_1", "uav_2"):
        recording.add_topic(Topic(f"/uav/{uav}/grants", "a/msg/Grant", definition))
    for number, uav in enumerate(("uav_1", "uav_2", "uav_1")):
        ids = [f"uav_{k}" for k in range(number + 1)]
        message = store.types["a/msg/Grant"](
            rsu_id="west",
            round=number,
            uav_ids=ids,
            bandwidth=np.arange(len(ids)) + 0.5,
            positions=np.arange(3.0 * len(ids)),
            seal=np.zeros(64, dtype=np.uint8),
            fixed=np.arange(4.0),
            lease=lease,
            words=[word, word],
            message="hello, world",
        )
        data = bytes(store.serialize_cdr(message, "a/msg/Grant"))
        recording.write(f"/uav/{uav}/grants", data, number * 500_000_000)
    store, definition = serializer("a/msg/Links", PAIRS)
    header = store.types["std_msgs/msg/Header"](store.types["builtin_interfaces/msg/Time"](3, 250_000_000), "map")
    links = store.types["a/msg/Links"](header, ["u"], ["west", "east"], ["", "north"], np.array([1, 2], np.float32))
    recording.add_topic(Topic("/links", "a/msg/Links", definition))
    recording.write("/links", bytes(store.serialize_cdr(links, "a/msg/Links")), 2_000_000_000)
    recording.add_topic(Topic("/odd", "std_msgs/msg/String", STRING))
    recording.write("/odd", cdr_string("ok"), 3_000_000_000)
    recording.write("/odd", b"\x00\x01\x00\x00\xff\xff", 3_000_000_000)
    recording.add_topic(Topic("/foreign", "", "", encoding="json"))
    recording.write("/foreign", b"{}", 3_000_000_000)
    recording.close()
    return folder


def test_tables_are_tidy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(recorded(tmp_path / "bag")), "-o", str(tmp_path / "out"), "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tables"] == {
        "grants": 3,
        "grants_entries": 6,
        "grants_words": 6,
        "links": 1,
        "links_entries": 2,
        "odd": 1,
    }
    assert set(told["unread"]) == {"/odd", "/foreign"}
    assert told["about"] == {"uav_twin_migration": {"seed": "7"}}
    first, second, third = rows(tmp_path / "out", "grants")
    assert (first["time_s"], first["topic"], first["uav"], first["message"]) == (
        "0.0",
        "/uav/uav_1/grants",
        "uav_1",
        "0",
    )
    assert (second["uav"], third["time_s"]) == ("uav_2", "1.0")
    assert (first["lease_s"], first["seal_bytes"], first["fixed_3"]) == ("1.5", "64", "3.0")
    assert first["message_"] == "hello, world"  # a field that has the name of a column of ours
    entry = rows(tmp_path / "out", "grants_entries")[2]
    expected = {"message": "1", "rsu_id": "west", "round": "1", "index": "1", "uav_id": "uav_1", "bandwidth": "1.5"}
    assert expected.items() <= entry.items()
    assert [entry[f"positions_{k}"] for k in range(3)] == ["3.0", "4.0", "5.0"]
    assert rows(tmp_path / "out", "grants_words")[0]["key"] == "k"
    west, east = rows(tmp_path / "out", "links_entries")
    assert (west["uav_id"], west["rsu_id"], west["regions"], west["distance"]) == ("u", "west", "", "1.0")
    assert (east["rsu_id"], east["regions"], east["distance"]) == ("east", "north", "2.0")
    assert rows(tmp_path / "out", "links")[0]["stamp_s"] == "3.25"
    assert (tmp_path / "out" / "scenario.yaml").read_text() == "name: town\n"


def test_parquet_holds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("uav_twin_migration.recording.export.ROWS", 2)
    bag = recorded(tmp_path / "bag")
    assert main(["export", str(bag), "-o", str(tmp_path / "csv")]) == 0
    assert main(["export", str(bag), "-o", str(tmp_path / "parquet"), "--parquet"]) == 0
    for table in ("grants", "grants_entries", "links_entries"):
        held = parquet.read_table(tmp_path / "parquet" / f"{table}.parquet").to_pylist()
        assert [{key: str(value) for key, value in row.items()} for row in held] == rows(tmp_path / "csv", table)


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = recorded(tmp_path / "bag")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("data")
    assert main(["export", str(bag), "-o", str(tmp_path / "full")]) == 2

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("uav_twin_migration.recording.export.CsvTable.write", full)
    assert main(["export", str(bag), "-o", str(tmp_path / "out")]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag", "full"]


def test_interactions_of_another_definition_are_refused_with_the_difference(tmp_path: Path) -> None:
    text = "string rsu_id\nuint64 round\nfloat64 price\nstring observation_schema\n"
    store, definition = serializer(recordings.KIND, text)
    message = store.types[recordings.KIND]("west", 1, 2.0, "uav-twin-price/1")
    recording = Recording(tmp_path / "bag")
    recording.add_topic(Topic(recordings.TOPIC, recordings.KIND, definition))
    recording.write(recordings.TOPIC, bytes(store.serialize_cdr(message, recordings.KIND)), 0)
    recording.close()
    with pytest.raises(InputError) as caught:
        recordings.read([tmp_path / "bag"])
    assert recordings.KIND in str(caught.value)
    assert "it lacks observation, action" in str(caught.value)


@pytest.mark.parametrize("definition", ["", "float65 price\n", "nobody/Knows it\n", "\x00"])
def test_definitions_that_cannot_be_read_are_refused_in_one_line(tmp_path: Path, definition: str) -> None:
    recording = Recording(tmp_path / "bag")
    recording.add_topic(Topic(recordings.TOPIC, recordings.KIND, definition))
    recording.write(recordings.TOPIC, b"\x00\x01\x00\x00", 0)
    recording.close()
    with pytest.raises(InputError) as caught:
        recordings.read([tmp_path / "bag"])
    assert "\n" not in str(caught.value)
