"""How a UAV moves where it does not fly its route: a plug-in, or a record, says with which velocity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from uav_twin_migration.plugins import Plugged
from uav_twin_migration.scenario.model import Uav
from uav_twin_migration.vehicle.track import Recorded, Track

Vector = tuple[float, float, float]


class Mobility(Protocol):
    """Implemented by plug-ins; one object a UAV. Its constructor may take `uav`, the scenario's record of it."""

    def velocity(self, time: float, position: Vector, velocity: Vector) -> Vector:
        """The velocity to fly with, m/s, east, north and up. time: s, since it began to be asked.

        position: m, in the map frame. velocity: that was asked for last. The UAV keeps to its speed and its
        acceleration, whatever it is asked for.
        """


class Route:
    """The built-in: what the pilot of the route wants."""

    wanted: Vector = (0.0, 0.0, 0.0)

    def velocity(self, time: float, position: Vector, velocity: Vector) -> Vector:
        """See `Mobility`."""
        return self.wanted


def built_in(uav: Uav) -> Route | Recorded:
    """How a UAV moves without a plug-in: as recorded, where it has a track, else along its route."""
    return Recorded(Track(uav.track)) if uav.track else Route()


def _plugin(uav: Uav) -> str:
    return "" if uav.mobility == "route" else uav.mobility


class Mobilities:
    """The plug-ins and the records of some UAVs."""

    def __init__(self, uavs: Sequence[Uav], tell: Callable[[str], None] | None = None) -> None:
        """tell: see `Plugged`."""
        self._own = {
            index: Plugged[Mobility]("mobility", _plugin(uav), built_in(uav), tell, uav=uav)
            for index, uav in enumerate(uavs)
            if _plugin(uav) or uav.track
        }

    @property
    def indices(self) -> list[int]:
        """Of those UAVs that have one."""
        return list(self._own)

    def velocity(self, index: int, time: float, position: Vector, last: Vector, by_route: Vector) -> Vector:
        """What a UAV's plug-in wants; where it fails, what the route's pilot does."""
        plugged = self._own[index]
        plugged.fallback.wanted = by_route  # type: ignore[attr-defined]
        return plugged.ask(lambda own: _checked(own.velocity(time, position, last)))


def _checked(velocity: Vector) -> Vector:
    x, y, z = (float(part) for part in velocity)
    if not all(map(math.isfinite, (x, y, z))):
        raise ValueError(f"the velocity is {(x, y, z)}")
    return x, y, z
