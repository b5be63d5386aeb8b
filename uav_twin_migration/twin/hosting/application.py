"""What an application must offer to be an RSU's twin: the interface between a twin and its host.

The host stores, serves and moves twins without knowing what is in them. It asks for what changed, and stores that;
after a restart or a hand-over it gives the stored chunks back. A twin need not hold all its chunks in memory: `restore`
gets a reader for those it wants.

`twin.py` is the twin that this package brings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from uav_twin_migration.twin.hosting.estimate import Estimate, Telemetry

Reader = Callable[[int], "bytes | None"]  # a chunk's number -> its content, None where there is none


class Piece(NamedTuple):
    """A chunk's number (0 to 2^24 - 1) and content (at most the copy's chunk size). An empty one means: none."""

    number: int
    content: bytes


class Changes(NamedTuple):
    """What changed, and the version to ask from the next time."""

    version: int
    pieces: Sequence[Piece]


class Twin(Protocol):
    """One UAV's twin, in the memory of its host. Called from one thread."""

    def observe(self, telemetry: Telemetry, now: float) -> str | None:
        """Take a UAV's telemetry into account, or say why not."""

    def estimate(self, now: float) -> Estimate | None:
        """What users are told; None before anything is known. Must be cheap."""

    def as_of(self) -> float | None:
        """When the newest telemetry in it was measured, s, by the UAV's clock; None before any."""

    def snapshot(self) -> Iterator[Piece]:
        """All pieces of the twin as it is. Read a few at a time while the twin changes on; what changes after a version
        that was taken before is reported by `changes_since` as well."""

    def version(self) -> int:
        """Counts changes: larger after each."""

    def changes_since(self, version: int) -> Changes:
        """The pieces that changed after `version`. The host has everything up to `version` on its disk."""


class Application(Protocol):
    """Makes twins."""

    name: str  # at most 64 characters; twins move only between RSUs with the same application

    def chunk_size(self, size: int) -> int:
        """The largest chunk of a twin with a payload of `size` bytes, at most 1 MiB."""

    def create(self, uav: str, size: int) -> Twin:
        """A twin that knows nothing, with a payload of `size` bytes."""

    def restore(self, uav: str, read: Reader) -> Twin:
        """The twin whose chunks `read` gives. Raises ValueError where they are none of this application's."""
