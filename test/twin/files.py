"""The files of a store: its database, and what lies beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import blocks_of


def copied(path: Path, to: Path) -> Path:
    """All of them, as they are on the disk, in another folder: what a process that is killed now leaves."""
    to.mkdir(exist_ok=True)
    delete(to / path.name)
    for file in path.parent.glob(f"{path.name}*"):
        (shutil.copytree if file.is_dir() else shutil.copyfile)(file, to / file.name)
    return to / path.name


def delete(path: Path) -> None:
    """A store is gone, as with its disk."""
    for file in path.parent.glob(f"{path.name}*"):
        if file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink()


def spoil(store: Store, number: int) -> None:
    """Flip bits on the disk in a chunk of each copy."""
    rows = "SELECT coalesce(base, id), place FROM chunks JOIN copies ON copy = id WHERE number = ?"
    places = store._all(rows, (number,))
    assert places
    for name, place in places:
        with (blocks_of(store.path) / str(name)).open("r+b") as file:
            (byte,) = os.pread(file.fileno(), 1, place)
            os.pwrite(file.fileno(), bytes([byte ^ 0xFF]), place)


def is_empty(store: Store) -> bool:
    """Whether nothing is left of any copy."""
    tables = (store._value(f"SELECT count(*) FROM {table}") for table in ("chunks", "contents", "copies"))
    return not any(tables) and not list(blocks_of(store.path).iterdir())
