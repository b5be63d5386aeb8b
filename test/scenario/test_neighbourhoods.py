"""Regions by neighbourhood: every RSU in one, few RSUs in each, neighbours together, however large the city."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.model import Scenario, Uav
from uav_twin_migration.scenario.neighbourhoods import by_neighbourhood, neighbours_first, rival_regions


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


def test_what_shares_a_process_are_neighbours() -> None:
    city = by_neighbourhood(generate(64, 400))
    places, uavs = neighbours_first(city)
    assert sorted(places) == list(range(64))
    assert sorted(uav.id for uav in uavs) == [uav.id for uav in city.uavs]
    regions = [city.rsus[place].region for place in places]
    assert regions == sorted(regions)
    homes = [_home(city, uav) for uav in uavs]
    assert max(len(set(homes[start : start + 50])) for start in range(0, 400, 50)) <= 5
    assert min(len({_home(city, uav) for uav in city.uavs[start : start + 50]}) for start in range(0, 400, 50)) > 5


def test_an_rsu_hears_the_prices_of_all_whose_coverage_overlaps_its_own() -> None:
    city = by_neighbourhood(generate(64, 64))
    for rsu in city.rsus:
        heard = {rsu.region, *rival_regions(rsu, city)}
        near = [one for one in city.rsus if math.dist(one.position, rsu.position) < one.range + rsu.range]
        assert {one.region for one in near} == heard
        assert rsu.region not in rival_regions(rsu, city)
    assert all(rival_regions(rsu, generate(9, 9)) == () for rsu in generate(9, 9).rsus)


def test_without_regions_the_order_stays() -> None:
    city = generate(9, 30)
    assert neighbours_first(city) == (list(range(9)), city.uavs)


def _home(city: Scenario, uav: Uav) -> str:
    """The region of the RSU nearest to the middle of the route."""
    middle = [sum(point[axis] for point in uav.route) / len(uav.route) for axis in (0, 1)]
    return min(city.rsus, key=lambda rsu: math.dist(rsu.position[:2], middle)).region
