"""A recorded flight: where it was at any time, and the velocity that keeps a UAV to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

NEAR = 5.0  # m from the first fix, within which a record begins to be flown
RETURN = 1.0  # s, time constant with which a UAV comes back to its record
AHEAD = 0.1  # s, for which a command counts: as long as a step of the embedded world
SAMPLES = 4  # between two fixes, where the fastest and the hardest of a record are looked for


class Track:
    """Fixes joined by cubic Hermite curves: through each fix, with a velocity that does not jump.

    The velocity at a fix is the mean of those before and behind it, weighted by the other's duration, as for a parabola
    through three fixes (de Boor, *A Practical Guide to Splines*, 1978, chapter IV: Bessel). Before the first fix and
    after the last, it stands still.

    Attributes:
        times, points: [F] s and [F, 3] m.
        fastest, hardest: m/s and m/s^2, along all of it.
    """

    def __init__(self, fixes: ArrayLike) -> None:
        """fixes: [F, 4]: s, rising, and metres east, north and above ground; at least one."""
        table = np.asarray(fixes, dtype=float).reshape(-1, 4)
        self.times, self.points = table[:, 0], table[:, 1:]
        self._course = self._velocities()
        steps = np.diff(self.times)
        fine = (self.times[:-1, None] + steps[:, None] * np.arange(SAMPLES) / SAMPLES).ravel()
        fine = np.append(fine, self.times[-1])
        velocity = self.at(fine)[1]
        speeds = np.linalg.norm(velocity, axis=1)
        changes = np.linalg.norm(np.diff(velocity, axis=0), axis=1) / np.maximum(np.diff(fine), 1e-9)
        self.fastest = float(speeds.max())
        self.hardest = float(changes.max(initial=0.0))

    def _velocities(self) -> Array:
        course = np.zeros_like(self.points)
        if len(self.times) > 2:
            steps = np.diff(self.times)[:, None]
            legs = np.diff(self.points, axis=0) / steps
            course[1:-1] = (legs[:-1] * steps[1:] + legs[1:] * steps[:-1]) / (steps[:-1] + steps[1:])
        return course

    def at(self, time: ArrayLike) -> tuple[Array, Array]:
        """Position and velocity [..., 3] (m, m/s) at times [...] (s)."""
        time = np.asarray(time, dtype=float)
        if len(self.times) == 1:
            return np.broadcast_to(self.points[0], (*time.shape, 3)), np.zeros((*time.shape, 3))
        inside = np.clip(time, self.times[0], self.times[-1])
        k = np.clip(np.searchsorted(self.times, inside, side="right") - 1, 0, len(self.times) - 2)
        step = (self.times[k + 1] - self.times[k])[..., None]
        s = (inside - self.times[k])[..., None] / step
        start, end = self.points[k], self.points[k + 1]
        out, into = self._course[k] * step, self._course[k + 1] * step
        position = start + s**2 * (3 - 2 * s) * (end - start) + s * (1 - s) ** 2 * out + s**2 * (s - 1) * into
        course = 6 * s * (1 - s) * (end - start) + (1 - s) * (1 - 3 * s) * out + s * (3 * s - 2) * into
        moving = ((time >= self.times[0]) & (time <= self.times[-1]))[..., None]
        return position, np.where(moving, course / step, 0.0)


class Recorded:
    """A mobility (`mobility.Mobility`) that flies a track as it was flown, from when the UAV is where that begins."""

    wanted = (0.0, 0.0, 0.0)  # by the route, which does not count

    def __init__(self, track: Track) -> None:
        self.track = track
        self._began: float | None = None

    def velocity(
        self, time: float, position: tuple[float, float, float], velocity: tuple[float, float, float]
    ) -> tuple[float, float, float]:
        """See `Mobility`."""
        at = np.array(position)
        if self._began is None:
            first = self.track.points[0]
            if float(np.linalg.norm(first - at)) > NEAR:
                return _vector((first - at) / RETURN)
            self._began = time - float(self.track.times[0])
        now = time - self._began
        wanted, _ = self.track.at(now)
        _, course = self.track.at(now + AHEAD)
        return _vector(course + (wanted - at) / RETURN)


def _vector(values: Array) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
