"""The monitor hears a market, and tells people and tools what it sees."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from typing import Any

import pytest
from nav_msgs.msg import Odometry
from uav_twin_migration.msg import MarketState, RsuState, TwinTransfers, UavState
from visualization_msgs.msg import MarkerArray

from test.ros.conftest import PATIENCE, Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.monitor.readers import columns
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.studies.harnesses.ports import free_port


def test_a_market_is_told_beside_its_equilibrium_and_shown_on_a_page(processes: Processes, probe: Probe) -> None:
    pytest.importorskip("aiohttp")
    heard: dict[str, list[Any]] = {}
    for kind, topic in (
        (MarketState, topics.MARKET_STATE),
        (TwinTransfers, topics.TWIN_TRANSFERS),
        (RsuState, topics.rsu_state("rsu_1")),
        (UavState, topics.uav_state("uav_1")),
        (MarkerArray, topics.CITY_MARKERS),
    ):
        store = heard.setdefault(topic, [])
        probe.create_subscription(kind, topic, store.append, qos_profiles.MARKET)
    port = free_port()
    for node in ("world", "link"):
        processes.start(node, "", scenario="small", use_sim_time=node == "link")
    for rsu in ("rsu_1", "rsu_2"):
        values = {"position": [0.0, 0.0, 15.0], "range": 600.0, "capacity": 15.0, "unit_cost": 1.0, "price_cap": 20.0}
        processes.start("rsu", f"/rsu/{rsu}", rsu_id=rsu, admitted_uavs=["uav_*"], use_sim_time=True, **values)
    processes.start("monitor", "", scenario="small", plain=True, view_port=port, use_sim_time=True)
    probe.wait_for(lambda: all(heard.values()), "states, transfers and markers")

    def compared() -> bool:
        return any(price > 0.0 for price in heard[topics.MARKET_STATE][-1].equilibrium_prices)

    probe.wait_for(compared, "an equilibrium")
    state = heard[topics.MARKET_STATE][-1]
    assert state.rsu_ids == ["rsu_1", "rsu_2"]
    assert 0.0 <= state.exploitability <= 1.0
    assert list(columns(state.rsu_ids, state.prices, state.loads, state.profits, state.twins))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as page:
        assert b"<!doctype html>" in page.read()


def test_whatever_runs_is_seen_live_without_a_scenario(processes: Processes, probe: Probe) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    port = free_port()
    command = [sys.executable, "-m", "uav_twin_migration.cli", "view", "--live", "--port", str(port)]
    viewer = processes.run(command)
    odometry = probe.create_publisher(Odometry, topics.odometry("uav_7"), qos_profiles.ODOMETRY)
    message = Odometry()
    message.pose.pose.position.x = 12.0
    message.pose.pose.orientation.w = 1.0
    probe.create_timer(0.1, lambda: odometry.publish(message))
    assert viewer.stdout is not None
    assert f":{port}/" in viewer.stdout.readline()

    async def watch() -> list[str]:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}/frames") as socket_:
            while True:
                told = json.loads(await socket_.receive_str(timeout=PATIENCE))
                if told.get("cast", {}).get("uavs"):
                    return [uav["id"] for uav in told["cast"]["uavs"]]
                probe.wait_for(iter([False, False, True]).__next__, "a turn of the publisher")

    assert asyncio.run(watch()) == ["uav_7"]
