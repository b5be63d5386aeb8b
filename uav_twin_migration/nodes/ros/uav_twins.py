"""The twins of a node's UAVs: who hosts them, and when to have them moved."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from uav_twin_migration.action import MigrateTwin
from uav_twin_migration.clocks import ListeningClock
from uav_twin_migration.deployment import topics
from uav_twin_migration.market.follower import Follower
from uav_twin_migration.monitor.throttled_log import ThrottledLog
from uav_twin_migration.msg import BandwidthGrant, TwinHost, TwinHostStatus, TwinReply, TwinRequest, UavHeartbeat
from uav_twin_migration.nodes.ros import qos_profiles, twin_convert
from uav_twin_migration.nodes.ros.regions import Regions
from uav_twin_migration.nodes.ros.signatures import Signing, Verifying
from uav_twin_migration.nodes.ros.timing import Timing, change_period, steady_timer
from uav_twin_migration.nodes.ros.twin_convert import BYTES_PER_MBIT, Heartbeat
from uav_twin_migration.twin.hosting.estimate import Telemetry, Vector
from uav_twin_migration.twin.protocol.host_discovery import HostDiscoveryTiming
from uav_twin_migration.twin.protocol.messages import HostRequest
from uav_twin_migration.twin.protocol.twin_client import Move, Stop, TwinClient

LAST_EPOCH = (1 << 63) - 1
MOST_RSUS = 1_000  # whose addresses it keeps


class UavTwins:
    """Translates between ROS and a `TwinClient` for each UAV."""

    def __init__(
        self,
        node: Node,
        regions: Regions,
        followers: Mapping[str, Follower],
        values: dict[str, Any],
        timing: Timing,
        signing: Signing,
        verifying: Verifying,
    ) -> None:
        self._node, self._followers, self._timing = node, followers, timing
        self._signing, self._verifying = signing, verifying
        self._hosts: dict[str, TwinHost] = {}
        self._hosted: dict[str, str] = {}  # UAV -> its twin's host, as far as it was told
        self._begun: dict[str, int] = {}  # UAV -> epoch of its twin's first hosting
        self._trouble = ThrottledLog(node.get_logger().warning)
        self._news = ThrottledLog(lambda line: node.get_logger().info(line), ends=False)
        self._grants: dict[str, dict[str, BandwidthGrant]] = {uav: {} for uav in followers}  # by RSU, as it signed them
        self._motion: dict[str, tuple[float, Vector, Vector]] = {}
        self._told_until: dict[str, float] = {}  # UAV -> stamp of its motion when its twin's host was last heard, s
        # The time of day in ms is above every number of an earlier life, which counted no faster than that.
        self._sequence = int(time.time() * 1000)
        protocol = HostDiscoveryTiming.of(values)
        self._clock = ListeningClock()
        now, one = self._clock.now(), values["replicas"] == "one"
        self.twin_clients = {
            uav: TwinClient(uav, self._bytes_of(follower), now, time.time(), protocol, self._may_host, one)
            for uav, follower in followers.items()
        }
        self._clients: dict[str, ActionClient] = {}
        self._goals: dict[str, ClientGoalHandle] = {}
        self._uav_heartbeats = regions.create_publisher(UavHeartbeat, topics.TWIN_UAV_HEARTBEATS, qos_profiles.MARKET)
        self._requests = regions.create_publisher(TwinRequest, topics.TWIN_REQUESTS, qos_profiles.MARKET)
        regions.create_subscription(
            TwinHostStatus, topics.TWIN_HOST_HEARTBEATS, self._on_host_heartbeat, qos_profiles.REPEATED
        )
        regions.create_subscription(TwinReply, topics.TWIN_REPLIES, self._on_reply, qos_profiles.REPEATED)
        node.create_subscription(TwinHost, topics.TWIN_HOSTS, self._on_host, qos_profiles.LATCHED_BY_MANY)
        self._values = values
        self._timer = steady_timer(node, values["heartbeat_period"], self._on_beat)

    def change(self) -> None:
        """The period of heartbeats may have changed."""
        change_period(self._timer, self._values["heartbeat_period"])

    @staticmethod
    def _bytes_of(follower: Follower) -> int:
        return round(follower.settings.twin_size * BYTES_PER_MBIT)

    def on_motion(self, uav: str, stamp: float, position: Vector, velocity: Vector) -> None:
        """The UAV's odometry. stamp: s, by the UAV's clock."""
        self._motion[uav] = (stamp, position, velocity)

    def on_grant(self, uav: str, message: BandwidthGrant) -> None:
        """A grant that counts, as its RSU signed it: what proves the UAV's rate to its twin's host."""
        self._grants[uav][message.rsu_id] = message

    # -- what is heard -----------------------------------------------------------------------------------------------

    def _on_host_heartbeat(self, message: TwinHostStatus) -> None:
        if not self._verifying.believes(message):
            return
        now, moved = self._clock.now(), False
        for host_heartbeat in twin_convert.host_heartbeats_from_message(message):
            twin_client = self.twin_clients.get(host_heartbeat.uav)
            if twin_client is not None:
                before = twin_client.host
                twin_client.hear(host_heartbeat, now)
                moved |= twin_client.host != before
                if twin_client.host == message.rsu_id and host_heartbeat.uav in self._motion:
                    self._told_until[host_heartbeat.uav] = self._motion[host_heartbeat.uav][0]
        if moved:
            self._on_beat()  # the new host need not wait for its lease

    def _on_reply(self, message: TwinReply) -> None:
        if not self._verifying.believes(message):
            return
        now = self._clock.now()
        for reply in twin_convert.replies_from_message(message):
            twin_client = self.twin_clients.get(reply.uav)
            if twin_client is not None:
                twin_client.answer(reply, now)
                if reply.reason is None and not reply.restored and reply.epoch > self._begun.get(reply.uav, LAST_EPOCH):
                    lost = f"{reply.uav}'s, at {reply.rsu}: what its host alone had is lost"
                    self._trouble.note("a twin begins anew", lost)
        for uav, epoch, as_of in twin_convert.takeovers_from_message(message):
            if uav in self.twin_clients and epoch > self._begun.get(uav, LAST_EPOCH):
                lost = f"up to {max(0.0, self._told_until.get(uav, as_of) - as_of):.1f} s of its history are lost"
                self._trouble.note("a twin goes on from a copy", f"{uav}'s, at {message.rsu_id}: {lost}")

    def _on_host(self, message: TwinHost) -> None:
        if not self._verifying.believes(message) or not twin_convert.is_host(message):
            return
        if message.rsu_id in self._hosts or len(self._hosts) < MOST_RSUS:
            self._hosts[message.rsu_id] = message

    def _may_host(self, rsu: str) -> bool:
        host = self._hosts.get(rsu)
        return host is not None and host.port > 0 and not host.draining

    # -- what is said ------------------------------------------------------------------------------------------------

    def _on_beat(self) -> None:
        now, sim_now = self._clock.now(), self._timing.now()
        self._sequence += 1
        requests: list[HostRequest] = []
        heartbeats = []
        grants: list[BandwidthGrant] = []
        for uav, twin_client in self.twin_clients.items():
            follower = self._followers[uav]
            rate = follower.rate(sim_now)
            twin_client.want(follower.hosting.host, follower.in_range)
            for output in twin_client.step(now, rate):
                if isinstance(output, HostRequest):
                    requests.append(output)
                elif isinstance(output, Move):
                    self._move(output)
                else:
                    self._stop(output)
            self._watch_host(uav, twin_client.host)
            self._client_of(twin_client.host)
            heartbeats.append(Heartbeat(twin_client.lease_renewal(), self._telemetry(uav), rate))
            grants += [grant for grant in self._proof(uav, sim_now) if all(grant is not one for one in grants)]
        message = twin_convert.uav_heartbeats_to_message(heartbeats, sim_now, grants)
        self._uav_heartbeats.publish(self._signing.signed(message))
        if requests:
            self._requests.publish(self._signing.signed(twin_convert.requests_to_message(requests, sim_now)))
        self._trouble.tick()
        self._news.tick()

    def _proof(self, uav: str, now: float) -> list[BandwidthGrant]:
        """Others' grants that the host of the UAV's twin needs to see now: none while nothing of it is to be sent."""
        twin_client, held = self.twin_clients[uav], self._followers[uav].bandwidth(now)
        grants = self._grants[uav] = {rsu: grant for rsu, grant in self._grants[uav].items() if rsu in held}
        if not (twin_client.target or twin_client.replica_host):
            return []
        return [grant for rsu, grant in grants.items() if rsu != twin_client.host]

    def _watch_host(self, uav: str, host: str) -> None:
        """Say when a twin has found a host and when it has lost it; a hand-over is nothing special."""
        before = self._hosted.get(uav, "")
        self._hosted[uav] = host
        if host and not before:
            self._begun.setdefault(uav, self.twin_clients[uav].lease_renewal().epoch)
            self._news.note("a twin has found a host", f"{uav}'s, {host}")
        elif before and not host:
            fall = self.twin_clients[uav].fall
            why = f"{before} is silent, others are asked"
            if fall is not None:
                why = f"{fall.rsu} fell from version {fall.known} to {fall.told}, its store was restored or cloned"
            self._trouble.note("a twin has lost its host", f"{uav}'s; {why}")

    def _telemetry(self, uav: str) -> Telemetry | None:
        motion = self._motion.get(uav)
        return Telemetry(self._sequence, *motion) if motion else None

    # -- migrations --------------------------------------------------------------------------------------------------

    def _client_of(self, rsu: str) -> ActionClient | None:
        """The action client of an RSU, made when it becomes a host: it will have been found when it is needed."""
        if rsu and rsu not in self._clients:
            self._clients[rsu] = ActionClient(self._node, MigrateTwin, topics.migrate_twin(rsu))
        return self._clients.get(rsu)

    def _move(self, move: Move) -> None:
        client = self._client_of(move.host)
        if client is None or not client.server_is_ready():
            self._ended(move, moved=False)
            return
        goal = MigrateTwin.Goal(uav_id=move.uav, epoch=move.epoch, target=move.target, rate=move.rate)

        def accepted(future: Future) -> None:
            handle = future.result()
            if handle is None or not handle.accepted:
                self._ended(move, moved=False)
                return
            self._goals[move.uav] = handle
            handle.get_result_async().add_done_callback(done)

        def done(future: Future) -> None:
            result = future.result()
            self._ended(move, moved=result is not None and not result.result.report.reason)

        client.send_goal_async(self._signing.signed(goal)).add_done_callback(accepted)

    def _ended(self, move: Move, moved: bool) -> None:
        self._goals.pop(move.uav, None)
        self.twin_clients[move.uav].ended(move.host, move.target, moved, self._clock.now())

    def _stop(self, stop: Stop) -> None:
        handle = self._goals.get(stop.uav)
        if handle is not None:
            handle.cancel_goal_async()
