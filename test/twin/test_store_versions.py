"""Stores of every format there has been: read, brought to the present one, and of a later one refused.

`stores/v1.db.gz` was written by the first release's code: the store of RSU `north` with four twins; `v2.db.gz` is the
same, brought to format 2 by the code of 2026-11-30, and `v3.db.gz` that, brought to format 3 by that of the same day.
When the format changes, a store of the one before joins them here.
"""

from __future__ import annotations

import contextlib
import gzip
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from uav_twin_migration.twin.hosting import journal
from uav_twin_migration.twin.hosting.inspection import inspect
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import SCHEMA_VERSION, Copy, StoreError, StoreReader, journal_of
from uav_twin_migration.twin.hosting.twin import UavTwins
from uav_twin_migration.twin.protocol.epochs import make_epoch
from uav_twin_migration.twin.protocol.replica_state import InboundTransfer, Record, Status

STORES = Path(__file__).parent / "stores"


@pytest.fixture(params=range(1, SCHEMA_VERSION))
def first(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file of an earlier format."""
    file = tmp_path / "north.db"
    file.write_bytes(gzip.decompress((STORES / f"v{request.param}.db.gz").read_bytes()))
    return file


def format_of(file: Path) -> int:
    database = sqlite3.connect(file)
    try:
        return int(database.execute("PRAGMA user_version").fetchone()[0])
    finally:
        database.close()


def test_there_is_a_store_of_each_earlier_format() -> None:
    assert {int(file.name[1]) for file in STORES.glob("v*.db.gz")} == set(range(1, SCHEMA_VERSION))


def test_a_store_of_an_earlier_format_is_brought_to_the_present_one_with_all_its_twins(first: Path) -> None:
    before = format_of(first)
    with Store(first, "north") as store:
        twins = store.load()
        records = {uav: stored.record for uav, stored in twins.items()}
        inbound = InboundTransfer("south", make_epoch(9, 1), 3, True, UavTwins().chunk_size(2000), "uav_twin/1")
        assert records == {
            "uav_1": Record(Status.HOSTING, make_epoch(7, 2), 3, make_epoch(7, 2), make_epoch(7, 2)),
            "uav_2": Record(Status.FENCED, make_epoch(8), 3, make_epoch(9), inbound=inbound),
            "uav_3": Record(Status.HANDING_OVER, make_epoch(5), 3, make_epoch(5, 1), target="south"),
            "uav_4": Record(newest_epoch=make_epoch(6, 1), taken=make_epoch(6)),
        }
        assert {uav: history(store, uav, stored.own) for uav, stored in twins.items()} == {
            "uav_1": 20,
            "uav_2": 5,
            "uav_3": 3,
            "uav_4": 0,
        }
        assert history(store, "uav_2", twins["uav_2"].inbound) == 8
    assert format_of(first) == SCHEMA_VERSION
    assert format_of(first.with_name(f"north.db.format{before}")) == before  # the way back
    with Store(first, "north") as store:
        assert store.load() == twins
        store.save_version("uav_1", 3)  # its columns are called as in a new store
        own = twins["uav_1"].own
        assert own is not None
        changes = store.add_copy("uav_1", own.application, own.chunk_size, base=own)
        store.commit()
        assert store.entries(changes) == store.entries(own)


def history(store: Store, uav: str, copy: Copy | None) -> int:
    """Records of telemetry in a copy, none of which is damaged."""
    if copy is None:
        return 0
    assert list(store.damaged(copy)) == []
    return len(UavTwins().restore(uav, partial(store.read, copy)).history(partial(store.read, copy)))


def test_a_store_of_an_earlier_format_can_be_looked_into_without_being_changed(first: Path) -> None:
    before = first.read_bytes()
    store = StoreReader(first)
    found = {twin.uav: twin for twin in inspect(store)}
    store.close()
    assert {uav: twin.state for uav, twin in found.items()} == {
        "uav_1": "hosting",
        "uav_2": "fenced",
        "uav_3": "handing_over",
        "uav_4": "absent",
    }
    assert not any(twin.problems for twin in found.values())
    assert first.read_bytes() == before


def test_what_the_journal_of_format_3_has_comes_along_and_into_the_copy_that_stays(tmp_path: Path) -> None:
    file = tmp_path / "north.db"
    file.write_bytes(gzip.decompress((STORES / "v3.db.gz").read_bytes()))
    with contextlib.closing(StoreReader(file)) as store:
        own, generation = store.load()["uav_1"].own, store._generation()
    assert own is not None
    beside = journal.Journal(journal_of(file))
    beside.begin(generation)
    beside.append([journal.Record(own.id, 2000, 9, 0, b"new")])
    beside.close()
    Store(file, "north").close()
    for found in (file, tmp_path / "north.db.format3"):
        with contextlib.closing(StoreReader(found)) as store:
            assert store.read(own, 2000) == b"new"
            assert store.load()["uav_1"].record.version == 9


@pytest.mark.parametrize("reader", [StoreReader, lambda file: Store(file, "north")])
def test_a_store_of_a_later_format_is_refused_and_left_as_it_is(
    first: Path, reader: Callable[[Path], StoreReader]
) -> None:
    database = sqlite3.connect(first)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    before = first.read_bytes()
    with pytest.raises(StoreError, match=r"newer version .* upgrade this software; the file is untouched"):
        reader(first)
    assert first.read_bytes() == before
