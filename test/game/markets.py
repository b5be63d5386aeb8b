"""Random markets for the tests: over the whole range that the solver promises to handle, and for hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from uav_twin_migration.game.market import Market


def random_markets(
    seed: int, count: int, rsus: int, uavs: int, rho: tuple[float, float] = (0.05, 0.7), limited: bool = True
) -> Market:
    """``count`` markets, a third of their links out of range; capacities that bind in some of them if ``limited``."""
    rng = np.random.default_rng(seed)
    in_range = rng.random((count, uavs, rsus)) > 1 / 3
    return Market.of(
        alpha=rng.uniform(5.0, 20.0, (count, uavs)),
        required_rate=rng.uniform(1.0, 5.0, (count, uavs)),
        efficiency=rng.uniform(0.5, 8.0, (count, uavs, rsus)) * in_range,
        unit_cost=rng.uniform(0.5, 3.0, (count, rsus)),
        capacity=rng.uniform(3.0, 20.0, (count, rsus)) * max(uavs, 1) / rsus if limited else None,
        price_cap=20.0,
        rho=rng.uniform(*rho, count),
    )


def _numbers(low: float, high: float, size: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(low, high), min_size=size, max_size=size)


@st.composite
def markets(draw: st.DrawFn, max_rsus: int = 4, max_uavs: int = 4, max_rho: float = 0.95) -> Market:
    """Any small market, dropped-out UAVs, empty coverage and tight capacities among them."""
    rsus, uavs = draw(st.integers(1, max_rsus)), draw(st.integers(1, max_uavs))
    link = st.one_of(st.just(0.0), st.floats(0.1, 10.0))
    row = st.lists(link, min_size=rsus, max_size=rsus)
    return Market.of(
        alpha=draw(_numbers(0.5, 30.0, uavs)),
        required_rate=draw(_numbers(0.1, 10.0, uavs)),
        efficiency=draw(st.lists(row, min_size=uavs, max_size=uavs)),
        unit_cost=draw(_numbers(0.2, 4.0, rsus)),
        capacity=draw(st.one_of(st.none(), _numbers(0.5, 50.0, rsus))),
        price_cap=draw(st.floats(5.0, 40.0)),
        rho=draw(st.floats(0.02, max_rho)),
    )


@st.composite
def prices_for(draw: st.DrawFn, market: Market) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Prices of one market between its unit costs and price caps."""
    part = np.array(draw(_numbers(0.0, 1.0, market.rsus)))
    return np.asarray(market.unit_cost * (market.price_cap / market.unit_cost) ** part)
