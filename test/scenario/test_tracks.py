"""Recorded flights: read from the files that people have, and flown as recorded."""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.examine import warnings
from uav_twin_migration.scenario.load import dump, dump_json, load, loads
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.tracks import instant
from uav_twin_migration.scenario.vary import varied
from uav_twin_migration.vehicle.frames import TangentPlane
from uav_twin_migration.vehicle.mobility import Mobilities
from uav_twin_migration.vehicle.motion import Flight, Pilot, move, routes_of
from uav_twin_migration.vehicle.track import Track

SMALL = load("small")
FIXES = [(0.0, 0.0, 0.0, 0.0), (2.0, 0.0, 0.0, 30.0), (12.0, 100.0, 0.0, 60.0), (20.0, 100.0, 60.0, 60.0)]
PLANE = TangentPlane(SMALL.origin)


def degrees() -> list[tuple[float, float, float, float]]:
    """The fixes as seconds, latitude, longitude, metres above the sea."""
    found = []
    for time, east, north, up in FIXES:
        latitude, longitude, _ = PLANE.to_geodetic((east, north, 0.0))
        found.append((time, latitude, longitude, 412.0 + up))
    return found


def stamp(time: float) -> str:
    return f"2026-11-30T23:59:{50 + time:04.1f}Z" if time < 10 else f"2026-12-01T00:00:{time - 10:04.1f}Z"


def gpx() -> str:
    points = "".join(
        f'<trkpt lat="{a:.9f}" lon="{b:.9f}"><ele>{c}</ele><time>{stamp(t)}</time></trkpt>' for t, a, b, c in degrees()
    )
    return f'<gpx xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>{points}</trkseg></trk></gpx>'


def kml() -> str:
    when = "".join(f"<when>{stamp(t)}</when>" for t, *_ in degrees())
    coord = "".join(f"<gx:coord>{b:.9f} {a:.9f} {c}</gx:coord>" for _, a, b, c in degrees())
    spaces = 'xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2"'
    return f"<kml {spaces}><Placemark><gx:Track>{when}{coord}</gx:Track></Placemark></kml>"


def csv_in_degrees() -> str:
    rows = [f"{1.7e12 + 1000 * t:.0f},{a:.9f},{b:.9f},{c}" for t, a, b, c in degrees()]
    return "\n".join(["timestamp,lat,lon,alt", *rows])


def csv_in_metres() -> str:
    return "\n".join(["t;x;y;z", *(";".join(map(str, fix)) for fix in FIXES)])


def flying(folder: Path, name: str, uav: dict[str, object] | None = None) -> Scenario:
    """The small scenario, whose first UAV flies a file."""
    document = json.loads(dump_json(SMALL))
    for key in ("route", "altitude", "loop", "track"):
        document["uavs"][0].pop(key)
    document["uavs"][0] |= {"track": {"file": name}, **(uav or {})}
    return loads(json.dumps(document), "city.json", folder)


@pytest.mark.parametrize(
    ("name", "made"), [("a.gpx", gpx), ("a.kml", kml), ("a.csv", csv_in_degrees), ("b.csv", csv_in_metres)]
)
def test_a_flight_is_read_from_each_kind_of_file(name: str, made: object, tmp_path: Path) -> None:
    (tmp_path / name).write_text(made())  # type: ignore[operator]
    uav = flying(tmp_path, name).uavs[0]
    assert np.array(uav.track) == pytest.approx(np.array(FIXES), abs=0.02)
    assert uav.route == ((0.0, 0.0), (100.0, 0.0), (100.0, 60.0))
    assert uav.altitude == pytest.approx(45.0, abs=0.1)
    assert not uav.loop


def test_a_zipped_kml_and_a_file_without_heights(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.kmz", "w") as archive:
        archive.writestr("doc.kml", kml())
    assert len(flying(tmp_path, "a.kmz").uavs[0].track) == 4
    (tmp_path / "flat.csv").write_text("t,x,y\n0,0,0\n1,5,0\n")
    assert [fix[3] for fix in flying(tmp_path, "flat.csv", {"altitude": 80}).uavs[0].track] == [80.0, 80.0]
    with pytest.raises(InputError, match="altitude"):
        flying(tmp_path, "flat.csv")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "", "ends in"),
        ("a.gpx", "<gpx/>", "fixes with time"),
        ("a.gpx", gpx().replace("time", "tide"), "fixes with time"),
        ("a.csv", "x,y\n1,2\n", "column of times"),
        ("a.csv", "t,x,y,z\n0,0,0,0\n1,now,0,0\n", "flight with time stamps"),
        ("a.csv", "t,x,y,z\n0,0,0,0\n1,1e7,0,0\n", "within 100 km"),
        ("a.csv", "t,x,y,z\n0,0,0,0\n1,1,0,900\n", "heights"),
        ("a.kml", "<kml><LineString/></kml>", "gx:Track"),
        ("a.ulg", "no log", "flight with time stamps"),
    ],
)
def test_what_is_no_flight_is_refused_in_one_line(name: str, content: str, expected: str, tmp_path: Path) -> None:
    if name.endswith(".ulg"):
        pytest.importorskip("pyulog")
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=expected) as refused:
        flying(tmp_path, name)
    assert "uavs[0].track" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_times_must_rise() -> None:
    uav = replace(SMALL.uavs[0], track=((0.0, 0.0, 0.0, 10.0), (0.0, 5.0, 0.0, 10.0)))
    with pytest.raises(InputError, match=r"track\[1\]: got 0.0, expected a later time"):
        loads(dump(replace(SMALL, uavs=(uav,))))


def test_what_is_written_is_read() -> None:
    uav = replace(SMALL.uavs[0], track=tuple(FIXES))
    scenario = replace(SMALL, uavs=(uav, SMALL.uavs[1]))
    assert loads(dump(scenario)) == scenario


def test_instants() -> None:
    assert instant("1970-01-01T00:00:10Z") == 10.0
    assert instant("1970-01-01T01:00:10.250+01:00") == 10.25
    assert instant("1970-01-01 00:00:10") == 10.0
    assert instant("1700000000123") == 1700000000.123
    assert instant("12.5") == 12.5


def flown(fixes: list[tuple[float, float, float, float]]) -> tuple[Flight, Track]:
    uav = replace(SMALL.uavs[0], track=tuple(fixes))
    return Flight(replace(SMALL, uavs=(uav,))), Track(fixes)


legs = st.tuples(st.floats(0.5, 20.0), st.floats(-10.0, 10.0), st.floats(-10.0, 10.0), st.floats(0.0, 100.0))


@settings(max_examples=15)
@given(st.lists(legs, min_size=2, max_size=8))
def test_a_record_is_flown_as_it_was(drawn: list[tuple[float, float, float, float]]) -> None:
    """Within a metre and a half at any time, whatever the limits of the UAV's own are."""
    fixes = [(0.0, 0.0, 0.0, 50.0)]
    for step, east, north, up in drawn:
        time, x, y, z = fixes[-1]
        climb = min(max(up - z, -5.0 * step), 5.0 * step)
        fixes.append((time + step, x + step * east, y + step * north, z + climb))
    flight, track = flown(fixes)
    for time in np.arange(0.0, fixes[-1][0] + 3.0, 0.7):
        flight.advance(time)
        wanted, _ = track.at(time)
        assert np.linalg.norm(flight.position[0] - wanted) < 1.5 + 0.05 * track.hardest


def test_a_track_goes_through_its_fixes_and_rests_at_its_ends() -> None:
    track = Track(FIXES)
    for time, *place in FIXES:
        assert track.at(time)[0].tolist() == pytest.approx(place)
    for time in (-1.0, 0.0, 20.0, 1e9):
        assert np.linalg.norm(track.at(time)[1]) < 1e-9
    mid, course = track.at(7.0)
    early = track.at(7.0 - 1e-4)[0]
    assert (mid - early) / 1e-4 == pytest.approx(course, abs=1e-2)


def test_a_uav_that_stands_elsewhere_flies_to_the_beginning_first() -> None:
    """As in Gazebo, where a UAV may stand on the ground at first: by the pilot and a mover of our own."""
    uav = replace(SMALL.uavs[0], track=tuple((t, x, y, z + 20.0) for t, x, y, z in FIXES))
    pilot = Pilot(routes_of([uav]), Mobilities([uav]))
    position, velocity = np.array([[0.0, -100.0, 0.0]]), np.zeros((1, 3))
    distances = []
    for _ in range(1000):
        command = pilot.step(position, 0.05)
        position, velocity = move(position, velocity, command, routes_of([uav]).acceleration, 0.05)
        distances.append(float(np.linalg.norm(position[0] - (100.0, 60.0, 80.0))))
    assert distances[-1] < 0.5
    assert min(distances[:400]) > 20.0  # 20 s: it has begun later than the clock did


def test_a_shift_of_the_start_moves_the_record() -> None:
    uav = replace(SMALL.uavs[0], track=tuple(FIXES))
    chance = replace(SMALL.randomness, start_shift="uniform(5, 10)")
    moved = varied(replace(SMALL, uavs=(uav,), randomness=chance), 3).uavs[0]
    (_, x, y, z), (first_x, first_y) = moved.track[0], moved.route[0]
    assert 5.0 <= x <= 10.0
    assert (x - first_x, y - first_y) == pytest.approx((-uav.route[0][0], -uav.route[0][1]))
    assert z == 0.0


def test_a_city_with_a_record_is_nothing_to_warn_of(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x,y,z\n0,-100,20,100\n30,100,20,100\n")
    scenario = flying(tmp_path, "a.csv")
    assert not [one for one in warnings(scenario) if "uav_1" in one and "range" in one]
    assert math.isclose(Flight(scenario).position[0, 0], -100.0)


def test_flights_from_elsewhere_come_to_any_city(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from uav_twin_migration.cli.main import main

    rows = [f"{t},{9_000 + 3.0 * t:.1f},{-4_000 + 20 * math.sin(t / 9):.1f},2000" for t in range(700)]
    (tmp_path / "hike.csv").write_text("\n".join(["t,x,y,alt", *rows]))
    made = tmp_path / "city.yaml"
    assert main(["scenario", "record", "small", str(tmp_path / "hike.csv"), "-o", str(made)]) == 0
    assert "of 1 recorded flight" in capsys.readouterr().out
    scenario = load(made)
    middle = np.mean([rsu.position for rsu in scenario.rsus], axis=0)
    for uav, before in zip(scenario.uavs, SMALL.uavs, strict=True):
        track = np.array(uav.track)
        assert track[0, 0] == 0.0
        assert 290.0 < track[-1, 0] <= 300.0
        assert (track[:, 3] == before.altitude).all()
        assert (track[:, 1:3].min(axis=0) + track[:, 1:3].max(axis=0)) / 2 == pytest.approx(middle, abs=0.1)
    first, second = (uav.track for uav in scenario.uavs)
    assert first != second  # two pieces of one flight
    assert main(["scenario", "record", "small", str(tmp_path / "none.csv"), "-o", str(made)]) == 2
    assert "none.csv" in capsys.readouterr().err
