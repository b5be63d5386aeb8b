"""What an RSU says of its twins again and again, from a thread of its own, whatever its executor has to do before.

Messages that came are served in their order, and timers among them. On a machine that is too busy they are served tens
of seconds late; were the RSU silent meanwhile, UAVs would take it for dead and begin their twins anew elsewhere, which
makes all RSUs slower still. So it speaks. What it has not yet heard is another matter: `now` is the time in which its
executor could have heard somebody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from uav_twin_migration.clocks import ListeningClock

STUCK = 60.0  # s without a word of the executor after which this is no slowness: the RSU falls silent


class Voice:
    """Speaks every so often."""

    def __init__(
        self, speak: Callable[[], None], period: Callable[[], float], ended: Callable[[BaseException], object]
    ) -> None:
        """period: s. ended: is told where the thread ends by an error."""
        self._speak, self._period, self._ended = speak, period, ended
        self._clock = ListeningClock()
        self.now = self._clock.now()  # s in which somebody could be heard
        self._beat_at = time.monotonic()
        self._speaking, self._closing = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="voice", daemon=True)

    def start(self) -> None:
        """Begin to speak."""
        self._thread.start()

    def close(self) -> None:
        """Fall silent."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def beat(self) -> None:
        """The executor serves a timer: it has taken all that came before. Oftener than every `LONGEST_STEP`, best."""
        self._beat_at, self.now = time.monotonic(), self._clock.now()

    def speak(self) -> None:
        """Speak at once."""
        with self._speaking:
            self._speak()

    def _run(self) -> None:
        try:
            while not self._closing.wait(self._period()):
                if time.monotonic() < self._beat_at + STUCK:
                    self.speak()
        except BaseException as error:
            self._ended(error)
            raise
