"""Who hears whom in a city: topics and actions, as calls from process to process, and whoever watches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from uav_twin_migration.market.follower import HostChange
from uav_twin_migration.market.leader import ClosedRound
from uav_twin_migration.market.messages import Bid, Grant, Offer
from uav_twin_migration.monitor import readers
from uav_twin_migration.monitor.listener import Listener
from uav_twin_migration.monitor.twins import Report, State
from uav_twin_migration.studies.virtual.events import Events
from uav_twin_migration.studies.virtual.messages import BYTES_PER_MBIT, Goal, Said
from uav_twin_migration.studies.virtual.network import Network
from uav_twin_migration.twin.hosting.outputs import MigrationReport, Served
from uav_twin_migration.twin.protocol.messages import HostHeartbeat, HostReply, HostRequest

if TYPE_CHECKING:
    from uav_twin_migration.studies.virtual.learner import VirtualLearner
    from uav_twin_migration.studies.virtual.recorder import Recorder
    from uav_twin_migration.studies.virtual.rsu import VirtualRsu
    from uav_twin_migration.studies.virtual.uavs import VirtualUavs


class Air:
    """All that is said in a city. What goes over a region's topics is heard in that region alone."""

    def __init__(self, events: Events, network: Network, listener: Listener) -> None:
        self.events, self.network, self.listener = events, network, listener
        self.recorder: Recorder | None = None
        self.learner: VirtualLearner | None = None
        self.clock = 0.0  # s, the simulation's, as its last tick told it
        self.rsus: dict[str, VirtualRsu] = {}
        self.uavs: list[VirtualUavs] = []
        self.process_of: dict[str, VirtualUavs] = {}  # by UAV

    # -- the market --------------------------------------------------------------------------------------------------

    def offer(self, rsu: VirtualRsu, offer: Offer) -> None:
        """An RSU posts a price: UAVs of its region hear it, and rivals of it and of those around it."""
        self.listener.messages += 1
        if self.recorder is not None:
            self.recorder.offer(self.clock, rsu.region, offer)
        self.listener.offer(self.clock, offer, rsu.region)
        for uavs in self.uavs:
            if rsu.region in uavs.regions:
                self.network.send(rsu.name, uavs.process, partial(uavs.on_offer, offer))
        for rival in self.rsus.values():
            if rival is not rsu and rival.hears(rsu):
                self.network.send(rsu.name, rival.process, partial(rival.on_offer, offer))

    def demand(self, uavs: VirtualUavs, sequence: int, bids: Sequence[Bid]) -> None:
        """UAVs answer: each RSU that is addressed hears what it is told."""
        self.listener.messages += 1
        if self.recorder is not None:
            self.recorder.demand(self.clock, sequence, bids)
        self.listener.bids(bids)
        addressed: dict[str, list[Bid]] = {}
        for bid in bids:
            addressed.setdefault(bid.rsu, []).append(bid)
        for name, some in addressed.items():
            rsu = self.rsus[name]
            if rsu.region in uavs.regions:
                self.network.send(uavs.name, rsu.process, partial(rsu.on_bids, sequence, some))

    def grant(self, rsu: VirtualRsu, grant: Grant) -> None:
        """An RSU sells: the UAVs that are named hear it."""
        self.listener.messages += 1
        if self.recorder is not None:
            self.recorder.grant(self.clock, rsu.region, grant)
        self.listener.grant(self.clock, grant)
        for uavs in dict.fromkeys(self.process_of[uav] for uav in grant.bandwidth):
            if rsu.region in uavs.regions:
                self.network.send(rsu.name, uavs.process, partial(uavs.on_grant, grant))

    def closed(self, rsu: VirtualRsu, booked: ClosedRound) -> None:
        """A round is closed: learner and recorder hear of it."""
        self.listener.messages += 1
        if self.recorder is not None:
            self.recorder.closed(self.clock, booked, rsu.leader.settings)
        if self.learner is not None:
            self.learner.hear(booked, rsu.leader.settings)

    def decision(self, uavs: VirtualUavs, change: HostChange) -> None:
        """A UAV wants another host."""
        self.listener.messages += 1
        if self.recorder is not None:
            self.recorder.decision(self.clock, change)
        self.listener.decision(self.clock, change.uav, change.rsu or "")

    def counts(self, uavs: VirtualUavs, values: Mapping[str, str]) -> None:
        """What a process of UAVs has counted."""
        self.listener.messages += 1
        self.listener.status(self.clock, readers.Status(f"uav/{uavs.name}", 0, "ok", dict(values)))

    # -- what UAVs say of twins --------------------------------------------------------------------------------------

    def uav_heartbeats(self, uavs: VirtualUavs, heartbeats: list[Said]) -> None:
        """UAVs tell where they are, and whom they take for their twins' hosts."""
        for rsu in self.rsus.values():
            if rsu.region in uavs.regions:
                self.network.send(uavs.name, rsu.process, partial(rsu.on_uav_heartbeats, heartbeats))

    def request(self, uavs: VirtualUavs, request: HostRequest) -> None:
        """A UAV asks an RSU to host its twin."""
        rsu = self.rsus[request.rsu]
        self.network.send(uavs.name, rsu.process, partial(rsu.on_request, request))

    def goal(self, uavs: VirtualUavs, goal: Goal) -> bool:
        """A UAV asks to have its twin moved. Whether there is anybody to ask."""
        rsu = self.rsus[goal.move.host]
        if rsu.process.is_up:
            self.network.send(uavs.name, rsu.process, partial(rsu.on_goal, goal), reliable=True)
        return rsu.process.is_up

    def cancel(self, uavs: VirtualUavs, goal: Goal) -> None:
        """A UAV calls that off."""
        rsu = self.rsus[goal.move.host]
        self.network.send(uavs.name, rsu.process, partial(rsu.on_cancel, goal.move.uav), reliable=True)

    # -- what RSUs say of twins --------------------------------------------------------------------------------------

    def host_heartbeats(self, rsu: VirtualRsu, held: Sequence[HostHeartbeat], ages: Mapping[str, float]) -> None:
        """An RSU tells what it holds: the UAVs whose twins those are hear it."""
        self.listener.messages += 1
        if self.recorder is not None:
            self.recorder.host_heartbeats(self.clock, rsu.region, rsu.name, held, ages)
        by_process: dict[VirtualUavs, list[HostHeartbeat]] = {}
        for one in held:
            by_process.setdefault(self.process_of[one.uav], []).append(one)
            said = (one.holding.value, one.epoch, one.version, one.successor, one.replica)
            self.listener.hosting(
                self.clock, rsu.name, readers.Hosting(one.uav, *said, ages.get(one.uav, float("inf")))
            )
        for uavs, some in by_process.items():
            if rsu.region in uavs.regions:
                self.network.send(rsu.name, uavs.process, partial(uavs.on_host_heartbeats, some))

    def states(self, rsu: VirtualRsu, served: Sequence[Served]) -> None:
        """An RSU tells users of the twins that it serves."""
        self.listener.messages += 1
        if self.recorder is not None:
            self.recorder.states(self.clock, rsu.name, served)
        for uav, epoch, estimate in served:
            self.listener.state(self.clock, State(uav, rsu.name, epoch, estimate.stamp, estimate.position))

    def progress(self, rsu: VirtualRsu, progress: readers.Progress) -> None:
        """How far a migration is."""
        self.listener.messages += 1
        if self.recorder is not None:
            self.recorder.progress(self.clock, progress)
        self.listener.progress(self.clock, progress)

    def reply(self, rsu: VirtualRsu, reply: HostReply, as_of: float | None) -> None:
        """An RSU answers a UAV that asked it to host."""
        self.listener.messages += 1
        if self.recorder is not None:
            self.recorder.reply(self.clock, rsu.region, reply, as_of)
        told = math.nan if as_of is None else as_of
        seen = readers.Reply(reply.uav, reply.epoch, reply.reason is None, reply.restored, told)
        self.listener.reply(self.clock, rsu.name, seen)
        uavs = self.process_of[reply.uav]
        self.network.send(rsu.name, uavs.process, partial(uavs.on_reply, reply))

    def report(self, report: MigrationReport) -> None:
        """How a migration went."""
        self.listener.messages += 1
        size, sent, granted, achieved = (
            value / BYTES_PER_MBIT for value in (report.size, report.sent, report.granted, report.achieved)
        )
        reason = report.reason.value if report.reason else ""
        ends = (report.uav, report.source, report.target, reason)
        seen = Report(*ends, report.duration, report.downtime, granted, achieved)
        self.listener.report(self.clock, seen)
        if self.recorder is not None:
            self.recorder.report(self.clock, seen, report.epoch, size, sent)

    def goal_ended(self, rsu: VirtualRsu, goal: Goal, moved: bool) -> None:
        """The answer to who asked for a migration."""
        self.network.send(rsu.name, goal.uavs.process, partial(goal.uavs.ended, goal, moved), reliable=True)
