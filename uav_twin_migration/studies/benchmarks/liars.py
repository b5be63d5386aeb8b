"""What RSUs that post prices and grant nothing cost the honest ones, whose profit without them is the baseline."""

from __future__ import annotations

import sys
from pathlib import Path

from uav_twin_migration.policy.choice import DEFAULT, NONE, make_pricer
from uav_twin_migration.policy.pricer import PolicyPricer
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses.liars import NOBODY, RHO, Earned, Liars, MakePricer, play

SUMMARY = "four RSUs that ask .0001 credit/MHz and grant nothing: what is left of the others' profit"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

CASES = {
    "out of the UAVs' reach": Liars(),
    "in their reach": Liars(linked=True),
    "in their reach, granting nothing in so many words": Liars(linked=True, refuse=True),
    "in their reach, under new names every three rounds": Liars(linked=True, renamed=3),
    "in their reach, granting what is below .1 MHz in turn": Liars(linked=True, bait=0.1),
    "in their reach, granting what is below .3 MHz in turn": Liars(linked=True, bait=0.3),
    "in their reach, granting what is below 1 MHz in turn": Liars(linked=True, bait=1.0),
    "out of their reach, with bids forged in the UAVs' names": Liars(bid=True),
    "in their reach, granting what is below .1 MHz, with forged bids": Liars(linked=True, bait=0.1, bid=True),
}


def run(directory: Path | None) -> list[Figure]:
    """Some minute of CPU time."""
    figures = []
    for name, policy in (("the shipped policy", DEFAULT), ("the rule", NONE)):
        alone = play(NOBODY, pricing_by(policy))
        for case, liars in CASES.items():
            left = 100.0 * part_left(play(liars, pricing_by(policy)), alone)
            figures.append(Figure(f"profit of RSUs that price by {name}, beside four liars {case}", left, "%", 100.0))
            print(f"  {figures[-1].name}: {left:.1f} %", file=sys.stderr, flush=True)
    return figures


def pricing_by(policy: str) -> MakePricer:
    """What makes an RSU's pricer as its node does."""

    def make(unit_cost: float, price_cap: float, capacity: float) -> PolicyPricer:
        return make_pricer(unit_cost, price_cap, capacity, RHO, policy, exploration=0.0)

    return make


def part_left(earned: Earned, alone: Earned) -> float:
    """All honest RSUs' profit beside what it was without liars."""
    return sum(earned.profits) / sum(alone.profits)
