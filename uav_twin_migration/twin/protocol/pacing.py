"""A token bucket: how fast a migration may send.

The bucket fills at the granted rate and holds what `depth` seconds bring: a sender that was held up for a moment may
catch up, and no second carries more than `depth` seconds' worth above its grant.
"""

from __future__ import annotations

import math

UNLIMITED = math.inf


class TokenBucket:
    """Bytes that may be sent now. Time is the caller's, in seconds on a steady clock."""

    def __init__(self, rate: float, now: float, depth: float = 0.02) -> None:
        """rate: bytes/s, UNLIMITED for none. depth: s."""
        self.rate, self.depth = rate, depth
        self._tokens, self._at = 0.0, now

    def set_rate(self, rate: float, now: float) -> None:
        """Follow a changed grant. What was saved up under the old one is kept, as far as the new one allows."""
        self._fill(now)
        self.rate = rate
        self._tokens = min(self._tokens, self._most())

    def allowed(self, now: float) -> float:
        """Bytes that may be sent now."""
        self._fill(now)
        return self._tokens if self.rate < UNLIMITED else UNLIMITED

    def spend(self, size: float) -> None:
        """`size` bytes were sent. More than was allowed is paid back before the next."""
        if self.rate < UNLIMITED:
            self._tokens -= size

    def wait(self, size: float, now: float) -> float:
        """Seconds until `size` bytes may be sent, or the bucket is full; infinite at rate 0."""
        if self.rate <= 0.0:
            return math.inf
        lacking = min(size, self._most()) - self.allowed(now)
        if lacking <= 0:
            return 0.0
        return lacking / self.rate

    def _most(self) -> float:
        return self.rate * self.depth

    def _fill(self, now: float) -> None:
        if now > self._at and self.rate < UNLIMITED:
            self._tokens = min(self._tokens + self.rate * (now - self._at), self._most())
        self._at = max(self._at, now)
