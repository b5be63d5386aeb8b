"""How an RSU prices without a learned policy: a rule that learns its own demand from its own sales.

Near any price, CES demand is close to a power law in the own price and the rivals' mean price,

    ln(demand / capacity) = a - eps ln(price / C) + eta ln(rivals / C),

with the elasticity eps unknown; nothing in it has a unit. A Kalman filter (random-walk coefficients,
since UAVs move) estimates (a, eps, eta) from the RSU's own rounds. The profit of a power law is largest at the mark-up
of the Lerner rule,

    price* = C eps / (eps - 1),

and where the sales at that price would exceed the capacity, at the price that just sells the capacity. The rule posts
price* with a small seeded dither, without which prices stop varying and the elasticity could no longer be seen.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.market.leader import PriceDecision, Pricer, RoundResult
from uav_twin_migration.plugins import Plugged

LEAST_LOAD = 1e-4  # of the capacity: what "nothing sold" counts as in the logarithm
MOST_SURPRISE = 1.0  # of one round, in the logarithm of demand: more is believed when it comes again
LEAST_ELASTICITY = 1.15  # below, the Lerner mark-up explodes on noise; the price cap bounds the price anyhow


class ElasticityPricer:
    """The fallback rule of an RSU. Implements `leader.Pricer`.

    `elasticity` is the prior: halfway between a monopolist's 1 and the market's elasticity of substitution sigma is a
    fair start for a handful of rivals. `dither` is the standard deviation of ln(price) around the rule's answer.
    """

    def __init__(
        self,
        unit_cost: float,
        price_cap: float,
        capacity: float,
        elasticity: float = 2.2,
        dither: float = 0.03,
        seed: int = 0,
    ) -> None:
        self.unit_cost, self.price_cap, self.capacity = unit_cost, price_cap, capacity
        self.dither = dither
        self._random = random.Random(seed)
        self._mean: NDArray[np.float64] | None = None  # a, eps, eta
        self._prior_elasticity = elasticity
        self._covariance = np.diag([4.0, 0.25, 0.25])
        self._drift = np.diag([4e-3, 4e-4, 4e-4])  # per round
        self._noise = 4e-3  # variance of ln(sold) that the power law leaves unexplained
        self._seen = -1
        # What prices and demand count by, whatever changes later.
        self._cost, self._scale = unit_cost, capacity if math.isfinite(capacity) else math.nan
        self._told = capacity  # by the last round; what was adopted since is newer

    def adopt(self, unit_cost: float, price_cap: float, capacity: float) -> None:
        """Price with other figures from the next round on, and with what was learned until now."""
        self.unit_cost, self.price_cap, self.capacity = unit_cost, price_cap, capacity

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        """The next round's price, credit/MHz."""
        for result in history:
            if result.round > self._seen:  # also those that somebody else priced
                self._seen = result.round
                self._learn(result)
        price = self._lerner_price(rival_prices) * math.exp(self._random.gauss(0.0, self.dither))
        return PriceDecision(min(max(price, self.unit_cost), self.price_cap))

    def _learn(self, last: RoundResult) -> None:
        """One Kalman step. A round that sold out says only that demand was at least that; it uses the demand."""
        if last.uavs_in_range == 0:
            return  # nobody there: nothing to learn about their elasticity
        if last.capacity != self._told and not math.isnan(last.capacity):
            self.capacity = self._told = last.capacity
        if math.isnan(self._scale):  # an unlimited capacity
            self._scale = last.demanded or math.nan
        load = last.demanded / self._scale if last.demanded > 0.0 else 0.0
        sold = math.log(max(load, LEAST_LOAD))
        row = self._row(math.log(last.price / self._cost), last.rival_prices)
        if self._mean is None:
            eta = self._prior_elasticity - 1.0
            a = sold - self._prior_elasticity * row[1] - eta * row[2]
            self._mean = np.array([a, self._prior_elasticity, eta])
        covariance = self._covariance + self._drift
        gain = covariance @ row / (row @ covariance @ row + self._noise)
        surprise = min(max(float(sold - row @ self._mean), -MOST_SURPRISE), MOST_SURPRISE)
        self._mean = self._mean + gain * surprise
        self._covariance = covariance - np.outer(gain, row @ covariance)

    def _row(self, log_markup: float, rivals: Sequence[float]) -> NDArray[np.float64]:
        log_rivals = math.fsum(math.log(price / self._cost) for price in rivals) / len(rivals) if rivals else 0.0
        return np.array([1.0, -log_markup, log_rivals])

    def _lerner_price(self, rival_prices: Sequence[float]) -> float:
        elasticity = self._prior_elasticity if self._mean is None else float(self._mean[1])
        elasticity = max(elasticity, LEAST_ELASTICITY)
        price = self.unit_cost * elasticity / (elasticity - 1.0)
        if self._mean is None:
            return price
        if not math.isfinite(self.capacity):
            return price
        load_at_cost = float(self._row(0.0, rival_prices) @ self._mean)  # ln of the load at a price of `_cost`
        excess = load_at_cost - math.log(self.capacity / self._scale)
        return max(price, self._cost * math.exp(min(excess / elasticity, 50.0)))


class PluggedRule:
    """A pricing rule that is a plug-in; where it fails, an `ElasticityPricer` prices.

    Implements `leader.AdaptablePricer`.

    The plug-in's constructor may take `unit_cost`, `price_cap` (credit/MHz), `capacity` (MHz) and `seed`. Where it has
    no method `adopt`, it is made anew when one of these changes.
    """

    def __init__(
        self,
        plugin: str,
        unit_cost: float,
        price_cap: float,
        capacity: float,
        seed: int = 0,
        tell: Callable[[str], None] | None = None,
        equilibrium_price: Callable[[], float] | None = None,
    ) -> None:
        """tell: see `Plugged`. Raises PluginError without it. equilibrium_price: tells it, in virtual time."""
        figures = {"unit_cost": unit_cost, "price_cap": price_cap, "capacity": capacity}
        self._built_in = ElasticityPricer(**figures, seed=seed)
        given: dict[str, Any] = {**figures, "seed": seed, "equilibrium_price": equilibrium_price}
        self.rule = Plugged[Pricer]("pricing", plugin, self._built_in, tell, **given)

    def adopt(self, unit_cost: float, price_cap: float, capacity: float) -> None:
        """Price with other figures from the next round on."""
        figures = {"unit_cost": unit_cost, "price_cap": price_cap, "capacity": capacity}
        self._built_in.adopt(**figures)
        if not hasattr(self.rule.own, "adopt"):
            self.rule.renew(**figures)
        else:
            self.rule.ask(lambda rule: rule.adopt(**figures))  # type: ignore[attr-defined]

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        """The next round's price, credit/MHz."""
        return self.rule.ask(lambda rule: _checked(rule.decide(history, rival_prices)))


def _checked(decision: PriceDecision | float) -> PriceDecision:
    """A plug-in's answer, which may be a plain price. Raises ValueError where it is none."""
    price = float(decision.price if isinstance(decision, PriceDecision) else decision)
    if not (math.isfinite(price) and price > 0.0):
        raise ValueError(f"the price is {price}")
    return PriceDecision(price)
