"""What a participant hears, and what a city costs, against its size: in virtual time, beyond what a machine can run.

Cities of one density, each four times as large as the one before; a process each for RSUs and UAVs. Everything that is
said on a topic counts as heard by all who subscribe to it, as in ROS, whether or not it concerns them. Once with a
market for all, once with a region for each neighbourhood of four RSUs.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uav_twin_migration.deployment.options import Options
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.neighbourhoods import by_neighbourhood
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.virtual.city import City
from uav_twin_migration.twin.hosting.memory_store import IN_MEMORY

SUMMARY = "messages that an RSU and a UAV hear, and CPU time, against the size of the city, in virtual time"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

SIZES = ((4, 16), (16, 64), (64, 256))  # RSUs, UAVs
WITH_TWINS = 2  # of the sizes: twins cost most of the time
WARM_UP, DURATION = 4.0, 6.0  # s; the first rounds do not count


def run(directory: Path | None) -> list[Figure]:
    """Measures; with a ``directory`` also writes what was heard by kind."""
    figures: list[Figure] = []
    rows = ["rsus,uavs,market,twins,listener,kind,heard_per_s"]
    for place, (rsus, uavs) in enumerate(SIZES):
        city = generate(rsus, uavs)
        for market, scenario in (("one market", city), ("by neighbourhood", by_neighbourhood(city))):
            for twins in (False, True) if place < WITH_TWINS else (False,):
                what = f"{rsus} x {uavs}, {market}{', with twins' if twins else ''}"
                print(f"  {what} ...", file=sys.stderr, flush=True)
                heard, took = played(scenario, twins)
                for listener, count in (("RSU", rsus), ("UAV", uavs)):
                    kinds = {kind: n / count / DURATION for (who, kind), n in sorted(heard.items()) if who == listener}
                    figures.append(Figure(f"{what}: {listener} hears", sum(kinds.values()), "1/s"))
                    rows += [
                        f"{rsus},{uavs},{market},{twins},{listener},{kind},{rate:.3f}" for kind, rate in kinds.items()
                    ]
                figures.append(Figure(f"{what}: CPU a UAV and second", 1e3 * took / DURATION / uavs, "ms"))
    if directory:
        (directory / "scale.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return figures


def played(scenario: Scenario, twins: bool) -> tuple[Counter[tuple[str, str]], float]:
    """What RSUs and UAVs hear in `DURATION` s, by listener and kind; and the CPU time that it took, s."""
    options = Options(seed=1, compose="processes", duration=WARM_UP + DURATION, twin_stores=IN_MEMORY if twins else "")
    city = City(scenario, options, {})
    city.run(WARM_UP)
    heard = _counted(city)
    start = time.process_time()
    city.run(WARM_UP + DURATION)
    return heard, time.process_time() - start


def _counted(city: City) -> Counter[tuple[str, str]]:
    """Counts from now on, at each thing that is said, who subscribes to where it is said."""
    heard: Counter[tuple[str, str]] = Counter()
    air = city.air
    rsus = list(air.rsus.values())
    in_region = Counter(rsu.region for rsu in rsus)
    rivals = {rsu: sum(other is not rsu and other.hears(rsu) for other in rsus) for rsu in rsus}

    def count(kind: str, by_rsu: bool) -> None:
        say: Callable[..., Any] = getattr(air, kind)

        def said(speaker: Any, *what: Any) -> Any:
            if by_rsu:
                heard["UAV", kind] += sum(speaker.region in uavs.regions for uavs in air.uavs)
                heard["RSU", kind] += rivals[speaker] if kind == "offer" else 0
            elif kind == "demand":
                heard["RSU", kind] += sum(in_region[region] for region in {air.rsus[bid.rsu].region for bid in what[1]})
            else:
                heard["RSU", kind] += sum(in_region[region] for region in speaker.regions)
            return say(speaker, *what)

        setattr(air, kind, said)

    for kind in ("offer", "grant", "host_heartbeats"):
        count(kind, by_rsu=True)
    for kind in ("demand", "uav_heartbeats"):
        count(kind, by_rsu=False)
    return heard
