"""Log lines about what may happen often: the first at once, later ones with longer and longer pauses, and counts.

Nothing that somebody sends, however often, may fill a log; and nothing that goes on may be forgotten for having been
said once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0  # s between two lines about the same; each pause is twice the last
FORGOTTEN = 3600.0  # s without the thing after which it counts as new
MOST_KINDS = 100  # of things that are told apart
OTHERS = "more things than can be told apart"
LONGEST_TEXT = 300  # characters of a detail


@dataclass
class _Thing:
    what: str
    detail: str
    said_at: float
    happened_at: float
    pause: float = FIRST_PAUSE
    count: int = 0  # since the last line
    lines: int = 1


class ThrottledLog:
    """Decides which of them are said, and says them."""

    def __init__(
        self, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic, ends: bool = True
    ) -> None:
        """say: a logger's method. clock: s. ends: whether it is worth a line that something happens no more."""
        self._say, self._clock, self._ends = say, clock, ends
        self._things: dict[str, _Thing] = {}

    def note(self, what: str, detail: str = "", count: int = 1) -> None:
        """Something happened `count` times. what: begins the line, and tells things apart. detail: the last one's."""
        now = self._clock()
        detail = _harmless(detail)
        thing = self._things.get(what)
        if thing is None:
            if len(self._things) >= MOST_KINDS and what != OTHERS:
                self.note(OTHERS, f"{what}: {detail}", count)
                return
            self._things[what] = _Thing(what, detail, now, now)
            self._line(what, f", {count} times" if count > 1 else "", detail)
            return
        thing.count += count
        thing.detail, thing.happened_at = detail, now
        self.tick()

    def tick(self) -> None:
        """Say what is due: to be called now and then, so that the last counts are said and the end is."""
        now = self._clock()
        for what, thing in list(self._things.items()):
            if now - thing.happened_at >= FORGOTTEN:
                del self._things[what]
            elif now - thing.said_at >= thing.pause and (thing.count or (self._ends and thing.lines > 1)):
                self._say_again(thing, now)

    def _say_again(self, thing: _Thing, now: float) -> None:
        since = duration(now - thing.said_at)
        if thing.count:
            self._line(thing.what, f", {thing.count} times more in {since}", thing.detail)
            thing.lines += 1
        else:
            self._line(thing.what, f": no more, for {since} now", "")
            thing.lines = 1
        thing.said_at, thing.count = now, 0
        thing.pause = min(2.0 * thing.pause, LONGEST_PAUSE)

    def _line(self, what: str, times: str, detail: str) -> None:
        self._say(f"{what}{times}{': ' if detail else ''}{detail}")


def duration(seconds: float) -> str:
    """As people say it."""
    return f"{seconds:.0f} s" if seconds < 120.0 else f"{seconds / 60.0:.0f} min"


def _harmless(detail: str) -> str:
    """Without line breaks and control characters, with which a sender could write lines of his own."""
    return "".join(sign if sign.isprintable() else "?" for sign in detail[:LONGEST_TEXT])
