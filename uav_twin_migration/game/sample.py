"""Random markets for studies and benchmarks, all from one seeded generator.

RSUs and UAVs lie anywhere in a square of 1 km. A link's signal-to-noise ratio is 30 dB at 100 m and falls with the
square of the distance; beyond 600 m on the ground there is none. Its spectral efficiency is Shannon's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from uav_twin_migration.game.links import IntArray, LinkMarket
from uav_twin_migration.game.market import Market

_SIDE, _ALTITUDE, _RANGE = 1000.0, 100.0, 600.0  # m
_SNR_AT_100_M = 1000.0
_IN_REACH = 4.36  # RSUs within range of a UAV in a city, on average


def sample(
    rng: np.random.Generator,
    count: int,
    rsus: int,
    uavs: int,
    rho: npt.ArrayLike | None = None,
    unit_cost: npt.ArrayLike | None = None,
    price_cap: npt.ArrayLike = 20.0,
    limited: bool = True,
) -> Market:
    """``count`` markets: alpha 5-20 credit, d 1-5 Mbit/s, and where not given C .5-3 credit/MHz and rho .5-.7.

    Capacities are 3-20 MHz times UAVs per RSU, or unlimited.
    """
    place = rng.uniform(0.0, _SIDE, (count, uavs, 1, 2)) - rng.uniform(0.0, _SIDE, (count, 1, rsus, 2))
    ground = np.hypot(place[..., 0], place[..., 1])
    snr = _SNR_AT_100_M * 100.0**2 / (ground**2 + _ALTITUDE**2)
    alpha = rng.uniform(5.0, 20.0, (count, uavs))
    rate = rng.uniform(1.0, 5.0, (count, uavs))
    cost = rng.uniform(0.5, 3.0, (count, rsus))
    capacity = rng.uniform(3.0, 20.0, (count, rsus)) * max(uavs, 1) / rsus
    substitutability = rng.uniform(0.5, 0.7, count)
    return Market.of(
        alpha=alpha,
        required_rate=rate,
        efficiency=np.where(ground < _RANGE, np.log2(1.0 + snr), 0.0),
        unit_cost=cost if unit_cost is None else unit_cost,
        capacity=capacity if limited else None,
        price_cap=price_cap,
        rho=substitutability if rho is None else rho,
    )


def sample_city(rng: np.random.Generator, rsus: int, uavs: int, rho: float = 0.6) -> LinkMarket:
    """One market of a whole city, as links: constant density of RSUs, so that a UAV reaches 4.4 of them on average.

    Everything else is as in `sample`. RSUs and UAVs are put in cells as wide as the range, so the work grows with them.
    """
    side = _RANGE * np.sqrt(np.pi * rsus / _IN_REACH)
    rsu_at, uav_at = rng.uniform(0.0, side, (rsus, 2)), rng.uniform(0.0, side, (uavs, 2))
    cells = int(side // _RANGE) + 3  # one more on either side
    cell = (rsu_at // _RANGE).astype(np.intp) + 1
    order = np.argsort(cell[:, 0] * cells + cell[:, 1], kind="stable")
    begin = np.searchsorted((cell[:, 0] * cells + cell[:, 1])[order], np.arange(cells * cells + 1))
    near: list[tuple[IntArray, IntArray]] = []
    home = (uav_at // _RANGE).astype(np.intp) + 1
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            at = (home[:, 0] + row) * cells + home[:, 1] + column
            count = begin[at + 1] - begin[at]
            uav = np.repeat(np.arange(uavs), count)
            place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin[at], count)
            rsu = order[place]
            close = np.hypot(*(uav_at[uav] - rsu_at[rsu]).T) < _RANGE
            near.append((uav[close], rsu[close]))
    uav, rsu = (np.concatenate(parts) for parts in zip(*near, strict=True))
    ground = np.hypot(*(uav_at[uav] - rsu_at[rsu]).T)
    return LinkMarket.of(
        alpha=rng.uniform(5.0, 20.0, uavs),
        required_rate=rng.uniform(1.0, 5.0, uavs),
        uav=uav,
        rsu=rsu,
        efficiency=np.log2(1.0 + _SNR_AT_100_M * 100.0**2 / (ground**2 + _ALTITUDE**2)),
        unit_cost=rng.uniform(0.5, 3.0, rsus),
        capacity=rng.uniform(3.0, 20.0, rsus) * uavs / rsus,
        price_cap=20.0,
        rho=rho,
    )
