"""A node that hears itself more often than it can listen, in a process of its own: for test_flood.py.

Prints how often its timer came while it was flooded, what a coroutine got that began before, and how often
the flood was noticed. It ends by itself.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import rclpy
from rclpy.qos import QoSProfile
from rclpy.task import Future
from std_msgs.msg import String

from uav_twin_migration.nodes.ros import flood, spin
from uav_twin_migration.nodes.ros.guarded import Guarded

PATIENCE = 30.0  # s
ENOUGH = 20  # ticks
SETTLED = 2.0  # s from the flood's begin, after which ticks count


def work(seconds: float) -> None:
    """Have a processor for so long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


class Drowned(Guarded):
    """Says and hears the same noise."""

    def __init__(self) -> None:
        super().__init__("drowned")
        self.ticks = list[float]()
        self.said = self.create_publisher(String, "/noise", QoSProfile(depth=1000))
        self.create_subscription(String, "/noise", lambda message: work(0.002), QoSProfile(depth=1000))
        self.create_timer(0.1, lambda: self.ticks.append(time.monotonic()))

    def begin(self, coroutine: Any) -> None:
        """Once it is spun."""

        def start() -> None:
            timer.cancel()
            assert self.executor is not None  # which calls this
            self.executor.create_task(coroutine)

        timer = self.create_timer(0.01, start)


def main() -> None:
    """Flood it until its timer has come often enough, then answer the coroutine, and end."""
    flood.LATE = 0.3
    stop = spin.Stop()
    rclpy.init()
    node = Drowned()
    begun, ended, answers = threading.Event(), Future(), list[int]()
    began = time.monotonic()

    def ticks() -> int:
        return sum(at > began + SETTLED for at in node.ticks)

    def shout() -> None:
        begun.wait(PATIENCE)
        while not stop.requested.done():
            for _ in range(50):  # 100 ms of work, each few ms
                node.said.publish(String(data="a"))
            time.sleep(0.005)

    def tell() -> None:
        while (ticks() < ENOUGH or not flood.FLOOD.noticed) and time.monotonic() < began + PATIENCE:
            time.sleep(0.05)
        ended.set_result(7)
        while not answers and time.monotonic() < began + 2.0 * PATIENCE:
            time.sleep(0.05)
        stop.request()

    async def order() -> None:
        begun.set()
        answers.append(await ended)

    node.begin(order)
    threads = [threading.Thread(target=work) for work in (shout, tell)]
    for thread in threads:
        thread.start()
    stop.spin([node])
    for thread in threads:
        thread.join()
    print(json.dumps({"ticks": ticks(), "answers": answers, "noticed": flood.FLOOD.noticed}))


if __name__ == "__main__":
    main()
