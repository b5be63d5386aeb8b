"""Recorded flights out of files with time stamps: GPX, KML (tracks), CSV, PX4's logs; they are flown as recorded.

`track: {file: flight.gpx}` in a scenario stands for the fixes in a file beside it: seconds since the first, metres east
and north of the origin, metres above ground. Heights above the sea, or the ellipsoid, count from the lowest fix of the
flight, which is taken to stand on the ground; a file without heights is flown at the UAV's `altitude`.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.scenario.model import FARTHEST, HIGHEST, Origin
from uav_twin_migration.scenario.routes import (
    EASTS,
    LATITUDES,
    LONGITUDES,
    NORTHS,
    UnreadableError,
    kml_text,
    named,
    placed,
    read_with,
    text_of,
    ulog_positions,
    waypoints,
    xml,
)
from uav_twin_migration.scenario.settings import Refusal

Array = NDArray[np.float64]

MOST_FIXES = 100_000
CLOSEST = 0.5  # s between two fixes that are kept
TIMES = ("time", "t", "time_s", "seconds", "timestamp", "datetime")
HEIGHTS = ("up", "z", "height", "up_m", "z_m", "relative_altitude")  # above ground
ALTITUDES = ("altitude", "alt", "ele", "elevation", "altitude_m")  # above the sea
_INSTANT = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?")


class Flown(NamedTuple):
    """What a file tells: seconds [F], places [F, 2] (degrees, or metres where `is_metric`), heights [F] or None."""

    seconds: Array
    places: Array
    heights: Array | None  # m
    is_metric: bool = False
    above_ground: bool = False


def with_tracks(raw: object, folder: Path | None, read_origin: Callable[[Any], Origin]) -> object:
    """A scenario's plain values with the fixes of the files that its tracks name, and routes along them.

    A UAV that flies a track need not have a route or an altitude. Raises Refusal.
    """
    uavs = raw.get("uavs") if isinstance(raw, dict) else None
    for index, uav in enumerate(uavs if isinstance(uavs, list) else []):
        if not isinstance(uav, dict) or not uav.get("track"):
            continue
        assert isinstance(raw, dict)
        try:
            if isinstance(uav["track"], dict):
                uav["track"] = _of_file(uav, folder, read_origin, raw.get("origin"))
            _along(uav)
        except Refusal as refusal:
            raise refusal.under("uavs", index, "track") from None
    return raw


def _along(uav: dict[str, Any]) -> None:
    """Fill in what follows from the track: a route along it, flown once, and the height at which most of it lies."""
    try:
        fixes = np.array(uav["track"], dtype=float)
        points, heights = fixes[:, 1:3], fixes[:, 3]
    except (ValueError, TypeError, IndexError):
        return  # the track's own reader says what is wrong
    if "route" not in uav and np.isfinite(fixes).all():
        uav["route"] = [list(point) for point in waypoints(points)]
        uav.setdefault("loop", False)
    if "altitude" not in uav and np.isfinite(fixes).all():
        uav["altitude"] = min(max(float(np.median(heights)), 0.1), HIGHEST)


def _of_file(uav: Mapping[str, Any], folder: Path | None, read_origin: Any, raw_origin: object) -> list[list[float]]:
    track = uav["track"]
    if set(track) != {"file"} or not isinstance(track["file"], str):
        raise Refusal(dict(track), "a list of fixes [s, east, north, up], or {file: NAME}")
    if folder is None:
        raise Refusal(track["file"], "fixes, where the scenario is no file that others can lie beside", "file")
    try:
        origin = read_origin(raw_origin)
        level = float(uav.get("altitude", math.nan))
    except (Refusal, TypeError, ValueError):
        raise Refusal(track["file"], "an origin of the scenario, and an altitude that is a number", "file") from None
    try:
        fixes: list[list[float]] = read_track(folder / track["file"], origin, level).tolist()
        return fixes
    except UnreadableError as error:
        raise Refusal(track["file"], str(error), "file") from None


def read_track(path: Path, origin: Origin | None, level: float = math.nan, flat: bool = False) -> Array:
    """A flight's fixes [F, 4]: seconds since the first, metres east, north and above ground.

    origin: of the map; None for one of its own, where the flight begins.
    level: m, at which a flight without heights is flown; NaN: it must have them.
    flat: whether it is flown at that height whatever the file says.

    Raises:
        UnreadableError: the file is none of its kind, or tells no times.
    """
    found = read_with(READERS, path, "a flight with time stamps")
    if flat:
        found = found._replace(heights=None)
    if found.is_metric:
        return _fixes(found, found.places, level)
    places = [(float(latitude), float(longitude)) for latitude, longitude in found.places]
    if not places:
        raise UnreadableError("fixes with time stamps and places")
    return _fixes(found, placed(places, origin or Origin(*places[0])), level)


def _fixes(found: Flown, points: Array, level: float) -> Array:
    """Fixes in order, none closer in time than `CLOSEST`."""
    if len(found.seconds) < 2:
        raise UnreadableError("at least two fixes with time stamps and places")
    heights = found.heights
    if heights is None or (not found.above_ground and not heights.any()):
        if math.isnan(level):
            raise UnreadableError("heights in the file, or an altitude of the UAV")
        heights = np.full(len(points), level)
    elif not found.above_ground:
        heights = heights - np.nanmin(heights)
    table = np.column_stack([found.seconds, points, heights])
    table = table[np.isfinite(table).all(axis=1)]
    table = table[np.argsort(table[:, 0], kind="stable")]
    kept: list[Array] = []
    for row in table:
        if not kept or row[0] - kept[-1][0] >= CLOSEST - 1e-6:
            kept.append(row)
    if len(kept) < 2:
        raise UnreadableError("at least two fixes with time stamps and places")
    if len(kept) > MOST_FIXES:
        raise UnreadableError(f"at most {MOST_FIXES:,} fixes, not {len(kept):,}")
    fixes = np.array(kept)
    fixes[:, 0] -= fixes[0, 0]
    if np.abs(fixes[:, 1:3]).max() > FARTHEST:
        raise UnreadableError(f"a flight within {FARTHEST / 1000:g} km of the scenario's origin")
    if not 0.0 <= fixes[:, 3].min() <= fixes[:, 3].max() <= HIGHEST:
        raise UnreadableError(f"heights from 0 to {HIGHEST:g} m above ground, not up to {fixes[:, 3].max():.0f}")
    return np.round(fixes, 2) + 0.0


# --- formats --------------------------------------------------------------------------------------------------------


def instant(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time, or a number: of seconds, or of ms or us where it is as large as that."""
    found = _INSTANT.fullmatch(text.strip())
    if found is None:
        value = float(text)
        return value / 1e6 if value > 1e14 else value / 1e3 if value > 1e11 else value
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    whole = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()
    zone = (found[8] or "Z").replace(":", "")
    ahead = 0 if zone == "Z" else int(zone[0] + "1") * (3600 * int(zone[1:3]) + 60 * int(zone[3:]))
    return whole + float(found[7] or 0.0) - ahead


def _gpx(path: Path) -> Flown:
    """Points with a time, of the track that has most of them (topografix.com/GPX/1/1)."""
    tracks = [[one for one in named(each.iter(), "trkpt") if _child(one, "time")] for each in _tracks(path)]
    points = max(tracks, key=len, default=[])
    rows = [(_child(one, "time"), float(one.get("lat")), float(one.get("lon")), _child(one, "ele")) for one in points]
    heights = np.array([float(ele or "nan") for *_, ele in rows])
    known = heights if np.isfinite(heights).any() else None
    places = np.array([row[1:3] for row in rows]).reshape(-1, 2)
    return Flown(np.array([instant(row[0]) for row in rows]), places, known)


def _tracks(path: Path) -> list[Any]:
    return named(xml(text_of(path)), "trk")


def _child(element: Any, name: str) -> str:
    return next(((one.text or "").strip() for one in named(element, name)), "")


def _kml(path: Path) -> Flown:
    """The first gx:Track (developers.google.com/kml, "Touring"): a `when` and a `coord` each."""
    track = next(iter(named(xml(kml_text(path)), "Track")), None)
    if track is None:
        raise UnreadableError("a gx:Track, which has time stamps")
    seconds = [instant(one.text or "") for one in named(track.iter(), "when")]
    rows = np.array([[float(word) for word in (one.text or "").split()[:3]] for one in named(track.iter(), "coord")])
    relative = any((one.text or "").strip() == "relativeToGround" for one in named(track.iter(), "altitudeMode"))
    return Flown(np.array(seconds), rows[:, 1::-1], rows[:, 2], above_ground=relative)


def _csv(path: Path) -> Flown:
    """Columns of times, and of latitude and longitude or east and north, and of heights if there are."""
    text = text_of(path)
    header = text.partition("\n")[0]
    rows = list(csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=header.count)))
    names = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}

    def column(some: Iterable[str]) -> list[str] | None:
        name = next((names[one] for one in some if one in names), None)
        return None if name is None else [row[name] for row in rows]

    times = column(TIMES)
    if times is None:
        raise UnreadableError(f"a column of times, named {', '.join(TIMES[:3])} or {TIMES[-2]}")
    metric = column(EASTS) is not None
    first, second = (column(EASTS), column(NORTHS)) if metric else (column(LATITUDES), column(LONGITUDES))
    if first is None or second is None:
        raise UnreadableError("columns of latitude and longitude, or of east and north")
    places = np.column_stack([np.array(first, dtype=float), np.array(second, dtype=float)])
    above, over_sea = column(HEIGHTS), column(ALTITUDES)
    heights = above or over_sea
    seconds = np.array([instant(one) for one in times])
    known = None if heights is None else np.array(heights, dtype=float)
    return Flown(seconds, places, known, metric, above is not None)


def _ulog(path: Path) -> Flown:
    """Where a PX4 drone flew, by its estimator, else its receiver."""
    seconds, places, heights = ulog_positions(path)
    return Flown(seconds, places, heights)


READERS: dict[str, Callable[[Path], Flown]] = {".gpx": _gpx, ".kml": _kml, ".kmz": _kml, ".csv": _csv, ".ulg": _ulog}
