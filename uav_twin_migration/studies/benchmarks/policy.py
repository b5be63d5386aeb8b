"""What the shipped policy costs an RSU: one decision, many at once, the file; beside the network before pruning."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.market.leader import LeaderSettings, RoundResult
from uav_twin_migration.market.pricing import ElasticityPricer
from uav_twin_migration.policy import artifact, observation
from uav_twin_migration.policy.actor import Actor, price_of
from uav_twin_migration.policy.artifact import Policy
from uav_twin_migration.policy.pricer import PolicyPricer
from uav_twin_migration.policy.single import ask
from uav_twin_migration.shipped import shipped_file
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "a decision's latency, a batch's, the artifact's size, beside the dense network's"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

DENSE = (128, 128)
BATCH = 1024
REPEATS, TIMES = 10, 300  # the median of so many calls, and the best of so many medians: other programs disturb


def run(directory: Path | None) -> list[Figure]:
    """Times both networks on the same observations."""
    path = shipped_file("config/policies/default.safetensors")
    if path is None:
        raise UavTwinError("the shipped policy is not installed")
    tiny, dense = artifact.load(path).actor, _untrained(DENSE)
    one, many = _observations(1)[0], _observations(BATCH)
    figures = []
    for name, call in (
        ("decision: observation to price, p50", lambda actor: ask(float(actor(one)), 1.0, 20.0)),
        (f"{BATCH} decisions at once, p50", lambda actor: price_of(actor(many), 1.0, 20.0)),
        (f"{BATCH} network evaluations at once, p50", lambda actor: actor(many)),
    ):
        small, large = (1e6 * _median(partial(call, actor)) for actor in (tiny, dense))
        figures.append(Figure(name, small, "us", large, large / small))
    pricer = PolicyPricer(1.0, 20.0, 30.0, 0.6, ElasticityPricer(1.0, 20.0, 30.0), Policy(tiny))
    sold = (5.0, 5.0, 5.0, 6, (2.0, 3.0, 1.5), 0.3, 30.0, (20.0, 25.0, 40.0), 2.0)
    history = [RoundResult(i, 2.0 + 0.1 * i, *sold) for i in range(LeaderSettings.history)]
    decision = 1e6 * _median(lambda: pricer.decide(history, (2.0, 3.0, 1.5)))
    figures.append(Figure("round's end to price, with encoding the observation, p50", decision, "us"))
    for what, small, large in (
        ("artifact", path.stat().st_size, len(artifact.to_bytes(Policy(dense)))),
        ("parameters", tiny.parameters, dense.parameters),
    ):
        figures.append(Figure(what, small, "bytes" if what == "artifact" else "", large, large / small))
    return figures


def _untrained(hidden: tuple[int, ...]) -> Actor:
    rng = np.random.default_rng(0)
    sizes = (observation.SIZE, *hidden, 1)
    return Actor([(0.1 * rng.standard_normal((b, a)), np.zeros(b)) for a, b in itertools.pairwise(sizes)])


def _observations(count: int) -> observation.Observation:
    return np.random.default_rng(1).standard_normal((count, observation.SIZE)).astype(np.float32)


def _median(call: Callable[[], object]) -> float:
    """Seconds."""
    best = np.inf
    for _ in range(REPEATS):
        taken = np.empty(TIMES)
        for i in range(TIMES):
            began = time.perf_counter()
            call()
            taken[i] = time.perf_counter() - began
        best = min(best, float(np.median(taken)))
    return best
