"""The market as an environment: many games at once, with the game and observation code of the running system."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from uav_twin_migration.game.followers import respond
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.policy import observation as obs

REWARD_SCALE = 12.5  # credit: mean alpha, what a UAV could spend


class Outcome(NamedTuple):
    """One played round."""

    market: Market  # [G] in which the prices were posted
    demanded: FloatArray
    profit: FloatArray  # [G, M] credit
    reward: FloatArray  # [G, M] profit per UAV in range, of order one


class MarketEnvironment:
    """Games of a Market [rounds, G] played from the first round to the last."""

    def __init__(self, games: Market) -> None:
        self.games = games
        self.rounds, self.count = games.batch
        m = games.rsus
        self._others = np.array([[j for j in range(m) if j != i] for i in range(m)], dtype=int).reshape(m, m - 1)
        first = games[0]
        self.unit_cost, self.price_cap, self.capacity = first.unit_cost, first.price_cap, first.capacity
        self.rho = np.repeat(first.rho[:, None], m, axis=1)
        self.uavs = (games.efficiency > 0.0).sum(axis=-2).astype(float)
        self.reset()

    def reset(self):
        self.round = 0
        self.situation = obs.encode_situation(self.unit_cost, self.price_cap, self.capacity, self.rho, self.games.rsus - 1.0)
        self.history = np.zeros((self.count, self.games.rsus, obs.ROUNDS, len(obs.ROUND)))

    def observe(self) -> npt.NDArray[np.float32]:
        """[G, M, obs.SIZE]"""
        shape = (*self.situation.shape[:2], -1)
        return np.concatenate([self.situation, self.history.reshape(shape)], axis=-1).astype(np.float32)

    def step(self, prices: FloatArray) -> Outcome:
        """Play one round at `prices` [G, M], credit/MHz."""
        market, uavs = self.games[self.round], self.uavs[self.round]
        demanded = respond(market, prices).bandwidth.sum(axis=-2)
        profit = (prices - self.unit_cost) * np.minimum(demanded, self.capacity)
        record = obs.RoundRecord(prices, demanded, uavs, prices[:, self._others])
        self.history[:, :, 1:] = self.history[:, :, :-1].copy()
        self.history[:, :, 0] = obs.encode_round(record, self.unit_cost, self.capacity, self.rho)
        self.round += 1
        return Outcome(market, demanded, profit, profit / (REWARD_SCALE * np.maximum(uavs, 1.0)))
