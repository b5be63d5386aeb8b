"""Stackelberg equilibria: prices at which no RSU gains by moving alone, the UAVs answering with their best demand.

Prices are iterated from below (all at unit cost) and from above (all at the price cap): every RSU takes its best reply,
roughly, and Newton's method goes on to where the first-order conditions hold. What that gives is an equilibrium only if
a global search for each RSU's best price, which knows nothing of those conditions, finds that nobody gains. Where
somebody does, the iteration goes on from the best replies, first of all RSUs at once, at last one after the other.
At high substitutability best replies can chase each other for ever (an Edgeworth cycle), as no pure equilibrium exists.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.game.block import Block
from uav_twin_migration.game.certificate import Columns, highest
from uav_twin_migration.game.deviation import BoolArray, IndexArray, UnilateralDeviation
from uav_twin_migration.game.market import FloatArray, Market, Units
from uav_twin_migration.game.newton import CONVERGED, stationary
from uav_twin_migration.game.screening import screened
from uav_twin_migration.game.search import best_reply, sampled_reply

# What is called an equilibrium: no RSU can gain this part of its profit. Log prices from below and above agree to this.
TOLERANCE, CLAIMED = 1e-6, 0.9e-6
_SAMPLES, _FIRST_STEPS = 4, 3  # of the first pass from either end
_ROUNDS, _STEPS = 8, 12  # of best replies of all RSUs at once, and of Newton's method after each
_TURNS, _CYCLE = 60, 20  # of best replies one after the other, and the last ones, which tell a cycle's range
_ROUGHLY = 1e-3  # relative, of a profit: as good as this are the best replies that the iteration follows
_LINKS = 32768  # links of the markets that are solved together: few calls, and still in cache


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
    exploitability: FloatArray  # [...] as far as any price was found that is better for an RSU
    bound: FloatArray  # [...] proven: no RSU can gain more than this part of its profit; below `TOLERANCE`
    agrees: BoolArray  # [...] iterating from below and from above met
    from_above: FloatArray  # [..., M] prices where the iteration from above ended in an equilibrium
    cycle: FloatArray  # [..., 2, M] lowest and highest prices of best replies in turn, where no equilibrium was found

    @property
    def status(self) -> npt.NDArray[np.str_]:
        """[...] "equilibrium", or "no_pure_equilibrium" where none was found."""
        return np.where(self.found, "equilibrium", "no_pure_equilibrium")

    def in_units(self, units: Units) -> Equilibrium:
        """The same [B, ...] where the market was in other units (see `Market.scaled`)."""
        price, hertz, credit = units.price[:, None], units.hertz[:, None, None], units.credit[:, None]
        return replace(
            self,
            prices=np.ldexp(self.prices, price),
            bandwidth=np.ldexp(self.bandwidth, hertz),
            profits=np.ldexp(self.profits, credit),
            utilities=np.ldexp(self.utilities, credit),
            from_above=np.ldexp(self.from_above, price),
            cycle=np.ldexp(self.cycle, price[:, None]),
        )

    def __getitem__(self, index: Any) -> Equilibrium:
        """Equilibria of a batch, by any numpy index of the batch axes."""
        return Equilibrium(*(np.asarray(array[index]) for array in self.arrays()))

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Field by field, in their order."""
        return tuple(getattr(self, name) for name in _NAMES)


_NAMES = tuple(field.name for field in fields(Equilibrium))


def solve(market: Market, threads: int | None = None, compiled: bool = False) -> Equilibrium:
    """The equilibrium of a market, or of each of a batch, by ``threads`` threads (None: one per CPU).

    Where a market has several equilibria, it is the one that is reached from below. ``compiled`` makes single markets
    ten times as quick, by loops that numba compiles at the first call, which takes a while. Raises UavTwinError without
    numba.
    """
    if compiled and not market.batch and (settled := _by_loops(market)):
        return settled
    flat = market.flat()
    size = max(_LINKS // max(flat.uavs * flat.rsus, 1), 1)
    pieces = _pieces(len(flat.rho), size) or [slice(0, 0)]
    with ExitStack() as stack:
        alone = 1 in (len(pieces), threads)
        run = map if alone else stack.enter_context(ThreadPoolExecutor(threads or os.cpu_count())).map
        parts, units, blocks = zip(*run(lambda piece: _laid_out(flat[piece]), pieces), strict=True)
        x, lost, bound = (_joined(arrays) for arrays in zip(*run(_first_pass, blocks), strict=True))
        cycle = np.full((2, *x.shape), np.nan)
        ends, markets = np.nonzero(~(bound < TOLERANCE))
        rest = [(ends[piece], markets[piece]) for piece in _pieces(len(ends), size)]
        refined = run(lambda at: _refine(_laid_out(flat[at[1]])[2], x[:, at[0], at[1]]), rest)
        for (end, index), found in zip(rest, refined, strict=True):
            x[:, end, index], lost[end, index], bound[end, index], cycle[:, :, end, index] = found
        at = [(x[..., piece], lost[:, piece], bound[:, piece], cycle[..., piece]) for piece in pieces]
        outcomes = list(run(_outcome, parts, units, blocks, *zip(*at, strict=True)))
    arrays = [_joined(arrays, axis=0) for arrays in zip(*(part.arrays() for part in outcomes), strict=True)]
    return Equilibrium(*[array.reshape(market.batch + array.shape[1:]) for array in arrays])


def _laid_out(market: Market) -> tuple[Market, Units, Block]:
    """The same batch in units that suit it."""
    scaled, units = market.scaled()
    return scaled, units, Block.of(scaled)


def _joined(arrays: Sequence[npt.NDArray[Any]], axis: int = -1) -> npt.NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=axis)


def _pieces(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _by_loops(market: Market) -> Equilibrium | None:
    """A single market's, where compiled loops settle it."""
    from uav_twin_migration.game import compiled

    if not compiled.AVAILABLE:
        raise UavTwinError("solve(compiled=True) needs numba, which is not installed")
    told = compiled.settled(market)
    return told and Equilibrium(
        found=np.array(True),
        prices=told.prices,
        bandwidth=told.bandwidth,
        profits=told.profits,
        utilities=told.utilities,
        exploitability=np.array(told.exploitability),
        bound=np.array(told.bound),
        agrees=np.array(True),
        from_above=told.from_above,
        cycle=np.full((2, market.rsus), np.nan),
    )


@np.errstate(all="ignore")
def _first_pass(block: Block) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log mark-ups [M, 2, B] from below and from above, their exploitability and its bound [2, B].

    Inf where the two do not meet.
    """
    markets = len(block.epsilon)
    both, rough = block.twice(), block.single()
    if rough is block:
        x = sampled_reply(both, _SAMPLES)
        x, residual = stationary(both, x, _FIRST_STEPS)
    else:  # Newton's method forgives what its first steps round
        quick = rough.twice()
        x = stationary(quick, sampled_reply(quick, _SAMPLES), _FIRST_STEPS)[0].astype(np.float64)
        x, residual = _last_step(block, x)
    late = np.flatnonzero(~(residual < CONVERGED))
    if len(late):
        x[:, late], residual[late] = stationary(both.take(late), x[:, late], _FIRST_STEPS)
    x = x.reshape(-1, 2, markets)
    met = _meet(x)
    lost, bound = np.full(markets, np.inf), np.full(markets, np.inf)
    index = slice(None) if met.all() else np.flatnonzero(met)
    lost[index], bound[index], _ = _certified(block if met.all() else block.take(index), x[:, 0, index])
    return x, np.stack([lost, lost]), np.stack([bound, bound])


def _last_step(block: Block, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Newton's last step, of log mark-ups [M, 2B], and residuals [2B]; inf where the two ends are to go on alone.

    Where they are so close that one more step takes both to the same place, it is taken once.
    """
    below, above = x[:, : len(block.epsilon)], x[:, len(block.epsilon) :]
    apart = np.abs(below - above).max(axis=0) * (1.0 + block.epsilon)
    met, residual = stationary(block, below, 1)
    residual = np.where(apart < CONVERGED, residual, np.inf)
    done = residual < CONVERGED
    return np.concatenate([np.where(done, met, below), np.where(done, met, above)], axis=1), np.tile(residual, 2)


def _certified(block: Block, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Exploitability [B] as far as found; proven bounds [B] on what any RSU gains; better mark-ups [M, B]."""
    alone = UnilateralDeviation.of(block, x)
    settled, current, bound = screened(block, x, alone, CLAIMED)
    markup, profit = x.copy(), current.copy()
    rest = np.nonzero(~settled)
    if len(rest[0]):
        reply = highest(Columns.of(alone.take(*rest)), x[rest], CLAIMED, proof=True)
        markup[rest], profit[rest], bound[rest], current[rest] = reply
    some = bound > 0.0
    least = np.where(some, bound, 1.0)
    lost = np.where(profit > 0.0, (profit - current) / np.where(profit > 0.0, profit, 1.0), 0.0).mean(axis=0)
    return lost, np.where(some, (bound - current) / least, 0.0).max(axis=0), markup


@np.errstate(all="ignore")
def _refine(block: Block, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Best replies and Newton's method in turns, from ``x`` [M, B], until nobody gains, they repeat, or patience ends.

    Returns log mark-ups, their exploitability and its bound [B], and, where that is no equilibrium's, the range of the
    last best replies [2, M, B].
    """
    x = stationary(block, x, _STEPS)[0]
    lost, bound = np.full((2, x.shape[1]), np.inf)
    cycle = np.full((2, *x.shape), np.nan)
    active = np.arange(x.shape[1])
    for _ in range(_ROUNDS):
        on, reply = _examine(block, x, lost, bound, active)
        active, block = active[on], block.take(on)
        if not len(active):
            return x, lost, bound, cycle
        x[:, active] = stationary(block, reply[:, on], _STEPS)[0]
    prices, column = x[:, active], np.arange(len(active))
    past = np.empty((_TURNS, *prices.shape))
    for turn in range(_TURNS):
        for rsu in range(len(x)):
            reply_of = best_reply(block, prices, rsu, _ROUGHLY)
            prices[rsu] = np.where(reply_of.profit[0] > reply_of.current[0], reply_of.markup[0], prices[rsu])
        x[:, active] = stationary(block, prices, _STEPS)[0]
        on, _ = _examine(block, x, lost, bound, active)
        same = (past[:turn, :, column] == prices).all(axis=1)  # to the bit: all that follows has been before
        again = same.any(axis=0)
        past[turn, :, column] = prices.T
        for k in np.flatnonzero(on & (again | (turn == _TURNS - 1))):
            since = np.flatnonzero(same[:, k])[-1] + 1 if again[k] else turn + 1 - _CYCLE
            seen = past[since : turn + 1, :, column[k]]
            cycle[:, :, active[k]] = np.fmin.reduce(seen), np.fmax.reduce(seen)
        on &= ~again
        active, block, prices, column = active[on], block.take(on), prices[:, on], column[on]
        if not len(active):
            break
    return x, lost, bound, cycle


def _examine(
    block: Block, x: FloatArray, lost: FloatArray, bound: FloatArray, active: IndexArray
) -> tuple[BoolArray, FloatArray]:
    """Where some RSU gains at ``x[:, active]``, and what RSUs would do; fills in what is lost and its bound."""
    at = x[:, active]
    reply = best_reply(block, at, tolerance=_ROUGHLY)
    markup = reply.markup
    lost[active] = reply.exploitability()
    good = np.flatnonzero(lost[active] < TOLERANCE)
    if len(good):
        lost[active[good]], bound[active[good]], better = _certified(block.take(good), at[:, good])
        markup[:, good] = better
    return ~(bound[active] < TOLERANCE), markup


def _meet(x: FloatArray) -> BoolArray:
    """[B] whether log mark-ups ``x`` [M, 2, B] from below and from above are the same."""
    return np.asarray(np.abs(x[:, 0] - x[:, 1]).max(axis=0) < TOLERANCE)


@np.errstate(all="ignore")
def _outcome(
    market: Market, units: Units, block: Block, x: FloatArray, lost: FloatArray, bound: FloatArray, cycle: FloatArray
) -> Equilibrium:
    """Everything about the equilibria at log mark-ups ``x`` [M, 2, B], from below and from above, in the own units."""
    from_below, from_above = bound < TOLERANCE
    found = from_below | from_above
    chosen = np.where(from_below, x[:, 0], x[:, 1])
    price = _prices(market, chosen)
    share, index = block.shares(chosen)
    spent = block.alpha * (1.0 - index)
    bandwidth = (share * spent).T / price[:, None, :]
    sold = np.minimum(bandwidth.sum(axis=1), market.capacity)
    return Equilibrium(
        found=found,
        prices=_where(found, price),
        bandwidth=_where(found, bandwidth),
        profits=_where(found, (price - market.unit_cost) * sold),
        utilities=_where(found, -(block.alpha * np.log(index) + spent).T),
        exploitability=_where(found, np.where(from_below, lost[0], lost[1])),
        bound=_where(found, np.where(from_below, bound[0], bound[1])),
        agrees=from_below & from_above & _meet(x),
        from_above=_where(from_above, _prices(market, x[:, 1])),
        cycle=_seen(market, found, cycle),
    ).in_units(units)


def _where(found: BoolArray, values: FloatArray) -> FloatArray:
    """The same values [B, ...], NaN where nothing was ``found`` [B]."""
    if found.all():
        return values
    return np.where(found.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)


def _seen(market: Market, found: BoolArray, cycle: FloatArray) -> FloatArray:
    """[B, 2, M] the range of prices that best replies went through, from either end, where nothing was ``found``."""
    if found.all():
        return np.full((len(found), 2, market.rsus), np.nan)
    seen = np.stack([np.fmin(cycle[0, :, 0], cycle[0, :, 1]), np.fmax(cycle[1, :, 0], cycle[1, :, 1])])
    return _where(~found, _prices(market, seen).swapaxes(0, 1))


def _prices(market: Market, x: FloatArray) -> FloatArray:
    """[..., B, M] prices at log mark-ups ``x`` [..., M, B], exact at both bounds."""
    return np.asarray(np.minimum(market.unit_cost * np.exp(x.swapaxes(-1, -2)), market.price_cap))
