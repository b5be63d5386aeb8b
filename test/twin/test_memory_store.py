"""The store in memory beside the one on a disk: whatever is called, in whatever order, they say the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uav_twin_migration.twin.hosting.memory_store import Disk, MemoryStore
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import Copy, Stored
from uav_twin_migration.twin.protocol.chunks import Chunk, digest
from uav_twin_migration.twin.protocol.replica_state import InboundTransfer, Record, Status

CALLS = ("add", "add", "base", "write", "write", "write", "save", "version", "forget", "whole", "merge", "tombstone")
ENDS = ("commit", "commit", "rollback", "reopen", "garbage")
calls = st.lists(st.tuples(st.sampled_from(CALLS + ENDS), st.integers(0, 5), st.integers(0, 3)), max_size=40)


class Twice:
    """Both stores, given the same calls."""

    def __init__(self, folder: Path) -> None:
        self.path, self.disk = folder / "rsu1.db", Disk()
        self.stores: list[Store] = [Store(self.path, "rsu1"), MemoryStore(self.disk, "rsu1")]
        self.copies: list[list[Copy]] = [[], []]
        self.committed: list[Copy] = []
        self.version = 0

    def call(self, name: str, which: int, number: int) -> None:
        known = self.copies[0]
        if name in ("add", "base"):
            base = which % len(known) if name == "base" and known else None
            for place, store in enumerate(self.stores):
                of = self.copies[place][base] if base is not None and known[base].base is None else None
                self.copies[place].append(store.add_copy(f"u{which}", "app", 64, 9, whole=number > 0, base=of))
        elif name == "reopen":
            for store in self.stores:
                store.close()
            self.stores = [Store(self.path, "rsu1"), MemoryStore(self.disk, "rsu1")]
            self.forget()
        elif name == "rollback":
            for store in self.stores:
                store.rollback()
            self.forget()
        elif name == "commit":
            for store in self.stores:
                store.commit()
            self.committed = list(known)
        elif name == "garbage":
            for store in self.stores:
                while store.collect_garbage():
                    pass
            gone = {one for one in range(len(known)) if known[one].id not in self.disk.copies}
            self.copies = [[one for place, one in enumerate(some) if place not in gone] for some in self.copies]
        elif known:
            self.of_copy(name, which % len(known), number)

    def of_copy(self, name: str, place: int, number: int) -> None:
        self.version += 1
        content = bytes([self.version % 256]) * (number + 1)
        chunk = Chunk(number, self.version, digest(content), content)
        for row, store in enumerate(self.stores):
            copy = self.copies[row][place]
            if name == "write":
                store.write(copy, [chunk])
            elif name == "save":
                store.save(f"u{number}", self.stored(copy))
            elif name == "version":
                store.save_version(f"u{number}", self.version)
            elif name == "forget":
                store.forget(f"u{number}")
            elif name == "whole":
                self.copies[row][place] = store.set_whole(copy)
            elif name == "merge" and copy.base is not None:
                store.merge(copy)

    def stored(self, copy: Copy) -> Stored:
        transfer = InboundTransfer("rsu2", 8, self.version, True)
        record = Record(Status.HOSTING, 7, self.version, newest_epoch=8, inbound=transfer if copy.base else None)
        return Stored(record, None if copy.base else copy, copy if copy.base else None)

    def forget(self) -> None:
        """Of what was not committed nothing is left: only what both still have is gone on with."""
        kept = [one.id for one in self.committed if one.id in self.disk.copies]
        self.copies = [[one for one in self.copies[0] if one.id in kept] for _ in self.stores]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(calls)
def test_both_stores_say_the_same(script: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        both = Twice(Path(folder))
        try:
            for name, which, number in script:
                both.call(name, which, number)
                (disk, memory), (on_disk, in_memory) = both.stores, both.copies
                assert [(one.id, one.whole, one.base) for one in on_disk] == [
                    (one.id, one.whole, one.base) for one in in_memory
                ]
                assert disk.load() == memory.load()
                for one, other in zip(on_disk, in_memory, strict=True):
                    assert disk.entries(one) == memory.entries(other)
                    assert disk.size_of(one) == memory.size_of(other)
                    assert [disk.read(one, n) for n in range(4)] == [memory.read(other, n) for n in range(4)]
                    assert list(memory.damaged(other)) == []
                assert disk.dirty == memory.dirty
        finally:
            for store in both.stores:
                store.close()
