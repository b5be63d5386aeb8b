"""The market for other libraries, many games at once: a Gymnasium environment, and a vectorised one.

`MarketVectorEnv` plays G games of M RSUs in one batch; every RSU of every game is a sub-environment, so that whatever
learns on it shares one policy among all RSUs. `register()` makes both known to Gymnasium:
`gymnasium.make_vec("uav_twin_migration/Market-v0", num_envs=64, vectorization_mode="vector_entry_point")` has 64 RSUs.
`gymnasium.make("uav_twin_migration/Market-v0")` is one RSU whose rivals follow the shipped policy.

Observation, action and reward are those of `parallel_env`. Episodes end after `rounds` rounds, all at the same time,
and are truncated: a market has no end of its own. The next step deals new games (Gymnasium's next-step autoreset).
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv

from uav_twin_migration.errors import InputError
from uav_twin_migration.game.market import FloatArray
from uav_twin_migration.learning.environment import MarketEnvironment
from uav_twin_migration.learning.evaluation import random_start
from uav_twin_migration.learning.games import GameDistribution, draw_games
from uav_twin_migration.learning.parallel_env import LARGEST_ACTION, size_of
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import Actor, price_of
from uav_twin_migration.policy.choice import DEFAULT, choose, untrained

ID = "uav_twin_migration/Market-v0"
OBSERVATION = spaces.Box(-np.inf, np.inf, (observation.SIZE,), np.float32)
ACTION = spaces.Box(-LARGEST_ACTION, LARGEST_ACTION, (1,), np.float32)
Reset = tuple[observation.Observation, dict[str, Any]]
Step = tuple[observation.Observation, FloatArray, FloatArray, FloatArray, dict[str, Any]]


class MarketVectorEnv(VectorEnv):
    """`num_envs` RSUs in games of `rsus` each, side by side."""

    def __init__(
        self,
        num_envs: int = 64,
        distribution: GameDistribution | None = None,
        rsus: int | None = None,
        uavs: int | None = None,
        rounds: int = 16,
        random_starts: float = 0.5,
    ) -> None:
        """`random_starts`: share of the games whose first round's prices are random and nobody's action.

        Raises:
            InputError: a number is no number >= 1, neither given nor fixed, or RSUs are left over.
        """
        self.distribution = distribution or GameDistribution()
        self.rsus = size_of("rsus", rsus, self.distribution.rsus)
        self.uavs = size_of("uavs", uavs, self.distribution.uavs)
        self.rounds, self.random_starts = size_of("rounds", rounds, (1, 1)), random_starts
        self.num_envs = size_of("num_envs", num_envs, (1, 1))
        if self.num_envs % self.rsus:
            raise InputError("MarketVectorEnv", "num_envs", num_envs, f"a multiple of {self.rsus}, the RSUs of a game")
        self.games = self.num_envs // self.rsus
        self.single_observation_space, self.single_action_space = OBSERVATION, ACTION
        self.observation_space = spaces.Box(-np.inf, np.inf, (self.num_envs, observation.SIZE), np.float32)
        self.action_space = spaces.Box(-LARGEST_ACTION, LARGEST_ACTION, (self.num_envs, 1), np.float32)
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self._market: MarketEnvironment | None = None

    def reset(self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None) -> Reset:
        """New games."""
        super().reset(seed=seed if not isinstance(seed, list) else seed[0])
        games = draw_games(self.distribution, self.np_random, self.games, self.rsus, self.uavs, self.rounds + 1)
        self._market = market = MarketEnvironment(games, self.distribution.utility)
        usual = price_of(untrained().actor(market.observe()), market.unit_cost, market.price_cap)
        at_random = self.np_random.random((self.games, 1)) < self.random_starts
        market.step(np.where(at_random, random_start(games, self.np_random), usual))
        return self._seen(), {}

    def step(self, actions: Any) -> Step:
        """A round; or new games, after the last one. Raises InputError where actions are not finite numbers."""
        market = self._market
        if market is None:
            raise InputError("MarketVectorEnv", "step", "no game under way", "reset() before it")
        nothing = np.zeros(self.num_envs, dtype=bool)
        if market.round == market.rounds:
            return (self.reset()[0], np.zeros(self.num_envs), nothing, nothing, {})
        action = np.asarray(actions, dtype=np.float64)
        if action.size != self.num_envs or not np.isfinite(action).all():
            raise InputError("MarketVectorEnv", "actions", action.shape, f"{self.num_envs} finite numbers")
        prices = price_of(action.reshape(self.games, self.rsus), market.unit_cost, market.price_cap)
        outcome = market.step(prices)
        over = np.full(self.num_envs, market.round == market.rounds)
        infos = {"price": prices.ravel(), "profit": outcome.profit.ravel()}
        return self._seen(), outcome.reward.ravel(), nothing, over, infos

    def _seen(self) -> observation.Observation:
        assert self._market is not None
        return self._market.observe().reshape(self.num_envs, observation.SIZE)


class MarketEnv(gymnasium.Env):
    """One RSU; its rivals follow a policy, the shipped one unless told otherwise."""

    def __init__(self, rivals: str = DEFAULT, **options: Any) -> None:
        """`rivals`: for `policy.choice.choose`. `options`: of `MarketVectorEnv`, without `num_envs`."""
        distribution = options.get("distribution") or GameDistribution()
        rsus = size_of("rsus", options.get("rsus"), distribution.rsus)
        self._games = MarketVectorEnv(num_envs=rsus, **options)
        self._rivals: Actor = (choose(rivals) or untrained()).actor
        self.observation_space, self.action_space = OBSERVATION, ACTION
        self._all = np.zeros((rsus, observation.SIZE), dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """A new game."""
        super().reset(seed=seed)
        self._all, infos = self._games.reset(seed=seed)
        return self._all[0], infos

    def step(self, action: Any) -> tuple[observation.Observation, float, bool, bool, dict[str, Any]]:
        """A round."""
        actions = self._rivals(self._all).astype(np.float64)
        actions[0] = np.asarray(action, dtype=np.float64).item()
        self._all, reward, _, over, infos = self._games.step(actions)
        told = {name: float(values[0]) for name, values in infos.items()}
        return self._all[0], float(reward[0]), False, bool(over[0]), told


def register() -> None:
    """Makes `ID` known to Gymnasium; more than once does no harm."""
    if ID not in gymnasium.registry:
        gymnasium.register(
            ID,
            entry_point="uav_twin_migration.learning.vector_env:MarketEnv",
            vector_entry_point="uav_twin_migration.learning.vector_env:MarketVectorEnv",
        )
