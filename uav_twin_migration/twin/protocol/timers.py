"""When what waits for a time at one twin is due."""

from __future__ import annotations

from uav_twin_migration.twin.protocol.replica_state import NEVER, Phase, ReplicaState, Timer


def timers(replica_state: ReplicaState) -> dict[Timer, float]:
    """When each timer's time comes, s; only those that are set."""
    migration, replication = replica_state.migration, replica_state.replication
    at = {Timer.INBOUND: replica_state.inbound_deadline, Timer.UNWANTED: replica_state.unwanted_at}
    if migration is not None:
        at[Timer.MIGRATION] = migration.deadline
        at[Timer.FUNDING] = NEVER if migration.phase is Phase.HANDING_OVER else replica_state.unfunded_at
    if replication is not None:
        at[Timer.REPLICATION] = replication.deadline
    return {timer: time for timer, time in at.items() if time < NEVER}


def next_timer(replica_state: ReplicaState) -> float:
    """When the first of them comes, s."""
    migration, replication = replica_state.migration, replica_state.replication
    at = min(replica_state.inbound_deadline, replica_state.unwanted_at)
    if migration is not None:
        funding = NEVER if migration.phase is Phase.HANDING_OVER else replica_state.unfunded_at
        at = min(at, migration.deadline, funding)
    return at if replication is None else min(at, replication.deadline)
