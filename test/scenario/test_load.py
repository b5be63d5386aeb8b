"""The scenario file: what is read, what is refused and with which words, and that writing and reading agree."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uav_twin_migration import shipped as shipped_files
from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.load import SHIPPED, dump, dump_json, load, loads, save, scenario_path
from uav_twin_migration.scenario.model import (
    Building,
    MarketParameters,
    Origin,
    RadioParameters,
    Rsu,
    Scenario,
    Uav,
)

TEXT = """
name: Two streets
origin: {latitude: 50.1, longitude: 14.4}
market: {rho: 0.5}
rsus:
  - {id: west, position: [-200, 0], antenna_height: 15, range: 600, capacity: 20, unit_cost: 1, price_cap: 20}
  - {id: no, position: [200, 0], antenna_height: 15, range: 600, capacity: 1e1, unit_cost: 1, price_cap: 20}
uavs:
  - {id: u1, route: [[0, 0], [100, 0]], altitude: 100, speed: 10, acceleration: 2, immersion_weight: 10,
     twin_size: 60, loop: false}
buildings:
  - {footprint: [[0, 0], [30, 0], [30, 10], [10, 10], [10, 30], [0, 30]], height: 20}
"""


def raw() -> dict[str, Any]:
    return json.loads(dump_json(loads(TEXT)))


def set_key(tree: Any, path: str, value: object) -> None:
    *way, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    for key in way:
        tree = tree[key]
    tree[last] = value


def refusal(tree: object) -> InputError:
    with pytest.raises(InputError) as caught:
        loads(json.dumps(tree), "city.json")
    return caught.value


def test_values_and_defaults_are_read() -> None:
    scenario = loads(TEXT)
    assert [rsu.id for rsu in scenario.rsus] == ["west", "no"]  # YAML 1.1 alone would take `no` for false
    assert scenario.rsus[1].capacity == 10.0  # and 1e1 for text
    assert scenario.uavs[0] == Uav("u1", ((0.0, 0.0), (100.0, 0.0)), 100.0, 10.0, 2.0, 10.0, 60.0, loop=False)
    assert scenario.market == MarketParameters(rho=0.5)
    assert scenario.radio == RadioParameters()
    assert scenario.buildings[0].base == 0.0


@pytest.mark.parametrize(
    ("path", "value", "key", "expected"),
    [
        ("rsus/1/capacity", -1, "rsus[1].capacity", "at least 0.001, at most 1000000"),
        ("rsus/1/capacity", float("nan"), "rsus[1].capacity", "a number"),
        ("rsus/1/capacity", float("inf"), "rsus[1].capacity", "a number"),
        ("rsus/1/capacity", 10**400, "rsus[1].capacity", "a number"),
        ("rsus/1/capacity", None, "rsus[1].capacity", "a number"),
        ("rsus/1/capacity", True, "rsus[1].capacity", "a number"),
        ("rsus/1/capacity", [1], "rsus[1].capacity", "a number"),
        ("rsus/1/price_cap", 0.5, "rsus[1].price_cap", "more than the unit_cost 1"),
        ("rsus/1/id", "west", "rsus[1].id", "an id that no other has"),
        ("rsus/1/id", "", "rsus[1].id", "a ROS name token"),
        ("rsus/1/id", "2nd", "rsus[1].id", "a ROS name token"),
        ("rsus/1/id", "a-b", "rsus[1].id", "a ROS name token"),
        ("rsus/1/id", "a\n", "rsus[1].id", "a ROS name token"),
        ("rsus/1/id", "x" * 65, "rsus[1].id", "at most 64"),
        ("rsus/1/position", [1, 2, 3], "rsus[1].position", "[east, north]"),
        ("rsus/1/position", [1, 1e9], "rsus[1].position", "at most 100000"),
        ("rsus/1/capactiy", 5, "rsus[1].capactiy", "did you mean 'capacity'"),
        ("rsus", [], "rsus", "at least one RSU"),
        ("rsus/0", 7, "rsus[0]", "a mapping with id"),
        ("uavs/0/route", [[0, 0], [0, 0]], "uavs[0].route[1]", "another point"),
        ("uavs/0/route", [], "uavs[0].route", "at least one waypoint"),
        ("uavs/0/altitude", 301, "uavs[0].altitude", "at most 300"),
        ("uavs/0/loop", "yes", "uavs[0].loop", "true or false"),
        ("buildings/0/footprint", [[0, 0], [1, 1], [1, 0], [0, 1]], "buildings[0].footprint", "simple polygon"),
        ("buildings/0/footprint", [[0, 0], [1, 0], [1, 1], [0, 0]], "buildings[0].footprint", "simple polygon"),
        ("buildings/0/footprint", [[0, 0], [1, 0], [2, 0]], "buildings[0].footprint", "simple polygon"),
        ("buildings/0/footprint/1", [0, "x"], "buildings[0].footprint[1]", "a number"),
        ("buildings/0/height", 0, "buildings[0].height", "at least 0.001"),
        ("market/rho", 1, "market.rho", "at most 0.99"),
        ("market/offer_window", 1.0, "market.offer_window", "less than the round_period 1"),
        ("market/max_bids", 1.5, "market.max_bids", "a whole number"),
        ("market/max_stay", 1, "market.max_stay", "at least the min_stay 30"),
        ("radio/environment", "RMa", "radio.environment", "one of UMi-AV, UMa-AV"),
        ("origin/latitude", 91, "origin.latitude", "at most 90"),
        ("name", "", "name", "one line"),
        ("zzz", 1, "zzz", "one of name, faults, origin"),
    ],
)
def test_refused_with_key_value_and_expectation(path: str, value: object, key: str, expected: str) -> None:
    tree = raw()
    set_key(tree, path, value)
    error = refusal(tree)
    assert error.source == "city.json"
    assert error.key == key
    assert expected in error.expected
    assert "\n" not in str(error)


def test_missing_key_is_named() -> None:
    tree = raw()
    del tree["rsus"][0]["range"]
    assert refusal(tree).key == "rsus[0].range"


# nine lists of nine aliases each: 271 bytes that would unfold to 387 million values
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefghi", "bcdefghik", strict=True)
)


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("", "file", "a mapping with name"),
        ("[1, 2]", "file", "a mapping with name"),
        ("name: [", "line 2", "YAML (did not find expected node content)"),
        ("name: a\n  b: c: d\n", "line 2", "YAML (mapping values are not allowed"),
        ("name: *nobody", "line 1", "YAML (found undefined alias)"),
        ("? [1, 2]\n: 3", "file", "a word as key"),
        ("name: a\nname: b\n", "name", "comes twice"),
        ('{"name": "a", "name": "b"}', "name", "comes twice"),
        ("rsus:\n  - {id: a}\n  - id: b\n    range: 1\n    range: 2\n", "rsus[1].range", "on lines 4 and 5"),
        ('{"rsus": [{"id": "a",\n"id": "b"}]}', "rsus[0].id", "on lines 1 and 2"),
        pytest.param("[" * 100_000, "file", "sections", id="deeper"),
        pytest.param(BOMB, "file", "aliases unfold", id="aliases of aliases"),
        ("!!python/object:os.system {}", "name", "missing"),
        pytest.param("- " * 5000 + "a", "file", "sections", id="deep"),
        pytest.param("a: " + "[" * 600 + "]" * 600, "file", "sections", id="deep and whole"),
        pytest.param("a: &a [*a]", "file", "aliases unfold", id="endless"),
        pytest.param("name: \x00", "file", "YAML", id="control character"),
    ],
)
def test_broken_text_is_refused(text: str, key: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        loads(text)
    assert caught.value.key == key
    assert expected in caught.value.expected


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.yaml", tmp_path, binary):
        with pytest.raises(InputError):
            load(path)
    with pytest.raises(InputError, match="default, small, large"):
        load("defualt")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenarios_are_found_by_name(name: str) -> None:
    path = scenario_path(name)
    assert path.name == f"{name}.yaml"
    assert load(name) == load(path)


def test_installed_scenarios_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = scenario_path("default").read_text(encoding="utf-8")
    installed = tmp_path / "lib" / "python3" / "site-packages" / "uav_twin_migration" / "shipped.py"
    workspace = tmp_path / "workspace"
    for prefix in (tmp_path, workspace):
        folder = prefix / "share" / "uav_twin_migration" / "config" / "scenarios"
        folder.mkdir(parents=True)
        (folder / "default.yaml").write_text(shipped, encoding="utf-8")
    monkeypatch.setattr(shipped_files, "__file__", str(installed))
    assert scenario_path("default").is_relative_to(tmp_path / "share")
    monkeypatch.setattr(shipped_files, "__file__", "/nowhere/lib/uav_twin_migration/shipped.py")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/none:{workspace}")
    assert scenario_path("default").is_relative_to(workspace)


positive = st.floats(1e-3, 1e3)
coordinate = st.floats(-1e4, 1e4)
point = st.tuples(coordinate, coordinate)
token = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,63}", fullmatch=True)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    cost = draw(positive)
    rsu = Rsu(
        draw(token), draw(point), draw(st.floats(1, 300)), draw(positive), draw(positive), cost, cost + draw(positive)
    )
    route = draw(st.lists(point, min_size=1, max_size=5, unique=True))
    uav = Uav(
        draw(token),
        tuple(route),
        draw(st.floats(1, 300)),
        10.0,
        2.0,
        draw(positive),
        draw(positive),
        draw(st.booleans()),
    )
    x, y = draw(point)
    width, depth = draw(st.floats(1, 100)), draw(st.floats(1, 100))
    block = Building(((x, y), (x + width, y), (x + width, y + depth), (x, y + depth)), draw(st.floats(1, 100)))
    return Scenario(
        name=draw(st.text(st.characters().filter(str.isprintable), min_size=1, max_size=20)),
        origin=Origin(draw(st.floats(-90, 90)), draw(st.floats(-180, 180)), draw(st.floats(-100, 5000))),
        rsus=(rsu, dataclasses.replace(rsu, id=rsu.id[:60] + "_b")),
        uavs=(uav,),
        radio=RadioParameters(
            environment=draw(st.sampled_from(["UMi-AV", "UMa-AV"])), antenna_gain=draw(positive) % 50
        ),
        market=MarketParameters(rho=draw(st.floats(0.01, 0.99)), max_bids=draw(st.integers(1, 99))),
        buildings=draw(st.sampled_from([(), (block,)])),
    )


@settings(max_examples=60)
@given(scenarios())
def test_reading_what_was_written_gives_the_same(scenario: Scenario) -> None:
    assert loads(dump(scenario)) == scenario
    assert loads(dump_json(scenario)) == scenario


def test_saved_files_load(tmp_path: Path) -> None:
    scenario = loads(TEXT)
    for name in ("city.yaml", "city.json"):
        save(scenario, tmp_path / name)
        assert load(tmp_path / name) == scenario


@settings(max_examples=60)
@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner)),
    st.data(),
)
def test_no_value_in_any_place_crashes(value: object, data: st.DataObject) -> None:
    tree = raw()
    path = data.draw(
        st.sampled_from(["rsus", "rsus/0", "rsus/0/id", "uavs/0/route", "buildings/0/footprint/1", "market"])
    )
    set_key(tree, path, value)
    with contextlib.suppress(InputError):
        loads(json.dumps(tree))
