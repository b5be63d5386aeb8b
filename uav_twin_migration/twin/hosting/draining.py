"""How a host (host.py) that goes down on purpose moves its twins away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from uav_twin_migration.twin.hosting.hosted_twins import HostState
from uav_twin_migration.twin.protocol.messages import MigrateRequest
from uav_twin_migration.twin.protocol.replica_state import Status


class Draining:
    """Which twins go where, while the host takes none."""

    def __init__(self, state: HostState, migrate: Callable[[MigrateRequest, float], None]) -> None:
        """migrate: begins to move a twin, at bytes/s."""
        self._state, self._migrate = state, migrate
        self._targets: tuple[str, ...] = ()
        self._rate = 0.0  # bytes/s, for all together
        self._turn: Counter[str] = Counter()  # how often a twin was to be moved

    def begin(self, targets: Sequence[str], rate: float) -> None:
        """Take no more twins, and move those here to `targets` in turn."""
        self._state.draining = True
        self._targets, self._rate = tuple(targets), rate

    def stop(self) -> None:
        """Take twins again."""
        self._state.draining, self._targets = False, ()

    def go_on(self) -> None:
        """Begin to move as many twins as may go at once."""
        if not self._state.draining or not self._targets:
            return
        twins, at_once = self._state.twins.values(), self._state.settings.drain_at_once
        under_way = sum(1 for one in twins if one.replica_state.migration is not None)
        waiting = [
            one
            for one in twins
            if one.replica_state.record.status is Status.HOSTING
            and one.replica_state.migration is None
            and not one.replica_state.record.filling
        ]
        share = self._rate / max(1, min(at_once, under_way + len(waiting)))
        for hosted_twin in waiting[: max(0, at_once - under_way)]:
            turn = self._turn[hosted_twin.uav]
            self._turn[hosted_twin.uav] += 1
            target = self._targets[turn % len(self._targets)]
            self._migrate(MigrateRequest(hosted_twin.uav, hosted_twin.replica_state.record.epoch, target), share)
