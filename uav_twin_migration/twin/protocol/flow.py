"""The bytes of one migration, at the source: which chunks are to go, and when little enough is left to freeze."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence

from uav_twin_migration.twin.protocol.chunks import Chunk, Entry, digest_of_twin
from uav_twin_migration.twin.protocol.pacing import UNLIMITED

FRAME_TIME = 0.01  # s of the rate that go into one frame, if that is more than a chunk
LARGEST_FRAME = 512 * 1024  # bytes
QUEUE_TIME = 0.03  # s of the rate that wait in the carrier
LEAST_QUEUE = 64 * 1024  # bytes
MOST_QUEUE = 8 * 1024 * 1024
WINDOW_TIME = 0.5  # s of the rate that may be on their way to the target's disk
LEAST_WINDOW = 1024 * 1024  # bytes
MOST_WINDOW = 32 * 1024 * 1024
FIRST_PAUSE = 0.01  # s that the rest may take once frozen; doubles while it is not reached
PAUSE_DOUBLES = 0.5  # s
LONGEST_PAUSE = 1.0  # s
PATIENCE = 30.0  # s at the longest pause before the twin counts as changing too fast
GUESSED_RATE = 50e6  # bytes/s, of an unlimited migration that has not been measured


class Flow:
    """What is still to be sent of a copy, in the order of its versions."""

    def __init__(self, entries: Iterable[Entry], version: int, known: Collection[bytes] = ()) -> None:
        """entries: all chunks of the copy. version: the target has what is not newer.

        known: digests of what it has elsewhere, and is sent references to.
        """
        self.known = known
        self.latest = {entry.number: entry for entry in entries}
        self.size = sum(entry.size for entry in self.latest.values())  # bytes of the whole copy
        newer = sorted((entry.version, entry.number) for entry in self.latest.values() if entry.version > version)
        self._waiting = deque(newer)
        self._unsent = sum(self.latest[number].size for _, number in newer)
        self._flying: deque[tuple[int, int]] = deque()  # (version, bytes)
        self.unacknowledged = 0  # bytes
        self.sent = version
        self.bytes_sent = 0
        self._first_pass = newer[-1][0] if newer else version
        self._passed_at = math.inf  # s, when all that was there at first had gone

    @property
    def remaining(self) -> int:
        """Bytes that are not on the target's disk."""
        return self._unsent + self.unacknowledged

    @property
    def is_empty(self) -> bool:
        """Whether everything has been sent."""
        return not self._waiting

    def changed(self, chunks: Sequence[Chunk]) -> None:
        """Chunks were written; their versions are newer than all before."""
        for chunk in chunks:
            old = self.latest.get(chunk.number)
            if old is not None:
                self.size -= old.size
                self._unsent -= old.size if old.version > self.sent else 0
            entry = Entry(chunk.number, chunk.version, chunk.digest, len(chunk.content))
            self.latest[chunk.number] = entry
            self._waiting.append((entry.version, entry.number))
            self._unsent += entry.size
            self.size += entry.size

    def take(self, most: int) -> list[Entry]:
        """The next chunks to send: at least one, if there is any, and no more than `most` bytes else."""
        taken: list[Entry] = []
        total = 0
        while self._waiting:
            version, number = self._waiting[0]
            entry = self.latest[number]
            if entry.version == version:
                if taken and total + entry.size > most:
                    break
                taken.append(entry)
                total += entry.size
            self._waiting.popleft()
        if taken:
            self.sent = taken[-1].version
            self._unsent -= total
            self.unacknowledged += total
            self.bytes_sent += sum([entry.size for entry in taken if entry.digest not in self.known])
            self._flying.append((self.sent, total))
        return taken

    def acknowledged(self, version: int) -> None:
        """The target has everything up to `version` on its disk."""
        while self._flying and self._flying[0][0] <= version:
            self.unacknowledged -= self._flying.popleft()[1]

    def may_send(self, queued: int, rate: float) -> bool:
        """Whether another frame should go to the carrier now. rate: bytes/s."""
        return bool(self._waiting) and queued < most_queued(rate) and not self.fills_window(rate)

    def fills_window(self, rate: float) -> bool:
        """Whether so much is on its way that an acknowledgement must come first. rate: bytes/s."""
        window = MOST_WINDOW if rate == UNLIMITED else min(max(rate * WINDOW_TIME, LEAST_WINDOW), MOST_WINDOW)
        return self.unacknowledged >= window

    def may_freeze(self, now: float, rate: float) -> bool:
        """Whether the rest would take no longer than the pause that is allowed by now."""
        pause = self._pause(now)
        return pause > 0 and self.remaining <= pause * (GUESSED_RATE if rate == UNLIMITED else rate)

    def freezes_at(self, rate: float) -> float:
        """When `may_freeze` comes true, s, if nothing happens until then: nothing is taken, acknowledged or changed."""
        pause = self.remaining / (GUESSED_RATE if rate == UNLIMITED else rate) if rate > 0.0 else math.inf
        if pause > LONGEST_PAUSE:
            return math.inf
        return self._passed_at + PAUSE_DOUBLES * max(math.log2(max(pause, FIRST_PAUSE) / FIRST_PAUSE), 0.0)

    @property
    def diverges_at(self) -> float:
        """When it counts as changing faster than it is sent, s."""
        return self._passed_at + PAUSE_DOUBLES * math.log2(LONGEST_PAUSE / FIRST_PAUSE) + PATIENCE

    def diverges(self, now: float) -> bool:
        """Whether the twin has long been changing faster than it is sent."""
        return now > self.diverges_at

    def digest(self, uav: str) -> bytes:
        """The whole copy's digest."""
        return digest_of_twin(uav, self.latest.values())

    def _pause(self, now: float) -> float:
        """Seconds; 0 before everything was sent once."""
        if self.sent >= self._first_pass and self._passed_at == math.inf:
            self._passed_at = now
        if now < self._passed_at:
            return 0.0
        doublings = min((now - self._passed_at) / PAUSE_DOUBLES, 40.0)
        return float(min(FIRST_PAUSE * 2.0**doublings, LONGEST_PAUSE))


def most_queued(rate: float) -> float:
    """Bytes that may wait in the carrier at a rate in bytes/s."""
    return MOST_QUEUE if rate == UNLIMITED else min(max(rate * QUEUE_TIME, LEAST_QUEUE), MOST_QUEUE)


def frame_size(rate: float) -> int:
    """Bytes of chunks that go into one frame at a rate in bytes/s."""
    return LARGEST_FRAME if rate == UNLIMITED else min(int(rate * FRAME_TIME), LARGEST_FRAME)
