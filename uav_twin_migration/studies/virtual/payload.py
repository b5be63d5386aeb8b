"""Twins whose payload weighs what it should and takes no memory: all its pieces are the same zeros.

The pieces are larger than those of a `UavTwin`, up to `PIECE`, so that fewer of them have to be followed on their way.
What changes while a twin moves, its head and its history, has the same chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from uav_twin_migration.twin.hosting.application import Piece, Reader
from uav_twin_migration.twin.hosting.estimate import Noise
from uav_twin_migration.twin.hosting.twin import PAYLOAD_AT, UavTwin, UavTwins
from uav_twin_migration.twin.protocol.chunks import digest

PIECE = 512 * 1024  # bytes


@lru_cache(maxsize=1024)
def _zeros(size: int) -> tuple[bytes, bytes]:
    """So many, and their digest: the same for all twins."""
    zeros = bytes(size)
    return zeros, digest(zeros)


class BlankTwin(UavTwin):
    """A UAV's twin, with nothing in its maps and media."""

    def __init__(self, uav: str, size: int, noise: Noise | None = None) -> None:
        super().__init__(uav, size, noise)
        self.piece_size = PIECE

    def snapshot(self) -> Iterator[Piece]:
        """All pieces."""
        for number in range(self.pieces):
            yield Piece(PAYLOAD_AT + number, *_zeros(self.size_of(number)))
        yield from self._own_pieces()


class BlankTwins(UavTwins):
    """The application that makes such twins."""

    def chunk_size(self, size: int) -> int:
        """The largest chunk of a twin with a payload of `size` bytes."""
        return PIECE

    def create(self, uav: str, size: int) -> UavTwin:
        """A twin that knows nothing."""
        return BlankTwin(uav, size, self.noise)

    def restore(self, uav: str, read: Reader) -> UavTwin:
        """The twin whose chunks `read` gives. Raises ValueError."""
        return BlankTwin.restored(uav, read, self.noise)
