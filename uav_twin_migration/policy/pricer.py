"""A leader's pricer that follows a policy: observation, action, price. Where it cannot, it follows a rule.

It cannot where there is no policy, and where what the RSU sees lies outside of what the policy was trained for (its
`ranges`): a network is not to be believed there. The first such round is told, and so is the first one inside again.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from uav_twin_migration.market.leader import AdaptablePricer, PriceDecision, RoundResult
from uav_twin_migration.plugins import Plugged
from uav_twin_migration.policy import artifact, habits, observation
from uav_twin_migration.policy.artifact import Policy, PolicyRefused, Reason
from uav_twin_migration.policy.single import ask, observe, restless


class PolicyPricer:
    """Implements `leader.Pricer`. Policies arrive by `update` at any time and are used from the next `decide` on.

    Whatever is wrong with a new policy, the last good one stays; with none, `fallback` prices.

    Args:
        exploration: standard deviation of the noise on the action; None for what the policy says, 0 for none.
        seed: of that noise.
        tell: gets a sentence when the fallback takes over from the policy, and when the policy is back.
        plugged: the plug-in that is the fallback's, if one is; its failures are counted.
    """

    def __init__(
        self,
        unit_cost: float,
        price_cap: float,
        capacity: float,
        rho: float,
        fallback: AdaptablePricer,
        policy: Policy | None = None,
        exploration: float | None = 0.0,
        seed: int = 0,
        tell: Callable[[str], None] = lambda sentence: None,
        plugged: Plugged[Any] | None = None,
    ) -> None:
        self.unit_cost, self.price_cap, self.capacity, self.rho = unit_cost, price_cap, capacity, rho
        self.fallback, self.plugged = fallback, plugged
        self.tell = tell
        self.refusals: Counter[Reason] = Counter()
        self.outside = ""  # the feature that is out of the policy's ranges now; empty where none is
        self._exploration = exploration
        self._random = random.Random(seed)
        self._use(policy)

    def adopt(self, unit_cost: float, price_cap: float, capacity: float) -> None:
        """Price with other figures from the next round on, and with what was learned until now."""
        self.unit_cost, self.price_cap, self.capacity = unit_cost, price_cap, capacity
        self.fallback.adopt(unit_cost, price_cap, capacity)

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
            self._use(self._check(data, sha256, version, schema))
        except PolicyRefused as refused:
            self.refusals[refused.reason] += 1
            raise

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        """The next round's price, credit/MHz, with what the learner needs to know about it."""
        policy = self.policy
        if policy is None:
            return self.fallback.decide(history, rival_prices)
        seen = observe(history, rival_prices, self.unit_cost, self.price_cap, self.capacity, self.rho)
        if not self._inside(seen):
            return self.fallback.decide(history, rival_prices)
        levels = restless(history, rival_prices)
        mean = self._by_habit(policy, levels, history, rival_prices) if levels else float(policy.actor(seen))
        deviation = policy.exploration if self._exploration is None else self._exploration
        action, log_probability = mean, math.nan
        if deviation > 0.0:
            noise = self._random.gauss(0.0, 1.0)
            action = mean + deviation * noise
            log_probability = -0.5 * noise**2 - math.log(deviation * math.sqrt(2.0 * math.pi))
        price = ask(action, self.unit_cost, self.price_cap)
        if not math.isfinite(price):
            return self.fallback.decide(history, rival_prices)
        return PriceDecision(price, action, log_probability, tuple(seen.tolist()), policy.schema, policy.version)

    def _by_habit(
        self, policy: Policy, levels: Sequence[float], history: Sequence[RoundResult], rival_prices: Sequence[float]
    ) -> float:
        """The action where rivals keep jumping, see `habits`."""
        missed = habits.misses(np.array(levels))
        own = self.unit_cost, self.price_cap, self.capacity, self.rho
        seen = [observe(history, rival_prices, *own, every) for every in range(1, len(missed) + 1)]
        answers = policy.actor(np.clip(seen, self._low, self._high))
        last = [history[-age] for age in range(1, len(missed) + 1)]
        earned = np.array([(result.price - self.unit_cost) * result.sold for result in last])
        return float(answers @ habits.weights(missed, earned))

    def _use(self, policy: Policy | None) -> None:
        self.policy = policy
        self.outside = ""
        if policy is not None:
            self._low, self._high = policy.bounds()

    def _inside(self, seen: observation.Observation) -> bool:
        """Whether the policy was trained for that; tells when it no longer was, and when it is again."""
        beyond = (seen < self._low) | (seen > self._high)
        if not beyond.any():
            if self.outside:
                self.tell(f"prices by the policy again: {self.outside} is in its range")
            self.outside = ""
            return True
        worst = int(beyond.argmax())
        name = observation.NAMES[worst]
        if not self.outside:
            low, high = float(self._low[worst]), float(self._high[worst])
            self.tell(
                f"prices by the fallback rule: {name} is {float(seen[worst]):.3g}, the policy was trained for "
                f"{low:.3g} to {high:.3g}"
            )
        self.outside = name
        return False

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
