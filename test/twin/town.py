"""RSUs with real stores, a UAV, and a network between them, in virtual time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from test.twin.network import DELAY, Wire, decode
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.application import Application
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.hosting.host import TwinHost
from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin
from uav_twin_migration.twin.hosting.outputs import Close, Durable, MigrationReport, Open, Output, Pace, Reply, Transmit
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import StoreError
from uav_twin_migration.twin.hosting.twin import PAYLOAD_AT, UavTwin, UavTwins
from uav_twin_migration.twin.protocol import wire
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
from uav_twin_migration.twin.protocol.messages import CancelRequest, HostRequest, MigrateRequest
from uav_twin_migration.twin.protocol.replica_state import Status

VOICE = 0.25  # s between two rounds of host heartbeats and lease renewals


class Rsu:
    """One RSU's process: it may be down."""

    def __init__(self, town: Town, name: str) -> None:
        self.town, self.name = town, name
        self.path = town.directory / f"{name}.db"
        self.host: TwinHost | None = None
        self.incarnation = 0
        self.start()

    def start(self) -> None:
        self.incarnation += 1
        store = Store(self.path, self.name)
        self.host = TwinHost(store, self.town.application, self.town.now, self.town.settings, self.queued)
        self.town.wake(self, self.incarnation)

    def crash(self) -> None:
        """What was not committed is gone, and all connections with it."""
        assert self.host is not None
        self.host.store.close()
        self.host = None
        self.town.hang_up(self.name)

    def queued(self, link: int) -> int:
        wire = self.town.wires.get((self.name, link))
        return sum(len(data) for data, _ in wire.waiting) if wire is not None else 0

    def feed(self, event: Callable[[TwinHost], Any]) -> Any:
        """Let the host have an event and commit; where the disk refuses, all of that is undone."""
        assert self.host is not None
        result = None
        try:
            result = event(self.host)
            outputs = self.host.commit(self.town.now)
        except StoreError as error:
            outputs = self.host.roll_back(error)
        for output in outputs:
            self.town.carry(self, output)
        return result


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
        self.directory, self.now, self.loss = directory, 0.0, loss
        self.settings = settings or HostSettings(flush_period=0.2)
        self.application = application or UavTwins()
        self.host_discovery_timing = timing or HostDiscoveryTiming()
        self.chance = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.links: dict[tuple[str, int], tuple[str, int]] = {}  # one end -> the other
        self.wires: dict[tuple[str, int], Wire] = {}
        self._inbound = itertools.count(1_000_000)
        self.reports: list[MigrationReport] = []
        self.served: list[tuple[float, str, int]] = []  # time, RSU, epoch
        self.size = size
        self.host_discovery = HostDiscovery(
            "u1", self.now, newest_epoch=0, size=size, candidates=tuple(names), replica_host=replica_host
        )
        self.rate = rate
        self.sequence = 0
        self.acked: list[int] = []  # sequence numbers of telemetry that is on a disk
        self.rsus = {name: Rsu(self, name) for name in names}
        self.at(0.0, self.voices)

    def close(self) -> None:
        """Stop all RSUs, as at a shutdown."""
        for rsu in self.rsus.values():
            if rsu.host is not None:
                rsu.crash()

    # -- time --------------------------------------------------------------------------------------------------------

    def at(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._order), action))

    def run(self, duration: float) -> None:
        end = self.now + duration
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
            self.check()
        self.now = end

    def run_until(self, condition: Callable[[], bool], limit: float = 60.0) -> None:
        end = self.now + limit
        while not condition():
            assert self.now < end, "it did not happen in time"
            self.run(0.01)

    def wake(self, rsu: Rsu, incarnation: int) -> None:
        if rsu.host is None or rsu.incarnation != incarnation:
            return
        wake_at = rsu.feed(lambda host: host.tick(self.now)) or self.now + 0.1
        self.at(max(0.001, wake_at - self.now), lambda: self.wake(rsu, incarnation))

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

    def check_acknowledged(self) -> None:
        """What was acknowledged is in the twin, once: its history, and in each piece of payload the newest write."""
        twin = self.twin(self.host_discovery.host)
        sequences = [telemetry.sequence for telemetry in twin.history()]
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

    def carry(self, rsu: Rsu, output: Output) -> None:
        if isinstance(output, Open):
            self._open(rsu, output)
        elif isinstance(output, Transmit):
            if (rsu.name, output.link) in self.wires:
                self.wires[rsu.name, output.link].send(wire.encoded(output.frame), output.paced)
        elif isinstance(output, Pace):
            if (rsu.name, output.link) in self.wires:
                self.wires[rsu.name, output.link].rate = output.rate
                self.wires[rsu.name, output.link].go_on()
        elif isinstance(output, Close):
            self._close(rsu.name, output.link)
        elif isinstance(output, Reply):
            if not self.lost():
                self.at(DELAY, lambda: self._answer(output))
        elif isinstance(output, MigrationReport):
            self.reports.append(output)
        elif isinstance(output, Durable):
            output.done(output.accepted)

    def _answer(self, output: Reply) -> None:
        self.host_discovery = answer(self.host_discovery, output.reply, self.now)

    def _open(self, rsu: Rsu, output: Open) -> None:
        peer = self.rsus.get(output.peer)
        if peer is None or peer.host is None or self.lost():
            self.at(DELAY, lambda: self._down(rsu, rsu.incarnation, output.link))
            return
        ends = (rsu.name, output.link), (peer.name, next(self._inbound))
        self.links[ends[0]], self.links[ends[1]] = ends[1], ends[0]
        for end in ends:
            self.wires[end] = Wire(self, *end)
        self.wires[ends[0]].rate = output.rate

    def arrive(self, name: str, link: int, data: bytes) -> None:
        other = self.links.get((name, link))
        if other is None:
            return
        if self.lost():
            self.disconnect(name, link)
            return
        peer = self.rsus[other[0]]
        if peer.host is None:
            return
        frame = decode(data)
        peer.feed(lambda host: host.receive(other[1], name, frame, self.now))

    def _close(self, name: str, link: int) -> None:
        """Close a link once all is sent; chunks no longer matter."""
        wire = self.wires.get((name, link))
        if wire is not None:
            wire.waiting = deque(
                one for place, one in enumerate(wire.waiting) if not one[1] or (place == 0 and wire.busy)
            )
            gone = sum(len(data) for data, paced in wire.waiting if paced) / wire.rate if wire.rate else 0.0
            self.at(gone + 2 * DELAY, lambda: self.disconnect(name, link))

    def disconnect(self, name: str, link: int) -> None:
        other = self.links.pop((name, link), None)
        if other is None:
            return
        self.links.pop(other, None)
        self.wires.pop((name, link), None)
        self.wires.pop(other, None)
        for end_name, end_link in ((name, link), other):
            self._down(self.rsus[end_name], self.rsus[end_name].incarnation, end_link)

    def _down(self, rsu: Rsu, incarnation: int, link: int) -> None:
        if rsu.host is not None and rsu.incarnation == incarnation:
            rsu.feed(lambda host: host.link_down(link, self.now))

    def hang_up(self, name: str) -> None:
        for end, other in list(self.links.items()):
            if name in (end[0], other[0]):
                self.disconnect(*end)

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
        self.at(VOICE, self.voices)

    def _request(self, request: HostRequest, host: TwinHost) -> None:
        host.request(request, self.now)

    def tell(self, name: str, event: Callable[[TwinHost], Any]) -> None:
        rsu = self.rsus[name]
        if rsu.host is not None and not self.lost():
            rsu.feed(event)

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
