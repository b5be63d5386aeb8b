"""An RSU that an enemy talks to, and what the enemy can say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from test.twin.files import is_empty
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.host import TwinHost
from uav_twin_migration.twin.hosting.outputs import Transmit
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.twin import UavTwins
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.chunks import (
    Chunk,
    digest,
)
from uav_twin_migration.twin.protocol.epochs import make_epoch
from uav_twin_migration.twin.protocol.messages import (
    Data,
    LeaseRenewal,
    Offer,
    Purpose,
    Reason,
    Refuse,
)
from uav_twin_migration.twin.protocol.replica_state import Record

EPOCH = make_epoch(5)
HIGHEST = (1 << 63) - 1
LINK = -7
SESSION = 3


class Target:
    """An RSU that an enemy talks to. The UAV u1 takes the enemy for its twin's host."""

    def __init__(self, directory: Path, settings: HostSettings | None = None) -> None:
        self.host = TwinHost(Store(directory / "target.db", "target"), UavTwins(), 0.0, settings)
        self.host.recognise(LeaseRenewal("u1", "enemy", EPOCH, EPOCH), 0.0)
        self.host.commit(0.0)

    def say(self, frame: Any, peer: str = "enemy") -> list[Any]:
        """One frame; returns the answers."""
        self.host.receive(LINK, peer, frame, 1.0)
        return [decode(wire.encoded(one.frame)) for one in self.host.commit(1.0) if isinstance(one, Transmit)]

    def offer(self, **changes: Any) -> list[Any]:
        twin = UavTwins()
        offer = Offer("u1", SESSION, EPOCH, Purpose.MIGRATION, 100_000, twin.chunk_size(100_000), twin.name)
        return self.say(replace(offer, **changes))

    @property
    def record(self) -> Record:
        return self.host.state.twin("u1").replica_state.record

    def is_empty(self) -> bool:
        """Whether the disk has nothing but itself, once it was swept."""
        while self.host.store.collect_garbage():
            pass
        self.host.store.commit()
        return is_empty(self.host.store)


def chunks(after: int, *contents: bytes, number: int = 1024, session: int = SESSION) -> wire.Chunks:
    listed = [
        Chunk(number + place, after + 1 + place, digest(content), content) for place, content in enumerate(contents)
    ]
    frame = decode(b"".join(wire.encode_chunks(Data("u1", session, after, after + len(contents)), listed)))
    assert isinstance(frame, wire.Chunks)
    return frame


def refusal(reason: Reason, newest_epoch: int = 0) -> list[Any]:
    return [Refuse("u1", SESSION, reason, newest_epoch)]


def decode(data: bytes) -> Any:
    """The frame of which these are the bytes."""
    reader = wire.FrameReader()
    reader.trusted = True
    frame = None
    while data:
        room = reader.room()
        size = min(len(room), len(data))
        room[:size] = data[:size]
        frame, data = reader.filled(size), data[size:]
    assert frame is not None
    return frame
