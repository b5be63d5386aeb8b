"""The last catch of a node: a message that its callback cannot deal with is dropped and counted, and the node goes on.

Readers check what they are given (convert.py, bounded.py); this is for what nobody thought of, rclpy's own callbacks
included: its clock raises on a /clock before zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from uav_twin_migration.nodes.ros import flood


class Guarded(Node):
    """A node none of whose subscriptions can end it."""

    unexpected: Counter[str]  # messages that were dropped, by topic

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Callable[[Any], None], qos_profile: Any, **options: Any
    ) -> Any:
        """As rclpy's, with a callback that never raises."""
        if not hasattr(self, "unexpected"):  # rclpy's clock subscribes before the node is made
            self.unexpected = Counter()

        volatile = qos_profile.durability == DurabilityPolicy.VOLATILE if isinstance(qos_profile, QoSProfile) else True

        def guarded(message: Any) -> None:
            if flood.shedding and volatile:
                return
            try:
                callback(message)
            except Exception as error:
                self.unexpected[topic] += 1
                times = self.unexpected[topic]
                if times & (times - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood of them fills no log
                    logger = self.get_logger()
                    logger.error(f"a message on {topic} is dropped, {times} so far: {type(error).__name__}: {error}")

        return super().create_subscription(msg_type, topic, guarded, qos_profile, **options)

    def describe_unexpected(self) -> dict[str, object]:
        """For `/diagnostics`."""
        dropped = sum(getattr(self, "unexpected", Counter()).values())
        return {"refused/unexpected": dropped} if dropped else {}
