"""The power fails, at every instant of a store's life: what was committed is there, what was not is there whole or not.

A model of a disk that keeps what was synced, and of what was written since then 512-byte sectors by chance, names of
files too. It stands in for a real one beneath the blocks and the journal; SQLite's own files are as the kernel has
them, since SQLite is tested for this by its makers (sqlite.org/testing.html, "Crash Testing").
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from test.twin.files import copied
from uav_twin_migration.twin.hosting import store
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import Copy, Stored, blocks_of
from uav_twin_migration.twin.protocol.chunks import Chunk, digest
from uav_twin_migration.twin.protocol.replica_state import Record, Status

SECTOR = 512  # bytes that a disk writes wholly or not at all
LARGE = 9_000  # bytes of the largest chunk
UAVS = ("u1", "u2", "u3")


class Written(NamedTuple):
    """A write that was not synced."""

    file: str
    at: int
    before: bytes
    size: int


class Disk:
    """What the store's system calls leave on it."""

    def __init__(self, patch: pytest.MonkeyPatch, path: Path, happens: Callable[[], None]) -> None:
        self.path, self.happens = path, happens
        self.unsynced: list[Written] = []
        self.names: set[str] = set()  # of blocks that are on the disk
        self.pwrite, self.pwritev, self.fdatasync, self.fsync = os.pwrite, os.pwritev, os.fdatasync, os.fsync
        for name in ("pwrite", "pwritev", "fdatasync", "fsync"):
            patch.setattr(os, name, getattr(self, f"when_{name}"))

    def when_pwrite(self, file: int, data: bytes, at: int) -> int:
        self._write(file, len(data), at)
        return self.pwrite(file, data, at)

    def when_pwritev(self, file: int, buffers: Sequence[memoryview], at: int) -> int:
        self._write(file, sum(map(len, buffers)), at)
        return self.pwritev(file, buffers, at)

    def _write(self, file: int, size: int, at: int) -> None:
        self.happens()
        self.unsynced.append(Written(name_of(file), at, os.pread(file, size, at), size))

    def when_fdatasync(self, file: int) -> None:
        self.happens()
        self.fdatasync(file)
        self.unsynced = [one for one in self.unsynced if one.file != name_of(file)]
        self.happens()

    def when_fsync(self, file: int) -> None:
        self.happens()
        self.fsync(file)
        if name_of(file) == str(blocks_of(self.path)):
            self.names = set(os.listdir(blocks_of(self.path)))

    def after_power_loss(self, to: Path, chance: random.Random) -> Path:
        """The store as it is found then."""
        found = copied(self.path, to)
        for one in reversed(self.unsynced):
            file = to / Path(one.file).relative_to(self.path.parent)
            if file.exists():
                restore(file, one, chance)
        for file in blocks_of(found).iterdir():
            if file.name not in self.names and chance.random() < 0.5:
                file.unlink()
        return found


def name_of(file: int) -> str:
    return os.readlink(f"/proc/self/fd/{file}")


def restore(file: Path, written: Written, chance: random.Random) -> None:
    """Some sectors of what was written did not come to the disk."""
    data = bytearray(file.read_bytes())
    before = written.before.ljust(written.size, b"\0")
    for at in range(written.at - written.at % SECTOR, written.at + written.size, SECTOR):
        if chance.random() < 0.5:
            first, last = max(at, written.at), min(at + SECTOR, written.at + written.size)
            data[first:last] = before[first - written.at : last - written.at]
    file.write_bytes(data)


Contents = dict[tuple[str, int], bytes]  # of each UAV's own copy, by number


class Life:
    """A store, and what it was told."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.store, self.chance, self.version = Store(path, "rsu1"), chance, 0
        self.copies = {uav: self.store.add_copy(uav, "app", LARGE) for uav in UAVS}
        self.now: Contents = {}
        self.changes: dict[str, Copy] = {}  # inbound, with a base
        self.beside: dict[str, dict[int, bytes]] = {}  # what is in them
        for uav in UAVS:
            self.save(uav)
        self.store.commit()
        self.kept = dict(self.now)

    def save(self, uav: str) -> None:
        record = Record(Status.HOSTING, 1, self.version)
        self.store.save(uav, Stored(record, self.copies[uav], self.changes.get(uav)))

    def chunks(self) -> list[Chunk]:
        made = []
        for number in self.chance.sample(range(8), self.chance.randint(1, 4)):
            self.version += 1
            content = self.chance.randbytes(self.chance.choice((40, 500, 4096, LARGE)))
            made.append(Chunk(number, self.version, digest(content), content))
        return made

    def step(self) -> None:
        """Something happens. A copy beside which changes arrive does not change by itself: it is a replica."""
        uav = self.chance.choice(UAVS)
        own = () if uav in self.changes else ("write", "change", "change", "change")
        getattr(self, self.chance.choice((*own, "replace", "receive", "merge", "collect")))(uav)
        if self.chance.random() < 0.5:
            self.store.commit()
            self.kept = dict(self.now)

    def write(self, uav: str) -> None:
        self._told(uav, chunks := self.chunks())
        self.store.write(self.copies[uav], chunks)

    def change(self, uav: str) -> None:
        self._told(uav, chunks := self.chunks())
        self.store.change(self.copies[uav], chunks)
        self.store.save_version(uav, self.version, self.copies[uav])

    def _told(self, uav: str, chunks: list[Chunk]) -> None:
        self.now |= {(uav, chunk.number): bytes(chunk.content) for chunk in chunks}

    def replace(self, uav: str) -> None:
        """Another copy becomes the twin."""
        self.drop_changes(uav)
        self.store.set_tombstone(self.copies[uav])
        self.copies[uav] = self.store.add_copy(uav, "app", LARGE)
        self.now = {key: content for key, content in self.now.items() if key[0] != uav}
        self.write(uav)
        self.save(uav)

    def receive(self, uav: str) -> None:
        """What changed arrives beside it."""
        if uav not in self.changes:
            self.changes[uav], self.beside[uav] = self.store.add_copy(uav, "app", LARGE, base=self.copies[uav]), {}
            self.save(uav)
        self.store.write(self.changes[uav], chunks := self.chunks())
        self.beside[uav] |= {chunk.number: bytes(chunk.content) for chunk in chunks}

    def merge(self, uav: str) -> None:
        """It becomes part of the copy."""
        if uav in self.changes:
            self.store.merge(self.changes[uav])
            self.now |= {(uav, number): content for number, content in self.beside[uav].items()}
            self.beside[uav] = {}

    def drop_changes(self, uav: str) -> None:
        if uav in self.changes:
            self.store.set_tombstone(self.changes.pop(uav))
            self.save(uav)

    def collect(self, uav: str) -> None:
        if self.chance.random() < 0.3:
            self.drop_changes(uav)
        self.store.collect_garbage()


def found_in(path: Path) -> Contents:
    """What a store has of hosted twins, none of which is damaged."""
    with Store(path, "rsu1") as opened:
        found: Contents = {}
        for uav, stored in opened.load().items():
            assert stored.own is not None
            for copy in (stored.own, stored.inbound):
                assert copy is None or list(opened.damaged(copy)) == []
            for entry in opened.entries(stored.own):
                content = opened.read(stored.own, entry.number)
                assert content is not None
                found[uav, entry.number] = content
        return found


def lose_power(folder: Path, seed: int, steps: int, often: float, patch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Live, and lose power by chance at the instants between system calls; yields each store that is found then."""
    chance = random.Random(seed)
    patch.setattr(store, "LONG_JOURNAL", 40_000)
    patch.setattr(store, "MUCH_CHANGED", 20_000)
    losses: list[tuple[Path, Contents, Contents]] = []
    living: list[Life] = []

    def happens() -> None:
        if living and chance.random() < often:
            path = disk.after_power_loss(folder / f"found_{len(losses)}", chance)
            losses.append((path, dict(living[0].kept), dict(living[0].now)))

    with pytest.MonkeyPatch.context() as calls:
        disk = Disk(calls, folder / "s.db", happens)
        living.append(Life(folder / "s.db", chance))
        for _ in range(steps):
            living[0].step()
        living[0].store.rollback()
        living[0].store.close()
    for path, kept, now in losses:
        yield found_in(path), kept, now


@pytest.mark.parametrize("seed", [1, 2])
def test_wherever_power_fails_what_was_committed_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    losses = 0
    for found, kept, now in lose_power(tmp_path, seed, 60, 0.15, monkeypatch):
        losses += 1
        for uav in UAVS:
            mine = of(found, uav)
            assert mine in (of(kept, uav), of(now, uav))
    assert losses > 20


def of(contents: Contents, uav: str) -> Contents:
    return {key: content for key, content in contents.items() if key[0] == uav}
