"""Whether every equilibrium that `solve` claims is one: random markets of all sizes, beside an independent search.

The search shares nothing with the solver: it is the paper's formulas, straight, in extended precision (18 digits on
x86), over a grid of prices of each RSU that is dense everywhere and densest around the prices at which some UAV turns
from a rival, followed by golden sections around the ten highest. What it finds is what an RSU could really earn.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.game.market import Market
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "10,000 random markets: every claimed equilibrium beside an independent search (an hour)"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

SEED, MARKETS, ALIKE = 7, 10_000, 20  # so many of a size
GRID, HIGHEST, SECTIONS = 120, 10, 50
# Prices around one at which a UAV turns to a rival, in units of 1/sigma.
AROUND = np.array([-8.0, -6.0, -4.5, -3.5, -2.7, -2.0, -1.4, -0.9, -0.4, 0.0, 0.5, 1.2, 2.5])

Extended = npt.NDArray[np.longdouble]


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
        if done % (25 * ALIKE) == 0:
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
    worst = 0.0
    for rsu in range(market.rsus):
        points = _grid(market, p, rsu)
        profit = _profit(market, p, rsu, points)
        high = np.argsort(profit)[-HIGHEST:]
        around = points[np.maximum(high - 1, 0)], points[np.minimum(high + 1, len(points) - 1)]
        best = max(profit.max(), _golden(market, p, rsu, *around))
        now = _profit(market, p, rsu, p[rsu : rsu + 1])[0]
        if best > 0:
            worst = max(worst, float((best - now) / best))
    return worst


def _profit(market: Market, prices: Extended, rsu: int, own: Extended) -> Extended:
    """[K] credit, of one RSU at K prices of its own."""
    sigma = 1 / (1 - np.longdouble(market.rho))
    reached = market.efficiency.sum(axis=1) > 0
    e = market.efficiency[reached].astype(np.longdouble)
    weight = e / e.sum(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        terms = np.log(weight) + (1 - sigma) * np.log(prices / e)  # [N, M]
        terms[e == 0] = -np.inf
        mine = np.log(weight[:, rsu]) + (1 - sigma) * np.log(own[:, None] / e[:, rsu])  # [K, N]
        mine[:, e[:, rsu] == 0] = -np.inf
        rest = np.delete(terms, rsu, axis=1)
        rival = np.maximum(rest.max(axis=1, initial=-np.inf), -(np.longdouble(10) ** 100))
        rival = rival + np.log(np.exp(rest - rival[:, None]).sum(axis=1))  # [N], -inf where there is none
        top = np.maximum(mine, rival)
        share = np.exp(mine - top)
        total = share + np.exp(rival - top)
        share /= total
        index = np.exp((top + np.log(total)) / (1 - sigma))
    alpha, rate = market.alpha[reached].astype(np.longdouble), market.required_rate[reached].astype(np.longdouble)
    spent = np.maximum(alpha - rate * index, 0)
    sold = np.minimum((share * spent).sum(axis=1) / own, np.longdouble(market.capacity[rsu]))
    return np.asarray((own - np.longdouble(market.unit_cost[rsu])) * sold)


def _grid(market: Market, prices: Extended, rsu: int) -> Extended:
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


def _golden(market: Market, prices: Extended, rsu: int, low: Extended, high: Extended) -> Any:
    """The highest profit that golden sections find between prices ``low`` and ``high`` [K]."""
    golden = (np.sqrt(np.longdouble(5)) - 1) / 2
    best = np.longdouble(0)
    for _ in range(SECTIONS):
        inner = np.stack([high - golden * (high - low), low + golden * (high - low)])
        left, right = _profit(market, prices, rsu, inner.ravel()).reshape(inner.shape)
        best = max(best, left.max(), right.max())
        fell = left > right
        low, high = np.where(fell, low, inner[0]), np.where(fell, inner[1], high)
    return best
