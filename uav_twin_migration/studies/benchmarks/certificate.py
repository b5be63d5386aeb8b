"""Whether every equilibrium that `solve` claims is one: random markets of all sizes, beside an independent search.

The search shares nothing with the solver: it is the paper's formulas, straight, over a grid of prices of each RSU that
is dense everywhere and densest around the prices at which some UAV turns from a rival, followed by golden sections
around the ten highest. What it finds is what an RSU could really earn. Doubles, 1e-11 off at the highest rho, tell
which are the ten highest; those, golden sections and what the RSU earns now are in extended precision (18 digits on
x86).
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.game.market import Market
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "10,000 random markets: every claimed equilibrium beside an independent search (half an hour)"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

SEED, MARKETS, ALIKE = 2026, 10_000, 20  # so many of a size
GRID, HIGHEST, SECTIONS = 120, 10, 50
# Prices around one at which a UAV turns to a rival, in units of 1/sigma.
AROUND = np.array([-8.0, -6.0, -4.5, -3.5, -2.7, -2.0, -1.4, -0.9, -0.4, 0.0, 0.5, 1.2, 2.5])

Real = npt.NDArray[Any]  # doubles, or extended precision


def run(directory: Path | None) -> list[Figure]:
    """Solves and checks; ``directory`` is not used."""
    rng = np.random.default_rng(SEED)
    worst, claimed, late = 0.0, 0, 0
    start = time.process_time()
    for done in range(ALIKE, MARKETS + 1, ALIKE):
        batch = random_markets(rng, ALIKE)
        found = solve(batch)
        gains = [gain(batch[i], found.prices[i]) for i in np.flatnonzero(found.found)]
        claimed += len(gains)
        worst = max(worst, *gains, 0.0)
        late += sum(gained > 1e-6 for gained in gains)
        if done % (10 * ALIKE) == 0:
            print(f"  {done} markets, {claimed} equilibria claimed, {late} refuted ...", file=sys.stderr, flush=True)
    return [
        Figure("random markets, 1-8 RSUs, 1-64 UAVs, rho up to .9999", MARKETS, ""),
        Figure("equilibria claimed", claimed, ""),
        Figure("of these, somebody can leave for more than 1e-6", late, ""),
        Figure("the most that anybody gains by leaving one", worst, ""),
        Figure("CPU time", time.process_time() - start, "s"),
    ]


def random_markets(rng: np.random.Generator, count: int) -> Market:
    """Any markets, of one size: rho from .02 to .9999 (half above .9), a third of the links missing, half unlimited."""
    rsus, uavs = int(rng.integers(1, 9)), int(rng.integers(1, 65))
    high = 1.0 - 10.0 ** rng.uniform(-4.0, -1.0, count)
    capacity = rng.uniform(1.0, 20.0, (count, rsus)) * uavs / rsus
    return Market.of(
        alpha=rng.uniform(2.0, 30.0, (count, uavs)),
        required_rate=rng.uniform(0.5, 5.0, (count, uavs)),
        efficiency=rng.uniform(0.5, 8.0, (count, uavs, rsus)) * (rng.random((count, uavs, rsus)) > 1 / 3),
        unit_cost=rng.uniform(0.5, 3.0, (count, rsus)),
        capacity=np.where(rng.random((count, 1)) < 0.5, capacity, np.inf),
        price_cap=rng.uniform(5.0, 40.0, (count, 1)),
        rho=np.where(rng.random(count) < 0.5, rng.uniform(0.02, 0.9, count), high),
    )


def gain(market: Market, prices: npt.ArrayLike) -> float:
    """The largest part of its best profit, (best - profit) / best, that an RSU of one market gains by moving alone."""
    p = np.asarray(prices, dtype=np.longdouble)
    coarse, exact = Rivals.of(market, p, np.float64), Rivals.of(market, p, np.longdouble)
    worst = 0.0
    for rsu in range(market.rsus):
        points = _grid(market, p, rsu)
        high = np.argsort(coarse.profit(rsu, points.astype(np.float64)))[-HIGHEST:]
        around = points[np.maximum(high - 1, 0)], points[np.minimum(high + 1, len(points) - 1)]
        best = max(exact.profit(rsu, points[high]).max(), _golden(exact, rsu, *around))
        now = exact.profit(rsu, p[rsu : rsu + 1])[0]
        if best > 0:
            worst = max(worst, float((best - now) / best))
    return worst


@dataclass(frozen=True)
class Rivals:
    """One market at its prices, in one precision: what an RSU earns at others of its own."""

    weight: Real  # [N, M] logarithm of the weight of a link, less (1 - sigma) times that of its efficiency
    rival: Real  # [N, M] logarithm of what the others offer a UAV; -inf where there are none
    alpha: Real  # [N] credit
    rate: Real  # [N] Mbit/s
    cost: Real  # [M] credit/MHz
    capacity: Real  # [M] MHz
    power: Any  # 1 - sigma

    @classmethod
    def of(cls, market: Market, prices: Real, kind: Any) -> Rivals:
        """At prices [M], of the UAVs that reach some RSU."""
        reached = market.efficiency.sum(axis=1) > 0
        e = market.efficiency[reached].astype(kind)
        power = 1 - 1 / (1 - kind(market.rho))
        with np.errstate(all="ignore"):
            weight = np.log(e / e.sum(axis=1, keepdims=True)) - power * np.log(e)
            weight[e == 0] = -np.inf
            offered = weight + power * np.log(prices.astype(kind))
            rival = np.empty_like(offered)
            for rsu in range(market.rsus):
                rest = np.delete(offered, rsu, axis=1)
                top = np.maximum(rest.max(axis=1, initial=-np.inf), kind(-1e100))
                rival[:, rsu] = top + np.log(np.exp(rest - top[:, None]).sum(axis=1))
        of_uavs = market.alpha[reached].astype(kind), market.required_rate[reached].astype(kind)
        return cls(weight, rival, *of_uavs, market.unit_cost.astype(kind), market.capacity.astype(kind), power)

    def profit(self, rsu: int, own: Real) -> Real:
        """[K] credit, of one RSU at K prices of its own."""
        with np.errstate(all="ignore"):
            mine = self.weight[:, rsu] + self.power * np.log(own)[:, None]  # [K, N]
            rival = self.rival[:, rsu]
            top = np.maximum(mine, rival)
            share = np.exp(mine - top)
            total = share + np.exp(rival - top)
            share /= total
            index = np.exp((top + np.log(total)) / self.power)
            spent = np.maximum(self.alpha - self.rate * index, 0)
        sold = np.minimum((share * spent).sum(axis=1) / own, self.capacity[rsu])
        return np.asarray((own - self.cost[rsu]) * sold)


def _grid(market: Market, prices: Real, rsu: int) -> Real:
    """Rising prices of one RSU: dense everywhere, and denser where UAVs turn from a rival to it, or drop out."""
    cost, cap = np.longdouble(market.unit_cost[rsu]), np.longdouble(market.price_cap[rsu])
    sigma = 1 / (1 - np.longdouble(market.rho))
    e = market.efficiency.astype(np.longdouble)
    with np.errstate(all="ignore"):
        ratio = e[:, rsu : rsu + 1] / e
        even = np.delete(prices * ratio * ratio ** (1 / (sigma - 1)), rsu, axis=1).ravel()
        out = market.alpha * e[:, rsu] / market.required_rate
    turns = np.concatenate([even, out, prices[rsu : rsu + 1]])
    turns = turns[np.isfinite(turns) & (turns > cost * 0.9) & (turns < cap * 1.1)]
    near = turns * np.exp(AROUND[:, None] / sigma)
    points = np.concatenate([cost * (cap / cost) ** np.linspace(0, 1, GRID, dtype=np.longdouble), near.ravel()])
    return np.unique(np.clip(points, cost, cap))


def _golden(rivals: Rivals, rsu: int, low: Real, high: Real) -> Any:
    """The highest profit that golden sections find between prices ``low`` and ``high`` [K]."""
    golden = (np.sqrt(np.longdouble(5)) - 1) / 2
    inner = np.stack([high - golden * (high - low), low + golden * (high - low)])
    profit = rivals.profit(rsu, inner.ravel()).reshape(inner.shape)
    best = profit.max()
    for _ in range(SECTIONS):
        fell = profit[0] > profit[1]  # the peak is on the left, and the left point is the next one's right
        low, high = np.where(fell, low, inner[0]), np.where(fell, inner[1], high)
        new = np.where(fell, high - golden * (high - low), low + golden * (high - low))
        earned = rivals.profit(rsu, new)
        inner = np.where(fell, np.stack([new, inner[0]]), np.stack([inner[1], new]))
        profit = np.where(fell, np.stack([earned, profit[0]]), np.stack([profit[1], earned]))
        best = max(best, earned.max())
    return best
