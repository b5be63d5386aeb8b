"""One RSU's observation, from its own closed rounds, and its price.

The numbers are those of `observation` and `actor`, in plain Python: for single numbers numpy takes ten times as long. A
test holds both to the same digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from uav_twin_migration.market.leader import RoundResult
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import MOST_STEEP
from uav_twin_migration.policy.habits import FEWEST, PAST, RESTLESS
from uav_twin_migration.policy.observation import (
    LEAST_LOAD,
    MEMORY,
    MOST_ACTION,
    MOST_CHANGE,
    MOST_RIVALS,
    MOST_SPENT,
    ROUND,
    ROUNDS,
    SIZE,
    USUAL_MARKUP,
)

EDGE = 1.0 / (1.0 + math.exp(MOST_STEEP))


def observe(
    history: Sequence[RoundResult],
    rival_prices: Sequence[float],
    unit_cost: float,
    price_cap: float,
    capacity: float,
    rho: float,
    every: int = 1,
) -> observation.Observation:
    """One RSU's observation [observation.SIZE] before it posts, from its closed rounds (oldest first).

    A round's result holds what rivals had posted when it opened; what they posted in it is known when the next one is
    priced. So each round goes with the rival prices of its successor, and the last one with `rival_prices`.

    `capacity`: of rounds that do not tell theirs. `every`: what it would be had only every so many-th round been
    played, counted back to the one so long ago (see `habits`).
    """
    span = math.log(price_cap / unit_cost)
    features = [
        span - 2.5,
        _action(math.log(USUAL_MARKUP), span),
        5.0 * (rho - 0.55),
        math.log1p(min(len(rival_prices), MOST_RIVALS)) - 1.2,
    ]
    spent = [result.price * result.largest for result in history]  # by one UAV at most
    for age in range(every, min(ROUNDS * every, len(history)) + 1, every):
        result = history[-age]
        rivals = rivals_in(history, rival_prices, age)
        before = history[-age - every].demanded if age + every <= len(history) else math.nan
        own = capacity if math.isnan(result.capacity) else result.capacity
        # For older rounds the last `MEMORY` ones count, too: not all that came before them is kept.
        until = len(history) - age + 1 if every == 1 else len(history)
        most = max(spent[max(until - MEMORY, 0) : until])
        features += _round(result, before, own, most, rivals, unit_cost, span, rho)
    features += [0.0] * (SIZE - len(features))
    return np.array(features, dtype=np.float32)


def rivals_in(history: Sequence[RoundResult], rival_prices: Sequence[float], age: int) -> Sequence[float]:
    """What rivals posted in the round so many rounds ago, credit/MHz; see `observe`."""
    return rival_prices if age == 1 else history[1 - age].rival_prices


def restless(history: Sequence[RoundResult], rival_prices: Sequence[float]) -> Sequence[float]:
    """Levels of rivals' prices as `habits.misses` takes them, where they keep jumping; else nothing."""
    ages = range(1, min(len(history), PAST) + 1)
    if len(ages) < FEWEST:
        return ()
    levels = []
    for age in ages:
        posted = rivals_in(history, rival_prices, age)
        if not posted:
            return ()
        levels.append(math.fsum(map(math.log, posted)) / len(posted))
    jumps = sorted(abs(one - other) for one, other in pairwise(levels))
    middle = len(jumps) // 2
    return levels if jumps[middle] + jumps[~middle] > 2.0 * RESTLESS else ()


def ask(action: float, unit_cost: float, price_cap: float) -> float:
    """`actor.price_of` for one action; NaN where the action is."""
    if math.isnan(action):
        return math.nan
    way = 1.0 / (1.0 + math.exp(-min(max(action, -MOST_STEEP), MOST_STEEP)))
    price: float = unit_cost * (price_cap / unit_cost) ** way
    return min(max(price, unit_cost), price_cap)


def _round(
    result: RoundResult,
    before: float,
    capacity: float,
    most: float,
    rivals: Sequence[float],
    unit_cost: float,
    span: float,
    rho: float,
) -> list[float]:
    """The features of `observation.ROUND`."""
    log_price = math.log(result.price)
    markup = log_price - math.log(unit_cost)
    features = [
        1.0,
        markup - 0.6,
        _action(markup, span),
        4.0 / math.sqrt(1.0 + result.uavs_in_range) - 1.0,
        math.log(result.demanded / capacity + LEAST_LOAD) + 1.0,
        _change(result.demanded, before),
        2.0 * math.sqrt(result.concentration) - 1.0,
        _most_spent(most, result.price * result.demanded / max(result.uavs_in_range, 1)),
    ]
    offered = [_change(bandwidth, capacity) for bandwidth in result.rivals_bandwidth] or [0.0]
    features += [min(offered), math.fsum(offered) / len(offered), max(offered)]
    ratios = [math.log(price) - log_price for price in rivals]
    if not ratios:
        return features + [0.0] * (len(ROUND) - len(features))
    lowest = min(ratios)
    exponent = -rho / (1.0 - rho)
    total = math.fsum(math.exp(exponent * (ratio - lowest)) for ratio in ratios)
    index = lowest + math.log(total / len(ratios)) / exponent
    return [*features, lowest, math.fsum(ratios) / len(ratios), max(ratios), index]


def _most_spent(most: float, spent: float) -> float:
    """The logarithm of what one UAV has spent at most over what UAVs spend now, from 0 to `MOST_SPENT`; shifted."""
    if most <= spent:
        return -1.0
    return (min(math.log(most / spent), MOST_SPENT) if spent > 0.0 else MOST_SPENT) - 1.0


def _change(now: float, before: float) -> float:
    """The logarithm of a quotient, cut off; 0 where nothing is known."""
    if math.isnan(now) or math.isnan(before) or now == before:
        return 0.0
    if now == 0.0 or math.isinf(before):
        return -MOST_CHANGE
    if before == 0.0 or math.isinf(now):
        return MOST_CHANGE
    return min(max(math.log(now / before), -MOST_CHANGE), MOST_CHANGE)


def _action(markup: float, span: float) -> float:
    """The action that asks for a price, see `actor.action_of`; `markup` and `span` are logarithms."""
    share = min(max(markup / max(span, 1e-9), EDGE), 1.0 - EDGE)
    return min(max(math.log(share) - math.log1p(-share), -MOST_ACTION), MOST_ACTION) + 1.0
