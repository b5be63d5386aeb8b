"""Which set-point a drone gets next: the route's, somebody's steering, a hold or a climb, all within its limits.

Positions are metres and velocities m/s in the scenario's frame, times seconds of any monotonic clock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uav_twin_migration.scenario.model import Uav
from uav_twin_migration.vehicle.flight_limits import FlightLimits, nearest
from uav_twin_migration.vehicle.mobility import Mobilities
from uav_twin_migration.vehicle.motion import Pilot, limited, routes_of
from uav_twin_migration.vehicle.signals import Setpoint
from uav_twin_migration.vehicle.vehicle_state import Odometry

Array = NDArray[np.float64]
Point = tuple[float, float, float]

NEAR_HEIGHT = 1.0  # m below the safe height at which the climb is over
AT_REST = 0.5  # m/s below which a hold is one of position
OFF_COURSE = 4.0  # m/s between what is commanded and what is flown that somebody else's set-points would explain
SAID_FOR = 2.0  # s that a wait is said at least: on the edge of it a drone brakes and goes on many times a second
SLOWEST = 0.5  # of what is commanded, in its direction, that an airframe may fly for want of more
OFF_COURSE_FOR = 4.0  # s of it until it is said
LEAST_BETWEEN = 0.05  # s between two sightings, for a velocity to come of them
SEEN_FOR = 2.0  # s that another drone's position counts


class _Other(NamedTuple):
    """Another drone."""

    position: Array  # m
    velocity: Array  # m/s, from where it was before
    seen_at: float  # s


class _Near(NamedTuple):
    """Another drone that is too near."""

    name: str
    evade: Array | None  # m/s, to make way for it; None: it is enough to wait


class Guidance:
    """Steers one drone.

    Attributes:
        holding: whether it stops and stays where it is, instead of following its route.
        warning: what is odd about the flight that goes on all the same; empty: nothing.
    """

    def __init__(self, uav: Uav, limits: FlightLimits) -> None:
        self.holding, self.warning = False, ""
        self._uav, self._limits = uav, limits
        self._safe_height = min(limits.safe_height, uav.altitude)
        self._pilot = Pilot(routes_of([uav]), Mobilities([uav], self._warn))
        self._climber: Pilot | None = None
        self._heading = 0.0
        self._held: Point | None = None  # m, NED of the vehicle, where it holds
        self._steering = np.zeros(3)
        self._steered_until = -np.inf
        self._others: dict[str, _Other] = {}
        self._waits_for, self._waits_until = "", -np.inf
        self._off_course_since: float | None = None

    def _warn(self, sentence: str) -> None:
        self.warning = sentence

    @property
    def leg(self) -> int:
        """Index of the waypoint that it heads for."""
        return int(self._pilot.leg[0])

    def follows_route(self, now: float) -> bool:
        """Whether it flies its route: neither holds nor climbs nor is steered."""
        return not self.holding and self._climber is None and now >= self._steered_until

    def steer(self, velocity: Sequence[float], until: float) -> None:
        """Let someone else than the pilot give the velocity [3] (m/s, ENU) until a time, within all limits."""
        if np.isfinite(velocity).all():
            self._steering = limited(velocity, self._uav.speed)
            self._steered_until = until

    def see(self, name: str, position: ArrayLike, now: float) -> None:
        """Another drone is at a position [3], m."""
        if not np.isfinite(position).all():
            return
        at, velocity, last = np.asarray(position, dtype=float), np.zeros(3), self._others.get(name)
        if last is not None and now < last.seen_at + SEEN_FOR:
            elapsed = now - last.seen_at
            if elapsed < LEAST_BETWEEN:
                return
            velocity = (at - last.position) / elapsed
        self._others[name] = _Other(at, velocity, now)

    def begin_climb(self, odometry: Odometry | None) -> float | None:
        """Go straight up from there; returns to which height, m. None where it is up, or its place not known."""
        self._climber = None
        if odometry is None or self.is_up(odometry):
            return None
        east, north, _ = map(float, odometry.position)
        above = dataclasses.replace(self._uav, route=((east, north),), altitude=self._safe_height)
        self._climber = Pilot(routes_of([above]))
        self._climber.command = self._pilot.command.copy()
        return self._safe_height

    def is_up(self, odometry: Odometry) -> bool:
        """Whether it is at the safe height, or above."""
        return bool(odometry.position[2] >= self._safe_height - NEAR_HEIGHT)

    def end_climb(self) -> None:
        """Go on from the climb."""
        if self._climber is not None:
            self._pilot.command = self._climber.command.copy()
        self._climber = None

    def setpoint(
        self, odometry: Odometry | None, local: Point | None, age: float, elapsed: float, now: float, *, under_way: bool
    ) -> Setpoint:
        """The next set-point, `elapsed` s after the last one.

        `local` is the vehicle's position in its own frame (m, NED), `age` (s) that of both positions. It stays put
        until the vehicle is `under_way`, and where it is not known where that is.
        """
        climbing = self._climber is not None and under_way
        follows = under_way and not climbing
        near = self._too_near(odometry, now) if follows and odometry is not None else None
        stay = not under_way or odometry is None or near is not None or (self.holding and follows)
        position = np.full(3, np.nan) if odometry is None else odometry.position
        pilot = self._climber if climbing and self._climber is not None else self._pilot
        last = pilot.command[0].copy()
        velocity = pilot.step(position[None, :], elapsed, np.inf if stay else age)[0].copy()
        wanted = None
        if near is not None and near.evade is not None:
            wanted = near.evade
        elif now < self._steered_until and follows and odometry is not None and not stay:
            wanted = self._steered(odometry)
        if wanted is not None:
            velocity = last + limited(wanted - last, self._uav.acceleration * elapsed)
            pilot.command = velocity[None, :].copy()
        velocity[2] = np.clip(velocity[2], -self._limits.climb, self._limits.climb)
        if np.hypot(velocity[0], velocity[1]) > 1:
            self._heading = float(np.arctan2(velocity[1], velocity[0]))
        self._note_course(odometry if under_way else None, velocity, near, now)
        held = self._hold_at(odometry, local, velocity) if stay and under_way and wanted is None else None
        self._held = held
        east, north, up = map(float, velocity)
        return Setpoint((east, north, up), self._heading, held)

    def _steered(self, odometry: Odometry) -> Array:
        """The velocity that somebody else wants, but for the floor: down to it in time, and no further."""
        wanted = self._steering.copy()
        above = max(float(odometry.position[2]) - self._limits.floor, 0.0)
        wanted[2] = max(wanted[2], -np.sqrt(self._uav.acceleration * above))
        return np.asarray(wanted)

    def _hold_at(self, odometry: Odometry | None, local: Point | None, velocity: Array) -> Point | None:
        """The position that is held: where it came to rest."""
        if odometry is None or local is None:
            return None
        if self._held is None and max(np.linalg.norm(odometry.velocity), np.linalg.norm(velocity)) < AT_REST:
            return local
        return self._held

    def _too_near(self, odometry: Odometry, now: float) -> _Near | None:
        """The other drone that it waits for: within `separation`, and farther by what both take to stop before that.

        Of two, the one whose name comes first goes on as soon as that leads away from the other, which also makes
        way: up, or down where it is below.
        """
        others = {name: other.position for name, other in self._others.items() if now < other.seen_at + SEEN_FOR}
        name, distance = nearest(odometry.position, others)
        if not name:
            return None
        towards = (others[name] - odometry.position) / max(distance, 1e-9)
        closing = np.array([odometry.velocity @ towards, -self._others[name].velocity @ towards])
        stopping = (
            float((np.maximum(closing, 0.0) ** 2).sum()) / self._uav.acceleration
        )  # with half of it: an autopilot takes its time
        if distance >= self._limits.separation + stopping:
            return None
        if name > self._uav.id:
            ahead = float((self._pilot.target[0] - odometry.position) @ towards) > 0
            return _Near(name, None) if ahead else None
        below = towards[2] > 0 and odometry.position[2] > self._safe_height
        return _Near(name, np.array([0.0, 0.0, -self._limits.climb if below else self._limits.climb]))

    def _note_course(self, odometry: Odometry | None, velocity: Array, near: _Near | None, now: float) -> None:
        """Say what is odd: another drone that is waited for, or a vehicle that flies something else for long."""
        if near is not None:
            self._waits_for, self._waits_until = near.name, now + SAID_FOR
        self.warning = f"waits for {self._waits_for}, which is too near" if now < self._waits_until else ""
        if odometry is None or _off_course(odometry.velocity, velocity) <= OFF_COURSE:
            self._off_course_since = None
        elif self._off_course_since is None:
            self._off_course_since = now
        elif now - self._off_course_since > OFF_COURSE_FOR:
            self.warning = "it does not fly what it is told: does somebody else send set-points to it, too?"


def _off_course(flown: Array, wanted: Array) -> float:
    """How far what is flown is from what is wanted, m/s; the same way, but slower, an airframe may have to fly."""
    share = float(np.clip(flown @ wanted / max(float(wanted @ wanted), 1e-9), SLOWEST, 1.0))
    return float(np.linalg.norm(flown - share * wanted))
