"""Publishers and subscriptions on the topics of regions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from rclpy.node import Node

from uav_twin_migration.deployment.topics import in_region


class RegionalPublisher:
    """Publishes in every region that the node is in, or in one of them."""

    def __init__(self) -> None:
        self.publishers: dict[str, Any] = {}  # by region

    def publish(self, message: Any) -> None:
        """Say it in all of them."""
        for publisher in self.publishers.values():
            publisher.publish(message)

    def publish_in(self, region: str, message: Any) -> None:
        """Say it in one region; nowhere where the node is not in it."""
        if region in self.publishers:
            self.publishers[region].publish(message)


class _Subscription(NamedTuple):
    kind: Any
    topic: str
    callback: Callable[[Any], None]
    qos: Any


class Regions:
    """What a node says and hears on regional topics, in the regions that it is in at the time."""

    def __init__(self, node: Node, regions: Iterable[str]) -> None:
        self._node = node
        self.joined = frozenset(regions)
        self._publishers: list[tuple[RegionalPublisher, Any, str, Any]] = []
        self._subscriptions: list[_Subscription] = []
        self._subscribed: dict[str, list[Any]] = {region: [] for region in self.joined}

    def create_publisher(self, kind: Any, topic: str, qos: Any) -> RegionalPublisher:
        """Like a node's, for a regional topic."""
        publisher = RegionalPublisher()
        self._publishers.append((publisher, kind, topic, qos))
        for region in self.joined:
            publisher.publishers[region] = self._node.create_publisher(kind, in_region(region, topic), qos)
        return publisher

    def create_subscription(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: Any) -> None:
        """Like a node's, for a regional topic."""
        one = _Subscription(kind, topic, callback, qos)
        self._subscriptions.append(one)
        for region in self.joined:
            self._subscribe(region, one)

    def _subscribe(self, region: str, one: _Subscription) -> None:
        topic = in_region(region, one.topic)
        self._subscribed[region].append(self._node.create_subscription(one.kind, topic, one.callback, one.qos))

    def move(self, regions: frozenset[str]) -> None:
        """Be in these regions from now on."""
        for region in regions - self.joined:
            self._subscribed[region] = []
            for publisher, kind, topic, qos in self._publishers:
                publisher.publishers[region] = self._node.create_publisher(kind, in_region(region, topic), qos)
            for one in self._subscriptions:
                self._subscribe(region, one)
        for region in self.joined - regions:
            for publisher, *_ in self._publishers:
                self._node.destroy_publisher(publisher.publishers.pop(region))
            for subscription in self._subscribed.pop(region):
                self._node.destroy_subscription(subscription)
        self.joined = regions
