"""How UAVs fly their routes: a pilot, a point mass, and both together from t = 0. No I/O, no clock.

A *pilot* looks at a UAV's position and says with which velocity to fly; it does not care who moves the UAV: the
embedded world, Gazebo or PX4. The embedded world moves it as a *point mass* that follows the commanded velocity as
fast as its acceleration allows. `Flight` puts the two together in fixed steps, so whoever computes where the UAVs of
a scenario are at time t (the world, an monitor, a benchmark) gets the same answer to the last bit.

Everything is vectorised over UAVs: N of them at once, one being the case N = 1. Positions are metres in the local
ENU frame (altitude above its ground plane), velocities m/s in the same frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uav_twin_migration.scenario.model import Scenario, Uav
from uav_twin_migration.vehicle.mobility import Mobilities
from uav_twin_migration.vehicle.track import Track

Array = NDArray[np.float64]

STEP = 0.1  # s, of the embedded world
CORNER_TOLERANCE = 3.0  # m, by which a corner may be cut or overshot
HOLD_TIME = 1.0  # s, time constant with which a UAV settles on the point that it holds
STALE_AFTER = 0.5  # s, age from which odometry is no longer flown by


@dataclass(frozen=True)
class Routes:
    """Routes of N UAVs as arrays, W waypoints at most. A route to and fro is a round: out and back again."""

    waypoints: Array  # [N, W, 3] m, padded
    count: NDArray[np.intp]  # [N] waypoints of each round
    arrival: Array  # [N, W, 3] unit vector of the leg that ends at each waypoint; 0 where there is no leg
    corner_speed: Array  # [N, W] m/s, with which each waypoint may be passed
    speed: Array  # [N] m/s, limit
    acceleration: Array  # [N] m/s^2, limit


def routes_of(uavs: Sequence[Uav]) -> Routes:
    """The routes of `uavs` with the speed at which each corner may be taken.

    Turning from one leg to the next changes the velocity by v |out - in| (unit vectors), which takes a UAV of
    acceleration a at most (v |out - in|)^2 / 2a metres: the corner's speed keeps that within `CORNER_TOLERANCE`.
    """
    rounds = [_round(uav) for uav in uavs]
    count = np.array([len(points) for points in rounds])
    limits = np.array([_limits(uav) for uav in uavs]).reshape(-1, 2)
    speed, acceleration = limits[:, 0], limits[:, 1]
    waypoints = np.zeros((len(uavs), int(count.max(initial=1)), 3))
    arrival, corner_speed = np.zeros_like(waypoints), np.zeros(waypoints.shape[:2])
    for n, points in enumerate(rounds):
        waypoints[n, : count[n]] = points
        if count[n] == 1:
            continue  # a single point is held: no leg, and no speed to pass it
        leg = waypoints[n, : count[n]] - np.roll(waypoints[n, : count[n]], 1, axis=0)
        length = np.linalg.norm(leg, axis=1)
        direction = leg / np.maximum(length, 1e-9)[:, None]
        turn = np.linalg.norm(np.roll(direction, -1, axis=0) - direction, axis=1)
        passing = np.sqrt(2 * acceleration[n] * CORNER_TOLERANCE) / np.maximum(turn, 1e-9)
        passing = np.minimum(passing, speed[n])
        arrival[n, : count[n]] = direction
        corner_speed[n, : count[n]] = _brake_in_time(passing, length, acceleration[n] / 2)
    return Routes(waypoints, count, arrival, corner_speed, speed, acceleration)


def _round(uav: Uav) -> list[tuple[float, float, float]]:
    """Where its route leads, to and fro or round; of a UAV that flies a record, where that begins."""
    if uav.track:
        return [uav.track[0][1:]]
    points = uav.route if uav.loop else uav.route + uav.route[-2:0:-1]
    return [(*point, uav.altitude) for point in points]


def _limits(uav: Uav) -> tuple[float, float]:
    """Speed and acceleration; what a record needs is not less than it had, with some more to come back to it."""
    if not uav.track:
        return uav.speed, uav.acceleration
    track = Track(uav.track)
    return max(uav.speed, 1.3 * track.fastest), max(uav.acceleration, 2.0 * track.hardest)


def _brake_in_time(passing: Array, length: Array, braking: float) -> Array:
    """Lower corner speeds [W] so that each leg [W] is long enough to slow down for the corner at its end."""
    passing = passing.copy()
    for k in list(range(len(passing) - 1, -1, -1)) * 2:  # twice round: the last corner may depend on the first
        passing[k - 1] = min(passing[k - 1], np.sqrt(passing[k] ** 2 + 2 * braking * length[k]))
    return passing


def limited(vectors: ArrayLike, lengths: ArrayLike) -> Array:
    """Vectors [..., 3], shortened where they are longer than `lengths` [...]."""
    vectors, lengths = np.asarray(vectors, dtype=float), np.asarray(lengths, dtype=float)
    return np.asarray(vectors * np.minimum(1.0, lengths / np.maximum(_length(vectors), 1e-12))[..., None])


def _length(vectors: Array) -> Array:
    return np.asarray(np.sqrt(np.einsum("...i,...i->...", vectors, vectors)))


def _turn_first(velocity: Array, wanted: Array, change: Array) -> Array:
    """Velocities [N, 3] changed towards `wanted` [N, 3] by at most `change` [N], crossways first, then along.

    A straight change would speed up out of a corner before the turn is done, and so leave the route far behind.
    """
    along = wanted / np.maximum(_length(wanted), 1e-12)[:, None]
    component = np.einsum("ni,ni->n", velocity, along)
    across = limited(component[:, None] * along - velocity, change)
    left = np.sqrt(np.maximum(change**2 - np.einsum("ni,ni->n", across, across), 0.0))
    speeding = np.clip(_length(wanted) - component, -left, left)
    return np.asarray(velocity + across + speeding[:, None] * along)


class Pilot:
    """Flies N UAVs along their routes: positions in, velocity commands out.

    A UAV first goes to its first waypoint (straight up where it stands below it), then round its route. It heads for
    the next waypoint with the speed from which half its acceleration suffices to slow down in time, the other half
    being left for turning. Commands keep within the speed limit and change by no more than the acceleration limit.

    Attributes:
        leg: [N] index of the waypoint that each UAV heads for.
        command: [N, 3] m/s, the latest command.
    """

    def __init__(self, routes: Routes, mobilities: Mobilities | None = None) -> None:
        """mobilities: of UAVs that do not fly their routes."""
        self.routes, self.mobilities = routes, mobilities or Mobilities([])
        self.time = 0.0  # s, flown
        self.command = np.zeros((len(routes.count), 3))
        self._head_for(np.zeros(len(routes.count), dtype=np.intp))

    def _head_for(self, leg: NDArray[np.intp]) -> None:
        self.leg = leg
        chosen = (np.arange(len(leg)), leg)
        self._target = self.routes.waypoints[chosen]
        self._arrival = self.routes.arrival[chosen]
        self._passing = self.routes.corner_speed[chosen]

    @property
    def target(self) -> Array:
        """[N, 3] m, the waypoint that each UAV heads for."""
        return self._target

    def step(self, position: ArrayLike, dt: float, age: ArrayLike = 0.0) -> Array:
        """Velocity commands [N, 3] for positions [N, 3] that are `age` [N] seconds old; `dt` s after the last step.

        Positions that are stale or not finite are not flown by: such a UAV is brought to a stop.
        """
        position = np.asarray(position, dtype=float)
        known = np.isfinite(position).all(axis=-1) & (np.asarray(age) <= STALE_AFTER)
        position = np.where(known[:, None], position, 0.0)
        wanted = self._wanted(position, known)
        for index in self.mobilities.indices:
            at, last, route = (tuple(vectors[index].tolist()) for vectors in (position, self.command, wanted))
            own = self.mobilities.velocity(index, self.time, at, last, route)
            wanted[index] = limited(own, self.routes.speed[index])
        self.time += dt
        wanted = wanted * known[:, None]
        self.command = _turn_first(self.command, wanted, self.routes.acceleration * dt)
        return self.command

    def _wanted(self, position: Array, known: NDArray[np.bool_]) -> Array:
        """Velocities [N, 3] that the UAVs would have if they could change theirs at once."""
        routes = self.routes
        arrived = self._arrived(self._target - position) & (routes.count > 1) & known
        if arrived.any():
            self._head_for(np.where(arrived, (self.leg + 1) % routes.count, self.leg))
        offset = self._target - position
        distance = _length(offset)
        ahead = np.where(routes.count > 1, np.maximum(distance - CORNER_TOLERANCE, 0.0), distance)
        braking = np.sqrt(self._passing**2 + routes.acceleration * ahead)  # v^2 = v0^2 + 2 (a/2) d
        speed = np.minimum(np.minimum(braking, self._passing + ahead / HOLD_TIME), routes.speed)
        return np.asarray(offset * (speed / np.maximum(distance, 1e-9))[:, None])

    def _arrived(self, offset: Array) -> NDArray[np.bool_]:
        """Whether a UAV, `offset` [N, 3] short of its waypoint, has come near it or has flown past it, at its height.

        Flown past counts however far aside, so that no UAV circles round a waypoint that it cannot turn sharply
        enough to hit.
        """
        level = np.abs(offset[:, 2]) < CORNER_TOLERANCE
        near = offset[:, 0] ** 2 + offset[:, 1] ** 2 < CORNER_TOLERANCE**2
        past = np.einsum("ni,ni->n", offset, self._arrival) < 0
        return np.asarray(level & (near | past))


def move(position: Array, velocity: Array, command: Array, acceleration: Array, dt: float) -> tuple[Array, Array]:
    """Position and velocity [N, 3] of point masses after `dt` seconds under velocity commands [N, 3].

    They accelerate evenly towards the command by at most `acceleration` [N]: no faster than the fastest command.
    """
    change = limited(command - velocity, acceleration * dt)
    return position + (velocity + change / 2) * dt, velocity + change


class Flight:
    """All UAVs of a scenario, each starting at rest on its first waypoint at t = 0, flown by the pilot.

    Time advances in steps of `STEP`; between two steps motion is uniformly accelerated, so any time may be asked for.

    Attributes:
        time: s, the time that `position`, `velocity` [N, 3] and `yaw` [N] (rad, counter-clockwise from east) are of.
    """

    def __init__(self, scenario: Scenario, tell: Callable[[str], None] | None = None) -> None:
        """tell: where a UAV's mobility, a plug-in, has failed; without it, that is raised."""
        self._routes = routes_of(scenario.uavs)
        self._pilot = Pilot(self._routes, Mobilities(scenario.uavs, tell))
        self._steered_until = np.full(len(scenario.uavs), -np.inf)
        self._steering = np.zeros((len(scenario.uavs), 3))
        self._ticks = 0
        self._now = self._next = (self._routes.waypoints[:, 0].copy(), np.zeros((len(scenario.uavs), 3)))
        self._set(0.0)
        towards = self._routes.waypoints[np.arange(len(scenario.uavs)), 1 % self._routes.count] - self.position
        self.yaw = np.arctan2(towards[:, 1], towards[:, 0])
        self._tick()

    def steer(self, uav: int, velocity: ArrayLike, until: float) -> None:
        """Let someone else than the pilot command a UAV (index), from the next step on until time `until`."""
        self._steering[uav] = limited(velocity, self._routes.speed[uav])
        self._steered_until[uav] = until

    def advance(self, time: float) -> None:
        """Fly on to `time` (s).

        Raises:
            ValueError: `time` is before the present step: make a new Flight, its past is always the same.
        """
        if time < max(self._ticks - 1, 0) * STEP:
            raise ValueError(f"cannot fly back from {self.time} s to {time} s")
        while self._ticks * STEP <= time:
            self._tick()
        self._set(time)

    def _tick(self) -> None:
        """Begin the step from `_ticks` to `_ticks + 1`."""
        position, velocity = self._now = self._next
        command = self._pilot.step(position, STEP)
        steered = self._steered_until > self._ticks * STEP
        if steered.any():
            command = np.where(steered[:, None], self._steering, command)
            self._pilot.command = np.where(steered[:, None], velocity, self._pilot.command)
        self._next = move(position, velocity, command, self._routes.acceleration, STEP)
        self._ticks += 1

    def _set(self, time: float) -> None:
        (position, velocity), (_, following) = self._now, self._next
        elapsed = time - max(self._ticks - 1, 0) * STEP
        change = (following - velocity) * (elapsed / STEP)
        self.time = time
        self.position = position + (velocity + change / 2) * elapsed
        self.velocity = velocity + change
        moving = np.hypot(self.velocity[:, 0], self.velocity[:, 1]) > 0.1
        if moving.any():
            self.yaw = np.where(moving, np.arctan2(self.velocity[:, 1], self.velocity[:, 0]), self.yaw)


def states_at(scenario: Scenario, time: float) -> tuple[Array, Array]:
    """Positions (m) and velocities (m/s), [N, 3] each, of the scenario's UAVs at `time` >= 0 (s)."""
    flight = Flight(scenario)
    flight.advance(time)
    return flight.position, flight.velocity
