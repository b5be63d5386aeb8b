"""`bench soak` in short: the whole system at ten times real time, RSUs restarted meanwhile."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message

from test.ros.conftest import RSU, Probe
from uav_twin_migration.nodes.ros.twin_convert import Heartbeat, uav_heartbeats_to_message
from uav_twin_migration.nodes.rsu import RsuNode
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.twin.hosting import uavs_heard
from uav_twin_migration.twin.protocol.messages import LeaseRenewal


def test_more_uavs_pass_by_an_rsu_than_it_remembers(
    probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uavs_heard, "MOST_UAVS", 10)
    values = {**RSU, "twin_store": str(tmp_path / "twins.db")}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = RsuNode(namespace="/rsu/rsu_0", context=probe.context, parameter_overrides=overrides)
    twins = node._twins
    assert twins is not None
    for number in range(100):
        passing = Heartbeat(LeaseRenewal(f"uav_{number}", "rsu_1", 1 << 24, 1 << 24), None, 1.0)
        twins._on_uav_heartbeat(serialize_message(uav_heartbeats_to_message([passing], 0.0)))
    described = twins.describe()
    node.destroy_node()
    assert "refused/twin_stranger" not in described
    assert twins._uavs.remembered <= 10


@pytest.mark.slow
def test_restarts_lose_no_twin_and_everything_that_should_not_grow_is_measured(domain: int, tmp_path: Path) -> None:
    for module in ("cryptography", "nacl", "psutil", "scipy", "matplotlib", "mcap"):
        pytest.importorskip(module)
    from uav_twin_migration.studies.benchmarks.soak import (
        OF_ALL,
        OF_RSUS,
        Course,
        draw,
        figures_of,
        soak,
        trends_of,
        write_rows,
    )
    from uav_twin_migration.studies.harnesses.long_running_city import LongRunningCity

    city = LongRunningCity(tmp_path, generate(2, 3, seed=1), 10.0, domain)
    course = Course(duration=20.0, restart_every=5.0, sample_every=0.4, warm_up=1.0, restarts=2)
    soaked = soak(city, course)

    assert {one.way for one in soaked.restarts} == {"SIGTERM", "SIGKILL"}
    assert all(math.isfinite(one.recovered) for one in soaked.restarts)
    assert (soaked.lost, soaked.missing, soaked.oversold) == (0, 0, 0)
    trends = trends_of(soaked.rows, course, city.rsus)
    never_restarted = [one for one in trends if one.process == city.rsus[0]]
    assert [one.quantity for one in never_restarted] == list(OF_RSUS)
    assert all(math.isfinite(one.slope.value) for one in never_restarted)
    for other in ("world", "link", "uav_container_0", "recorder", "watch"):
        assert [one.quantity for one in trends if one.process == other] == list(OF_ALL)
    assert len(figures_of(soaked, trends, city.rsus)) > 30
    write_rows(soaked.rows, tmp_path / "soak.csv")
    assert len((tmp_path / "soak.csv").read_text().splitlines()) == len(soaked.rows) + 1
    draw(soaked, city.rsus, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 10_000
    assert all(process.poll() is not None for process in city.processes.values())
