"""An RSU in virtual time: what `nodes/rsu.py` and `nodes/ros/rsu_twins.py` are around the same state machines."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uav_twin_migration.deployment.simulation import warn
from uav_twin_migration.market.leader import ClosedRound, Leader, LeaderSettings, Output
from uav_twin_migration.market.messages import Bid, Grant, Offer
from uav_twin_migration.monitor import readers
from uav_twin_migration.policy import artifact
from uav_twin_migration.policy.artifact import Policy, PolicyRefused
from uav_twin_migration.policy.choice import make_pricer
from uav_twin_migration.policy.pricer import PolicyPricer
from uav_twin_migration.scenario.settings import made_of
from uav_twin_migration.studies.virtual.carrier import Carrier
from uav_twin_migration.studies.virtual.events import Process
from uav_twin_migration.studies.virtual.hosting import Hosting
from uav_twin_migration.studies.virtual.messages import BYTES_PER_MBIT, Goal, Said
from uav_twin_migration.twin.hosting import outputs as hosting
from uav_twin_migration.twin.hosting.admission import MEGABYTE, HostSettings, plugged_admission, plugged_transfer
from uav_twin_migration.twin.hosting.application import NamedApplication
from uav_twin_migration.twin.hosting.carrying_out import Callbacks
from uav_twin_migration.twin.hosting.memory_store import IN_MEMORY, Disk, MemoryStore
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.uavs_heard import UavsHeard
from uav_twin_migration.twin.protocol.messages import CancelRequest, HostReply, HostRequest, MigrateRequest

if TYPE_CHECKING:
    from uav_twin_migration.studies.virtual.city import City

FILL = 8 * MEGABYTE  # bytes of first snapshots in one commit: they are zeros, and take no time


class VirtualRsu:
    """One RSU's process. values: the parameters that its node would have."""

    def __init__(self, city: City, values: dict[str, Any]) -> None:
        self.city, self.air, self.values = city, city.air, values
        self.name: str = values["rsu_id"]
        self.region: str = values["region"]
        self.rival_regions = frozenset[str](values.get("rival_regions", ()))
        self.process = Process(city.events, self.name)
        self.settings: LeaderSettings = made_of(LeaderSettings, values, rsu=self.name, admitted=values["admitted_uavs"])
        self._disk = Disk(incarnation=city.wall_clock_in_2020)
        self._carrier = Carrier(self.process, city.network, city.carriers)
        self._goals: dict[str, Goal] = {}
        self.hosting: Hosting | None = None

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The process begins, with what is on its disk."""
        values, settings, now = self.values, self.settings, self.city.events.now
        self.process.start()
        pricer = make_pricer(
            *(settings.unit_cost, settings.price_cap, settings.capacity, values["rho"], values["policy"]),
            exploration=values["exploration"],
            seed=values["seed"],
            plugin=values["pricing"],
            equilibrium_price=lambda: self.city.world.equilibrium()[self.name],
        )
        if self.air.learner is not None and self.air.learner.newest is not None:
            self._adopt(pricer, self.air.learner.newest)  # what was said last is heard by who comes later
        self.pricer = pricer
        self.leader = Leader(settings, pricer, first_round=int((self.city.wall_clock + now) * 1e6))
        self._goals.clear()
        self._uavs = UavsHeard(self.name, now)
        self.city.world.on_tick(self.process, self._on_tick)
        if values["twin_store"]:
            self._start_hosting(now)

    def _start_hosting(self, now: float) -> None:
        values = self.values
        plugged = plugged_admission(values["admission"], rsu=self.name), plugged_transfer(values["transfer"])
        settings = replace(HostSettings.of(values, *plugged), scrub=0, fill=FILL)  # memory does not rot, and is quick
        application = values["application"]
        callbacks = Callbacks(
            reply=self._send_reply, report=self._send_report, hosting_change=lambda change: self._on_hosting_change()
        )
        self.hosting = Hosting(
            *(self.process, self._carrier, self._open_store(), self.city.disk_delay(self.name)),
            NamedApplication(application, warn) if application else self.city.application,
            *(settings, callbacks, self.city.wall_clock),
        )
        phase = self.city.phase
        self.process.every(values["twin_beat"], self._on_beat, now + phase() * values["twin_beat"])
        self.process.every(values["state_period"], self._send_states, now + phase() * values["state_period"])

    def _open_store(self) -> Store:
        path = Path(self.values["twin_store"])
        return MemoryStore(self._disk, self.name) if path.parent == Path(IN_MEMORY) else Store(path, self.name)

    def kill(self) -> None:
        """The process ends as by SIGKILL."""
        if self.hosting is not None:
            self.hosting.close()
            self.hosting = None
        self.process.kill()
        self._carrier.hang_up()

    def stop(self) -> None:
        """The machine is suspended."""
        self.process.stop()
        for carrier in self.city.carriers.values():
            carrier.look()

    def go_on(self) -> None:
        """The machine goes on."""
        self.process.go_on()
        for carrier in self.city.carriers.values():
            carrier.look()

    # -- the market --------------------------------------------------------------------------------------------------

    def _on_tick(self) -> None:
        now = self.air.clock
        if self.leader.wake_at <= now:
            self._send(self.leader.on_time(now))

    def on_bids(self, sequence: int, bids: list[Bid]) -> None:
        """A demand, as far as it is for this RSU."""
        for bid in bids:
            self._send(self.leader.on_demand(self.air.clock, sequence, bid))

    def hears(self, rival: VirtualRsu) -> bool:
        """Whether a rival's prices reach it."""
        return rival.region == self.region or rival.region in self.rival_regions

    def on_offer(self, offer: Offer) -> None:
        """A rival's price."""
        self.leader.on_offer(self.air.clock, offer)

    def on_policy(self, policy: Policy) -> None:
        """A learner's policy, from the next round on."""
        self._adopt(self.pricer, policy)

    def _adopt(self, pricer: PolicyPricer, policy: Policy) -> None:
        data = artifact.to_bytes(policy)
        try:
            pricer.update(data, artifact.sha256(data), policy.version, policy.schema)
        except PolicyRefused as refused:
            warn(f"{self.name} refuses a policy: {refused}")

    def _send(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Offer):
                self.air.offer(self, output)
            elif isinstance(output, Grant):
                self.air.grant(self, output)
            elif isinstance(output, ClosedRound):
                self.air.closed(self, output)

    # -- what is heard of twins --------------------------------------------------------------------------------------

    def on_uav_heartbeats(self, heartbeats: list[Said]) -> None:
        """What the UAVs of a process say of themselves and of their twins."""
        if self.hosting is None:
            return
        now, world_time, uavs = self.city.events.now, self.air.clock, self._uavs
        for said, telemetry, rate, told in heartbeats:
            if not uavs.is_relevant(said.uav, told):
                continue
            news, hosted = uavs.hear(said, telemetry.sequence if telemetry is not None else None, now)
            if news:  # nothing is done about a twin that is not here; what comes after is heard after it
                self.hosting.post(partial(_recognise, said), calm=said.uav not in uavs.held)
            if hosted:
                self.hosting.post(partial(_hear, said, telemetry, world_time, rate * BYTES_PER_MBIT), calm=True)

    def on_request(self, request: HostRequest) -> None:
        """A UAV asks this RSU to host."""
        if self.hosting is not None and request.uav in self.settings.admits:
            self.hosting.post(lambda host, now: host.request(request, now))

    def on_goal(self, goal: Goal) -> None:
        """A UAV asks to move its twin: the action's goal."""
        move = goal.move
        if self.hosting is None or move.uav not in self._uavs.held or move.uav in self._goals:
            self.air.goal_ended(self, goal, moved=False)
            return
        self._goals[move.uav] = goal
        request = MigrateRequest(move.uav, move.epoch, move.target)
        self.hosting.post(lambda host, now: host.migrate(request, move.rate * BYTES_PER_MBIT, now))

    def on_cancel(self, uav: str) -> None:
        """A UAV no longer wants its twin to move."""
        if self.hosting is not None and uav in self._goals:
            self.hosting.post(lambda host, now: host.cancel(CancelRequest(uav), now))

    # -- what is said of twins ---------------------------------------------------------------------------------------

    def _on_beat(self) -> None:
        assert self.hosting is not None  # the timer came with it
        self._send_host_heartbeats()
        for one in self.hosting.host.progress():
            sizes = (one.size / BYTES_PER_MBIT, (one.size - one.remaining) / BYTES_PER_MBIT, one.rate / BYTES_PER_MBIT)
            progress = readers.Progress(one.uav, self.name, one.target, one.phase.value, *sizes)
            self.air.progress(self, progress)

    def _on_hosting_change(self) -> None:
        self._send_host_heartbeats()
        self._send_states()

    def _send_host_heartbeats(self) -> None:
        assert self.hosting is not None  # who asks has it
        now = self.city.events.now
        said = self.hosting.host.host_heartbeats(now)
        self._uavs.held = {one.uav for one in said}
        lease = self.values["twin_lease"]
        heard = [one for one in said if self._uavs.hears(one.uav, lease, now)]
        if heard:
            self.air.host_heartbeats(self, heard, self.hosting.host.replica_ages(now))

    def _send_states(self) -> None:
        assert self.hosting is not None  # who asks has it
        served = self.hosting.host.served(self.city.events.now, self.air.clock)
        if served:
            self.air.states(self, served)

    def _send_reply(self, reply: HostReply) -> None:
        assert self.hosting is not None  # it replies
        as_of = self.hosting.host.as_of(reply.uav) if reply.restored else None
        self.air.reply(self, reply, as_of)

    def _send_report(self, report: hosting.MigrationReport) -> None:
        self.air.report(report)
        goal = self._goals.get(report.uav)
        if goal is not None and goal.move.target == report.target:
            del self._goals[report.uav]
            self.air.goal_ended(self, goal, moved=report.reason is None)


def _recognise(said: Any, host: Any, now: float) -> None:
    host.recognise(said, now)


def _hear(said: Any, telemetry: Any, world_time: float, rate: float, host: Any, now: float) -> None:
    host.recognise(said, now)
    if telemetry is not None:
        host.observe(said.uav, telemetry, now, world_time)
    host.grant(said.uav, rate, now)
