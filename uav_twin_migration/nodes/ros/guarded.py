"""The last catch of a node: a message that its callback cannot deal with is dropped and counted, and the node goes on.

Readers check what they are given (convert.py, bounded.py); this is for what nobody thought of, rclpy's own callbacks
included: its clock raises on a /clock before zero.

Nobody listens to the middleware's events, of services that do not match, say: rclpy 7.1's events executor dies of one
that is still in its queue when its publisher or subscription goes. Who does not match is told at the other end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message

from uav_twin_migration.nodes.ros.flood import FLOOD, Share

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks


class Guarded(Node):
    """A node that no message can end, nor a call that comes after the timer or subscription it was for."""

    unexpected: Counter[str]  # messages that were dropped, by topic
    _shares: dict[Any, Share]  # of the time in a flood, by subscription

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Callable[[Any], None], qos_profile: Any, **options: Any
    ) -> Any:
        """As rclpy's, with a callback that never raises."""
        if not hasattr(self, "unexpected"):  # rclpy's clock subscribes before the node is made
            self.unexpected, self._shares = Counter(), {}

        # what is latched is said once, and never again where it is dropped
        said_again = not isinstance(qos_profile, QoSProfile) or qos_profile.durability == DurabilityPolicy.VOLATILE
        wants_bytes, share = options.get("raw", False), Share(FLOOD)
        subscription: Any = None  # until it is made: where another thread spins, its first message may be sooner

        def guarded(message: Any) -> None:
            flooded = said_again and FLOOD.on
            if subscription is not None:
                if subscription not in self._shares:
                    return  # destroyed while this was waiting
                # in a flood messages are taken as bytes, from the next one on: to drop one costs less
                subscription.raw = wants_bytes or flooded
            if flooded and share.is_spent():
                return
            began = time.monotonic()
            try:
                as_bytes = isinstance(message, bytes) and not wants_bytes
                callback(deserialize_message(message, msg_type) if as_bytes else message)
            except Exception as error:
                self._tell_of(error, topic)
            if flooded:
                share.spend(time.monotonic() - began)

        options.setdefault("event_callbacks", SubscriptionEventCallbacks(use_default_callbacks=False))
        subscription = super().create_subscription(msg_type, topic, guarded, qos_profile, **options)
        self._shares[subscription] = share
        return subscription

    def create_publisher(self, msg_type: Any, topic: str, qos_profile: Any, **options: Any) -> Any:
        """As rclpy's, without handlers of the middleware's events."""
        options.setdefault("event_callbacks", PublisherEventCallbacks(use_default_callbacks=False))
        return super().create_publisher(msg_type, topic, qos_profile, **options)

    def create_timer(self, timer_period_sec: float, callback: Callable[[], object], *more: Any, **options: Any) -> Any:
        """As rclpy's, but a destroyed one calls nobody: rclpy's executor may have a call of it waiting."""
        timer: Any = None

        def unless_destroyed() -> object:
            return callback() if timer is None or timer in self.timers else None

        timer = super().create_timer(timer_period_sec, unless_destroyed, *more, **options)
        return timer

    def destroy_subscription(self, subscription: Any) -> bool:
        """As rclpy's."""
        if subscription in self._shares:
            self._shares.pop(subscription).end()
        return super().destroy_subscription(subscription)

    def _tell_of(self, error: Exception, topic: str) -> None:
        """A message was dropped."""
        self.unexpected[topic] += 1
        times = self.unexpected[topic]
        if times & (times - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood of them fills no log
            self.get_logger().error(f"a message on {topic} is dropped, {times} so far: {type(error).__name__}: {error}")

    def describe_unexpected(self) -> dict[str, object]:
        """For `/diagnostics`."""
        dropped = sum(getattr(self, "unexpected", Counter()).values())
        return {"refused/unexpected": dropped} if dropped else {}
