"""How far the processes of a simulation have come in starting, for whoever waits: on a busy machine it takes a minute.

Each writes a byte into a pipe when it has made its nodes.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

PERIOD = 2.0  # s between two lines; who is ready sooner hears nothing of it


class Starting:
    """Counts the processes that have made their nodes."""

    def __init__(self, processes: int, say: Callable[[str], object]) -> None:
        self._processes, self._say = processes, say
        self._began = self._said = time.monotonic()
        self._up = 0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)

    def tell(self) -> None:
        """This process, a child of the one that counts, has made its nodes."""
        with contextlib.suppress(OSError):  # one that is started again later finds nobody who counts
            os.write(self._writer, b".")

    def look(self) -> bool:
        """Say how many there are, where that is due. Returns whether somebody is still awaited."""
        if self._reader < 0:
            return False
        with contextlib.suppress(BlockingIOError):
            self._up += len(os.read(self._reader, 1 << 16))
        now = time.monotonic()
        if self._up >= self._processes:
            if self._said > self._began:
                self._say(f"all {self._processes} processes have started, {now - self._began:.0f} s after the start")
            self.close()
        elif now >= self._said + PERIOD:
            self._said = now
            self._say(f"{self._up} of {self._processes} processes have started; a busy machine takes a while")
        return self._reader >= 0

    def close(self) -> None:
        """Count no more."""
        for end in {self._reader, self._writer} - {-1}:
            os.close(end)
        self._reader = self._writer = -1
