"""What moves and what is measured: the clock, the UAVs' flight, their links; as nodes/world.py and nodes/link.py."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.radio.link import faded
from uav_twin_migration.scenario.chance import drawer, stream
from uav_twin_migration.scenario.model import Randomness
from uav_twin_migration.scenario.snapshot import Snapshot
from uav_twin_migration.studies.virtual.events import Act, Process
from uav_twin_migration.vehicle.motion import Flight

if TYPE_CHECKING:
    from uav_twin_migration.studies.virtual.city import City

PHASE = 0.6  # of a period after its whole multiples, when links are measured: RSUs start their rounds there


class World:
    """The simulation's clock, and all that follows it."""

    def __init__(self, city: City, clock_period: float, odometry_period: float, link_period: float) -> None:
        """Periods, s."""
        self.city, self.air, self.events = city, city.air, city.events
        scenario = city.scenario
        self.flight, self._snapshot = Flight(scenario), Snapshot(scenario)
        self._uavs = [uav.id for uav in scenario.uavs]
        self._rsus = [rsu.id for rsu in scenario.rsus]
        self._regions = {rsu.id: rsu.region for rsu in scenario.rsus}
        self._step, self._link_period, self._measure_at = clock_period, link_period, 0.0
        self._ticks_per_odometry = max(round(odometry_period / clock_period), 1)
        self._ticks = 0
        self._known = np.full((len(self._uavs), 3), np.nan)  # m, as odometry told last
        self._followers: list[tuple[Process, int, Act]] = []
        self._equilibrium = {rsu.id: 2.0 * rsu.unit_cost for rsu in scenario.rsus}, -math.inf  # and of when
        chance = scenario.randomness
        self._fading = Fading(chance, len(self._rsus), city.seed) if chance.fading != Randomness.fading else None

    def on_tick(self, process: Process, act: Act) -> None:
        """Have something happen at each tick, in this incarnation of a process."""
        self._followers.append((process, process.incarnation, act))

    def tick(self) -> None:
        """The clock goes on by one step."""
        self._ticks += 1
        time = self.air.clock = self._ticks * self._step
        self.events.at((self._ticks + 1) * self._step, self.tick)
        self.flight.advance(time)
        if self.air.recorder is not None:
            self.air.recorder.clock(time)
        if any(process.incarnation != incarnation for process, incarnation, _ in self._followers):
            self._followers = [one for one in self._followers if one[0].incarnation == one[1]]
        for process, _, act in self._followers:
            if process.is_up and not process.is_stopped:
                act()
        self._tell_motion(time)
        if time >= self._measure_at:
            self._measure_at = (math.floor(time / self._link_period) + 1 + PHASE) * self._link_period
            self._measure()

    def equilibrium(self) -> dict[str, float]:
        """What RSUs ask in this moment's equilibrium, credit/MHz; what was last where there is none."""
        prices, at = self._equilibrium
        if at != self.air.clock:
            found = solve(self._snapshot.market(self.flight.position, self.flight.velocity))
            if found.prices is not None and found.found:
                prices = dict(zip(self._rsus, found.prices.tolist(), strict=True))
            self._equilibrium = prices, self.air.clock
        return prices

    def _tell_motion(self, time: float) -> None:
        """Each UAV has its own tick, so that they do not all speak at once."""
        position, velocity = self.flight.position, self.flight.velocity
        for index in range(self._ticks % self._ticks_per_odometry, len(self._uavs), self._ticks_per_odometry):
            uav = self._uavs[index]
            self._known[index] = position[index]
            at, course = tuple(position[index].tolist()), tuple(velocity[index].tolist())
            self.air.listener.motion(uav, at, course)
            self.air.listener.messages += 1
            if self.air.recorder is not None:
                self.air.recorder.motion(time, uav, at, course, float(self.flight.yaw[index]))
            uavs = self.air.process_of[uav]
            self._local(uavs.process, partial(uavs.on_motion, uav, time, at, course))

    def _measure(self) -> None:
        known = np.flatnonzero(np.isfinite(self._known[:, 0])).tolist()
        if not known:
            return
        links = self._snapshot.links(self._known[known])
        if self._fading is not None:
            links = faded(links, self.city.scenario.radio, self._fading.at(self._known)[known])
        # a message carries float32
        efficiency: NDArray[np.float64] = links.efficiency.astype(np.float32).astype(np.float64)
        names = [self._uavs[index] for index in known]
        self.air.listener.messages += 1
        self.air.listener.links(names, self._rsus, efficiency)
        if self.air.recorder is not None:
            self.air.recorder.links(self.air.clock, names, self._rsus, list(self._regions.values()), links)
        rows = dict(zip(names, efficiency.tolist(), strict=True))
        for uavs in self.air.uavs:
            own = {uav: dict(zip(self._rsus, rows[uav], strict=True)) for uav in uavs.followers if uav in rows}
            self._local(uavs.process, partial(uavs.on_links, own, self._regions))

    def _local(self, process: Process, act: Act) -> None:
        """What comes to a UAV by no radio: nothing of it is lost."""
        self.events.at(self.events.now + self.city.network.delay(process.name), partial(process.deliver, act))


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


LARGEST_FADE, DRAWS = 60.0, 1000  # dB, and draws that the mean is taken of
