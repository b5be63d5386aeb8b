"""Which twins a host (host.py) keeps no longer: those whose UAV is never heard of again."""

from __future__ import annotations

from collections.abc import Callable

from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin, HostState
from uav_twin_migration.twin.hosting.outputs import Expired
from uav_twin_migration.twin.protocol.migration import Event
from uav_twin_migration.twin.protocol.rehosting import Unheard
from uav_twin_migration.twin.protocol.replica_state import Status

KEPT = (Status.HOSTING, Status.FENCED, Status.REPLICA)  # what is being handed over waits for its target's word


class Expiry:
    """Ends what nobody claims.

    A twin that never was served is nothing but somebody's request: it takes room, and goes soon. Any other may be the
    only copy of what a UAV was told is safe: it is kept for long, and its going is told.
    """

    def __init__(self, state: HostState, step: Callable[[HostedTwin, Event], None]) -> None:
        """step: lets the protocol have an event."""
        self._state, self._step = state, step

    def look(self) -> None:
        """Let those go whose time it is."""
        for hosted_twin in list(self._state.twins.values()):
            self._look_at(hosted_twin)

    def _look_at(self, hosted_twin: HostedTwin) -> None:
        """Let the twin go, if it is time."""
        replica_state, settings = hosted_twin.replica_state, self._state.settings
        if replica_state.record.status not in KEPT or replica_state.migration is not None:
            return
        patience = settings.keep_unheard if hosted_twin.served else settings.keep_unserved
        silence = self._state.now - hosted_twin.heard_at
        if silence <= patience:
            return
        status = replica_state.record.status
        self._state.counts["expired" if hosted_twin.served else "never_claimed"] += 1
        self._step(hosted_twin, Unheard(hosted_twin.served))
        self._state.outputs.append(Expired(hosted_twin.uav, status.value, silence, hosted_twin.served))
        hosted_twin.served = True
