"""A discovery server that is killed and comes back: who ran meanwhile finds who starts anew (bench discovery)."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.node import Node

from test.ros.conftest import RSU, Probe, Processes
from uav_twin_migration.deployment.discovery import lasting_server, server_command, uses_fast_dds
from uav_twin_migration.studies.harnesses.ports import free_port

UAVTWIN = [sys.executable, "-m", "uav_twin_migration.cli"]

pytestmark = pytest.mark.skipif(
    not uses_fast_dds(os.environ) or not server_command(os.environ),
    reason="NO DISCOVERY SERVER HERE, nothing is proven: no Fast DDS, or its server is not installed",
)


@pytest.fixture
def port(domain: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where the server of this domain is to be."""
    number = free_port(socket.SOCK_DGRAM)
    monkeypatch.setenv("ROS_DISCOVERY_SERVER", f"127.0.0.1:{number}")
    yield number
    # Fast DDS keeps what this variable last said, where it is gone, for all later participants of the process
    monkeypatch.setenv("ROS_DISCOVERY_SERVER", "")
    context = rclpy.Context()
    rclpy.init(context=context)
    Node("forgets", context=context).destroy_node()
    context.try_shutdown()


def test_a_killed_server_and_an_rsu_come_back_and_who_ran_meanwhile_hears_both_ways(
    port: int, processes: Processes, probe: Probe
) -> None:
    probe.answer_every_offer(uav_0=4.0)
    verb = [*UAVTWIN, "rsu", "discovery", "--address", "127.0.0.1", "--port", str(port)]
    for command in (lasting_server(0, "127.0.0.1", port), verb):
        server, rsu = processes.run(command), processes.start("rsu", "/rsu/rsu_0", **RSU)
        already = probe.offers[-1].round if probe.offers else 0
        served = lambda: any(grant.round > already and 4.0 in grant.bandwidth for grant in probe.grants)  # noqa: B023, E731
        probe.wait_for(served, "a grant of a round that is new")
        for process in (server, rsu):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
