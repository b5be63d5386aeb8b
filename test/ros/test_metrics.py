"""Metrics for Prometheus."""

from __future__ import annotations

import socket
import time
import urllib.request

import pytest

pytest.importorskip("prometheus_client")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.parameter import Parameter

from test.ros.conftest import PATIENCE, RSU, Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes import metrics
from uav_twin_migration.nodes.metrics import samples


def test_a_status_as_metrics() -> None:
    values = {
        "price": "2.5",
        "refused/overdue": "3",
        "draining": "False",
        "trouble": "no disk",
        "offer_to_grant_ms": "",
    }
    assert list(samples("rsu/north", values)) == [
        ("uavtwin_price", {"kind": "rsu", "id": "north"}, 2.5),
        ("uavtwin_refused_total", {"kind": "rsu", "id": "north", "reason": "overdue"}, 3.0),
        ("uavtwin_draining", {"kind": "rsu", "id": "north"}, 0.0),
    ]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_who_has_been_silent_is_forgotten(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    node = metrics.MetricsNode(context=probe.context, parameter_overrides=[Parameter("port", value=free_port())])
    assert probe.executor is not None
    probe.executor.add_node(node)
    status = DiagnosticStatus(name="uav/passing", values=[KeyValue(key="uavs", value="1")])
    said = probe.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, 10)
    probe.create_timer(0.1, lambda: said.publish(DiagnosticArray(status=[status])))
    monkeypatch.setattr(metrics, "STALE", 1e9)
    probe.wait_for(lambda: list(node.collect()), "metrics")
    probe.executor.remove_node(node)
    monkeypatch.setattr(metrics, "STALE", -1.0)
    assert list(node.collect()) == []
    monkeypatch.setattr(metrics, "STALE", 1e9)
    assert list(node.collect()) == []
    node.destroy_node()


def test_prometheus_is_answered(processes: Processes) -> None:
    port = free_port()
    processes.start("metrics", "", port=port)
    processes.start("rsu", "/rsu/rsu_0", **RSU)
    end, page = time.monotonic() + PATIENCE, ""
    while 'uavtwin_price{id="rsu_0",kind="rsu"}' not in page.replace('kind="rsu",id="rsu_0"', 'id="rsu_0",kind="rsu"'):
        assert time.monotonic() < end, page
        try:
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        except OSError:
            time.sleep(0.1)
    assert "# TYPE uavtwin_price gauge" in page
