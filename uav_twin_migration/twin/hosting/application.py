"""What an application must offer to be an RSU's twin: the interface between a twin and its host.

The host stores, serves and moves twins without knowing what is in them. It asks for what changed, and stores that;
after a restart or a hand-over it gives the stored chunks back. A twin need not hold all its chunks in memory: `restore`
gets a reader for those it wants.

`twin.py` is the twin that this package brings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.plugins import make
from uav_twin_migration.twin.hosting.estimate import Estimate, Telemetry

Reader = Callable[[int], "bytes | None"]  # a chunk's number -> its content, None where there is none


class Piece(NamedTuple):
    """A chunk's number (0 to 2^24 - 1) and content (at most the copy's chunk size). An empty one means: none."""

    number: int
    content: bytes
    digest: bytes = b""  # SHA-256 of the content, from an application that knows it


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


class NamedApplication:
    """A plug-in as application: what goes wrong in it is told with its name, and once.

    There is no built-in to fall back to, as what is stored is the plug-in's alone. Telemetry that it fails on is
    refused; where it knows no estimate, users are told none; where it cannot say what changed, the twin is damaged.
    """

    def __init__(self, plugin: str, tell: Callable[[str], None]) -> None:
        """Raises PluginError."""
        self._application: Application = make("application", plugin)
        self.name, self.plugin, self.tell, self.errors = str(self._application.name), plugin, tell, 0

    def chunk_size(self, size: int) -> int:
        """See `Application`."""
        with self.told():
            return self._application.chunk_size(size)

    def create(self, uav: str, size: int) -> Twin:
        """See `Application`."""
        with self.told():
            return NamedTwin(self, self._application.create(uav, size))

    def restore(self, uav: str, read: Reader) -> Twin:
        """See `Application`."""
        with self.told():
            return NamedTwin(self, self._application.restore(uav, read))

    @contextmanager
    def told(self) -> Iterator[None]:
        """What goes wrong meanwhile."""
        try:
            yield
        except Exception as error:
            self.errors += 1
            if self.errors == 1:
                self.tell(f"plug-in {self.plugin}: {type(error).__name__}: {error}")
            kind = ValueError if isinstance(error, ValueError) else UavTwinError  # no twin of this application's
            raise kind(f"plug-in {self.plugin}: {type(error).__name__}: {error}") from error


class NamedTwin:
    """A twin of a `NamedApplication`."""

    def __init__(self, application: NamedApplication, twin: Twin) -> None:
        self._told, self._twin = application.told, twin

    def observe(self, telemetry: Telemetry, now: float) -> str | None:
        """See `Twin`."""
        with suppress(ValueError, UavTwinError), self._told():
            return self._twin.observe(telemetry, now)
        return "plugin_failed"

    def estimate(self, now: float) -> Estimate | None:
        """See `Twin`."""
        with suppress(ValueError, UavTwinError), self._told():
            return self._twin.estimate(now)
        return None

    def as_of(self) -> float | None:
        """See `Twin`."""
        with suppress(ValueError, UavTwinError), self._told():
            return self._twin.as_of()
        return None

    def snapshot(self) -> Iterator[Piece]:
        """See `Twin`."""
        with self._told():
            yield from self._twin.snapshot()

    def version(self) -> int:
        """See `Twin`."""
        with self._told():
            return self._twin.version()

    def changes_since(self, version: int) -> Changes:
        """See `Twin`."""
        with self._told():
            return self._twin.changes_since(version)
