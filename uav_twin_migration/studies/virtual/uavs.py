"""UAVs in virtual time: what `nodes/uav.py` and `nodes/ros/uav_twins.py` are around the same state machines."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from uav_twin_migration.market.follower import (
    GATHERING,
    Demand,
    Follower,
    FollowerSettings,
    HostChange,
    Output,
)
from uav_twin_migration.market.messages import Bid, Grant, Offer
from uav_twin_migration.market.offer_board import OfferBoard
from uav_twin_migration.market.regions import Membership
from uav_twin_migration.scenario.settings import made_of
from uav_twin_migration.studies.virtual.events import Process
from uav_twin_migration.studies.virtual.messages import BYTES_PER_MBIT, Goal, Said
from uav_twin_migration.twin.hosting.estimate import Telemetry, Vector
from uav_twin_migration.twin.hosting.uavs_heard import news_of
from uav_twin_migration.twin.protocol.host_discovery import HostDiscoveryTiming
from uav_twin_migration.twin.protocol.messages import HostHeartbeat, HostReply, HostRequest
from uav_twin_migration.twin.protocol.twin_client import Move, Stop, TwinClient

if TYPE_CHECKING:
    from uav_twin_migration.studies.virtual.city import City


class VirtualUavs:
    """One process with a UAV, or with many. values: the parameters of its node, one mapping for each UAV."""

    def __init__(self, city: City, name: str, values: Sequence[dict[str, Any]]) -> None:
        self.city, self.air, self.name, self.values = city, city.air, name, values[0]
        self.process = Process(city.events, name)
        self._each = values
        self.regions = frozenset[str]()
        self.followers: dict[str, Follower] = {}
        self.twin_clients: dict[str, TwinClient] = {}

    def start(self) -> None:
        """The process begins, and knows nothing."""
        city, values, now = self.city, self.values, self.city.events.now
        self.process.start()
        self._board = OfferBoard(values["round_period"])
        settings = [made_of(FollowerSettings, one, uav=one["uav_id"]) for one in self._each]
        self.followers = {one.uav: Follower(one, self._board) for one in settings}
        self._membership = Membership()
        self.regions = self._membership.regions(now)
        self._motion: dict[str, tuple[float, Vector, Vector]] = {}
        self._heard_at: dict[str, tuple[int, float]] = {}  # rsu -> round, s
        self._latencies: deque[float] = deque(maxlen=4096)  # ms
        self._gathering = False
        self._demand_sequence = 0
        self._sequence = int((city.wall_clock + now) * 1000)
        self._goals: dict[str, Goal] = {}
        self._slept = 0.0  # s in which nothing could be heard
        self.twin_clients = self._make_twin_clients(now) if values["twin"] else {}
        city.world.on_tick(self.process, self._on_tick)
        if self.twin_clients:
            period = values["heartbeat_period"]
            self.process.every(period, self._on_beat, now + city.phase() * period)
        self.process.every(1.0, self._describe, now + city.phase())

    def _make_twin_clients(self, now: float) -> dict[str, TwinClient]:
        values = self.values
        protocol = HostDiscoveryTiming.of(values)
        wall_clock, one = self.city.wall_clock + now, values["replicas"] == "one"
        return {
            uav: TwinClient(
                uav, round(follower.settings.twin_size * BYTES_PER_MBIT), now, wall_clock, protocol, replica=one
            )
            for uav, follower in self.followers.items()
        }

    # -- the market --------------------------------------------------------------------------------------------------

    def _on_tick(self) -> None:
        now = self.air.clock
        if min([one.wake_at for one in self.followers.values()]) <= now:
            self._send([output for one in self.followers.values() for output in one.on_time(now)])

    def on_offer(self, offer: Offer) -> None:
        """An RSU's price."""
        if not self._board.on_offer(self.air.clock, offer):
            return
        self._heard_at[offer.rsu] = (offer.round, self.city.events.now)
        if len(self.followers) == 1:
            self._answer()
        elif not self._gathering:
            self._gathering = True
            self.process.at(self.city.events.now + GATHERING, self._answer)

    def _answer(self) -> None:
        self._gathering = False
        now = self.air.clock
        self._send([output for one in self.followers.values() for output in one.on_offers(now)])

    def on_motion(self, uav: str, stamp: float, position: Vector, velocity: Vector) -> None:
        """Where one of the UAVs is."""
        self.followers[uav].on_motion(self.air.clock, position, velocity)
        self._motion[uav] = (stamp, position, velocity)

    def on_links(self, links: Mapping[str, Mapping[str, float]], regions: Mapping[str, str]) -> None:
        """Spectral efficiencies, bit/s/Hz, by UAV and RSU. regions: of the RSUs."""
        now = self.air.clock
        outputs: list[Output] = []
        linked: set[str] = set()
        for uav, efficiency in links.items():
            follower = self.followers[uav]
            outputs += follower.on_links(now, efficiency)
            linked.update(follower.in_range)
        self._membership.on_links(now, regions, sorted(linked))
        hosts = {rsu for twin_client in self.twin_clients.values() for rsu in twin_client.rsus}
        self.regions = self._membership.regions(now, hosts)
        self._send(outputs)

    def on_grant(self, grant: Grant) -> None:
        """What an RSU sold."""
        now = self.air.clock
        round_, heard = self._heard_at.get(grant.rsu, (-1, 0.0))
        for uav in grant.bandwidth:
            follower = self.followers.get(uav)
            if follower is None:
                continue
            before = follower.granted
            follower.on_grant(now, grant)
            if follower.granted > before and grant.round == round_:
                self._latencies.append((self.city.events.now - heard) * 1e3)

    def _send(self, outputs: Sequence[Output]) -> None:
        bids: list[Bid] = [bid for output in outputs if isinstance(output, Demand) for bid in output.bids]
        if bids:
            self._demand_sequence += 1
            self.air.demand(self, self._demand_sequence, bids)
        for output in outputs:
            if isinstance(output, HostChange):
                self.air.decision(self, output)

    def _describe(self) -> None:
        """What the node tells on /diagnostics that is counted."""
        followers = self.followers.values()
        refusals = Counter(self._board.refusals)
        for one in followers:
            refusals.update(one.refusals)
        latencies = [self._latencies.popleft() for _ in range(len(self._latencies))]
        values = {
            "offer_to_grant_ms": " ".join(f"{value:.1f}" for value in latencies),
            "answers_granted": str(sum(one.granted for one in followers)),
            "answers_ungranted": str(sum(one.ungranted for one in followers)),
            "rounds_missed": str(sum(one.missed for one in followers)),
        }
        values.update({f"refused/{reason.value}": str(count) for reason, count in refusals.items()})
        self.air.counts(self, values)

    # -- the twins ---------------------------------------------------------------------------------------------------

    def slept(self, seconds: float) -> None:
        """The process stood still: who sleeps has not been left alone."""
        self._slept += seconds

    def _listening(self) -> float:
        """The time in which somebody could have been heard, s."""
        return self.city.events.now - self._slept

    def on_host_heartbeats(self, heartbeats: Sequence[HostHeartbeat]) -> None:
        """What an RSU holds."""
        now, moved = self._listening(), False
        for heartbeat in heartbeats:
            twin_client = self.twin_clients.get(heartbeat.uav)
            if twin_client is not None:
                before = twin_client.host
                twin_client.hear(heartbeat, now)
                moved |= twin_client.host != before
        if moved:
            self._on_beat()  # the new host need not wait for its lease

    def on_reply(self, reply: HostReply) -> None:
        """An RSU answers a request to host."""
        self.twin_clients[reply.uav].answer(reply, self._listening())

    def _on_beat(self) -> None:
        now, sim_now = self._listening(), self.air.clock
        self._sequence += 1
        heartbeats: list[Said] = []
        for uav, twin_client in self.twin_clients.items():
            follower = self.followers[uav]
            rate = follower.rate(sim_now)
            twin_client.want(follower.hosting.host, follower.in_range)
            for output in twin_client.step(now, rate):
                if isinstance(output, HostRequest):
                    self.air.request(self, output)
                elif isinstance(output, Move):
                    self._move(output)
                elif isinstance(output, Stop) and output.uav in self._goals:
                    self.air.cancel(self, self._goals[output.uav])
            motion = self._motion.get(uav)
            telemetry = Telemetry(self._sequence, *motion) if motion else None
            said = twin_client.lease_renewal()
            heartbeats.append(Said(said, telemetry, rate, news_of(said)))
        self.air.uav_heartbeats(self, heartbeats)

    def _move(self, move: Move) -> None:
        goal = self._goals[move.uav] = Goal(move, self)
        if not self.air.goal(self, goal):
            self.ended(goal, moved=False)

    def ended(self, goal: Goal, moved: bool) -> None:
        """A migration that was asked for is over."""
        if self._goals.get(goal.move.uav) is goal:
            del self._goals[goal.move.uav]
        self.twin_clients[goal.move.uav].ended(goal.move.host, goal.move.target, moved, self._listening())
