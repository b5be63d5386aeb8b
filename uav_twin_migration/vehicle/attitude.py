"""How a UAV is turned. Without a library: every odometry asks for it, also where nothing else would need one."""

from __future__ import annotations

import math

Vector = tuple[float, float, float]
UNIT = 1e-3  # by which an attitude's square may differ from 1


def turned(vector: Vector, attitude: tuple[float, float, float, float]) -> Vector:
    """A vector of the UAV's own frame in the map's; as it is where the attitude is none, or the vector not finite.

    attitude: a unit quaternion (x, y, z, w), as ROS messages carry it.
    """
    (x, y, z), (a, b, c, w) = vector, attitude
    square = w * w + a * a + b * b + c * c
    if not (math.isclose(square, 1.0, abs_tol=UNIT) and all(map(math.isfinite, vector))):
        return vector  # the caller's to refuse
    # v + 2 w u + 2 q x u, u = q x v
    k = 2.0 / square
    ux, uy, uz = b * z - c * y, c * x - a * z, a * y - b * x
    return (
        x + k * (w * ux + b * uz - c * uy),
        y + k * (w * uy + c * ux - a * uz),
        z + k * (w * uz + a * uy - b * ux),
    )
