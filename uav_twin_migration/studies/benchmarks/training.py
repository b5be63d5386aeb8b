"""Speed and result of training: dense, with every way of pruning, and on markets of mixed sizes.

Exploitability is measured on games that nobody trained on, over the last four of sixteen rounds; figures are means over
training seeds. CPU time is that of training alone, one thread.
"""

from __future__ import annotations

import copy
import csv
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from uav_twin_migration.learning.actor_critic import ActorCritic, Settings
from uav_twin_migration.learning.distillation import DistillationSettings, distil
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, score
from uav_twin_migration.learning.games import MIXED, GameDistribution
from uav_twin_migration.learning.networks import Perceptron
from uav_twin_migration.learning.pruning import Criterion, PruningSettings, left_of, prune
from uav_twin_migration.learning.training import Trainer, measure
from uav_twin_migration.policy import artifact
from uav_twin_migration.shipped import shipped_file
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.sweep.results import Row
from uav_twin_migration.studies.sweep.sweep import rows_of_function

SUMMARY = "speed of training, every way of pruning, market sizes, exploitability on games unseen in training"
NEEDS = ("learning",)  # groups of setup.py's REQUIREMENTS besides the command's

SEEDS = (0, 1, 2)
STANDARD = GameDistribution()  # 4 RSUs, 16 moving UAVs, rho .7
LEVELS = (0.05, 0.02, 0.01, 0.0075)
LONG = 200  # iterations of the run that shows the speed
SHORT = (18, 45)  # of runs that are planned to be short: the rate of learning falls earlier
ITERATIONS = 150  # of each run that is pruned
SHARES = (0.75, 0.9, 0.95)
LAST_STEP = DistillationSettings(iterations=100)
ALONE = 1  # process at a time, where CPU time is measured
FOUND = ("parameters", "cpu_s", "exploitability", "p95")  # of each way of pruning
MIXED_ITERATIONS = 300


def run(directory: Path | None) -> list[Figure]:
    """Three benchmarks, one after the other; some twelve minutes of CPU time. What is done is kept in `directory`."""
    with tempfile.TemporaryDirectory(prefix="uavtwin-training-") as made:
        folder = directory / "training" if directory else Path(made)
        return [*speed(folder / "speed"), *pruning(folder / "pruning", directory), *sizes(folder / "sizes")]


def _each_seed(function: Callable[[int], Mapping[str, object]], folder: Path, jobs: int) -> list[Row]:
    """What a function of this file finds, seed by seed, on the sweep runner."""
    place = f"{__name__}:{function.__name__}"
    return rows_of_function(place, [{"seed": seed} for seed in SEEDS], folder, jobs)


def _mean(rows: Sequence[Row], name: str) -> float:
    """NaN where a seed did not get so far."""
    return float(np.mean([row.get(name, math.nan) for row in rows]))


# -- how fast --------------------------------------------------------------------------------------------------------


def speed(folder: Path) -> list[Figure]:
    """CPU time until the policy is so good, and how good it is in the end."""
    rows = _each_seed(one_speed, folder, jobs=ALONE)
    short = _each_seed(one_short, folder.with_name("short"), jobs=ALONE)
    reached = [(level, _mean(rows, f"below.{_percent(level)}")) for level in LEVELS]
    return [
        *(Figure(f"training until exploitability below {100 * level:g} %", cpu_s, "CPU-s") for level, cpu_s in reached),
        Figure(f"exploitability after {LONG} iterations, mean", _mean(rows, "mean"), "%"),
        Figure(f"exploitability after {LONG} iterations, p95", _mean(rows, "p95"), "%"),
        Figure(f"CPU time of {LONG} iterations", _mean(rows, "cpu_s"), "CPU-s"),
        *(Figure(f"exploitability of a run of {n} iterations", _mean(short, f"found_{n}"), "%") for n in SHORT),
        *(Figure(f"CPU time of a run of {n} iterations", _mean(short, f"cpu_s_{n}"), "CPU-s") for n in SHORT),
    ]


def one_speed(seed: int) -> dict[str, object]:
    """One run: CPU-s to each level, by percent; then exploitability, %, and CPU-s in all."""
    torch.set_num_threads(1)
    games = Games.draw(STANDARD, 128)
    trainer = ActorCritic(Settings(iterations=LONG, seed=seed))

    def after(trainer: Trainer) -> None:
        if trainer.iteration <= 100 or trainer.iteration % 10 == 0:
            measure(trainer, games)

    trainer.run(after=after)
    found = {level: next((p.cpu_s for p in trainer.curve if p.exploitability < level), None) for level in LEVELS}
    below = {_percent(level): cpu_s for level, cpu_s in found.items() if cpu_s is not None}
    final = score(Games.draw(STANDARD, 256), ActorPlayer(trainer.average.to_actor()))
    return {"below": below, "mean": 100 * final.mean, "p95": 100 * final.p95, "cpu_s": trainer.cpu_s}


def one_short(seed: int) -> dict[str, object]:
    """What runs come to that are planned to be short; exploitability, %, and CPU-s of each."""
    torch.set_num_threads(1)
    games = Games.draw(STANDARD, 256)
    told: dict[str, object] = {}
    for iterations in SHORT:
        trainer = _trained(Settings(iterations=iterations, seed=seed))
        found = score(games, ActorPlayer(trainer.average.to_actor())).mean
        told |= {f"found_{iterations}": 100 * found, f"cpu_s_{iterations}": trainer.cpu_s}
    return told


def _percent(level: float) -> str:
    return f"{1e4 * level:.0f}bp"


# -- ways to prune ---------------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """One policy of the comparison."""

    method: str
    share: float  # of the hidden neurons that are gone
    seed: int
    parameters: int
    cpu_s: float  # of everything that was needed to get there
    exploitability: float
    p95: float


def pruning(folder: Path, directory: Path | None) -> list[Figure]:
    """Every way of pruning beside the dense network, trained with the same number of iterations."""
    rows = _each_seed(one_pruning, folder, jobs=ALONE)
    results = [
        _result(row, name)
        for row in rows
        for name in dict.fromkeys(key.rpartition(".")[0] for key in row if "@" in key)
    ]
    if directory:
        with open(directory / "bench_training_pruning.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Result._fields)
            writer.writerows(results)
    figures = []
    dense = [r for r in results if r.method == "dense"]
    for key in dict.fromkeys((r.method, r.share) for r in results):
        some = [r for r in results if (r.method, r.share) == key]
        name = key[0] if not key[1] else f"{key[0]}, {100 * key[1]:g} % removed"
        found, base = (100 * float(np.mean([r.exploitability for r in each])) for each in (some, dense))
        figures.append(Figure(f"exploitability: {name}", found, "%", base, base / found))
        spent, base = (float(np.mean([r.cpu_s for r in each])) for each in (some, dense))
        figures.append(Figure(f"CPU time: {name}", spent, "CPU-s", base, base / spent))
    return figures


def one_pruning(seed: int) -> dict[str, object]:
    """What every way of pruning comes to, by `method@share`."""
    torch.set_num_threads(1)
    return {f"{one.method}@{one.share:g}": dict(zip(FOUND, one[3:], strict=True)) for one in compare_pruning((seed,))}


def _result(row: Row, name: str) -> Result:
    method, _, share = name.rpartition("@")
    parameters, cpu_s, found, p95 = (float(row[f"{name}.{figure}"]) for figure in FOUND)
    return Result(method, float(share), int(row["seed"]), int(parameters), cpu_s, found, p95)


def compare_pruning(
    seeds: tuple[int, ...], shares: tuple[float, ...] = SHARES, iterations: int = ITERATIONS
) -> Iterator[Result]:
    """Trains and measures one policy after the other."""
    games = Games.draw(STANDARD, 256)

    def result(method: str, share: float, seed: int, network: Perceptron, cpu_s: float) -> Result:
        found = score(games, ActorPlayer(network.to_actor()))
        return Result(method, share, seed, network.parameter_count, cpu_s, found.mean, found.p95)

    for seed in seeds:
        settings = Settings(iterations=iterations, seed=seed)
        dense = _trained(settings)
        yield result("dense", 0.0, seed, dense.average, dense.cpu_s)
        inputs = judged_on(dense)

        def last_step(network: Perceptron, teacher: Perceptron = dense.average, seed: int = seed) -> Perceptron:
            return distil(teacher, network, (STANDARD,), replace(LAST_STEP, seed=seed))

        for share in shares:
            ours = _trained(replace(settings, pruning=PruningSettings(share)))
            yield result("dynamic", share, seed, ours.average, ours.cpu_s)
            small, cpu_s = _timed(last_step, ours.average)
            yield result("dynamic and last step", share, seed, small, ours.cpu_s + dense.cpu_s + cpu_s)
            trainer = _trained(replace(settings, pruning=PruningSettings(share, criterion=Criterion.RANDOM)))
            yield result("random neurons", share, seed, trainer.average, trainer.cpu_s)
            scratch = _trained(
                replace(
                    settings,
                    hidden=tuple(left_of(n, share) for n in settings.hidden),
                )
            )
            yield result("small from scratch", share, seed, scratch.average, scratch.cpu_s)
            once = copy.deepcopy(dense.average)
            prune(once, inputs, settings.hidden, share, PruningSettings(share))
            yield result("once at the end", share, seed, once, dense.cpu_s)


def _trained(settings: Settings) -> ActorCritic:
    trainer = ActorCritic(settings)
    trainer.run()
    return trainer


def judged_on(trainer: Trainer) -> torch.Tensor:
    """Observations [B, SIZE] of games that the trainer plays."""
    seen = trainer.play().observation
    return torch.from_numpy(seen.reshape(-1, seen.shape[-1]))


def _timed(step: Callable[[Perceptron], Perceptron], network: Perceptron) -> tuple[Perceptron, float]:
    began = time.process_time()
    return step(network), time.process_time() - began


# -- market sizes ----------------------------------------------------------------------------------------------------


def sizes(folder: Path) -> list[Figure]:
    """One policy on markets of many sizes: dense, mean over seeds; the shipped one, pruned, beside it."""
    rows = _each_seed(one_size, folder, jobs=0)
    path = shipped_file("config/policies/default.safetensors")
    shipped = ActorPlayer(artifact.load(path).actor) if path else None
    figures = []
    for name, distribution in size_cases():
        pruned = 100 * score(Games.draw(distribution, 192), shipped).mean if shipped else None
        what = f"exploitability, {name} (beside: shipped policy)"
        figures.append(Figure(what, _mean(rows, _key(name)), "%", pruned))
    return figures


def one_size(seed: int) -> dict[str, object]:
    """Exploitability, %, of one policy by the size of the market."""
    torch.set_num_threads(1)
    trainer = _trained(Settings(iterations=MIXED_ITERATIONS, seed=seed, distribution=(MIXED,)))
    player = ActorPlayer(trainer.average.to_actor())
    return {_key(name): 100 * score(Games.draw(distribution, 192), player).mean for name, distribution in size_cases()}


def _key(name: str) -> str:
    return name.replace(".", "_")


def size_cases() -> list[tuple[str, GameDistribution]]:
    """Sizes with everything else mixed, and substitutabilities at one size. No link is blocked."""
    free = replace(MIXED, blocked=(0.0, 0.0))
    sized = [
        (f"M={rsus} N={uavs}", replace(free, rsus=(rsus, rsus), uavs=(uavs, uavs)))
        for rsus in (1, 2, 3, 4, 8)
        for uavs in (4, 16, 64)
    ]
    middle = replace(free, rsus=(4, 4), uavs=(16, 16))
    return sized + [(f"M=4 N=16 rho={rho}", replace(middle, rho=(rho, rho))) for rho in (0.4, 0.55, 0.7)]
