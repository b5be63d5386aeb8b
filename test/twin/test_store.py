"""The store: what was committed is there, what was not is not, and every trouble is told."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from test.twin.files import delete
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import Copy, Stored, StoreError, StoreReader
from uav_twin_migration.twin.protocol.chunks import Chunk, digest
from uav_twin_migration.twin.protocol.messages import Reason
from uav_twin_migration.twin.protocol.replica_state import InboundTransfer, Record, Status


def chunk(number: int, content: bytes, version: int = 1) -> Chunk:
    return Chunk(number, version, digest(content), content)


def test_what_was_committed_is_there_after_a_reopening(tmp_path: Path) -> None:
    inbound = InboundTransfer("rsu2", 8, 3, True, 512, "app")
    record = Record(Status.HANDING_OVER, 7, 12, newest_epoch=8, taken=5, target="rsu3", inbound=inbound)
    with Store(tmp_path / "s.db", "rsu1") as store:
        own, partial = store.add_copy("u1", "app", 1024, 99), store.add_copy("u1", "app", 512)
        store.write(own, [chunk(0, b"head", 3), chunk(9, b"x" * 1024, 12)])
        store.write(partial, [chunk(1, b"y", 2)])
        store.save("u1", Stored(record, own, partial))
        store.commit()
        incarnation = store.incarnation
    with Store(tmp_path / "s.db", "rsu1") as store:
        assert store.load() == {"u1": Stored(record, own, partial)}
        assert store.read(own, 9) == b"x" * 1024
        assert store.read(own, 1) is None
        assert [(entry.number, entry.version, entry.size) for entry in store.entries(own)] == [(0, 3, 4), (9, 12, 1024)]
        assert store.size_of(own) == 1028
        assert store.incarnation == incarnation + 1
        assert store.add_copy("u2", "app", 1).id > partial.id


def test_what_was_not_committed_is_not_there(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", "rsu1") as store:
        copy = store.add_copy("u1", "app", 1024)
        store.save("u1", Stored(Record(Status.HOSTING, 1), copy))
        store.commit()
        store.write(copy, [chunk(0, b"later")])
        store.save_version("u1", 5)
    with Store(tmp_path / "s.db", "rsu1") as store:
        assert store.load()["u1"].record == Record(Status.HOSTING, 1)
        assert store.read(copy, 0) is None


def test_a_copy_with_a_base_has_what_changed_and_is_merged_into_it(store: Store) -> None:
    own = store.add_copy("u1", "app", 1024)
    store.write(own, [chunk(0, b"head", 1), chunk(1, b"old", 2), chunk(2, b"same", 3)])
    changes = store.add_copy("u1", "app", 1024, base=own)
    store.write(changes, [chunk(1, b"new one", 4), chunk(3, b"more", 5)])
    store.save("u1", Stored(Record(Status.REPLICA, 7, 3, inbound=InboundTransfer("b", 7, 5, base=True)), own, changes))
    store.commit()
    assert [store.read(changes, number) for number in range(5)] == [b"head", b"new one", b"same", b"more", None]
    assert store.read(own, 1) == b"old"
    assert sorted(entry.version for entry in store.entries(changes)) == [1, 3, 4, 5]
    assert store.size_of(changes) == 4 + 7 + 4 + 4
    assert list(store.damaged(changes)) == []
    whole = sorted(store.entries(changes))
    store.merge(changes)
    assert sorted(store.entries(own)) == whole == sorted(store.entries(changes))
    assert [store.read(own, number) for number in range(5)] == [b"head", b"new one", b"same", b"more", None]
    assert store._value("SELECT count(*) FROM chunks WHERE copy = ?", (changes.id,)) == 0
    assert len(store._places(own.id)) == 4


def test_an_rsu_whose_disk_was_replaced_does_not_count_as_an_earlier_life_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path / "s.db", "rsu1") as store:
        incarnation = store.incarnation
    delete(tmp_path / "s.db")
    later = time.time() + 5.0
    monkeypatch.setattr(time, "time", lambda: later)
    with Store(tmp_path / "s.db", "rsu1") as store:
        assert store.incarnation > incarnation


KILLED = """
import os, signal, sys
from uav_twin_migration.twin.protocol.chunks import Chunk, digest
from uav_twin_migration.twin.protocol.replica_state import Record, Status
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import Stored
store = Store(sys.argv[1], "rsu1")
copy = store.add_copy("u1", "app", 1024)
for number in range(100):
    store.write(copy, [Chunk(0, number, digest(b"%d" % number), b"%d" % number)])
    store.save("u1", Stored(Record(Status.HOSTING, 1, number), copy))
    if number < 60:
        store.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_all_it_committed_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "s.db")], check=False)
    assert ended.returncode == -signal.SIGKILL
    with Store(tmp_path / "s.db", "rsu1") as store:
        stored = store.load()["u1"]
        assert stored.record.version == 59
        assert stored.own is not None
        assert store.read(stored.own, 0) == b"59"
        assert not list(store.damaged(stored.own))


def test_an_unwanted_copy_goes_little_by_little_and_takes_nothing_else_with_it(store: Store) -> None:
    unwanted, kept = store.add_copy("u1", "app", 64), store.add_copy("u1", "app", 64)
    for copy in (unwanted, kept):
        store.write(copy, [chunk(number, bytes([number % 251])) for number in range(500)])
    store.set_tombstone(unwanted)
    store.commit()
    sweeps = 0
    while store.collect_garbage():
        sweeps += 1
    store.commit()
    assert sweeps > 3
    assert store.entries(unwanted) == []
    assert store.read(unwanted, 0) is None
    assert len(store.entries(kept)) == 500
    assert not list(store.damaged(kept))


def test_a_large_copy_is_never_whole_in_memory(store: Store) -> None:
    copy, size = store.add_copy("u1", "app", 1 << 16), 1 << 16
    tracemalloc.start()
    for number in range(600):
        store.write(copy, [chunk(number, bytes([number % 251]) * size)])
        if number % 32 == 31:
            store.commit()
    store.commit()
    for entry in store.entries(copy):
        assert store.read(copy, entry.number) is not None
    assert not list(store.damaged(copy))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert store.size_of(copy) == 600 * size
    assert peak < 100 * size


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(
        st.tuples(
            st.booleans(), st.integers(0, 5), st.binary(max_size=20), st.sampled_from(["", "commit", "rollback"])
        ),
        max_size=30,
    )
)
def test_the_store_behaves_as_a_dictionary_would(tmp_path: Path, writes: list[tuple[bool, int, bytes, str]]) -> None:
    path = tmp_path / "law.db"
    delete(path)
    with Store(path, "rsu1") as store:
        copies = [store.add_copy("u1", "app", 64), store.add_copy("u1", "app", 64)]
        store.commit()
        now: dict[tuple[int, int], bytes] = {}
        kept = dict(now)
        for second, number, content, end in writes:
            copy = copies[second]
            store.write(copy, [chunk(number, content)])
            now[copy.id, number] = content
            if end == "commit":
                store.commit()
                kept = dict(now)
            elif end == "rollback":
                store.rollback()
                now = dict(kept)
        assert {(c.id, e.number): store.read(c, e.number) for c in copies for e in store.entries(c)} == now
    with Store(path, "rsu1") as store:
        assert {(c.id, e.number): store.read(c, e.number) for c in copies for e in store.entries(c)} == kept


# -- trouble -----------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_what_is_there_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = store.add_copy("u1", "app", 1 << 16)
    store.write(copy, [chunk(0, b"kept")])
    store.save("u1", Stored(Record(Status.HOSTING, 1), copy))
    store.commit()

    def full(file: int, buffers: Sequence[memoryview], at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_much() -> None:
        for first in range(1, 10_000, 100):
            store.write(copy, [chunk(number, b"new") for number in range(first, first + 100)])

    pages = store._value("PRAGMA page_count")
    for blocks_are_full in (True, False):
        with monkeypatch.context() as patch:
            if blocks_are_full:
                patch.setattr(os, "pwritev", full)
            else:
                store._database.execute(f"PRAGMA max_page_count = {pages + 1}")
            with pytest.raises(StoreError, match=r"the disk is full; free some space") as caught:
                write_much()
        assert caught.value.reason is Reason.FULL
        store.rollback()
        assert [entry.number for entry in store.entries(copy)] == [0]
        assert store.read(copy, 0) == b"kept"
    store._database.execute("PRAGMA max_page_count = 1000000")
    store.write(copy, [chunk(1, b"again")])
    store.commit()
    assert store.read(copy, 1) == b"again"


def test_two_processes_cannot_share_a_store(store: Store) -> None:
    with pytest.raises(StoreError, match="in use by another process"):
        Store(store.path, "rsu1")
    other = f"from uav_twin_migration.twin.hosting.store import Store\nStore({str(store.path)!r}, 'rsu1')"
    ended = subprocess.run([sys.executable, "-c", other], check=False, capture_output=True, text=True)
    assert "in use by another process" in ended.stderr
    store.commit()


def test_a_read_only_store_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store(path, "rsu1").close()
    with Store(path, "rsu1") as store:
        store._database.execute("PRAGMA query_only = 1")
        with pytest.raises(StoreError, match="read-only") as caught:
            store.add_copy("u1", "app", 1)
        assert caught.value.reason is Reason.STORE


def test_a_directory_that_cannot_be_written_is_told() -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        Store("/proc/nothing/s.db", "rsu1")


def test_a_foreign_file_is_told_and_left_alone(tmp_path: Path) -> None:
    database, text, other = tmp_path / "a.db", tmp_path / "b.db", tmp_path / "c.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE something (x)")
    connection.close()
    text.write_text("a letter to somebody " * 1000)
    Store(other, "another").close()
    for path, said in (
        (database, "not a twin store"),
        (text, "not an SQLite file"),
        (other, "of RSU 'another', not 'rsu1'"),
    ):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=said):
            Store(path, "rsu1")
        if path is not other:
            assert path.read_bytes() == before
    Store(other, "another").close()


def test_a_newer_format_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store(path, "rsu1").close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for kind in (lambda: Store(path, "rsu1"), lambda: StoreReader(path)):
        with pytest.raises(StoreError, match="newer version"):
            kind()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path, "rsu1") as store:
        copy = store.add_copy("u1", "app", 1 << 16)
        store.write(copy, [chunk(number, os.urandom(1 << 16)) for number in range(20)])
        store.save("u1", Stored(Record(Status.HOSTING, 1), copy))
        store.commit()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged") as caught:
        _read_all(path)
    assert caught.value.reason is Reason.CORRUPT
    assert "uavtwin twins" in caught.value.hint


def _read_all(path: Path) -> None:
    with Store(path, "rsu1") as store:
        for stored in store.load().values():
            assert isinstance(stored.own, Copy)
            store.entries(stored.own)
            for number in range(20):
                store.read(stored.own, number)


def test_a_damaged_row_is_told(store: Store) -> None:
    copy = store.add_copy("u1", "app", 64)
    store.save("u1", Stored(Record(Status.HOSTING, 1), replace(copy, id=77)))
    store.commit()
    with pytest.raises(StoreError, match="damaged"):
        store.load()


def test_a_damaged_chunk_is_found(store: Store) -> None:
    copy = store.add_copy("u1", "app", 64)
    store.write(copy, [chunk(number, b"content") for number in range(5)])
    store.write(copy, [Chunk(3, 1, digest(b"another"), b"content")])
    store.commit()
    store._database.execute("UPDATE chunks SET place = 1 << 30 WHERE number = 1")  # the file ends sooner
    assert list(store.damaged(copy)) == [1, 3]
