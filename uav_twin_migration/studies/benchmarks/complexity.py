"""What training and a decision cost, in RSUs, UAVs, neurons and rounds: derived, then fitted to what is measured.

An iteration of A RSUs in games of M, with N UAVs, T rounds, S steps of B situations, and an actor of W weights:

- playing: each of the A T decisions looks at the N UAVs' answers and at M - 1 rivals, and takes the actor once;
- learning: each of the S B situations takes the actor forth and back, and the profit of N UAVs.

So the time is a sum of A T N, A T M, (A T + S B) W and S B N, each with a constant, and of what numpy and torch take
for a call whatever its size: T of them in playing, S in learning. One RSU decides in: M - 1 rivals, W weights, calls,
and those that only an RSU with rivals makes. Constants are fitted with all of them >= 0, to the relative error, and the
fit says how far off it is.
"""

from __future__ import annotations

import csv
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from uav_twin_migration.game.market import FloatArray
from uav_twin_migration.learning.actor_critic import ActorCritic, Settings
from uav_twin_migration.learning.games import GameDistribution
from uav_twin_migration.learning.networks import Perceptron
from uav_twin_migration.market.leader import LeaderSettings, RoundResult
from uav_twin_migration.market.pricing import ElasticityPricer
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.artifact import Policy
from uav_twin_migration.policy.pricer import PolicyPricer
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "time of training and of a decision in RSUs, UAVs, neurons and rounds, with fits and their residuals"
NEEDS = ("learning",)  # groups of setup.py's REQUIREMENTS besides the command's

RSUS, UAVS, NEURONS, ROUNDS = 4, 16, 32, 16  # where not varied
VARIED = {"M": (1, 2, 8, 16), "N": (4, 64, 200), "neurons": (8, 128, 256), "rounds": (4, 8, 32)}
TIMES, DECISIONS = 4, 300  # the quickest counts
Sizes = dict[str, int]


def run(directory: Path | None) -> list[Figure]:
    """Under a minute of CPU time; with a `directory` a table of what was measured and fitted."""
    torch.set_num_threads(1)
    standard = {"M": RSUS, "N": UAVS, "neurons": NEURONS, "rounds": ROUNDS}
    sizes = [standard, *({**standard, name: size} for name, values in VARIED.items() for size in values)]
    rows: list[tuple[object, ...]] = []
    figures = []
    for what, measure, work, points in (
        ("an iteration of training", iteration, work_of_iteration, sizes),
        ("a decision", decision, work_of_decision, [s for s in sizes if s["N"] == UAVS and s["rounds"] == ROUNDS]),
    ):
        seconds = np.array([measure(size) for size in points])
        names = list(work(standard))
        parts = np.array([list(work(size).values()) for size in points], dtype=np.float64)
        constants = fitted(parts, seconds)
        errors = parts @ constants / seconds - 1.0
        rows += [(what, *size.values(), s, e) for size, s, e in zip(points, seconds, errors, strict=True)]
        figures.append(Figure(f"{what}, M=4 N=16, {NEURONS}-{NEURONS} neurons", 1e6 * seconds[0], "us"))
        figures += [
            Figure(f"{what}: {name}", 1e9 * float(c), "ns each") for name, c in zip(names, constants, strict=True)
        ]
        figures.append(Figure(f"{what}: median residual", 100 * float(np.median(np.abs(errors))), "%"))
        worst = int(np.abs(errors).argmax())
        figures.append(Figure(f"{what}: greatest residual, at {points[worst]}", 100 * float(errors[worst]), "%"))
        print(f"  {what}: measured at {len(points)} sizes", file=sys.stderr, flush=True)
    if directory:
        with open(directory / "bench_complexity.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("what", *standard, "cpu_seconds", "relative_residual"), *rows])
    return figures


def weights(size: Sizes) -> int:
    """Of the actor."""
    return Perceptron(observation.SIZE, (size["neurons"],) * 2, 0.01).parameter_count


def work_of_iteration(size: Sizes) -> dict[str, float]:
    """How often each part of an iteration is done."""
    s = Settings(rounds=size["rounds"])
    decisions, learned = s.agents // size["M"] * size["M"] * s.rounds, s.steps * s.minibatch
    return {
        "a round's calls": s.rounds,
        "a step's calls": s.steps,
        "A T N, UAVs played": decisions * size["N"],
        "A T M, rivals seen": decisions * size["M"],
        "(A T + S B) W, weights": (decisions + learned) * weights(size),
        "S B N, UAVs of the profit": learned * size["N"],
    }


def work_of_decision(size: Sizes) -> dict[str, float]:
    """How often each part of a decision is done."""
    rivals = size["M"] - 1
    return {"calls": 1.0, "calls for rivals": rivals > 0, "M - 1, rivals": rivals, "W, weights": weights(size)}


def iteration(size: Sizes) -> float:
    """CPU time of one, s; the quickest of several."""
    rsus, uavs = size["M"], size["N"]
    games = replace(GameDistribution(), rsus=(rsus, rsus), uavs=(uavs, uavs))
    hidden = (size["neurons"],) * 2
    trainer = ActorCritic(Settings(iterations=100, rounds=size["rounds"], distribution=(games,), hidden=hidden))
    return _quickest(trainer.iterate, TIMES)


def decision(size: Sizes) -> float:
    """CPU time of one RSU's, from its closed rounds to a price, s; the quickest of many."""
    actor = Perceptron(observation.SIZE, (size["neurons"],) * 2, 0.01).to_actor()
    pricer = PolicyPricer(1.0, 20.0, 30.0, 0.6, ElasticityPricer(1.0, 20.0, 30.0), Policy(actor))
    rivals = tuple(2.0 + 0.1 * j for j in range(size["M"] - 1))
    sold = (5.0, 5.0, 5.0, 6, rivals, 0.3, 30.0, rivals, 2.0)
    history = [RoundResult(i, 2.0 + 0.1 * i, *sold) for i in range(LeaderSettings.history)]
    return _quickest(lambda: pricer.decide(history, rivals), DECISIONS)


def _quickest(work: Callable[[], object], times: int) -> float:
    work()
    quickest = math.inf
    for _ in range(times):
        began = time.process_time_ns()
        work()
        quickest = min(quickest, 1e-9 * (time.process_time_ns() - began))
    return quickest


def fitted(parts: FloatArray, seconds: Sequence[float] | FloatArray) -> FloatArray:
    """[K] constants >= 0 of least squared relative error: those that come out negative are left out, one by one."""
    relative = parts / np.asarray(seconds)[:, None]
    scale = relative.max(axis=0)
    left = list(range(parts.shape[1]))
    while True:
        found = np.linalg.lstsq(relative[:, left] / scale[left], np.ones(len(relative)), rcond=None)[0]
        if found.min() >= 0.0:
            break
        left.pop(int(found.argmin()))
    constants = np.zeros(parts.shape[1])
    constants[left] = found / scale[left]
    return constants
