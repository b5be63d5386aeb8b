"""Regions by neighbourhood: every RSU in one, few RSUs in each, neighbours together, however large the city."""

from __future__ import annotations

from collections import Counter

import pytest

from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.neighbourhoods import by_neighbourhood


@pytest.mark.parametrize("rsus", [1, 2, 4, 16, 64, 250])
def test_a_region_has_a_few_rsus_whatever_the_city(rsus: int) -> None:
    city = by_neighbourhood(generate(rsus, rsus))
    sizes = Counter(rsu.region for rsu in city.rsus)
    assert max(sizes.values()) <= 9
    assert len(sizes) >= rsus / 9
    assert all(rsu.region for rsu in city.rsus)


def test_rsus_of_a_region_are_neighbours() -> None:
    city = by_neighbourhood(generate(64, 64))
    for region in {rsu.region for rsu in city.rsus}:
        xs, ys = zip(*(rsu.position[:2] for rsu in city.rsus if rsu.region == region), strict=True)
        assert max(max(xs) - min(xs), max(ys) - min(ys)) <= 1300.0


def test_nothing_else_of_the_city_changes() -> None:
    city = generate(9, 9)
    other = by_neighbourhood(city)
    assert other.uavs == city.uavs
    assert [rsu.position for rsu in other.rsus] == [rsu.position for rsu in city.rsus]
