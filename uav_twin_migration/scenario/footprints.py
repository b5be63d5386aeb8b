"""Features out of files as people have them: shapes in a plane, the tags that matter, the projection.

GDAL reads most formats; GeoParquet and CityJSON, which GDAL's wheels do not read, have readers of their own. One bad
feature never costs the others: a shape that is broken is left out and counted, with the reason.
"""

from __future__ import annotations

import json
import struct
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario import cityjson, tags
from uav_twin_migration.scenario.archives import opened

POLYGONS = ("Polygon", "MultiPolygon")
LINES = ("LineString", "MultiLineString")
LINES_OF_JSON = (".geojsonl", ".geojsons", ".geojsonseq", ".ndjson", ".jsonl")
KINDS = ("building", "building:part", "highway")  # tags that say what a feature is
OSM_INDEX = "OSM_USE_CUSTOM_INDEXING"
FORMATS = "GeoJSON, GeoPackage, shapefile, FlatGeobuf, GeoParquet, .osm.pbf, CityJSON, KML, FileGDB or the like"


@dataclass
class Features:
    """The features of one layer that have the wanted kind of shape."""

    shapes: NDArray[Any]  # of shapely, plane
    tags: list[dict[str, object]]  # one a shape, without those that are missing
    crs: Any  # pyproj.CRS; None where the file names none
    left_out: Counter[str] = field(default_factory=Counter)  # why, and how many features

    def __len__(self) -> int:
        return len(self.tags)


@dataclass(frozen=True)
class Layer:
    """A layer of a file."""

    file: Path
    name: str  # within its file
    title: str  # that people see: of a file that is not alone, with the file's name

    def read(self, kinds: Sequence[str]) -> Features:
        return (_reader(self.file) or _read_by_gdal)(self.file, self.name, kinds)


def read(path: str | Path, layer: str | None, crs: str | None, kinds: Sequence[str], hints: Sequence[str]) -> Features:
    """The features of the wanted `kinds` in the named layer, else in the first that has some.

    Layers whose names hold one of the `hints` come first. `crs` is taken where the file names no projection, and where
    it says degrees by its format, as GeoJSON does, and its coordinates are none.

    Raises:
        InputError: a file that cannot be read, that names no projection, or in which there is nothing of that kind.
    """
    with opened(Path(path)) as files:
        layers = [found for name, file in files for found in _layers(str(path), name, file, alone=len(files) == 1)]
        if layer is not None:
            layers = _named(str(path), layers, layer)
        layers.sort(key=lambda one: not any(hint in one.title.lower() for hint in hints))
        broken: Counter[str] = Counter()
        features = None
        for one in layers:
            features = _readable(str(path), one, kinds)
            if len(features):
                break
            broken += features.left_out
    if features is None or not len(features):
        found = f"{', '.join(one.title for one in layers[:8]) or 'no layer'}" + (
            f" ({in_words(broken)})" if broken else ""
        )
        raise InputError(str(path), "layers", found, f"a layer with features of type {' or '.join(kinds)}")
    return _with_projection(str(path), features, crs)


def in_words(left_out: Mapping[str, int]) -> str:
    """Reasons with their numbers, in words."""
    return ", ".join(f"{count} ({reason})" for reason, count in left_out.items())


def _layers(source: str, name: str, file: Path, alone: bool) -> list[Layer]:
    import pyogrio

    if _reader(file) is not None:
        return [Layer(file, "", Path(name).stem)]
    try:
        names = [str(found) for found, _ in pyogrio.list_layers(file)]
    except (pyogrio.errors.DataSourceError, ValueError) as error:
        if not alone:
            return []  # in a folder or an archive there may be anything
        raise InputError(source, "format", file.suffix or name, f"{FORMATS} ({_first_line(error)})") from None
    stem = Path(name).stem
    # most formats have one layer only, called like the file or by the driver
    return [Layer(file, found, found if alone or len(names) > 1 else stem) for found in names]


def _named(source: str, layers: list[Layer], name: str) -> list[Layer]:
    found = [one for one in layers if name in (one.title, one.name)]
    if not found:
        raise InputError(source, "layer", name, f"one of {', '.join(one.title for one in layers)}")
    return found


def _readable(source: str, layer: Layer, kinds: Sequence[str], again: bool = True) -> Features:
    import pyogrio

    try:
        return layer.read(kinds)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError, OSError) as error:
        if again and OSM_INDEX in str(error):  # of files whose nodes are in no order, which the quick index needs
            pyogrio.set_gdal_config_options({OSM_INDEX: False})
            return _readable(source, layer, kinds, again=False)
        expected = f"{FORMATS} ({_first_line(error)})"
        raise InputError(source, "format", layer.file.suffix or layer.title, expected) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


# --- projections ----------------------------------------------------------------------------------------------------


def _with_projection(source: str, features: Features, crs: str | None) -> Features:
    """The features with the projection that their coordinates are of."""
    named = None if crs is None else projection(crs)
    if features.crs is None:
        features.crs = named
    elif features.crs.is_geographic and not _are_degrees(features.shapes):
        if named is None or named.is_geographic:
            raise InputError(
                source,
                "coordinates",
                _typical(features.shapes),
                "degrees; name their projection with --crs EPSG:number",
            )
        features.crs = named
    if features.crs is None:
        raise InputError(source, "projection", None, "a file that names it, or --crs EPSG:number")
    return features


def projection(name: str) -> Any:
    """A projection by its name. Raises InputError where there is none."""
    import pyproj

    try:
        return pyproj.CRS.from_user_input(name).to_2d()
    except pyproj.exceptions.CRSError:
        raise InputError("options", "crs", name, "a projection like EPSG:4326") from None


def _typical(shapes: NDArray[Any]) -> list[float]:
    import shapely

    x, y = np.median(shapely.bounds(shapes)[:, :2], axis=0)
    return [round(float(x), 1), round(float(y), 1)]


def _are_degrees(shapes: NDArray[Any]) -> bool:
    """Whether most shapes lie where longitude and latitude may."""
    import shapely

    west, south, east, north = shapely.bounds(shapes).T
    fits = (west >= -360) & (east <= 360) & (south >= -90) & (north <= 90)
    return bool(2 * np.count_nonzero(fits) >= len(fits))


def _known(crs: object) -> Any:
    import pyproj

    if not crs:
        return None
    try:
        return pyproj.CRS.from_user_input(crs).to_2d()
    except pyproj.exceptions.CRSError:
        return None


# --- shapes ---------------------------------------------------------------------------------------------------------


def _sorted_out(
    features: NDArray[Any], rows: Sequence[dict[str, object]], crs: Any, kinds: Sequence[str], left_out: Counter[str]
) -> Features:
    """Of features (WKB each, or None) those of the wanted kinds, as plane shapes; counts what is broken."""
    import shapely

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = shapely.from_wkb([_flat_solid(one) for one in features], on_invalid="fix")
    exists = np.array([one is not None for one in features], dtype=bool)
    missing = shapely.is_missing(shapes)
    left_out["without a shape"] += int(np.count_nonzero(~exists))
    left_out["with a broken shape"] += int(np.count_nonzero(exists & missing))
    shapes = shapely.force_2d(shapes)
    coordinates, owner = shapely.get_coordinates(shapes, return_index=True)
    finite = np.ones(len(shapes), dtype=bool)
    finite[owner[~np.isfinite(coordinates).all(axis=1)]] = False
    wanted = [getattr(shapely.GeometryType, kind.upper()) for kind in kinds]
    group = shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION
    shapes[group] = [_of_kind(shape, kinds) for shape in shapes[group]]
    of_kind = np.isin(shapely.get_type_id(shapes), wanted)
    empty = of_kind & shapely.is_empty(shapes)
    left_out["with coordinates that are no numbers"] += int(np.count_nonzero(of_kind & ~finite))
    left_out["with an empty shape"] += int(np.count_nonzero(empty & finite))
    chosen = np.flatnonzero(of_kind & finite & ~empty)
    return Features(shapes[chosen], [rows[index] for index in chosen.tolist()], crs, +left_out)


def _of_kind(shape: Any, kinds: Sequence[str]) -> Any:
    """The parts of a collection that are of the wanted kinds, as one shape."""
    import shapely

    parts = [part for one in shapely.get_parts(shape) for part in shapely.get_parts(one) if part.geom_type in kinds]
    return shapely.MultiPolygon(parts) if "Polygon" in kinds else shapely.MultiLineString(parts)


def _flat_solid(wkb: bytes | None) -> bytes | None:
    """A PolyhedralSurface as the MultiPolygon that has the same bytes but for the type: GEOS does not know solids."""
    if wkb is None or len(wkb) < 5:
        return None
    order = "<" if wkb[0] == 1 else ">"
    (kind,) = struct.unpack_from(order + "I", wkb, 1)
    flags, base = kind & 0xF0000000, kind & 0x0FFFFFFF
    if base % 1000 != 15:
        return wkb
    return wkb[:1] + struct.pack(order + "I", flags | (base - 9)) + wkb[5:]


def _rows(names: Sequence[str], columns: Sequence[Any], count: int) -> list[dict[str, object]]:
    """One mapping a feature, without values that are missing."""
    rows: list[dict[str, object]] = [{} for _ in range(count)]
    for name, column in zip(names, columns, strict=True):
        key = name.lower()
        for row, value in zip(rows, column.tolist() if hasattr(column, "tolist") else column, strict=True):
            if isinstance(value, np.ndarray):
                row[key] = value.tolist()
            elif value is not None and value == value:  # not NaN
                row[key] = value
            elif key in KINDS:
                row[key] = None  # the file knows the tag, and this feature has none
    return rows


# --- readers of formats ---------------------------------------------------------------------------------------------


def _read_by_gdal(file: Path, layer: str, kinds: Sequence[str]) -> Features:
    import pyogrio.raw

    options = {"GEOM_POSSIBLE_NAMES": "geometry,wkt,geom,the_geom"} if file.suffix.lower() == ".csv" else {}
    left_out: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of single features, which are counted below
        fields = [str(name) for name in pyogrio.raw.read(file, layer=layer, max_features=0, **options)[0]["fields"]]
        wanted = [name for name in fields if name.lower() in tags.READ]
        meta, _, shapes, columns = pyogrio.raw.read(file, layer=layer, columns=wanted, **options)
    if shapes is None:
        return Features(np.empty(0, dtype=object), [], None)
    if file.suffix.lower() in LINES_OF_JSON:
        left_out["on a line that cannot be read"] += _written_features(file) - len(shapes)
    crs = _known(meta["crs"])
    if crs is None and file.suffix.lower() == ".csv":
        crs = _known("OGC:CRS84")  # CSV cannot name it; who writes WKT there writes degrees
    rows = _rows([str(name) for name in meta["fields"]], columns, len(shapes))
    return _sorted_out(shapes, rows, crs, kinds, left_out)


def _written_features(file: Path) -> int:
    """How many features a file of GeoJSON lines means to hold."""
    with open(file, "rb") as lines:
        separated = lines.read(1) == b"\x1e"  # RFC 8142: a record may then go over several lines
        lines.seek(0)
        return sum(line.count(b"\x1e") if separated else bool(line.strip()) for line in lines)


def _read_parquet(file: Path, layer: str, kinds: Sequence[str]) -> Features:
    """GeoParquet (geoparquet.org), 1.0 and 1.1 with WKB, as Overture has it."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(file)
        about = json.loads((table.schema_arrow.metadata or {}).get(b"geo", b"{}"))
    except (pyarrow.ArrowException, ValueError) as error:
        raise ValueError(_first_line(error)) from None
    column = str(about.get("primary_column", "geometry"))
    described = about.get("columns", {}).get(column, {})
    names = table.schema_arrow.names
    if column not in names or described.get("encoding", "WKB") != "WKB":
        raise ValueError(f"no column {column!r} of geometries as WKB")
    plain = [name for name in names if name.lower() in tags.READ and not pyarrow.types.is_nested(_type(table, name))]
    read = table.read(columns=[*plain, column])
    shapes = np.array([one.as_py() for one in read.column(column)], dtype=object)
    rows = _rows(plain, [read.column(name).to_pylist() for name in plain], len(shapes))
    crs = described.get("crs", "OGC:CRS84")
    return _sorted_out(shapes, rows, _known(crs), kinds, Counter())


def _type(table: Any, name: str) -> Any:
    return table.schema_arrow.field(name).type


def _read_cityjson(file: Path, layer: str, kinds: Sequence[str]) -> Features:
    found = cityjson.read(file)
    return _sorted_out(np.array(found.shapes, dtype=object), found.tags, _known(found.crs), kinds, Counter())


def _reader(file: Path) -> Callable[[Path, str, Sequence[str]], Features] | None:
    """What reads a file that GDAL's wheels do not read."""
    if file.suffix.lower() in (".parquet", ".geoparquet"):
        return _read_parquet
    return _read_cityjson if cityjson.is_cityjson(file) else None
