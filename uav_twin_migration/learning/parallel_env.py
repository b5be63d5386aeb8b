"""The market as a PettingZoo ParallelEnv, so that other libraries can learn on it. One game an episode.

Agents are RSUs. An action is the policy's unbounded action within [-LARGEST_ACTION, LARGEST_ACTION]; `price_of` makes
the price. Observation and reward are those of `MarketEnvironment`; `state()` adds what only a centralised critic may
see. Many games at once, for a fraction of the time: `vector_env`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from uav_twin_migration.errors import InputError
from uav_twin_migration.learning.environment import STATE_SIZE, MarketEnvironment, judge
from uav_twin_migration.learning.evaluation import random_start
from uav_twin_migration.learning.games import GameDistribution, draw_games
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import price_of

LARGEST_ACTION = 4.0  # prices from 2 to 98 % of the way between cost and cap, on a log scale


class MarketParallelEnv(ParallelEnv):
    """M RSUs and N UAVs. They must be given where the distribution leaves them open."""

    metadata = {"name": "uav_twin_market_v1", "render_modes": [], "is_parallelizable": True}  # noqa: RUF012
    render_mode = None

    def __init__(
        self,
        distribution: GameDistribution | None = None,
        rsus: int | None = None,
        uavs: int | None = None,
        rounds: int = 16,
        random_start: bool = False,
        seed: int | None = None,
    ) -> None:
        """`random_start`: the first round's prices are random and nobody's action.

        Raises:
            InputError: a number is no number >= 1, or neither given nor fixed by the distribution.
        """
        self.distribution = distribution or GameDistribution()
        self.rsus = size_of("rsus", rsus, self.distribution.rsus)
        self.uavs = size_of("uavs", uavs, self.distribution.uavs)
        self.rounds, self.random_start = size_of("rounds", rounds, (1, 1)), random_start
        self.possible_agents = [f"rsu_{m}" for m in range(self.rsus)]
        self.agents: list[str] = []
        limit = np.full(observation.SIZE, np.inf, dtype=np.float32)
        self._observation_space = spaces.Box(-limit, limit)
        self._action_space = spaces.Box(-LARGEST_ACTION, LARGEST_ACTION, (1,), np.float32)
        self.state_space = spaces.Box(-np.inf, np.inf, (self.rsus * (observation.SIZE + STATE_SIZE),), np.float32)
        self._random = np.random.default_rng(seed)
        self._market: MarketEnvironment | None = None
        self._judged = np.zeros((self.rsus, STATE_SIZE))

    def observation_space(self, agent: str) -> spaces.Box:
        """[observation.SIZE], unbounded; of order one."""
        return self._observation_space

    def action_space(self, agent: str) -> spaces.Box:
        """[1]"""
        return self._action_space

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, observation.Observation], dict[str, dict[str, Any]]]:
        """A new random game."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        rounds = self.rounds + self.random_start
        games = draw_games(self.distribution, self._random, 1, self.rsus, self.uavs, rounds)
        self._market = MarketEnvironment(games, self.distribution.utility)
        self._judged = np.zeros((self.rsus, STATE_SIZE))
        if self.random_start:
            self._market.step(random_start(games, self._random))
        self.agents = list(self.possible_agents)
        return self._observe(), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[
        dict[str, observation.Observation],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """One round. The last one truncates the episode: a market has no end of its own.

        Raises:
            InputError: it is over, an agent's action is missing, or it is not one finite number.
        """
        market = self._market
        if market is None or not self.agents:
            raise InputError("MarketParallelEnv", "step", "no game under way", "reset() before it")
        action = np.array([_number(agent, actions) for agent in self.agents])[None]
        outcome = market.step(price_of(action, market.unit_cost, market.price_cap))
        self._judged = judge(outcome.market, outcome.prices).state[0]
        over = market.round == market.rounds
        infos = {
            agent: {"price": float(outcome.prices[0, m]), "profit": float(outcome.profit[0, m])}
            for m, agent in enumerate(self.agents)
        }
        rewards = dict(zip(self.agents, outcome.reward[0].tolist(), strict=True))
        ended, truncated = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, over)
        seen = self._observe()
        if over:
            self.agents = []
        return seen, rewards, ended, truncated, infos

    def state(self) -> observation.Observation:
        """[M * (observation.SIZE + STATE_SIZE)]: what all see now, and how the last round's prices are judged."""
        if self._market is None:
            raise InputError("MarketParallelEnv", "state", "no game under way", "reset() before it")
        both = np.concatenate([self._market.observe()[0], self._judged], axis=-1)
        return both.astype(np.float32).ravel()

    def render(self) -> None:
        """There is nothing to see."""

    def close(self) -> None:
        """There is nothing to close."""

    def _observe(self) -> dict[str, observation.Observation]:
        assert self._market is not None
        seen = self._market.observe()[0]
        return {agent: seen[m] for m, agent in enumerate(self.agents)}


def parallel_env(**options: Any) -> MarketParallelEnv:
    """A `MarketParallelEnv`, as PettingZoo's environments are made."""
    return MarketParallelEnv(**options)


def size_of(name: str, given: int | None, span: tuple[int, int]) -> int:
    """A number of RSUs, UAVs or rounds. Raises InputError where it is none, or nobody says which."""
    if given is None and span[0] != span[1]:
        raise InputError("market", name, None, f"a number, as the games have {span[0]} to {span[1]}")
    number = span[0] if given is None else given
    if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or number < 1:
        raise InputError("market", name, number, "a whole number >= 1")
    return int(number)


def _number(agent: str, actions: dict[str, Any]) -> float:
    """An agent's action. Raises InputError where it is missing or no finite number."""
    if agent not in actions:
        raise InputError("MarketParallelEnv", "actions", sorted(actions), f"one of {agent}, too")
    value = np.asarray(actions[agent], dtype=np.float64)
    if value.size != 1 or not np.isfinite(value).all():
        raise InputError("MarketParallelEnv", f"action of {agent}", actions[agent], "one finite number")
    return value.item()
