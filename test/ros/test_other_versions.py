"""Nodes with other definitions of messages in one region: said, and harmless.

The other version here is a publisher of another type on the same topic, and bytes that are no message of ours. Compared
with 0.1's own nodes in one region with this version's, 2026-11-30 (docs/edge.md has the table).
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.node import Node
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from test.ros.conftest import RSU, Probe, Processes
from uav_twin_migration.deployment import topics


@pytest.fixture
def stranger(domain: int) -> Iterator[Node]:
    """A node that says something else on a topic of ours."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("stranger", context=context)
    node.create_publisher(String, topics.BANDWIDTH_DEMANDS, 10)
    yield node
    node.destroy_node()
    context.try_shutdown()


def test_a_node_of_another_version_is_named_and_costs_nobody_a_round(
    stranger: Node, processes: Processes, probe: Probe
) -> None:
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU)
    probe.answer_every_offer(uav_0=4.0)
    probe.wait_for(lambda: {"uav_0": 4.0} in probe.shares() and probe.demands, "a round")
    dice, whole = random.Random(1), serialize_message(probe.demands[-1])
    for length in (8, len(whole) // 2, len(whole) - 1, len(whole) + 8):  # fields less, and more
        probe.demand_publisher.publish(bytes(whole[:length]) + dice.randbytes(max(0, length - len(whole))))
    seen = len(probe.grants)
    probe.wait_for(lambda: {"uav_0": 4.0} in probe.shares(seen + 2), "a round after that")

    def named() -> str | None:
        return probe.diagnostics.get("rsu/rsu_0", {}).get("other_versions")

    probe.wait_for(lambda: named() == "/stranger", "its name in /diagnostics")
    assert rsu.poll() is None
