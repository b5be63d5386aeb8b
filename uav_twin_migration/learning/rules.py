"""Ways to price without learning beforehand, to hold a policy against. Each is an `evaluation.Player`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.game.market import FloatArray
from uav_twin_migration.learning.environment import MarketEnvironment, Outcome
from uav_twin_migration.market.leader import LeaderSettings, Pricer, RoundResult
from uav_twin_migration.market.pricing import ElasticityPricer, PluggedRule
from uav_twin_migration.plugins import check
from uav_twin_migration.policy import habits
from uav_twin_migration.policy.actor import price_of
from uav_twin_migration.policy.artifact import Policy
from uav_twin_migration.policy.choice import DEFAULT, NONE, UNTRAINED, choose

HISTORY = LeaderSettings.history  # closed rounds that an RSU's pricer sees


class Random:
    """Log-uniform between cost and cap."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)

    def __call__(self, environment: MarketEnvironment, last: Outcome | None) -> FloatArray:
        low, high = np.log(environment.unit_cost), np.log(environment.price_cap)
        return np.asarray(np.exp(self.random.uniform(low, high)))


class ConstantMarkup:
    """Always the same multiple of the cost."""

    def __init__(self, markup: float) -> None:
        self.markup = markup

    def __call__(self, environment: MarketEnvironment, last: Outcome | None) -> FloatArray:
        return np.minimum(self.markup * environment.unit_cost, environment.price_cap)


class Greedy:
    """The price that earned most so far; now and then (`explore`) one near it, to go on from if it is better."""

    def __init__(self, explore: float = 0.5, spread: float = 0.3, seed: int = 0) -> None:
        self.explore, self.spread = explore, spread
        self.random = np.random.default_rng(seed)
        self._best: FloatArray | None = None
        self._earned: FloatArray | None = None

    def __call__(self, environment: MarketEnvironment, last: Outcome | None) -> FloatArray:
        if last is None:
            return np.sqrt(environment.unit_cost * environment.price_cap)
        if self._best is None or self._earned is None or environment.round == 1:
            self._best, self._earned = last.prices, last.profit
        better = last.profit >= self._earned
        same = last.prices == self._best  # the best price's profit is what it earned last
        self._best = np.where(better, last.prices, self._best)
        self._earned = np.where(better | same, last.profit, self._earned)
        noise = np.exp(self.spread * self.random.standard_normal(self._best.shape))
        other = np.clip(self._best * noise, environment.unit_cost, environment.price_cap)
        return np.where(self.random.random(self._best.shape) < self.explore, other, self._best)


class Structural:
    """An extended Kalman filter on the market's structure, with the mark-up that it implies.

    To the filter an RSU's UAVs are all alike: of what they spend, it gets the share
    `s = 1 / (1 + sum_j a_j (p_j / p)^(1 - sigma))`, where the attractions `a_j` of its rivals and the UAVs' spending R
    wander slowly. It sees the logarithm of its revenue, `ln R + ln s`, each round. At share s demand has the elasticity
    `sigma (1 - s) + s k` with `k = alpha / (alpha - d P)`, about 1.2, and the best price is the mark-up of the Lerner
    rule, or the one that just sells the capacity.
    """

    MONOPOLY_ELASTICITY = 1.2
    LEAST_REVENUE = 1e-3  # credit, what "nothing sold" counts as in the logarithm

    def __init__(
        self, spending: float = 10.0, attraction: float = 0.5, drift: float = 0.02, noise: float = 0.03
    ) -> None:
        self.spending, self.attraction = spending, attraction  # prior: credit per UAV, and a_j
        self.drift, self.noise = drift, noise  # standard deviations per round, of the states and of ln revenue
        self._mean: FloatArray | None = None
        self._covariance: FloatArray | None = None

    def __call__(self, environment: MarketEnvironment, last: Outcome | None) -> FloatArray:
        cost, cap = environment.unit_cost, environment.price_cap
        if last is None:
            return np.minimum(2.0 * cost, cap)
        sigma = 1.0 / (1.0 - environment.games.rho[0])[:, None]
        if self._mean is None or environment.round == 1:
            self._begin(environment)
        mean = self._learn(environment, last, sigma)
        rivals = last.prices[:, environment.others]
        price = last.prices
        for _ in range(8):  # the mark-up depends on the share, and the share on the price
            share = self._share(mean, price, rivals, sigma)[0]
            elasticity = np.maximum(sigma * (1.0 - share) + share * self.MONOPOLY_ELASTICITY, 1.05)
            lerner = cost * elasticity / (elasticity - 1.0)
            sold = np.exp(mean[..., 0]) * share / price
            clearing = price * (sold / environment.capacity) ** (1.0 / elasticity)
            price = np.clip(np.sqrt(price * np.maximum(lerner, clearing)), cost, cap)
        return price

    def _begin(self, environment: MarketEnvironment) -> None:
        shape = environment.unit_cost.shape
        size = environment.games.rsus
        self._mean = np.full((*shape, size), np.log(self.attraction))
        self._mean[..., 0] = np.log(self.spending * np.maximum(environment.uavs[0], 1.0))
        prior = np.diag([0.3**2] + [1.0**2] * (size - 1))
        self._covariance = np.broadcast_to(prior, (*shape, size, size)).copy()

    def _learn(self, environment: MarketEnvironment, last: Outcome, sigma: FloatArray) -> FloatArray:
        """One step of the filter for every RSU."""
        assert self._mean is not None
        assert self._covariance is not None
        now, size = environment.round, self._mean.shape[-1]
        if now > 1:  # the UAVs in range are known: spending moves with their number
            grown = np.maximum(environment.uavs[now - 1], 1.0) / np.maximum(environment.uavs[now - 2], 1.0)
            self._mean[..., 0] += np.log(grown)
        covariance = self._covariance + self.drift**2 * np.eye(size)
        share, slopes = self._share(self._mean, last.prices, last.prices[:, environment.others], sigma)
        revenue = np.log(np.maximum(last.prices * last.demanded, self.LEAST_REVENUE))
        surprise = revenue - self._mean[..., 0] - np.log(np.maximum(share, 1e-12))
        row = np.concatenate([np.ones((*share.shape, 1)), slopes], axis=-1)
        spread = np.einsum("...ij,...j->...i", covariance, row)
        gain = spread / ((row * spread).sum(axis=-1, keepdims=True) + self.noise**2)
        self._mean = self._mean + gain * surprise[..., None]
        self._covariance = covariance - gain[..., :, None] * spread[..., None, :]
        return self._mean

    @staticmethod
    def _share(
        mean: FloatArray, price: FloatArray, rivals: FloatArray, sigma: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Share of the spending [..., M], and the slopes of its logarithm by the rivals' ln a_j [..., M, J]."""
        pull = np.exp(mean[..., 1:] + (1.0 - sigma)[..., None] * np.log(rivals / price[..., None]))
        total = 1.0 + pull.sum(axis=-1)
        return 1.0 / total, -pull / total[..., None]


class PerRsu:
    """One `leader.Pricer` of its own for every RSU, as in the running system."""

    def __init__(self, make: Callable[[float, float, float], Pricer]) -> None:
        """`make`: from unit cost, price cap and capacity."""
        self.make = make
        self._pricers: dict[tuple[int, int], Pricer] = {}
        self._past: list[Outcome] = []

    def __call__(self, environment: MarketEnvironment, last: Outcome | None) -> FloatArray:
        self.remember(environment, last)
        return self.prices(environment, np.ones(environment.unit_cost.shape, dtype=bool))

    def remember(self, environment: MarketEnvironment, last: Outcome | None) -> None:
        """What was played since."""
        if environment.round <= 1:
            self._pricers, self._past = {}, []
        if last is not None:
            self._past = [*self._past[-HISTORY + 1 :], last]

    def prices(self, environment: MarketEnvironment, whose: NDArray[np.bool_]) -> FloatArray:
        """[G, M] prices of those RSUs; of the others the unit cost."""
        prices = environment.unit_cost.copy()
        for g, m in np.argwhere(whose):
            if (g, m) not in self._pricers:
                cost, cap, capacity = environment.unit_cost, environment.price_cap, environment.capacity
                self._pricers[g, m] = self.make(float(cost[g, m]), float(cap[g, m]), float(capacity[g, m]))
            history = [self._result(environment, outcome, g, m) for outcome in self._past]
            rivals = history[-1].rival_prices if history else ()
            prices[g, m] = self._pricers[g, m].decide(history, rivals).price
        return np.clip(prices, environment.unit_cost, environment.price_cap)

    def _result(self, environment: MarketEnvironment, last: Outcome, g: int, m: int) -> RoundResult:
        return RoundResult(
            round=last.round,
            price=float(last.prices[g, m]),
            demanded=float(last.demanded[g, m]),
            sold=min(float(last.demanded[g, m]), float(last.market.capacity[g, m])),
            profit=float(last.profit[g, m]),
            uavs_in_range=int(environment.uavs[last.round, g, m]),
            rival_prices=tuple(last.prices[g, environment.others[m]].tolist()),
            concentration=float(last.concentration[g, m]),
            capacity=float(last.market.capacity[g, m]),
            rivals_bandwidth=tuple(b for b in last.rivals_bandwidth[g, m].tolist() if b == b),
            largest=float(last.largest[g, m]),
        )


class PolicyPlayer:
    """Prices by a policy as an RSU does: by the fallback rule where an observation lies out of the policy's ranges."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.decisions = self.ruled = 0  # all, and those that the rule made
        self._low, self._high = policy.bounds()
        self._rule = PerRsu(ElasticityPricer)

    def __call__(self, environment: MarketEnvironment, last: Outcome | None) -> FloatArray:
        seen = environment.observe()
        action = self._by_habit(environment, self.policy.actor(seen).astype(np.float64))
        prices = price_of(action, environment.unit_cost, environment.price_cap)
        outside = np.asarray(((seen < self._low) | (seen > self._high)).any(axis=-1))
        self._rule.remember(environment, last)
        self.decisions, self.ruled = self.decisions + outside.size, self.ruled + int(outside.sum())
        return np.where(outside, self._rule.prices(environment, outside), prices)

    def _by_habit(self, environment: MarketEnvironment, action: FloatArray) -> FloatArray:
        """[G, M] the actions, other ones where rivals keep jumping; see `habits`."""
        if environment.round < habits.FEWEST or environment.games.rsus == 1:
            return action
        missed = habits.misses(environment.rivals_levels())
        jumping = missed[0] > habits.RESTLESS
        if not jumping.any():
            return action
        seen = np.stack([environment.observe_every(rounds) for rounds in range(1, len(missed) + 1)])
        answers = self.policy.actor(np.clip(seen, self._low, self._high))
        averaged = (answers * habits.weights(missed, environment.earned(len(missed)))).sum(axis=0)
        return np.where(jumping, averaged, action)


def player_of(name: str) -> PolicyPlayer | PerRsu:
    """A policy's artifact, or a name that `sim --policy` knows; else a plug-in's name: a rule for every RSU.

    Raises:
        PolicyRefused: the file cannot be read or must not be used.
        PluginError: there is no such rule.
    """
    if name in (DEFAULT, UNTRAINED) or name.endswith(".safetensors") or Path(name).exists():
        policy = choose(name)
        if policy is None:
            raise UavTwinError("no policy was installed with this package: name a policy's file")
        return PolicyPlayer(policy)
    name = "elasticity" if name == NONE else name
    check("pricing", name)
    return PerRsu(lambda cost, cap, capacity: PluggedRule(name, cost, cap, capacity))
