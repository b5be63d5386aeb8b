"""What a flight must keep to, and what must be true before it begins: the checks that refuse an order, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.scenario.model import Scenario, Uav

Array = NDArray[np.float64]


REACTIONS = ("fly", "hold", "return", "land")  # what a drone does after a loss; fly: goes on


@dataclass(frozen=True)
class FlightLimits:
    """Limits of one drone's flight; the px4 node's parameters of the same names."""

    safe_height: float = 10.0  # m above the take-off ground to which it first climbs straight up
    floor: float = 5.0  # m below which nobody steers it down; landing is the autopilot's
    climb: float = 3.0  # m/s, up or down, whoever steers
    first_leg: float = 500.0  # m, the farthest that the first waypoint may be
    least_battery: float = 0.25  # of a full one, below which it does not take off
    fence_margin: float = 150.0  # m around the scenario's routes and RSUs, and above its highest route
    separation: float = 10.0  # m from another known drone within which it waits
    on_link_loss: str = "hold"  # one of REACTIONS, of a drone that still follows once its link is back
    on_position_loss: str = "hold"  # in the air; until then it brakes, and its autopilot's own failsafe may act
    on_market_loss: str = "fly"


@dataclass(frozen=True)
class Fence:
    """A box that the drone must not leave: m, in the scenario's frame."""

    low: tuple[float, float]
    high: tuple[float, float]
    ceiling: float

    @classmethod
    def around(cls, scenario: Scenario, margin: float) -> Fence:
        """All routes and RSUs of a scenario, and a margin (m) around and above."""
        return cls._of(
            [*(p for uav in scenario.uavs for p in uav.route), *(rsu.position for rsu in scenario.rsus)],
            max(uav.altitude for uav in scenario.uavs),
            margin,
        )

    @classmethod
    def around_route(cls, uav: Uav, margin: float) -> Fence:
        """One route, and a margin (m) around and above."""
        return cls._of(list(uav.route), uav.altitude, margin)

    @classmethod
    def _of(cls, points: Sequence[tuple[float, float]], altitude: float, margin: float) -> Fence:
        corners = np.array(points, dtype=float)
        low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
        return cls((float(low[0]), float(low[1])), (float(high[0]), float(high[1])), altitude + margin)

    def outside(self, position: Array) -> float:
        """How far outside a position [3] is, m; 0 within."""
        below = np.subtract(self.low, position[:2])
        above = np.subtract(position[:2], self.high)
        aside = np.maximum(np.maximum(below, above), 0.0)
        return float(max(np.hypot(*aside), position[2] - self.ceiling, 0.0))


def nearest(position: Array, others: dict[str, Array]) -> tuple[str, float]:
    """The drone that is nearest to a position [3], and how far it is, m; ("", inf) where there is none."""
    distances = {name: float(np.linalg.norm(position - other)) for name, other in others.items()}
    if not distances:
        return "", np.inf
    name = min(distances, key=lambda one: distances[one])
    return name, distances[name]


def unfit(position: Array, charge: float | None, uav: Uav, limits: FlightLimits, fence: Fence) -> str:
    """Why a drone at a position [3] (m) with that `charge` (0 to 1; None: not known) should not begin; else empty."""
    if charge is None:
        return "not ready: the state of its battery is not known"
    if charge < limits.least_battery:
        return f"battery at {charge:.0%}, below least_battery, {limits.least_battery:.0%}"
    outside = fence.outside(position)
    if outside > 0:
        return f"it is {outside:.0f} m outside of the scenario's fence; is the scenario's origin the true place?"
    leg = float(np.hypot(*(position[:2] - uav.route[0])))
    if leg > limits.first_leg:
        return f"its first waypoint is {leg:.0f} m away, beyond first_leg, {limits.first_leg:g} m"
    return ""
