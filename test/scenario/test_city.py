"""Real cities: whatever the file, the same ground truth comes out in local metres."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from uav_twin_migration.cli.main import main
from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.city import import_city
from uav_twin_migration.scenario.generate import RANGE
from uav_twin_migration.scenario.geometry import contains, signed_area
from uav_twin_migration.scenario.load import dump as dumped
from uav_twin_migration.scenario.load import load, loads
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.wishes import Wishes

geopandas = pytest.importorskip("geopandas")
shapely = pytest.importorskip("shapely")

LOCAL = "+proj=tmerc +lat_0=50.1 +lon_0=14.4 +datum=WGS84 +units=m"  # another projection than the importer's own


def square(x: float, y: float, side: float = 20.0) -> Any:
    return shapely.box(x, y, x + side, y + side)


def frame(shapes: list[Any], **tags: list[Any]) -> Any:
    return geopandas.GeoDataFrame(tags, geometry=shapes, crs=LOCAL)


CORNERS = [square(-300, -300), square(280, -300), square(280, 280), square(-300, 280)]  # they fix the extent
STREETS = [
    shapely.LineString([(-250, 0), (250, 0)]),
    shapely.LineString([(0, -250), (0, 250)]),
    shapely.LineString([(-250, 0), (0, 250), (250, 0), (0, -250), (-250, 0)]),
]


def write(folder: Path, shapes: Any, name: str = "city.geojson", crs: str = "EPSG:4326") -> Path:
    path = folder / name
    shapes.to_crs(crs).to_file(path)
    return path


def imported(path: Path, streets: Path | None = None, **wishes: Any) -> Scenario:
    return import_city(path, streets, Wishes(**wishes)).scenario


@pytest.mark.parametrize(
    ("name", "crs"),
    [("city.geojson", "EPSG:4326"), ("city.gpkg", "EPSG:3857"), ("city.gpkg", "EPSG:32633"), ("city.shp", "EPSG:5514")],
)
def test_any_projection_gives_the_same_metres(tmp_path: Path, name: str, crs: str) -> None:
    scenario = imported(write(tmp_path, frame([*CORNERS, square(50, 100)]), name, crs))
    assert scenario.origin.latitude == pytest.approx(50.1 + 110 / 111_200, abs=2e-5)  # the median building's middle
    assert scenario.origin.longitude == pytest.approx(14.4 + 60 / 71_500, abs=2e-5)
    found = np.array(scenario.buildings[-1].footprint)
    side = np.linalg.norm(found - np.roll(found, 1, axis=0), axis=1)
    assert side == pytest.approx(20.0, abs=0.02)  # corners are rounded to the centimetre
    west = np.array(scenario.buildings[0].footprint)
    assert found.min(axis=0) - west.min(axis=0) == pytest.approx([350.0, 400.0], abs=0.1)  # east is x, north is y


def test_heights_as_people_write_them(tmp_path: Path) -> None:
    tags = {
        "height": ["12 m", "3;4", None, "", "tall"],
        "building:levels": [None, "1", "5", "?", None],
        "min_height": [None, None, "6", None, "99"],
    }
    city = import_city(write(tmp_path, frame([*CORNERS, square(50, 100)], **tags)), None, Wishes(default_height=10))
    assert [(b.base, b.height) for b in city.scenario.buildings] == [(0, 12), (0, 4), (6, 9), (0, 10), (0, 10)]
    assert dict(city.heights_from) == {"height": 2, "levels": 1, "default": 2}


def test_courtyards_multipolygons_and_broken_shapes_become_simple_prisms(tmp_path: Path) -> None:
    courtyard = shapely.Polygon(square(0, 0, 100).exterior, [square(10, 10).exterior, square(60, 50, 30).exterior])
    pair = shapely.MultiPolygon([square(120, 0), square(150, 0)])
    bow_tie = shapely.Polygon([(-100, 0), (-80, 20), (-80, 0), (-100, 20)])
    sliver = shapely.box(-100, 100, -50, 100.01)
    city = import_city(write(tmp_path, frame([*CORNERS, courtyard, pair, bow_tie, sliver])), None, Wishes())
    assert loads(dumped(city.scenario)) == city.scenario  # the loader refuses what is not simple
    assert dict(city.left_out) == {"no area": 1}
    area = sum(abs(signed_area(b.footprint)) for b in city.scenario.buildings)
    assert area == pytest.approx(4 * 400 + (10_000 - 400 - 900) + 800 + 200, rel=1e-3)
    south_west = np.array(city.scenario.buildings[0].footprint).min(axis=0)
    yard = south_west + np.array([320.0, 320.0])  # the middle of the smaller courtyard
    assert not any(contains(b.footprint, yard) for b in city.scenario.buildings)


def test_only_buildings_count(tmp_path: Path) -> None:
    shapes = [*CORNERS, shapely.box(-2000, -2000, 2000, 2000), STREETS[0], shapely.Point(0, 0)]
    tags = {
        "building": ["yes", "house", "yes", "yes", None, None, None],
        "landuse": [None] * 4 + ["forest", None, None],
    }
    city = import_city(write(tmp_path, frame(shapes, **tags)), None, Wishes())
    assert len(city.scenario.buildings) == 4
    assert dict(city.left_out) == {"no building": 1}
    assert city.scenario.origin.latitude == pytest.approx(50.1, abs=2e-5)


def test_what_is_too_far_away_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, frame([*CORNERS, square(-10, -10)]))
    city = import_city(path, None, Wishes(radius=100.0))
    assert len(city.scenario.buildings) == 1
    assert dict(city.left_out) == {"too far away": 4}


@pytest.mark.parametrize("with_streets", [True, False])
def test_masts_stand_outdoors_and_uavs_fly_over_the_roofs(tmp_path: Path, with_streets: bool) -> None:
    path = write(
        tmp_path, frame([*CORNERS, square(-60, -30, 50), square(40, 60, 100)], height=[20, 20, 20, 20, 20, 95])
    )
    streets = write(tmp_path, frame(STREETS), "streets.geojson") if with_streets else None
    scenario = imported(path, streets, rsus=5, uavs=9, seed=3)
    assert (len(scenario.rsus), len(scenario.uavs)) == (5, 9)
    masts = np.array([rsu.position for rsu in scenario.rsus])
    assert not any(contains(building.footprint, masts).any() for building in scenario.buildings)
    assert min(uav.altitude for uav in scenario.uavs) >= 115
    assert loads(dumped(scenario)) == scenario
    if with_streets:
        shift = np.array(scenario.buildings[0].footprint).min(axis=0) + 300
        roads = shapely.unary_union([shapely.affinity.translate(street, *shift) for street in STREETS])
        assert all(roads.distance(shapely.Point(mast)) < 1.0 for mast in masts)
        ways = [shapely.LineString([*uav.route, uav.route[0]]) for uav in scenario.uavs]
        assert all(roads.buffer(4).contains(way) for way in ways)


def test_the_seed_decides(tmp_path: Path) -> None:
    path, streets = write(tmp_path, frame(CORNERS)), write(tmp_path, frame(STREETS), "streets.geojson")
    assert imported(path, streets, seed=1) == imported(path, streets, seed=1) != imported(path, streets, seed=2)


def test_the_layer_with_buildings_is_found(tmp_path: Path) -> None:
    path = tmp_path / "town.gpkg"
    frame([square(0, 0, 500)]).to_file(path, layer="cadastre")
    frame(STREETS).to_file(path, layer="roads")
    frame(CORNERS).to_file(path, layer="Buildings")
    assert len(imported(path, path).buildings) == 4
    assert len(imported(path, path, layer="cadastre").buildings) == 1


def refusal(path: Path, streets: Path | None = None, **wishes: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        import_city(path, streets, Wishes(**wishes))
    return caught.value


def test_bad_files_are_refused_in_one_line(tmp_path: Path) -> None:
    good = write(tmp_path, frame(CORNERS))
    garbled = tmp_path / "garbled.geojson"
    garbled.write_text('{"type": "FeatureCollection", "features": [')
    empty = tmp_path / "empty.geojson"
    empty.write_text('{"type": "FeatureCollection", "features": []}')
    far = write(tmp_path, frame([shapely.LineString([(90_000, 0), (90_100, 0)])]), "far.geojson")
    errors = [
        refusal(tmp_path / "missing.geojson"),
        refusal(garbled),
        refusal(empty),
        refusal(good, garbled),
        refusal(good, good),  # holds no lines
        refusal(good, far),
        refusal(good, layer="roofs"),
        refusal(good, crs="EPSG:none"),
        refusal(good, rsus=10_000),
        refusal(write(tmp_path, frame([shapely.box(0, 0, 1, 1)]), "tiny.geojson")),
    ]
    assert all("\n" not in str(error) for error in errors)
    assert "roofs" in str(errors[6])
    assert "EPSG:none" in str(errors[7])


def test_a_projection_can_be_named_where_the_file_does_not(tmp_path: Path) -> None:
    path = write(tmp_path, frame(CORNERS), "city.shp", "EPSG:32633")
    path.with_suffix(".prj").unlink()
    assert refusal(path).key == "projection"
    scenario = imported(path, crs="EPSG:32633")
    assert scenario.origin.longitude == pytest.approx(14.4, abs=2e-5)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path, streets = write(tmp_path, frame(CORNERS)), write(tmp_path, frame(STREETS), "streets.geojson")
    scenario, picture = tmp_path / "out.yaml", tmp_path / "out.png"
    arguments = [
        "city",
        str(path),
        "--streets",
        str(streets),
        "-o",
        str(scenario),
        "--map",
        str(picture),
        "--seed",
        "7",
    ]
    assert main([*arguments, "--name", "Four corners"]) == 0
    assert "seed 7" in capsys.readouterr().out
    assert load(scenario).name == "Four corners"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main([*arguments, "--json", "-"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["buildings"], figures["seed"], figures["heights_from"]) == (4, 7, {"default": 4})
    assert main(["city", str(tmp_path / "none.gpkg"), "-o", str(scenario)]) == 2
    assert main(["city", str(path), "-o", str(tmp_path / "out.txt")]) == 2
    assert main(["city", str(path), "-o", str(scenario), "--rsus", "0"]) == 2
    assert main(["city", str(path), "-o", str(tmp_path / "no" / "such" / "folder.yaml")]) == 2
    assert main([*arguments, "--name", "x" * 101]) == 2
    assert main([*arguments[:-4], "--map", str(tmp_path / "out.docx")]) == 2


def test_rsus_reach_as_far_as_in_made_up_cities() -> None:
    assert Wishes().range == RANGE


def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, frame(CORNERS))
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    assert main(["city", str(path), "-o", str(tmp_path / "out.yaml")]) == 1
    assert "Python library pyogrio, which is not installed" in capsys.readouterr().err


def test_a_real_district(tmp_path: Path) -> None:
    """Bubenec in Prague, in Web Mercator, whose metres there are 1.56 times too long."""
    momepy = importlib.util.find_spec("momepy")
    if momepy is None or momepy.origin is None:
        pytest.skip("momepy is not installed")
    path = Path(momepy.origin).parent / "datasets" / "bubenec.gpkg"
    city = import_city(path, path, Wishes(range=300.0, default_height=18.0))
    assert sum(city.heights_from.values()) == 144
    assert not city.left_out
    corners = np.array([corner for building in city.scenario.buildings for corner in building.footprint])
    assert np.ptp(corners, axis=0) == pytest.approx([401.4, 417.6], abs=1.0)
    area = sum(abs(signed_area(building.footprint)) for building in city.scenario.buildings)
    in_utm = geopandas.read_file(path, layer="buildings").to_crs("EPSG:32633").area.sum()
    assert area == pytest.approx(in_utm, rel=2e-3)
    assert (city.efficiency.max(axis=1) > 0).mean() > 0.98
    assert loads(dumped(city.scenario)) == city.scenario
