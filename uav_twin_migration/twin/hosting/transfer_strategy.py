"""When the source of a migration stops serving the twin that it copies: at once, or when little of it is left."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class TransferProgress(NamedTuple):
    """How far the copy of a migration is."""

    uav: str
    size: int  # bytes of the twin
    remaining: int  # bytes that are not on the target's disk
    rate: float  # bytes/s that was bought
    elapsed: float  # s since copying began
    ready: bool  # whether the rest takes no longer than the pause that pre-copy allows by now


class TransferStrategy(Protocol):
    """Implemented by plug-ins; one object an RSU, asked a hundred times a second for each migration from there."""

    def stop(self, progress: TransferProgress) -> bool:
        """Whether the source should stop serving the twin now. What is left is then sent, and the twin handed over.

        A twin that is stopped changes no more, so all of it arrives; its users wait for as long as that takes. Where
        the migration fails, the source serves it again. Who does not stop within 5 s of being ready is stopped.
        """


class PreCopy:
    """The built-in: serve while the twin is copied, stop for the last some ten milliseconds of it.

    After Clark et al., "Live Migration of Virtual Machines", NSDI 2005.
    """

    def stop(self, progress: TransferProgress) -> bool:
        """See `TransferStrategy`."""
        return progress.ready


class StopAndCopy:
    """Stop, then copy: the least bytes, and the longest downtime. What pre-copy is compared with."""

    def stop(self, progress: TransferProgress) -> bool:
        """See `TransferStrategy`."""
        return True
