"""Interactions from the vectorised market: what RSUs would have recorded, thousands of rounds a second."""

from __future__ import annotations

import numpy as np

from uav_twin_migration.learning.environment import MarketEnvironment, Outcome
from uav_twin_migration.learning.evaluation import Player
from uav_twin_migration.learning.games import GameDistribution, draw_games, draw_size
from uav_twin_migration.learning.interactions import Interactions
from uav_twin_migration.policy.actor import action_of, price_of

AGENTS = 128  # RSUs in the games played side by side


def collect(
    player: Player,
    count: int,
    exploration: float,
    distribution: GameDistribution,
    random: np.random.Generator,
    rounds: int = 16,
) -> Interactions:
    """`count` interactions of a way to price, with noise of standard deviation `exploration` on its actions."""
    parts: list[Interactions] = []
    while sum(map(len, parts)) < count:
        rsus, uavs = draw_size(distribution, random)
        games = draw_games(distribution, random, max(AGENTS // rsus, 1), rsus, uavs, rounds)
        environment = MarketEnvironment(games, distribution.utility)
        last: Outcome | None = None
        for _ in range(rounds):
            part, last = _round(environment, player, last, exploration, random)
            parts.append(part)
    return Interactions.join(parts)[slice(count)]


def _round(
    environment: MarketEnvironment,
    player: Player,
    last: Outcome | None,
    exploration: float,
    random: np.random.Generator,
) -> tuple[Interactions, Outcome]:
    seen = environment.observe()
    cost, cap = environment.unit_cost, environment.price_cap
    mean = action_of(player(environment, last), cost, cap)
    noise = random.standard_normal(mean.shape)
    action = mean + exploration * noise
    price = price_of(action, cost, cap)
    with np.errstate(divide="ignore"):
        likely = -0.5 * noise**2 - np.log(exploration * np.sqrt(2.0 * np.pi))
    log_probability = likely if exploration > 0.0 else np.full(mean.shape, np.nan)
    uavs = environment.uavs[environment.round]
    outcome = environment.step(price)
    columns = (action, log_probability, price, cost, cap, environment.capacity, outcome.demanded, uavs)
    flat = (np.ravel(column) for column in (*columns, np.zeros(mean.shape)))
    return Interactions(seen.reshape(-1, seen.shape[-1]), *flat), outcome
