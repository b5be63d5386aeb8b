"""Connections between the RSUs of a town, in virtual time, and what their bytes say."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from uav_twin_migration.twin.protocol import wire

if TYPE_CHECKING:
    from test.twin.town import Town

DELAY = 0.002  # s


class Wire:
    """One direction of a connection: frames go one after the other, those that are paced at its rate."""

    def __init__(self, town: Town, name: str, link: int, rate: float = math.inf) -> None:
        self.town, self.name, self.link, self.rate = town, name, link, rate
        self.waiting: deque[tuple[bytes, bool]] = deque()
        self.busy = False

    def send(self, data: bytes, paced: bool) -> None:
        self.waiting.append((data, paced))
        self.go_on()

    def go_on(self) -> None:
        if self.busy or not self.waiting:
            return
        data, paced = self.waiting[0]
        if not paced or self.rate > 0.0:
            self.busy = True
            self.town.at(len(data) / self.rate if paced else 0.0, self._gone)

    def _gone(self) -> None:
        data, _ = self.waiting.popleft()
        self.busy = False
        self.town.at(DELAY, lambda: self.town.arrive(self.name, self.link, data))
        self.go_on()


def decode(data: bytes) -> Any:
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
