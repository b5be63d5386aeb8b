"""Stackelberg equilibria: prices at which no RSU gains by moving alone, the UAVs answering with their best demand.

Prices are iterated from below (all at unit cost) and from above (all at the price cap): every RSU takes its best reply,
roughly, and Newton's method goes on to where the first-order conditions hold. What that gives is an equilibrium only if
a global search for each RSU's best price, which knows nothing of those conditions, finds that nobody gains. Where
somebody does, the iteration goes on from the best replies, first of all RSUs at once, at last one after the other.
At high substitutability best replies can chase each other for ever (an Edgeworth cycle), as no pure equilibrium exists.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from uav_twin_migration.game.block import Block
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.game.newton import CONVERGED, stationary
from uav_twin_migration.game.search import best_reply, sampled_reply

BoolArray = npt.NDArray[np.bool_]

# What is called an equilibrium has a lower exploitability; log prices from below and above agree to this.
TOLERANCE = 1e-6
_SAMPLES, _FIRST_STEPS = 8, 4  # of the first pass from either end
_ROUNDS, _STEPS = 8, 12  # of best replies of all RSUs at once, and of Newton's method after each
_TURNS, _CYCLE = 60, 20  # of best replies one after the other, and the last ones, which tell a cycle's range
_LINKS = 16384  # links of the markets that are solved together: few calls, and still in cache


@dataclass(frozen=True)
class Equilibrium:
    """Equilibria of a market (no batch axes) or of a batch; NaN wherever none was found.

    Where the iterations from below and from above end at different equilibria, ``prices`` and all that follows from
    them are those from below.
    """

    found: BoolArray  # [...] an equilibrium was found and verified
    prices: FloatArray  # [..., M] credit/MHz
    bandwidth: FloatArray  # [..., N, M] demand, MHz; what is granted is `leaders.ration` of it
    profits: FloatArray  # [..., M] after rationing, credit
    utilities: FloatArray  # [..., N] of what is demanded, credit
    exploitability: FloatArray  # [...] measured by the global search
    agrees: BoolArray  # [...] iterating from below and from above met
    from_above: FloatArray  # [..., M] prices where the iteration from above ended in an equilibrium
    cycle: FloatArray  # [..., 2, M] lowest and highest prices of best replies in turn, where no equilibrium was found

    @property
    def status(self) -> npt.NDArray[np.str_]:
        """[...] "equilibrium", or "no_pure_equilibrium" where none was found."""
        return np.where(self.found, "equilibrium", "no_pure_equilibrium")

    def __getitem__(self, index: Any) -> Equilibrium:
        """Equilibria of a batch, by any numpy index of the batch axes."""
        return Equilibrium(*(np.asarray(getattr(self, field.name)[index]) for field in fields(self)))


def solve(market: Market, threads: int | None = None) -> Equilibrium:
    """The equilibrium of a market, or of each of a batch, by ``threads`` threads (None: one per CPU).

    Where a market has several equilibria, it is the one that is reached from below.
    """
    flat = market.flat()
    size = max(_LINKS // max(flat.uavs * flat.rsus, 1), 1)
    pieces = [flat[start : start + size] for start in range(0, max(len(flat.rho), 1), size)]
    if len(pieces) == 1:
        parts = [_solve(pieces[0])]
    else:
        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            parts = list(pool.map(_solve, pieces))
    joined = (np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Equilibrium))
    return Equilibrium(*(array.reshape(market.batch + array.shape[1:]) for array in joined))


@np.errstate(all="ignore")
def _solve(market: Market) -> Equilibrium:
    block = Block.of(market)
    markets = len(market.rho)
    # Columns of x: all markets from below, then all from above.
    both = block.take(np.tile(np.arange(markets), 2))
    ends = np.concatenate([np.zeros_like(block.ceiling), block.ceiling], axis=1)
    x, residual = stationary(both, sampled_reply(both, ends, _SAMPLES), _FIRST_STEPS)
    met = (_distance(x) < TOLERANCE) & (np.maximum(*residual.reshape(2, -1)) < CONVERGED)
    gain = np.where(met, best_reply(block, x[:, :markets]).exploitability(), np.inf)
    gain, cycle = np.tile(gain, 2), np.full((2, *x.shape), np.nan)
    rest = np.flatnonzero(~(gain < TOLERANCE))
    if len(rest):
        x[:, rest], gain[rest], cycle[:, :, rest] = _insist(both.take(rest), x[:, rest])
    return _outcome(market, block, x, gain, cycle)


def _insist(block: Block, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Best replies and Newton's method in turns, from ``x`` [M, B], until nobody gains or patience ends.

    Returns log mark-ups, their exploitability [B], and, where that is no equilibrium's, the cycle's range [2, M, B].
    """
    x = stationary(block, x, _STEPS)[0]
    gain, cycle = np.full(x.shape[1], np.inf), np.full((2, *x.shape), np.nan)
    active = np.arange(x.shape[1])
    for _ in range(_ROUNDS):
        reply = best_reply(block, x[:, active])
        gain[active] = reply.exploitability()
        on = ~(gain[active] < TOLERANCE)
        active, block = active[on], block.take(on)
        if not len(active):
            return x, gain, cycle
        x[:, active] = stationary(block, reply.markup[:, on], _STEPS)[0]
    prices = x[:, active]
    for turn in range(_TURNS):
        for rsu in range(len(x)):
            reply = best_reply(block, prices)
            prices[rsu] = np.where(reply.profit[rsu] > reply.current[rsu], reply.markup[rsu], prices[rsu])
        x[:, active] = stationary(block, prices, _STEPS)[0]
        gain[active] = best_reply(block, x[:, active]).exploitability()
        if turn >= _TURNS - _CYCLE:
            cycle[0, :, active] = np.fmin(cycle[0, :, active], prices.T)
            cycle[1, :, active] = np.fmax(cycle[1, :, active], prices.T)
        on = ~(gain[active] < TOLERANCE)
        active, block, prices = active[on], block.take(on), prices[:, on]
        if not len(active):
            break
    return x, gain, cycle


def _distance(x: FloatArray) -> FloatArray:
    """[B] greatest difference of log prices between the iterations from below and from above, the halves of ``x``."""
    below, above = np.split(x, 2, axis=1)
    return np.asarray(np.abs(below - above).max(axis=0))


def _outcome(market: Market, block: Block, x: FloatArray, gain: FloatArray, cycle: FloatArray) -> Equilibrium:
    """Everything about the equilibria at log mark-ups ``x`` [M, 2 B], from below and from above."""
    from_below, from_above = np.split(gain < TOLERANCE, 2)
    below, above = np.split(x, 2, axis=1)
    found = from_below | from_above
    x = np.where(from_below, below, above)
    price = _prices(market, x)
    share, index = block.shares(x)
    spent = block.alpha * (1.0 - index)
    bandwidth = (share * spent).T / price[:, None, :]
    sold = np.minimum(bandwidth.sum(axis=1), market.capacity)
    absent = np.where(found, 0.0, np.nan)[:, None]  # added to what is told of markets without equilibrium
    low, high = np.split(cycle, 2, axis=2)
    seen = np.stack([np.fmin(low, high)[0], np.fmax(low, high)[1]])
    return Equilibrium(
        found=found,
        prices=price + absent,
        bandwidth=bandwidth + absent[:, :, None],
        profits=(price - market.unit_cost) * sold + absent,
        utilities=-(block.alpha * np.log(index) + spent).T + absent,
        exploitability=np.where(from_below, *np.split(gain, 2)) + absent[:, 0],
        agrees=from_below & from_above & (np.abs(below - above).max(axis=0) < TOLERANCE),
        from_above=_prices(market, above) + np.where(from_above, 0.0, np.nan)[:, None],
        cycle=np.where(found[:, None, None], np.nan, _prices(market, seen).swapaxes(0, 1)),
    )


def _prices(market: Market, x: FloatArray) -> FloatArray:
    """[..., B, M] prices at log mark-ups ``x`` [..., M, B], exact at both bounds."""
    markup = x.swapaxes(-1, -2)
    return np.asarray(np.minimum(market.unit_cost * np.exp(markup), market.price_cap))
