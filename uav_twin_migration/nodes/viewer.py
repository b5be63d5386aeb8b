"""Shows whatever runs in this ROS domain on the page: `uavtwin view --live`. It publishes nothing."""

from __future__ import annotations

import time
from typing import Any

from rosgraph_msgs.msg import Clock

from uav_twin_migration.deployment import topics
from uav_twin_migration.monitor.html import page
from uav_twin_migration.monitor.listener import Listener
from uav_twin_migration.monitor.server import PageServer
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.nodes.ros.convert import seconds
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.subscriptions import Subscriptions
from uav_twin_migration.nodes.ros.timing import steady_timer
from uav_twin_migration.scenario.load import load

TICK = 0.2  # s of wall time between two frames
SAMPLE_PERIOD = 1.0  # s between two comparisons with the equilibrium


class ViewerNode(Guarded):
    """Feeds a `Listener`, and serves the page of what that gives."""

    def __init__(self, scenario: str, address: str, port: int, token: str) -> None:
        """scenario: where it happens; empty: what RSUs and UAVs say themselves will do."""
        super().__init__("viewer")
        self._clock_heard: float | None = None
        self._listener = Listener(load(scenario) if scenario else None)
        self._sampled = 0.0
        self._page = PageServer(page(), address, port, token)
        self.create_subscription(Clock, topics.CLOCK, self._on_clock, qos_profiles.MEASUREMENT)
        Subscriptions(self, self._listener, self._now, discover=True)
        steady_timer(self, TICK, self._on_tick)
        print(f"{self._page.url}  (Ctrl-C ends)", flush=True)

    def _on_clock(self, message: Clock) -> None:
        self._clock_heard = seconds(message.clock)

    def _now(self) -> float:
        """Simulated time where somebody tells it, else the time of day, s."""
        return time.time() if self._clock_heard is None else self._clock_heard

    def _on_tick(self) -> None:
        now = self._now()
        sampled = abs(now - self._sampled) >= SAMPLE_PERIOD
        self._sampled = now if sampled else self._sampled
        frame = self._listener.frame(now, sampled)
        self._page.show(self._listener.city.cast(), frame)

    def destroy_node(self) -> None:
        """Close the page before the node goes."""
        self._page.close()
        super().destroy_node()


def run_viewer(scenario: str, address: str, port: int, token: str) -> int:
    """Serve until told to stop. Returns the exit code."""

    def create() -> list[Any]:
        return [ViewerNode(scenario, address, port, token)]

    return run(create, arguments=[])
