"""The market record: what it accepts, what it refuses and how it says so."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import numpy as np
import pytest

from test.game.markets import random_markets
from uav_twin_migration.errors import InputError
from uav_twin_migration.game.market import Market, stack

GOOD: dict[str, Any] = {
    "alpha": [10, 12.5],
    "required_rate": [2, 3],
    "efficiency": [[4, 0, 1], [1, 5, 0]],
    "unit_cost": [1, 1.5, 2],
    "capacity": [10, None, 3.5],
    "price_cap": 20,
    "rho": 0.6,
}


def test_reads_json() -> None:
    market = Market.from_json(GOOD, "m.json")
    assert (market.uavs, market.rsus, market.batch) == (2, 3, ())
    assert market.capacity.tolist() == [10.0, math.inf, 3.5]
    assert market.price_cap.tolist() == [20.0, 20.0, 20.0]
    assert market.sigma == pytest.approx(2.5)
    unlimited = Market.from_json(GOOD | {"capacity": None, "price_cap": [20, 30, 40]}, "m.json")
    assert np.isinf(unlimited.capacity).all()
    assert unlimited.price_cap.tolist() == [20.0, 30.0, 40.0]


def test_json_round_trip_keeps_every_bit() -> None:
    market = random_markets(1, 1, 3, 5)[0]
    again = Market.from_json(json.loads(json.dumps(market.to_json())), "again")
    for name, value in vars(market).items():
        np.testing.assert_array_equal(value, getattr(again, name), err_msg=name)


def test_no_uav_is_a_market_and_no_rsu_is_none() -> None:
    empty = Market.from_json(GOOD | {"alpha": [], "required_rate": [], "efficiency": []}, "m.json")
    assert (empty.uavs, empty.rsus) == (0, 3)
    with pytest.raises(InputError, match=r"unit_cost: .* at least one RSU"):
        Market.from_json(GOOD | {"unit_cost": [], "efficiency": [[], []], "capacity": None}, "m.json")


BAD: list[tuple[str, Any, str]] = [
    *((key, "missing", key) for key in GOOD),
    ("alpha", [10, -1], "alpha[1]"),
    ("alpha", [10, math.nan], "alpha[1]"),
    ("alpha", [10, "12"], "alpha[1]"),
    ("alpha", [10, True], "alpha[1]"),
    ("alpha", 10, "alpha"),
    ("alpha", [10], "efficiency"),
    ("required_rate", [2, 0], "required_rate[1]"),
    ("required_rate", [2, math.inf], "required_rate[1]"),
    ("efficiency", [[4, 0, 1], [1, 5]], "efficiency[1]"),
    ("efficiency", [[4, 0, 1]], "efficiency"),
    ("efficiency", [[4, 0, 1], [1, -5, 0]], "efficiency[1][1]"),
    ("efficiency", [[4, 0, 1], [1, None, 0]], "efficiency[1][1]"),
    ("efficiency", {"a": 1}, "efficiency"),
    ("unit_cost", [1, 25, 2], "unit_cost[1]"),
    ("unit_cost", [0, 1.5, 2], "unit_cost[0]"),
    ("unit_cost", [1, 10**400, 2], "unit_cost[1]"),
    ("capacity", [10, -1, 3], "capacity[1]"),
    ("capacity", [10, 3], "capacity"),
    ("capacity", 10, "capacity"),
    ("capacity", [10, math.nan, 3], "capacity[1]"),
    ("price_cap", 0, "price_cap"),
    ("price_cap", math.inf, "price_cap"),
    ("price_cap", [20, 20], "price_cap"),
    ("price_cap", None, "price_cap"),
    ("rho", 0, "rho"),
    ("rho", 1, "rho"),
    ("rho", -0.5, "rho"),
    ("rho", math.nan, "rho"),
    ("rho", [0.5], "rho"),
]


@pytest.mark.parametrize(("key", "value", "named"), BAD)
def test_refuses_malformed_json_and_names_the_key(key: str, value: Any, named: str) -> None:
    document = copy.deepcopy(GOOD)
    if value == "missing":
        del document[key]
    else:
        document[key] = value
    with pytest.raises(InputError) as caught:
        Market.from_json(document, "m.json")
    assert str(caught.value).startswith(f"m.json: {named}"), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("document", [None, 3, "market", [1], []])
def test_refuses_what_is_no_object(document: object) -> None:
    with pytest.raises(InputError, match=r"m\.json: market"):
        Market.from_json(document, "m.json")


def test_batches_broadcast() -> None:
    market = Market.of(
        alpha=10.0,
        required_rate=[1.0, 2.0],
        efficiency=np.ones((5, 2, 3)),
        unit_cost=1.0,
        price_cap=20.0,
        rho=[0.5] * 5,
    )
    assert (market.batch, market.uavs, market.rsus) == ((5,), 2, 3)
    assert market.alpha.shape == (5, 2)
    assert market[2].batch == ()
    assert stack([market[1], market[3]]).batch == (2,)
    with pytest.raises(InputError, match="batch axes"):
        Market.of(
            alpha=np.ones((4, 2)),
            required_rate=1.0,
            efficiency=np.ones((5, 2, 3)),
            unit_cost=1.0,
            price_cap=20.0,
            rho=0.5,
        )
    with pytest.raises(InputError, match="alpha"):
        Market.of(
            alpha=np.ones(7), required_rate=1.0, efficiency=np.ones((2, 3)), unit_cost=1.0, price_cap=20.0, rho=0.5
        )
