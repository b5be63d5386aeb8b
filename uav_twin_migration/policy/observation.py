"""What an RSU's policy sees: one encoding, used by the batched environment and by the single RSU alike.

An RSU knows its own cost, cap, capacity, prices and sales, how many UAVs answered, and what is public on the air: rho,
and every posted price and offered bandwidth. Nothing else goes in, and nothing that has a unit: prices count by the
own cost, sales by the own capacity and by the sales of the round before, what rivals offer by the own. So a policy
asks the same in every currency, and for bandwidth in whatever unit.

What rivals offer tells how much is usually sold here: an RSU that sells little of what all could sell has many rivals
for its UAVs. How its sales are spread over UAVs, as the Herfindahl index, tells more: one UAV that buys a lot has few
other sellers, and will not run away from a higher price as ten small ones would. And the most that one UAV has spent
here lately tells what a UAV has to spend, as now and then one is there that reaches nobody else: beside that, what UAVs
spend now tells the share of it that the RSU gets, and so how many run away.

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

SCHEMA = "uav-twin-price/3"  # changes with anything in this file that changes a number
ROUNDS = 2  # closed rounds in an observation

SITUATION = (
    "log_cap_over_cost",
    "usual_action",  # that would ask `USUAL_MARKUP` times the cost
    "rho",
    "log_rivals",
)
ROUND = (
    "known",
    "log_price_over_cost",
    "action",  # that would have asked that price
    "few_uavs",  # by the root of how many answered, as chance evens out
    "log_load",  # demand over capacity
    "growth",  # of demand since the round before, its logarithm
    "concentration",
    "most_spent",  # logarithm of what one UAV has spent at most in a round lately, over what UAVs spent in this one
    "bandwidth_lowest",  # this and the next two: logarithms of what rivals offer over the own capacity
    "bandwidth_mean",
    "bandwidth_highest",
    "rivals_lowest",  # this and the next three: logarithms of rivals' prices over the own one
    "rivals_mean",
    "rivals_highest",
    "rivals_index",  # their power mean with exponent 1 - sigma, as a price index has it
)
SIZE = len(SITUATION) + ROUNDS * len(ROUND)
NAMES = SITUATION + tuple(f"{name}_{age + 1}" for age in range(ROUNDS) for name in ROUND)  # of all features, in order

USUAL_MARKUP = 1.8
MOST_ACTION = 4.0  # actions beyond ask for the cost or the cap, for all that counts
LEAST_LOAD = 1e-3  # of the capacity, what "nothing sold" counts as in the logarithm
MOST_CHANGE = 2.0  # logarithms of changes and of rivals' bandwidth are cut off there
MOST_SPENT = 4.0  # the same, of what one UAV has spent over what UAVs spend
MOST_RIVALS = 15  # more are as good as so many
MEMORY = 12  # rounds, the present one among them, of which the most that a UAV has spent is remembered


class RoundRecord(NamedTuple):
    """Closed rounds as their RSU knows them; batch axes ``...``, J rivals."""

    price: FloatArray  # [...] credit/MHz
    demanded: FloatArray  # [...] MHz, before rationing
    before: FloatArray  # [...] MHz, demanded in the round before; NaN where there was none
    capacity: FloatArray  # [...] MHz; inf where unlimited
    uavs: FloatArray  # [...] UAVs that answered
    concentration: FloatArray  # [...] Herfindahl index of what they demanded, see `concentration`
    most_spent: FloatArray  # [...] credit, the most that one UAV has spent in one of the last `MEMORY` rounds
    rivals_bandwidth: FloatArray  # [..., K] MHz, what rivals offered before that round; NaN where none was heard
    rivals: FloatArray  # [..., J] credit/MHz, posted in that round; NaN where none was heard


def concentration(bandwidth: npt.ArrayLike, axis: int = -1) -> FloatArray:
    """Herfindahl index of sales over UAVs: sum of squared shares, 1/k for k equal buyers; 0 where nothing is sold."""
    b = np.asarray(bandwidth, dtype=np.float64)
    total = b.sum(axis=axis, keepdims=True)
    share = b / np.where(total > 0.0, total, 1.0)
    return np.asarray((share * share).sum(axis=axis))


def encode_situation(
    unit_cost: npt.ArrayLike,
    price_cap: npt.ArrayLike,
    rho: npt.ArrayLike,
    rivals: npt.ArrayLike,
) -> FloatArray:
    """[..., len(SITUATION)]: what does not change from round to round. `rivals`: how many are heard."""
    parts = np.broadcast_arrays(
        np.log(np.divide(price_cap, unit_cost)) - 2.5,
        _action(np.multiply(USUAL_MARKUP, unit_cost), unit_cost, price_cap),
        5.0 * np.subtract(rho, 0.55),
        np.log1p(np.minimum(rivals, MOST_RIVALS)) - 1.2,
    )
    return np.stack(parts, axis=-1)


def encode_round(
    record: RoundRecord, unit_cost: npt.ArrayLike, price_cap: npt.ArrayLike, rho: npt.ArrayLike
) -> FloatArray:
    """[..., len(ROUND)]: closed rounds, each by itself."""
    log_price = np.log(record.price)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.log(record.demanded / record.before)
        spent = record.price * record.demanded / np.maximum(record.uavs, 1.0)
        most = np.log(record.most_spent / spent)
        own = record.capacity[..., None]
        offered = np.clip(np.log(record.rivals_bandwidth / own), -MOST_CHANGE, MOST_CHANGE)
        offered = np.where(record.rivals_bandwidth == own, 0.0, offered)  # both may be unlimited
    features = (
        np.ones_like(log_price),
        log_price - np.log(unit_cost) - 0.6,
        _action(record.price, unit_cost, price_cap),
        4.0 / np.sqrt(1.0 + record.uavs) - 1.0,
        np.log(record.demanded / record.capacity + LEAST_LOAD) + 1.0,
        _bounded(growth),
        2.0 * np.sqrt(record.concentration) - 1.0,
        np.nan_to_num(np.clip(most, 0.0, MOST_SPENT)) - 1.0,
        *_spread(offered)[:3],
        *_rivals(np.log(record.rivals) - log_price[..., None], np.asarray(rho, dtype=np.float64)),
    )
    return np.stack(features, axis=-1)


def _bounded(change: FloatArray) -> FloatArray:
    """Cut off at `MOST_CHANGE`; 0 where nothing is known."""
    return np.asarray(np.nan_to_num(np.clip(change, -MOST_CHANGE, MOST_CHANGE)))


def _action(price: npt.ArrayLike, unit_cost: npt.ArrayLike, price_cap: npt.ArrayLike) -> FloatArray:
    return np.clip(action_of(price, unit_cost, price_cap), -MOST_ACTION, MOST_ACTION) + 1.0


def _rivals(ratio: FloatArray, rho: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Lowest, mean and highest of log price ratios [..., J], and their index; 0 where there is none."""
    lowest, mean, highest, heard = _spread(ratio)
    count = heard.sum(axis=-1)
    exponent = -rho / (1.0 - rho)  # 1 - sigma; below 0, so the lowest ratio's term is the largest, here 1
    terms = np.where(heard, np.exp(exponent[..., None] * (ratio - lowest[..., None])), 0.0)
    index = lowest + np.log(np.where(count > 0, terms.sum(axis=-1) / np.maximum(count, 1), 1.0)) / exponent
    return lowest, mean, highest, index


def _spread(ratio: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Lowest, mean and highest of logarithms [..., J], 0 where there is none; and where there is one."""
    heard = ~np.isnan(ratio)
    count = heard.sum(axis=-1)
    lowest = np.where(heard, ratio, np.inf).min(axis=-1, initial=np.inf)
    highest = np.where(heard, ratio, -np.inf).max(axis=-1, initial=-np.inf)
    mean = np.where(heard, ratio, 0.0).sum(axis=-1) / np.maximum(count, 1)
    return np.where(count > 0, lowest, 0.0), mean, np.where(count > 0, highest, 0.0), heard


def assemble(situation: FloatArray, rounds: FloatArray) -> Observation:
    """[..., SIZE] from a situation [..., S] and up to ROUNDS encoded rounds [..., K, R], newest first."""
    flat = rounds.reshape(*rounds.shape[:-2], -1)
    seen = np.zeros((*situation.shape[:-1], SIZE), dtype=np.float32)
    seen[..., : len(SITUATION)] = situation
    seen[..., len(SITUATION) : len(SITUATION) + flat.shape[-1]] = flat
    return seen


class Recalled(NamedTuple):
    """What an observation says in plain units; batch axes ``...``, NaN where nothing is known."""

    rho: FloatArray  # [...]
    rivals: FloatArray  # [...] ln of the rivals' price index in the last round over the own cost
    revenue: FloatArray  # [...] ln of the last round's revenue per UAV, over the worth of the capacity at unit cost


def recall(seen: npt.NDArray[np.float32]) -> Recalled:
    """The inverse of a part of the encoding, for observations [..., SIZE]."""
    values = np.asarray(seen, dtype=np.float64)
    last = {name: values[..., len(SITUATION) + place] for place, name in enumerate(ROUND)}
    price = last["log_price_over_cost"] + 0.6
    load = np.maximum(np.exp(last["log_load"] - 1.0) - LEAST_LOAD, LEAST_LOAD)
    uavs = np.maximum((4.0 / (last["few_uavs"] + 1.0)) ** 2 - 1.0, 1.0)
    unknown = last["known"] == 0.0
    alone = last["rivals_index"] == 0.0  # to the last digit: nobody else was heard
    return Recalled(
        values[..., SITUATION.index("rho")] / 5.0 + 0.55,
        np.where(unknown | alone, np.nan, price + last["rivals_index"]),
        np.where(unknown, np.nan, price + np.log(load / uavs)),
    )
