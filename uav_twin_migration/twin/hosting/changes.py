"""What a store's chunks have become that its database does not know yet: in its journal, or not committed at all.

A commit goes into the journal, but for copies that its transaction in the database touches: those go there as a whole,
so that what is said of a twin and what is in it are committed together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from uav_twin_migration.twin.hosting.journal import Contents, Record, record_of
from uav_twin_migration.twin.protocol.chunks import Chunk

AT_REST = 16  # commits in which a chunk did not change, after which it may leave
LARGE = 64 * 1024  # bytes of a commit's changes of one copy, from which they go to their places at once
MOST = 16 * 1024 * 1024  # bytes of those of all copies: a frame of the journal is bounded


class Changes:
    """By copy and number."""

    def __init__(self) -> None:
        self._kept: Contents = {}  # what the journal has
        self._changed_in: dict[tuple[int, int], int] = {}  # and the commit that changed it last
        self._pending: Contents = {}  # what the next commit puts there
        self._touched: set[int] = set()  # copies that the transaction in the database touches
        self._lifted: Contents = {}  # what of them was in the journal, for a rollback
        self._commit = 0
        self.size = 0  # bytes of contents in the journal, as they are in memory

    def __bool__(self) -> bool:
        """Whether the next commit has anything for the journal."""
        return bool(self._pending)

    def of(self, copy: int) -> Mapping[int, Chunk]:
        """The newest of a copy's chunks, by number."""
        kept, pending = self._kept.get(copy), self._pending.get(copy)
        return {**kept, **pending} if kept and pending else kept or pending or {}

    def newest(self, copy: int, number: int) -> Chunk | None:
        """One of them."""
        for contents in (self._pending, self._kept):
            chunk = contents[copy].get(number) if copy in contents else None
            if chunk is not None:
                return chunk
        return None

    def newest_version(self, copy: int) -> int:
        """The highest version in them; 0 where there is none."""
        return max([chunk.version for chunk in self.of(copy).values()], default=0)

    def add(self, copy: int, chunks: Sequence[Chunk]) -> bool:
        """Have the next commit put chunks into the journal; False where they have to go into the database."""
        if copy in self._touched:
            return False
        self._pending.setdefault(copy, {}).update({chunk.number: chunk for chunk in chunks})
        return True

    def large(self) -> Iterator[int]:
        """The copies of which too much has changed, or for which there is no room left beside others."""
        total = 0
        for copy, chunks in list(self._pending.items()):
            size = sum(len(chunk.content) for chunk in chunks.values())
            if size > LARGE or total + size > MOST:
                yield copy
            else:
                total += size

    def lift(self, copy: int) -> list[Chunk]:
        """The transaction in the database touches a copy: what it has to write of it."""
        if copy in self._touched:
            return []
        self._touched.add(copy)
        found = list(self.of(copy).values())
        self._pending.pop(copy, None)
        if copy in self._kept:
            self._lifted[copy] = self._kept[copy]
            self._remove(copy, list(self._kept[copy]))
        return found

    def records(self) -> list[Record]:
        """What the next commit puts into the journal."""
        return [
            record_of(copy, chunk, self._kept.get(copy, {}).get(chunk.number))
            for copy, chunks in self._pending.items()
            for chunk in chunks.values()
        ]

    def commit(self) -> None:
        """It was put there, and what the database was to write is in the database."""
        self._commit += bool(self._pending)
        for copy, chunks in self._pending.items():
            self._keep(copy, chunks)
        self._pending = {}
        self._lifted.clear()
        self._touched.clear()

    def rollback(self) -> None:
        """Nothing of that has happened."""
        for copy, chunks in self._lifted.items():
            self._keep(copy, chunks)
        self._pending = {}
        self._lifted = {}
        self._touched.clear()

    def at_rest(self) -> list[tuple[int, Chunk]]:
        """Chunks in the journal that have ceased to change."""
        oldest = self._commit - AT_REST
        return [
            (copy, chunk)
            for copy, chunks in self._kept.items()
            for chunk in chunks.values()
            if self._changed_in[copy, chunk.number] <= oldest
        ]

    def all(self) -> list[tuple[int, Chunk]]:
        """Everything in the journal."""
        return [(copy, chunk) for copy, chunks in self._kept.items() for chunk in chunks.values()]

    def forget(self, taken: Sequence[tuple[int, Chunk]]) -> None:
        """The database has these."""
        for copy, chunk in taken:
            self._remove(copy, [chunk.number])

    def _keep(self, copy: int, chunks: Mapping[int, Chunk]) -> None:
        kept = self._kept.setdefault(copy, {})
        for number, chunk in chunks.items():
            self.size += len(chunk.content) - (len(kept[number].content) if number in kept else 0)
            kept[number] = chunk
            self._changed_in[copy, number] = self._commit

    def _remove(self, copy: int, numbers: Sequence[int]) -> None:
        """(A new dictionary: the one that was there may be kept for a rollback.)"""
        kept = self._kept[copy]
        for number in numbers:
            self.size -= len(kept[number].content)
            del self._changed_in[copy, number]
        rest = {number: chunk for number, chunk in kept.items() if number not in numbers}
        if rest:
            self._kept[copy] = rest
        else:
            del self._kept[copy]
