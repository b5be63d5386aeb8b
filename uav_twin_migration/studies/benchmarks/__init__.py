"""Benchmarks, one a file, each beside its baseline in the same run."""

from __future__ import annotations

from typing import NamedTuple

# name -> what it measures; `<name>.py` beside this file has `run(directory: Path | None) -> list[Figure]`
BENCHMARKS: dict[str, str] = {
    "game": "equilibria a second, beside a scipy best-response iteration and a grid search",
    "links": "one market of a whole city, up to a million links; 4,096 markets through the command line",
    "certificate": "10,000 random markets: every claimed equilibrium beside an independent search (an hour)",
    "edge": "memory and CPU of one RSU's process on its host, beside their budgets",
    "hosts": "RSUs on hosts of their own, cut off, killed, rebooted: what is lost, and time to recover (root; minutes)",
    "soak": "an hour at ten times real time, with restarts: what grows (UAVTWIN_SOAK_MINUTES for another duration)",
    "view": "what watching costs: CPU and bytes a viewer, frames a second in a browser without a GPU",
    "policy": "a decision's latency, a batch's, the artifact's size, beside the dense network's",
    "training": "speed of training, every way of pruning, market sizes, exploitability on games unseen in training",
    "pricing": "the shipped policy beside the rule: on games of all ranges, after shocks, among strange rivals",
    "learning": "from recordings alone, and in the running system while it runs",
    "baselines": "Tiny MADRL beside Stable-Baselines3, TorchRL, and rules that do not learn",
    "market": "offer-to-grant latency, missed rounds, CPU and memory of the running system",
    "protocol": "the migration protocol's states and 200,000 random schedules, searched for a broken promise (long)",
    "migration": "migrations between RSU processes: rates, CPU, downtime, fairness, memory, beside bare TLS",
    "fuzz": "readers of what comes from outside under mutated input, a minute each (UAVTWIN_FUZZ_SECONDS for more)",
    "crash": "RSU processes killed at random instants of migrations, and what is lost (nothing)",
}


class Figure(NamedTuple):
    """One measured number."""

    name: str
    value: float
    unit: str
    baseline: float | None = None  # the same by the plain way, in the same unit
    ratio: float | None = None  # how many times better than the baseline
