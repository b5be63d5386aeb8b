"""Who speaks on this node's topics with other definitions of the messages: nodes of another version of this package.

ROS matches topics by the name of their type alone: what such a node says is read by our definition, and is refused,
dropped or misread. Jazzy and newer tell a hash of the definition with each endpoint; before that nobody is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rclpy.node import Node

PACKAGE = "uav_twin_migration"
UNKNOWN = "_NODE_NAME_UNKNOWN_"  # of a node that has not told its name yet
HINT = "its messages may be misread; upgrade it or this node, see 'Upgrades, and the way back' in docs/edge.md"


class OtherVersions:
    """Looks at the publishers of what a node hears."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.found: dict[str, list[str]] = {}  # by node, its topics

    def look(self) -> dict[str, str]:
        """Nodes that were not found the last time, and what to say of each."""
        before, self.found = self.found, {}
        for subscription in self._node.subscriptions:
            if subscription.msg_type.__module__.split(".")[0] != PACKAGE:
                continue
            topic = subscription.topic_name
            own = self._own(self._node.get_subscriptions_info_by_topic(topic))
            for name in others(own, self._node.get_publishers_info_by_topic(topic)) if own is not None else ():
                self.found.setdefault(name, []).append(topic)
        new = {name: topics for name, topics in self.found.items() if name not in before}
        return {name: f"on {', '.join(sorted(topics)[:3])}; {HINT}" for name, topics in new.items()}

    def _own(self, endpoints: Iterable[Any]) -> Any:
        """The hash of this node's definition; None where ROS tells none."""
        mine = (self._node.get_name(), self._node.get_namespace())
        hashes = [hash_of(one) for one in endpoints if (one.node_name, one.node_namespace) == mine]
        return hashes[0] if hashes else None


def hash_of(endpoint: Any) -> Any:
    """The hash of an endpoint's definition of its messages; None where ROS, or the other side's, tells none."""
    told = getattr(endpoint, "topic_type_hash", None)
    return told if told is not None and told.version > 0 else None


def others(own: Any, publishers: Iterable[Any]) -> set[str]:
    """The names of nodes that publish another definition."""
    different = [one for one in publishers if hash_of(one) is not None and hash_of(one) != own]
    return {f"{one.node_namespace.rstrip('/')}/{one.node_name}" for one in different if one.node_name != UNKNOWN}
