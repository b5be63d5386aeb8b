"""A frame: all that there is to see of a city at one instant, for whatever shows it. And its compact JSON.

The page, Foxglove, RViz's markers and `/market/state` are made of the same frames. RSUs and UAVs are numbered as the
frame's `Cast` lists them; -1 stands for nobody, NaN for what is not known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.scenario.model import Building, MarketParameters, Origin

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
NOBODY = -1
NOTHING = 1e-12  # below it, a number is shown as 0


class RsuFacts(NamedTuple):
    """What stands still about an RSU; NaN where nobody said."""

    id: str
    position: tuple[float, float, float]  # m, of the antenna
    range: float  # m
    capacity: float  # MHz
    unit_cost: float  # credit/MHz
    price_cap: float  # credit/MHz
    region: str


class UavFacts(NamedTuple):
    """What stands still about a UAV; NaN where nobody said."""

    id: str
    immersion_weight: float  # credit
    twin_size: float  # Mbit


@dataclass(frozen=True)
class Cast:
    """Who takes part, and where."""

    name: str
    rsus: tuple[RsuFacts, ...]
    uavs: tuple[UavFacts, ...]
    buildings: tuple[Building, ...] = ()
    market: MarketParameters | None = None
    origin: Origin | None = None
    about: dict[str, str] = field(default_factory=dict)  # policy, seed, versions: as far as they are known


class Transfer(NamedTuple):
    """A twin on its way."""

    uav: int
    source: int
    target: int
    phase: str
    size: float  # Mbit
    sent: float  # Mbit
    rate: float  # Mbit/s


class Event(NamedTuple):
    """Something that happened, in a sentence."""

    time: float  # s
    kind: str  # move, fail, lost, host, price, health
    text: str


@dataclass(frozen=True)
class Sample:
    """The market of an instant beside its equilibrium."""

    price: Array  # [M] credit/MHz
    equilibrium: Array  # [M] credit/MHz, NaN where there is none or it cannot be known
    sold: Array  # [M] MHz in the last round
    load: Array  # [M] share of the capacity that is under lease
    profit: Array  # [M] credit in the last round
    twins: Indices  # [M] hosted
    state: tuple[str, ...]  # [M] "ok", "silent" or "draining"
    grants: tuple[tuple[int, int, float], ...]  # UAV, RSU, MHz under lease
    links: tuple[tuple[int, int, float], ...]  # UAV, RSU, bit/s/Hz, of the market: a UAV's best links
    required_rate: Array  # [N] Mbit/s
    rate: Array  # [N] Mbit/s, effective
    immersion: Array  # [N] credit
    spending: Array  # [N] credit/round
    exploitability: float  # share of the best profit
    migrations: tuple[int, int]  # completed, failed
    downtime: float  # s, of the newest migration
    health: dict[str, Any]  # missed rounds, alarms, refusals since the last sample


@dataclass(frozen=True)
class Frame:
    """One instant."""

    time: float  # s
    position: Array  # [N, 3] m, where UAVs are
    estimate: Array  # [N, 3] m, where their twins think they are
    age: Array  # [N] s, of what users know
    host: Indices  # [N] the RSU that serves the twin
    wanted: Indices  # [N] the RSU that the UAV wants to
    transfers: tuple[Transfer, ...]
    replicas: tuple[tuple[int, int], ...]  # UAV, RSU
    events: tuple[Event, ...]  # since the last frame
    sample: Sample | None  # once a sampling period


def to_number(value: float, digits: int) -> float | int | None:
    """A number of so many digits behind the point; None of what is none."""
    if not math.isfinite(value):
        return None
    rounded = round(float(value), digits)
    return int(rounded) if rounded == int(rounded) else rounded


def to_list(values: Iterable[float], digits: int) -> list[float | int | None]:
    """Numbers for JSON."""
    return [to_number(float(value), digits) for value in values]


def significant(values: Iterable[float]) -> list[float | int | None]:
    """Numbers for JSON, of five digits that matter."""
    return [_significant(float(value)) for value in values]


def _significant(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return to_number(value, 4 - math.floor(math.log10(abs(value)))) if abs(value) > NOTHING else 0


def cast_to_json(cast: Cast) -> dict[str, Any]:
    """What a page is told before its first frame, and again when somebody new was heard."""
    rules = cast.market
    return {
        "name": cast.name,
        "rsus": [
            {
                "id": rsu.id,
                "p": to_list(rsu.position, 1),
                "range": to_number(rsu.range, 1),
                "capacity": to_number(rsu.capacity, 4),
                "cost": to_number(rsu.unit_cost, 4),
                "cap": to_number(rsu.price_cap, 4),
                "region": rsu.region,
            }
            for rsu in cast.rsus
        ],
        "uavs": [
            {"id": uav.id, "alpha": to_number(uav.immersion_weight, 4), "size": to_number(uav.twin_size, 3)}
            for uav in cast.uavs
        ],
        "buildings": [
            [to_number(one.base + one.height, 1), *to_list([v for at in one.footprint for v in at], 1)]
            for one in cast.buildings
        ],
        "rho": rules.rho if rules else None,
        "period": rules.round_period if rules else None,
        "origin": [cast.origin.latitude, cast.origin.longitude] if cast.origin else None,
        "about": cast.about,
    }


def frame_to_json(frame: Frame) -> dict[str, Any]:
    """A frame in few bytes; what is empty is left out."""
    document: dict[str, Any] = {
        "t": to_number(frame.time, 3),
        "p": to_list(frame.position.ravel(), 1),
        "h": frame.host.tolist(),
    }
    known = np.isfinite(frame.age)
    if known.any():
        document["e"] = to_list(frame.estimate.ravel(), 1)
        document["a"] = to_list(1e3 * frame.age, 0)
    if (frame.wanted != frame.host).any():
        document["w"] = frame.wanted.tolist()
    if frame.transfers:
        document["m"] = [[*one[:4], *to_list(one[4:], 2)] for one in frame.transfers]
    if frame.replicas:
        document["r"] = [list(one) for one in frame.replicas]
    if frame.events:
        document["ev"] = [[to_number(one.time, 2), one.kind, one.text] for one in frame.events]
    if frame.sample is not None:
        document["s"] = sample_to_json(frame.sample)
    return document


def sample_to_json(sample: Sample) -> dict[str, Any]:
    """A sample in few bytes."""
    return {
        "price": significant(sample.price),
        "eq": significant(sample.equilibrium),
        "sold": significant(sample.sold),
        "load": to_list(sample.load, 3),
        "profit": significant(sample.profit),
        "twins": sample.twins.tolist(),
        "state": list(sample.state),
        "grants": [[uav, rsu, *significant([share])] for uav, rsu, share in sample.grants],
        "links": [[uav, rsu, *significant([efficiency])] for uav, rsu, efficiency in sample.links],
        "need": significant(sample.required_rate),
        "rate": significant(sample.rate),
        "g": significant(sample.immersion),
        "spend": significant(sample.spending),
        "x": significant([sample.exploitability])[0],
        "mig": list(sample.migrations),
        "down": to_number(1e3 * sample.downtime, 1),
        "health": sample.health,
    }
