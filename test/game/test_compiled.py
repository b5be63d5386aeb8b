"""The loops for single markets against the arrays for batches; as plain Python where numba is not installed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from test.game.markets import random_markets
from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.game import compiled, search
from uav_twin_migration.game.block import Block
from uav_twin_migration.game.equilibrium import TOLERANCE, solve

pytestmark = pytest.mark.slow  # numba compiles, or Python loops


@pytest.mark.parametrize(("rsus", "uavs"), [(1, 4), (2, 3), (3, 8)])
def test_equilibria_are_the_same(rsus: int, uavs: int) -> None:
    batch = random_markets(rsus, 12, rsus, uavs, rho=(0.3, 0.7))
    expected, done = solve(batch), 0
    for i in range(12):
        told = compiled.settled(batch[i])
        if told:
            done += 1
            assert told.exploitability <= told.bound < TOLERANCE
            for key, values in told._asdict().items():
                if key not in ("exploitability", "bound"):
                    np.testing.assert_allclose(values, getattr(expected[i], key), rtol=1e-6, atol=1e-7, err_msg=key)
    assert done > 6


def test_what_leaves_the_range_of_doubles_is_left_to_others() -> None:
    market = random_markets(3, 1, 2, 3, rho=(0.5, 0.6))[0]
    assert compiled.settled(market)
    for key, factor in (("alpha", 1e200), ("alpha", 0.0), ("efficiency", 1e300)):
        assert not compiled.settled(replace(market, **{key: getattr(market, key) * factor})), key
    assert not compiled.settled(replace(market, rho=np.array(1.0 - 1e-12)))
    nobody = replace(market, alpha=np.empty(0), required_rate=np.empty(0), efficiency=np.empty((0, 2)))
    assert not compiled.settled(nobody)


def test_profit_and_bound_are_the_same() -> None:
    """The loops and the arrays agree on what an RSU earns, and on whether it could earn more: at and off equilibria."""
    batch = random_markets(9, 10, 2, 12, rho=(0.1, 0.7))
    block = Block.of(batch)
    equilibrium = np.clip(np.log(solve(batch).prices / batch.unit_cost).T, 0.0, block.ceiling)
    for x, settled in ((equilibrium, True), (0.4 * block.ceiling, False)):
        reply = search.best_reply(block, x)
        for i in range(10):
            for m in range(2):
                facing = block.attraction[:, :, i].copy(), block.epsilon[i], x[:, i].copy(), m
                rivals = compiled._rivals(*facing)
                own = block.attraction[m, :, i].copy()
                given = own, rivals, block.alpha[:, i].copy(), block.epsilon[i], block.worth[m, i]
                best, bound, current = compiled._gain(*given, block.ceiling[m, i], x[m, i])
                assert current == pytest.approx(reply.current[m, i], rel=1e-9)
                assert best <= bound
                if settled:
                    assert bound <= current * (1 + TOLERANCE)
                elif reply.profit[m, i] > current * (1 + 1e-4):
                    assert bound > current * (1 + TOLERANCE)


def test_needs_numba() -> None:
    market = random_markets(2, 1, 2, 3)[0]
    if compiled.AVAILABLE:
        np.testing.assert_allclose(solve(market, compiled=True).prices, solve(market).prices, rtol=1e-7)
    else:
        with pytest.raises(UavTwinError, match="numba"):
            solve(market, compiled=True)
