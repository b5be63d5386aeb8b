"""Long studies in pieces: each is worked on in a process of its own, and kept in a file, so that none is done twice."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

from uav_twin_migration.output import write_text
from uav_twin_migration.studies.sweep.workers import cores, one_thread_each, pool

Piece = tuple[
    Callable[..., Any], tuple[Any, ...]
]  # a function of some module, and its arguments; what it returns is JSON


class Pieces:
    """What was worked out, in a folder: `NAME-HASH.json` each, of a name and all that the outcome depends on."""

    def __init__(self, folder: Path, depends_on: str = "", say: Callable[[str], None] = print) -> None:
        """`depends_on`: besides functions' names and arguments."""
        self.folder, self.depends_on, self.say = folder, depends_on, say

    def work(self, pieces: Sequence[Piece], jobs: int | None = None) -> None:
        """Do those that are not done yet, several at a time; tells each as it is done."""
        missing = [piece for piece in pieces if not self._file(piece).exists()]
        done, began = len(pieces) - len(missing), time.monotonic()
        if done:
            self.say(f"  {done} of {len(pieces)} pieces were done before")
        with one_thread_each(), pool(min(jobs or cores(), max(len(missing), 1))) as processes:
            running = {processes.submit(function, *arguments): (function, arguments) for function, arguments in missing}
            try:
                for future in as_completed(running):
                    piece = running[future]
                    write_text(self._file(piece), json.dumps(future.result()) + "\n")
                    done += 1
                    passed = time.monotonic() - began
                    self.say(f"  {done} of {len(pieces)}: {_called(piece)}, {passed:.0f} s")
            except BaseException:
                processes.shutdown(wait=False, cancel_futures=True)
                raise

    def of(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a piece came to; works it out where it is missing."""
        file = self._file((function, arguments))
        if not file.exists():
            self.work([(function, arguments)])
        return json.loads(file.read_text(encoding="utf-8"))

    def _file(self, piece: Piece) -> Path:
        function, arguments = piece
        told = repr((function.__name__, arguments, self.depends_on))
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{function.__name__}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.json"


def _called(piece: Piece) -> str:
    function, arguments = piece
    return " ".join(map(str, (function.__name__.replace("_", " "), *arguments)))
