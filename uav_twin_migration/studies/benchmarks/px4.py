"""Real PX4 (SITL), flown and brought into trouble by the state machine that flies drones: what it does in each case.

Where a promise is not kept it says so, and the benchmark fails after the last case.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from uav_twin_migration.deployment.discovery import keep_to_this_machine
from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses import px4_cases, px4_trouble
from uav_twin_migration.studies.harnesses.px4_cases import Case, NotTriedError, Result
from uav_twin_migration.studies.harnesses.px4_city import fly_city
from uav_twin_migration.studies.harnesses.px4_flight import Rig

SUMMARY = "real PX4 in software (--px4-dir), flown and brought into trouble, by --px4-agent over DDS: ten minutes"
NEEDS = ("px4", "ros")  # groups of setup.py's REQUIREMENTS besides the command's
CASES = (*px4_cases.CASES, *px4_trouble.CASES)
PX4_DIR = "UAVTWIN_PX4_DIR"  # environment variable: a build folder of PX4 SITL
PX4_AGENT = "UAVTWIN_PX4_AGENT"  # the same: the program of the Micro XRCE-DDS agent, to fly over DDS


def run(directory: Path | None) -> list[Figure]:
    """Flies all cases against the build that the environment names; says so and does nothing without one."""
    px4_dir, agent = os.environ.get(PX4_DIR, ""), os.environ.get(PX4_AGENT, "")
    if not px4_dir:
        print(f"  SKIPPED: no PX4. Name a build folder of PX4 SITL with --px4-dir DIR, or {PX4_DIR}.", flush=True)
        return []
    if agent:
        keep_to_this_machine()
    figures, broken = [], []
    with tempfile.TemporaryDirectory(prefix="px4_bench_") as folder:
        for case in CASES:
            promise = (case.__doc__ or "").splitlines()[0]
            try:
                value, unit, seen = _fly(case, px4_dir, agent, Path(folder) / case.__name__)
            except NotTriedError as reason:
                print(f"  SKIPPED  {promise} {reason}", flush=True)
            except (UavTwinError, AssertionError) as error:
                broken.append(case.__name__)
                print(f"  NOT KEPT {promise} {error}", flush=True)
            else:
                figures.append(Figure(f"PX4: {case.__name__.replace('_', ' ')}", value, unit))
                print(f"  kept     {promise} {seen}", flush=True)
    if directory is not None:
        figures += fly_city(px4_dir, agent, directory)
    if broken:
        raise UavTwinError(f"px4: {len(broken)} of {len(CASES)} promises were not kept: {', '.join(broken)}")
    return figures


def _fly(case: Case, px4_dir: str, agent: str, folder: Path) -> Result:
    rig = Rig(px4_dir, folder, agent)
    try:
        return case(rig)
    finally:
        rig.close()
