"""Files of buildings as people have them: one bad feature costs itself alone, and is counted with the reason."""

from __future__ import annotations

import bz2
import gzip
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.city import City, import_city
from uav_twin_migration.scenario.load import dump, loads
from uav_twin_migration.scenario.model import Origin
from uav_twin_migration.scenario.wishes import Wishes

geopandas = pytest.importorskip("geopandas")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")

LONGITUDE, LATITUDE = 14.4, 50.1
STEP = 0.0006  # degrees from building to building


def ring(column: float, row: float, size: float = 0.0003, *height: float) -> list[list[float]]:
    """A square of degrees, closed; with `height` as the corners' third coordinate."""
    west, south = LONGITUDE + STEP * column, LATITUDE + STEP * row
    corners = [(0.0, 0.0), (size, 0.0), (size, size), (0.0, size), (0.0, 0.0)]
    return [[west + x, south + y, *height] for x, y in corners]


def feature(geometry: object, **tags: object) -> dict[str, object]:
    return {"type": "Feature", "properties": {"building": "yes", **tags}, "geometry": geometry}


def polygon(*rings: object) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": list(rings)}


def town(**tags: object) -> list[dict[str, object]]:
    """Nine good buildings."""
    return [feature(polygon(ring(column, row)), **tags) for column in range(3) for row in range(3)]


def written(path: Path, features: list[dict[str, object]], **members: object) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", **members, "features": features}), encoding="utf-8")
    return path


def imported(path: Path, **wishes: Any) -> City:
    city = import_city(path, None, Wishes(rsus=1, uavs=1, **wishes))
    assert loads(dump(city.scenario)) == city.scenario
    return city


STRAYS: dict[str, tuple[object, dict[str, Any], str]] = {
    "one point": (polygon([[14.4, 50.1]]), {}, "with a broken shape"),
    "empty": (polygon(), {}, "with an empty shape"),
    "no geometry": (None, {}, "without a shape"),
    "null island": (polygon([[0, 0], [3e-4, 0], [3e-4, 3e-4], [0, 0]]), {}, "too far away"),
    "beyond the antimeridian": (polygon([[190, 50], [190.1, 50], [190.1, 50.1], [190, 50]]), {}, "too far away"),
    "no latitude": (polygon([[14, 500], [14.1, 500], [14.1, 500.1], [14, 500]]), {}, "too far away"),
    "flat": (polygon(ring(5, 5)), {"height": 0.004}, "lower than 0.1 m"),
    "thin": (polygon(ring(5, 5)), {"height": 20, "min_height": 19.998}, "lower than 0.1 m"),
    "tiny": (polygon(ring(5, 5, 1e-6)), {}, "no area"),
    "a line back and forth": (polygon([[14.4, 50.1], [14.41, 50.1], [14.4, 50.1], [14.4, 50.1]]), {}, "no area"),
    "a country": (polygon([[5, 45], [25, 45], [25, 55], [5, 55], [5, 45]]), {}, "too large"),
    "a tunnel": (polygon(ring(5, 5)), {"layer": "-1"}, "underground"),
    "a cellar": (polygon(ring(5, 5)), {"location": "underground"}, "underground"),
    "Overture's cellar": (polygon(ring(5, 5)), {"is_underground": True}, "underground"),
    "no building": (polygon(ring(5, 5)), {"building": "no"}, "no building"),
}


@pytest.mark.parametrize("name", STRAYS)
def test_one_bad_feature_costs_itself_alone(tmp_path: Path, name: str) -> None:
    geometry, tags, reason = STRAYS[name]
    clean = imported(written(tmp_path / "clean.geojson", town()), name="town")
    city = imported(written(tmp_path / "city.geojson", [*town(), feature(geometry, **tags)]), name="town")
    assert len(city.scenario.buildings) == 9
    assert dict(city.left_out) == {reason: 1}
    assert city.scenario.origin.latitude == pytest.approx(clean.scenario.origin.latitude, abs=STEP)
    assert city.scenario.origin.longitude == pytest.approx(clean.scenario.origin.longitude, abs=STEP)


def test_a_ring_that_is_not_closed_is_closed(tmp_path: Path) -> None:
    city = imported(written(tmp_path / "city.geojson", [*town(), feature(polygon(ring(5, 5)[:-1]))]))
    assert len(city.scenario.buildings) == 10
    assert not city.left_out


def test_coordinates_that_are_no_numbers(tmp_path: Path) -> None:
    shapes = [shapely.Polygon(ring(column, 0)) for column in range(4)]
    broken = shapely.Polygon([(14.4, 50.1), (float("nan"), 50.1), (14.401, 50.101)])
    geopandas.GeoDataFrame(geometry=[*shapes, broken], crs="EPSG:4326").to_file(tmp_path / "city.gpkg")
    city = imported(tmp_path / "city.gpkg")
    assert len(city.scenario.buildings) == 4
    assert sum(city.left_out.values()) == 1


def test_shapes_with_heights_of_their_own_are_plane(tmp_path: Path) -> None:
    solid = [polygon(ring(0, 0, 3e-4, 5.0)), polygon(ring(0, 0, 3e-4, 15.0))]
    faces = {"type": "MultiPolygon", "coordinates": [one["coordinates"] for one in solid]}
    group = {
        "type": "GeometryCollection",
        "geometries": [polygon(ring(2, 0, 3e-4, 5.0)), {"type": "Point", "coordinates": [14.4, 50.1]}],
    }
    shapes = [feature(polygon(ring(4, 0, 3e-4, 5.0))), feature(faces), feature(group)]
    city = imported(written(tmp_path / "city.geojson", shapes))
    assert len(city.scenario.buildings) == 3
    assert not city.left_out


def test_parts_stand_for_their_outline(tmp_path: Path) -> None:
    outline = feature(polygon(ring(0, 0)), height="60")
    podium = {**feature(polygon(ring(0, 0))), "properties": {"building": None, "building:part": "yes", "height": "10"}}
    tower = feature(polygon(ring(0, 0, 1e-4)))
    tower["properties"] = {"building": None, "building:part": "yes", "height": "60", "min_height": "10"}
    bare = feature(polygon(ring(2, 0)), height="8")
    city = imported(written(tmp_path / "city.geojson", [outline, podium, tower, bare]))
    assert sorted((b.base, b.base + b.height) for b in city.scenario.buildings) == [(0, 8), (0, 10), (10, 60)]
    assert dict(city.left_out) == {"outline of building parts": 1}
    # a part of a hall leaves the rest of the hall standing
    hall = imported(written(tmp_path / "hall.geojson", [feature(polygon(ring(0, 0)), height="9"), tower]))
    assert sorted({(b.base, b.base + b.height) for b in hall.scenario.buildings}) == [(0, 9), (10, 60)]


def test_the_centre_can_be_chosen(tmp_path: Path) -> None:
    path = written(tmp_path / "city.geojson", [*town(), feature(polygon(ring(500, 0)))])
    city = imported(path, centre=Origin(LATITUDE, LONGITUDE + 500 * STEP), radius=500.0)
    assert len(city.scenario.buildings) == 1
    assert dict(city.left_out) == {"too far away": 9}


def test_a_city_across_the_antimeridian(tmp_path: Path) -> None:
    shift = 180 - LONGITUDE - STEP
    moved = [[[(x + shift + 180) % 360 - 180, y] for x, y in ring(column, 0)] for column in range(-2, 4)]
    city = imported(written(tmp_path / "city.geojson", [feature(polygon(one)) for one in moved]))
    assert len(city.scenario.buildings) == 6
    assert abs(city.scenario.origin.longitude) == pytest.approx(180, abs=3 * STEP)


# --- projections ----------------------------------------------------------------------------------------------------


def in_metres(path: Path) -> Path:
    """Web Mercator's metres in a GeoJSON file that does not say so."""
    frame = geopandas.GeoDataFrame(geometry=[shapely.Polygon(ring(k, 0)) for k in range(4)], crs="EPSG:4326")
    shapes = [feature(shapely.geometry.mapping(shape)) for shape in frame.to_crs("EPSG:3857").geometry]
    return written(path, shapes)


def test_metres_without_a_projection_need_one(tmp_path: Path) -> None:
    path = in_metres(tmp_path / "city.geojson")
    with pytest.raises(InputError, match="--crs") as caught:
        imported(path)
    assert caught.value.key == "coordinates"
    assert imported(path, crs="EPSG:3857").scenario.origin.latitude == pytest.approx(LATITUDE, abs=STEP)


def test_a_projection_that_the_file_names_stays(tmp_path: Path) -> None:
    path = tmp_path / "city.gpkg"
    frame = geopandas.GeoDataFrame(geometry=[shapely.Polygon(ring(k, 0)) for k in range(4)], crs="EPSG:4326")
    frame.to_crs("EPSG:32633").to_file(path)
    assert imported(path, crs="EPSG:3857").scenario.origin.latitude == pytest.approx(LATITUDE, abs=STEP)


# --- formats and archives -------------------------------------------------------------------------------------------


def save(path: Path, **options: Any) -> Path:
    shapes = [shapely.Polygon(ring(column, row)) for column in range(3) for row in range(3)]
    frame = geopandas.GeoDataFrame({"height": ["10 m"] * 9}, geometry=shapes, crs="EPSG:4326")
    frame.to_file(path, **options)
    return path


def google(path: Path) -> Path:
    rows = [f'50.1,14.4,30,0.8,"{shapely.Polygon(ring(column, 0)).wkt}"' for column in range(9)]
    path.write_text("\n".join(["latitude,longitude,area_in_meters,confidence,geometry", *rows]))
    return path


def geoparquet(path: Path) -> Path:
    pytest.importorskip("pyarrow")
    shapes = [shapely.Polygon(ring(column, 0)) for column in range(9)]
    geopandas.GeoDataFrame(
        {"height": [10.0] * 9, "names": [{"primary": "a"}] * 9}, geometry=shapes, crs="EPSG:4326"
    ).to_parquet(path)
    return path


def block(column: int, height: float) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Vertices (mm) and faces of a box of 20 m, as CityJSON numbers them from 0."""
    x = 60_000 * column
    corners = [[x, 0], [x + 20_000, 0], [x + 20_000, 20_000], [x, 20_000]]
    vertices = [[*corner, round(1000 * top)] for top in (0.0, height) for corner in corners]
    walls = [[[k, (k + 1) % 4, (k + 1) % 4 + 4, k + 4]] for k in range(4)]
    return vertices, [[[3, 2, 1, 0]], [[4, 5, 6, 7]], *walls]


def shifted(faces: list[list[list[int]]], by: int) -> list[list[list[int]]]:
    return [[[vertex + by for vertex in ring] for ring in face] for face in faces]


CITYJSON = {
    "type": "CityJSON",
    "version": "1.1",
    "transform": {"scale": [0.001] * 3, "translate": [84000, 447000, 7.5]},
    "metadata": {"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/7415"},
}


def cityjson(path: Path, *more: Mapping[str, object]) -> Path:
    """Nine buildings in the Netherlands' projection; the last tells its height by attribute alone."""
    vertices: list[list[int]] = []
    objects: dict[str, object] = {f"more_{index}": one for index, one in enumerate(more)}
    for column in range(8):
        corners, faces = block(column, 10.0 + column)
        solid = {"type": "Solid", "lod": "1.2", "boundaries": [shifted(faces, len(vertices))]}
        flat = {"type": "MultiSurface", "lod": "0", "boundaries": shifted(faces[:1], len(vertices))}
        objects[f"b{column}"] = {"type": "Building", "geometry": [flat, solid]}
        vertices += corners
    corners, faces = block(8, 10.0)
    flat = {"type": "MultiSurface", "lod": "0", "boundaries": shifted(faces[:1], len(vertices))}
    objects["b8"] = {"type": "Building", "attributes": {"measuredHeight": 21.5}, "geometry": [flat]}
    path.write_text(json.dumps({**CITYJSON, "CityObjects": objects, "vertices": vertices + corners}))
    return path


def cityjson_sequence(path: Path) -> Path:
    """As CityJSONSeq: a line for the city, one for each building, with vertices of its own."""
    lines: list[dict[str, object]] = [{**CITYJSON, "CityObjects": {}, "vertices": []}]
    for column in range(9):
        vertices, faces = block(column, 10.0)
        solid = {"type": "Solid", "lod": "2.2", "boundaries": [faces]}
        parts: dict[str, object] = {
            "b": {"type": "Building", "children": ["p"]},
            "p": {"type": "BuildingPart", "parents": ["b"], "geometry": [solid]},
        }
        lines.append({"type": "CityJSONFeature", "id": "b", "CityObjects": parts, "vertices": vertices})
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_solids_are_what_they_cover_and_how_high_they_are(tmp_path: Path) -> None:
    broken = {"type": "Building", "geometry": [{"type": "Solid", "lod": "1", "boundaries": [[[[0, 1, 9999]]]]}]}
    unfinished = {"type": "Building", "geometry": [{"type": "Solid"}]}
    tree = {"type": "SolitaryVegetationObject", "geometry": [{"type": "MultiSurface", "boundaries": []}]}
    city = imported(cityjson(tmp_path / "city.json", broken, unfinished, tree))
    assert sorted(building.height for building in city.scenario.buildings) == [*np.arange(10.0, 18.0), 21.5]
    area = [abs(shapely.Polygon(building.footprint).area) for building in city.scenario.buildings]
    assert area == pytest.approx([400.0] * 9, rel=1e-2)
    assert dict(city.left_out) == {"with a broken shape": 2}
    assert city.scenario.origin.latitude == pytest.approx(52.0, abs=0.1)


def test_open_street_map_whose_nodes_are_in_no_order(tmp_path: Path) -> None:
    """pyogrio's own sample, which GDAL's quick index refuses."""
    (sample,) = Path(pyogrio.__file__).parent.glob("tests/fixtures/sample.osm.pbf")
    for path in (sample, tmp_path / "sample.osm.pbf.bz2"):
        if path is not sample:
            path.write_bytes(bz2.compress(sample.read_bytes()))
        assert len(imported(path).scenario.buildings) == 2


def zipped(path: Path, *files: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, f"some folder/{file.name}")
    return path


def shapefile(path: Path) -> list[Path]:
    save(path)
    return sorted(path.parent.glob(path.stem + ".*"))


def compressed(path: Path, file: Path) -> Path:
    path.write_bytes(gzip.compress(file.read_bytes()))
    return path


def renamed(path: Path, file: Path) -> Path:
    return Path(shutil.move(file, path))


FILES: dict[str, Callable[[Path], Path]] = {
    "GeoPackage": lambda folder: save(folder / "city.gpkg"),
    "shapefile": lambda folder: save(folder / "city.shp"),
    "GeoJSON lines": lambda folder: save(folder / "city.geojsonl"),
    "GeoJSON text sequence": lambda folder: save(folder / "city.geojsons", RS="YES"),
    "FlatGeobuf": lambda folder: save(folder / "city.fgb"),
    "KML": lambda folder: save(folder / "city.kml", driver="KML"),
    "file geodatabase": lambda folder: save(folder / "city.gdb", driver="OpenFileGDB"),
    "GML": lambda folder: save(folder / "city.gml"),
    "Google's CSV": lambda folder: google(folder / "city.csv"),
    "compressed CSV": lambda folder: compressed(folder / "city.csv.gz", google(folder / "city.csv")),
    "CityJSON": lambda folder: cityjson(folder / "city.json"),
    "CityJSON text sequence": lambda folder: cityjson_sequence(folder / "city.city.jsonl"),
    "GeoParquet": lambda folder: geoparquet(folder / "city.parquet"),
    "zipped shapefile": lambda folder: zipped(folder / "city.zip", *shapefile(folder / "city.shp")),
    "zip in a zip": lambda folder: zipped(
        folder / "outer.zip", zipped(folder / "inner.zip", *shapefile(folder / "city.shp"))
    ),
    "a folder of shapefiles": lambda folder: shapefile(folder / "city.shp")[0].parent,
    "a name with signs": lambda folder: renamed(folder / "a!b?c#d e.geojson", save(folder / "city.geojson")),
    "a folder with signs": lambda folder: renamed(folder / "ä!1" / "city.gpkg", save(folder / "city.gpkg")),
}


@pytest.mark.parametrize("name", FILES)
def test_formats_that_people_have(tmp_path: Path, name: str) -> None:
    (tmp_path / "ä!1").mkdir()
    city = imported(FILES[name](tmp_path))
    assert len(city.scenario.buildings) == 9
    assert not city.left_out


def test_a_line_that_was_cut_is_counted(tmp_path: Path) -> None:
    lines = [json.dumps(one) for one in town()]
    path = tmp_path / "city.geojsonl"
    path.write_text("\n".join([*lines[:5], lines[5][:60], *lines[6:]]) + "\n")
    city = imported(path)
    assert len(city.scenario.buildings) == 8
    assert dict(city.left_out) == {"on a line that cannot be read": 1}


def test_buildings_and_streets_are_found_in_one_archive(tmp_path: Path) -> None:
    """As Geofabrik's archives of shapefiles have them."""
    save(tmp_path / "gis_osm_buildings_a_free_1.shp")
    landuse = geopandas.GeoDataFrame(geometry=[shapely.Polygon(ring(0, 0, 0.01))], crs="EPSG:4326")
    landuse.to_file(tmp_path / "gis_osm_a_landuse.shp")
    road = shapely.LineString([(LONGITUDE, LATITUDE - 0.0002), (LONGITUDE + 0.002, LATITUDE - 0.0002)])
    roads = geopandas.GeoDataFrame({"highway": ["residential", "proposed"]}, geometry=[road, road], crs="EPSG:4326")
    roads.to_file(tmp_path / "gis_osm_roads_free_1.shp")
    path = zipped(tmp_path / "town.shp.zip", *tmp_path.glob("gis_*"))
    city = import_city(path, path, Wishes(rsus=1, uavs=1))
    assert (len(city.scenario.buildings), len(city.streets)) == (9, 1)


def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    bomb = tmp_path / "a.zip"
    with zipfile.ZipFile(bomb, "w") as archive:
        archive.writestr("../../city.geojson", json.dumps({"type": "FeatureCollection", "features": town()}))
    assert len(imported(bomb).scenario.buildings) == 9  # and nothing is written where the archive says
    cut = tmp_path / "cut.zip"
    cut.write_bytes(bomb.read_bytes()[:100])
    (tmp_path / "no.gz").write_bytes(b"no gzip")
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "no.pbf").write_bytes(b"\x00\x00\x00\x0e")
    (tmp_path / "nothing").mkdir()
    nested = bomb
    for level in range(4):
        nested = zipped(tmp_path / f"nested{level}.zip", nested)
    for path in (cut, tmp_path / "no.gz", tmp_path / "no.parquet", tmp_path / "no.pbf", tmp_path / "nothing", nested):
        with pytest.raises(InputError) as caught:
            imported(path)
        assert "\n" not in str(caught.value)
