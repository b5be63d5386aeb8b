"""Studies of the game's equilibria, each on random markets (`uav_twin_migration.game.sample`) from one seed.

Lines are medians over markets and bands their middle halves, unless a picture says otherwise. Costs, caps, capacities
and rho are varied on the same markets: all else about them stays.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from uav_twin_migration.game import followers, leaders
from uav_twin_migration.game.cycle import cycle_of, least_regret
from uav_twin_migration.game.equilibrium import Equilibrium, solve
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.game.mixed import mixed_equilibrium
from uav_twin_migration.game.planner import efficient_prices, welfare
from uav_twin_migration.game.sample import sample
from uav_twin_migration.studies.figures.style import save

SUMMARY = "the game's equilibria: costs, caps, sizes, rho, welfare"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

SEED = 1
MARKETS = 200
RSUS, UAVS, RHO = 4, 16, 0.6
BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#d55e00", "#009e73", "#cc3311", "#777777"
UNLIMITED_CAP = 400.0  # credit/MHz, beyond what any RSU here would ask


def run(directory: Path) -> None:
    """Makes every picture and its table."""
    studies = (cost_and_cap, sizes, rho, peaks_and_cycles, without_pure_equilibrium, planner)
    for number, study in enumerate(studies, 1):
        print(f"  {number} of {len(studies)}: {study.__name__} ...", flush=True)
        canvas, columns = study()
        path = directory / f"game_{study.__name__}.png"
        save(canvas, path)
        _write(columns, path.with_suffix(".csv"))
        print(f"    {path}, .pdf, .svg and .csv", flush=True)


Columns = Mapping[str, Iterable[Any]]


def cost_and_cap() -> tuple[Figure, Columns]:
    """An RSU's profit against everybody's unit cost, and against the price cap (the question of the paper's Fig. 5)."""
    costs, caps = np.geomspace(0.25, 16.0, 19), np.concatenate([np.linspace(1.02, 4.0, 25), np.linspace(4.5, 10.0, 12)])
    by_cost = [_solved(unit_cost=cost, limited=False)[1].profits.mean(axis=-1) for cost in costs]
    by_cap = [_solved(unit_cost=1.0, price_cap=cap, limited=False)[1].profits.mean(axis=-1) for cap in caps]
    free = _solved(unit_cost=1.0, price_cap=UNLIMITED_CAP, limited=False)[1]
    highest = float(np.median(free.profits.mean(axis=-1)))
    part = np.array([np.median(profit) for profit in by_cap]) / highest
    saturated = float(np.interp(0.99, part, caps))

    canvas, (left, right) = _canvas("An RSU's equilibrium profit", 2)
    _band(left, costs, by_cost, BLUE, "profit per RSU")
    left.set_xscale("log")
    left.set_xticks([0.25, 0.5, 1, 2, 4, 8, 16], ["¼", "½", "1", "2", "4", "8", "16"])
    left.minorticks_off()
    _labels(left, "unit cost C of all RSUs, credit/MHz", "profit per RSU, credit", "price cap 20 credit/MHz")
    _band(right, caps, by_cap, BLUE, "profit per RSU")
    right.axhline(highest, color=GREY, ls="--", lw=1, label="without a cap")
    right.axvline(saturated, color=ORANGE, ls=":", label=f"99 % reached at {saturated:.2f}")
    _labels(right, "price cap, credit/MHz", "profit per RSU, credit", "unit cost C = 1 credit/MHz")
    return canvas, {
        "varied": ["unit_cost"] * len(costs) + ["price_cap"] * len(caps),
        "value": [*costs, *caps],
        **_quartiles([*by_cost, *by_cap], "profit_per_rsu"),
    }


def sizes() -> tuple[Figure, Columns]:
    """Demand, immersion and profits against the number of RSUs and of UAVs."""
    rsus, uavs = [1, 2, 3, 4, 5, 6, 8, 10, 12], [1, 2, 4, 8, 12, 16, 24, 32, 48, 64]
    told: list[tuple[str, Callable[[Market, Equilibrium], FloatArray]]] = [
        ("bandwidth per UAV, MHz", lambda market, found: _granted(market, found).sum(axis=(-2, -1)) / market.uavs),
        ("immersion per UAV, credit", lambda market, found: _immersion(market, found).mean(axis=-1)),
        ("profit per RSU, credit", lambda market, found: found.profits.mean(axis=-1)),
        ("mark-up p / C", lambda market, found: (found.prices / market.unit_cost).mean(axis=-1)),
    ]
    solved = {
        "RSUs": [_solved(rsus=count, limited=False) for count in rsus],
        "UAVs": [_solved(uavs=count, limited=False) for count in uavs],
    }
    counts = {"RSUs": rsus, "UAVs": uavs}
    canvas = Figure(figsize=(13, 6.2), layout="constrained")
    canvas.suptitle(_title("Equilibria of growing markets"))
    columns: dict[str, list[Any]] = {"varied": [], "value": []}
    for name, results in solved.items():
        columns["varied"] += [name] * len(results)
        columns["value"] += counts[name]
    grid = canvas.subplots(2, len(told))
    for row, (name, results) in enumerate(solved.items()):
        fixed = (f"N = {UAVS} UAVs", f"M = {RSUS} RSUs")[row]
        for axes, (what, measure) in zip(grid[row], told, strict=True):
            values = [measure(market, found) for market, found in results]
            _band(axes, counts[name], values, (BLUE, ORANGE)[row], None)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            _labels(axes, f"number of {name}", what, fixed)
            for key, column in _quartiles(values, what.split(",")[0].replace(" ", "_")).items():
                columns.setdefault(key, []).extend(column)
    return canvas, columns


def rho() -> tuple[Figure, Columns]:
    """From monopoly-like to nearly Bertrand: mark-ups, profits, and how many markets have a pure equilibrium."""
    rhos = np.concatenate([np.linspace(0.02, 0.7, 18), np.linspace(0.74, 0.98, 13)])
    solved = [_solved(rho=rho, limited=False) for rho in rhos]
    markups = [(found.prices / market.unit_cost).mean(axis=-1)[found.found] for market, found in solved]
    profits = [found.profits.mean(axis=-1)[found.found] for _, found in solved]
    found = np.array([100.0 * float(result.found.mean()) for _, result in solved])
    several = np.array([100.0 * float((result.found & ~result.agrees).mean()) for _, result in solved])
    alone = [_solved(rsus=1, limited=False)[1].prices[:, 0] / _solved(rsus=1, limited=False)[0].unit_cost[:, 0]]

    canvas, (left, middle, right) = _canvas("Substitutability of RSUs", 3)
    _band(left, rhos, markups, BLUE, f"M = {RSUS} RSUs")
    left.axhline(float(np.median(alone[0])), color=ORANGE, ls="--", label="monopoly, M = 1")
    left.axhline(1.0, color=GREY, ls=":", label="price = cost (Bertrand)")
    left.set_yscale("log")
    left.set_yticks([1, 1.5, 2, 3, 4, 6], ["1", "1.5", "2", "3", "4", "6"])
    left.minorticks_off()
    _labels(left, "rho", "mark-up p / C", "price over cost")
    _band(middle, rhos, profits, BLUE, None)
    _labels(middle, "rho", "profit per RSU, credit", "profit, where there is an equilibrium")
    right.plot(rhos, found, "o-", color=BLUE, ms=3, label="pure equilibrium found")
    right.plot(rhos, several, "s-", color=GREEN, ms=3, label="several found")
    right.set_ylim(-3, 103)
    _labels(right, "rho", "markets, %", "existence and uniqueness")
    missing = rhos[found < 100.0]
    if len(missing):
        for axes in (left, middle, right):
            axes.axvspan(missing[0], 1.0, color=RED, alpha=0.08, label="some have no pure equilibrium", lw=0)
            axes.legend(fontsize=8)
    return canvas, {
        "rho": rhos,
        "found_percent": found,
        "several_percent": several,
        **_quartiles(markups, "markup"),
        **_quartiles(profits, "profit_per_rsu"),
    }


def peaks_and_cycles() -> tuple[Figure, Columns]:
    """Why equilibria are hard: profits with several peaks, and best replies that jump past each other."""
    prices = np.geomspace(1.0, 20.0, 800)
    two = Market.of(
        alpha=[20.0, 8.0], required_rate=[5.0, 0.2], efficiency=[[1.0], [4.0]], unit_cost=1.0, price_cap=20.0, rho=0.5
    )
    profit = leaders.profits(two, prices[:, None])[:, 0]

    canvas, (left, middle, right) = _canvas("One RSU's profit, and two RSUs' best replies", 3, note="single markets")
    left.semilogx(prices, profit, color=BLUE)
    left.axvline(20.0 * 1.0 / 5.0, color=GREY, ls=":", label="one of two UAVs drops out")
    left.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    left.minorticks_off()
    _labels(left, "own price, credit/MHz", "profit, credit", "one RSU, two UAVs: two peaks")
    columns: dict[str, list[Any]] = {"price": list(prices), "profit": list(profit)}
    for axes, rho, wanted in ((middle, 0.6, True), (right, 0.93, False)):
        duopoly = sample(np.random.default_rng(SEED), MARKETS, 2, 4, rho=rho, unit_cost=1.0, limited=False)
        result = solve(duopoly)
        chosen = int(np.flatnonzero(result.found == wanted)[0])
        own, other = _replies(duopoly[chosen], prices)
        axes.plot(prices, own, ".", ms=2, color=BLUE, label="RSU 1's best reply to RSU 2's price")
        axes.plot(other, prices, ".", ms=2, color=ORANGE, label="RSU 2's best reply to RSU 1's price")
        axes.set(xlim=(0.9, 6.0), ylim=(0.9, 6.0))
        if wanted:
            axes.plot(result.prices[chosen, 1], result.prices[chosen, 0], "ko", ms=6, mfc="none", label="equilibrium")
        state = "they cross" if wanted else "they jump past each other"
        _labels(axes, "price of RSU 2, credit/MHz", "price of RSU 1, credit/MHz", f"rho = {rho}: {state}")
        columns[f"reply_of_1_rho_{rho}"], columns[f"reply_of_2_rho_{rho}"] = list(own), list(other)
    return canvas, columns


def without_pure_equilibrium() -> tuple[Figure, Columns]:
    """What there is where best replies chase each other: the cycle, prices of least regret, and a mixed equilibrium."""
    duopolies = sample(np.random.default_rng(SEED), MARKETS, 2, 4, rho=0.93, unit_cost=1.0, limited=False)
    market = duopolies[int(np.flatnonzero(~solve(duopolies).found)[0])]
    cycle, least, mixed = cycle_of(market), least_regret(market), mixed_equilibrium(market)
    canvas, (left, right) = _canvas("Two RSUs without a pure equilibrium, rho = 0.93", 2, note="a single market")
    path = np.vstack([cycle.prices, cycle.prices[:1]] if cycle.closed else [cycle.prices])
    left.plot(path[:, 0], path[:, 1], "o-", ms=3, color=GREY, label="best replies in turn")
    for i, p in enumerate(mixed.prices[0]):
        for j, q in enumerate(mixed.prices[1]):
            chance = mixed.probabilities[0][i] * mixed.probabilities[1][j]
            left.scatter(p, q, s=600.0 * chance, color=BLUE, alpha=0.5, lw=0)
    left.scatter([], [], s=60.0, color=BLUE, alpha=0.5, lw=0, label="mixed equilibrium: area is probability")
    regret = f"least regret: {100 * least.exploitability:.1f} %"
    left.plot(*least.prices, "D", ms=7, mfc="none", color=ORANGE, label=regret)
    _labels(left, "price of RSU 1, credit/MHz", "price of RSU 2, credit/MHz", "prices")

    own = np.geomspace(1.0, float(np.max(path)) * 1.5, 400)
    columns: dict[str, list[Any]] = {"price": list(own)}
    for m, color in ((0, BLUE), (1, ORANGE)):
        average = np.zeros(len(own))
        for price, chance in zip(mixed.prices[1 - m], mixed.probabilities[1 - m], strict=True):
            posted = np.full((len(own), 2), price)
            posted[:, m] = own
            average += chance * leaders.profits(_spread(market, len(own)), posted)[:, m]
        right.plot(own, average, color=color, label=f"RSU {m + 1}, against what the other draws")
        drawn = mixed.probabilities[m] > 1e-3
        right.plot(mixed.prices[m][drawn], np.full(drawn.sum(), mixed.profits[m]), "o", color=color, mfc="none")
        columns[f"average_profit_of_{m + 1}"] = list(average)
    _labels(right, "own price, credit/MHz", "average profit, credit", "no price earns more than those drawn (circles)")
    return canvas, columns


def planner() -> tuple[Figure, Columns]:
    """Total utility beside a planner's, who maximises it, and what is lost: the price of anarchy."""
    rhos = np.linspace(0.02, 0.7, 18)
    rsus = [1, 2, 3, 4, 6, 8, 12]
    scarcities = np.geomspace(0.1, 3.0, 13)
    by_rho = [_solved(rho=rho) for rho in rhos]
    by_rsus = [_solved(rsus=count) for count in rsus]
    base, _ = _solved()
    by_scarcity = []
    for scale in scarcities:
        market = Market(**(vars(base) | {"capacity": base.capacity * scale}))
        by_scarcity.append((market, solve(market)))

    canvas, (left, middle, right) = _canvas("Equilibrium beside a planner who maximises total utility", 3)
    users = np.array([np.mean(_users(market, found).sum(axis=-1)) for market, found in by_rho])
    profits = np.array([np.mean(found.profits.sum(axis=-1)) for _, found in by_rho])
    best = np.array([np.mean(welfare(market, efficient_prices(market))) for market, _ in by_rho])
    left.stackplot(rhos, users, profits, best - users - profits, colors=["#9fcbe4", "#f3c9a0", "#e6a5a0"], lw=0)
    for y, text in (
        (users / 2, "UAVs' utility"),
        (users + profits / 2, "RSUs' profit"),
        ((users + profits + best) / 2, "lost"),
    ):
        left.text(
            rhos[3 if text == "lost" else 8], y[3 if text == "lost" else 8], text, ha="center", va="center", fontsize=9
        )
    left.margins(0)
    _labels(left, "rho", "mean over markets, credit", "who gets what")
    curves: list[list[FloatArray]] = []
    for axes, x, results, name, color in (
        (middle, rsus, by_rsus, "number of RSUs", BLUE),
        (right, scarcities, by_scarcity, "capacity, relative to the sampled one", GREEN),
    ):
        curves.append(
            [welfare(market, efficient_prices(market)) / _welfare(market, found) for market, found in results]
        )
        _band(axes, x, curves[-1], color, None)
        axes.axhline(1.0, color=GREY, ls=":", label="nothing is lost")
        _labels(axes, name, "price of anarchy", "planner's total utility / equilibrium's")
    right.set_xscale("log")
    right.set_xticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
    right.minorticks_off()
    over_rho = [welfare(market, efficient_prices(market)) / _welfare(market, found) for market, found in by_rho]
    return canvas, {
        "varied": ["rho"] * len(rhos) + ["rsus"] * len(rsus) + ["capacity_scale"] * len(scarcities),
        "value": [*rhos, *rsus, *scarcities],
        **_quartiles([*over_rho, *curves[0], *curves[1]], "price_of_anarchy"),
    }


def _solved(rsus: int = RSUS, uavs: int = UAVS, rho: float = RHO, **options: Any) -> tuple[Market, Equilibrium]:
    market = sample(np.random.default_rng(SEED), MARKETS, rsus, uavs, rho=rho, **options)
    return market, solve(market)


def _granted(market: Market, found: Equilibrium) -> FloatArray:
    return leaders.ration(market, found.bandwidth)


def _immersion(market: Market, found: Equilibrium) -> FloatArray:
    """[..., N] credit, of what was granted."""
    rate = followers.effective_rate(_granted(market, found), market.efficiency, market.rho[..., None])
    return followers.immersion(rate, market.alpha, market.required_rate)


def _users(market: Market, found: Equilibrium) -> FloatArray:
    """[..., N] utility of what was granted, credit."""
    return followers.utilities(market, found.prices, _granted(market, found))


def _welfare(market: Market, found: Equilibrium) -> FloatArray:
    return np.asarray(_users(market, found).sum(axis=-1) + found.profits.sum(axis=-1))


def _replies(market: Market, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Best replies of RSU 1 to prices of RSU 2, and of RSU 2 to prices of RSU 1."""
    both = np.stack([prices, prices], axis=-1)
    best = leaders.best_prices(_spread(market, len(prices)), both).prices
    return best[:, 0], best[:, 1]


def _spread(market: Market, times: int) -> Market:
    """The market or batch, so many times along a new first axis."""
    return Market(**{name: np.broadcast_to(value, (times, *value.shape)) for name, value in vars(market).items()})


def _title(title: str, note: str | None = None) -> str:
    return f"{title}\n" + (note or f"medians of {MARKETS} random markets, bands: their middle half; seed {SEED}")


def _canvas(title: str, panels: int, note: str | None = None) -> tuple[Figure, list[Axes]]:
    canvas = Figure(figsize=(4.6 * panels, 4.0), layout="constrained")
    canvas.suptitle(_title(title, f"{note}; seed {SEED}" if note else None), fontsize=11)
    return canvas, list(np.ravel(canvas.subplots(1, panels)))


def _labels(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8, loc="best")


def _band(axes: Axes, x: Iterable[float], values: Sequence[FloatArray], color: str, label: str | None) -> None:
    low, middle, high = _quartiles(values, "").values()
    axes.fill_between(list(x), low, high, color=color, alpha=0.2, lw=0)
    axes.plot(list(x), middle, "o-", ms=3, color=color, label=label)


def _quartiles(values: Sequence[FloatArray], name: str) -> dict[str, list[float]]:
    """Quartiles of each array, as columns; empty arrays give NaN."""
    parts = [np.nanpercentile(v, [25, 50, 75]) if np.isfinite(v).any() else np.full(3, np.nan) for v in values]
    return {f"{name}_{part}": [float(q[i]) for q in parts] for i, part in enumerate(("lower", "median", "upper"))}


def _write(columns: Columns, path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
