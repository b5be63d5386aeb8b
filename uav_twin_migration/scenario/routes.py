"""Routes out of files as people have them: QGroundControl plans, GPX, KML, CSV, Mission Planner's lists, PX4's logs.

`route: {file: mission.plan}` in a scenario stands for the waypoints in a file beside it. Degrees are placed on the map
by the scenario's origin; heights and speeds in the file do not count, the UAV's own do.
"""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

import numpy as np

from uav_twin_migration.scenario.geometry import straightened
from uav_twin_migration.scenario.model import FARTHEST, Origin, Point
from uav_twin_migration.scenario.settings import Refusal

STRAIGHT = 3.0  # m, by which a track's points may be left out: as much as a UAV cuts a corner
LARGEST = 64 << 20  # bytes of a text
FLOWN_TO = {16, 17, 18, 19, 21, 22, 31, 82, 84, 85}  # MAVLink commands that lead to their place (MAV_CMD_NAV_...)
RETURN = 20  # MAV_CMD_NAV_RETURN_TO_LAUNCH: what follows is not flown

LATITUDES = ("latitude", "lat", "latitude_deg", "y_lat")
LONGITUDES = ("longitude", "lon", "lng", "long", "longitude_deg", "x_lon")
EASTS, NORTHS = ("east", "x", "east_m", "x_m"), ("north", "y", "north_m", "y_m")

Read = TypeVar("Read")
Places = list[tuple[float, float]]  # latitude and longitude, degrees


class UnreadableError(Exception):
    """A file that is no route of its kind; the message says what was expected."""


def with_routes(raw: object, folder: Path | None, read_origin: Callable[[Any], Origin]) -> object:
    """A scenario's plain values with the waypoints of the files that its routes name. Raises Refusal."""
    uavs = raw.get("uavs") if isinstance(raw, dict) else None
    if not isinstance(uavs, list):
        return raw
    for index, uav in enumerate(uavs):
        route = uav.get("route") if isinstance(uav, dict) else None
        if isinstance(route, dict):
            try:
                assert isinstance(raw, dict)
                uav["route"] = _of_file(route, folder, read_origin, raw.get("origin"))
            except Refusal as refusal:
                raise refusal.under("uavs", index, "route") from None
    return raw


def _of_file(route: Mapping[str, Any], folder: Path | None, read_origin: Any, raw_origin: object) -> list[list[float]]:
    if set(route) != {"file"} or not isinstance(route["file"], str):
        raise Refusal(dict(route), "a list of waypoints [east, north], or {file: NAME}")
    if folder is None:
        raise Refusal(route["file"], "waypoints, where the scenario is no file that others can lie beside", "file")
    try:
        origin = read_origin(raw_origin)
    except Refusal:
        raise Refusal(route["file"], "an origin of the scenario, to place it on the map", "file") from None
    try:
        return [list(point) for point in read_route(folder / route["file"], origin)]
    except UnreadableError as error:
        raise Refusal(route["file"], str(error), "file") from None


def read_route(path: Path, origin: Origin) -> tuple[Point, ...]:
    """A route's waypoints in metres east and north of the origin. Raises UnreadableError."""
    found = read_with(READERS, path, "a route")
    points = found if isinstance(found, np.ndarray) else placed(found, origin)
    return waypoints(points)


def read_with(readers: Mapping[str, Callable[[Path], Read]], path: Path, what: str) -> Read:
    """What the reader for a file's ending makes of it. what: it should hold. Raises UnreadableError."""
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UnreadableError(f"a file of {what} whose name ends in {', '.join(readers)}")
    try:
        if not path.is_file():
            raise UnreadableError("a file that exists, beside the scenario")
        return reader(path)
    except (UnreadableError, ModuleNotFoundError):
        raise
    except OSError as error:
        raise UnreadableError(f"a readable file ({error.strerror or error})") from None
    except Exception as error:  # whatever the damage leads to
        reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise UnreadableError(f"a {path.suffix} file of {what} ({reason})") from None


def placed(places: Places, origin: Origin) -> np.ndarray[Any, Any]:
    """Degrees to metres on the scenario's map."""
    from uav_twin_migration.vehicle.frames import TangentPlane

    plane = TangentPlane(origin)
    for latitude, longitude in places:
        if not (abs(latitude) <= 90 and abs(longitude) <= 360):
            raise UnreadableError(f"latitude and longitude in degrees, not {latitude:g} and {longitude:g}")
    return np.array([plane.from_geodetic(lat, lon, origin.altitude)[:2] for lat, lon in places]).reshape(-1, 2)


def waypoints(points: np.ndarray[Any, Any]) -> tuple[Point, ...]:
    """Points [P, 2] (m), without those near the line of the others. Raises UnreadableError."""
    if not len(points) or not np.isfinite(points).all():
        raise UnreadableError("a route with at least one waypoint, whose coordinates are numbers")
    away = float(np.abs(points).max())
    if away > FARTHEST:
        raise UnreadableError(
            f"a route within {FARTHEST / 1000:g} km of the scenario's origin, not {away / 1000:,.0f} km"
        )
    rounded = [(round(x, 1) + 0.0, round(y, 1) + 0.0) for x, y in straightened(points, STRAIGHT).tolist()]
    return tuple(point for k, point in enumerate(rounded) if not k or point != rounded[k - 1])


# --- formats --------------------------------------------------------------------------------------------------------


def text_of(path: Path) -> str:
    """A file's text. Raises OSError, UnicodeDecodeError, UnreadableError where it is too large."""
    if path.stat().st_size > LARGEST:
        raise UnreadableError(f"a file of at most {LARGEST >> 20} MiB")
    return path.read_text(encoding="utf-8-sig")


def _plan(path: Path) -> Places:
    """QGroundControl's plan (docs.qgroundcontrol.com, "Plan File Format"), with the items of surveys."""
    document = json.loads(text_of(path))
    return list(_flown(_plan_items(document["mission"]["items"])))


def _plan_items(items: Iterable[Any]) -> Iterator[tuple[int, Any, Any]]:
    for item in items:
        inner = item.get("TransectStyleComplexItem", {}).get("Items")
        if inner is not None:
            yield from _plan_items(inner)
        elif item.get("type") == "SimpleItem":
            latitude, longitude = (item.get("params") or item["coordinate"])[-3:-1]
            yield int(item["command"]), latitude, longitude
        else:
            kind = item.get("complexItemType", item.get("type"))
            raise UnreadableError(
                f"simple items and surveys with their transects, not {kind!r}: save the plan as waypoints"
            )


def _flown(items: Iterable[tuple[int, Any, Any]]) -> Iterator[tuple[float, float]]:
    """The places of a mission's commands; a take-off or landing without a place is where the UAV is."""
    for command, latitude, longitude in items:
        if command == RETURN:
            return
        if command in FLOWN_TO and latitude is not None and longitude is not None and (latitude or longitude):
            yield float(latitude), float(longitude)


def _mission_planner(path: Path) -> Places:
    """QGC WPL 110: a line an item, tabs between; the first is home."""
    first, *lines = text_of(path).splitlines()
    if not first.startswith("QGC WPL"):
        raise UnreadableError("a first line that begins with QGC WPL")
    words = [line.split() for line in lines if line.strip()]
    items = [(int(one[3]), float(one[8]), float(one[9])) for one in words if int(one[0]) > 0]
    return list(_flown(items))


def xml(text: str) -> list[Any]:
    """All elements of an XML text in order; none is read that defines entities of its own."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UnreadableError("XML without a document type of its own")
    try:
        return list(ElementTree.fromstring(text).iter())
    except ElementTree.ParseError as error:
        raise UnreadableError(f"XML ({error})") from None


def named(elements: Iterable[Any], name: str) -> list[Any]:
    """Those of a name, whatever their namespace."""
    return [one for one in elements if isinstance(one.tag, str) and one.tag.rpartition("}")[2] == name]


def _gpx(path: Path) -> Places:
    """A route, else a track, else waypoints (topografix.com/GPX/1/1): the first of its kind."""
    elements = xml(text_of(path))
    for outer, inner in (("rte", "rtept"), ("trk", "trkpt")):
        for one in named(elements, outer)[:1]:
            return [(float(point.get("lat")), float(point.get("lon"))) for point in named(one.iter(), inner)]
    return [(float(point.get("lat")), float(point.get("lon"))) for point in named(elements, "wpt")]


def _kml(path: Path) -> Places:
    """The first line or track, else all points in their order (OGC KML 2.2)."""
    elements = xml(kml_text(path))
    for track in named(elements, "Track")[:1]:
        texts = [(one.text or "").split() for one in named(track.iter(), "coord")]
        return [(float(words[1]), float(words[0])) for words in texts]
    for line in named(elements, "LineString")[:1]:
        return _coordinates(line)
    return [place for point in named(elements, "Point") for place in _coordinates(point)]


def _coordinates(element: Any) -> Places:
    words = [word.split(",") for one in named(element.iter(), "coordinates") for word in (one.text or "").split()]
    return [(float(word[1]), float(word[0])) for word in words]


def kml_text(path: Path) -> str:
    """The text of a KML file, zipped or not."""
    return _kmz(path) if path.suffix.lower() == ".kmz" else text_of(path)


def _kmz(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.lower().endswith(".kml"))
        with archive.open(name) as packed:
            data = packed.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise UnreadableError(f"a file of at most {LARGEST >> 20} MiB unpacked")
    return data.decode("utf-8-sig")


def _csv(path: Path) -> Places | np.ndarray[Any, Any]:
    """Columns of latitude and longitude, or of metres east and north, by the names in the first line."""
    text = text_of(path)
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    rows = list(csv.DictReader(io.StringIO(text), delimiter=separator))
    names = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}
    for pairs, degrees in (((LATITUDES, LONGITUDES), True), ((EASTS, NORTHS), False)):
        found = [next((names[name] for name in some if name in names), None) for some in pairs]
        if None not in found:
            values = [(float(row[str(found[0])]), float(row[str(found[1])])) for row in rows]
            return values if degrees else np.array(values)
    raise UnreadableError("a first line that names latitude and longitude, or east and north")


def _ulog(path: Path) -> Places:
    """Where a drone flew, a place a second."""
    seconds, places, _ = ulog_positions(path)
    steps = np.flatnonzero(np.diff(np.floor(seconds), prepend=-math.inf))
    return [(float(lat), float(lon)) for lat, lon in places[steps]]


def ulog_positions(path: Path) -> tuple[Any, Any, Any]:
    """Seconds [F], latitude and longitude [F, 2] (degrees) and metres above the sea [F] of a PX4 log's fixes.

    By its estimator, else its receiver (docs.px4.io, "ULog File Format").
    """
    from pyulog import ULog

    try:
        log = ULog(str(path))
    except Exception as error:  # bad bytes raise whatever struct, numpy or the library raises
        raise ValueError(str(error)) from None
    known = {data.name: data.data for data in log.data_list if data.multi_id == 0}
    for name, latitude, longitude, altitude, unit, metre in (
        ("vehicle_global_position", "lat", "lon", "alt", 1.0, 1.0),
        ("vehicle_gps_position", "latitude_deg", "longitude_deg", "altitude_msl_m", 1.0, 1.0),
        ("vehicle_gps_position", "lat", "lon", "alt", 1e-7, 1e-3),
        ("sensor_gps", "latitude_deg", "longitude_deg", "altitude_msl_m", 1.0, 1.0),
    ):
        if name in known and latitude in known[name]:
            places = np.column_stack([known[name][latitude], known[name][longitude]]) * unit
            good = np.isfinite(places).all(axis=1) & places.any(axis=1)
            heights = known[name].get(altitude, np.zeros(len(places))) * metre
            return known[name]["timestamp"][good] / 1e6, places[good], heights[good]
    raise UnreadableError("a log with positions: vehicle_global_position or vehicle_gps_position")


READERS: dict[str, Callable[[Path], Any]] = {
    **{".plan": _plan, ".waypoints": _mission_planner, ".gpx": _gpx, ".kml": _kml, ".kmz": _kml},
    **{".csv": _csv, ".ulg": _ulog},
}
