"""A twin application: a twin that is the UAV's last place. examples/bring_a_twin.py has one that keeps them all."""

import struct

from uav_twin_migration.twin.hosting.application import Changes, Piece
from uav_twin_migration.twin.hosting.estimate import Estimate, Telemetry

PLACE = struct.Struct("<q7d")  # sequence, stamp (s), position (m), velocity (m/s)


class LastPlace:
    def __init__(self, content=None):
        self.content, self.changes = content, 1

    def observe(self, telemetry, now):
        self.content = PLACE.pack(telemetry.sequence, telemetry.stamp, *telemetry.position, *telemetry.velocity)
        self.changes += 1

    def telemetry(self):
        sequence, stamp, x, y, z, vx, vy, vz = PLACE.unpack(self.content)
        return Telemetry(sequence, stamp, (x, y, z), (vx, vy, vz))

    def estimate(self, now):
        last = self.telemetry() if self.content else None
        return last and Estimate(last.stamp, now - last.stamp, last.position, last.velocity, (1.0,) * 3, (1.0,) * 3)

    def as_of(self):
        return self.telemetry().stamp if self.content else None

    def version(self):
        return self.changes

    def snapshot(self):
        return iter(self.changes_since(0).pieces)

    def changes_since(self, version):
        return Changes(self.changes, [Piece(0, self.content or bytes(PLACE.size))] if self.changes > version else [])


class LastPlaces:
    name = "examples/last_place"

    def chunk_size(self, size):
        return PLACE.size

    def create(self, uav, size):
        return LastPlace()

    def restore(self, uav, read):
        content = read(0)
        if content is None or len(content) != PLACE.size:
            raise ValueError("piece 0 is no place")
        return LastPlace(content if any(content) else None)
