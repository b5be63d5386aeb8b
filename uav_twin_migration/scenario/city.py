"""A scenario of a real city's building footprints, as people have them: OpenStreetMap exports in any projection.

Buildings become prisms in local ENU metres about an origin on the ellipsoid (azimuthal equidistant projection, whose
distances and bearings from the origin are true; within 10 km it differs from the tangent plane by millimetres). The
ground is taken as flat. RSUs are placed for what UAVs over the streets receive, judged by the radio model among these
very buildings; UAVs fly tours along the streets, above the roofs.

pyogrio, shapely and pyproj are imported where they are used: the package works without them.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.footprints import LINES, POLYGONS, in_words, read
from uav_twin_migration.scenario.generate import LAYER, LOWEST_ALTITUDE, numbered, round_trip, rsu_at, uav_on
from uav_twin_migration.scenario.model import Building, Origin, Rsu, Scenario, Uav
from uav_twin_migration.scenario.placement import along, network_of, outdoors, over, place_rsus, tour
from uav_twin_migration.scenario.prisms import prisms
from uav_twin_migration.scenario.tags import is_building, is_street, unpacked
from uav_twin_migration.scenario.wishes import Wishes

Array = NDArray[np.float64]

CLEARANCE = 20.0  # m, of the lowest UAVs over the highest roof
HIGHEST_FLIGHT = 300.0  # m, where the radio model ends
MOST_SITES, MOST_PLACES = 240, 400  # candidates for RSUs; points at which reception is judged


@dataclass(frozen=True)
class City:
    """The scenario, and what is to be said of its making."""

    scenario: Scenario
    streets: list[Array]  # polylines [K, 2] m
    heights_from: Counter[str]  # "height", "levels", "default": footprints each
    left_out: Counter[str]  # why, and how many features
    lowest_flight: float  # m
    efficiency: Array  # [P, M] bit/s/Hz, at places over the streets


def import_city(
    footprints: str | Path, streets: str | Path | None, wishes: Wishes, progress: Callable[[str], None] = lambda _: None
) -> City:
    """Make a scenario of a file of building footprints and, where given, one of streets.

    `progress` is told what is being done.

    Raises:
        InputError: a file that cannot be read, names no projection, or holds no buildings (or no streets).
    """
    progress(f"reading {footprints}")
    heights_from: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    found = read(footprints, wishes.layer, wishes.crs, POLYGONS, ("building", "footprint"))
    left_out += found.left_out
    tags = [unpacked(row) for row in found.tags]
    are_buildings = np.array([is_building(of_shape) for of_shape in tags], dtype=bool)
    left_out["no building"] = int(np.count_nonzero(~are_buildings))
    shapes, tags = found.shapes[are_buildings], [tags[index] for index in np.flatnonzero(are_buildings)]
    origin = wishes.centre or middle(shapes, found.crs, str(footprints))
    local = to_local(shapes, found.crs, origin)
    buildings = prisms(local, tags, wishes.radius, wishes.default_height, heights_from, left_out)
    if not buildings:
        reasons = in_words(+left_out) or "no shapes"
        raise InputError(str(footprints), "buildings", reasons, "at least one building's footprint near the centre")
    lines = [] if streets is None else _streets(streets, wishes, origin)

    progress(f"placing {wishes.rsus} RSUs among {len(buildings)} buildings")
    source = str(streets or footprints)
    places = along(lines, MOST_PLACES) if lines else over(buildings, MOST_PLACES)
    sites = outdoors(along(lines, MOST_SITES) if lines else over(buildings, MOST_SITES), buildings)
    if len(sites) < wishes.rsus:
        raise InputError(source, "sites", len(sites), f"room outdoors for {wishes.rsus} RSUs")
    lowest = _lowest_flight(buildings)
    in_flight = np.column_stack([places, np.full(len(places), lowest)])
    chosen, efficiency = place_rsus(buildings, sites, in_flight, wishes.rsus, wishes.range)

    progress(f"sending {wishes.uavs} UAVs on tours")
    dice = random.Random(wishes.seed)
    scenario = Scenario(
        name=wishes.name or Path(footprints).stem,
        origin=origin,
        rsus=tuple(_rsus(dice, sites[chosen], wishes)),
        uavs=tuple(_uavs(dice, lines, places, wishes.uavs, lowest)),
        buildings=buildings,
    )
    return City(scenario, lines, heights_from, +left_out, lowest, efficiency)


# --- the frame ------------------------------------------------------------------------------------------------------


def middle(shapes: NDArray[Any], crs: Any, source: str) -> Origin:
    """The median of the shapes' middles: one stray shape, however far away, does not move it.

    Raises:
        InputError: no shape lies where its projection has a place.
    """
    import pyproj
    import shapely

    west, south, east, north = shapely.bounds(shapes).T
    to_geodetic = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    longitude, latitude = map(np.asarray, to_geodetic.transform((west + east) / 2, (south + north) / 2))
    known = np.isfinite(longitude) & np.isfinite(latitude) & (np.abs(latitude) <= 90)
    if not known.any():
        where = [round(float(np.median(one)), 1) for one in (west, south)] if len(shapes) else "no buildings"
        raise InputError(source, "coordinates", where, f"coordinates that {crs.name} has")
    longitude, latitude = longitude[known], latitude[known]
    turn = np.radians(longitude)
    about = math.degrees(math.atan2(np.sin(turn).mean(), np.cos(turn).mean()))  # no jump at 180 degrees
    longitude = (longitude - about + 180) % 360 - 180
    east_of = (float(np.median(longitude)) + about + 180) % 360 - 180
    return Origin(latitude=round(float(np.median(latitude)), 6), longitude=round(east_of, 6))


def to_local(shapes: NDArray[Any], crs: Any, origin: Origin) -> NDArray[Any]:
    """The shapes in metres east and north of the origin; what cannot be projected is without finite coordinates."""
    import pyproj
    import shapely

    local = f"+proj=aeqd +lat_0={origin.latitude} +lon_0={origin.longitude} +datum=WGS84 +units=m"
    project = pyproj.Transformer.from_crs(crs, local, always_xy=True).transform

    def moved(coordinates: Array) -> Array:
        return np.column_stack(project(coordinates[:, 0], coordinates[:, 1]))

    return np.asarray(shapely.transform(shapes, moved))


def _lowest_flight(buildings: Sequence[Building]) -> float:
    """Altitude (m) of the lowest UAVs: clear of all roofs as far as the radio model goes up."""
    roof = max(building.base + building.height for building in buildings)
    clear = 10.0 * math.ceil((roof + CLEARANCE) / 10.0)
    return min(max(LOWEST_ALTITUDE, clear), HIGHEST_FLIGHT - 2 * LAYER)


# --- streets, RSUs, UAVs --------------------------------------------------------------------------------------------


def _streets(path: str | Path, wishes: Wishes, origin: Origin) -> list[Array]:
    """Polylines [K, 2] in local metres, cut where streets meet."""
    import shapely

    found = read(path, wishes.street_layer, wishes.crs, LINES, ("street", "road"))
    exist = [index for index, row in enumerate(found.tags) if is_street(unpacked(row))]
    area = shapely.Point(0, 0).buffer(wishes.radius)
    local = to_local(found.shapes[exist], found.crs, origin)
    shapes = [shape for shape in local if np.isfinite(shape.bounds).all() and shape.intersects(area)]
    noded = shapely.unary_union(shapes)
    lines = [np.round(shapely.get_coordinates(line), 2) + 0.0 for line in getattr(noded, "geoms", [noded])]
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        raise InputError(str(path), "streets", f"{len(exist)} elsewhere", f"streets within {wishes.radius:g} m")
    return lines


def _rsus(dice: random.Random, positions: Array, wishes: Wishes) -> Iterator[Rsu]:
    for index, (x, y) in enumerate(positions.tolist()):
        rsu = rsu_at(dice, numbered("rsu", index, wishes.rsus), (x, y), wishes.uavs / wishes.rsus)
        yield replace(rsu, range=wishes.range)


def _uavs(dice: random.Random, lines: Sequence[Array], places: Array, count: int, lowest: float) -> Iterator[Uav]:
    network = network_of(lines)
    middle = places.mean(axis=0)
    reach = float(np.abs(places - middle).max()) / 2
    for index in range(count):
        route = tour(dice, network)
        if not route:
            east, north = (float(middle[axis]) + reach * (2 * dice.random() - 1) for axis in (0, 1))
            route = round_trip(dice, (east, north), reach)
        altitude = lowest + LAYER * int(3 * dice.random())
        yield uav_on(dice, numbered("uav", index, count), route, altitude)
