"""Metrics for Prometheus."""

from __future__ import annotations

import socket
import time
import urllib.request

import pytest

pytest.importorskip("prometheus_client")

from test.ros.conftest import PATIENCE, RSU, Processes
from uav_twin_migration.nodes.metrics import samples


def test_a_status_as_metrics() -> None:
    values = {"price": "2.5", "refused/late": "3", "draining": "False", "trouble": "no disk", "offer_to_grant_ms": ""}
    assert list(samples("rsu/north", values)) == [
        ("uavtwin_price", {"kind": "rsu", "id": "north"}, 2.5),
        ("uavtwin_refused_total", {"kind": "rsu", "id": "north", "reason": "late"}, 3.0),
        ("uavtwin_draining", {"kind": "rsu", "id": "north"}, 0.0),
    ]


def test_prometheus_is_answered(processes: Processes) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
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
