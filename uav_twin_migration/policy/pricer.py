"""A leader's pricer that follows a policy: observation, action, price. Without a policy it follows a rule."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np

from uav_twin_migration.market.leader import PriceDecision, Pricer, RoundResult
from uav_twin_migration.policy import artifact, observation
from uav_twin_migration.policy.actor import price_of
from uav_twin_migration.policy.artifact import Policy, PolicyRefused, Reason


class PolicyPricer:
    """Implements `leader.Pricer`. Policies arrive by `update` at any time and are used from the next `decide` on.

    Whatever is wrong with a new policy, the last good one stays; with none, `fallback` prices.

    Args:
        exploration: standard deviation of the noise on the action; None for what the policy says, 0 for none.
        seed: of that noise.
    """

    def __init__(
        self,
        unit_cost: float,
        price_cap: float,
        capacity: float,
        rho: float,
        fallback: Pricer,
        policy: Policy | None = None,
        exploration: float | None = 0.0,
        seed: int = 0,
    ) -> None:
        self.unit_cost, self.price_cap, self.capacity, self.rho = unit_cost, price_cap, capacity, rho
        self.fallback = fallback
        self.policy = policy
        self.refusals: Counter[Reason] = Counter()
        self._exploration = exploration
        self._random = random.Random(seed)

    @property
    def version(self) -> int:
        """Of the policy in use; 0 with none."""
        return self.policy.version if self.policy else 0

    def update(self, data: bytes, sha256: str, version: int, schema: str) -> None:
        """Use a policy from the next round on.

        Raises:
            PolicyRefused: and the policy in use stays. Counted in `refusals`.
        """
        try:
            self.policy = self._check(data, sha256, version, schema)
        except PolicyRefused as refused:
            self.refusals[refused.reason] += 1
            raise

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        """The next round's price, credit/MHz, with what the learner needs to know about it."""
        policy = self.policy
        if policy is None:
            return self.fallback.decide(history, rival_prices)
        seen = observe(history, rival_prices, self.unit_cost, self.price_cap, self.capacity, self.rho)
        mean = float(policy.actor(seen))
        deviation = policy.exploration if self._exploration is None else self._exploration
        action, log_probability = mean, math.nan
        if deviation > 0.0:
            noise = self._random.gauss(0.0, 1.0)
            action = mean + deviation * noise
            log_probability = -0.5 * noise**2 - math.log(deviation * math.sqrt(2.0 * math.pi))
        price = float(price_of(action, self.unit_cost, self.price_cap))
        if not math.isfinite(price):
            return self.fallback.decide(history, rival_prices)
        return PriceDecision(price, action, log_probability, tuple(seen.tolist()), policy.schema, policy.version)

    def _check(self, data: bytes, sha256: str, version: int, schema: str) -> Policy:
        source = "policy update"

        def refuse(reason: Reason, key: str, value: object, expected: str) -> PolicyRefused:
            return PolicyRefused(reason, source, key, value, expected)

        artifact.check_schema(schema, refuse)
        if version <= self.version:
            raise refuse(Reason.STALE, "version", version, f"above {self.version}, which is in use")
        policy = artifact.from_bytes(data, source, sha256)
        if policy.version != version:
            raise refuse(Reason.METADATA, "version", version, f"{policy.version}, as the artifact says")
        return policy


def observe(
    history: Sequence[RoundResult],
    rival_prices: Sequence[float],
    unit_cost: float,
    price_cap: float,
    capacity: float,
    rho: float,
) -> observation.Observation:
    """One RSU's observation [observation.SIZE] before it posts, from its closed rounds (oldest first).

    A round's result holds what rivals had posted when it opened; what they posted in it is known when the next one is
    priced. So each round goes with the rival prices of its successor, and the last one with `rival_prices`.
    """
    last = list(history)[-observation.ROUNDS :]
    rivals = [result.rival_prices for result in last[1:]] + [tuple(rival_prices)]
    width = max(map(len, rivals))
    posted = np.full((len(last), width), np.nan)
    for row, prices in zip(posted, rivals[-len(last) :] if last else [], strict=True):
        row[: len(prices)] = prices
    record = observation.RoundRecord(
        np.array([result.price for result in last]),
        np.array([result.demanded for result in last]),
        np.array([result.uavs_in_range for result in last], dtype=float),
        np.array([result.concentration for result in last]),
        posted,
    )
    rounds = observation.encode_round(record, unit_cost, price_cap, capacity, rho)
    situation = observation.encode_situation(unit_cost, price_cap, rho, len(rival_prices))
    return observation.assemble(situation, rounds[::-1])
