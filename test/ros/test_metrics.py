"""Metrics for Prometheus."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.parameter import Parameter

from test.ros.conftest import PATIENCE, RSU, Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes import metrics
from uav_twin_migration.studies.harnesses.ports import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_who_has_been_silent_is_forgotten(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    node = metrics.MetricsNode(context=probe.context, parameter_overrides=[Parameter("port", value=free_port())])
    assert probe.executor is not None
    probe.executor.add_node(node)
    status = DiagnosticStatus(name="uav/passing", values=[KeyValue(key="uavs", value="1")])
    said = probe.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, 10)
    probe.create_timer(0.1, lambda: said.publish(DiagnosticArray(status=[status])))
    monkeypatch.setattr(metrics, "STALE", 1e9)

    def shown() -> Any:
        return [family for family in node.collect() if family.samples]

    probe.wait_for(shown, "metrics")
    probe.executor.remove_node(node)
    monkeypatch.setattr(metrics, "STALE", -1.0)
    assert shown() == []
    monkeypatch.setattr(metrics, "STALE", 1e9)
    assert shown() == []
    node.destroy_node()


def ask(port: int, path: str) -> str:
    """A page, whether its server calls it an error or not."""
    try:
        return str(urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=20).read().decode())
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"


def wait_for(page: Callable[[], str], text: str) -> str:
    """Until a page has a text."""
    end, said = time.monotonic() + PATIENCE, ""
    while text not in said:
        assert time.monotonic() < end, said
        with contextlib.suppress(OSError):
            said = page()
        time.sleep(0.1)
    return said


def test_prometheus_is_answered(processes: Processes) -> None:
    port = free_port()
    processes.start("metrics", "", port=port, rsu="rsu_0")
    wait_for(lambda: ask(port, "healthz"), "503 RSU rsu_0 is not heard")
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU)
    page = wait_for(lambda: ask(port, "metrics"), 'uavtwin_grants_total{id="rsu_0",kind="rsu"}')
    page = wait_for(lambda: ask(port, "metrics"), 'uavtwin_round_seconds_bucket{le="5.0",rsu="rsu_0"}')
    assert "# TYPE uavtwin_rounds_total counter" in page
    assert "# TYPE uavtwin_round_seconds histogram" in page
    wait_for(lambda: ask(port, "healthz"), "ok\n")
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert rsu.poll() is None


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus (Debian: prometheus)")
def test_a_real_prometheus_scrapes_it_with_the_rules_of_deploy(processes: Processes, tmp_path: Path) -> None:
    port, own = free_port(), free_port()
    processes.start("metrics", "", port=port)
    processes.start("rsu", "/rsu/rsu_0", **RSU)
    for file in (DEPLOY / "prometheus").glob("*.yaml"):
        text = file.read_text().replace("127.0.0.1:9464", f"127.0.0.1:{port}").replace(": 15s", ": 1s")
        (tmp_path / file.name).write_text(text)
    storage = f"--storage.tsdb.path={tmp_path / 'data'}"
    config = f"--config.file={tmp_path / 'prometheus.yaml'}"
    processes.run(["prometheus", config, storage, f"--web.listen-address=127.0.0.1:{own}"])
    price = wait_for(lambda: ask(own, "api/v1/query?query=uavtwin_price_credits_per_hertz"), "rsu_0")
    assert float(json.loads(price)["data"]["result"][0]["value"][1]) > 0.0
    rules = json.loads(ask(own, "api/v1/rules"))["data"]["groups"][0]["rules"]
    assert len(rules) > 10
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
