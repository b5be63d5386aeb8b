"""How fast equilibria are found: one at a time and in batches, beside two plain ways that a researcher would write.

The baselines iterate best replies in turn, each RSU's by scipy's bounded scalar minimiser or on a grid of prices, with
the followers' closed form in plain numpy. They verify nothing. Each figure is the best of several runs, as whatever
else the machine does only ever takes time away.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.game.sample import sample
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "equilibria a second, beside a scipy best-response iteration and a grid search"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

SEED = 1
RSUS, UAVS, BATCH = 4, 16, 4096
RHO = 0.6  # of the markets by which growth is measured: all of them have an equilibrium


def run(directory: Path | None) -> list[Figure]:
    """Measures everything; with a ``directory`` also plots how the cost of a batch grows."""
    rng = np.random.default_rng(SEED)
    _say("baselines")
    few = sample(rng, 12, RSUS, UAVS)
    by_scipy, scipy_rate = _one_by_one(few, scipy_iteration)
    _, grid_rate = _one_by_one(few, grid_iteration)
    _say("single markets")
    many = sample(rng, 400, RSUS, UAVS)
    markets = [many[i] for i in range(len(many.rho))]
    single = len(markets) / _best(lambda: [solve(market) for market in markets], 3)
    _say("single markets, compiled")
    solve(markets[0], compiled=True)
    compiled = len(markets) / _best(lambda: [solve(market, compiled=True) for market in markets], 3)
    _say(f"batches of {BATCH}")
    batch = sample(rng, BATCH, RSUS, UAVS)
    result = solve(batch)
    rate = BATCH / _best(lambda: solve(batch), 5)
    per_cpu_second = BATCH / _best(lambda: solve(batch, threads=1), 5, time.process_time)
    difference = np.nanmax(np.abs(by_scipy / solve(few).prices - 1.0))
    exponents = _growth(directory)
    setting = f"M={RSUS}, N={UAVS}"
    return [
        Figure(f"single markets, {setting}", single, "1/s", scipy_rate, single / scipy_rate),
        Figure(f"single markets compiled by numba, {setting}", compiled, "1/s", scipy_rate, compiled / scipy_rate),
        Figure(f"batch of {BATCH}, {setting}", rate, "1/s", scipy_rate, rate / scipy_rate),
        Figure(f"batch of {BATCH}, beside the grid iteration", rate, "1/s", grid_rate, rate / grid_rate),
        Figure(f"batch of {BATCH}, one thread, per second of CPU time", per_cpu_second, "1/s"),
        Figure("found and verified in that batch", 100.0 * float(result.found.mean()), "%"),
        Figure("met from below and from above in that batch", 100.0 * float(result.agrees.mean()), "%"),
        Figure("greatest difference to the scipy iteration's prices", 100.0 * float(difference), "%"),
        *(Figure(f"CPU time grows as {name} to the power", value, "") for name, value in exponents.items()),
    ]


def demand(market: Market, prices: FloatArray) -> FloatArray:
    """[..., M] MHz, by the closed form as it stands in the paper."""
    sigma = 1.0 / (1.0 - float(market.rho))
    efficiency = np.maximum(market.efficiency, 1e-9)
    weights = efficiency / efficiency.sum(axis=1, keepdims=True)
    ratio = prices[..., None, :] / efficiency
    index = (weights * ratio ** (1 - sigma)).sum(axis=-1) ** (1 / (1 - sigma))
    rate = np.maximum(market.alpha / index - market.required_rate, 0.0)
    bought = rate[..., None] / efficiency * weights * (ratio / index[..., None]) ** (-sigma)
    return np.asarray(bought.sum(axis=-2))


def profit(market: Market, prices: FloatArray, rsu: int) -> FloatArray:
    """[...] of one RSU, credit."""
    sold = np.minimum(demand(market, prices)[..., rsu], market.capacity[rsu])
    return np.asarray((prices[..., rsu] - market.unit_cost[rsu]) * sold)


def scipy_iteration(market: Market, tolerance: float = 1e-6) -> FloatArray:
    """Best replies in turn, each by scipy's bounded minimiser, until no price moves by more than ``tolerance``."""
    from scipy.optimize import minimize_scalar

    prices: FloatArray = market.unit_cost.copy()
    for _ in range(200):
        before = prices.copy()
        for rsu in range(market.rsus):

            def loss(price: float, rsu: int = rsu) -> float:
                tried = prices.copy()
                tried[rsu] = price
                return -float(profit(market, tried, rsu))

            bounds = (market.unit_cost[rsu], market.price_cap[rsu])
            prices[rsu] = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-7}).x
        if np.abs(prices - before).max() < tolerance:
            break
    return np.asarray(prices)


def grid_iteration(market: Market, points: int = 500) -> FloatArray:
    """Best replies in turn, each the best of ``points`` prices, until no price moves."""
    prices: FloatArray = market.unit_cost.copy()
    for _ in range(200):
        before = prices.copy()
        for rsu in range(market.rsus):
            tried = np.broadcast_to(prices, (points, market.rsus)).copy()
            tried[:, rsu] = np.geomspace(market.unit_cost[rsu], market.price_cap[rsu], points)
            prices[rsu] = tried[profit(market, tried, rsu).argmax(), rsu]
        if (prices == before).all():
            break
    return np.asarray(prices)


def _one_by_one(markets: Market, method: Callable[[Market], FloatArray]) -> tuple[FloatArray, float]:
    """Prices [B, M] and markets per second."""
    start = time.perf_counter()
    prices = np.array([method(markets[i]) for i in range(len(markets.rho))])
    return prices, len(prices) / (time.perf_counter() - start)


def _growth(directory: Path | None) -> dict[str, float]:
    """Exponents of the CPU time of a batch in its three sizes, by least squares between logarithms."""
    rng = np.random.default_rng(SEED + 1)
    studies: dict[str, tuple[list[int], Callable[[int], Market]]] = {
        "markets": ([256, 512, 1024, 2048, 4096, 8192], lambda count: sample(rng, count, RSUS, UAVS, rho=RHO)),
        "UAVs": ([8, 16, 32, 64, 128], lambda uavs: sample(rng, 512, RSUS, uavs, rho=RHO)),
        "RSUs": ([2, 4, 8, 16], lambda rsus: sample(rng, 512, rsus, UAVS, rho=RHO)),
    }
    rows: list[tuple[str, int, float]] = []
    exponents = {}
    for name, (sizes, make) in studies.items():
        _say(f"growth with {name}")
        batches = [make(size) for size in sizes]
        seconds = [_best(lambda batch=batch: solve(batch), 5, time.process_time) for batch in batches]  # type: ignore[misc]
        exponents[name] = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
        rows += [(name, size, second) for size, second in zip(sizes, seconds, strict=True)]
    if directory:
        with open(directory / "bench_game.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("varied", "size", "cpu_seconds"), *rows])
        _plot(rows, exponents, directory / "bench_game.png")
    return exponents


def _plot(rows: list[tuple[str, int, float]], exponents: dict[str, float], path: Path) -> None:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(10, 3.4), layout="constrained")
    titles = {"markets": f"M={RSUS}, N={UAVS}", "UAVs": f"512 markets, M={RSUS}", "RSUs": f"512 markets, N={UAVS}"}
    for axes, (name, exponent) in zip(canvas.subplots(1, len(exponents), sharey=True), exponents.items(), strict=True):
        sizes = np.array([size for varied, size, _ in rows if varied == name])
        seconds = np.array([second for varied, _, second in rows if varied == name])
        axes.loglog(sizes, seconds, "o-", label=f"measured: power {exponent:.2f}")
        axes.loglog(sizes, seconds[-1] * sizes / sizes[-1], "--", color="grey", label="linear")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel(name)
        axes.set_title(titles[name], fontsize=10)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    canvas.axes[0].set_ylabel("CPU time of a batch, s")
    canvas.savefig(path, dpi=150)


def _best(work: Callable[[], object], times: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of the quickest of several runs."""
    quickest = np.inf
    for _ in range(times):
        start = clock()
        work()
        quickest = min(quickest, clock() - start)
    return float(quickest)


def _say(what: str) -> None:
    print(f"  {what} ...", file=sys.stderr, flush=True)
