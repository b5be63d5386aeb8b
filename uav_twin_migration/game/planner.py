"""Welfare, and the most of it: what a planner reaches who decides everything.

Prices are transfers, so total utility, of users and RSUs together, is immersion less the cost of what is sold. It is
concave in bandwidth. A planner's optimum is a competitive equilibrium: RSUs take prices as given, and ask for their
unit cost, or for as much more as brings demand down to their capacity.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from uav_twin_migration.game.block import Block
from uav_twin_migration.game.followers import effective_rate, immersion, respond
from uav_twin_migration.game.leaders import ration
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.game.newton import CONVERGED, stationary

_STEPS = 60


def welfare(market: Market, prices: npt.ArrayLike) -> FloatArray:
    """[...] total utility, credit, at ``prices`` [..., M]: immersion by what is granted, less what that costs."""
    granted = ration(market, respond(market, prices).bandwidth)
    rate = effective_rate(granted, market.efficiency, market.rho[..., None])
    cost = (granted.sum(axis=-2) * market.unit_cost).sum(axis=-1)
    return np.asarray(immersion(rate, market.alpha, market.required_rate).sum(axis=-1) - cost)


def efficient_prices(market: Market) -> FloatArray:
    """[..., M] prices, credit/MHz, at which the UAVs' demand is a planner's optimum; above the price cap if need be.

    NaN where Newton's method does not get there.
    """
    flat = market.flat()
    block = Block.of(flat)
    unbounded = replace(block, ceiling=np.full_like(block.ceiling, 50.0))
    x = stationary(unbounded, np.zeros_like(block.ceiling), _STEPS, clearing=True)[0]
    residual = stationary(unbounded, x, 1, clearing=True)[1]
    prices = flat.unit_cost * np.exp(np.where(residual < CONVERGED, x, np.nan).T)
    return np.asarray(prices.reshape(market.unit_cost.shape))
