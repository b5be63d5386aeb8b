"""Four drones of the default city, each flown by a real PX4, at once, with their twins, in `uavtwin sim`.

What it leaves: the run's summary and recording, a table of the drones' paths and a picture of them beside their routes.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.recording.tables import Tables
from uav_twin_migration.scenario.load import load, save
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses.px4_flight import start_agent

Array = NDArray[np.float64]

UAVS = ("uav_2", "uav_4", "uav_5", "uav_6")
DURATION = 300.0  # s, from the start of PX4
UNITS = {"flown_m": "m", "rounds": "", "aside_m": "m", "aside_most_m": "m", "takeovers": ""}
WHOLE = ("migrations_completed", "migrations_failed", "twins_lost", "twins_duplicated", "grants")


def fly_city(px4_dir: str, agent: str, directory: Path) -> list[Figure]:
    """Flies them, over DDS where there is an `agent`. Raises UavTwinError where the run fails."""
    scenario = load("default")
    scenario = dataclasses.replace(scenario, uavs=tuple(uav for uav in scenario.uavs if uav.id in UAVS))
    link = "dds" if agent else "mavlink"
    city, recording = directory / "px4_city.yaml", directory / f"px4_{link}"
    save(scenario, city)
    running = start_agent(agent, directory) if agent else None
    try:
        summary = _simulate(city, px4_dir, link, recording)
    finally:
        if running is not None:
            running.kill()
            running.wait()
    tracks = _tracks(recording)
    _write(tracks, directory / f"px4_{link}_paths.csv")
    draw(scenario, tracks, directory / f"px4_{link}_paths.png")
    return _figures(summary, link)


def _simulate(city: Path, px4_dir: str, link: str, recording: Path) -> dict[str, Any]:
    """One run; returns its summary."""
    command = [sys.executable, "-m", "uav_twin_migration.cli", "sim", str(city), "--world", "px4", "--plain"]
    command += ["--px4-dir", str(Path(px4_dir).resolve()), "--px4-link", link, "--duration", f"{DURATION:g}"]
    command += ["--record", str(recording), "--json", f"{recording}.json"]
    code = subprocess.run(command, check=False).returncode
    if code:
        raise UavTwinError(f"px4: the city's run ended with code {code}")
    summary: dict[str, Any] = json.loads(Path(f"{recording}.json").read_text(encoding="utf-8"))
    return summary


def _tracks(recording: Path) -> dict[str, Array]:
    """Where each drone was [N, 4]: s since the first of them was known, m east, north and up."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    for table, row in Tables(recording):
        if table == "odometry":
            place = [float(row[f"pose_pose_position_{axis}"]) for axis in "xyz"]
            rows.setdefault(str(row["uav"]), []).append((float(row["time_s"]), *place))
    if not rows:
        raise UavTwinError(f"px4: no odometry in {recording}")
    began = min(track[0][0] for track in rows.values())
    return {uav: np.array(track) - (began, 0, 0, 0) for uav, track in sorted(rows.items())}


def _figures(summary: dict[str, Any], link: str) -> list[Figure]:
    name = f"PX4 over {'DDS' if link == 'dds' else 'MAVLink'}"
    figures = [Figure(f"{name}, {key.replace('_', ' ')}", float(summary[key]), "") for key in WHOLE]
    for key, unit in (("age_of_migration_s", "s"), ("downtime_ms", "ms")):
        if summary[key]["mean"] is not None:
            figures.append(
                Figure(f"{name}, mean {key.rpartition('_')[0].replace('_', ' ')}", summary[key]["mean"], unit)
            )
    for uav, flown in summary.get("flights", {}).items():
        figures += [Figure(f"{name}: {uav}, {key}", float(flown[key]), unit) for key, unit in UNITS.items()]
    return figures


def _write(tracks: dict[str, Array], file: Path) -> None:
    with file.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["uav", "time_s", "east_m", "north_m", "up_m"])
        for uav, track in tracks.items():
            table.writerows([uav, *(f"{value:.2f}" for value in row)] for row in track[::2])


def draw(scenario: Scenario, tracks: dict[str, Array], file: Path) -> None:
    """Paths beside routes, and heights."""
    from matplotlib.figure import Figure as Canvas

    from uav_twin_migration.studies.figures.style import save as save_picture

    canvas = Canvas(figsize=(12, 5.5), layout="constrained")
    above, aside = canvas.subplots(1, 2, width_ratios=(3, 2))
    for index, uav in enumerate(scenario.uavs):
        colour, track = f"C{index}", tracks.get(uav.id, np.zeros((0, 4)))
        above.plot(*np.array([*uav.route, uav.route[0]]).T, "--", color=colour, lw=1, alpha=0.7)
        above.plot(track[:, 1], track[:, 2], color=colour, lw=1.5, label=f"{uav.id}, {uav.altitude:g} m")
        aside.plot(track[:, 0], track[:, 3], color=colour, lw=1.2)
        aside.axhline(uav.altitude, color=colour, ls="--", lw=0.8)
    stations = np.array([rsu.position for rsu in scenario.rsus])
    above.plot(*stations.T, "k^", ms=8, label="RSU")
    above.set(xlabel="east, m", ylabel="north, m", aspect="equal", title="paths (lines) and routes (dashed)")
    canvas.legend(loc="outside upper center", ncols=len(scenario.uavs) + 1, fontsize=8)
    aside.set(xlabel="time since the first position, s", ylabel="height, m", title="heights")
    save_picture(canvas, file)
