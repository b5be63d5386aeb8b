"""The loops for single markets against the arrays for batches; as plain Python where numba is not installed."""

from __future__ import annotations

import numpy as np
import pytest

from test.game.markets import random_markets
from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.game import compiled, search
from uav_twin_migration.game.block import Block
from uav_twin_migration.game.equilibrium import TOLERANCE, solve

pytestmark = pytest.mark.slow  # numba compiles, or Python loops


@pytest.mark.parametrize(("rsus", "uavs"), [(1, 4), (2, 3), (3, 8)])
def test_first_pass_is_the_same(rsus: int, uavs: int) -> None:
    batch = random_markets(rsus, 12, rsus, uavs, rho=(0.3, 0.7))
    block = Block.of(batch)
    x, gain = compiled.first_pass(block)
    done = (gain < TOLERANCE).all(axis=0)
    assert done.sum() > 6
    expected = solve(batch).prices[done]
    np.testing.assert_allclose(batch.unit_cost[done] * np.exp(x[:, 0].T[done]), expected, rtol=1e-7)


def test_exploitability_is_the_same() -> None:
    """Also where it is not small: the loops' search and the arrays' agree on what an RSU could earn alone."""
    batch = random_markets(9, 10, 2, 12, rho=(0.1, 0.7))
    block = Block.of(batch)
    x = 0.4 * block.ceiling
    reply = search.best_reply(block, x)
    for i in range(10):
        for m in range(2):
            facing = block.attraction[:, :, i].copy(), block.epsilon[i], x[:, i].copy(), m
            rivals = compiled._rivals(*facing)
            own = block.attraction[m, :, i].copy()
            given = own, rivals, block.alpha[:, i].copy(), block.epsilon[i], block.worth[m, i]
            assert compiled._profit(*given, x[m, i]) == pytest.approx(reply.current[m, i], rel=1e-9)
            assert compiled._best(*given, block.ceiling[m, i]) == pytest.approx(reply.profit[m, i], rel=1e-6)


def test_needs_numba() -> None:
    market = random_markets(2, 1, 2, 3)[0]
    if compiled.AVAILABLE:
        np.testing.assert_allclose(solve(market, compiled=True).prices, solve(market).prices, rtol=1e-7)
    else:
        with pytest.raises(UavTwinError, match="numba"):
            solve(market, compiled=True)
