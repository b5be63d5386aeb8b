"""Copies of a store: made while its RSU runs, and put back while it does not."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from pathlib import Path

from uav_twin_migration.twin.hosting.blocks import sync_folder
from uav_twin_migration.twin.hosting.store_database import copy_database
from uav_twin_migration.twin.hosting.store_reader import StoreError, StoreReader, blocks_of, journal_of
from uav_twin_migration.twin.protocol.messages import Reason


def copy_store(path: Path, to: Path) -> tuple[int, int]:
    """Copy a store as it is at one instant, as one file that has everything. Returns its twins and bytes.

    Raises StoreError.
    """
    if to.exists():
        raise StoreError(to, "is there already", "name another file for the copy")
    with contextlib.closing(StoreReader(path)) as reader:
        twins = reader.load()
        copy_database(reader, to)
    return len(twins), to.stat().st_size


def restore_store(path: Path, backup: Path, rsu: str) -> Path | None:
    """Put a copy in a store's place. Returns where what was there has gone; None where nothing was.

    Raises StoreError where its RSU runs, or the copy is none of its own.
    """
    with contextlib.closing(StoreReader(backup)) as reader:
        if reader.rsu != rsu:
            raise StoreError(backup, f"the store of RSU {reader.rsu!r}, not {rsu!r}", "name a backup of this RSU's")
        problems = reader.problems()
    if problems:
        raise StoreError(backup, f"damaged ({problems[0]})", "name another backup", Reason.CORRUPT)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Path(f"{path}.lock").open("a") as lock:
            _lock(lock.fileno(), path)
            return _exchange(path, backup)
    except OSError as error:
        raise StoreError(
            path, f"cannot be written ({error.strerror})", "do this as root, or as the RSU's user"
        ) from error


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StoreError(path, "in use", "stop its RSU first: uavtwin rsu stop DIR") from error


def _exchange(path: Path, backup: Path) -> Path | None:
    passing = path.with_name(f"{path.name}.restored")
    shutil.copyfile(backup, passing)
    owner = path.parent.stat()
    os.chown(passing, owner.st_uid, owner.st_gid)
    passing.chmod(0o600)
    with passing.open("rb") as file:
        os.fsync(file.fileno())
    aside = (
        path.with_name(f"{path.name}.before-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}") if path.exists() else None
    )
    if aside is not None:
        for suffix in ("-wal", "-shm"):  # they belong to the file that goes
            file_ = Path(f"{path}{suffix}")
            if file_.exists():
                file_.replace(f"{aside}{suffix}")
        for beside in (journal_of, blocks_of):
            if beside(path).exists():
                beside(path).replace(beside(aside))
        path.replace(aside)
    passing.replace(path)
    sync_folder(path.parent)
    return aside
