"""What moves and what is measured: the clock, the UAVs' flight, their links; as nodes/world.py and nodes/link.py."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.studies.virtual.events import Act, Process
from uav_twin_migration.studies.virtual.flights import Flights, Instant, Measured, Periods

if TYPE_CHECKING:
    from uav_twin_migration.studies.virtual.city import City


class World:
    """The simulation's clock, and all that follows it."""

    def __init__(self, city: City, periods: Periods) -> None:
        self.city, self.air, self.events = city, city.air, city.events
        scenario = city.scenario
        self._flights = Flights(scenario, periods, city.seed)
        self._uavs = [uav.id for uav in scenario.uavs]
        self._rsus = [rsu.id for rsu in scenario.rsus]
        self._regions = {rsu.id: rsu.region for rsu in scenario.rsus}
        self._step, self._ticks = periods.clock, 0
        self._instant: Instant | None = None
        self._followers: list[tuple[Process, int, Act]] = []
        self._equilibrium = {rsu.id: 2.0 * rsu.unit_cost for rsu in scenario.rsus}, -math.inf  # and of when

    def on_tick(self, process: Process, act: Act) -> None:
        """Have something happen at each tick, in this incarnation of a process."""
        self._followers.append((process, process.incarnation, act))

    def tick(self) -> None:
        """The clock goes on by one step."""
        self._ticks += 1
        time = self.air.clock = self._ticks * self._step
        self.events.at((self._ticks + 1) * self._step, self.tick)
        instant = self._instant = self._flights.next()
        if self.air.recorder is not None:
            self.air.recorder.clock(time)
        if any(process.incarnation != incarnation for process, incarnation, _ in self._followers):
            self._followers = [one for one in self._followers if one[0].incarnation == one[1]]
        for process, _, act in self._followers:
            if process.runs:
                act()
        self._tell_motion(time, instant)
        if instant.measured is not None:
            self._tell_links(instant.measured)

    @property
    def position(self) -> NDArray[np.float64]:
        """[N, 3] m, of the UAVs at the last tick. Before the first there is none."""
        assert self._instant is not None
        return self._instant.position

    def equilibrium(self) -> dict[str, float]:
        """What RSUs ask in this moment's equilibrium, credit/MHz; what was last where there is none."""
        prices, at = self._equilibrium
        if at != self.air.clock and self._instant is not None:
            found = solve(self._flights.snapshot.market(self._instant.position, self._instant.velocity))
            if found.prices is not None and found.found:
                prices = dict(zip(self._rsus, found.prices.tolist(), strict=True))
            self._equilibrium = prices, self.air.clock
        return prices

    def _tell_motion(self, time: float, instant: Instant) -> None:
        positions, velocities = instant.position.tolist(), instant.velocity.tolist()
        for index in instant.told:
            uav, at, course = self._uavs[index], tuple(positions[index]), tuple(velocities[index])
            self.air.listener.motion(uav, at, course)
            self.air.listener.messages += 1
            if self.air.recorder is not None:
                self.air.recorder.motion(time, uav, at, course, float(instant.yaw[index]))
            uavs = self.air.process_of[uav]
            self._local(uavs.process, partial(uavs.on_motion, uav, time, at, course))

    def _tell_links(self, measured: Measured) -> None:
        names = [self._uavs[index] for index in measured.uavs]
        self.air.listener.messages += 1
        self.air.listener.links(names, self._rsus, measured.efficiency)
        if self.air.recorder is not None:
            self.air.recorder.links(self.air.clock, names, self._rsus, list(self._regions.values()), measured.links)
        rows = dict(zip(names, measured.efficiency.tolist(), strict=True))
        for uavs in self.air.uavs:
            own = {uav: dict(zip(self._rsus, rows[uav], strict=True)) for uav in uavs.followers if uav in rows}
            self._local(uavs.process, partial(uavs.on_links, own, self._regions))

    def _local(self, process: Process, act: Act) -> None:
        """What comes to a UAV by no radio: nothing of it is lost."""
        self.events.at(self.events.now + self.city.network.delay(process.name), act, process)
