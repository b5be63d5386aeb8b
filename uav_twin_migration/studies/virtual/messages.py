"""What processes say to each other that no state machine has a word for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from uav_twin_migration.market.leader import ClosedRound, LeaderSettings
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.hosting.uavs_heard import News
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
    news: News  # what of it other RSUs than the host need to hear, once


def interaction(booked: ClosedRound, settings: LeaderSettings) -> dict[str, Any]:
    """The fields of msg/Interaction: what a learner may know of a closed round."""
    result, decision = booked
    return {
        "rsu_id": settings.rsu,
        "round": result.round,
        "observation_schema": decision.observation_schema,
        "observation": decision.observation,
        "action": decision.action,
        "log_probability": decision.log_probability,
        "price": result.price,
        "unit_cost": settings.unit_cost,
        "price_cap": settings.price_cap,
        "capacity": settings.capacity,
        "demanded": result.demanded,
        "sold": result.sold,
        "profit": result.profit,
        "uavs_in_range": result.uavs_in_range,
        "policy_version": decision.policy_version,
    }


@dataclass(frozen=True, eq=False)
class Goal:
    """A migration that a UAV asks for."""

    move: Move
    uavs: VirtualUavs
