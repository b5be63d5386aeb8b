"""What a watcher (nodes/watch.py) has written to a file so far, read as it grows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class Heard:
    """The events of one watcher."""

    def __init__(self, file: Path) -> None:
        self._file, self._events, self._read = file, list[Event](), 0

    def events(self, kind: str, since: float = 0.0, rsu: str = "") -> list[Event]:
        """Events of a kind since a time of the steady clock, of one RSU or of all."""
        self._go_on()
        wanted = [event for event in self._events if event["kind"] == kind and event["at"] >= since]
        return [event for event in wanted if not rsu or event["rsu"] == rsu]

    def _go_on(self) -> None:
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._read)
            lines, _, _ = file.read().rpartition(b"\n")
        self._read += len(lines) + (1 if lines else 0)
        self._events += [json.loads(line) for line in lines.splitlines() if line[:1] == b"{" and line[-1:] == b"}"]
