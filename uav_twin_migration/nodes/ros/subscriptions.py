"""Hears everything that a monitor understands, from the start or as soon as somebody publishes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile

from uav_twin_migration import msg
from uav_twin_migration.action import MigrateTwin
from uav_twin_migration.deployment import topics
from uav_twin_migration.monitor.listener import Listener
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.nodes.ros.convert import motion_from_bytes
from uav_twin_migration.nodes.ros.timing import steady_timer

DISCOVERY_PERIOD = 1.0  # s of wall time between two looks for topics nobody told of
MOST_TOPICS = 10_000

SHARED: dict[str, tuple[Any, QoSProfile]] = {
    topics.PRICE_OFFERS: (msg.PriceOffer, qos_profiles.MARKET),
    topics.BANDWIDTH_DEMANDS: (msg.BandwidthDemand, qos_profiles.MARKET),
    topics.BANDWIDTH_GRANTS: (msg.BandwidthGrant, qos_profiles.MARKET),
    topics.HOSTING_DECISIONS: (msg.HostingDecision, qos_profiles.LATCHED_BY_MANY),
    topics.INTERACTIONS: (msg.Interaction, qos_profiles.MARKET),
    topics.LINK_QUALITY: (msg.LinkQuality, qos_profiles.MEASUREMENT),
    topics.TWIN_STATES: (msg.TwinState, qos_profiles.REPEATED),
    topics.TWIN_REPLIES: (msg.TwinReply, qos_profiles.MARKET),
    topics.TWIN_HOST_HEARTBEATS: (msg.TwinHostStatus, qos_profiles.MARKET),
    topics.TWIN_HOSTS: (msg.TwinHost, qos_profiles.LATCHED_BY_MANY),
    topics.MIGRATIONS: (msg.MigrationReport, qos_profiles.MARKET),
    topics.DIAGNOSTICS: (DiagnosticArray, qos_profiles.MARKET),
}
OFFERS = topics.PRICE_OFFERS.removeprefix(topics.ROOT)  # as they end in any region
ODOMETRY = (f"{topics.ROOT}/uav/", "/odometry")
LINKS = "/link_quality"
FEEDBACK = (f"{topics.ROOT}/rsu/", "/migrate_twin/_action/feedback")


class Subscriptions:
    """Subscriptions of a node that hand a `Listener` what they hear."""

    def __init__(self, node: Node, listener: Listener, now: Callable[[], float], discover: bool) -> None:
        """now: s. discover: also hear RSUs, UAVs and regions that no scenario told of."""
        self._node, self._listener, self._now = node, listener, now
        self._heard: set[str] = set()
        scenario = listener.scenario
        self.follow_regions({rsu.region for rsu in scenario.rsus} if scenario else {""})
        for rsu in scenario.rsus if scenario else ():
            self._hear_feedback(topics.migrate_twin_feedback(rsu.id))
        for uav in scenario.uavs if scenario else ():
            self._hear(topics.odometry(uav.id), Odometry, qos_profiles.MEASUREMENT)
        if discover:
            steady_timer(node, DISCOVERY_PERIOD, self._discover)

    def follow_regions(self, regions: Iterable[str]) -> None:
        """Hear what is said in these regions."""
        for region in sorted(regions):
            for topic, (kind, qos) in SHARED.items():
                self._hear(topics.in_region(region, topic), kind, qos)

    def follow_links(self, topic: str) -> None:
        """Hear the quality of links on this topic."""
        self._hear(topic, msg.LinkQuality, qos_profiles.MEASUREMENT)

    def _discover(self) -> None:
        for topic, _ in self._node.get_topic_names_and_types():
            if topic in self._heard or len(self._heard) >= MOST_TOPICS:
                continue
            if topic.startswith(ODOMETRY[0]) and topic.endswith(ODOMETRY[1]):
                self._hear(topic, Odometry, qos_profiles.MEASUREMENT)
            elif topic.startswith(f"{topics.ROOT}/") and topic.endswith(LINKS):
                self.follow_links(topic)
            elif topic.startswith(FEEDBACK[0]) and topic.endswith(FEEDBACK[1]):
                self._hear_feedback(topic)
            elif topic.startswith(f"{topics.ROOT}/") and topic.endswith(OFFERS):
                self.follow_regions({topic.removeprefix(topics.ROOT).removesuffix(OFFERS).strip("/")})

    def _hear_feedback(self, topic: str) -> None:
        self._hear(topic, MigrateTwin.Impl.FeedbackMessage, qos_profiles.REPEATED, "MigrateTwinFeedback")

    def _hear(self, topic: str, kind: Any, qos: QoSProfile, name: str = "") -> None:
        if topic in self._heard:
            return
        self._heard.add(topic)
        called = name or kind.__name__

        def on_message(message: Any) -> None:
            self._listener.hear(self._now(), topic, called, message)

        def on_odometry(data: bytes) -> None:
            _, position, velocity = motion_from_bytes(data)
            self._listener.hear_motion(topic, position, velocity)

        if kind is Odometry:  # the most frequent by far
            self._node.create_subscription(kind, topic, on_odometry, qos, raw=True)
        else:
            self._node.create_subscription(kind, topic, on_message, qos)
