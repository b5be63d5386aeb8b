"""A ledger on a disk: an append-only file of bounded size, written twice a minute.

What is to be written is gathered in memory, so that flash is spared, and brought to the disk by a thread, so that a
slow disk keeps no round waiting. A crash loses what was gathered last, half a minute at most, and the ledger says so:
each start is in it. The file is renamed to FILE.1 when it has half of the size allowed, in place of the one before.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from uav_twin_migration.market import ledger
from uav_twin_migration.market.ledger import Ledger, Receipt

FLUSH_PERIOD = 30.0  # s between two writings
MOST_GATHERED = 4 * 1024 * 1024  # characters in memory while the disk refuses
MB = 1_000_000


class LedgerFile:
    """Writes a ledger."""

    def __init__(
        self,
        file: Path | str,
        size: float,
        rsu: str,
        uavs: Sequence[str],
        clock: Callable[[], float],
        period: float = FLUSH_PERIOD,
    ) -> None:
        """size: MB that it may take. rsu: whose it is; empty where it is that of `uavs`. clock: s."""
        self.file, self.trouble = Path(file), ""  # why the disk refused last
        self.lost = 0  # receipts that found no room while it did
        self._size, self._rsu, self._uavs, self._clock = size * MB, rsu, uavs, clock
        self._period = period
        self._lock = threading.Lock()
        self._gathered: list[str] = []
        self._length = 0
        self._began = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ledger of {rsu or uavs[0]}", daemon=True)
        self._thread.start()

    def add(self, receipt: Receipt) -> None:
        """Have a receipt written soon."""
        text = ledger.line(receipt)
        with self._lock:
            if self._length > MOST_GATHERED:
                self.lost += 1
                return
            self._gathered.append(text)
            self._length += len(text)

    def flush(self) -> None:
        """Bring what was gathered to the disk now; while it refuses, `trouble` says why, and it is tried again."""
        with self._lock:
            now, gathered, self._gathered, self._length = self._clock(), self._gathered, [], 0
        try:
            self._write("".join([*gathered, ledger.mark(now)]), now)
            self.trouble = ""
        except OSError as error:
            self.trouble = f"{self.file}: {error.strerror}"
            with self._lock:
                self._gathered = gathered + self._gathered
                self._length = sum(map(len, self._gathered))

    def close(self) -> None:
        """Write the rest."""
        self._stopping.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._stopping.wait(self._period):
            self.flush()

    def _write(self, text: str, now: float) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.file.stat().st_size + len(text) > self._size / 2.0:
                os.replace(self.file, _older(self.file))
        with self.file.open("a", encoding="utf-8") as file:
            if not self._began or file.tell() == 0:
                # A line that a crash cut off must not spoil the next.
                file.write("\n" * (file.tell() > 0) + ledger.heading(self._rsu, self._uavs, now, not self._began))
            file.write(text)
            file.flush()
            os.fdatasync(file.fileno())
        self._began = True


def read_file(file: Path) -> Ledger:
    """A ledger and the part of it that was put away before, also while it is written.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no ledger, or one of a newer version.
    """
    return ledger.read(str(file), _lines(file))


def _lines(file: Path) -> Iterator[bytes]:
    for part in (_older(file), file):
        if part == file or part.exists():
            with part.open("rb") as content:
                while text := content.readline(ledger.LONGEST_LINE + 1):
                    if text.strip():
                        yield text


def _older(file: Path) -> Path:
    return file.with_name(f"{file.name}.1")
