"""RSUs with real stores in the engine of `sim --virtual`, a UAV, and promises that hold at each instant.

The UAV is this file's own: it says what a test wants, when it wants it. Connections break with the odds of `loss`, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from uav_twin_migration.studies.virtual.carrier import Carrier, End
from uav_twin_migration.studies.virtual.events import Events, Process
from uav_twin_migration.studies.virtual.hosting import Hosting
from uav_twin_migration.studies.virtual.network import Network
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.application import Application
from uav_twin_migration.twin.hosting.carrying_out import Callbacks
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.hosting.host import TwinHost
from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin
from uav_twin_migration.twin.hosting.outputs import MigrationReport
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.twin import PAYLOAD_AT, UavTwin, UavTwins
from uav_twin_migration.twin.protocol.host_discovery import (
    HostDiscovery,
    HostDiscoveryTiming,
    Stage,
    act,
    answer,
    hear,
    lease_renewal,
    moving,
)
from uav_twin_migration.twin.protocol.messages import CancelRequest, HostReply, HostRequest, MigrateRequest
from uav_twin_migration.twin.protocol.replica_state import Status

DELAY = 0.002  # s, of a message
COMMIT = 0.001  # s until it is on the disk
VOICE = 0.25  # s between two rounds of host heartbeats and lease renewals


class BreakingCarrier(Carrier):
    """A connection may break with each frame."""

    lost: Callable[[], bool]

    def arrive(self, end: End, peer: str, frame: Any, size: int) -> None:
        if self.lost():
            self.drop(end)
        else:
            super().arrive(end, peer, frame, size)


class Rsu:
    """One RSU's process: it may be down."""

    def __init__(self, town: Town, name: str) -> None:
        self.town, self.name = town, name
        self.path = town.directory / f"{name}.db"
        self.process = Process(town.events, name)
        self.carrier = BreakingCarrier(self.process, town.network, town.carriers)
        self.carrier.lost = town.lost
        self.hosting: Hosting | None = None
        self.start()

    @property
    def host(self) -> TwinHost | None:
        return self.hosting.host if self.hosting is not None else None

    def start(self) -> None:
        self.process.start()
        town, callbacks = self.town, Callbacks(reply=self.town.reply, report=self.town.reports.append)
        machine = self.process, self.carrier, Store(self.path, self.name), lambda: COMMIT
        self.hosting = Hosting(*machine, town.application, town.settings, callbacks, wall_clock=0.0)

    def crash(self) -> None:
        """What was not committed is gone, and all connections with it."""
        assert self.hosting is not None
        self.hosting.close()
        self.hosting = None
        self.process.kill()
        self.carrier.hang_up()

    def feed(self, event: Callable[[TwinHost], Any]) -> None:
        """Let the host have an event, and commit."""
        if self.hosting is not None:
            self.hosting.post(lambda host, now: event(host))
            self.town.run(0.0)


class Town:
    """Everything, driven by one clock."""

    def __init__(
        self,
        directory: Path,
        names: str = "ABC",
        seed: int = 0,
        loss: float = 0.0,
        settings: HostSettings | None = None,
        timing: HostDiscoveryTiming | None = None,
        size: int = 200_000,
        application: Application | None = None,
        replica_host: str = "",
        rate: float = 0.0,
    ) -> None:
        """replica_host: the RSU that shall have a replica. rate: bytes/s that the UAV has bought."""
        self.directory, self.loss = directory, loss
        self.settings = settings or HostSettings(flush_period=0.2)
        self.application = application or UavTwins()
        self.host_discovery_timing = timing or HostDiscoveryTiming()
        self.chance = random.Random(seed)
        self.events = Events()
        self.network = Network(self.events, lambda: DELAY, lambda: False)
        self.carriers: dict[str, Carrier] = {}
        self.rsus: dict[str, Rsu] = {}
        self.reports: list[MigrationReport] = []
        self.served: list[tuple[float, str, int]] = []  # time, RSU, epoch
        self.size = size
        self.host_discovery = HostDiscovery(
            "u1", self.now, newest_epoch=0, size=size, candidates=tuple(names), replica_host=replica_host
        )
        self.rate = rate
        self.sequence = 0
        self.acked: list[int] = []  # sequence numbers of telemetry that is on a disk
        self.rsus.update({name: Rsu(self, name) for name in names})
        self.events.at(0.0, self.voices)

    def close(self) -> None:
        """Stop all RSUs, as at a shutdown."""
        for rsu in self.rsus.values():
            if rsu.host is not None:
                rsu.crash()

    # -- time --------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.events.now

    def run(self, duration: float) -> None:
        self.events.run(self.now + duration, self.check)

    def run_until(self, condition: Callable[[], bool], limit: float = 60.0) -> None:
        end = self.now + limit
        while not condition():
            assert self.now < end, "it did not happen in time"
            self.run(0.01)

    # -- promises ----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """At most one RSU serves, and never under an older epoch than was served before."""
        serving = [
            (rsu.name, hosted_twin.replica_state.record.epoch)
            for rsu in self.rsus.values()
            if rsu.host is not None
            for hosted_twin in rsu.host.state.twins.values()
            if hosted_twin.replica_state.serves(self.now)
        ]
        assert len(serving) <= 1, serving
        if serving:
            assert not self.served or serving[0][1] >= self.served[-1][2]
            if not self.served or self.served[-1][1:] != serving[0]:
                self.served.append((self.now, *serving[0]))

    def history(self, name: str) -> list[Telemetry]:
        """What the twin at an RSU remembers."""
        own, host = self.hosted_twin(name).own, self.rsus[name].host
        assert own is not None
        assert host is not None
        return self.twin(name).history(partial(host.store.read, own))

    def check_acknowledged(self) -> None:
        """What was acknowledged is in the twin, once: its history, and in each piece of payload the newest write."""
        twin = self.twin(self.host_discovery.host)
        sequences = [telemetry.sequence for telemetry in self.history(self.host_discovery.host)]
        assert len(sequences) == len(set(sequences))
        assert set(self.acked) <= set(sequences)
        newest: dict[int, int] = {}
        for sequence in sequences:
            if sequence % 3 == 0:
                newest[sequence % twin.pieces] = sequence
        hosted_twin = self.hosted_twin(self.host_discovery.host)
        host = self.rsus[self.host_discovery.host].host
        assert host is not None
        assert hosted_twin.own is not None
        assert list(host.store.damaged(hosted_twin.own)) == []
        host.contents.flush(hosted_twin)
        for piece, sequence in newest.items():
            content = host.store.read(hosted_twin.own, PAYLOAD_AT + piece)
            assert content == self.payload(sequence, twin.size_of(piece))

    def hosted_twin(self, name: str) -> HostedTwin:
        host = self.rsus[name].host
        assert host is not None
        return host.state.twin("u1")

    def hosts(self) -> list[str]:
        return [
            rsu.name
            for rsu in self.rsus.values()
            if rsu.host is not None
            for hosted_twin in rsu.host.state.twins.values()
            if hosted_twin.replica_state.record.status is Status.HOSTING
        ]

    def twin(self, name: str) -> UavTwin:
        host = self.rsus[name].host
        assert host is not None
        twin = host.state.twins["u1"].twin
        assert isinstance(twin, UavTwin)
        return twin

    def is_served(self) -> bool:
        host = self.rsus[self.host_discovery.host].host if self.host_discovery.host else None
        return host is not None and "u1" in host.state.twins and host.state.twins["u1"].replica_state.serves(self.now)

    # -- the network -------------------------------------------------------------------------------------------------

    def lost(self) -> bool:
        return self.chance.random() < self.loss

    def hang_up(self, name: str) -> None:
        self.carriers[name].hang_up()

    def reply(self, reply: HostReply) -> None:
        if not self.lost():
            self.events.at(self.now + DELAY, partial(self._answer, reply))

    def _answer(self, reply: HostReply) -> None:
        self.host_discovery = answer(self.host_discovery, reply, self.now)

    # -- the UAV -----------------------------------------------------------------------------------------------------

    def voices(self) -> None:
        """Host heartbeats, the UAV's decisions, lease renewals and telemetry, once."""
        for rsu in self.rsus.values():
            for host_heartbeat in rsu.host.host_heartbeats(self.now) if rsu.host is not None else ():
                if not self.lost():
                    self.host_discovery = hear(self.host_discovery, host_heartbeat, self.now)
        self.host_discovery, requests = act(self.host_discovery, self.now, self.host_discovery_timing)
        for request in requests:
            self.tell(request.rsu, partial(self._request, request))
        said = lease_renewal(self.host_discovery)
        for name in self.rsus:
            self.tell(name, lambda host: host.recognise(said, self.now))
        if self.rate and self.host_discovery.host:
            self.tell(self.host_discovery.host, lambda host: host.grant("u1", self.rate, self.now))
        self.events.at(self.now + VOICE, self.voices)

    def _request(self, request: HostRequest, host: TwinHost) -> None:
        host.request(request, self.now)

    def tell(self, name: str, event: Callable[[TwinHost], Any]) -> None:
        if not self.lost():
            self.rsus[name].feed(event)

    def observe(self) -> None:
        """Telemetry, and a change of the payload now and then, acknowledged once on a disk."""
        if self.host_discovery.stage is not Stage.HOSTED:
            return
        self.sequence += 1
        telemetry = Telemetry(self.sequence, self.now, (self.now, 0.0, 100.0), (1.0, 0.0, 0.0))
        self.tell(
            self.host_discovery.host,
            lambda host: host.update("u1", self._change(telemetry), self._acked(telemetry), self.now),
        )

    def _change(self, telemetry: Telemetry) -> Callable[[Any], None]:
        def change(twin: UavTwin) -> None:
            assert twin.observe(telemetry, self.now) is None
            if telemetry.sequence % 3 == 0:
                number = telemetry.sequence % twin.pieces
                twin.write_payload(number, self.payload(telemetry.sequence, twin.size_of(number)))

        return change

    def payload(self, sequence: int, size: int) -> bytes:
        return random.Random(sequence).randbytes(size)

    def _acked(self, telemetry: Telemetry) -> Callable[[bool], None]:
        return lambda accepted: self.acked.append(telemetry.sequence) if accepted else None

    def migrate(self, target: str, rate: float = 1e6) -> None:
        if self.host_discovery.stage is not Stage.HOSTED:
            return
        self.host_discovery = moving(self.host_discovery, target)
        request = MigrateRequest("u1", self.host_discovery.epoch, target)
        self.tell(self.host_discovery.host, lambda host: host.migrate(request, rate, self.now))

    def cancel(self) -> None:
        self.tell(self.host_discovery.host, lambda host: host.cancel(CancelRequest("u1"), self.now))


def settled(town: Town) -> Town:
    town.run_until(town.is_served)
    live(town, 2.0)
    return town


def live(town: Town, seconds: float) -> None:
    """Telemetry and changes all the time."""
    for _ in range(int(seconds / 0.1)):
        town.observe()
        town.run(0.1)


def others(town: Town) -> list[str]:
    return [name for name in town.rsus if name != town.host_discovery.host]
