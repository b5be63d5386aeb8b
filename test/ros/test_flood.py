"""Messages that come faster than a process takes them: timers go on, memory is bounded, and it ends when told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.qos import QoSProfile
from rclpy.task import Future
from std_msgs.msg import String

from uav_twin_migration.nodes.ros import flood, spin
from uav_twin_migration.nodes.ros.guarded import Guarded


class Drowned(Guarded):
    """A node that hears itself more often than it can listen."""

    def __init__(self) -> None:
        super().__init__("drowned")
        self.ticks = list[float]()
        self.said = self.create_publisher(String, "/noise", QoSProfile(depth=10))
        self.create_subscription(String, "/noise", lambda message: time.sleep(0.002), QoSProfile(depth=10))
        self.create_timer(0.1, lambda: self.ticks.append(time.monotonic()))

    def begin(self, coroutine: Any) -> None:
        """Once it is spun."""

        def start() -> None:
            timer.cancel()
            assert self.executor is not None  # which calls this
            self.executor.create_task(coroutine)

        timer = self.create_timer(0.01, start)


@pytest.fixture
def drowned(domain: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drowned]:
    monkeypatch.setattr(flood, "LATE", 0.5)
    rclpy.init(domain_id=domain)
    node = Drowned()
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def test_timers_and_coroutines_go_on_in_a_flood(drowned: Drowned) -> None:
    stop, ended = spin.Stop(), Future()
    begun, answers = threading.Event(), list[int]()

    def shout() -> None:
        begun.wait(30.0)
        while not stop.requested.done():
            drowned.said.publish(String(data="a"))
            time.sleep(0.0005)

    def tell() -> None:
        """Some time in the flood, a coroutine that began before it gets its answer; then all ends."""
        deadline = time.monotonic() + 30.0
        while len([at for at in drowned.ticks if at > began + 2.0]) < 20 and time.monotonic() < deadline:
            time.sleep(0.05)
        ended.set_result(7)
        while not answers and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.request()

    async def order() -> None:
        begun.set()
        answers.append(await ended)

    began = time.monotonic()
    drowned.begin(order)
    threads = [threading.Thread(target=work) for work in (shout, tell)]
    for thread in threads:
        thread.start()
    stop.spin([drowned])
    for thread in threads:
        thread.join()
    assert stop._flooded.done()
    assert len([at for at in drowned.ticks if at > began + 2.0]) >= 20
    assert answers == [7]
    assert not flood.shedding
