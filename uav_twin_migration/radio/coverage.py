"""How long a UAV will stay in an RSU's coverage if it flies straight on: T_n, in which its twin should have moved."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Point = tuple[float, float]


def predicted_stay(position: ArrayLike, velocity: ArrayLike, centre: ArrayLike, reach: ArrayLike) -> Array:
    """Seconds until a UAV leaves the disc of radius `reach` around `centre` on its present course.

    0 for one that is outside, inf for one that is inside and does not move.

    Args:
        position, velocity: [..., 2] m and m/s, as seen from above.
        centre: [..., 2] m, position of the RSU.
        reach: [...] m, its range. All broadcast against each other.
    """
    offset = np.asarray(position, dtype=float) - np.asarray(centre, dtype=float)
    course = np.asarray(velocity, dtype=float)
    # |offset + t course| = reach, a quadratic in t: speed2 t^2 + 2 receding t - depth = 0; its later root
    speed2 = (course * course).sum(axis=-1)
    receding = (offset * course).sum(axis=-1)
    depth = np.square(reach) - (offset * offset).sum(axis=-1)
    root = np.sqrt(np.maximum(receding**2 + speed2 * depth, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        # two forms of the same root: neither subtracts what may be nearly equal
        stay = np.where(receding > 0, depth / (receding + root), (root - receding) / speed2)
    stay = np.where(speed2 == 0, np.inf, stay)
    return np.where(depth >= 0, stay, 0.0)


def predicted_stay_of_one(position: Point, velocity: Point, centre: Point, reach: float) -> float:
    """`predicted_stay` of one UAV and one RSU, to the bit, without the time that arrays take."""
    x, y = position[0] - centre[0], position[1] - centre[1]
    vx, vy = velocity
    depth = reach * reach - (x * x + y * y)
    if not depth >= 0.0:
        return 0.0
    speed2 = vx * vx + vy * vy
    if speed2 == 0.0:
        return math.inf
    receding = x * vx + y * vy
    root = math.sqrt(max(receding * receding + speed2 * depth, 0.0))
    if receding > 0.0:
        return depth / (receding + root)
    return (root - receding) / speed2
