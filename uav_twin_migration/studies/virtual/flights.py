"""Where UAVs are and what their links carry, worked out some seconds ahead: where they will be is known, and what
arrays take for one instant they take for twenty."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.radio.link import Links, faded
from uav_twin_migration.scenario.chance import drawer, stream
from uav_twin_migration.scenario.model import Randomness, Scenario
from uav_twin_migration.scenario.snapshot import Snapshot
from uav_twin_migration.vehicle.motion import Flight

Array = NDArray[np.float64]

AHEAD = 2.0  # s of flight that are worked out at once
PHASE = 0.6  # of a period after its whole multiples, when links are measured: RSUs start their rounds there
LARGEST_FADE, DRAWS = 60.0, 1000  # dB, and draws that the mean is taken of


class Measured(NamedTuple):
    """A measurement of all links of the UAVs whose place is known."""

    uavs: list[int]  # their indices
    links: Links  # [uavs, M]
    efficiency: Array  # [uavs, M] bit/s/Hz, as a message carries it: of float32


class Instant(NamedTuple):
    """One tick of the clock."""

    position: Array  # [N, 3] m
    velocity: Array  # [N, 3] m/s
    yaw: Array  # [N] rad
    told: range  # the UAVs that tell of their motion now
    measured: Measured | None  # the links, where it is time for them


@dataclass(frozen=True)
class Periods:
    """Of what happens again and again, s."""

    clock: float
    odometry: float
    link: float


class Flights:
    """All UAVs of a scenario, tick by tick."""

    def __init__(self, scenario: Scenario, periods: Periods, seed: int) -> None:
        self.snapshot = Snapshot(scenario)
        self._scenario, self._periods = scenario, periods
        self._flight, self._ticks, self._measure_at = Flight(scenario), 0, 0.0
        self._ticks_per_odometry = max(round(periods.odometry / periods.clock), 1)
        self._known = np.full((len(scenario.uavs), 3), np.nan)  # m, as odometry told last
        self._coming: deque[Instant] = deque()
        chance = scenario.randomness
        self._fading = Fading(chance, len(scenario.rsus), seed) if chance.fading != Randomness.fading else None

    def next(self) -> Instant:
        """The next tick."""
        if not self._coming:
            self._fly(max(round(AHEAD / self._periods.clock), 1))
        return self._coming.popleft()

    def _fly(self, ticks: int) -> None:
        places: list[Array | None] = []  # of each tick, by which links are measured
        for _ in range(ticks):
            self._ticks += 1
            time, flight = self._ticks * self._periods.clock, self._flight
            flight.advance(time)
            # Each UAV has its own tick, so that they do not all speak at once.
            told = range(self._ticks % self._ticks_per_odometry, len(self._known), self._ticks_per_odometry)
            self._known[told] = flight.position[told]
            self._coming.append(Instant(flight.position, flight.velocity, flight.yaw, told, None))
            due = time >= self._measure_at
            if due:
                self._measure_at = (math.floor(time / self._periods.link) + 1 + PHASE) * self._periods.link
            places.append(self._known.copy() if due else None)
        asked = [place for place in places if place is not None]
        measured = iter(self._measure(asked))
        for number, place in enumerate(places):
            if place is not None:
                self._coming[number] = self._coming[number]._replace(measured=next(measured))

    def _measure(self, places: Sequence[Array]) -> list[Measured | None]:
        """Of each place [N, 3]; None where no UAV's is known."""
        known = [np.flatnonzero(np.isfinite(place[:, 0])).tolist() for place in places]
        whole = [place for place, uavs in zip(places, known, strict=True) if len(uavs) == len(place)]
        at_once = len(whole) > 1 and self.snapshot.radio.model.own is None  # a plug-in may count measurements
        together = iter(_each(self.snapshot.links(np.stack(whole)))) if at_once else None
        measured: list[Measured | None] = []
        for place, uavs in zip(places, known, strict=True):
            if not uavs:
                measured.append(None)
                continue
            ahead = together is not None and len(uavs) == len(place)
            links = next(together) if ahead and together is not None else self.snapshot.links(place[uavs])
            if self._fading is not None:
                links = faded(links, self._scenario.radio, self._fading.at(place)[uavs])
            measured.append(Measured(uavs, links, links.efficiency.astype(np.float32).astype(np.float64)))
        return measured


def _each(links: Links) -> list[Links]:
    """Links [T, N, M] as T of them."""
    arrays = [getattr(links, field.name) for field in fields(Links)]
    return [Links(*one) for one in zip(*arrays, strict=True)]


class Fading:
    """Shadow fading of all links, dB: for each a Gauss-Markov process in the distance that its UAV has flown.

    Gudmundson, Correlation model for shadow fading in mobile radio systems, Electronics Letters 27 (1991): the
    correlation falls as exp(-distance / `fading_distance`). The mean and the variance are those of the distribution.
    """

    def __init__(self, chance: Randomness, rsus: int, seed: int) -> None:
        self._draw = drawer(chance.fading, stream(seed, "fading"), -LARGEST_FADE, LARGEST_FADE)
        self._mean = float(np.mean([self._draw() for _ in range(DRAWS)]))
        self._distance, self._rsus = chance.fading_distance, rsus
        self._at: NDArray[np.float64] | None = None  # [N, 3] m
        self._fade = np.zeros((0, rsus))  # [N, M] dB about the mean

    def at(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """[N, M] dB, with UAVs at `positions` [N, 3] m."""
        fresh = np.array([[self._draw() for _ in range(self._rsus)] for _ in positions]) - self._mean
        if self._at is None:
            self._fade = fresh
        else:
            flown = np.nan_to_num(np.linalg.norm(positions - self._at, axis=1))
            kept = np.exp(-flown / self._distance)[:, None]
            self._fade = kept * self._fade + np.sqrt(1.0 - kept**2) * fresh
        self._at = positions.copy()
        return np.asarray(self._fade + self._mean)
