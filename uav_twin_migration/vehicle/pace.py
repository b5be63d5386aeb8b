"""How fast a simulated world goes: as fast as was wanted, or as the machine can.

Where the world itself is behind, or other nodes are late, the pace goes down by a quarter, or by half where most are,
at most once in a while so that the last change can show what it was good for. Where all is in time for long enough it
goes up again, slowly.
"""

from __future__ import annotations

SLOWER, MUCH_SLOWER, FASTER = 0.75, 0.5, 1.1
NEARLY = 0.95  # of the factor that was wanted: from there on it goes back to that
LEAST = 1 / 32  # of the factor that was wanted
SETTLING = 5.0  # s of wall time after a change before the next one
CALM = 20.0  # s of wall time without any trouble before it goes faster
MOST_LATE, MOST = 0.2, 0.5  # of the nodes: above that the machine is too slow, and much too slow


class Pace:
    """Simulated seconds in a second of wall time."""

    def __init__(self, wanted: float, now: float) -> None:
        """now: s of wall time."""
        self.wanted = self.factor = wanted
        self._changed_at = self._troubled_at = now

    def troubled(self, now: float, slower: float = SLOWER) -> bool:
        """The machine was too slow just now. Returns whether the factor is another because of it."""
        self._troubled_at = now
        if now < self._changed_at + SETTLING:
            return False
        return self._change(max(slower * self.factor, LEAST * self.wanted), now)

    def heard(self, now: float, late: int, told: int) -> bool:
        """So many nodes were late, of those that told. Returns whether the factor is another now."""
        if late <= MOST_LATE * told:
            return False
        return self.troubled(now, MUCH_SLOWER if late > MOST * told else SLOWER)

    def calm(self, now: float) -> bool:
        """All is in time. Returns whether the factor is another now."""
        if now < max(self._changed_at, self._troubled_at) + CALM:
            return False
        faster = FASTER * self.factor
        return self._change(faster if faster < NEARLY * self.wanted else self.wanted, now)

    def _change(self, factor: float, now: float) -> bool:
        if factor == self.factor:
            return False
        self.factor, self._changed_at = factor, now
        return True
