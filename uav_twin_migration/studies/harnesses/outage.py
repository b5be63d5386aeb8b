"""A host of a twin dies: what the twin's users see. Real hosts, stores and host host discovery, in virtual time."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.twin.hosting.estimate import Estimate, Telemetry
from uav_twin_migration.twin.hosting.host import TwinHost
from uav_twin_migration.twin.hosting.outputs import Reply
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.twin import UavTwins
from uav_twin_migration.twin.protocol.host_discovery import (
    HostDiscovery,
    HostDiscoveryTiming,
    Stage,
    act,
    answer,
    hear,
    lease_renewal,
)
from uav_twin_migration.vehicle.motion import Flight

STEP = 0.1  # s between two telemetry messages, states to users, host heartbeats and lease renewals
SIZE = 100_000  # bytes of payload; it plays no role here


class Seen(NamedTuple):
    """What a user knows at one instant."""

    time: float  # s
    age: float  # s since the newest telemetry in what he was told
    error: float  # m, between where the UAV is and where he thinks it is
    rsu: str  # that serves; empty where none does
    epoch: int


def watch(
    scenario: Scenario, rsus: Sequence[str], down: tuple[float, float], duration: float, rehost_after: float
) -> list[Seen]:
    """A user's view of the scenario's first UAV, whose host, the first of `rsus`, is down from `down[0]` to `down[1]`.

    rehost_after: s of silence after which the UAV gives its host up.
    """
    with tempfile.TemporaryDirectory(prefix="uavtwin-figures-") as directory:
        return _Outage(Path(directory), scenario, rsus, rehost_after).run(down, duration)


class _Outage:
    """RSUs, a UAV, a user."""

    def __init__(self, directory: Path, scenario: Scenario, rsus: Sequence[str], rehost_after: float) -> None:
        self.directory, self.flight = directory, Flight(scenario)
        self.timing = HostDiscoveryTiming(rehost_after=rehost_after)
        self.host_discovery = HostDiscovery("uav", 0.0, newest_epoch=0, size=SIZE, candidates=tuple(rsus))
        self.hosts: dict[str, TwinHost] = {}
        self.told: Estimate | None = None  # the user, at `told_at`, by which RSU
        self.told_at, self.by, self.epoch = 0.0, "", 0
        for rsu in rsus:
            self._start(rsu, 0.0)

    def run(self, down: tuple[float, float], duration: float) -> list[Seen]:
        """Play it; time counts from when the UAV has found its first host."""
        warm_up = self.timing.quarantine + 5.0
        seen = []
        for step in range(int((warm_up + duration) / STEP)):
            now = step * STEP
            time = now - warm_up
            self._break_and_mend(now, down[0] <= time < down[1])
            self.flight.advance(now)
            seen.append(self._seen(now)._replace(time=time))  # what was told a step ago: as old as it gets
            self._step(now)
        for host in self.hosts.values():
            host.store.close()
        return [one for one in seen if one.time >= 0.0]

    def _start(self, rsu: str, now: float) -> None:
        self.hosts[rsu] = TwinHost(Store(self.directory / f"{rsu}.db", rsu), UavTwins(), now)

    def _break_and_mend(self, now: float, broken: bool) -> None:
        first = self.host_discovery.candidates[0]
        if broken and first in self.hosts:
            self.hosts.pop(first).store.close()
        elif not broken and first not in self.hosts:
            self._start(first, now)

    def _step(self, now: float) -> None:
        for host in self.hosts.values():
            for host_heartbeat in host.host_heartbeats(now):
                self.host_discovery = hear(self.host_discovery, host_heartbeat, now)
        self.host_discovery, requests = act(self.host_discovery, now, self.timing)
        said = lease_renewal(self.host_discovery)
        for rsu, host in self.hosts.items():
            host.recognise(said, now)
            for request in requests:
                if request.rsu == rsu:
                    host.request(request, now)
            if self.host_discovery.stage is Stage.HOSTED and self.host_discovery.host == rsu:
                host.observe("uav", self._telemetry(now), now, now)
            host.tick(now)
            for output in host.commit(now):
                if isinstance(output, Reply):
                    self.host_discovery = answer(self.host_discovery, output.reply, now)
        self.by, self.epoch = "", 0
        for rsu, host in self.hosts.items():
            for served in host.served(now, now):
                self.by, self.epoch, self.told, self.told_at = rsu, served.epoch, served.estimate, now

    def _telemetry(self, now: float) -> Telemetry:
        (x, y, z), (u, v, w) = self.flight.position[0], self.flight.velocity[0]
        return Telemetry(round(now / STEP), now, (float(x), float(y), float(z)), (float(u), float(v), float(w)))

    def _seen(self, now: float) -> Seen:
        if self.told is None:
            return Seen(now, math.nan, math.nan, self.by, self.epoch)
        guess = np.array(self.told.position) + (now - self.told_at) * np.array(self.told.velocity)
        error = float(np.linalg.norm(guess - self.flight.position[0]))
        return Seen(now, now - self.told.stamp, error, self.by, self.epoch)
