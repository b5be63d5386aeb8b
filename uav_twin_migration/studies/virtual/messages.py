"""What processes say to each other that no state machine has a word for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.protocol.messages import LeaseRenewal
from uav_twin_migration.twin.protocol.twin_client import Move

if TYPE_CHECKING:
    from uav_twin_migration.studies.virtual.uavs import VirtualUavs

BYTES_PER_MBIT = 125_000.0


class Said(NamedTuple):
    """A UAV's heartbeat."""

    lease_renewal: LeaseRenewal
    telemetry: Telemetry | None
    rate: float  # Mbit/s


@dataclass(frozen=True, eq=False)
class Goal:
    """A migration that a UAV asks for."""

    move: Move
    uavs: VirtualUavs
