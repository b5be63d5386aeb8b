"""Pricing rules to compare with: always the same mark-up, any price, and what one would ask who knew everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from uav_twin_migration.market.leader import PriceDecision, RoundResult

Oracle = Callable[[], float]


class Markup:
    """Always so many times the cost."""

    def __init__(self, unit_cost: float, markup: float = 2.0) -> None:
        self._price = markup * unit_cost

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        """The price, credit/MHz."""
        return PriceDecision(self._price)


class AnyPrice:
    """Any price from the cost to the cap, each round anew."""

    def __init__(self, unit_cost: float, price_cap: float, seed: int = 0) -> None:
        self._low, self._high, self._chance = unit_cost, price_cap, Random(seed)

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        """The price, credit/MHz."""
        return PriceDecision(self._chance.uniform(self._low, self._high))


class AtEquilibrium:
    """The price of this moment's Stackelberg equilibrium; the last one where there is none. In virtual time alone."""

    def __init__(self, equilibrium_price: Oracle | None = None) -> None:
        """equilibrium_price: of this RSU now, credit/MHz. Raises ValueError where nobody can tell it."""
        if equilibrium_price is None:
            raise ValueError("only `sim --virtual` can tell an RSU what it would ask in equilibrium")
        self._ask = equilibrium_price

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        """The price, credit/MHz."""
        return PriceDecision(self._ask())

    def adopt(self, unit_cost: float, price_cap: float, capacity: float) -> None:
        """Nothing to remember."""
