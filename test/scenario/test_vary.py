"""One city of those that a scenario describes."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.scenario.load import dump, load, loads
from uav_twin_migration.scenario.model import Randomness
from uav_twin_migration.scenario.vary import begun_at, varied
from uav_twin_migration.vehicle.motion import states_at

DRAWN = Randomness(
    start_shift="normal(0, 30)",
    route_phase="uniform(0, 1)",
    immersion_weight="uniform(0.8, 1.2)",
    twin_size="lognormal(1, 0.2)",
)


def test_a_scenario_without_randomness_is_what_it_says() -> None:
    scenario = load("default")
    assert varied(scenario, 3) is scenario


def test_a_seed_draws_one_city_and_another_seed_another() -> None:
    scenario = replace(load("default"), randomness=DRAWN)
    assert loads(dump(scenario)).randomness == DRAWN
    one, same, other = varied(scenario, 1), varied(scenario, 1), varied(scenario, 2)
    assert one == same != other
    assert varied(one, 5) is one  # nothing is drawn twice
    assert loads(dump(one)) == one
    pairs = list(zip(one.uavs, scenario.uavs, strict=True))
    factors = [drawn.immersion_weight / uav.immersion_weight for drawn, uav in pairs]
    assert 0.8 <= min(factors) < max(factors) <= 1.2
    assert all(drawn.twin_size != uav.twin_size for drawn, uav in pairs)
    assert one.rsus == scenario.rsus


def test_draws_do_not_move_each_other() -> None:
    scenario = load("default")
    alone = varied(replace(scenario, randomness=replace(Randomness(), twin_size=DRAWN.twin_size)), 1)
    together = varied(replace(scenario, randomness=DRAWN), 1)
    assert [uav.twin_size for uav in alone.uavs] == [uav.twin_size for uav in together.uavs]


@pytest.mark.parametrize("loop", [True, False])
@given(phase=st.floats(0.0, 3.0))
def test_a_route_that_is_begun_elsewhere_is_the_same_way(loop: bool, phase: float) -> None:
    route = ((0.0, 0.0), (100.0, 0.0), (100.0, 50.0), (0.0, 80.0))
    begun, _ = begun_at(route, loop, phase)
    rounds = route if loop else route + route[-2:0:-1]
    assert set(rounds) <= set(begun)
    length = sum(math.dist(rounds[k - 1], rounds[k]) for k in range(len(rounds)))
    if begun != route:
        assert sum(math.dist(begun[k - 1], begun[k]) for k in range(len(begun))) == pytest.approx(length)
        assert all(here != there for here, there in itertools.pairwise(begun))


def test_uavs_begin_where_their_phase_says() -> None:
    scenario = load("small")
    half = varied(replace(scenario, randomness=Randomness(route_phase="0.25")), 0)
    assert np.linalg.norm(states_at(half, 0.0)[0] - states_at(scenario, 0.0)[0], axis=1).min() > 10.0
