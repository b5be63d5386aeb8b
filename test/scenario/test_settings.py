"""The table of settings: what its entries say, and that files, nodes and wire all go by it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import pytest

from uav_twin_migration.deployment.options import Options
from uav_twin_migration.deployment.plan import plan, rsu_node, uav_container_node, uav_node
from uav_twin_migration.errors import InputError
from uav_twin_migration.market import messages
from uav_twin_migration.scenario.load import load, loads
from uav_twin_migration.scenario.model import MarketParameters, Rsu, Uav
from uav_twin_migration.scenario.parameters import NODE_RECORDS, container_parameters, parameters_of
from uav_twin_migration.scenario.settings import (
    RSU,
    RULES,
    SCENARIO,
    UAV,
    Numbers,
    Refusal,
    Setting,
    Texts,
    check_rules,
    made_of,
    setting_of,
    settings_of,
    shown,
    values_for,
)
from uav_twin_migration.twin.hosting.admission import HostSettings

BITS_OF_A_BYTE = 8
FILE = """
name: "t"
origin: {latitude: 50.1, longitude: 14.4}
rsus:
  - {id: west, position: [-200, 0], antenna_height: 15, range: 600, capacity: 20, unit_cost: 1, price_cap: 20}
uavs:
  - {id: uav_1, route: [[-300, 20], [300, 20]], altitude: 100, speed: 12, acceleration: 3, immersion_weight: 12,
     twin_size: 100}
"""


@pytest.mark.parametrize(
    ("old", "new", "key", "bound"),
    [
        ("twin_size: 100", "twin_size: 1e9", "uavs[0].twin_size", "at most 100000"),
        ("twin_size: 100", "twin_size: 1e-300", "uavs[0].twin_size", "at least 0.001"),
        ("capacity: 20", "capacity: 1e-300", "rsus[0].capacity", "at least 0.001"),
        ("capacity: 20", "capacity: 1e9", "rsus[0].capacity", "at most 1000000"),
        ("unit_cost: 1", "unit_cost: 1e-300", "rsus[0].unit_cost", "at least 1e-12"),
        ("price_cap: 20", "price_cap: 1e300", "rsus[0].price_cap", "at most 1e18"),
        ('name: "t"', 'name: "t"\nmarket: {max_bids: 1e308}', "market.max_bids", "at most 256"),
        ('name: "t"', 'name: "t"\nmarket: {lease_rounds: 1e9}', "market.lease_rounds", "at most 100"),
    ],
)
def test_what_no_node_would_take_is_refused_by_the_file(old: str, new: str, key: str, bound: str) -> None:
    with pytest.raises(InputError) as caught:
        loads(FILE.replace(old, new), "t.yaml")
    assert caught.value.key == key
    assert bound in caught.value.expected


@pytest.mark.parametrize("setting", [*parameters_of(RSU), *parameters_of(UAV)], ids=lambda one: one.name)
def test_what_a_node_knows_is_documented_bounded_and_good_by_default(setting: Setting) -> None:
    assert setting.meaning
    assert setting.expected
    if not setting.required:
        assert setting.read(setting.default) == setting.default
    if setting.kind in (float, int):
        assert setting.low < setting.high < float("inf")
    assert bool(setting.changes) != bool(setting.why_fixed)


def test_a_name_means_one_setting_wherever_it_is_known() -> None:
    found: dict[str, Setting] = {}
    for setting in [*parameters_of(RSU), *parameters_of(UAV)]:
        assert found.setdefault(setting.name, setting) == setting


def test_rules_are_about_settings_that_go_together_by_default() -> None:
    for who in (RSU, UAV):
        check_rules({one.name: one.default for one in parameters_of(who) if not one.required})
    assert {"price_cap", "offer_window", "max_stay"} < {rule.name for rule in RULES}
    with pytest.raises(Refusal, match=r"at most 0\.5 times the twin_lease 3"):
        check_rules({"twin_lease": 3.0, "twin_beat": 2.0})


def test_whatever_a_file_may_say_is_believed_on_the_wire() -> None:
    for name in ("capacity", "price_cap", "range"):
        setting = setting_of(Rsu, name)
        for value in (setting.low, setting.high):
            values = {"capacity": 20.0, "price_cap": 5.0, "range": 600.0, name: value}
            offer = messages.Offer(
                *("rsu_1", 1, values["price_cap"], values["capacity"]), (1e5, -1e5, 300.0), values["range"], 0.5
            )
            assert messages.check_offer(offer) is None
    longest = setting_of(MarketParameters, "lease_rounds").high * setting_of(MarketParameters, "round_period").high
    assert longest <= messages.LONGEST_LEASE
    assert setting_of(Uav, "twin_size").high * 1e6 / BITS_OF_A_BYTE < HostSettings().largest_twin


def test_nodes_of_a_scenario_get_what_they_may_know_and_nothing_else() -> None:
    scenario = load("small")
    known = {who: {one.name for one in parameters_of(who)} for who in NODE_RECORDS}
    rsu, uav = rsu_node(scenario.rsus[0], scenario), uav_node(scenario.uavs[0], scenario)
    assert rsu.parameters.keys() <= known[RSU] | {"use_sim_time"}
    assert uav.parameters.keys() <= known[UAV] | {"use_sim_time"}
    container = uav_container_node(0, scenario.uavs, scenario)
    assert container.parameters.keys() <= {one.name for one in container_parameters()} | {"use_sim_time"}
    assert container.parameters["twin_sizes"] == [one.twin_size for one in scenario.uavs]
    assert "unit_cost" not in known[UAV]
    assert not {"immersion_weight", "twin_size"} & known[RSU]


def test_nodes_take_what_the_plan_gives_them() -> None:
    lists = {one.name: one for one in container_parameters()}
    assert (lists["uav_ids"].kind, lists["twin_sizes"].kind) == (Texts, Numbers)
    for composition in ("processes", "uav_container"):
        for process in plan(load("small"), "small", Options(compose=composition)):
            for node in process.nodes:
                tables = {"rsu": parameters_of(RSU), "uav": parameters_of(UAV), "uav_container": container_parameters()}
                for setting in tables.get(node.executable, ()):
                    if setting.name in node.parameters:
                        setting.read(node.parameters[setting.name])


@pytest.mark.parametrize(
    ("name", "value"),
    [("uav_ids", ["a", "b c"]), ("uav_ids", []), ("twin_sizes", [1.0, 1e9]), ("twin_sizes", ["x"]), ("uav_ids", "a")],
)
def test_lists_are_checked_entry_by_entry(name: str, value: object) -> None:
    setting = next(one for one in container_parameters() if one.name == name)
    with pytest.raises(Refusal):
        setting.read(value)


def test_a_new_setting_is_one_field() -> None:
    @dataclass(frozen=True)
    class Rules:
        pace: Annotated[float, Setting("how fast", "m/s", 1, 5, (SCENARIO, RSU))] = 2.0

    @dataclass(frozen=True)
    class Use:
        who: str
        pace: float

    (setting,) = settings_of(Rules)
    assert (setting.name, setting.kind, setting.default) == ("pace", float, 2.0)
    assert setting.expected == "a number at least 1, at most 5"
    values = values_for(RSU, replace(Rules(), pace=3))
    assert values == {"pace": 3.0}
    assert values_for(UAV, Rules()) == {}
    assert made_of(Use, values, who="me") == Use("me", 3.0)


@pytest.mark.parametrize(("value", "text"), [(1e5, "100000"), (1e-3, "0.001"), (1e18, "1e18"), (1e-12, "1e-12")])
def test_bounds_are_shown_as_people_write_them(value: float, text: str) -> None:
    assert shown(value) == text
