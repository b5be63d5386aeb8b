"""Bring a twin: an application of one's own, which RSUs keep, serve and move without knowing what is in it.

    python3 examples/bring_a_twin.py

This twin is a log of where its UAV has been, one piece of 64 bytes a place. The host asks it for what changed since a
version, stores that, and gives the stored pieces back after a restart or a hand-over; here a dictionary is the store.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from uav_twin_migration.twin.hosting.application import Application, Changes, Piece, Reader, Twin
from uav_twin_migration.twin.hosting.estimate import Estimate, Telemetry

PLACE = struct.Struct("<8d")  # sequence, stamp (s), position (m), velocity (m/s)


class PlaceLog:
    """One UAV's log: piece 0 is the newest place's number, piece n the n-th place."""

    def __init__(self) -> None:
        self.places: list[Telemetry] = []

    def observe(self, telemetry: Telemetry, now: float) -> str | None:
        """Note where the UAV is; say why not where it speaks of the past."""
        if self.places and telemetry.stamp <= self.places[-1].stamp:
            return "out_of_order"
        self.places.append(telemetry)
        return None

    def estimate(self, now: float) -> Estimate | None:
        """Users are told the last place, as it was."""
        if not self.places:
            return None
        last, unknown = self.places[-1], (float("inf"),) * 3
        return Estimate(last.stamp, now - last.stamp, last.position, last.velocity, unknown, unknown)

    def as_of(self) -> float | None:
        """When the newest place was measured, s."""
        return self.places[-1].stamp if self.places else None

    def version(self) -> int:
        """Places only come on top."""
        return len(self.places)

    def snapshot(self) -> Iterator[Piece]:
        """All of it."""
        return iter(self.changes_since(0).pieces)

    def changes_since(self, version: int) -> Changes:
        """The places that came since then, and how many there are."""
        new = [Piece(n, self._packed(n)) for n in range(version + 1, len(self.places) + 1)]
        return Changes(self.version(), [Piece(0, struct.pack("<Q", len(self.places))), *new])

    def _packed(self, number: int) -> bytes:
        place = self.places[number - 1]
        return PLACE.pack(place.sequence, place.stamp, *place.position, *place.velocity)


class PlaceLogs:
    """Makes them."""

    name = "examples/place_log"

    def chunk_size(self, size: int) -> int:
        """No piece is larger than a place."""
        return PLACE.size

    def create(self, uav: str, size: int) -> Twin:
        """A log without a place; it has no use for a payload."""
        return PlaceLog()

    def restore(self, uav: str, read: Reader) -> Twin:
        """The log whose pieces these are. Raises ValueError where they are none of ours."""
        head, log = read(0), PlaceLog()
        if head is None or len(head) != 8:
            raise ValueError("piece 0 is no number of places")
        for number in range(1, struct.unpack("<Q", head)[0] + 1):
            content = read(number)
            if content is None or len(content) != PLACE.size:
                raise ValueError(f"piece {number} is no place")
            sequence, stamp, x, y, z, vx, vy, vz = PLACE.unpack(content)
            log.places.append(Telemetry(int(sequence), stamp, (x, y, z), (vx, vy, vz)))
        return log


application: Application = PlaceLogs()
twin, store, stored = application.create("uav_1", 0), dict[int, bytes](), 0
for step in range(100):
    twin.observe(Telemetry(step, 0.1 * step, (1.5 * step, 0.0, 60.0), (15.0, 0.0, 0.0)), now=0.1 * step)
    if step % 10 == 9:  # what the host does twice a second, and over the network in a migration
        stored, pieces = twin.changes_since(stored)
        store.update((piece.number, piece.content) for piece in pieces)

moved = application.restore("uav_1", store.get)
print(f"{len(store)} pieces; the twin at its new host was last told at {moved.as_of():.1f} s")
assert moved.estimate(10.0) == twin.estimate(10.0)
