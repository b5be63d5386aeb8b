"""Twins whose payload weighs what it should and takes no memory: all its pieces are the same zeros."""

from __future__ import annotations

from collections.abc import Iterator

from uav_twin_migration.twin.hosting.application import Piece, Reader
from uav_twin_migration.twin.hosting.twin import PAYLOAD_AT, UavTwin, UavTwins


class BlankTwin(UavTwin):
    """A UAV's twin, with nothing in its maps and media."""

    def snapshot(self) -> Iterator[Piece]:
        """All pieces."""
        zeros = bytes(self.piece_size)
        for number in range(self.pieces):
            yield Piece(
                PAYLOAD_AT + number, zeros if self.size_of(number) == len(zeros) else zeros[: self.size_of(number)]
            )
        yield from self._own_pieces()


class BlankTwins(UavTwins):
    """The application that makes such twins."""

    def create(self, uav: str, size: int) -> UavTwin:
        """A twin that knows nothing."""
        return BlankTwin(uav, size, self.noise)

    def restore(self, uav: str, read: Reader) -> UavTwin:
        """The twin whose chunks `read` gives. Raises ValueError."""
        return BlankTwin.restored(uav, read, self.noise)
