"""Metrics for Prometheus, on request: what nodes say on /diagnostics, at http://ADDRESS:PORT/metrics.

A node of its own, beside one RSU or for a whole city, so that no RSU carries a web server. Needs `prometheus_client`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray

from uav_twin_migration.deployment import topics
from uav_twin_migration.errors import UavTwinError, missing_library
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.scenario.settings import parameter

STALE = 10.0  # s without a word after which a node's metrics are gone

PARAMETERS = (
    parameter("port", 9464, "TCP port to listen at", 1, 65535),
    parameter("address", "127.0.0.1", "address to listen at"),
)


def samples(name: str, values: dict[str, str]) -> Iterator[tuple[str, dict[str, str], float]]:
    """A status as metrics: name, labels, value. What is no number is left out."""
    kind, _, id_ = name.partition("/")
    labels = {"kind": kind, "id": id_}
    for key, text in values.items():
        try:
            value = float({"True": "1", "False": "0"}.get(text, text))
        except ValueError:
            continue
        group, _, reason = key.partition("/")
        if reason:
            yield f"uavtwin_{group}_total", {**labels, "reason": reason}, value
        else:
            yield f"uavtwin_{key}", labels, value


class MetricsNode(Guarded):
    """Hears diagnostics, and answers Prometheus."""

    def __init__(self, **options: Any) -> None:
        super().__init__("metrics", **options)
        values = declare(self, PARAMETERS)
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError:
            raise missing_library("metrics need", "prometheus_client") from None
        self._heard: dict[str, tuple[float, dict[str, str]]] = {}  # status -> s, its values
        registry = CollectorRegistry()
        registry.register(self)
        try:
            started = start_http_server(values["port"], values["address"], registry)
        except OSError as error:
            raise UavTwinError(f"{values['address']}:{values['port']}: {error.strerror}") from error
        self.get_logger().info(f"metrics at http://{values['address']}:{values['port']}/metrics")
        self._server = started[0] if started else None  # before version 0.19 there is nothing to stop it by
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, qos_profiles.MARKET)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        now = time.monotonic()
        for status in message.status:
            self._heard[status.name] = (now, {entry.key: entry.value for entry in status.values})

    def collect(self) -> Iterator[Any]:
        """For prometheus_client, in its thread."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        fresh = time.monotonic() - STALE
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for status, (heard, values) in list(self._heard.items()):
            if heard < fresh:
                self._heard.pop(status, None)  # in months, many UAVs pass by
                continue
            for name, labels, value in samples(status, values):
                found.setdefault(name, []).append((labels, value))
        for name, measured in sorted(found.items()):
            keys = list(measured[0][0])
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, f"{name} of /diagnostics", labels=keys)
            for labels, value in measured:
                family.add_metric([labels[key] for key in keys], value)
            yield family

    def destroy_node(self) -> None:
        """Stop answering."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        super().destroy_node()


def main() -> int:
    """``ros2 run uav_twin_migration metrics``."""
    return run(lambda: [MetricsNode()])
