"""Copies of a store: made while it is written, put back while it is not, and ways back from a format."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from test.twin.test_journal import chunk, hosted
from uav_twin_migration.twin.hosting.backup import copy_store, restore_store
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import StoreError, StoreReader

STORES = Path(__file__).parent / "stores"


def test_a_backup_of_a_store_in_use_has_what_was_committed(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", "rsu1") as opened:
        copy = hosted(opened)
        opened.change(copy, [chunk(3, b"hello", 7)])
        opened.commit()
        opened.change(copy, [chunk(3, b"not yet", 8)])
        assert copy_store(opened.path, tmp_path / "backup.db")[0] == 1
        opened.commit()
        with pytest.raises(StoreError, match="in use"):
            restore_store(opened.path, tmp_path / "backup.db", "rsu1")
    aside = restore_store(tmp_path / "s.db", tmp_path / "backup.db", "rsu1")
    assert aside is not None
    for path, content, version in ((tmp_path / "s.db", b"hello", 7), (aside, b"not yet", 8)):
        with Store(path, "rsu1") as opened:
            assert opened.read(copy, 3) == content
            assert opened.load()["u1"].record.version == version


def test_a_backup_that_is_there_or_another_s_or_damaged_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", "rsu1") as opened:
        copy = hosted(opened)
        opened.write(copy, [chunk(number, bytes(60_000), number) for number in range(20)])
        opened.commit()
    copy_store(tmp_path / "s.db", tmp_path / "backup.db")
    with pytest.raises(StoreError, match="is there already"):
        copy_store(tmp_path / "s.db", tmp_path / "backup.db")
    with pytest.raises(StoreError, match="not 'rsu2'"):
        restore_store(tmp_path / "s.db", tmp_path / "backup.db", "rsu2")
    data = bytearray((tmp_path / "backup.db").read_bytes())
    data[32768:65536] = bytes(32768)
    (tmp_path / "damaged.db").write_bytes(data)
    with pytest.raises(StoreError):
        restore_store(tmp_path / "s.db", tmp_path / "damaged.db", "rsu1")


def test_the_way_back_from_a_format(tmp_path: Path) -> None:
    file = tmp_path / "north.db"
    file.write_bytes(gzip.decompress((STORES / "v2.db.gz").read_bytes()))
    with Store(file, "north") as opened:
        twins = opened.load()
    restore_store(file, tmp_path / "north.db.format2", "north")
    reader = StoreReader(file)
    assert reader._format == 2
    assert reader.load() == twins
    reader.close()
