"""Studies of learning: how fast, how small, to which strategies, and at which costs and caps.

Lines are interquartile means over training seeds, bands their 95 % bootstrap intervals, unless the picture differs.
What is shown is measured on games or markets that nobody trained on. Every training run is a piece of its own, kept in
`learning/`: the same command goes on where it was stopped.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from uav_twin_migration.game import leaders
from uav_twin_migration.game.equilibrium import Equilibrium, solve
from uav_twin_migration.game.followers import respond
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.game.sample import sample
from uav_twin_migration.learning.actor_critic import ActorCritic, Settings
from uav_twin_migration.learning.environment import flatten
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, Player, hold_still, play, score
from uav_twin_migration.learning.games import COSTS_AND_CAPS, GameDistribution
from uav_twin_migration.learning.pruning import PruningSettings
from uav_twin_migration.learning.rules import ConstantMarkup, Greedy, PerRsu, Random, Structural
from uav_twin_migration.market.pricing import ElasticityPricer
from uav_twin_migration.policy import observation
from uav_twin_migration.studies.baselines.libraries import Trial, stable_baselines3
from uav_twin_migration.studies.benchmarks.training import SHARES, Result, compare_pruning
from uav_twin_migration.studies.figures.pieces import Pieces
from uav_twin_migration.studies.figures.style import save
from uav_twin_migration.studies.sweep.results import band

SUMMARY = "convergence, pruning, strategies over training, costs and caps beside the equilibrium"
NEEDS = ("learning", "environment", "libraries")  # groups of setup.py's REQUIREMENTS besides the command's

SEEDS = (0, 1, 2)
STANDARD = GameDistribution()  # 4 RSUs, 16 moving UAVs, rho .7
ITERATIONS = 150
EVERY = 5  # iterations between two points of a curve
TINY, DENSE = "Tiny MADRL, 90 % pruned", "the same, dense"
PPO, DDPG = "PPO (Stable-Baselines3)", "DDPG (Stable-Baselines3)"
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc3311", "#882299", "#777777"
COLORS = {TINY: BLUE, DENSE: ORANGE, PPO: GREEN, DDPG: RED}
RULES: dict[str, tuple[Any, Callable[[], Player]]] = {
    "random prices": ((0, (1, 4)), Random),
    "greedy on its own history": ((0, (6, 2)), Greedy),
    "best constant mark-up": (":", lambda: ConstantMarkup(1.8)),
    "an RSU's fallback rule": ("-.", lambda: PerRsu(ElasticityPricer)),
    "Kalman filter rule": ("--", Structural),
}

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Study:
    """A picture and the numbers in it."""

    canvas: Figure
    columns: tuple[str, ...]
    rows: Sequence[Row]


def run(directory: Path) -> None:
    """Makes every picture and its table; some twelve minutes of CPU time, on all cores."""
    depends_on = f"{observation.SCHEMA} {Settings()}"
    done = Pieces(directory / "learning", depends_on, lambda sentence: print(sentence, flush=True))
    n = ITERATIONS
    done.work(
        [
            *[(prune_every_way, (seed, n)) for seed in SEEDS],
            *[(price_at_costs_and_caps, (seed, 2 * n)) for seed in SEEDS],
            *[(converge, (name, seed, n)) for seed in SEEDS for name in COLORS],
            *[(watch_strategies, (seed, n)) for seed in SEEDS],
            *[(follow_rule, (name,)) for name in RULES],
        ]
    )
    for study in (convergence, pruning, strategies, cost_and_cap):
        made = study(done)
        path = directory / f"learning_{study.__name__}"
        save(made.canvas, path.with_suffix(".png"))
        with open(path.with_suffix(".csv"), "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(made.columns)
            writer.writerows(made.rows)
        print(f"  {path}.png, .pdf, .svg and .csv", flush=True)


# -- convergence -----------------------------------------------------------------------------------------------------


class Curve:
    """CPU time, exploitability (%) and reward (%) as a run goes on: the report of a training."""

    def __init__(self, points: int) -> None:
        self.games = Games.draw(STANDARD, 96)
        self.equilibrium = solve(flatten(self.games.last(1)))
        self.points = points
        self.told: list[list[float]] = [[], [], []]

    def __call__(self, player: Player, cpu_s: float) -> bool:
        for column, value in zip(self.told, (cpu_s, *self.measured(player)), strict=True):
            column.append(value)
        return len(self.told[0]) < self.points

    def measured(self, player: Player) -> tuple[float, float]:
        """Exploitability of the last rounds, and reward in the last one."""
        found = 100 * score(self.games, player).mean
        return found, _reward(self.games, play(self.games, player)[-1], self.equilibrium)


def _reward(games: Games, prices: FloatArray, equilibrium: Equilibrium) -> float:
    """RSUs' profit in the last round, of what it is in the equilibrium, %."""
    found = equilibrium.found
    return 100 * float(
        leaders.profits(flatten(games.last(1)), prices)[found].mean() / equilibrium.profits[found].mean()
    )


def converge(name: str, seed: int, iterations: int) -> list[list[float]]:
    """A curve of one of the methods."""
    torch.set_num_threads(1)
    curve = Curve(iterations // EVERY)
    if name in (PPO, DDPG):
        trial = Trial() if name == PPO else Trial(epochs=1)
        stable_baselines3("PPO" if name == PPO else "DDPG", STANDARD, trial, seed, curve, EVERY)
        return curve.told

    def after(trainer: ActorCritic) -> None:
        if trainer.iteration % EVERY == 0:
            curve(ActorPlayer(trainer.average.to_actor()), trainer.cpu_s)

    share = 0.9 if name == TINY else 0.0
    ActorCritic(Settings(iterations=iterations, seed=seed, pruning=PruningSettings(share))).run(after=after)
    return curve.told


def follow_rule(name: str) -> tuple[float, float]:
    """Exploitability and reward of one of the rules, %."""
    return Curve(0).measured(RULES[name][1]())


def convergence(done: Pieces) -> Study:
    """Tiny MADRL, the same without pruning, PPO and DDPG of Stable-Baselines3; rules that do not learn."""
    canvas, (left, middle, right) = _canvas("Convergence on unseen games", 3)
    rows: list[Row] = []
    for name, color in COLORS.items():
        curves = np.array([done.of(converge, name, seed, ITERATIONS) for seed in SEEDS])  # [seeds, 3, points]
        iterations = EVERY * (1 + np.arange(curves.shape[-1]))
        for seed, curve in zip(SEEDS, curves, strict=True):
            rows += [(name, seed, int(i), *seen) for i, seen in zip(iterations, curve.T, strict=True)]
        _band(left, curves[:, 0].mean(axis=0), curves[:, 1], color, name)
        _band(middle, iterations, curves[:, 1], color, name)
        _band(right, iterations, curves[:, 2], color, name)
    for name, (style, _) in RULES.items():
        value, reward = done.of(follow_rule, name)
        rows.append((name, "", "", "", value, reward))
        for axes in (left, middle, right):
            line = reward if axes is right else value
            axes.axhline(line, color=GREY, ls=style, lw=1, label=f"{name}: {value:.1f} %, earns {reward:.0f} %")
    iteration = "iterations of 16 games, 16 rounds"
    for axes, x in ((left, "CPU time of training, s"), (middle, iteration), (right, iteration)):
        axes.set_xscale("log")
        y = "profit, % of the equilibrium's" if axes is right else "exploitability, %"
        if axes is not right:
            axes.set_yscale("log")
        _labels(axes, x, y, "4 RSUs, 16 moving UAVs, ρ 0.7", legend=False)
    canvas.legend(*middle.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return Study(canvas, ("method", "seed", "iteration", "cpu_s", "exploitability_percent", "reward_percent"), rows)


# -- pruning ---------------------------------------------------------------------------------------------------------


def prune_every_way(seed: int, iterations: int) -> list[Row]:
    """`training.Result` of the dense network and of each pruned one."""
    torch.set_num_threads(1)
    return [tuple(result) for result in compare_pruning((seed,), iterations=iterations)]


def pruning(done: Pieces) -> Study:
    """Exploitability, its mean and 95th percentile over games, and CPU time against the share of neurons removed."""
    rows = [Result(*row) for seed in SEEDS for row in done.of(prune_every_way, seed, ITERATIONS)]
    canvas, panels = _canvas("What is left after pruning", 3)
    shown = {"dynamic": BLUE, "dynamic and last step": PURPLE, "random neurons": RED, "small from scratch": GREEN}
    for axes, name, label, unit in (
        (panels[0], "exploitability", "exploitability, %", 100.0),
        (panels[1], "p95", "exploitability, 95th percentile of games, %", 100.0),
        (panels[2], "cpu_s", "CPU time of all that was needed, s", 1.0),
    ):
        base = unit * float(np.mean([getattr(row, name) for row in rows if row.method == "dense"]))
        axes.axhline(base, color=GREY, ls="--", lw=1, label="dense")
        for method, color in shown.items():
            some = [[r for r in rows if (r.method, r.share) == (method, share)] for share in SHARES]
            values = unit * np.array([[getattr(r, name) for r in each] for each in some])
            _band(axes, [100 * share for share in SHARES], values.T, color, method)
        axes.set_ylim(bottom=0.0)
        axes.set_xticks([100 * share for share in SHARES])
        _labels(axes, "hidden neurons removed, %", label, "4 RSUs, 16 moving UAVs, ρ 0.7")
    return Study(canvas, Result._fields, rows)


def _trained(settings: Settings) -> ActorCritic:
    torch.set_num_threads(1)
    trainer = ActorCritic(settings)
    trainer.run()
    return trainer


# -- strategies ------------------------------------------------------------------------------------------------------


def _moments(iterations: int) -> list[int]:
    """Iterations at which strategies are looked at."""
    return [*range(0, 20, 2), *range(20, 100, 10), *range(100, iterations + 1, 25)]


def _one_market() -> tuple[Market, Equilibrium, NDArray[np.intp]]:
    """A market, its equilibrium, and four UAVs from who buys most there to who buys little."""
    market = sample(np.random.default_rng(5), 1, 4, 16, rho=0.7)
    equilibrium = solve(market)
    return market, equilibrium, np.argsort(-equilibrium.bandwidth[0].sum(axis=1))[[0, 4, 8, 12]]


def watch_strategies(seed: int, iterations: int) -> list[list[float]]:
    """[moments, 8] four prices and what four UAVs buy in one market, as training goes on."""
    torch.set_num_threads(1)
    market, _, uavs = _one_market()
    still = hold_still(market, rounds=12)
    trainer = ActorCritic(Settings(iterations=iterations, seed=seed, pruning=PruningSettings(0.9)))
    seen = []
    for iteration in _moments(iterations):
        trainer.run(iteration - trainer.iteration)
        prices = play(still, ActorPlayer(trainer.average.to_actor()))[-1, 0]
        bought = respond(market, prices[None]).bandwidth[0].sum(axis=1)[uavs]
        seen.append([*prices.tolist(), *bought.tolist()])
    return seen


def strategies(done: Pieces) -> Study:
    """What four RSUs ask and what UAVs buy in one market as training goes on, with the equilibrium beside it."""
    market, equilibrium, uavs = _one_market()
    at = _moments(ITERATIONS)
    seen = np.array([done.of(watch_strategies, seed, ITERATIONS) for seed in SEEDS])
    prices, bought = seen[..., :4], seen[..., 4:]
    canvas, (left, right) = _canvas("Strategies in one market as Tiny MADRL (90 % pruned) learns", 2)
    wanted = equilibrium.bandwidth[0].sum(axis=1)[uavs]
    for k, color in enumerate((BLUE, ORANGE, GREEN, PURPLE)):
        _band(left, np.add(at, 1), prices[:, :, k], color, f"RSU {k + 1}, C = {market.unit_cost[0, k]:.2f}")
        _band(right, np.add(at, 1), bought[:, :, k], color, f"UAV {uavs[k] + 1}")
        left.axhline(equilibrium.prices[0, k], color=color, ls="--", lw=1)
        right.axhline(wanted[k], color=color, ls="--", lw=1)
    for axes, label in ((left, "price, credit/MHz"), (right, "bandwidth bought from all RSUs, MHz")):
        axes.set_xscale("log")
        _labels(axes, "iterations of training + 1", label, "dashed: the equilibrium")
    rows: list[Row] = []
    for s, seed in enumerate(SEEDS):
        rows += [(seed, iteration, *prices[s, i], *bought[s, i]) for i, iteration in enumerate(at)]
    rows.append(("equilibrium", "", *equilibrium.prices[0], *wanted))
    names = [*(f"price_rsu_{m + 1}" for m in range(4)), *(f"bandwidth_uav_{n + 1}" for n in uavs)]
    return Study(canvas, ("seed", "iteration", *names), rows)


# -- costs and caps --------------------------------------------------------------------------------------------------

COSTS, CAPS = np.geomspace(0.25, 8.0, 11), np.array([1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0])


def _varied() -> list[tuple[str, float, Market]]:
    """Markets of each unit cost, then of each price cap; with capacities, by which a policy counts its sales."""
    points = [("unit cost", float(c), {"unit_cost": float(c)}) for c in COSTS]
    points += [("price cap", float(c), {"unit_cost": 1.0, "price_cap": float(c)}) for c in CAPS]
    return [
        (name, value, sample(np.random.default_rng(1), 64, 4, 16, rho=0.6, limited=True, **options))
        for name, value, options in points
    ]


def price_at_costs_and_caps(seed: int, iterations: int) -> list[float]:
    """An RSU's profit in each of the markets by one policy for all, credit."""
    wide = replace(COSTS_AND_CAPS, rsus=(4, 4), uavs=(16, 16), blocked=(0.0, 0.0), price_cap=(1.5, 40.0))
    trainer = _trained(Settings(iterations=iterations, seed=seed, distribution=(wide,)))
    player = ActorPlayer(trainer.average.to_actor())
    return [_profit(market, player) for _, _, market in _varied()]


def cost_and_cap(done: Pieces) -> Study:
    """An RSU's profit against everybody's unit cost and against the price cap: learned, and the equilibrium's."""
    points = _varied()
    best = np.array([solve(market).profits.mean() for _, _, market in points])
    learned = np.array([done.of(price_at_costs_and_caps, seed, 2 * ITERATIONS) for seed in SEEDS])
    rows: list[Row] = [
        (name, value, seed, float(best[i]), float(learned[s, i]))
        for i, (name, value, _) in enumerate(points)
        for s, seed in enumerate(SEEDS)
    ]
    canvas, panels = _canvas("An RSU's profit: learned by one policy, and at the equilibrium", 2)
    parts = (slice(0, len(COSTS)), slice(len(COSTS), None))
    for axes, varied, values, part in zip(panels, ("unit cost", "price cap"), (COSTS, CAPS), parts, strict=True):
        axes.plot(values, best[part], color=GREY, ls="--", label="equilibrium")
        _band(axes, values, learned[:, part], BLUE, "learned")
        note = "price cap 20 credit/MHz" if varied == "unit cost" else "unit cost 1 credit/MHz"
        _labels(axes, f"{varied}, credit/MHz", "profit per RSU, credit", f"4 RSUs, 16 UAVs, ρ 0.6, {note}")
    panels[0].set_xscale("log")
    panels[0].set_xticks([0.25, 0.5, 1, 2, 4, 8], ["¼", "½", "1", "2", "4", "8"])
    panels[0].minorticks_off()
    return Study(canvas, ("varied", "value", "seed", "equilibrium_profit", "learned_profit"), rows)


def _profit(market: Market, player: Player) -> float:
    return float(leaders.profits(market, play(hold_still(market, rounds=12), player)[-1]).mean())


# -- drawing ---------------------------------------------------------------------------------------------------------


def _canvas(title: str, panels: int) -> tuple[Figure, list[Axes]]:
    canvas = Figure(figsize=(5.0 * panels, 4.6), layout="constrained")
    note = f"interquartile means over training seeds {', '.join(map(str, SEEDS))}; bands: 95 % bootstrap"
    canvas.suptitle(f"{title}\n{note}", fontsize=11)
    return canvas, list(np.ravel(canvas.subplots(1, panels)))


def _labels(axes: Axes, x: str, y: str, title: str, legend: bool = True) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    if legend:
        axes.legend(fontsize=8, loc="best")


def _band(axes: Axes, x: Iterable[float], values: FloatArray, color: str, label: str) -> None:
    """`values` [seeds, points]."""
    places = list(x)
    bands = [band(column) for column in values.T]
    axes.fill_between(places, [b.low for b in bands], [b.high for b in bands], color=color, alpha=0.2, lw=0)
    axes.plot(places, [b.middle for b in bands], "-", color=color, label=label)
