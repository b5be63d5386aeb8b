"""Hosts whose clocks disagree: the market does not mind."""

from __future__ import annotations

import json
import sys
from typing import Any

from test.ros.conftest import RSU, UAV, Probe, Processes
from uav_twin_migration.deployment.plan import NodeSpec, ProcessSpec

# Runs a node whose time of day is off by so many seconds, and steps by so many after a while.
OFF = """
import sys, time
offset, step, after = map(float, sys.argv[1:4])
true, began = time.time, time.monotonic()
time.time = lambda: true() + offset + (step if time.monotonic() > began + after else 0.0)
from uav_twin_migration.nodes import component_container as host
sys.argv = [sys.argv[0], sys.argv[4]]
sys.exit(host.main())
"""


def start(processes: Processes, node: NodeSpec, offset: float, step: float = 0.0, after: float = 1e9) -> Any:
    """A node on a host whose clock is off."""
    document = json.dumps(ProcessSpec("test", (node,)).to_json())
    return processes.run([sys.executable, "-c", OFF, *map(str, (offset, step, after)), document])


def served(probe: Probe, since: int) -> int:
    """Rounds in which the UAV was granted something, from a grant on."""
    return sum(shares.get("uav_0", 0.0) > 0.0 for shares in probe.shares(since))


def test_hosts_whose_clocks_are_five_seconds_apart_trade(processes: Processes, probe: Probe) -> None:
    probe.fly()
    start(processes, NodeSpec("rsu", "/rsu/rsu_0", {**RSU}), offset=2.5)
    start(processes, NodeSpec("uav", "/uav/uav_0", {**UAV}), offset=-2.5)
    probe.wait_for(lambda: served(probe, 0) >= 5, "grants for the UAV")
    assert probe.refused() == {}
    assert probe.refused("uav/uav_0") == {}


def test_a_clock_that_steps_by_a_minute_disturbs_nobody(processes: Processes, probe: Probe) -> None:
    probe.fly()
    start(processes, NodeSpec("rsu", "/rsu/rsu_0", {**RSU}), offset=0.0, step=-60.0, after=4.0)
    start(processes, NodeSpec("uav", "/uav/uav_0", {**UAV}), offset=0.0, step=60.0, after=5.0)
    probe.wait_for(
        lambda: served(probe, 0) >= 15, "grants for the UAV, before and after the steps"
    )  # half a second each
    rounds = [grant.round for grant in probe.grants]
    assert rounds == sorted(set(rounds))


def test_an_rsu_that_restarts_after_its_clock_was_set_back_is_served_again(processes: Processes, probe: Probe) -> None:
    probe.fly()
    rsu = start(processes, NodeSpec("rsu", "/rsu/rsu_0", {**RSU}), offset=0.0)
    uav = start(processes, NodeSpec("uav", "/uav/uav_0", {**UAV}), offset=0.0)
    probe.wait_for(lambda: served(probe, 0) >= 2, "grants for the UAV")
    last = probe.offers[-1].round
    rsu.kill()
    rsu.wait()
    since = len(probe.grants)
    start(processes, NodeSpec("rsu", "/rsu/rsu_0", {**RSU}), offset=-60.0)
    probe.wait_for(lambda: served(probe, since) >= 2, "grants after the restart")
    assert probe.offers[-1].round < last
    assert uav.poll() is None
