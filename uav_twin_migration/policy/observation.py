"""What an RSU's policy sees: one encoding, used by the batched environment and by the single RSU alike.

An RSU knows its own cost, cap, capacity, prices and sales, how many UAVs answered, and what is public on the air: rho
and every posted price. Nothing else goes in. Of its sales it also knows how they are spread over UAVs: one UAV that
buys a lot has few other sellers, and will not run away from a higher price as ten small ones would. That spread, as
the Herfindahl index, tells more about the elasticity of demand than any number of further rounds.

The last `ROUNDS` closed rounds are encoded one by one, newest first; one that has not been is all zero, also in its
first place, which is 1 otherwise. All features are logarithms or ratios, shifted and scaled to be of order one by
constants, so that the network needs no normalisation of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from uav_twin_migration.policy.actor import action_of

FloatArray = npt.NDArray[np.float64]
Observation = npt.NDArray[np.float32]

SCHEMA = "uav-twin-price/1"  # changes with anything in this file that changes a number
ROUNDS = 2  # closed rounds in an observation

SITUATION = (
    "log_cost",
    "log_cap_over_cost",
    "usual_action",  # that would ask `USUAL_MARKUP` times the cost
    "rho",
    "log_rivals",
)
ROUND = (
    "known",
    "log_price_over_cost",
    "action",  # that would have asked that price
    "log_uavs",
    "log_revenue_per_uav",
    "load",  # demand over capacity
    "concentration",
    "rivals_lowest",  # this and the next three: logarithms of rivals' prices over the own one
    "rivals_mean",
    "rivals_highest",
    "rivals_index",  # their power mean with exponent 1 - sigma, as a price index has it
)
SIZE = len(SITUATION) + ROUNDS * len(ROUND)

USUAL_MARKUP = 1.8
MOST_ACTION = 4.0  # actions beyond ask for the cost or the cap, for all that counts
LEAST_REVENUE = 0.03  # credit per UAV, what "nothing sold" counts as in the logarithm
MOST_LOAD = 2.0  # demand beyond twice the capacity says nothing more
MOST_RIVALS = 7  # more are as good as so many


class RoundRecord(NamedTuple):
    """Closed rounds as their RSU knows them; batch axes ``...``, J rivals."""

    price: FloatArray  # [...] credit/MHz
    demanded: FloatArray  # [...] MHz, before rationing
    uavs: FloatArray  # [...] UAVs that answered
    concentration: FloatArray  # [...] Herfindahl index of what they demanded, see `concentration`
    rivals: FloatArray  # [..., J] credit/MHz, posted in that round; NaN where none was heard


def concentration(bandwidth: npt.ArrayLike, axis: int = -1) -> FloatArray:
    """Herfindahl index of sales over UAVs: sum of squared shares, 1/k for k equal buyers; 0 where nothing is sold."""
    b = np.asarray(bandwidth, dtype=np.float64)
    total = b.sum(axis=axis)
    return np.asarray((b * b).sum(axis=axis) / np.where(total > 0.0, total, 1.0) ** 2)


def encode_situation(
    unit_cost: npt.ArrayLike,
    price_cap: npt.ArrayLike,
    rho: npt.ArrayLike,
    rivals: npt.ArrayLike,
) -> FloatArray:
    """[..., len(SITUATION)]: what does not change from round to round. `rivals`: how many are heard."""
    parts = np.broadcast_arrays(
        np.log(unit_cost),
        np.log(np.divide(price_cap, unit_cost)) - 2.5,
        _action(np.multiply(USUAL_MARKUP, unit_cost), unit_cost, price_cap),
        5.0 * np.subtract(rho, 0.55),
        np.log1p(np.minimum(rivals, MOST_RIVALS)) - 1.2,
    )
    return np.stack(parts, axis=-1)


def encode_round(
    record: RoundRecord,
    unit_cost: npt.ArrayLike,
    price_cap: npt.ArrayLike,
    capacity: npt.ArrayLike,
    rho: npt.ArrayLike,
) -> FloatArray:
    """[..., len(ROUND)]: closed rounds, each by itself."""
    log_price = np.log(record.price)
    features = (
        np.ones_like(log_price),
        log_price - np.log(unit_cost) - 0.6,
        _action(record.price, unit_cost, price_cap),
        np.log1p(record.uavs) - 2.0,
        np.log(record.price * record.demanded / np.maximum(record.uavs, 1.0) + LEAST_REVENUE) - 0.5,
        np.minimum(np.divide(record.demanded, capacity), MOST_LOAD) - 0.5,
        2.0 * np.sqrt(record.concentration) - 1.0,
        *_rivals(np.log(record.rivals) - log_price[..., None], np.asarray(rho, dtype=np.float64)),
    )
    return np.stack(features, axis=-1)


def _action(price: npt.ArrayLike, unit_cost: npt.ArrayLike, price_cap: npt.ArrayLike) -> FloatArray:
    return np.clip(action_of(price, unit_cost, price_cap), -MOST_ACTION, MOST_ACTION) + 1.0


def _rivals(ratio: FloatArray, rho: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Lowest, mean and highest of log price ratios [..., J], and their index; 0 where there is none."""
    heard = ~np.isnan(ratio)
    count = heard.sum(axis=-1)
    some = count > 0
    divisor = np.maximum(count, 1)
    lowest = np.where(heard, ratio, np.inf).min(axis=-1, initial=np.inf)
    highest = np.where(heard, ratio, -np.inf).max(axis=-1, initial=-np.inf)
    lowest, highest = np.where(some, lowest, 0.0), np.where(some, highest, 0.0)
    mean = np.where(heard, ratio, 0.0).sum(axis=-1) / divisor
    exponent = -rho / (1.0 - rho)  # 1 - sigma; below 0, so the lowest ratio's term is the largest, here 1
    terms = np.where(heard, np.exp(exponent[..., None] * (ratio - lowest[..., None])), 0.0)
    index = lowest + np.log(np.where(some, terms.sum(axis=-1) / divisor, 1.0)) / exponent
    return lowest, mean, highest, index


def assemble(situation: FloatArray, rounds: FloatArray) -> Observation:
    """[..., SIZE] from a situation [..., S] and up to ROUNDS encoded rounds [..., K, R], newest first."""
    flat = rounds.reshape(*rounds.shape[:-2], -1)
    seen = np.zeros((*situation.shape[:-1], SIZE), dtype=np.float32)
    seen[..., : len(SITUATION)] = situation
    seen[..., len(SITUATION) : len(SITUATION) + flat.shape[-1]] = flat
    return seen


class Recalled(NamedTuple):
    """What an observation says in plain units; batch axes ``...``."""

    rho: FloatArray  # [...]
    rivals: (
        FloatArray  # [...] ln of the rivals' price index in the last round over the own cost; NaN where none is known
    )


def recall(seen: npt.NDArray[np.float32]) -> Recalled:
    """The inverse of a part of the encoding, for observations [..., SIZE]."""
    first = {name: len(SITUATION) + place for place, name in enumerate(ROUND)}
    values = np.asarray(seen, dtype=np.float64)
    rivals = values[..., first["log_price_over_cost"]] + 0.6 + values[..., first["rivals_index"]]
    alone = values[..., first["rivals_index"]] == 0.0  # to the last digit: nobody else was heard
    unknown = (values[..., first["known"]] == 0.0) | alone
    return Recalled(
        values[..., SITUATION.index("rho")] / 5.0 + 0.55,
        np.where(unknown, np.nan, rivals),
    )
