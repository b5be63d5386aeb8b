"""Where pure equilibria are found, and where two: random markets by rho, each claim proven by the solver.

What is found is found by best replies from below, from above and in turns (docs/game.md); where nothing is, there may
still be one. Markets are those of `game.sample`, of 1 to 8 RSUs and 1 to 64 UAVs, half of them without capacities.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.game.sample import sample
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "in how many random markets a pure equilibrium is found, by rho, and in how many two"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

SEED, ALIKE, BATCHES = 3, 50, 80  # so many markets of a size, and sizes
USUAL = (0.02, 0.7)
HIGH = (0.75, 0.8, 0.85, 0.9)
CONTESTED = ((2, 4), (2, 16), (4, 4), (4, 16))  # RSUs and UAVs, where rho is high
EACH = 125  # markets of each of those
APART = 1e-4  # relative, of two equilibria's prices


def run(directory: Path | None) -> list[Figure]:
    """A quarter of a minute of CPU time; ``directory`` is not used."""
    rng, began = np.random.default_rng(SEED), time.process_time()
    found = met = two = 0
    for batch in range(BATCHES):
        rsus, uavs = int(rng.integers(1, 9)), int(rng.integers(1, 65))
        market = sample(rng, ALIKE, rsus, uavs, rho=rng.uniform(*USUAL, ALIKE), limited=batch % 2 == 0)
        answer = solve(market)
        found += int(answer.found.sum())
        met += int((answer.found & answer.agrees).sum())
        apart = np.abs(answer.from_above / answer.prices - 1.0).max(axis=-1)  # NaN where there is no other one
        two += int((answer.found & (apart > APART)).sum())
    total = BATCHES * ALIKE
    print(f"  rho {USUAL[0]} to {USUAL[1]}: {found} of {total}", file=sys.stderr, flush=True)
    figures = [
        Figure(f"rho {USUAL[0]} to {USUAL[1]}, 1-8 RSUs, 1-64 UAVs: found", 100.0 * found / total, "%"),
        Figure("... from below and from above the same", 100.0 * met / total, "%"),
        Figure("... two different ones", 100.0 * two / total, "%"),
    ]
    for rho in HIGH:
        markets = [sample(rng, EACH, rsus, uavs, rho=rho) for rsus, uavs in CONTESTED]
        there = sum(int(solve(market).found.sum()) for market in markets)
        print(f"  rho {rho}: {there} of {EACH * len(CONTESTED)}", file=sys.stderr, flush=True)
        share = 100.0 * there / EACH / len(CONTESTED)
        figures.append(Figure(f"rho {rho}, 2 and 4 RSUs, 4 and 16 UAVs: found", share, "%"))
    return [*figures, Figure("CPU time", time.process_time() - began, "s")]
