"""Flights in virtual time as studies look at them: the market and the moves of a run, and what one twin's users see."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.deployment.options import Options
from uav_twin_migration.monitor.frames import Sample
from uav_twin_migration.scenario.faults import schedule
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.studies.virtual.city import City
from uav_twin_migration.studies.virtual.faults import carry_out
from uav_twin_migration.studies.virtual.run import run
from uav_twin_migration.twin.hosting.memory_store import IN_MEMORY

LOOK = 0.1  # s between two looks of a user
WARM_UP = 20.0  # s after which all have found each other
SILENT = 0.35  # s without a word of a twin's host after which nobody serves it: it speaks several times as often

Array = NDArray[np.float64]


class Handover(NamedTuple):
    """One twin's move. times: s after the start."""

    uav: str
    source: str
    target: str
    position: tuple[float, float]  # m, of the UAV when the move began
    began: float
    age: float  # s, of migration


@dataclass
class Flown:
    """What happened, second by second."""

    times: list[float] = field(default_factory=list)
    prices: list[Array] = field(default_factory=list)  # [M] credit/MHz, posted last
    immersion: list[Array] = field(default_factory=list)  # [N] credit
    handovers: list[Handover] = field(default_factory=list)


def at_equilibrium(scenario: Scenario) -> Scenario:
    """The same, with RSUs that ask equilibrium prices."""
    return replace(scenario, rsus=tuple(replace(rsu, pricing="equilibrium") for rsu in scenario.rsus))


def fly(
    scenario: Scenario,
    duration: float,
    faults: Sequence[str] = (),
    progress: Callable[[float], None] = lambda part: None,
) -> Flown:
    """Play the scenario for `duration` s. progress: is called with the part that is done."""
    flown, places, index = Flown(), [], {uav.id: place for place, uav in enumerate(scenario.uavs)}

    def look(city: City, sample: Sample) -> None:
        now, reports = city.air.clock, city.listener.twins.completed
        places.append(city.world.position[:, :2].copy())
        flown.times.append(now)
        flown.prices.append(sample.price)
        flown.immersion.append(sample.immersion)
        for report in reports[len(flown.handovers) :]:
            began = max(now - report.age_of_migration, 0.0)
            x, y = places[min(int(began), len(places) - 1)][index[report.uav]].tolist()
            ends = (report.uav, report.source, report.target)
            flown.handovers.append(Handover(*ends, (x, y), began, report.age_of_migration))
        progress(now / duration)

    run(scenario, duration=duration, faults=faults, watch=look)
    return flown


class Seen(NamedTuple):
    """What a user knows at one instant."""

    time: float  # s
    age: float  # s since the newest telemetry in what they were told
    error: float  # m, between where the UAV is and where they were told it is
    rsu: str  # that serves; empty where none does


def watch(scenario: Scenario, uav: int, down: tuple[float, float], duration: float, rehost_after: float) -> list[Seen]:
    """A user's view of one UAV's twin, whose host is down from `down[0]` to `down[1]`; time counts from `WARM_UP` on.

    rehost_after: s of silence after which the UAV gives its host up.
    """
    city = City(scenario, Options(twin_stores=IN_MEMORY))
    for uavs in city.air.uavs:
        uavs.values["rehost_after"] = rehost_after
    seen, broken = [], False
    for step in range(int((WARM_UP + duration) / LOOK)):
        now = (step + 1) * LOOK
        city.run(now)
        if not broken and now - WARM_UP >= down[0]:
            host, broken = city.listener.twins.host_of(scenario.uavs[uav].id), True
            times = (("kill", WARM_UP + down[0]), ("back", WARM_UP + down[1]))
            carry_out(city, schedule(tuple(f"at {at} s: {what} {host}" for what, at in times), {str(host)}))
        seen.append(_seen(city, uav, now, now - WARM_UP))
    return [one for one in seen if one.time >= 0.0]


def _seen(city: City, uav: int, now: float, time: float) -> Seen:
    told = city.listener.twins.told(city.scenario.uavs[uav].id)
    if told is None:
        return Seen(time, math.nan, math.nan, "")
    state, at = told
    error = math.dist(state.position, city.world.position[uav])
    return Seen(time, now - state.stamp, error, state.rsu if now - at < SILENT else "")
