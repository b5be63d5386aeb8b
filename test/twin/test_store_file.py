"""A store whose file is taken away, overwritten, put back or restored from a copy."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_database import checkpoint_beside
from uav_twin_migration.twin.hosting.store_file import StoreFile
from uav_twin_migration.twin.hosting.store_reader import StoreReplacedError


def look_twice(store: Store) -> None:
    store.verify_file()
    store.verify_file()


def delete(path: Path) -> None:
    path.unlink()


def delete_lock(path: Path) -> None:
    Path(f"{path}.lock").unlink()


def replace_file(path: Path) -> None:
    shutil.copy(path, f"{path}.copy")
    os.replace(f"{path}.copy", path)


def copy_another_over_it(path: Path) -> None:
    other = path.parent / "other" / path.name
    Store(other, "rsu1").close()
    Store(other, "rsu1").close()
    shutil.copy(other, path)


def write_over_it(path: Path) -> None:
    path.write_bytes(b"a letter to somebody " * 1000)


def test_a_file_that_nothing_was_written_to_is_not_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(StoreFile, "_is_another", lambda file: looks.append(1))
    later = time.time_ns() + 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)
    look_twice(store)
    assert len(looks) == 1
    with store.path.open("ab") as file:
        file.write(b"more")
    look_twice(store)
    assert len(looks) == 2
    monkeypatch.setattr(time, "time_ns", lambda: later - 10**9)  # just written: what follows looks the same
    with store.path.open("ab") as file:
        file.write(b"more")
    look_twice(store)
    assert len(looks) == 4


@pytest.mark.parametrize("harm", [delete, delete_lock, replace_file, copy_another_over_it, write_over_it])
def test_a_file_that_was_taken_away_takes_nothing_more(store: Store, harm: Callable[[Path], None]) -> None:
    store.add_copy("u1", "app", 64)
    store.commit()
    store.verify_file()
    harm(store.path)
    with pytest.raises(StoreReplacedError, match="no twin is served here"):
        look_twice(store)
    store.add_copy("u2", "app", 64)
    with pytest.raises(StoreReplacedError, match=store.path.name):
        store.commit()
    assert not store.dirty


def test_a_file_that_is_being_written_is_not_another(store: Store) -> None:
    """While the log is brought into it, a look may find pages half old, half new: 481 of 80,163 looks, 2026-11-30."""
    store.add_copy("u1", "app", 64)
    store.commit()
    checkpoint_beside(store.path)
    whole = store.path.read_bytes()
    with store.path.open("r+b") as file:
        file.seek(100)
        file.write(bytes(4000))  # the list of its tables
    for _ in range(20):
        store.verify_file()
    with store.path.open("r+b") as file:
        file.write(whole)
    store.verify_file()


def test_a_file_that_is_put_back_is_good_again(store: Store) -> None:
    aside = store.path.parent / "aside.db"
    store.path.rename(aside)
    with pytest.raises(StoreReplacedError, match=r"rsu1\.db is gone from its place"):
        store.verify_file()
    checkpoint_beside(store.path)
    assert not store.path.exists()
    aside.rename(store.path)
    store.verify_file()
    store.add_copy("u1", "app", 64)
    store.commit()


def test_a_copy_that_is_restored_counts_as_a_later_incarnation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, clock = tmp_path / "s.db", time.time()
    monkeypatch.setattr(time, "time", lambda: clock)
    Store(path, "rsu1").close()
    shutil.copy(path, tmp_path / "backup.db")
    for _ in range(3):
        with Store(path, "rsu1") as store:
            incarnation = store.incarnation
    shutil.copy(tmp_path / "backup.db", path)
    clock += 10.0
    with Store(path, "rsu1") as store:
        assert store.incarnation > incarnation
