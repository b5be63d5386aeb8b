"""Bytes from RSU to RSU in virtual time: connections with a rate, as `transport/tls.py` has them on sockets.

Frames go one after the other; those that are paced as the same token bucket lets them. Nothing is lost on a
connection: what is cut off waits, and the connection breaks after `Limits.silence` without a word.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from uav_twin_migration.studies.virtual.events import Process
from uav_twin_migration.studies.virtual.network import Network
from uav_twin_migration.transport.link import Limits
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.pacing import UNLIMITED, TokenBucket

LIMITS = Limits()
SMALLEST = 1.0  # bytes: less is rounding
WORD = 200  # bytes that a frame without chunks counts as

Deliver = Callable[[int, str, Any, int], None]  # link, peer, frame, bytes
Broken = Callable[[int], None]


class End:
    """One side of a connection, and what it sends."""

    def __init__(self, carrier: Carrier, number: int, rate: float, ready: float) -> None:
        """ready: s, when the connection stands."""
        self.carrier, self.number, self.events = carrier, number, carrier.events
        self.other: End | None = None
        self.bucket = TokenBucket(rate, self.events.now)
        self._frames: deque[tuple[Any, int, bool]] = deque()
        self._bytes = 0  # that wait
        self._ready, self._arrived, self._turn = ready, 0.0, 0
        self._left, self._since = 0.0, 0.0  # bytes of the first frame that have not gone, and since when they go
        self._finishing = False

    def send(self, frame: Any, size: int, paced: bool) -> None:
        """Queue a frame."""
        self._frames.append((frame, size, paced))
        self._bytes += size
        if len(self._frames) == 1:
            self.go_on()

    def queued(self) -> int:
        """Bytes that have not gone."""
        self._flow()
        return self._bytes - round(self._frames[0][1] - self._left) if self._left else self._bytes

    def pace(self, rate: float) -> None:
        """Another rate, bytes/s."""
        self._flow()
        self.bucket.set_rate(rate, self.events.now)
        self.go_on()

    def finish(self) -> None:
        """Close once what is not paced has gone, and the frame that has begun to go."""
        self._flow()
        kept = deque(one for place, one in enumerate(self._frames) if not one[2] or (place == 0 and self._left))
        self._frames, self._bytes = kept, sum(size for _, size, _ in kept)
        self.bucket.set_rate(UNLIMITED, self.events.now)
        self._finishing = True
        self.go_on()

    def _flow(self) -> None:
        """Count what of the first frame has gone since the last look, all that the bucket let through."""
        now = self.events.now
        if self._left and now > self._since:
            self._left = max(self._left - self.bucket.rate * (now - self._since), 1e-3)
            self.bucket.spend(self.bucket.allowed(now))
            self._since = now

    def go_on(self) -> None:
        """Send what may go now, and come back when more may."""
        self._turn += 1
        now = self.events.now
        if now < self._ready:
            self.events.at(self._ready, partial(self._again, self._turn))
            return
        if self.carrier.is_cut(self):
            return  # `Carrier.look` comes back
        while self._frames:
            frame, size, paced = self._frames[0]
            if paced and not self._may_go(size, now):
                return
            self._frames.popleft()
            self._bytes -= size
            self._left = 0.0
            self.carrier.sent += size if paced else 0
            self._deliver(frame, size)
        if self._finishing:
            self.carrier.drop(self)

    def _may_go(self, size: int, now: float) -> bool:
        """Whether all of the first frame has gone by now; else it goes on when it will have."""
        if not self._left:
            self._left, self._since = float(size), now
            let_through = min(self._left, self.bucket.allowed(now))
            self.bucket.spend(let_through)
            self._left -= let_through
        else:
            self._flow()
        if self._left <= SMALLEST or self.bucket.rate == UNLIMITED:
            return True
        if self.bucket.rate > 0.0:
            self.events.at(now + self._left / self.bucket.rate, partial(self._again, self._turn))
        return False

    def _again(self, turn: int) -> None:
        if turn == self._turn:
            self.go_on()

    def _deliver(self, frame: Any, size: int) -> None:
        other, carrier = self.other, self.carrier
        if other is None:
            return
        arrival = max(self.events.now + carrier.network.delay(carrier.name, other.carrier.name), self._arrived)
        self._arrived = arrival
        self.events.at(arrival, partial(other.carrier.arrive, other, carrier.name, frame, size))


class Carrier:
    """All connections of one RSU."""

    def __init__(self, process: Process, network: Network, others: dict[str, Carrier]) -> None:
        """others: everybody's carrier by name, this one's among them."""
        self.process, self.network, self.events, self.name = process, network, process.events, process.name
        self.deliver: Deliver = lambda link, peer, frame, size: None
        self.broken: Broken = lambda link: None
        self._others = others
        self._ends: dict[int, End] = {}
        self._inbound = 0
        self.sent = 0  # bytes of chunks, in all
        others[self.name] = self
        network.on_change.append(self.look)

    def open(self, number: int, peer: str, rate: float) -> None:
        """Connect to another RSU; `broken` is told where that fails."""
        other = self._others.get(peer)
        now = self.events.now
        if other is None or not other.process.is_up:
            self._tell(now + 2.0 * self.network.delay(self.name, peer), number)
            return
        if self.network.is_cut(self.name, peer):
            self._tell(now + LIMITS.handshake, number)
            return
        ready = now + self.network.delay(self.name, peer) + self.network.delay(peer, self.name)
        other._inbound -= 1
        mine, its = End(self, number, rate, ready), End(other, other._inbound, UNLIMITED, ready)
        mine.other, its.other = its, mine
        self._ends[number], other._ends[its.number] = mine, its

    def send(self, number: int, frame: Any, paced: bool) -> None:
        """Send a frame. Over a link that is gone, nothing happens."""
        end = self._ends.get(number)
        if end is not None:
            end.send(frame, wire.size_of(frame) if isinstance(frame, wire.Chunks) else WORD, paced)

    def pace(self, number: int, rate: float) -> None:
        """Change a link's rate, bytes/s."""
        if number in self._ends:
            self._ends[number].pace(rate)

    def close(self, number: int) -> None:
        """Close a link once everything given to it is sent, but for paced frames that have to wait."""
        if number in self._ends:
            self._ends[number].finish()

    def queued(self, number: int) -> int:
        """Bytes that wait to be sent over a link."""
        end = self._ends.get(number)
        return end.queued() if end is not None else 0

    def arrive(self, end: End, peer: str, frame: Any, size: int) -> None:
        """A frame came, if the connection still stands."""
        if self._ends.get(end.number) is end:
            self.process.deliver(partial(self.deliver, end.number, peer, frame, size))

    def is_cut(self, end: End) -> bool:
        """Whether nothing gets to the other side."""
        return end.other is not None and self.network.is_cut(self.name, end.other.carrier.name)

    def drop(self, end: End) -> None:
        """A connection ends: both sides hear of it, the other a little later, after what was sent before."""
        now, other = self.events.now, end.other
        if self._ends.pop(end.number, None) is not None:
            self._tell(now, end.number)
        if other is not None and other.carrier._ends.get(other.number) is other:
            arrival = max(now + self.network.delay(self.name, other.carrier.name), end._arrived)
            self.events.at(arrival, partial(other.carrier._lost, other))

    def _lost(self, end: End) -> None:
        """The other side has ended a connection."""
        if self._ends.get(end.number) is end:
            del self._ends[end.number]
            self.process.deliver(partial(self.broken, end.number))

    def hang_up(self) -> None:
        """The process is gone, and all its connections with it."""
        for end in list(self._ends.values()):
            self.drop(end)

    def look(self) -> None:
        """Who is cut off from whom has changed, or who stands still: connections that stay silent will break."""
        for end in list(self._ends.values()):
            if self.is_silent(end):
                self.events.at(self.events.now + LIMITS.silence, partial(self._break, end, self.events.now))
            else:
                end.go_on()

    def is_silent(self, end: End) -> bool:
        """Whether nothing comes from the other side."""
        return self.is_cut(end) or (end.other is not None and end.other.carrier.process.is_stopped)

    def _break(self, end: End, since: float) -> None:
        if self._ends.get(end.number) is end and self.is_silent(end):
            self.drop(end)

    def _tell(self, time: float, number: int) -> None:
        if math.isfinite(time):
            self.process.at(time, partial(self.broken, number))
