"""Radio maps: what is written is read, what is between points is interpolated, and everything that uses radio reads it.

small.map is our own run (sionna-rt 2.2.0 on a CPU, 2026-11-30):
`uavtwin radiomap small -o test/radio/small.map --cell 20 --rays 1000000 --heights 80 100 120`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.radio import ray_tracing
from uav_twin_migration.radio.comparison import compared
from uav_twin_migration.radio.model import Mapped, Radio
from uav_twin_migration.radio.radio_map import UNREACHED, RadioMap, encoded, from_bytes, load, save, to_bytes
from uav_twin_migration.scenario.examine import warnings
from uav_twin_migration.scenario.load import load as load_scenario
from uav_twin_migration.scenario.load import loads
from uav_twin_migration.scenario.snapshot import Snapshot

SMALL = Path(__file__).with_name("small.map")
ANTENNA = [[0.0, 0.0, 15.0]]


def made(loss: object) -> RadioMap:
    """A map of one antenna: heights 50 and 100 m, points 10 m apart from (0, 0) on."""
    codes = encoded(np.asarray(loss, dtype=float)[None])
    grid = np.array(ANTENNA), 3.5, np.array([50.0, 100.0]), (0.0, 0.0), 10.0, codes
    return RadioMap(("west",), *grid, {"scenario": "made"})


@given(st.lists(st.integers(0, 255), min_size=24, max_size=24))
def test_what_is_written_is_read(codes: list[int]) -> None:
    wanted = replace(made(np.zeros((2, 3, 4))), codes=np.array(codes, dtype=np.uint8).reshape(1, 2, 3, 4))
    got = from_bytes(to_bytes(wanted))
    assert got.rsus == wanted.rsus
    assert (got.codes == wanted.codes).all()
    assert (got.antennas == wanted.antennas).all()
    assert (got.heights == wanted.heights).all()
    assert (got.corner, got.cell, got.frequency) == (wanted.corner, wanted.cell, wanted.frequency)
    assert got.about == wanted.about


@given(st.floats(0, 30), st.floats(0, 20), st.floats(50, 100))
def test_between_points_the_loss_is_linear(x: float, y: float, z: float) -> None:
    h, r, c = np.meshgrid([50.0, 100.0], [0.0, 10.0, 20.0], [0.0, 10.0, 20.0, 30.0], indexing="ij")
    found = made(60.0 + 0.1 * c + 0.2 * r + 0.3 * h).loss_at(ANTENNA, [[x, y, z]])
    assert found == pytest.approx(60.0 + 0.1 * x + 0.2 * y + 0.3 * z, abs=0.25)  # half a step


def test_a_place_that_no_path_reaches_loses_all_and_its_neighbours_do_not() -> None:
    loss = np.full((2, 3, 4), 80.0)
    loss[:, 0, 0] = np.inf
    found = made(loss).loss_at(ANTENNA, [[0.0, 0.0, 75.0], [2.0, 2.0, 75.0], [10.0, 0.0, 75.0], [8.0, 8.0, 75.0]])
    assert found[:, 0].tolist() == [UNREACHED, UNREACHED, 80.0, 80.0]


def test_the_map_says_nothing_outside_of_it_or_of_other_antennas() -> None:
    found = made(np.full((2, 3, 4), 80.0))
    places = [[-6.0, 0.0, 75.0], [36.0, 0.0, 75.0], [0.0, 26.0, 75.0], [0.0, 0.0, 49.0], [0.0, 0.0, 101.0]]
    assert np.isnan(found.loss_at(ANTENNA, places)).all()
    assert np.isnan(found.loss_at([[1.0, 0.0, 15.0]], [[10.0, 10.0, 75.0]])).all()
    assert found.loss_at(ANTENNA, [[-4.0, 24.0, 75.0]]) == 80.0


def test_games_and_times_may_lead_the_axes() -> None:
    found = load(SMALL)
    antennas = np.stack([found.antennas, found.antennas[::-1]])  # [games, M, 3]
    places = np.random.default_rng(1).uniform((-400, -200, 85), (400, 200, 115), (5, 2, 7, 3))
    batch = found.loss_at(antennas, places)
    assert batch.shape == (5, 2, 7, 2)
    assert (batch[3, 1] == found.loss_at(antennas[1], places[3, 1])).all()


def test_a_city_reads_its_links_from_the_map_and_asks_3gpp_outside_of_it(tmp_path: Path) -> None:
    scenario = load_scenario("small")
    traced = replace(scenario, radio=replace(scenario.radio, map=str(SMALL)))
    mapped, plain = Snapshot(traced), Snapshot(scenario)
    inside, below = [[100.0, 30.0, 100.0]], [[100.0, 30.0, 30.0]]
    budget = scenario.radio
    loss = load(SMALL).loss_at(mapped.antennas, inside)
    received = budget.transmit_power + budget.antenna_gain - loss
    assert mapped.links(inside).snr - received == pytest.approx(91.99, abs=0.01)  # the noise, docs/radio.md
    assert (mapped.links(below).snr == plain.links(below).snr).all()
    assert (mapped.links(inside).snr != plain.links(inside).snr).all()
    assert warnings(traced) == warnings(scenario)


def test_a_map_lies_beside_its_scenario(tmp_path: Path) -> None:
    text = load_text("small").replace("radio:\n", f"radio:\n  map: {SMALL.name}\n  #", 1)
    (tmp_path / SMALL.name).write_bytes(SMALL.read_bytes())
    assert loads(text, "city.yaml", tmp_path).radio.map == str(tmp_path / SMALL.name)


def load_text(name: str) -> str:
    from uav_twin_migration.scenario.load import dump

    text = dump(load_scenario(name))
    return text.replace('  map: ""\n', "")


def test_a_map_of_another_city_is_refused_and_one_of_other_buildings_warned_of() -> None:
    scenario = load_scenario("small")
    radio = replace(scenario.radio, map=str(SMALL))
    with pytest.raises(InputError, match="make it anew"):
        Snapshot(replace(load_scenario("default"), radio=radio))
    with pytest.raises(InputError, match=r"at the scenario's 28 GHz"):
        Snapshot(replace(scenario, radio=replace(radio, carrier_frequency=28.0)))
    with pytest.raises(InputError, match="readable file"):
        Snapshot(replace(scenario, radio=replace(radio, map="nowhere.map")))
    fewer = replace(scenario, radio=radio, buildings=scenario.buildings[1:])
    assert [one for one in warnings(fewer) if "other buildings" in one]


def test_a_node_goes_on_with_3gpp_and_says_so() -> None:
    said: list[str] = []
    radio = Radio(replace(load_scenario("small").radio, map="nowhere.map"), said.append)
    assert not isinstance(radio.built_in, Mapped)
    assert len(said) == 1
    assert "nowhere.map" in said[0]


@pytest.mark.parametrize("damage", [b"", b"PK\3\4", b"uav_twin_migration radio map 1\n{}\n"])
def test_no_map_is_refused_in_one_line(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "city.map"
    path.write_bytes(damage)
    with pytest.raises(InputError, match="radiomap") as refused:
        load(path)
    assert "\n" not in str(refused.value)


def test_a_map_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    import zlib

    head = to_bytes(made(np.zeros((2, 3, 4)))).split(b"\n")[:2]
    with pytest.raises(ValueError, match="24 were expected"):
        from_bytes(b"\n".join(head) + b"\n" + zlib.compress(bytes(100_000_000)))


def test_maps_are_small(tmp_path: Path) -> None:
    found = load(SMALL)
    rows, columns = found.codes.shape[2:]
    area = rows * columns * found.cell**2 / 1e6
    assert save(found, tmp_path / "again.map") / area < 2e6
    assert compared(load_scenario("small"), found)["differences"]["in line of sight"]["places"] > 1000


def test_training_plays_in_the_traced_city() -> None:
    pytest.importorskip("torch")
    from uav_twin_migration.learning.games import GameDistribution, draw_games, with_plugins

    usual = with_plugins(GameDistribution(), "", "")
    mapped = with_plugins(GameDistribution(), "", "", str(SMALL))
    market = draw_games(mapped, np.random.default_rng(1), 3, 2, 4, 5)
    assert mapped.rsus == (2, 2)
    assert market.efficiency.shape == (5, 3, 4, 2)
    assert (market.efficiency > 0).any()
    assert draw_games(usual, np.random.default_rng(1), 1, 2, 2, 2).efficiency.shape == (2, 1, 2, 2)


def test_without_a_gpu_or_llvm_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen with sionna-rt 2.2.0 on 2026-11-30, where LLVM's library was named that is not there, and LLVM 14."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(ray_tracing, "find_library", lambda name: None)
    monkeypatch.setenv(ray_tracing.LLVM_PATH, "/nowhere/libLLVM.so.19")
    with pytest.raises(UavTwinError, match="libllvm19") as refused:
        ray_tracing.sionna()
    assert "\n" not in str(refused.value)


def test_without_sionna_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UavTwinError, match="raytracing"):
        ray_tracing.sionna()


def test_the_newest_llvm_that_serves_is_taken(tmp_path: Path) -> None:
    names = ["libLLVM-14.so.1", "libLLVM-15.so.1", "libLLVM-16.so.1", "libLLVM.so.19.1", "libLLVM-C.so"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "libLLVM.so").symlink_to("libLLVM-14.so.1")
    paths = [str(tmp_path / name) for name in [*names, "libLLVM.so", "libLLVM-20.so"]]  # the last does not exist
    assert ray_tracing.newest_llvm(paths) == str(tmp_path / "libLLVM.so.19.1")
    assert ray_tracing.newest_llvm(paths[:2]) == ""


@pytest.mark.slow
def test_a_city_is_traced() -> None:
    """By the real tracer, where it is installed: in a plane without buildings, two paths."""
    pytest.importorskip("sionna.rt")
    scenario = replace(load_scenario("small"), buildings=())
    found = ray_tracing.trace(scenario, ray_tracing.Tracing(heights=(100.0,), cell=50.0, samples=200_000))
    for name, of in compared(scenario, found)["differences"].items():
        assert name == "in line of sight"
        assert -4.0 < of["mean_db"] < 0.5


def test_the_command_refuses_in_one_line_what_it_cannot_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from uav_twin_migration.cli.main import main

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for words, code, said in (
        (["small", "-o", "nowhere/city.map"], 2, "--output"),
        (["small", "-o", str(tmp_path / "a.map"), "--figure", "a.doc"], 2, "--figure"),
        (["small", "-o", str(tmp_path / "a.map"), "--depth", "99"], 2, "--depth"),
        (["small", "-o", str(tmp_path / "a.map"), "--cell", "1"], 1, "raytracing"),
    ):
        assert main(["radiomap", *words]) == code
        line = [one for one in capsys.readouterr().err.splitlines() if "warning" not in one]
        assert len(line) == 1
        assert said in line[0]
