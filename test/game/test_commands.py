"""`uavtwin solve`, `respond`, `figures` and `bench` as a user calls them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from test.game.markets import random_markets
from test.game.test_market import GOOD
from uav_twin_migration.cli.main import BAD_INPUT, DONE, FAILED, main
from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.snapshot import market_at

PRICED = GOOD | {"prices": [2.0, 3.0, 4.0]}
# Two RSUs, four UAVs, rho .93: best replies jump past each other.
WITHOUT: dict[str, Any] = {
    "alpha": [8.0, 14.0, 20.0, 10.0],
    "required_rate": [1.2, 3.0, 2.0, 4.5],
    "efficiency": [[4.0, 5.0], [6.0, 0.0], [0.0, 3.0], [5.0, 4.0]],
    "unit_cost": [1.0, 1.0],
    "capacity": None,
    "price_cap": 20.0,
    "rho": 0.97,
}


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def market_file(tmp_path: Path) -> Path:
    path = tmp_path / "market.json"
    path.write_text(json.dumps(PRICED))
    return path


def test_solves_a_market(market_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "solve", str(market_file), "--json", "-")
    told = json.loads(out)
    assert code == DONE
    assert told["status"] == "equilibrium"
    assert told["agrees_from_above_and_below"] is True
    assert told["exploitability"] < 1e-6
    assert np.shape(told["bandwidth"]) == (2, 3)
    assert {len(told[key]) for key in ("prices", "profits", "prices_from_above")} == {3}
    assert len(told["utilities"]) == 2


def test_solves_a_list_of_unequal_markets_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    markets = [random_markets(seed, 1, rsus, 3)[0] for seed, rsus in ((1, 2), (2, 4), (3, 2))]
    source, target = tmp_path / "markets.json", tmp_path / "told.json"
    source.write_text(json.dumps([market.to_json() for market in markets]))
    code, out, _ = call(capsys, "solve", str(source), "--json", str(target))
    assert code == DONE
    assert out.count("equilibrium") == 3
    for market, told in zip(markets, json.loads(target.read_text()), strict=True):
        np.testing.assert_allclose(told["prices"], solve(market).prices, rtol=1e-7)
    source.write_text("[]")
    assert json.loads(call(capsys, "solve", str(source), "--json", "-")[1]) == []


def test_tells_where_there_is_no_equilibrium(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "without.json"
    path.write_text(json.dumps(WITHOUT))
    code, out, _ = call(capsys, "solve", str(path), "--json", "-")
    told = json.loads(out)
    assert code == DONE
    assert told["status"] == "no_pure_equilibrium"
    for key in ("prices", "bandwidth", "profits", "utilities", "exploitability"):
        assert told[key] is None
    assert told["agrees_from_above_and_below"] is False
    assert all(low < high for low, high in zip(told["cycle"]["lowest"], told["cycle"]["highest"], strict=True))
    assert "go round between" in call(capsys, "solve", str(path))[1]


def test_answers_prices(market_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps([PRICED, PRICED])))
    code, out, _ = call(capsys, "respond", "-", "--json", "-")
    told = json.loads(out)
    assert code == DONE
    assert told[0] == told[1]
    assert np.shape(told[0]["bandwidth"]) == (2, 3)
    assert {len(told[0][key]) for key in ("rate", "immersion", "utilities")} == {2}
    code, out, _ = call(capsys, "respond", str(market_file))
    assert code == DONE
    assert "immersion" in out


def test_json_has_no_infinity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "unreached.json"
    path.write_text(json.dumps(PRICED | {"efficiency": [[0, 0, 0], [1, 5, 0]]}))
    told = json.loads(call(capsys, "respond", str(path), "--json", "-")[1])
    assert told["price_index"][0] is None
    assert told["bandwidth"][0] == [0, 0, 0]


@pytest.mark.parametrize(
    ("command", "document", "named"),
    [
        ("solve", GOOD | {"rho": 1}, "rho"),
        ("solve", [GOOD, GOOD | {"alpha": [1, -1]}], "market 1: alpha[1]"),
        ("solve", {key: value for key, value in GOOD.items() if key != "unit_cost"}, "unit_cost"),
        ("solve", 7, "market"),
        ("respond", GOOD, "prices"),
        ("respond", PRICED | {"prices": [1, 2]}, "prices"),
        ("respond", PRICED | {"prices": [1, 0, 2]}, "prices[1]"),
        ("respond", PRICED | {"prices": [1, float("nan"), 2]}, "prices[1]"),
    ],
)
def test_bad_input_is_one_line_that_names_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, document: object, named: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    code, out, err = call(capsys, command, str(path), "--json", "-")
    assert code == BAD_INPUT
    assert out == ""
    assert err.count("\n") == 1
    assert named in err
    assert "bad.json" in err


@pytest.mark.parametrize("text", ["", "{", "[1,", "\x00", '{"alpha": NaN'])
def test_what_is_no_json_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    code, _, err = call(capsys, "solve", str(path))
    assert code == BAD_INPUT
    assert err.count("\n") == 1


def test_files_that_are_not_there(tmp_path: Path, market_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "solve", str(tmp_path / "none.json"))[0] == BAD_INPUT
    assert call(capsys, "solve", str(market_file), "--json", str(tmp_path / "no" / "folder.json"))[0] == FAILED


def test_solves_a_scenario_at_an_instant(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "solve", "--scenario", "small", "--at", "12.5", "--json", "-")
    assert code == DONE
    np.testing.assert_allclose(json.loads(out)["prices"], solve(market_at(load("small"), 12.5)).prices)
    assert call(capsys, "solve", "--scenario", "small", "--at", "-1")[0] == BAD_INPUT
    assert call(capsys, "solve", "--scenario", "no such")[0] == BAD_INPUT


def test_benchmarks_and_figures_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("bench", "nothing"), ("figures", "nothing", "-o", str(tmp_path))):
        with pytest.raises(SystemExit) as ended:
            main(list(command))
        assert ended.value.code == BAD_INPUT
        assert "got 'nothing', expected one of" in capsys.readouterr().err


@pytest.mark.slow
def test_game_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("uav_twin_migration.studies.figures.game.MARKETS", 6)
    code, _, _ = call(capsys, "figures", "game", "-o", str(tmp_path))
    assert code == DONE
    pictures, tables = sorted(tmp_path.glob("*.png")), sorted(tmp_path.glob("*.csv"))
    assert [path.stem for path in pictures] == [path.stem for path in tables]
    assert len(pictures) == 6
    for path in tables:
        rows = path.read_text().splitlines()
        assert len(rows) > 10
        assert {row.count(",") for row in rows} == {rows[0].count(",")}


def test_baselines_of_the_benchmark_agree_with_the_solver() -> None:
    pytest.importorskip("scipy")
    from uav_twin_migration.game.sample import sample
    from uav_twin_migration.studies.benchmarks.game import grid_iteration, scipy_iteration

    market = sample(np.random.default_rng(2), 1, 3, 8)[0]
    ours = solve(market).prices
    np.testing.assert_allclose(scipy_iteration(market), ours, rtol=1e-4)
    np.testing.assert_allclose(grid_iteration(market), ours, rtol=0.02)
