"""Hosts whose clocks disagree: the market does not mind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from test.ros.conftest import RSU, UAV, Probe, Processes
from uav_twin_migration.deployment.plan import NodeSpec, ProcessSpec

# Runs a node whose time of day is off by so many seconds, and steps by so many once a file is there.
OFF = """
import os, sys, time
offset, step, stepped = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
true = time.time
time.time = lambda: true() + offset + (step if os.path.exists(stepped) else 0.0)
from uav_twin_migration.nodes import component_container as host
sys.argv = [sys.argv[0], sys.argv[4]]
sys.exit(host.main())
"""
SLOW = {"late", "past_round", "unasked"}  # why what a busy machine brings when its round is over is refused


def start(processes: Processes, node: NodeSpec, offset: float, step: float = 0.0, stepped: str = "/nowhere") -> Any:
    """A node on a host whose clock is off."""
    document = json.dumps(ProcessSpec("test", (node,)).to_json())
    return processes.run([sys.executable, "-c", OFF, *map(str, (offset, step, stepped)), document])


def test_hosts_whose_clocks_are_five_seconds_apart_trade(processes: Processes, probe: Probe) -> None:
    probe.fly()
    start(processes, NodeSpec("rsu", "/rsu/rsu_0", {**RSU}), offset=2.5)
    start(processes, NodeSpec("uav", "/uav/uav_0", {**UAV}), offset=-2.5)
    probe.wait_for_trade(rounds=5)
    probe.wait_for(lambda: {"rsu/rsu_0", "uav/uav_0"} <= probe.diagnostics.keys(), "diagnostics of both")
    assert probe.refused().keys() <= SLOW
    assert probe.refused("uav/uav_0").keys() <= SLOW


def test_a_clock_that_steps_by_a_minute_disturbs_nobody(processes: Processes, probe: Probe, tmp_path: Path) -> None:
    back, forth = tmp_path / "back", tmp_path / "forth"
    probe.fly()
    start(processes, NodeSpec("rsu", "/rsu/rsu_0", {**RSU}), offset=0.0, step=-60.0, stepped=str(back))
    start(processes, NodeSpec("uav", "/uav/uav_0", {**UAV}), offset=0.0, step=60.0, stepped=str(forth))
    for step in (back, forth):
        probe.wait_for_trade(rounds=3)
        step.touch()
    probe.wait_for_trade(rounds=5)
    rounds = [grant.round for grant in probe.grants]
    assert rounds == sorted(set(rounds))


def test_an_rsu_that_restarts_after_its_clock_was_set_back_is_served_again(processes: Processes, probe: Probe) -> None:
    probe.fly()
    rsu = start(processes, NodeSpec("rsu", "/rsu/rsu_0", {**RSU}), offset=0.0)
    uav = start(processes, NodeSpec("uav", "/uav/uav_0", {**UAV}), offset=0.0)
    probe.wait_for_trade(rounds=2)
    last = probe.offers[-1].round
    rsu.kill()
    rsu.wait()
    start(processes, NodeSpec("rsu", "/rsu/rsu_0", {**RSU}), offset=-60.0)
    probe.wait_for(lambda: probe.offers[-1].round < last, "offers after the restart, by its clock")
    probe.wait_for_trade(rounds=2)
    assert probe.offers[-1].round < last
    assert uav.poll() is None
