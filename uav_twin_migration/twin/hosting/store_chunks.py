"""The chunks of an RSU's store, as its one writer writes them: what they consist of among the blocks, the rest in rows.

See store.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from uav_twin_migration.twin.hosting.blocks import Blocks, Extent
from uav_twin_migration.twin.hosting.store_database import StoreDatabase, write_error
from uav_twin_migration.twin.hosting.store_reader import StoreReplacedError, blocks_of
from uav_twin_migration.twin.protocol.chunks import Chunk


class StoreChunks(StoreDatabase):
    """The database and the blocks of one RSU's store, to write to."""

    _blocks: Blocks | None

    def __init__(self, path: Path | str, rsu: str) -> None:
        """Open the file, or make it. Raises StoreError."""
        self._owners: dict[int, int] = {}  # copy -> its file among the blocks
        super().__init__(path, rsu)

    # -- transactions ------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """End the transaction in the database, where there is one: what it tells of is on the disk before."""
        if self._blocks is None:  # while the file is brought to the present format
            super()._end()
            return
        if self._database.in_transaction:
            self._refuse(self._sync(self._blocks))
        super()._end()
        self._blocks.committed()

    def _sync(self, blocks: Blocks) -> str:
        try:
            return blocks.sync()
        except OSError as error:
            raise write_error(blocks_of(self.path), error) from error

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._run("ROLLBACK")
        if self._blocks is not None:
            self._blocks.rolled_back()

    def _refuse(self, trouble: str) -> None:
        if trouble:
            hint = (
                f"no twin is served here; put the file back or restart this RSU. Until its process {os.getpid()} ends, "
                f"a file that was deleted can be copied from /proc/{os.getpid()}/fd"
            )
            raise StoreReplacedError(self.path, trouble, hint)

    # -- chunks ------------------------------------------------------------------------------------------------------

    def _write_chunks(self, chunks: Sequence[tuple[int, Chunk]]) -> None:
        contents: dict[int, dict[int, Chunk]] = {}
        for copy, chunk in chunks:
            contents.setdefault(copy, {})[chunk.number] = chunk
        for copy, latest in contents.items():
            self._give_up(copy, latest)
            places = self._put(copy, [chunk.content for chunk in latest.values()])
            rows = [
                (copy, chunk.number, chunk.version, len(chunk.content), chunk.digest, place)
                for chunk, place in zip(latest.values(), places, strict=True)
            ]
            self._write_many("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)", rows)

    def _put(self, copy: int, contents: Sequence[bytes | memoryview]) -> list[int]:
        assert self._blocks is not None
        try:
            return self._blocks.write(self._blocks_of(copy), contents)
        except OSError as error:
            raise write_error(blocks_of(self.path), error) from error

    def _give_up(self, copy: int, numbers: Iterable[int]) -> None:
        """What the database says of these chunks is about to change: what they were goes once that is committed."""
        assert self._blocks is not None
        wanted = sorted(numbers)
        if not wanted:
            return
        rows = "SELECT number, place, size FROM chunks WHERE copy = ? AND number BETWEEN ? AND ? AND place >= 0"
        found: dict[int, Extent] = {}
        for first, last in _ranges(wanted):
            found |= {number: (place, size) for number, place, size in self._all(rows, (copy, first, last))}
        self._blocks.give_up(self._blocks_of(copy), found.values())

    def _blocks_of(self, copy: int) -> int:
        """Which file of the blocks has a copy's chunks: its base's, where it has one."""
        file = self._owners.get(copy)
        if file is None:
            (file,) = self._one("SELECT coalesce(base, id) FROM copies WHERE id = ?", (copy,))
            self._owners[copy] = file
        return file

    def _open_blocks(self) -> Blocks:
        copies = {row[0] for row in self._all("SELECT coalesce(base, id) FROM copies")}
        try:
            return Blocks(blocks_of(self.path), copies, self._places)
        except OSError as error:
            raise write_error(blocks_of(self.path), error) from error

    def _places(self, file: int) -> list[Extent]:
        rows = """SELECT place, chunks.size FROM chunks JOIN copies ON copy = id
            WHERE coalesce(base, id) = ? AND place >= 0"""
        return self._all(rows, (file,))

    def _let_go_of(self, copy: int, base: int | None) -> None:
        """A copy is no more; its file goes with the next commit, if it was its own."""
        self._owners.pop(copy, None)
        if base is None and self._blocks is not None:
            self._blocks.remove(copy)


def _ranges(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """From which to which they follow each other without a gap; in order."""
    first = numbers[0]
    for number, following in pairwise([*numbers, -1]):
        if following != number + 1:
            yield first, number
            first = following
