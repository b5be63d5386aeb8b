"""Routes out of the files of ground stations, receivers, spreadsheets and flight logs."""

from __future__ import annotations

import itertools
import json
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from uav_twin_migration.cli.main import main
from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.load import dump, load, loads
from uav_twin_migration.scenario.model import Origin, Scenario
from uav_twin_migration.vehicle.frames import TangentPlane

ORIGIN = Origin(47.397742, 8.545594, 488.0)
WAYPOINTS = ((0.0, 0.0), (200.0, 0.0), (200.0, 150.0))  # m east and north

TOWN = """name: town
origin: {latitude: 47.397742, longitude: 8.545594, altitude: 488}
rsus:
  - {id: west, position: [0, 0], antenna_height: 15, range: 600, capacity: 20, unit_cost: 1, price_cap: 20}
uavs:
  - {id: a, route: {file: FILE}, altitude: 100, speed: 12, acceleration: 3, immersion_weight: 12, twin_size: 100}
"""


def degrees() -> list[tuple[float, float]]:
    plane = TangentPlane(ORIGIN)
    return [tuple(plane.to_geodetic((east, north, 0.0))[:2]) for east, north in WAYPOINTS]  # type: ignore[misc]


def item(command: int, latitude: float | None, longitude: float | None) -> dict[str, object]:
    """As QGroundControl 4 writes it."""
    return {
        "type": "SimpleItem",
        "command": command,
        "frame": 3,
        "autoContinue": True,
        "params": [0, 0, 0, None, latitude, longitude, 50],
    }


def plan() -> str:
    first, second, third = degrees()
    survey: dict[str, object] = {"type": "ComplexItem", "complexItemType": "survey"}
    survey["TransectStyleComplexItem"] = {"Items": [item(16, *second), item(206, 0, 0), item(16, *third)]}
    items = [item(22, *first), item(530, 0, 0), survey, item(20, 0, 0), item(16, 1.0, 2.0)]
    return json.dumps(
        {"fileType": "Plan", "version": 1, "groundStation": "QGroundControl", "mission": {"items": items}}
    )


def mission_planner() -> str:
    lines = ["QGC WPL 110", "0\t1\t0\t16\t0\t0\t0\t0\t1.0\t2.0\t488\t1"]
    lines += [f"{k}\t0\t3\t16\t0\t0\t0\t0\t{lat}\t{lon}\t50\t1" for k, (lat, lon) in enumerate(degrees(), 1)]
    return "\n".join(lines) + "\n"


def gpx(kind: str) -> str:
    outer, inner = {"route": ("rte", "rtept"), "track": ("trk", "trkpt"), "waypoints": ("", "wpt")}[kind]
    points = "".join(f'<{inner} lat="{lat}" lon="{lon}"><ele>500</ele></{inner}>' for lat, lon in degrees())
    points = f"<trkseg>{points}</trkseg>" if kind == "track" else points
    body = f"<{outer}>{points}</{outer}>" if outer else points
    return f'<?xml version="1.0"?><gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1">{body}</gpx>'


def kml(kind: str) -> str:
    places = [(lon, lat) for lat, lon in degrees()]
    if kind == "track":
        body = "<gx:Track>" + "".join(f"<gx:coord>{x} {y} 500</gx:coord>" for x, y in places) + "</gx:Track>"
    else:
        inside = "\n  ".join(f"{x},{y},500" for x, y in places)
        body = f"<LineString><coordinates>\n  {inside}\n</coordinates></LineString>"
    spaces = 'xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2"'
    return f"<kml {spaces}><Document><Placemark>{body}</Placemark></Document></kml>"


def ulog(path: Path) -> None:
    """A ULog with a place every tenth of a second (docs.px4.io, "ULog File Format")."""

    def message(kind: bytes, content: bytes) -> bytes:
        return struct.pack("<HB", len(content), kind[0]) + content

    data = b"ULog\x01\x12\x35\x01" + struct.pack("<Q", 0)
    data += message(b"F", b"vehicle_global_position:uint64_t timestamp;double lat;double lon;")
    data += message(b"A", struct.pack("<BH", 0, 0) + b"vehicle_global_position")
    places = degrees()
    for leg, ((a, b), (c, d)) in enumerate(itertools.pairwise(places)):
        for k in range(101):
            share, time = k / 100, (leg * 100 + k) * 100_000
            place = (a + (c - a) * share, b + (d - b) * share)
            data += message(b"D", struct.pack("<HQdd", 0, time, *place))
    path.write_bytes(data)


def table(header: str, separator: str = ",") -> str:
    rows = WAYPOINTS if header.startswith("x") else degrees()
    return "\n".join([header, *(separator.join(map(str, (*row, 50))) for row in rows)]) + "\n"


TEXTS: dict[str, Callable[[], str]] = {
    "a.plan": plan,
    "a.waypoints": mission_planner,
    "route.gpx": lambda: gpx("route"),
    "track.gpx": lambda: gpx("track"),
    "waypoints.gpx": lambda: gpx("waypoints"),
    "line.kml": lambda: kml("line"),
    "track.kml": lambda: kml("track"),
    "degrees.csv": lambda: "\ufeff" + table("Latitude,Longitude,alt"),
    "semicolons.csv": lambda: table("lat;lon;alt", ";"),
    "metres.csv": lambda: table("x,y,z"),
}


def scenario(folder: Path, file: str) -> Scenario:
    path = folder / "town.yaml"
    path.write_text(TOWN.replace("FILE", file))
    return load(path)


@pytest.mark.parametrize("name", [*TEXTS, "a.kmz", "a.ulg"])
def test_waypoints_lie_where_the_file_says(tmp_path: Path, name: str) -> None:
    if name == "a.kmz":
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("doc.kml", kml("line"))
    elif name == "a.ulg":
        pytest.importorskip("pyulog")
        ulog(tmp_path / name)
    else:
        (tmp_path / name).write_text(TEXTS[name](), encoding="utf-8")
    found = scenario(tmp_path, name)
    (uav,) = found.uavs
    assert len(uav.route) == 3
    for point, wanted in zip(uav.route, WAYPOINTS, strict=True):
        assert point == pytest.approx(wanted, abs=0.15)
    assert loads(dump(found)) == found  # whole, without the file


BAD = {
    "missing.gpx": None,
    "a.txt": "text",
    "a.plan": "{}",
    "b.plan": '{"mission": {"items": [{"type": "ComplexItem", "complexItemType": "fwLandingPattern"}]}}',
    "c.plan": '{"mission": {"items": []}}',
    "d.plan": "[" * 100_000,
    "a.gpx": "<gpx>",
    "b.gpx": '<!DOCTYPE x [<!ENTITY a "b">]><gpx>&a;</gpx>',
    "c.gpx": '<gpx><rte><rtept lat="x" lon="8"/></rte></gpx>',
    "d.gpx": '<gpx><rte><rtept lat="147" lon="8"/></rte></gpx>',
    "far.gpx": '<gpx><rte><rtept lat="-33" lon="151"/></rte></gpx>',
    "a.kml": "<kml><Placemark/></kml>",
    "a.csv": "a,b\n1,2\n",
    "b.csv": "lat,lon\nnan,8\n",
    "c.csv": "",
    "d.csv": 'lat,lon\n"' + "1" * 200_000 + '",8\n',
    "a.kmz": "no zip",
    "a.waypoints": "0 1 2",
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_no_routes_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    content = BAD[name]
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as caught:
        scenario(tmp_path, name)
    assert caught.value.key == "uavs[0].route.file"
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_logs_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyulog")
    for content in (b"", b"no log", b"ULog\x01\x12\x35\x01" + bytes(200)):
        (tmp_path / "a.ulg").write_bytes(content)
        with pytest.raises(InputError):
            scenario(tmp_path, "a.ulg")


def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.ulg").write_bytes(b"ULog")
    (tmp_path / "town.yaml").write_text(TOWN.replace("FILE", "a.ulg"))
    monkeypatch.setitem(sys.modules, "pyulog", None)
    assert main(["scenario", "check", str(tmp_path / "town.yaml")]) == 1
    assert "pip install pyulog" in capsys.readouterr().err


def test_a_text_that_is_no_file_has_no_files_beside_it() -> None:
    with pytest.raises(InputError) as caught:
        loads(TOWN.replace("FILE", "a.gpx"))
    assert caught.value.key == "uavs[0].route.file"
    with pytest.raises(InputError):
        loads(TOWN.replace("{file: FILE}", "{files: [a]}"), folder=Path())
