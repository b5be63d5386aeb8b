"""One city of those that a scenario's `randomness` describes: where UAVs begin, and what they are like."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from uav_twin_migration.scenario.chance import drawer, stream
from uav_twin_migration.scenario.model import FARTHEST, MONEY, Point, Randomness, Scenario, Uav
from uav_twin_migration.scenario.neighbourhoods import MANY_RSUS, by_neighbourhood
from uav_twin_migration.scenario.settings import setting_of

PIECE = 300.0  # s of a record that one UAV flies
DRAWN_ONCE = ("start_shift", "route_phase", "immersion_weight", "twin_size")


def varied(scenario: Scenario, seed: int) -> Scenario:
    """The scenario with everything drawn that is drawn once in a run; nothing of that is left to draw in it."""
    chance, standard = scenario.randomness, Randomness()
    if all(getattr(chance, name) == getattr(standard, name) for name in DRAWN_ONCE):
        return scenario
    size = setting_of(Uav, "twin_size")
    shift = drawer(chance.start_shift, stream(seed, "start_shift"))
    phase = drawer(chance.route_phase, stream(seed, "route_phase"))
    weight = drawer(chance.immersion_weight, stream(seed, "immersion_weight"), 0.0)
    twin_size = drawer(chance.twin_size, stream(seed, "twin_size"), 0.0)
    uavs = []
    for uav in scenario.uavs:
        here = (shift(), shift())
        route = tuple((_near(x + here[0]), _near(y + here[1])) for x, y in uav.route)
        begun, loop = begun_at(route, uav.loop, phase())
        alpha = min(max(uav.immersion_weight * weight(), MONEY[0]), MONEY[1])
        bulk = min(max(uav.twin_size * twin_size(), size.low), size.high)
        track = tuple((time, _near(x + here[0]), _near(y + here[1]), up) for time, x, y, up in uav.track)
        uavs.append(replace(uav, route=begun, track=track, loop=loop, immersion_weight=alpha, twin_size=bulk))
    left = replace(chance, **{name: getattr(standard, name) for name in DRAWN_ONCE})
    return replace(scenario, uavs=tuple(uavs), randomness=left)


def as_run(scenario: Scenario, seed: int, local: bool = False) -> Scenario:
    """The scenario as a simulation runs it: drawn, and with a region for each neighbourhood where it is large.

    local: whether it has regions even where it is small. Regions that it has already stay.
    """
    drawn = varied(scenario, seed)
    whole = len(drawn.rsus) < MANY_RSUS and not local
    return drawn if whole or any(rsu.region for rsu in drawn.rsus) else by_neighbourhood(drawn)


def begun_at(route: tuple[Point, ...], loop: bool, phase: float) -> tuple[tuple[Point, ...], bool]:
    """The route of a UAV that has flown a share of its round already, and whether it is flown round and round.

    phase: share of the round's length; whole rounds do not count.
    """
    share = phase % 1.0
    if share == 0.0 or len(route) == 1:
        return route, loop
    rounds = route if loop else route + route[-2:0:-1]
    legs = [math.dist(rounds[k], rounds[(k + 1) % len(rounds)]) for k in range(len(rounds))]
    left = share * math.fsum(legs)
    for k, length in enumerate(legs):
        if left < length:
            (x, y), (to_x, to_y) = rounds[k], rounds[(k + 1) % len(rounds)]
            part = left / length
            start = (x + part * (to_x - x), y + part * (to_y - y))
            following = rounds[k + 1 :] + rounds[: k + 1]
            return (start, *(point for place, point in enumerate(following) if place or point != start)), True
        left -= length
    return rounds, True


def _near(coordinate: float) -> float:
    return min(max(coordinate, -FARTHEST), FARTHEST)


def recorded(scenario: Scenario, records: Sequence[Any], duration: float = PIECE) -> Scenario:
    """The scenario, whose UAVs fly pieces of records instead of their routes, in turn, at their own altitudes.

    records: [F, 4] each: s, and metres east, north and up. A piece is as long as `duration`, or as what is left, and
    moved so that its middle is over that of the RSUs: what counts is how somebody moved, not where.
    """
    each = [_pieces(np.asarray(record), duration) for record in records]
    pieces = [piece for turn in itertools.zip_longest(*each) for piece in turn if piece is not None]
    pieces = pieces or [np.asarray(record) for record in records]  # all of them short
    centre = np.mean([rsu.position for rsu in scenario.rsus], axis=0)
    uavs = tuple(_on_record(uav, pieces[n % len(pieces)], centre) for n, uav in enumerate(scenario.uavs))
    return replace(scenario, name=f"{scenario.name}, recorded flights", uavs=uavs)


def _pieces(record: Any, duration: float) -> list[Any]:
    cuts = np.searchsorted(record[:, 0], np.arange(0.0, record[-1, 0], duration))
    found = [record[a:b] for a, b in zip(cuts, [*cuts[1:], len(record)], strict=True)]
    return [piece for piece in found if len(piece) > 2 and piece[-1, 0] - piece[0, 0] > 0.5 * duration]


def _on_record(uav: Uav, piece: Any, centre: Any) -> Uav:
    middle = (piece[:, 1:3].min(axis=0) + piece[:, 1:3].max(axis=0)) / 2
    places = np.round(piece[:, 1:3] - middle + centre, 2)
    times = np.round(piece[:, 0] - piece[0, 0], 2)
    track = tuple((t, x, y, uav.altitude) for t, (x, y) in zip(times.tolist(), places.tolist(), strict=True))
    route = [(x, y) for _, x, y, _ in track]
    apart = tuple(point for k, point in enumerate(route) if not k or point != route[k - 1])
    return replace(uav, route=apart, track=track, loop=False)
