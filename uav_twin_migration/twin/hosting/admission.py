"""What an RSU takes: the limits, and why something is beyond them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from uav_twin_migration.plugins import Plugged
from uav_twin_migration.scenario.model import REPLICA_SHARE
from uav_twin_migration.twin.hosting.transfer_strategy import PreCopy, TransferStrategy
from uav_twin_migration.twin.protocol.chunks import LARGEST_CHUNK, Chunk
from uav_twin_migration.twin.protocol.messages import (
    HostRequest,
    Offer,
    Reason,
)
from uav_twin_migration.twin.protocol.replica_state import Status, Timing

MEGABYTE = 1024 * 1024


class Occupancy(NamedTuple):
    """How full an RSU is."""

    draining: bool
    trouble: Reason | None  # with the disk
    hosted: int  # twins
    inbound: int  # copies, the one in question left out
    room: int  # bytes that may still be promised
    unclaimed: int = 0  # twins that were asked for, and whose UAVs have not said that they are hosted here


class Asked(NamedTuple):
    """What an RSU is asked to take."""

    uav: str  # whose twin
    size: int  # bytes
    purpose: str  # hosting (its UAV asks), migration or replication (another RSU does)


class Admission(Protocol):
    """Implemented by plug-ins; one object an RSU. Its constructor may take `rsu`, the RSU's id."""

    def admits(self, asked: Asked, here: Occupancy) -> bool:
        """Whether this RSU takes a twin that it has room for; a UAV that is refused asks another RSU.

        Its own limits (room, draining, trouble with the disk) come first, whatever this says.
        """


class AdmitAll:
    """The built-in: whatever there is room for."""

    def admits(self, asked: Asked, here: Occupancy) -> bool:
        """See `Admission`."""
        return True


def plugged_admission(text: str = "", tell: Callable[[str], None] | None = None, rsu: str = "") -> Plugged[Admission]:
    """An RSU's admission; see `Plugged`."""
    return Plugged[Admission]("admission", text, AdmitAll(), tell, rsu=rsu)


def plugged_transfer(text: str = "", tell: Callable[[str], None] | None = None) -> Plugged[TransferStrategy]:
    """An RSU's transfer strategy; see `Plugged`."""
    return Plugged[TransferStrategy]("transfer", text, PreCopy(), tell)


@dataclass(frozen=True)
class HostSettings:
    """What an RSU takes, and how often it writes."""

    timing: Timing = field(default_factory=Timing)
    flush_period: float = 0.5  # s between two writings of what changed in a twin
    fill: int = MEGABYTE  # bytes of new twins' first snapshots that are written in one go
    largest_twin: int = 16 * 1024 * MEGABYTE  # bytes
    most_twins: int = 1000  # held at once
    most_inbound: int = 64  # copies at once
    check_period: float = 0.5  # s between two looks at the store's file, and at what may be damaged or has expired
    scrub: int = MEGABYTE // 4  # bytes of hosted twins that are verified each time: .5 MiB/s; 0 for none
    reserve: int = 64 * MEGABYTE  # bytes of the disk that stay free
    growth: float = 1.25  # how much larger than announced a twin may become on the way
    retry_store: float = 1.0  # s after the disk refused
    drain_at_once: int = 4  # migrations
    replica_period: float = 1.0  # s between two checkpoints of a replica
    most_unclaimed: int = 32  # twins at once that were asked for and have not got a lease yet
    keep_unserved: float = 15.0  # s for which a twin is kept that was asked for and never got a lease
    keep_unheard: float = 30 * 86_400.0  # s for which any twin is kept whose UAV is silent
    replica_share: float = 0.1  # of the bandwidth, for the replica while the twin moves
    admission: Plugged[Admission] = field(default_factory=plugged_admission)
    transfer: Plugged[TransferStrategy] = field(default_factory=plugged_transfer)

    @classmethod
    def of(
        cls, values: Mapping[str, Any], admission: Plugged[Admission], transfer: Plugged[TransferStrategy]
    ) -> HostSettings:
        """As an RSU's parameters say, by name."""
        return cls(
            timing=Timing(lease=values["twin_lease"]),
            flush_period=values["flush_period"],
            replica_period=values["replica_period"],
            replica_share=REPLICA_SHARE,
            keep_unheard=values["twin_kept"],
            admission=admission,
            transfer=transfer,
        )


def objection_to_offer(offer: Offer, application: str, settings: HostSettings, here: Occupancy) -> Reason | None:
    """Why this RSU does not want an offered copy. application: whose twins it hosts."""
    if here.draining:
        return Reason.DRAINING
    if here.trouble is not None:
        return here.trouble
    if offer.application != application:
        return Reason.INCOMPATIBLE
    if not 0 < offer.chunk_size <= LARGEST_CHUNK or offer.size < 0:
        return Reason.INVALID
    if offer.size > settings.largest_twin:
        return Reason.TOO_LARGE
    if here.inbound >= settings.most_inbound:
        return Reason.BUSY
    if offer.size > here.room or here.hosted + here.inbound >= settings.most_twins:
        return Reason.FULL
    return _objection_of(settings, Asked(offer.uav, offer.size, offer.purpose.value), here)


def objection_to_chunks(
    chunks: Sequence[Chunk], intact: bool, chunk_size: int, total: int, limit: int
) -> Reason | None:
    """Why chunks of a copy end its migration. chunk_size, total, limit: bytes agreed for one, here, and at most."""
    if not intact:
        return Reason.CORRUPT
    if max(len(chunk.content) for chunk in chunks) > chunk_size:
        return Reason.INVALID
    if total + sum(len(chunk.content) for chunk in chunks) > limit:
        return Reason.TOO_LARGE
    return None


def objection_to_hosting(
    request: HostRequest, status: Status, settings: HostSettings, here: Occupancy
) -> Reason | None:
    """Why this RSU does not want to host a twin under a new epoch. status: of what it has of that twin."""
    if here.trouble is not None:
        return here.trouble
    if status is Status.HOSTING:
        return None
    if here.draining:
        return Reason.DRAINING
    if status is not Status.ABSENT:
        return None  # it has a copy
    if request.size > settings.largest_twin:
        return Reason.TOO_LARGE
    if here.unclaimed >= settings.most_unclaimed:
        return Reason.BUSY  # a UAV claims its twin at once; whoever asks for many and claims none shall not fill us
    if request.size > here.room or here.hosted >= settings.most_twins:
        return Reason.FULL
    return _objection_of(settings, Asked(request.uav, request.size, "hosting"), here)


def _objection_of(settings: HostSettings, asked: Asked, here: Occupancy) -> Reason | None:
    """The plug-in's: to the UAV it is as if there were no room."""
    return None if settings.admission.ask(lambda admission: bool(admission.admits(asked, here))) else Reason.FULL


def limit_of(offer: Offer, settings: HostSettings) -> int:
    """Bytes that an accepted copy may have in the end: it changes on the way."""
    return min(int(offer.size * settings.growth) + 16 * MEGABYTE, settings.largest_twin)
