"""The journal of a store: what was committed is there, wherever a crash cuts it off; a small change costs little."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from test.twin.files import copied, delete
from uav_twin_migration.twin.hosting import changes, journal, store
from uav_twin_migration.twin.hosting.journal import Journal, JournalError, Record
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import Copy, Stored, StoreError, StoreReader, journal_of
from uav_twin_migration.twin.protocol.chunks import Chunk, digest
from uav_twin_migration.twin.protocol.messages import Reason
from uav_twin_migration.twin.protocol.replica_state import Record as TwinRecord
from uav_twin_migration.twin.protocol.replica_state import Status

CHECKOUT = Path(__file__).resolve().parents[2]  # where a program of its own finds `test`


def chunk(number: int, content: bytes, version: int = 1) -> Chunk:
    return Chunk(number, version, digest(content), content)


def hosted(opened: Store, uav: str = "u1") -> Copy:
    """A twin that is hosted, and empty."""
    copy = opened.add_copy(uav, "app", 1024)
    opened.save(uav, Stored(TwinRecord(Status.HOSTING, 1), copy))
    opened.commit()
    return copy


# -- the file ----------------------------------------------------------------------------------------------------------

GENERATION = 77
FRAMES = st.lists(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40)), min_size=1, max_size=4), max_size=6)


def written(path: Path, frames: list[list[tuple[int, bytes]]]) -> list[dict[int, bytes]]:
    """A journal of one copy's chunks; what they are after each frame."""
    path.unlink(missing_ok=True)
    file = Journal(path)
    file.begin(GENERATION)
    now: dict[int, Chunk] = {}
    states: list[dict[int, bytes]] = [{}]
    for version, records in enumerate(frames, start=1):
        changed = {number: chunk(number, content, version) for number, content in records}
        file.append([journal.record_of(5, one, now.get(number)) for number, one in changed.items()])
        now |= changed
        states.append({number: bytes(one.content) for number, one in now.items()})
    file.close()
    return states


def contents(path: Path, generation: int = GENERATION) -> dict[int, bytes]:
    return {number: bytes(one.content) for number, one in journal.read(path, generation).get(5, {}).items()}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=FRAMES, cut=st.floats(0, 1))
def test_wherever_it_is_cut_off_whole_frames_remain(tmp_path: Path, frames: list, cut: float) -> None:  # type: ignore[type-arg]
    path = tmp_path / "changes"
    states = written(path, frames)
    assert contents(path) == states[-1]
    assert contents(path, GENERATION + 1) == {}
    data = path.read_bytes()
    path.write_bytes(data[: int(cut * len(data.rstrip(b"\0")))])
    assert contents(path) in states


def test_a_frame_that_is_damaged_in_the_middle_is_told(tmp_path: Path) -> None:
    path = tmp_path / "changes"
    written(path, [[(0, b"first")], [(0, b"second")], [(1, b"third")]])
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match="damaged"):
        contents(path)


def test_a_generation_is_written_over_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "changes"
    written(path, [[(0, b"long" * 200)], [(1, b"x")]])
    file = Journal(path)
    file.begin(GENERATION + 1)
    file.append([Record(5, 9, 1, 0, b"new")])
    file.append([Record(5, 9, 2, 2, b"xt")])
    file.take_back()
    file.append([Record(5, 9, 2, 1, b"ote")])
    file.close()
    assert contents(path, GENERATION + 1) == {9: b"note"}
    assert contents(path) == {}


def test_what_no_journal_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "changes"
    path.write_bytes(journal.frame(1, [Record(5, 0, 1, 12, b"goes on from nothing")]))
    with pytest.raises(JournalError, match="does not go on"):
        journal.read(path, 1)
    path.write_bytes(os.urandom(5000))
    assert journal.read(path, 1) == {}
    assert journal.read(tmp_path / "none", 1) == {}


# -- the store with it -------------------------------------------------------------------------------------------------

CALLS = st.lists(
    st.tuples(
        st.sampled_from(["change", "change", "change", "write", "save", "touch"]),
        st.booleans(),
        st.integers(0, 4),
        st.binary(max_size=30),
        st.sampled_from(["", "commit", "commit", "rollback", "crash"]),
    ),
    max_size=30,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS, long=st.sampled_from([0, 300, 1 << 20]))
def test_whatever_is_changed_what_was_committed_survives_a_crash(tmp_path: Path, calls: list, long: int) -> None:  # type: ignore[type-arg]
    delete(tmp_path / "law.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "LONG_JOURNAL", long)
        opened = Store(tmp_path / "law.db", "rsu1")
        copies = [hosted(opened, uav) for uav in ("u1", "u2")]
        now: dict[tuple[int, int], bytes] = {}
        kept, version, versions = dict(now), 1, {"u1": 0, "u2": 0}
        reached = dict(versions)
        for what, second, number, content, end in calls:
            uav, copy = ("u2" if second else "u1"), copies[second]
            version += 1
            if what in ("change", "write"):
                getattr(opened, what)(copy, [chunk(number, content, version)])
                opened.save_version(uav, version, copy)
                now[copy.id, number], reached[uav] = content, version
            elif what == "save":
                opened.save(uav, Stored(TwinRecord(Status.HOSTING, 1, reached[uav]), copy))
            else:
                opened.touch()
            if end == "commit":
                opened.commit()
                kept, versions = dict(now), dict(reached)
            elif end == "rollback":
                opened.rollback()
                now, reached = dict(kept), dict(versions)
            elif end == "crash":
                path = copied(opened.path, tmp_path / "after")
                opened.close()
                copied(path, tmp_path)
                opened = Store(tmp_path / "law.db", "rsu1")
                now, reached = dict(kept), dict(versions)
            assert {(c.id, e.number): opened.read(c, e.number) for c in copies for e in opened.entries(c)} == now
        opened.rollback()
        after = copied(opened.path, tmp_path / "after")
        opened.close()
    for path in (opened.path, after):
        with Store(path, "rsu1") as again:
            found = {(c.id, e.number): again.read(c, e.number) for c in copies for e in again.entries(c)}
            assert found == kept
            assert {uav: stored.record.version for uav, stored in again.load().items()} == versions
            assert not [number for c in copies for number in again.damaged(c)]


KILLED = """
import os, signal, sys
from test.twin.test_journal import chunk, hosted
from uav_twin_migration.twin.hosting.store import Store
opened = Store(sys.argv[1], "rsu1")
copy = hosted(opened)
for number in range(100):
    opened.change(copy, [chunk(0, b"%d" % number, number)])
    opened.save_version("u1", number, copy)
    if number < 60:
        opened.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_all_it_committed_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "s.db")], cwd=CHECKOUT)
    assert ended.returncode == -signal.SIGKILL
    with Store(tmp_path / "s.db", "rsu1") as opened:
        stored = opened.load()["u1"]
        assert stored.record.version == 59
        assert stored.own is not None
        assert opened.read(stored.own, 0) == b"59"


def test_who_looks_in_sees_what_the_journal_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "s.db", "rsu1") as opened:
        copy = hosted(opened)
        opened.change(copy, [chunk(3, b"hello", 7)])
        opened.commit()
        reader = StoreReader(opened.path)
        assert reader.load()["u1"].record.version == 7
        assert reader.read(copy, 3) == b"hello"
        monkeypatch.setattr(store, "LONG_JOURNAL", 0)
        opened._compact_at = 0
        opened.change(copy, [chunk(3, b"later", 8)])
        opened.commit()  # and the database takes the journal in
        assert reader.read(copy, 3) == b"hello"  # as it was when it was opened
        reader.close()
        reader = StoreReader(opened.path)
        assert reader.read(copy, 3) == b"later"
        reader.close()


def test_a_block_that_grows_costs_what_is_new(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", "rsu1") as opened:
        copy = hosted(opened)
        block = b""
        for version in range(1, 201):
            block += os.urandom(64)
            opened.change(copy, [chunk(1, block, version)])
            opened.commit()
        assert opened._journal is not None
        assert opened._journal.size < 200 * (64 + 80)
        assert opened.log_size() == 0 or not opened._database.in_transaction


def test_blocks_that_have_ceased_to_change_leave_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MUCH_CHANGED", 10_000)
    with Store(tmp_path / "s.db", "rsu1") as opened:
        copy = hosted(opened)
        for version in range(1, 301):
            opened.change(copy, [chunk(version // 20, os.urandom(1000), version)])
            opened.commit()
            assert opened._changes.size < 10_000 + 20_000
        after = copied(opened.path, tmp_path / "after")
        before = {entry.number: opened.read(copy, entry.number) for entry in opened.entries(copy)}
    with Store(after, "rsu1") as again:
        assert {entry.number: again.read(copy, entry.number) for entry in again.entries(copy)} == before
        assert again.load()["u1"].record.version == 300


def test_a_full_disk_is_told_and_what_is_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "s.db", "rsu1") as opened:
        copy = hosted(opened)
        opened.change(copy, [chunk(0, b"before", 1)])
        opened.commit()

        def full(file: int, data: bytes, at: int) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            opened.change(copy, [chunk(0, b"after", 2)])
            with pytest.raises(StoreError, match="the disk is full") as caught:
                opened.commit()
        assert caught.value.reason is Reason.FULL
        assert opened.read(copy, 0) == b"before"
        opened.change(copy, [chunk(0, b"afterwards", 2)])
        opened.commit()
        assert opened.read(copy, 0) == b"afterwards"


def test_a_journal_that_is_taken_away_is_noticed_before_the_next_commit(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", "rsu1") as opened:
        copy = hosted(opened)
        journal_of(opened.path).unlink()
        opened.change(copy, [chunk(0, b"x", 2)])
        with pytest.raises(StoreError, match="gone from its place"):
            opened.commit()


def test_what_so_many_twins_change_at_once_fits_into_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST", 10_000)
    with Store(tmp_path / "s.db", "rsu1") as opened:
        copies = [hosted(opened, f"u{number}") for number in range(30)]
        for copy in copies:
            opened.change(copy, [chunk(0, os.urandom(1000), 5)])
            opened.save_version(f"u{copy.id - 1}", 5, copy)
        opened.commit()
        assert opened._journal is not None
        assert opened._journal.size < 12_000
        after = copied(opened.path, tmp_path / "after")
        before = {copy.id: opened.read(copy, 0) for copy in copies}
    with Store(after, "rsu1") as again:
        assert {copy.id: again.read(copy, 0) for copy in copies} == before
        assert {stored.record.version for stored in again.load().values()} == {5}
