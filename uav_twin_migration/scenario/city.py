"""A scenario of a real city's building footprints, as people have them: OpenStreetMap exports in any projection.

Buildings become prisms in local ENU metres about an origin on the ellipsoid (azimuthal equidistant projection, whose
distances and bearings from the origin are true; within 10 km it differs from the tangent plane by millimetres). The
ground is taken as flat. RSUs are placed for what UAVs over the streets receive, judged by the radio model among these
very buildings; UAVs fly tours along the streets, above the roofs.

geopandas, shapely and pyproj are imported where they are used: the package works without them.
"""

from __future__ import annotations

import math
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.generate import LAYER, LOWEST_ALTITUDE, RANGE, numbered, round_trip, rsu_at, uav_on
from uav_twin_migration.scenario.geometry import are_simple
from uav_twin_migration.scenario.model import Building, Origin, Point, Rsu, Scenario, Uav
from uav_twin_migration.scenario.placement import along, network_of, outdoors, over, place_rsus, tour
from uav_twin_migration.scenario.tags import base_of, height_of, is_building, text, unpacked

Array = NDArray[np.float64]

SMALLEST = 4.0  # m^2, of a footprint that counts
TOLERANCE = 0.1  # m, by which corners of footprints may be left out
WIDEST = 20_000.0  # m from the origin, beyond which a plane is no map of the Earth
CLEARANCE = 20.0  # m, of the lowest UAVs over the highest roof
HIGHEST_FLIGHT = 300.0  # m, where the radio model ends
MOST_SITES, MOST_PLACES = 240, 400  # candidates for RSUs; points at which reception is judged


@dataclass(frozen=True)
class Wishes:
    """What the person who imports a city may choose."""

    name: str = ""  # "" for that of the file
    rsus: int = 4
    uavs: int = 8
    seed: int = 1  # of the tours and of what RSUs and UAVs are like
    range: float = RANGE  # m, of the RSUs
    default_height: float = 12.0  # m, of buildings that do not tell theirs
    radius: float = WIDEST  # m about the middle, beyond which buildings are left out
    layer: str | None = None  # of footprints, in a file of several layers
    street_layer: str | None = None
    crs: str | None = None  # projection of files that do not name theirs, as EPSG:...


@dataclass(frozen=True)
class City:
    """The scenario, and what is to be said of its making."""

    scenario: Scenario
    streets: list[Array]  # polylines [K, 2] m
    heights_from: Counter[str]  # "height", "levels", "default": footprints each
    left_out: Counter[str]  # why, and how many shapes
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
    frame = _read(footprints, wishes.layer, wishes.crs, ("Polygon", "MultiPolygon"), ("building", "footprint"))
    tags = [unpacked(row) for row in frame.drop(columns="geometry").to_dict("records")]
    buildings_only = [is_building(of_shape) for of_shape in tags]
    left_out["no building"] = buildings_only.count(False)
    frame, tags = frame[buildings_only], [of_shape for of_shape in tags if is_building(of_shape)]
    origin = _middle(frame, str(footprints))
    shapes = _to_local(frame, origin)
    buildings = tuple(_buildings(shapes, tags, wishes, heights_from, left_out))
    if not buildings:
        raise InputError(str(footprints), "buildings", dict(+left_out), "at least one building footprint")
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


# --- files to shapes ------------------------------------------------------------------------------------------------


def _read(path: str | Path, layer: str | None, crs: str | None, kinds: tuple[str, ...], hints: tuple[str, ...]) -> Any:
    """The features of the wanted `kinds` as a GeoDataFrame.

    They are those of the named layer, else of the first that has some; layers whose names hold one of the `hints` come
    first.
    """
    import geopandas
    import pyogrio

    if not Path(path).is_file():
        raise InputError("options", "file", str(path), "a file of footprints or streets that exists")
    try:
        layers = [str(name) for name, _ in pyogrio.list_layers(path)]
        if layer is not None and layer not in layers:
            raise InputError(str(path), "layer", layer, f"one of {', '.join(layers)}")
        layers.sort(key=lambda name: not any(hint in name.lower() for hint in hints))
        frames = (geopandas.read_file(path, layer=name) for name in ([layer] if layer else layers))
        frame = next((found for frame in frames if len(found := _of_kind(frame, kinds))), None)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            str(path), "format", Path(path).suffix, f"GeoJSON, GeoPackage or the like ({reason})"
        ) from None
    if frame is None:
        raise InputError(str(path), "layers", layers, f"a layer with features of type {' or '.join(kinds)}")
    if crs is not None:
        frame = frame.set_crs(_projection(crs), allow_override=True)
    if frame.crs is None:
        raise InputError(str(path), "projection", None, "a file that names it, or --crs EPSG:number")
    return frame


def _of_kind(frame: Any, kinds: tuple[str, ...]) -> Any:
    return frame[frame.geom_type.isin(kinds)] if "geometry" in frame else ()


def _projection(name: str) -> Any:
    import pyproj

    try:
        return pyproj.CRS.from_user_input(name)
    except pyproj.exceptions.CRSError:
        raise InputError("options", "crs", name, "a projection like EPSG:4326") from None


def _middle(frame: Any, source: str) -> Origin:
    """The middle of the shapes' extent."""
    import pyproj

    left, bottom, right, top = map(float, frame.total_bounds)
    try:
        to_geodetic = pyproj.Transformer.from_crs(frame.crs, "EPSG:4326", always_xy=True)
        west, south, east, north = to_geodetic.transform_bounds(left, bottom, right, top)
        if not all(map(math.isfinite, (west, south, east, north))):
            raise pyproj.exceptions.ProjError("not finite")
    except pyproj.exceptions.ProjError:
        raise InputError(
            source, "coordinates", [left, bottom, right, top], f"coordinates that {frame.crs.name} has"
        ) from None
    return Origin(latitude=round((south + north) / 2, 6), longitude=round((west + east) / 2, 6))


def _to_local(frame: Any, origin: Origin) -> list[Any]:
    """The features' shapes in metres east and north of the origin."""
    local = f"+proj=aeqd +lat_0={origin.latitude} +lon_0={origin.longitude} +datum=WGS84 +units=m"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cannot be projected comes out without coordinates, and is left out
        return list(frame.to_crs(local).geometry)


# --- shapes to buildings --------------------------------------------------------------------------------------------


def _buildings(
    shapes: Sequence[Any],
    tags: Sequence[dict[str, object]],
    wishes: Wishes,
    heights_from: Counter[str],
    left_out: Counter[str],
) -> Iterator[Building]:
    """Prisms over the shapes; counts where heights come from and what is left out."""
    import shapely

    for shape, of_shape in zip(shapes, tags, strict=True):
        if shape.is_empty or not np.isfinite(shape.bounds).all() or _distance(shape) > wishes.radius:
            left_out["too far away"] += 1
            continue
        top, source = height_of(of_shape, wishes.default_height)
        base = base_of(of_shape)
        base = base if base < top else 0.0
        prisms = [
            Building(footprint, round(top - base, 2), round(base, 2))
            for footprint in _footprints(shape if shape.is_valid else shapely.make_valid(shape))
        ]
        if prisms:
            heights_from[source] += 1
        else:
            left_out["no area"] += 1
        yield from prisms


def _distance(shape: Any) -> float:
    """Distance (m) of a shape's nearest corner from the origin, at least."""
    west, south, east, north = shape.bounds
    return math.hypot(max(west, -east, 0.0), max(south, -north, 0.0))


def _footprints(shape: Any) -> Iterator[tuple[Point, ...]]:
    """Simple polygons, corners to the centimetre, that together are the shape."""
    for polygon in _polygons(shape):
        for part in _without_holes(polygon.simplify(TOLERANCE)):
            points = [(round(x, 2) + 0.0, round(y, 2) + 0.0) for x, y in part.exterior.coords[:-1]]
            footprint = tuple(point for k, point in enumerate(points) if point != points[k - 1])
            if part.area >= SMALLEST and are_simple([footprint])[0]:
                yield footprint


def _polygons(shape: Any) -> list[Any]:
    """The polygons that a geometry of any kind holds."""
    if shape.geom_type == "Polygon":
        return [] if shape.is_empty else [shape]
    return [polygon for part in getattr(shape, "geoms", ()) for polygon in _polygons(part)]


def _without_holes(polygon: Any) -> list[Any]:
    """The polygon cut through its courtyards until no part encloses one: the same solid, of simple prisms."""
    import shapely

    if not polygon.interiors:
        return _polygons(polygon)
    cut = polygon.interiors[0].centroid.x
    west, south, east, north = polygon.bounds
    halves = (shapely.box(west, south, cut, north), shapely.box(cut, south, east, north))
    return [
        part for half in halves for piece in _polygons(polygon.intersection(half)) for part in _without_holes(piece)
    ]


def _lowest_flight(buildings: Sequence[Building]) -> float:
    """Altitude (m) of the lowest UAVs: clear of all roofs as far as the radio model goes up."""
    roof = max(building.base + building.height for building in buildings)
    clear = 10.0 * math.ceil((roof + CLEARANCE) / 10.0)
    return min(max(LOWEST_ALTITUDE, clear), HIGHEST_FLIGHT - 2 * LAYER)


# --- streets, RSUs, UAVs --------------------------------------------------------------------------------------------


def _streets(path: str | Path, wishes: Wishes, origin: Origin) -> list[Array]:
    """Polylines [K, 2] in local metres, cut where streets meet."""
    import shapely

    frame = _read(path, wishes.street_layer, wishes.crs, ("LineString", "MultiLineString"), ("street", "road"))
    if "highway" in frame:
        frame = frame[[bool(text(value)) for value in frame["highway"]]]
    area = shapely.Point(0, 0).buffer(wishes.radius)
    shapes = [shape for shape in _to_local(frame, origin) if np.isfinite(shape.bounds).all() and shape.intersects(area)]
    noded = shapely.unary_union(shapes)
    lines = [np.round(shapely.get_coordinates(line), 2) + 0.0 for line in getattr(noded, "geoms", [noded])]
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        raise InputError(str(path), "streets", f"{len(frame)} elsewhere", f"streets within {wishes.radius:g} m")
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
