"""Where RSUs stand and UAVs fly in a city."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

from uav_twin_migration.radio.line_of_sight import View
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.geometry import straightened
from uav_twin_migration.scenario.model import Building
from uav_twin_migration.scenario.placement import (
    Array,
    along,
    line_of_sight,
    network_of,
    outdoors,
    over,
    place_rsus,
    tour,
    ways_to,
)

BLOCK = Building(((-40.0, -40.0), (40.0, -40.0), (40.0, 40.0), (-40.0, 40.0)), 30.0)


def grid(size: int, pace: float = 100.0) -> list[Array]:
    """Streets of a chessboard, cut at the crossings."""
    nodes = [(x * pace, y * pace) for x in range(size) for y in range(size)]
    edges = [(a, b) for a, b in itertools.combinations(nodes, 2) if math.dist(a, b) == pace]
    return [np.array(edge) for edge in edges]


def test_points_along_streets_are_evenly_spread() -> None:
    streets = [np.array([(0.0, 0.0), (30.0, 40.0)]), np.array([(100.0, 0.0), (100.0, 25.0), (75.0, 25.0)])]
    points = along(streets, 10)  # 100 m of street, so every 10 m from 5 m on
    assert points[:5] == pytest.approx(np.array([(3, 4), (9, 12), (15, 20), (21, 28), (27, 36)]))
    assert points[5:] == pytest.approx(np.array([(100, 5), (100, 15), (100, 25), (90, 25), (80, 25)]))


def test_points_over_a_city_and_outdoors() -> None:
    points = over([BLOCK], 100)
    assert 80 <= len(points) <= 120
    outside = outdoors(points, [BLOCK])
    assert 0 < len(outside) < len(points)
    assert (np.abs(outside).max(axis=1) >= 40).all()


def test_rsus_go_where_they_serve_most() -> None:
    places = np.array([(-1000.0, 0.0, 90.0), (-990.0, 0.0, 90.0), (1000.0, 0.0, 90.0)])
    sites = np.array([(0.0, 300.0), (1010.0, 0.0), (-1000.0, 10.0), (-900.0, 0.0)])
    chosen, efficiency = place_rsus([BLOCK], sites, places, 2, reach=300.0)
    assert chosen == [2, 1]
    assert (efficiency > 0).tolist() == [[True, False], [True, False], [False, True]]


def test_rsus_avoid_the_shadow_of_buildings() -> None:
    wall = Building(((-5.0, -200.0), (5.0, -200.0), (5.0, 200.0), (-5.0, 200.0)), 60.0)
    places = np.array([(100.0, 0.0, 90.0)])
    sites = np.array([(-20.0, 0.0), (220.0, 0.0)])  # both 120 m away, one behind the wall
    assert place_rsus([wall], sites, places, 1, reach=600.0)[0] == [1]


def test_only_the_largest_part_of_the_streets_is_used() -> None:
    island = [np.array([(1000.0, 1000.0), (1100.0, 1000.0)])]
    network = network_of([*grid(3), *island])
    assert len(network) == 9
    assert network_of([]) == {}


def test_shortest_ways() -> None:
    network = network_of([*grid(3), np.array([(0.0, 0.0), (100.0, 100.0)])])
    onward = ways_to(network, (200.0, 200.0))
    corner, way = (0.0, 0.0), [(0.0, 0.0)]
    while corner != (200.0, 200.0):
        corner = onward[corner]
        way.append(corner)
    assert way[1] == (100.0, 100.0)  # by the diagonal
    assert sum(math.dist(a, b) for a, b in itertools.pairwise(way)) == pytest.approx(100 * math.sqrt(2) + 200)


@pytest.mark.parametrize("seed", range(20))
def test_tours_follow_the_streets(seed: int) -> None:
    route = tour(random.Random(seed), network_of(grid(5)))
    assert len(route) >= 2
    for (x1, y1), (x2, y2) in itertools.pairwise([*route, route[0]]):
        assert (x1, y1) != (x2, y2)
        assert x1 == x2 or y1 == y2  # the chessboard has no other streets
        assert {x1 % 100, y1 % 100} == {0.0}


@pytest.mark.parametrize("seed", range(5))
def test_a_single_street_is_flown_to_and_fro(seed: int) -> None:
    street = [np.array([(0.0, 0.0), (40.0, 0.0), (100.0, 0.0)])]
    route = tour(random.Random(seed), network_of(street))
    assert set(route) == {(0.0, 0.0), (100.0, 0.0)}
    assert tour(random.Random(seed), network_of([])) == ()


def test_bends_within_tolerance_are_straightened() -> None:
    assert straightened([(0, 0), (50, 2.9), (100, 0)], 3.0).tolist() == [[0, 0], [100, 0]]
    assert straightened([(0, 0), (50, 3.1), (100, 0)], 3.0).tolist() == [[0, 0], [50, 3.1], [100, 0]]
    assert straightened([(0, 0), (100, 0), (0, 0)], 3.0).tolist() == [[0, 0], [100, 0], [0, 0]]
    zigzag = [(k, 10 * (k % 2)) for k in range(5_000)]
    assert len(straightened(zigzag, 3.0)) > 4_990  # one after another stays


def test_looking_piece_by_piece_sees_what_looking_at_all_sees() -> None:
    city = generate(4, 1, seed=3)
    antennas = np.array([(*rsu.position, rsu.antenna_height) for rsu in city.rsus])
    places = np.column_stack([over(city.buildings, 300), np.full(len(over(city.buildings, 300)), 40.0)])
    whole = View(city.buildings, antennas).line_of_sight(places)
    near = np.linalg.norm(places[:, None, :2] - antennas[None, :, :2], axis=2) <= 400.0
    assert (line_of_sight(city.buildings, antennas, places, 400.0) == (whole & near)).all()
    assert 0.1 < whole[near].mean() < 0.9
