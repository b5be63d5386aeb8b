"""Plug-ins in the market: in-process, with the machines that nodes run, and in commands."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test.market.virtual import VirtualMarket, make_leader
from uav_twin_migration.cli.main import main
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.game import followers, numeric, solve
from uav_twin_migration.game.sample import sample
from uav_twin_migration.game.utility import Utilities, WeberFechner, best_response, numeric_rate, worth
from uav_twin_migration.market.follower import Follower, FollowerSettings
from uav_twin_migration.market.hosting_decision import HostingChoice, Prospect
from uav_twin_migration.market.offer_board import OfferBoard
from uav_twin_migration.market.pricing import PluggedRule
from uav_twin_migration.scenario.load import check_plugins, dump, load, loads
from uav_twin_migration.scenario.snapshot import Snapshot, market_at

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "plugins"
UNDERCUT, SATURATING = f"{EXAMPLES}/pricing.py:Undercut", f"{EXAMPLES}/utility.py:Saturating"
BEST_LINK, RAIN = f"{EXAMPLES}/hosting.py:BestLink", f"{EXAMPLES}/radio.py:Rain"


class Logarithm:
    """The built-in's function, without its closed form."""

    def worth(self, rate: Any, alpha: Any, required_rate: Any) -> Any:
        return alpha * np.log1p(rate / required_rate)


class OneByOne:
    def worth(self, rate: float, alpha: float, required_rate: float) -> float:
        return alpha * math.log1p(rate / required_rate) if rate > 0.0 else 0.0


class Step:
    """Not concave: worth nothing below the required rate."""

    def worth(self, rate: Any, alpha: Any, required_rate: Any) -> Any:
        return np.where(rate >= required_rate, 2.0 * alpha, 0.0)


class Broken:
    def worth(self, rate: Any, alpha: Any, required_rate: Any) -> Any:
        return rate * np.nan


def test_a_rule_prices_its_rsu_and_the_market_goes_on_where_it_fails(tmp_path: Path) -> None:
    leaders = [make_leader(f"rsu_{m}") for m in range(2)]
    said: list[str] = []
    leaders[0].pricer = PluggedRule(UNDERCUT, 1.0, 20.0, 10.0, tell=said.append)
    failing = tmp_path / "failing.py"
    failing.write_text("class Failing:\n def decide(self, h, r):\n  return 2.5 if len(h) < 5 else float('nan')\n")
    leaders[1].pricer = PluggedRule(f"{failing}:Failing", 1.0, 20.0, 10.0, tell=said.append)
    board = OfferBoard()
    followers_ = [Follower(FollowerSettings("uav_0", 10.0, 60.0, 0.6), board)]
    market = VirtualMarket(leaders, followers_)
    market.run(20.4)
    assert pytest.approx(0.95 * 2.5) in [booked.result.price for booked in market.booked[:10]]
    assert leaders[1].round == leaders[0].round == 21
    assert len(said) == 1
    assert "failing.py:Failing: ValueError: the price is nan" in said[0]
    assert leaders[1].pricer.rule.errors > 10


def test_a_rule_is_made_anew_for_another_cost() -> None:
    rule = PluggedRule(UNDERCUT, 1.0, 20.0, 10.0)
    assert rule.decide([], [1.0]).price == 1.2
    rule.adopt(2.0, 20.0, 10.0)
    assert rule.decide([], [1.0]).price == 2.4


@given(st.integers(0, 2**31), st.floats(0.1, 0.9))
@settings(max_examples=25)
def test_the_numeric_best_response_is_the_closed_form_where_there_is_one(seed: int, rho: float) -> None:
    market = sample(np.random.default_rng(seed), 2, 3, 5, rho=rho)
    prices = market.unit_cost * np.random.default_rng(seed).uniform(1.0, 8.0, market.unit_cost.shape)
    asked = prices[:, None, :], market.efficiency, market.alpha, market.required_rate, market.rho[:, None]
    exact, found = followers.best_response(*asked), best_response(Logarithm(), *asked)
    np.testing.assert_allclose(found.rate, exact.rate, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(found.bandwidth, exact.bandwidth, rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(found.price_index, exact.price_index)


def test_a_function_of_single_numbers_serves_too() -> None:
    rates = np.array([[0.0, 1.0], [2.0, 3.0]])
    np.testing.assert_allclose(worth(OneByOne(), rates, 2.0, 1.0), worth(WeberFechner(), rates, 2.0, 1.0))


def test_a_utility_that_is_not_concave_is_answered_at_its_highest_point() -> None:
    index, alpha, wanted = np.array([1.0, 100.0]), np.full(2, 10.0), np.full(2, 3.0)
    np.testing.assert_allclose(numeric_rate(Step(), index, alpha, wanted), [3.0, 0.0], rtol=1e-6)


def test_nonsense_of_a_utility_is_refused() -> None:
    with pytest.raises(ValueError, match=r"worth\(.*nan"):
        worth(Broken(), [1.0], 1.0, 1.0)
    with pytest.raises(UavTwinError, match="Broken"):
        Utilities([f"{__name__}:Broken"]).respond(market_at(load("small"), 30.0), [3.0, 3.0])


def test_uavs_with_utilities_of_their_own_answer_each_by_its_own() -> None:
    market = market_at(load("default"), 30.0)
    texts = ["", SATURATING, "", SATURATING, "", "", "", ""]
    mixed, plain, own = Utilities(texts), Utilities([""]), Utilities([SATURATING])
    prices = 2.0 * market.unit_cost
    answers = [each.respond(market, prices) for each in (mixed, plain, own)]
    for n, text in enumerate(texts):
        for field in range(3):
            np.testing.assert_allclose(answers[0][field][n], answers[2 if text else 1][field][n], rtol=1e-12)


def test_the_numeric_equilibrium_is_the_proven_one_where_that_exists() -> None:
    market = sample(np.random.default_rng(1), 1, 2, 4, rho=0.5)
    found, proven = numeric.solve(market, Utilities([f"{__name__}:Logarithm"])), solve(market)
    assert found.found.all()
    assert found.agrees.all()
    np.testing.assert_allclose(found.prices, proven.prices, rtol=1e-3)
    np.testing.assert_allclose(found.profits, proven.profits, rtol=1e-4)
    some = 2.0 * market.unit_cost
    ours = numeric.exploitability(market, Utilities([f"{__name__}:Logarithm"]), some)
    from uav_twin_migration.game import exploitability

    np.testing.assert_allclose(ours, exploitability(market, some), rtol=1e-4)


def test_a_follower_buys_by_its_utility_and_by_the_builtin_where_that_fails() -> None:
    said: list[str] = []
    texts = ["", SATURATING, f"{__name__}:Broken"]
    bought = []
    for text in texts:
        follower = Follower(FollowerSettings("uav_0", 10.0, 60.0, 0.6, utility=text), OfferBoard(), said.append)
        market = VirtualMarket([make_leader()], [follower])
        market.run(3.4)
        bought.append(follower.bandwidth(market.now)["rsu_0"])
    assert bought[1] != pytest.approx(bought[0])
    assert bought[2] == pytest.approx(bought[0])
    assert follower.describe_plugins()["plugin_errors/utility"] > 1
    assert len(said) == 1


FAR, NEAR = Prospect(90.0, 2.0, 400.0, 1.0), Prospect(30.0, 5.0, 50.0, 9.0)


@pytest.mark.parametrize(
    ("plugin", "first", "then"),
    [
        ("", "far", "far"),
        ("nearest", "near", "near"),
        ("nearest(margin=500.0)", "near", "near"),
        ("reactive", "near", "near"),
        ("cost_aware", "far", "far"),
        (BEST_LINK, "near", "near"),
    ],
)
def test_each_hosting_decision_chooses_as_it_says(plugin: str, first: str, then: str) -> None:
    choice = HostingChoice(plugin)
    assert choice.update(0.0, {"far": FAR, "near": NEAR})
    assert choice.host == first
    choice.update(1.0, {"far": FAR, "near": NEAR})
    assert choice.host == then
    assert choice.update(2.0, {})
    assert choice.host is None


def test_a_hosting_decision_moves_when_it_pays() -> None:
    for plugin, moved in (("", 1), ("nearest", 1), ("reactive", 0), ("cost_aware", 1), (BEST_LINK, 1)):
        choice = HostingChoice(plugin)
        choice.update(0.0, {"a": Prospect(60.0, 5.0, 10.0, 1.0)})
        leaving = {"a": Prospect(20.0, 1.0, 300.0, 1.0), "b": Prospect(90.0, 5.0, 100.0, 2.0)}
        choice.update(20.0, leaving)
        assert choice.changes == moved, plugin


def test_a_choice_of_an_rsu_that_is_none_is_answered_by_the_builtin(tmp_path: Path) -> None:
    own = tmp_path / "odd.py"
    own.write_text("class Odd:\n def choose(self, now, host, since, prospects): return 'moon'\n")
    said: list[str] = []
    choice = HostingChoice(f"{own}:Odd", said.append)
    choice.update(0.0, {"far": FAR, "near": NEAR})
    assert choice.host == "far"
    assert "moon" in said[0]


def test_a_radio_model_changes_what_links_carry() -> None:
    scenario = load("small")
    rainy = replace(scenario, radio=replace(scenario.radio, model=f"{RAIN}(attenuation=40.0)"))
    places = [[0.0, 0.0, 100.0], [300.0, 0.0, 100.0]]
    dry, wet = Snapshot(scenario).links(places), Snapshot(rainy).links(places)
    np.testing.assert_allclose(wet.snr, dry.snr - 0.04 * dry.distance)
    assert (wet.efficiency <= dry.efficiency).all()
    assert wet.efficiency.max() > 0.0


def test_links_that_are_none_are_the_builtin_s_in_a_node_and_an_error_in_a_study(tmp_path: Path) -> None:
    own = tmp_path / "flat.py"
    own.write_text("class Flat:\n def links(self, radio, a, r, p, los): return None\n")
    scenario = load("small")
    odd = replace(scenario, radio=replace(scenario.radio, model=f"{own}:Flat"))
    said: list[str] = []
    np.testing.assert_array_equal(
        Snapshot(odd, said.append).links([[0.0, 0.0, 100.0]]).snr, Snapshot(scenario).links([[0.0, 0.0, 100.0]]).snr
    )
    assert len(said) == 1
    with pytest.raises(UavTwinError, match=r"flat.py:Flat"):
        market_at(odd, 0.0)


def test_a_scenario_names_plugins_beside_it_and_is_read_without_running_any(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("raise RuntimeError('ran')")
    scenario = load("small")
    rsus = (replace(scenario.rsus[0], pricing="own.py:Own(margin=0.1)"), *scenario.rsus[1:])
    (tmp_path / "city.yaml").write_text(dump(replace(scenario, rsus=rsus)))
    read = load(tmp_path / "city.yaml")
    assert read.rsus[0].pricing == f"{tmp_path}/own.py:Own(margin=0.1)"
    assert loads(dump(read), folder=tmp_path) == read
    with pytest.raises(InputError, match=r"own.py:Own.*RuntimeError: ran"):
        check_plugins(read)


def test_solve_respond_and_evaluate_take_plugins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    market = sample(np.random.default_rng(2), 1, 2, 3, rho=0.5)[0]
    path, out = tmp_path / "market.json", tmp_path / "out.json"
    path.write_text(json.dumps({**market.to_json(), "prices": [2.0, 2.0]}))
    assert main(["solve", str(path), "--utility", SATURATING, "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["status"] == "equilibrium"
    assert found["gain_at_most"] is None
    assert "as far as found" in capsys.readouterr().out
    assert main(["respond", str(path), "--utility", SATURATING, "--json", str(out)]) == 0
    assert min(json.loads(out.read_text())["rate"]) >= 0.0
    assert main(["evaluate", UNDERCUT, "--markets", str(path), "--rounds", "5", "--json", str(out)]) == 0
    told = json.loads(out.read_text())
    assert len(told["prices"][0]) == 2
    assert main(["solve", str(path), "--utility", f"{__name__}:Broken"]) == 1
    assert "Broken" in capsys.readouterr().err
    assert main(["solve", str(path), "--utility", "nowhere.py:Own"]) == 2
