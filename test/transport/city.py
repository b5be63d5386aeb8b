"""Carriers of several RSUs on loopback, over real sockets."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

import pytest

pytest.importorskip("cryptography")

from uav_twin_migration.security.certificates import Identity
from uav_twin_migration.transport.addresses import Address
from uav_twin_migration.transport.carrier import Carrier
from uav_twin_migration.transport.link import Arrived, Broken, Limits, LinkEvent
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.messages import (
    Ack,
)

PATIENCE = 60.0  # s that an event may take on a busy machine
QUICK = Limits(
    handshake=0.5, frame=0.6, silence=0.8, keep_alive=0.2, unauthenticated=8, unauthenticated_of_one_address=8
)


class Events:
    """Gets what a carrier delivers."""

    def __init__(self) -> None:
        self.happened: queue.Queue[LinkEvent] = queue.Queue()

    def frame(self) -> Arrived:
        event = self.happened.get(timeout=PATIENCE)
        assert isinstance(event, Arrived), event
        return event

    def broken(self) -> Broken:
        while True:
            event = self.happened.get(timeout=PATIENCE)
            if isinstance(event, Broken):
                return event


class City:
    """Carriers of several RSUs on loopback."""

    def __init__(self, keys_of: Callable[[str], Identity | None], limits: Limits | None = None) -> None:
        self.ports: dict[str, Address] = {}
        self.ears = {name: Events() for name in ("north", "south")}
        self.carriers: dict[str, Carrier] = {}
        for name, events in self.ears.items():
            address = ("127.0.0.1", 0)
            carrier = Carrier(name, keys_of(name), address, events.happened.put, self.ports.get, limits)
            self.carriers[name] = carrier
            self.ports[name] = carrier.address
            carrier.start()

    def close(self) -> None:
        for carrier in self.carriers.values():
            carrier.stop()


def ack(version: int) -> bytes:
    return wire.encode(Ack("u1", 1, version))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
