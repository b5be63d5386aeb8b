"""`uavtwin twins`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from test.twin.files import spoil
from test.twin.town import Town
from uav_twin_migration.cli.main import main
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_database import PAGE_SIZE, copy_database


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store of an RSU that hosts a twin with ten records and has another's tombstone."""
    town = Town(tmp_path, "AB")
    town.run_until(town.is_served)
    for _ in range(10):
        town.observe()
        town.run(0.3)
    town.close()
    return tmp_path / f"{town.host_discovery.host}.db"


def told(store: Path, capsys: pytest.CaptureFixture[str], code: int) -> dict[str, Any]:
    assert main(["twins", str(store), "--json", "-"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_a_sound_store_is_listed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = told(store, capsys, 0)
    (twin,) = document["twins"]
    assert document["sound"]
    assert document["rsu"] == store.stem
    assert (twin["uav"], twin["state"], twin["records"], twin["problems"]) == ("u1", "hosting", 10, [])
    assert twin["size"] > 200_000
    assert twin["epoch"] == twin["newest_epoch"] > 0
    assert main(["twins", str(store)]) == 0
    assert "u1" in capsys.readouterr().out


@pytest.mark.parametrize("folder", ["host/store", "host"])
def test_a_host_s_directory_names_its_store(
    folder: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "host" / "store").mkdir(parents=True)
    with Store(store, store.stem) as opened:
        copy_database(opened, tmp_path / "host" / "store" / "twins.db")
    assert told(tmp_path / folder, capsys, 0)["store"] == str(tmp_path / "host" / "store" / "twins.db")


def test_a_store_in_use_can_be_looked_at(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(store, store.stem) as used:
        assert told(store, capsys, 0)["sound"]
        assert used.load()["u1"].own is not None


@pytest.mark.parametrize("number", [0, 1, 1025])
def test_a_changed_byte_is_found(store: Path, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(store, store.stem) as opened:
        spoil(opened, number)
    document = told(store, capsys, 1)
    assert not document["sound"]
    assert f"not what was stored: {number}" in document["twins"][0]["problems"][0]
    assert main(["twins", str(store)]) == 1
    said = capsys.readouterr()
    assert "WRONG" in said.out
    assert str(store) in said.err


def test_a_damaged_page_is_found(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray(store.read_bytes())
    for place in range(PAGE_SIZE, len(content), PAGE_SIZE):
        content[place : place + 64] = b"\xff" * 64
    store.write_bytes(content)
    assert main(["twins", str(store)]) == 1
    assert str(store) in capsys.readouterr().err


def test_what_is_no_store_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE something (x)")
    text = tmp_path / "text.db"
    text.write_text("no database at all, but long enough to have been one" * 20)
    for path in (tmp_path / "missing.db", foreign, text, tmp_path):
        before = path.read_bytes() if path.is_file() else b""
        assert main(["twins", str(path)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert str(path) in said
        assert not path.is_file() or path.read_bytes() == before
