"""A UAV's motion as its twin sees it: a constant-velocity Kalman filter for each axis.

Bar-Shalom, Li, Kirubarajan: Estimation with Applications to Tracking and Navigation (2001), section 6.2.2: the
continuous white-noise acceleration model. Telemetry measures position and velocity of each axis, independently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from uav_twin_migration.scenario.model import FARTHEST

Vector = tuple[float, float, float]
FASTEST = 1e3  # m/s
LATEST = 1e11  # s: no clock shows more
LAST_SEQUENCE = (1 << 63) - 1
ASTRAY = 1e12  # m, m/s: a filter overshoots what it is told, but not so far
WIDEST = 1e30  # a variance of more tells nothing any more
SAME_CLOCK = 1.0  # s: a UAV's clock that is no further off is taken for the host's own


class Telemetry(NamedTuple):
    """What a UAV says of itself at one instant."""

    sequence: int  # rises with each message of one UAV, through its restarts
    stamp: float  # s, on the UAV's clock
    position: Vector  # m, ENU
    velocity: Vector  # m/s, ENU


@dataclass(frozen=True)
class Noise:
    """How much to trust telemetry, and how much a UAV's speed changes between two."""

    position: float = 0.5  # m, standard deviation
    velocity: float = 0.2  # m/s, standard deviation
    acceleration: float = 2.0  # m^2/s^3, power spectral density of white acceleration


class Axis(NamedTuple):
    """One axis: state and covariance."""

    position: float  # m
    velocity: float  # m/s
    pp: float  # m^2
    pv: float  # m^2/s
    vv: float  # m^2/s^2

    def is_possible(self) -> bool:
        """Whether it is a place, a speed and a covariance, as another RSU's snapshot must be."""
        near = abs(self.position) <= ASTRAY and abs(self.velocity) <= ASTRAY
        bounded = 0.0 <= self.pp <= WIDEST and 0.0 <= self.vv <= WIDEST
        return near and bounded and self.pv * self.pv <= 1.01 * self.pp * self.vv + 1e-3  # but for rounding

    def predicted(self, dt: float, acceleration: float) -> Axis:
        """After `dt` seconds, eq. 6.2.2-12 with power spectral density `acceleration`."""
        return Axis(
            self.position + dt * self.velocity,
            self.velocity,
            self.pp + dt * (2 * self.pv + dt * self.vv) + acceleration * dt**3 / 3,
            self.pv + dt * self.vv + acceleration * dt**2 / 2,
            self.vv + acceleration * dt,
        )

    def outlook(self, dt: float, acceleration: float) -> tuple[float, float, float, float]:
        """Of `predicted`, what users are told, many times a second: position, velocity, and standard deviations."""
        position, velocity, pp, pv, vv = self
        pp += dt * (2 * pv + dt * vv) + acceleration * dt * dt * dt / 3
        spread = math.sqrt(max(pp, 0.0)), math.sqrt(max(vv + acceleration * dt, 0.0))  # rounding may take a little
        return position + dt * velocity, velocity, *spread

    def updated(self, position: float, velocity: float, noise: Noise) -> Axis:
        """After a measurement: position first, then velocity; their errors are independent, so the order is free."""
        gain_p, gain_v = self.pp / (self.pp + noise.position**2), self.pv / (self.pp + noise.position**2)
        residual = position - self.position
        half = Axis(
            self.position + gain_p * residual,
            self.velocity + gain_v * residual,
            (1 - gain_p) * self.pp,
            (1 - gain_p) * self.pv,
            max(self.vv - gain_v * self.pv, 0.0),
        )
        spread = half.vv + noise.velocity**2
        gain_p, gain_v = half.pv / spread, half.vv / spread
        residual = velocity - half.velocity
        return Axis(
            half.position + gain_p * residual,
            half.velocity + gain_v * residual,
            max(half.pp - gain_p * half.pv, 0.0),  # rounding may take a little
            (1 - gain_v) * half.pv,
            (1 - gain_v) * half.vv,
        )


class Estimate(NamedTuple):
    """Where a UAV is thought to be."""

    stamp: float  # s, of the newest telemetry in it, on the UAV's clock
    age: float  # s since then
    position: Vector  # m
    velocity: Vector  # m/s
    position_deviation: Vector  # m, standard deviations
    velocity_deviation: Vector  # m/s


class Tracker:
    """The filter of one UAV.

    The UAV's clock need not be the host's: the tracker keeps how far ahead it is, by the message that took least time.
    """

    def __init__(self, noise: Noise | None = None) -> None:
        self.noise = noise or Noise()
        self.axes: tuple[Axis, ...] = ()
        self.stamp = -math.inf
        self.sequence = -1
        self._ahead: float | None = None  # s; a twin that came from elsewhere does not know yet

    def observe(self, telemetry: Telemetry, now: float) -> str | None:
        """Take telemetry into account, or say why it is refused: then nothing has changed."""
        reason = self._objection(telemetry)
        if reason is not None:
            return reason
        measured = list(zip(telemetry.position, telemetry.velocity, strict=True))
        if self.axes and telemetry.stamp > self.stamp:
            dt = telemetry.stamp - self.stamp
            early = [axis.predicted(dt, self.noise.acceleration) for axis in self.axes]
            self.axes = tuple(axis.updated(p, v, self.noise) for axis, (p, v) in zip(early, measured, strict=True))
        else:  # the first, or the UAV's clock was set back
            spread = (self.noise.position**2, 0.0, self.noise.velocity**2)
            self.axes = tuple(Axis(p, v, *spread) for p, v in measured)
            self._ahead = None
        ahead = telemetry.stamp - now
        if self._ahead is None:
            self._ahead = ahead if abs(ahead) > SAME_CLOCK else max(0.0, ahead)
        self._ahead = max(self._ahead, ahead)
        self.stamp, self.sequence = telemetry.stamp, telemetry.sequence
        return None

    def estimate(self, now: float) -> Estimate | None:
        """The prediction for `now`."""
        if not self.axes:
            return None
        age = max(0.0, now + (self._ahead or 0.0) - self.stamp)
        (x, vx, dx, dvx), (y, vy, dy, dvy), (z, vz, dz, dvz) = [
            axis.outlook(age, self.noise.acceleration) for axis in self.axes
        ]
        return Estimate(self.stamp, age, (x, y, z), (vx, vy, vz), (dx, dy, dz), (dvx, dvy, dvz))

    def _objection(self, telemetry: Telemetry) -> str | None:
        numbers = (telemetry.stamp, *telemetry.position, *telemetry.velocity)
        if len(numbers) != 7 or not all(map(math.isfinite, numbers)):
            return "not_finite"
        if max(map(abs, telemetry.position)) > FARTHEST or max(map(abs, telemetry.velocity)) > FASTEST:
            return "absurd"
        if abs(telemetry.stamp) > LATEST or telemetry.sequence > LAST_SEQUENCE:
            return "absurd"
        return None if telemetry.sequence > self.sequence else "out_of_order"
