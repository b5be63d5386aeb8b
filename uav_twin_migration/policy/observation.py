"""What an RSU's policy sees: one encoding, used by the batched environment and by the single RSU alike.

An RSU knows its own cost, cap, capacity, prices and sales, how many UAVs answered, and what is public on the air: rho
and every posted price. Nothing else goes in. The last `ROUNDS` closed rounds are encoded one by one, newest first;
rounds that have not been are all zero, with a zero in their first place.

All features are logarithms or ratios of order one, so the network needs no running normalisation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SCHEMA = "uav-twin-price"
VERSION = 1
ROUNDS = 4  # closed rounds in an observation

SITUATION = ("log_cost", "log_cap_over_cost", "log_capacity", "rho", "log_rivals")
ROUND = (
    "known",
    "log_price_over_cost",
    "log_uavs",
    "log_revenue_per_uav",
    "load",
    "rivals_lowest",
    "rivals_mean",
    "rivals_highest",
    "rivals_ces_mean",
)
SIZE = len(SITUATION) + ROUNDS * len(ROUND)

_REVENUE_FLOOR = 0.03  # credit per UAV that "sold nothing" counts as in the logarithm
_MOST_LOAD = 2.0  # demand beyond twice the capacity says nothing more


class RoundRecord(NamedTuple):
    """A closed round as its RSU knows it; batch axes ``...``, and J rivals."""

    price: FloatArray  # [...] credit/MHz
    demanded: FloatArray  # [...] MHz, before rationing
    uavs: FloatArray  # [...] UAVs that answered
    rivals: FloatArray  # [..., J] credit/MHz, posted in that round; NaN where none was heard


def encode_situation(
    unit_cost: npt.ArrayLike,
    price_cap: npt.ArrayLike,
    capacity: npt.ArrayLike,
    rho: npt.ArrayLike,
    rivals: npt.ArrayLike,
) -> FloatArray:
    """[..., len(SITUATION)]: what stays the same from round to round. All arguments broadcast."""
    parts = np.broadcast_arrays(
        np.log(unit_cost),
        np.log(price_cap) - np.log(unit_cost) - 2.5,
        np.log(np.minimum(capacity, 1e4)) - 3.0,
        4.0 * (np.asarray(rho) - 0.55),
        np.log1p(rivals) - 1.2,
    )
    return np.stack(parts, axis=-1)


def encode_round(record: RoundRecord, unit_cost: FloatArray, capacity: FloatArray, rho: FloatArray) -> FloatArray:
    """[..., len(ROUND)]: one closed round."""
    log_price = np.log(record.price)
    uavs = np.maximum(record.uavs, 1.0)
    ratio = np.log(record.rivals) - log_price[..., None]
    heard = np.isfinite(ratio)
    count = np.maximum(heard.sum(axis=-1), 1)
    ratio = np.where(heard, ratio, 0.0)
    spread = np.where(heard, ratio, np.inf)
    lowest = spread.min(axis=-1, initial=np.inf)
    highest = np.where(heard, ratio, -np.inf).max(axis=-1, initial=-np.inf)
    exponent = -rho / (1.0 - rho)
    ces = np.log((np.exp(exponent[..., None] * (ratio)) * heard).sum(axis=-1) / count)/exponent
    alone = ~heard.any(axis=-1)
    features = (
        np.ones_like(log_price),
        log_price - np.log(unit_cost) - 0.6,
        np.log1p(record.uavs) - 2.0,
        np.log(record.price * record.demanded / uavs + _REVENUE_FLOOR) - 0.5,
        np.minimum(record.demanded / capacity, _MOST_LOAD) - 0.5,
        np.where(alone, 0.0, lowest),
        ratio.sum(axis=-1) / count,
        np.where(alone, 0.0, highest),
        np.where(alone, 0.0, ces),
    )
    return np.stack(features, axis=-1)
