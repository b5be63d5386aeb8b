"""Made-up cities: reproducible, sound, and with an interior market; the shipped scenarios are among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from uav_twin_migration.game.followers import respond
from uav_twin_migration.scenario.examine import separated, warnings
from uav_twin_migration.scenario.generate import LAYER, SHIPPED, generate
from uav_twin_migration.scenario.geometry import contains
from uav_twin_migration.scenario.load import dump, load, loads
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.snapshot import Snapshot
from uav_twin_migration.vehicle.motion import Flight

SIZES = [*SHIPPED.values(), (2, 8, 7), (8, 64, 3), (1, 1, 0)]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenarios_are_what_their_seed_gives(name: str) -> None:
    rsus, uavs, seed = SHIPPED[name]
    assert load(name) == separated(generate(rsus, uavs, seed, name), LAYER)


@pytest.mark.parametrize("name", SHIPPED)
def test_there_is_nothing_to_warn_of_in_a_shipped_scenario(name: str) -> None:
    assert warnings(load(name), seconds=600.0) == []


def test_uavs_that_would_meet_fly_above_each_other() -> None:
    scenario = generate(1, 3)
    meeting = replace(scenario, uavs=tuple(replace(scenario.uavs[0], id=uav.id) for uav in scenario.uavs))
    start = scenario.uavs[0].altitude
    assert [uav.altitude for uav in separated(meeting, 10.0).uavs] == [start, start + 10.0, start + 20.0]


@pytest.mark.parametrize(("rsus", "uavs", "seed"), SIZES)
def test_generated_scenarios_are_sound(rsus: int, uavs: int, seed: int) -> None:
    scenario = generate(rsus, uavs, seed)
    assert (len(scenario.rsus), len(scenario.uavs)) == (rsus, uavs)
    assert loads(dump(scenario)) == scenario
    assert scenario == generate(rsus, uavs, seed) != generate(rsus, uavs, seed + 1)
    masts = [rsu.position for rsu in scenario.rsus]
    assert len(set(masts)) == rsus
    assert not any(contains(building.footprint, masts).any() for building in scenario.buildings)
    roof = max(building.base + building.height for building in scenario.buildings)
    assert roof + 15 < min(uav.altitude for uav in scenario.uavs)


def along_the_flight(scenario: Scenario, *times: float) -> tuple[np.ndarray, np.ndarray]:
    """Which links and which UAVs are in the market: [T, N, M] efficiencies and [T, N] rates at prices of twice cost."""
    snapshot, flight = Snapshot(scenario), Flight(scenario)
    efficiency, rate = [], []
    for time in times:
        flight.advance(time)
        market = snapshot.market(flight.position, flight.velocity)
        efficiency.append(market.efficiency)
        rate.append(respond(market, 2 * market.unit_cost).rate.reshape(-1))
    return np.array(efficiency), np.array(rate)


@pytest.mark.parametrize("name", SHIPPED)
def test_hardly_a_uav_drops_out_of_a_shipped_market(name: str) -> None:
    efficiency, rate = along_the_flight(load(name), *range(0, 300, 30))
    assert (efficiency.max(axis=2) > 0).all()  # each always reaches an RSU
    assert (efficiency > 0).any(axis=1).all()  # and each RSU always some UAV
    assert (rate > 0).mean() > 0.98
