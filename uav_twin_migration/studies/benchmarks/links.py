"""How far the game goes: cities of up to a million links, and files of many markets through the command line.

CPU time is that of the whole process (all threads); each size is solved once, as a city takes seconds.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from uav_twin_migration.game.large import solve_links
from uav_twin_migration.game.market import FloatArray
from uav_twin_migration.game.sample import sample, sample_city
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "one market of a whole city, up to a million links; 4,096 markets through the command line"
NEEDS = ("markets",)  # groups of setup.py's REQUIREMENTS besides the command's

SEED = 1
CITIES = [(16, 200), (64, 1_000), (128, 4_000), (320, 32_000), (1_000, 100_000), (2_350, 235_000)]  # RSUs, UAVs
MARKETS, RSUS, UAVS = 4096, 4, 16


def run(directory: Path | None) -> list[Figure]:
    """Measures; with a ``directory`` also plots CPU time against links."""
    figures, rows = [], []
    for rsus, uavs in CITIES:
        _say(f"{rsus} RSUs x {uavs} UAVs")
        market = sample_city(np.random.default_rng(SEED), rsus, uavs)
        start = time.process_time()
        found = solve_links(market)
        seconds = time.process_time() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000.0
        name = f"{rsus} x {uavs}, {len(market.uav)} links"
        figures += [
            Figure(f"{name}: CPU time", seconds, "s"),
            Figure(f"{name}: no RSU gains more than", found.bound, "of its profit"),
        ]
        rows.append((len(market.uav), seconds, memory))
    links, seconds_of, _ = np.array(rows).T
    power = float(np.polyfit(np.log(links), np.log(seconds_of), 1)[0])
    figures += [
        Figure("most memory of the process", rows[-1][2], "MB"),
        Figure("CPU time grows as links to the power", power, ""),
        *_through_files(),
    ]
    if directory:
        with open(directory / "bench_links.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("links", "cpu_seconds", "peak_mb"), *rows])
        _plot(links, seconds_of, power, directory / "bench_links.png")
    return figures


def _through_files() -> list[Figure]:
    _say(f"{MARKETS} markets through uavtwin solve")
    batch = sample(np.random.default_rng(SEED), MARKETS, RSUS, UAVS)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "markets.json"), Path(folder, "found.json")
        source.write_text(json.dumps([batch[i].to_json() for i in range(MARKETS)]), encoding="utf-8")
        command = [sys.executable, "-m", "uav_twin_migration.cli", "solve", str(source), "--json", str(target)]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [
        Figure(f"{MARKETS} markets of {RSUS} x {UAVS}, JSON in and out, with the start", MARKETS / wall, "1/s"),
        Figure("... of CPU time", MARKETS / cpu, "1/s"),
    ]


def _plot(links: FloatArray, seconds: FloatArray, power: float, path: Path) -> None:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(5.2, 3.8), layout="constrained")
    axes = canvas.subplots()
    axes.loglog(links, seconds, "o-", color="#0072b2", label=f"measured: power {power:.2f}")
    axes.loglog(links, seconds[-1] * links / links[-1], "--", color="grey", label="linear")
    axes.set(xlabel="links between UAVs and RSUs", ylabel="CPU time, s", title="One market of a whole city, proven")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    canvas.savefig(path, dpi=150)


def _say(what: str) -> None:
    print(f"  {what} ...", file=sys.stderr, flush=True)
