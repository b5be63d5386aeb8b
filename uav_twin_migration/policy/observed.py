"""A rule that prices under observation, so that others can learn from what it does."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from uav_twin_migration.market.leader import AdaptablePricer, PriceDecision, RoundResult
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import action_of, price_of
from uav_twin_migration.policy.single import observe


class ObservedRule:
    """Another pricer's decisions with the observation they go with, and with noise on the action where it is wanted.

    Implements `leader.Pricer`.

    Args:
        exploration: standard deviation of the noise on the action; with 0 the rule's price stays as it is.
    """

    def __init__(
        self,
        rule: AdaptablePricer,
        unit_cost: float,
        price_cap: float,
        capacity: float,
        rho: float,
        exploration: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.rule = rule
        self.unit_cost, self.price_cap, self.capacity, self.rho = unit_cost, price_cap, capacity, rho
        self.exploration = exploration
        self._random = random.Random(seed)

    def adopt(self, unit_cost: float, price_cap: float, capacity: float) -> None:
        """Price with other figures from the next round on, and with what was learned until now."""
        self.unit_cost, self.price_cap, self.capacity = unit_cost, price_cap, capacity
        self.rule.adopt(unit_cost, price_cap, capacity)

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        """The next round's price, credit/MHz, with what a learner needs to know about it."""
        price, log_probability = self.rule.decide(history, rival_prices).price, math.nan
        if not math.isfinite(price):
            return PriceDecision(price)
        action = float(action_of(price, self.unit_cost, self.price_cap))
        if self.exploration > 0.0:
            noise = self._random.gauss(0.0, 1.0)
            action += self.exploration * noise
            log_probability = -0.5 * noise**2 - math.log(self.exploration * math.sqrt(2.0 * math.pi))
            price = float(price_of(action, self.unit_cost, self.price_cap))
        seen = observe(history, rival_prices, self.unit_cost, self.price_cap, self.capacity, self.rho)
        return PriceDecision(price, action, log_probability, tuple(seen.tolist()), observation.SCHEMA)
