"""Studies of learning: how fast, how small, to which strategies, and at which costs and caps.

Lines are means over training seeds and bands reach from the lowest to the highest, unless a picture says otherwise.
What is shown is measured on games or markets that nobody trained on.
"""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uav_twin_migration.game import leaders
from uav_twin_migration.game.equilibrium import Equilibrium, solve
from uav_twin_migration.game.followers import respond
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.game.sample import sample
from uav_twin_migration.learning.actor_critic import ActorCritic, Settings
from uav_twin_migration.learning.distillation import DistillationSettings, distil
from uav_twin_migration.learning.environment import flatten
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, Player, compare, hold_still, play, score
from uav_twin_migration.learning.games import COSTS_AND_CAPS, GameDistribution
from uav_twin_migration.learning.networks import Perceptron
from uav_twin_migration.learning.pruning import PruningSettings, prune
from uav_twin_migration.learning.rules import ConstantMarkup, Greedy, PerRsu, Random, Structural
from uav_twin_migration.market.pricing import ElasticityPricer
from uav_twin_migration.studies.baselines.libraries import Trial, stable_baselines3
from uav_twin_migration.studies.figures.style import save

SUMMARY = "convergence, pruning, strategies over training, costs and caps beside the equilibrium"
NEEDS = ("learning", "environment", "libraries")  # groups of setup.py's REQUIREMENTS besides the command's

SEEDS = (0, 1, 2)
STANDARD = GameDistribution()  # 4 RSUs, 16 moving UAVs, rho .7
ITERATIONS = 150
EVERY = 5  # iterations between two points of a curve
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc3311", "#882299", "#777777"

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Study:
    """A picture and the numbers in it."""

    canvas: Figure
    columns: tuple[str, ...]
    rows: Sequence[Row]


def run(directory: Path) -> None:
    """Makes every picture and its table; some ten minutes of CPU time."""
    torch.set_num_threads(1)
    studies = (convergence, pruning, strategies, cost_and_cap)
    for number, study in enumerate(studies, 1):
        print(f"  {number} of {len(studies)}: {study.__name__} ...", flush=True)
        made = study()
        path = directory / f"learning_{study.__name__}"
        save(made.canvas, path.with_suffix(".png"))
        with open(path.with_suffix(".csv"), "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(made.columns)
            writer.writerows(made.rows)
        print(f"    {path}.png, .pdf, .svg and .csv", flush=True)


ITERATION = "iterations of 16 games, 16 rounds"

# -- convergence -----------------------------------------------------------------------------------------------------


class Curve:
    """Exploitability and reward (%) as a run goes on: the report of a training."""

    def __init__(self, games: Games, equilibrium: Equilibrium) -> None:
        """equilibrium: of the games' last round."""
        self.games, self.equilibrium = games, equilibrium
        self.cpu_s: list[float] = []
        self.found: list[float] = []
        self.reward: list[float] = []

    def __call__(self, player: Player, cpu_s: float) -> bool:
        self.cpu_s.append(cpu_s)
        self.found.append(100 * score(self.games, player).mean)
        self.reward.append(_reward(self.games, play(self.games, player)[-1], self.equilibrium))
        return len(self.found) < ITERATIONS // EVERY


def _reward(games: Games, prices: FloatArray, equilibrium: Equilibrium) -> float:
    """RSUs' profit in the last round, of what it is in the equilibrium, %."""
    found = equilibrium.found
    return 100 * float(
        leaders.profits(flatten(games.last(1)), prices)[found].mean() / equilibrium.profits[found].mean()
    )


def convergence() -> Study:
    """Tiny MADRL, the same without pruning, PPO and DDPG of Stable-Baselines3; rules that do not learn."""
    games = Games.draw(STANDARD, 96)
    equilibrium = solve(flatten(games.last(1)))
    ppo, ddpg = Trial(), Trial(epochs=1)
    methods: dict[str, tuple[str, Callable[[int, Curve], None]]] = {
        "Tiny MADRL, 90 % pruned": (BLUE, lambda seed, curve: _madrl(seed, curve, 0.9)),
        "the same, dense": (ORANGE, lambda seed, curve: _madrl(seed, curve, 0.0)),
        "PPO (Stable-Baselines3)": (GREEN, lambda s, curve: stable_baselines3("PPO", STANDARD, ppo, s, curve, EVERY)),
        "DDPG (Stable-Baselines3)": (RED, lambda s, curve: stable_baselines3("DDPG", STANDARD, ddpg, s, curve, EVERY)),
    }
    canvas, (left, middle, right) = _canvas("Convergence on unseen games", 3)
    rows: list[Row] = []
    for name, (color, train) in methods.items():
        curves = []
        for seed in SEEDS:
            curve = Curve(games, equilibrium)
            train(seed, curve)
            curves.append(curve)
            rows += [
                (name, seed, (i + 1) * EVERY, *seen)
                for i, seen in enumerate(zip(curve.cpu_s, curve.found, curve.reward, strict=True))
            ]
        found = np.array([curve.found for curve in curves])
        cpu_s = np.mean([curve.cpu_s for curve in curves], axis=0)
        iterations = EVERY * (1 + np.arange(found.shape[1]))
        _band(left, cpu_s, found, color, name)
        _band(middle, iterations, found, color, name)
        _band(right, iterations, np.array([curve.reward for curve in curves]), color, name)
    for name, style, player in (
        ("random prices", (0, (1, 4)), Random()),
        ("greedy on its own history", (0, (6, 2)), Greedy()),
        ("best constant mark-up", ":", ConstantMarkup(1.8)),
        ("an RSU's fallback rule", "-.", PerRsu(ElasticityPricer)),
        ("Kalman filter rule", "--", Structural()),
    ):
        value, reward = 100 * score(games, player).mean, _reward(games, play(games, player)[-1], equilibrium)
        rows.append((name, "", "", "", value, reward))
        for axes in (left, middle, right):
            line = reward if axes is right else value
            axes.axhline(line, color=GREY, ls=style, lw=1, label=f"{name}: {value:.1f} %, earns {reward:.0f} %")
    for axes, x in ((left, "CPU time of training, s"), (middle, ITERATION), (right, ITERATION)):
        axes.set_xscale("log")
        y = "profit, % of the equilibrium's" if axes is right else "exploitability, %"
        if axes is not right:
            axes.set_yscale("log")
        _labels(axes, x, y, "4 RSUs, 16 moving UAVs, ρ 0.7", legend=False)
    canvas.legend(*middle.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return Study(canvas, ("method", "seed", "iteration", "cpu_s", "exploitability_percent", "reward_percent"), rows)


def _madrl(seed: int, curve: Curve, share: float) -> None:
    def after(trainer: ActorCritic) -> None:
        if trainer.iteration % EVERY == 0:
            curve(ActorPlayer(trainer.average.to_actor()), trainer.cpu_s)

    ActorCritic(Settings(iterations=ITERATIONS, seed=seed, pruning=PruningSettings(share))).run(after=after)


# -- pruning ---------------------------------------------------------------------------------------------------------

SHARES = (0.5, 0.75, 0.9, 0.95)


def pruning() -> Study:
    """Reward, exploitability and distance to the equilibrium's prices against the share of neurons removed."""
    games = Games.draw(STANDARD, 128)
    rows: list[Row] = []
    for seed in SEEDS:
        settings = Settings(iterations=ITERATIONS, seed=seed)
        dense = _trained(settings)
        seen = dense.play().observation
        inputs = torch.from_numpy(seen.reshape(-1, seen.shape[-1]))
        rows.append(("dense", 0.0, seed, *_measured(games, dense.average)))
        for share in SHARES:
            ours = _trained(replace(settings, pruning=PruningSettings(share))).average
            once = copy.deepcopy(dense.average)
            prune(once, inputs, settings.hidden, share, PruningSettings(share))
            last = distil(dense.average, ours, (STANDARD,), DistillationSettings(iterations=60, seed=seed))
            for method, network in (("dynamic", ours), ("dynamic and last step", last), ("once at the end", once)):
                rows.append((method, share, seed, *_measured(games, network)))
    canvas, panels = _canvas("What is left after pruning", 3)
    shown = (("dynamic", BLUE), ("dynamic and last step", GREEN), ("once at the end", RED))
    labels = ("exploitability, %", "mean distance to the equilibrium's prices, %", "reward, % of the equilibrium's")
    for k, (axes, label) in enumerate(zip(panels, labels, strict=True)):
        base = float(np.mean([row[3 + k] for row in rows if row[0] == "dense"]))
        axes.axhline(base, color=GREY, ls="--", lw=1, label="dense")
        for method, color in shown:
            values = [[row[3 + k] for row in rows if row[:2] == (method, share)] for share in SHARES]
            _band(axes, [100 * share for share in SHARES], np.array(values).T, color, method)
        if k < 2:
            axes.set_yscale("log")
        _labels(axes, "hidden neurons removed, %", label, "4 RSUs, 16 moving UAVs, ρ 0.7")
    columns = ("method", "removed", "seed", "exploitability_percent", "price_gap_percent", "reward_percent")
    return Study(canvas, columns, rows)


def _trained(settings: Settings) -> ActorCritic:
    trainer = ActorCritic(settings)
    trainer.run()
    return trainer


def _measured(games: Games, network: Perceptron) -> tuple[float, float, float]:
    """Exploitability, distance to the equilibrium's prices, profit over the equilibrium's; all in %, last round."""
    prices = play(games, ActorPlayer(network.to_actor()))[-1]
    market = flatten(games.last(1))
    both = compare(market, prices)
    reward = _reward(games, prices, solve(market))
    return 100 * float(both.exploitability.mean()), 100 * float(both.price_gap.mean()), reward


# -- strategies ------------------------------------------------------------------------------------------------------


def strategies() -> Study:
    """What four RSUs ask and what UAVs buy in one market as training goes on, with the equilibrium beside it."""
    market = sample(np.random.default_rng(5), 1, 4, 16, rho=0.7)
    equilibrium = solve(market)
    still = hold_still(market, rounds=12)
    at = [*range(0, 20, 2), *range(20, 100, 10), *range(100, ITERATIONS + 1, 25)]
    prices, bought = np.empty((2, len(SEEDS), len(at), 4))
    uavs = np.argsort(-equilibrium.bandwidth[0].sum(axis=1))[[0, 4, 8, 12]]  # from who buys most to who buys little
    for s, seed in enumerate(SEEDS):
        trainer = ActorCritic(Settings(iterations=ITERATIONS, seed=seed, pruning=PruningSettings(0.9)))
        for i, iteration in enumerate(at):
            trainer.run(iteration - trainer.iteration)
            prices[s, i] = play(still, ActorPlayer(trainer.average.to_actor()))[-1, 0]
            bought[s, i] = respond(market, prices[s, i][None]).bandwidth[0].sum(axis=1)[uavs]
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


def cost_and_cap() -> Study:
    """An RSU's profit against everybody's unit cost and against the price cap: learned, and the equilibrium's."""
    costs, caps = np.geomspace(0.25, 8.0, 11), np.array([1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0])
    wide = replace(COSTS_AND_CAPS, rsus=(4, 4), uavs=(16, 16), blocked=(0.0, 0.0), price_cap=(1.5, 40.0))
    players = [
        ActorPlayer(_trained(Settings(iterations=2 * ITERATIONS, seed=seed, distribution=(wide,))).average.to_actor())
        for seed in SEEDS
    ]
    rows: list[Row] = []
    canvas, panels = _canvas("An RSU's profit: learned by one policy, and at the equilibrium", 2)
    for axes, varied, values in ((panels[0], "unit cost", costs), (panels[1], "price cap", caps)):
        learned, best = np.empty((len(SEEDS), len(values))), np.empty(len(values))
        for i, value in enumerate(values):
            options = {"unit_cost": value} if varied == "unit cost" else {"unit_cost": 1.0, "price_cap": value}
            market = sample(np.random.default_rng(1), 64, 4, 16, rho=0.6, limited=False, **options)
            best[i] = solve(market).profits.mean()
            learned[:, i] = [_profit(market, player) for player in players]
            rows += [(varied, value, seed, best[i], learned[s, i]) for s, seed in enumerate(SEEDS)]
        axes.plot(values, best, color=GREY, ls="--", label="equilibrium")
        _band(axes, values, learned, BLUE, "learned")
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
    note = f"means over training seeds {', '.join(map(str, SEEDS))}; bands: lowest to highest"
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
    axes.fill_between(places, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, lw=0)
    axes.plot(places, values.mean(axis=0), "-", color=color, label=label)
