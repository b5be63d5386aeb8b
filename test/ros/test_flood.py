"""Messages that come faster than a process takes them: timers and coroutines go on."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from std_msgs.msg import String

from test.ros.conftest import PATIENCE, Probe, Processes
from test.ros.drowned import ENOUGH
from uav_twin_migration.nodes.ros.flood import CALM, LATE, SAVED, SHARE, Flood, Pulse, Share
from uav_twin_migration.nodes.ros.guarded import Guarded

EventsExecutor = pytest.importorskip("rclpy.experimental", reason="floods stop events executors alone").EventsExecutor


def test_timers_and_coroutines_go_on_in_a_flood(processes: Processes) -> None:
    command = [sys.executable, str(Path(__file__).with_name("drowned.py"))]
    said, errors = processes.run(command).communicate(timeout=2 * PATIENCE)
    assert said, errors
    found = json.loads(said)
    assert found["ticks"] >= ENOUGH
    assert found["answers"] == [7]
    assert found["noticed"] >= 1


def test_in_a_flood_each_subscription_gets_the_same_share_of_the_time() -> None:
    now = 100.0
    flood = Flood(clock=lambda: now)
    assert not flood.on
    flood.notice()
    loud, quiet = Share(flood), Share(flood)
    spent = Counter[str]()
    step = 0.001
    while flood.on:
        now += step
        for name, share, every in (("loud", loud, 1), ("quiet", quiet, 20)):
            if round(now / step) % every == 0 and not share.is_spent():
                share.spend(0.002)
                spent[name] += 1
    assert now == pytest.approx(100.0 + CALM, abs=2 * step)
    assert spent["quiet"] == pytest.approx(CALM / step / 20, abs=1)  # all of them: 10 % of the time is within its share
    assert spent["loud"] * 0.002 == pytest.approx(CALM * SHARE / 2 + SAVED, rel=0.01)
    quiet.end()
    assert flood.sharers == 1


def test_timers_that_stand_still_while_the_process_works_are_starved(probe: Probe) -> None:
    now = worked = 0.0
    flood = Flood(clock=lambda: now)
    pulse = Pulse(probe, flood, clock=lambda: worked)
    for _ in range(100):  # suspended, or without a processor
        now += 60.0
        pulse.look()
    assert not flood.on
    worked += LATE + 0.1
    pulse.look()
    assert flood.on
    while flood.on:
        assert flood.noticed == 1
        pulse.beat()
        pulse.look()
        now, worked = now + 1.0, worked + 0.5
    worked += LATE + 0.1
    pulse.look()
    assert flood.noticed == 2


def test_a_subscription_may_go_while_somebody_offers_what_does_not_match_it(probe: Probe) -> None:
    """With rclpy's own handlers of events its executor raises InvalidHandle here (Jazzy's, 7.1; 2026-11-30)."""
    node = Guarded("listener", context=probe.context)
    executor = EventsExecutor(context=probe.context)
    executor.add_node(node)
    subscription = node.create_subscription(String, "/noise", lambda message: None, QoSProfile(depth=1))
    ended = Future()

    def go() -> None:
        unreliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        publisher = probe.create_publisher(String, "/noise", unreliable)
        probe.wait_for(lambda: node.count_publishers("/noise") > 0, "the publisher")
        node.destroy_subscription(subscription)
        probe.destroy_publisher(publisher)
        executor.create_task(ended.set_result, None)

    try:
        executor.spin_once(timeout_sec=0.1)
        executor.create_task(go)
        executor.spin_until_future_complete(ended, timeout_sec=60.0)
        assert ended.done()
    finally:
        executor.remove_node(node)
        executor.spin_once(timeout_sec=0.1)
        node.destroy_node()
