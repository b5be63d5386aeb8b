"""Random games: where RSUs stand, how UAVs fly and what everybody wants, round after round.

UAVs fly whatever prices are, so a whole game is drawn ahead: a `Market` whose batch axes are rounds and games. Radio,
best links, stay and required rate come from the functions that the running system uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from uav_twin_migration.errors import InputError
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.plugins import check
from uav_twin_migration.radio.coverage import predicted_stay
from uav_twin_migration.radio.model import Mapped, Radio
from uav_twin_migration.radio.radio_map import load
from uav_twin_migration.scenario.model import RadioParameters
from uav_twin_migration.scenario.snapshot import best_links, required_rate

Range = tuple[float, float]


@dataclass(frozen=True)
class GameDistribution:
    """What games are drawn from. A pair is a range that is drawn from uniformly, both ends included.

    The ranges keep the game interior: few UAVs drop out, few capacities bind, few prices reach the cap.
    """

    rsus: tuple[int, int] = (4, 4)  # M
    uavs: tuple[int, int] = (16, 16)  # N
    rho: Range = (0.7, 0.7)
    unit_cost: Range = (0.5, 3.0)  # credit/MHz, of each RSU
    price_cap: Range = (20.0, 20.0)  # credit/MHz, of a game
    logarithmic: bool = False  # whether the logarithms of unit costs and price caps are uniform
    least_span: float = 1.2  # price cap over unit cost; higher costs are cut off
    capacity: Range = (3.0, 20.0)  # MHz for each UAV per RSU, of each RSU
    alpha: Range = (5.0, 20.0)  # credit
    cost_scale: Range = (
        1.0,
        1.0,
    )  # times a game's costs and its cap, log-uniform
    cap_scale: Range = (1.0, 1.0)  # times its cap, log-uniform
    capacity_scale: Range = (1.0, 1.0)  # times its capacities, log-uniform
    twin_size: Range = (60.0, 150.0)  # Mbit
    stay: Range = (30.0, 100.0)  # s, bounds of T_n
    side: float = 1000.0  # m, of the square in which all are
    altitude: Range = (90.0, 110.0)  # m
    antenna_height: float = 15.0  # m
    range: float = 600.0  # m
    speed: Range = (5.0, 20.0)  # m/s
    moving: bool = True  # otherwise UAVs hang where they are, as if at `speed`
    blocked: Range = (0.0, 0.0)  # share of the links behind a building, of a batch of games
    blocked_for: float = 5.0  # s, mean
    round_period: float = 1.0  # s
    max_bids: int = 4
    radio: RadioParameters = RadioParameters()
    utility: str = ""  # of all UAVs, a plug-in


MIXED = GameDistribution(rsus=(1, 8), uavs=(4, 64), rho=(0.4, 0.7), price_cap=(10.0, 40.0), blocked=(0.0, 0.2))
COSTS_AND_CAPS = GameDistribution(
    rsus=(1, 8),
    uavs=(4, 64),
    rho=(0.4, 0.7),
    unit_cost=(0.25, 8.0),
    price_cap=(2.0, 40.0),
    logarithmic=True,
    blocked=(0.0, 0.3),
)
# Costs by two decades to what UAVs spend, capacities from .05 to 24 MHz for each UAV per RSU, caps of 1.2 to 200 times
# the cost.
WIDE = GameDistribution(
    rsus=(1, 16),
    uavs=(1, 200),
    rho=(0.2, 0.85),
    cost_scale=(0.07, 1.5),
    cap_scale=(0.1, 10.0),
    capacity_scale=(0.015, 1.2),
    blocked=(0.0, 0.5),
)
# Most places are unusual in one way only.
UNUSUAL = (
    *(
        GameDistribution(**{name: getattr(WIDE, name) for name in names})
        for names in (("rho",), ("cost_scale", "cap_scale"), ("capacity_scale",), ("blocked",))
    ),
    GameDistribution(unit_cost=(0.1, 3.0), logarithmic=True),
    GameDistribution(uavs=(16, 200)),
)
GAMES = {
    "standard": (GameDistribution(),),
    "mixed": (MIXED,),
    "wide": (GameDistribution(), MIXED, MIXED, *UNUSUAL, WIDE, WIDE),
}


def different(distribution: GameDistribution) -> dict[str, Any]:
    """The ranges in which it is not the standard one, by name; of the radio, all it is made of. For JSON."""
    usual = asdict(GameDistribution())
    return {name: value for name, value in asdict(distribution).items() if value != usual[name]}


def with_ranges(distribution: GameDistribution, given: Sequence[str], source: str) -> GameDistribution:
    """The distribution with other ranges, each given as "name=low:high" or "name=value".

    Raises:
        InputError: there is no such range, or these are no numbers that it may have.
    """
    for text in given:
        name, _, values = text.partition("=")
        now = getattr(distribution, name, None)
        if not isinstance(now, tuple):
            known = ", ".join(sorted(f.name for f in fields(distribution) if isinstance(f.default, tuple)))
            raise InputError(source, "--ranges", text, f"NAME=LOW:HIGH with a name of {known}")
        low, high = LIMITS.get(name, (1e-6, 1e6))
        try:
            numbers = [type(now[0])(float(number)) for number in values.split(":")]
        except (ValueError, OverflowError):
            numbers = []
        if len(numbers) not in (1, 2) or not low <= numbers[0] <= numbers[-1] <= high:
            raise InputError(source, "--ranges", text, f"{name}=LOW:HIGH with {low:g} <= LOW <= HIGH <= {high:g}")
        ranges: dict[str, Any] = {name: (numbers[0], numbers[-1])}
        distribution = replace(distribution, **ranges)
    return distribution


def with_plugins(distribution: GameDistribution, utility: str, radio: str, radio_map: str = "") -> GameDistribution:
    """The distribution with UAVs of another utility, another radio model and in a traced city, where they are given.

    In a traced city RSUs stand where antennas were traced, as many as there are at most, and UAVs fly within its map.

    Raises:
        PluginError: one cannot be found.
        InputError: the map cannot be read.
    """
    check("utility", utility)
    check("radio", radio)
    parameters = replace(distribution.radio, model=radio, map=str(Path(radio_map).resolve()) if radio_map else "")
    rsus = distribution.rsus
    if radio_map:
        traced = load(radio_map)
        parameters = replace(parameters, carrier_frequency=traced.frequency)
        fewest, most = (min(count, len(traced.rsus)) for count in rsus)
        rsus = (fewest, most)
    return replace(distribution, rsus=rsus, utility=utility, radio=parameters)


LIMITS: dict[str, Range] = {
    "rsus": (1, 64),
    "uavs": (1, 5000),
    "rho": (0.01, 0.99),
    "blocked": (0.0, 0.95),
}


def draw_size(distribution: GameDistribution, rng: np.random.Generator) -> tuple[int, int]:
    """M and N of a batch of games: M uniform, N log-uniform."""
    rsus = int(rng.integers(distribution.rsus[0], distribution.rsus[1] + 1))
    fewest, most = np.log(distribution.uavs)
    return rsus, round(float(np.exp(rng.uniform(fewest, most))))


def draw_games(
    distribution: GameDistribution, rng: np.random.Generator, games: int, rsus: int, uavs: int, rounds: int
) -> Market:
    """Games as a Market with batch axes [rounds, games]."""
    d = distribution
    radio = Radio(d.radio)
    towers, area = _site(d, radio, rng, games, rsus)
    positions, velocities = _flights(d, area, rng, games, uavs, rounds)
    altitude = np.broadcast_to(rng.uniform(*d.altitude, (games, uavs, 1)), (rounds, games, uavs, 1))
    free = _line_of_sight(d, rng, (rounds, games, uavs, rsus))
    reach = np.full(rsus, d.range)
    places = np.concatenate([positions, altitude], axis=-1)
    efficiency = radio.links(towers, reach, places, free).efficiency
    best = efficiency.argmax(axis=-1)
    if rsus > d.max_bids:
        efficiency = best_links(efficiency, d.max_bids)
    host = np.take_along_axis(np.broadcast_to(towers[..., :2], (rounds, *towers.shape[:2], 2)), best[..., None], axis=2)
    stay = predicted_stay(positions, velocities, host, d.range)
    twin_size = rng.uniform(*d.twin_size, (games, uavs))
    scale = _scale(rng, d.cost_scale, games)
    price_cap = scale * _scale(rng, d.cap_scale, games) * _positive(d, rng, d.price_cap, (games, 1))
    unit_cost = np.minimum(scale * _positive(d, rng, d.unit_cost, (games, rsus)), price_cap / d.least_span)
    capacity = _scale(rng, d.capacity_scale, games) * rng.uniform(*d.capacity, (games, rsus)) * uavs / rsus

    def every_round(values: FloatArray) -> FloatArray:
        return np.broadcast_to(values, (rounds, *values.shape))

    return Market(
        alpha=every_round(rng.uniform(*d.alpha, (games, uavs))),
        required_rate=required_rate(twin_size, stay, *d.stay),
        efficiency=efficiency,
        unit_cost=every_round(unit_cost),
        capacity=every_round(capacity),
        price_cap=every_round(np.repeat(price_cap, rsus, axis=1)),
        rho=every_round(rng.uniform(*d.rho, games)),
    )


def _scale(rng: np.random.Generator, span: Range, games: int) -> FloatArray:
    """[games, 1] log-uniform; draws nothing where there is one value only."""
    if span[0] == span[1]:
        return np.full((games, 1), span[0])
    return np.asarray(np.exp(rng.uniform(math.log(span[0]), math.log(span[1]), (games, 1))))


def _positive(d: GameDistribution, rng: np.random.Generator, span: Range, shape: tuple[int, ...]) -> FloatArray:
    if d.logarithmic:
        return np.asarray(np.exp(rng.uniform(math.log(span[0]), math.log(span[1]), shape)))
    return rng.uniform(*span, shape)


def _site(
    d: GameDistribution, radio: Radio, rng: np.random.Generator, games: int, rsus: int
) -> tuple[FloatArray, FloatArray]:
    """Antennas [games, rsus, 3] m, and the lower left and upper right corner [2, 2] m of where UAVs fly."""
    if isinstance(radio.built_in, Mapped):
        traced = radio.built_in.map
        chosen = rng.permuted(np.tile(np.arange(len(traced.rsus)), (games, 1)), axis=1)[:, :rsus]
        low = np.array(traced.corner)
        return traced.antennas[chosen], np.array([low, low + traced.cell * (np.array(traced.codes.shape[:1:-1]) - 1)])
    ground = rng.uniform(0.0, d.side, (games, rsus, 2))
    area = np.array([[0.0, 0.0], [d.side, d.side]])
    return np.concatenate([ground, np.full((games, rsus, 1), d.antenna_height)], axis=-1), area


def _flights(
    d: GameDistribution, area: FloatArray, rng: np.random.Generator, games: int, uavs: int, rounds: int
) -> tuple[FloatArray, FloatArray]:
    """Positions (m) and velocities (m/s), both [rounds, games, uavs, 2]: random waypoints at constant speed."""
    position, waypoint = area[0] + (area[1] - area[0]) * rng.random((2, games, uavs, 2))
    speed = rng.uniform(*d.speed, (games, uavs, 1))
    step = speed * d.round_period * d.moving
    positions, velocities = np.empty((2, rounds, games, uavs, 2))
    for r in range(rounds):
        way = waypoint - position
        left = np.sqrt((way * way).sum(axis=-1, keepdims=True))
        course = way / np.maximum(left, 1e-9)
        positions[r], velocities[r] = position, course * speed
        position = position + course * np.minimum(step, left)
        arrived = left[..., 0] <= step[..., 0]
        if arrived.any():
            waypoint[arrived] = area[0] + (area[1] - area[0]) * rng.random((int(arrived.sum()), 2))
    return positions, velocities


def _line_of_sight(d: GameDistribution, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Whether links are free: each a two-state Markov chain over the rounds (first axis)."""
    blocked = rng.uniform(*d.blocked)
    if blocked == 0.0:
        return np.ones(shape, dtype=bool)
    free = np.empty(shape, dtype=bool)
    free[0] = rng.random(shape[1:]) >= blocked
    clears = min(d.round_period / d.blocked_for, 1.0)
    blocks = clears * blocked / (1.0 - blocked)
    change = rng.random((shape[0] - 1, *shape[1:])) if d.moving else np.ones((shape[0] - 1, *shape[1:]))
    for r in range(1, shape[0]):
        free[r] = np.where(free[r - 1], change[r - 1] >= blocks, change[r - 1] < clears)
    return free
