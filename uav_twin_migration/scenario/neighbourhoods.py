"""Neighbourhoods as regions: what an RSU and a UAV hear then depends on what is around them, not on the city.

Squares of about four RSUs: at an ordinary density a UAV has some four in reach, so most are in one to three markets.
"""

from __future__ import annotations

import math
from dataclasses import replace

from uav_twin_migration.scenario.model import Rsu, Scenario, Uav

RSUS = 4.0  # of a square, on average
MANY_RSUS = 32  # from which a simulation has regions by neighbourhood where its scenario has none


def by_neighbourhood(scenario: Scenario) -> Scenario:
    """The same city, with a region for each square, whatever regions it had."""
    xs, ys = ([rsu.position[axis] for rsu in scenario.rsus] for axis in (0, 1))
    west, south = min(xs), min(ys)
    a_side = max(math.sqrt(len(xs)) - 1.0, 1.0)  # RSUs less one, along a side of the city
    spacing = math.sqrt(max(max(xs) - west, 1.0) * max(max(ys) - south, 1.0)) / a_side
    side = math.sqrt(RSUS) * max(spacing, 1.0)

    def region(x: float, y: float) -> str:
        return f"square_{int((x - west) // side)}_{int((y - south) // side)}"

    rsus = tuple(replace(rsu, region=region(*rsu.position[:2])) for rsu in scenario.rsus)
    return replace(scenario, rsus=rsus)


def rival_regions(rsu: Rsu, scenario: Scenario) -> tuple[str, ...]:
    """Other regions whose prices concern an RSU: one of their RSUs' coverage overlaps its own, so that UAVs compare."""
    near = {
        other.region
        for other in scenario.rsus
        if math.dist(other.position[:2], rsu.position[:2]) < other.range + rsu.range
    }
    return tuple(sorted(near - {rsu.region}))


def neighbours_first(scenario: Scenario) -> tuple[list[int], tuple[Uav, ...]]:
    """RSUs' places in the scenario, and its UAVs, ordered so that those of a region follow each other.

    What shares a process are neighbours then, and the process hears few regions. A UAV belongs to the region of its
    home. Without regions, all stays as it is.
    """
    rsus = scenario.rsus
    if len({rsu.region for rsu in rsus}) < 2:
        return list(range(len(rsus))), scenario.uavs
    places = sorted(range(len(rsus)), key=lambda place: rsus[place].region)
    return places, tuple(sorted(scenario.uavs, key=lambda uav: home(uav, scenario).region))


def home(uav: Uav, scenario: Scenario) -> Rsu:
    """The RSU that is nearest to the middle of a UAV's route."""
    x, y = (sum(point[axis] for point in uav.route) / len(uav.route) for axis in (0, 1))
    return min(scenario.rsus, key=lambda rsu: math.hypot(rsu.position[0] - x, rsu.position[1] - y))
