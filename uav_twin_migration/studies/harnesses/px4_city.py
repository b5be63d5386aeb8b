"""Four drones of the default city, each flown by a real PX4, at once: their paths beside their routes."""

from __future__ import annotations

import csv
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses.px4_flight import Drone, Rig
from uav_twin_migration.vehicle.autopilot import PERIOD
from uav_twin_migration.vehicle.flight_limits import Fence, FlightLimits
from uav_twin_migration.vehicle.phases import Phase

UAVS = ("uav_2", "uav_4", "uav_5", "uav_6")
DURATION = 300.0  # s, from the moment at which all are told to fly
TELL_EVERY = 30.0  # s
START_PATIENCE = 60.0  # s


def fly_city(rig: Rig, directory: Path) -> list[Figure]:
    """Flies them; leaves a table and a picture of the paths in a folder."""
    scenario = load("default")
    scenario = dataclasses.replace(scenario, uavs=tuple(uav for uav in scenario.uavs if uav.id in UAVS))
    fence = Fence.around(scenario, FlightLimits().fence_margin)
    drones: dict[str, Drone] = {}
    for instance, uav in enumerate(scenario.uavs):
        rig.px4(instance, uav, scenario.origin)
        drones[uav.id] = rig.drone(instance, uav=uav, origin=scenario.origin, fence=fence)
    _step(drones, START_PATIENCE, until=lambda: all(drone.is_fit() for drone in drones.values()))
    for drone in drones.values():
        drone.fly()
    _step(drones, DURATION)
    _write(drones, directory / "px4_paths.csv")
    _draw(scenario, drones, directory / "px4_paths.png")
    return [figure for name, drone in drones.items() for figure in _figures(name, drone)]


def _step(drones: dict[str, Drone], seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    began = told = time.monotonic()
    while (now := time.monotonic()) < began + seconds and not until():
        for drone in drones.values():
            drone.tick()
            for name, other in drones.items():
                if other is not drone and other.track:
                    drone.flight.see(name, other.position, now)
        if now - told > TELL_EVERY:
            told = now
            phases = ", ".join(f"{name} {drone.flight.phase.value}" for name, drone in drones.items())
            print(f"  {now - began:.0f} s: {phases}", flush=True)
        time.sleep(max(PERIOD - (time.monotonic() - now), 0))


def _figures(name: str, drone: Drone) -> list[Figure]:
    flown = drone.flight.status(time.monotonic())
    units = {"flown_m": "m", "rounds": "", "aside_m": "m", "aside_most_m": "m", "takeovers": ""}
    figures = [Figure(f"PX4: {name}, {key}", float(str(flown[key])), unit) for key, unit in units.items()]
    flying = [at for at, phase, _ in drone.phases if phase is Phase.FLYING]
    if flying:
        figures.append(Figure(f"PX4: {name}, on its way after", flying[0] - drone.phases[0][0], "s"))
    return figures


def _write(drones: dict[str, Drone], file: Path) -> None:
    began = min(drone.track[0][0] for drone in drones.values() if drone.track)
    with file.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["uav", "time_s", "east_m", "north_m", "up_m"])
        for name, drone in drones.items():
            for at, position, _ in drone.track[::5]:
                table.writerow([name, f"{at - began:.2f}", *(f"{value:.2f}" for value in position)])


def _draw(scenario: Scenario, drones: dict[str, Drone], file: Path) -> None:
    from matplotlib.figure import Figure as Canvas

    from uav_twin_migration.studies.figures.style import save

    began = min(drone.track[0][0] for drone in drones.values() if drone.track)
    canvas = Canvas(figsize=(12, 5.5), layout="constrained")
    above, aside = canvas.subplots(1, 2, width_ratios=(3, 2))
    for index, uav in enumerate(scenario.uavs):
        colour = f"C{index}"
        track = drones[uav.id].track
        at = np.array([when for when, _, _ in track]) - began
        path = np.array([position for _, position, _ in track])
        route = np.array([*uav.route, uav.route[0]])
        above.plot(*route.T, "--", color=colour, lw=1, alpha=0.7)
        above.plot(path[:, 0], path[:, 1], color=colour, lw=1.5, label=f"{uav.id}, {uav.altitude:g} m")
        aside.plot(at, path[:, 2], color=colour, lw=1.2)
        aside.axhline(uav.altitude, color=colour, ls="--", lw=0.8)
    stations = np.array([rsu.position for rsu in scenario.rsus])
    above.plot(*stations.T, "k^", ms=8, label="RSU")
    above.set(xlabel="east, m", ylabel="north, m", aspect="equal", title="paths (lines) and routes (dashed)")
    above.legend(loc="upper right", fontsize=8)
    aside.set(xlabel="time since the start of PX4, s", ylabel="height, m", title="heights")
    save(canvas, file)
