"""Frames: the one place where aviation's conventions meet those of ROS.

============  =============================  ==========================================================
              ROS (REP 103), the scenario    PX4
============  =============================  ==========================================================
world axes    ENU: east, north, up           NED: north, east, down
body axes     FLU: forward, left, up         FRD: forward, right, down
world origin  the scenario's origin          where the estimator started, each drone its own
plane         tangent to WGS 84              azimuthal equidistant map of a sphere of radius 6,371 km
============  =============================  ==========================================================

The last line matters: over 2 km, PX4's metres and true ones come apart by several metres. Going through latitude and
longitude keeps all drones of a scenario in one frame.

Quaternions are (w, x, y, z), as transforms3d has them; ROS messages carry (x, y, z, w).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from transforms3d.quaternions import qconjugate, qmult, rotate_vector

from uav_twin_migration.scenario.model import Origin

Array = NDArray[np.float64]

SEMI_MAJOR_AXIS = 6_378_137.0  # m, WGS 84
FLATTENING = 1 / 298.257223563  # WGS 84
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)
PX4_EARTH_RADIUS = 6_371_000.0  # m, of the sphere that PX4 maps

_NED_IN_ENU = (0.0, math.sqrt(0.5), math.sqrt(0.5), 0.0)  # half a turn about the line between east and north
_FLU_IN_FRD = (0.0, 1.0, 0.0, 0.0)  # half a turn about forward


def ned_to_enu(vector: ArrayLike) -> Array:
    """A vector [..., 3] from NED to ENU, or from ENU to NED: the same exchange."""
    north, east, down = np.moveaxis(np.asarray(vector, dtype=float), -1, 0)
    return np.stack([east, north, -down], axis=-1)


enu_to_ned = ned_to_enu


def frd_to_flu(vector: ArrayLike) -> Array:
    """A vector [..., 3] from FRD to FLU, or from FLU to FRD: the same exchange."""
    return np.asarray(vector, dtype=float) * (1.0, -1.0, -1.0)


flu_to_frd = frd_to_flu


def heading_to_yaw(heading: float) -> float:
    """A heading (rad, counter-clockwise from east) as PX4's yaw (rad, clockwise from north), in [-pi, pi]."""
    return math.remainder(math.pi / 2 - heading, 2 * math.pi)


def attitude_to_ros(attitude: ArrayLike) -> Array:
    """The attitude of an FRD body in NED, as PX4 sends it, as that of its FLU axes in ENU; w is not negative.

    q and -q are the same attitude; keeping to one half spares readers jumps.
    """
    turned = np.asarray(qmult(qmult(_NED_IN_ENU, attitude), _FLU_IN_FRD))
    return -turned if turned[0] < 0 else turned


def attitude_to_px4(attitude: ArrayLike) -> Array:
    """The attitude of an FLU body in ENU as that of the same body's FRD axes in NED."""
    return np.asarray(qmult(qmult(qconjugate(_NED_IN_ENU), attitude), qconjugate(_FLU_IN_FRD)))


def to_body(attitude: ArrayLike, vector: ArrayLike) -> Array:
    """A world vector [3] in the axes of a body with this attitude (both ENU/FLU or both NED/FRD)."""
    return np.asarray(rotate_vector(vector, qconjugate(attitude)))


def to_world(attitude: ArrayLike, vector: ArrayLike) -> Array:
    """A vector [3] in the axes of a body with this attitude in those of the world."""
    return np.asarray(rotate_vector(vector, attitude))


# --- the Earth ------------------------------------------------------------------------------------------------------


def _geocentric(latitude: float, longitude: float, height: float) -> Array:
    """Earth-centred Earth-fixed position [3] (m) of geodetic coordinates (degrees, m above the ellipsoid)."""
    phi, lam = math.radians(latitude), math.radians(longitude)
    normal = SEMI_MAJOR_AXIS / math.sqrt(1 - ECCENTRICITY_SQUARED * math.sin(phi) ** 2)
    across = (normal + height) * math.cos(phi)
    polar = (normal * (1 - ECCENTRICITY_SQUARED) + height) * math.sin(phi)
    return np.array([across * math.cos(lam), across * math.sin(lam), polar])


def _geodetic(position: Array) -> tuple[float, float, float]:
    """Latitude, longitude (degrees) and height (m) of an Earth-centred position [3] (fixed-point iteration)."""
    x, y, z = map(float, position)
    across = math.hypot(x, y)
    phi = math.atan2(z, across * (1 - ECCENTRICITY_SQUARED))
    for _ in range(8):  # each round is worth two to three digits
        normal = SEMI_MAJOR_AXIS / math.sqrt(1 - ECCENTRICITY_SQUARED * math.sin(phi) ** 2)
        phi = math.atan2(z + ECCENTRICITY_SQUARED * normal * math.sin(phi), across)
    normal = SEMI_MAJOR_AXIS / math.sqrt(1 - ECCENTRICITY_SQUARED * math.sin(phi) ** 2)
    height = across * math.cos(phi) + z * math.sin(phi) - normal * (1 - ECCENTRICITY_SQUARED * math.sin(phi) ** 2)
    return math.degrees(phi), math.degrees(math.atan2(y, x)), height


class TangentPlane:
    """The scenario's frame: ENU on the plane that touches WGS 84 at the origin."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        phi, lam = math.radians(origin.latitude), math.radians(origin.longitude)
        self._origin = _geocentric(origin.latitude, origin.longitude, origin.altitude)
        self._axes = np.array(
            [
                (-math.sin(lam), math.cos(lam), 0.0),
                (-math.sin(phi) * math.cos(lam), -math.sin(phi) * math.sin(lam), math.cos(phi)),
                (math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)),
            ]
        )

    def to_geodetic(self, position: ArrayLike) -> tuple[float, float, float]:
        """Latitude, longitude (degrees) and height (m) of a position [3] (m) in the frame."""
        return _geodetic(self._origin + np.asarray(position, dtype=float) @ self._axes)

    def from_geodetic(self, latitude: float, longitude: float, height: float) -> Array:
        """Position [3] (m) of geodetic coordinates."""
        return np.asarray(self._axes @ (_geocentric(latitude, longitude, height) - self._origin))


@dataclass(frozen=True)
class Px4Map:
    """The map on which PX4 flies: azimuthal equidistant about its estimator's origin (degrees), on a sphere.

    Source: J. P. Snyder, Map Projections - A Working Manual, USGS 1395 (1987), p. 195.
    """

    latitude: float
    longitude: float

    def to_geodetic(self, north: float, east: float) -> tuple[float, float]:
        """Latitude and longitude (degrees) of a point (m) on the map."""
        phi0, lam0 = math.radians(self.latitude), math.radians(self.longitude)
        distance = math.hypot(north, east)
        if distance == 0:
            return self.latitude, self.longitude
        arc = distance / PX4_EARTH_RADIUS
        phi = math.asin(math.cos(arc) * math.sin(phi0) + north / distance * math.sin(arc) * math.cos(phi0))
        across = distance * math.cos(phi0) * math.cos(arc) - north * math.sin(phi0) * math.sin(arc)
        lam = lam0 + math.atan2(east * math.sin(arc), across)
        return math.degrees(phi), (math.degrees(lam) + 180) % 360 - 180

    def from_geodetic(self, latitude: float, longitude: float) -> tuple[float, float]:
        """North and east (m) of a place on the map."""
        phi0, phi = math.radians(self.latitude), math.radians(latitude)
        turn = math.radians(longitude - self.longitude)
        # the haversine keeps its digits where the cosine of a small arc would lose them
        haversine = math.sin((phi - phi0) / 2) ** 2 + math.cos(phi0) * math.cos(phi) * math.sin(turn / 2) ** 2
        arc = 2 * math.asin(math.sqrt(min(haversine, 1.0)))
        scale = PX4_EARTH_RADIUS * (arc / math.sin(arc) if arc > 0 else 1.0)
        north = math.sin(phi - phi0) + 2 * math.sin(phi0) * math.cos(phi) * math.sin(turn / 2) ** 2
        return scale * north, scale * math.cos(phi) * math.sin(turn)


class LocalFrame:
    """Where a drone's local NED frame lies in the scenario. Both have their zero height on the same flat ground."""

    def __init__(self, plane: TangentPlane, latitude: float, longitude: float) -> None:
        self._plane, self._map = plane, Px4Map(latitude, longitude)

    def to_scenario(self, ned: ArrayLike) -> Array:
        """Position [3] (m) in the scenario of one in the drone's local frame."""
        north, east, down = map(float, np.asarray(ned, dtype=float))
        latitude, longitude = self._map.to_geodetic(north, east)
        on_ground = self._plane.from_geodetic(latitude, longitude, self._plane.origin.altitude)
        return np.array([on_ground[0], on_ground[1], -down])

    def from_scenario(self, enu: ArrayLike) -> Array:
        """Position [3] (m) in the drone's local frame of one in the scenario."""
        east, north, up = map(float, np.asarray(enu, dtype=float))
        latitude, longitude, _ = self._plane.to_geodetic((east, north, 0.0))
        return np.array([*self._map.from_geodetic(latitude, longitude), -up])
