"""Metrics for Prometheus, on request, at http://ADDRESS:PORT/metrics, and whether all is well, at /healthz.

A node of its own, beside one RSU or for a whole city, so that no RSU carries a web server. Needs `prometheus_client`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray

from uav_twin_migration.deployment import topics
from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.monitor.prometheus import COUNTER, MEANINGS, PREFIX, Sample, samples
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.market_times import MarketTimes
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.scenario.settings import parameter

STALE = 10.0  # s without a word after which a node's metrics are gone
ILL = 2  # the level of an error, in DiagnosticStatus

PARAMETERS = (
    parameter("port", 9464, "TCP port to listen at", 1, 65535),
    parameter("address", "127.0.0.1", "address to listen at"),
    parameter("region", "", "region whose rounds and twins to hear"),
    parameter("rsu", "", "id of the RSU that /healthz is about; empty: any node that is heard"),
)


class MetricsNode(Guarded):
    """Hears a market, and answers Prometheus."""

    def __init__(self, **options: Any) -> None:
        super().__init__("metrics", **options)
        values = declare(self, PARAMETERS)
        try:
            from prometheus_client import CollectorRegistry
        except ImportError as error:
            raise UavTwinError("prometheus_client is missing: install python3-prometheus-client") from error
        self._rsu = values["rsu"]
        self._heard: dict[str, tuple[float, int, dict[str, str]]] = {}  # status -> s, its level and values
        self._times = MarketTimes(self, values["region"])
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._server = self._serve(values["address"], values["port"])
        self.get_logger().info(f"metrics at http://{values['address']}:{values['port']}/metrics")
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, qos_profiles.MARKET)

    def _serve(self, address: str, port: int) -> ThreadingHTTPServer:
        node = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10.0  # s for a request

            def do_GET(self) -> None:  # as its base class has it
                node._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Not a line for each."""

        try:
            server = ThreadingHTTPServer((address, port), Handler)
        except OSError as error:
            problem = UavTwinError(f"{address}:{port}: {error.strerror}")
            problem.may_pass = True
            raise problem from error
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        return server

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        """In a thread of the server's."""
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        path = request.path.partition("?")[0]
        if path == "/metrics":
            code, kind, body = 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        elif path == "/healthz":
            trouble = self.trouble()
            code, kind = (503 if trouble else 200), "text/plain; charset=utf-8"
            body = f"{trouble or 'ok'}\n".encode()
        else:
            code, kind, body = 404, "text/plain; charset=utf-8", b"/metrics, /healthz\n"
        request.send_response(code)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def trouble(self) -> str:
        """What is wrong with what `/healthz` is about; empty where nothing is."""
        fresh = {
            status: (level, values) for status, (at, level, values) in self._heard.copy().items() if at > _stale_since()
        }
        if not self._rsu:
            return "" if fresh else "nothing is heard"
        level, values = fresh.get(f"rsu/{self._rsu}", (ILL, {"trouble": f"RSU {self._rsu} is not heard"}))
        return values.get("trouble", "an error") if level >= ILL else ""

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        now = time.monotonic()
        for status in message.status:
            level = int.from_bytes(status.level, "little") if isinstance(status.level, bytes) else int(status.level)
            self._heard[status.name] = (now, level, {entry.key: entry.value for entry in status.values})

    def collect(self) -> Iterator[Any]:
        """For prometheus_client, in a thread of the server's."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        found: dict[str, list[Sample]] = {}
        for sample in self._samples():
            found.setdefault(sample.name, []).append(sample)
        for name, measured in sorted(found.items()):
            keys = list(measured[0].labels)
            kind = CounterMetricFamily if measured[0].kind == COUNTER else GaugeMetricFamily
            family = kind(PREFIX + name, measured[0].meaning, labels=keys)
            for sample in measured:
                family.add_metric([sample.labels.get(key, "") for key in keys], sample.value)
            yield family
        for name, histograms in self._times.histograms.items():
            times = HistogramMetricFamily(PREFIX + name, MEANINGS[name], labels=["rsu"])
            for rsu, histogram in sorted(histograms.copy().items()):
                times.add_metric([rsu], histogram.buckets(), histogram.sum)
            yield times

    def _samples(self) -> Iterator[Sample]:
        for status, (heard, level, values) in list(self._heard.items()):
            if heard < _stale_since():
                self._heard.pop(status, None)  # in months, many UAVs pass by
            else:
                yield from samples(status, level, values)
        yield from self._times.samples()

    def destroy_node(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        super().destroy_node()


def _stale_since() -> float:
    return time.monotonic() - STALE


def main() -> int:
    """``ros2 run uav_twin_migration metrics``."""
    return run(lambda: [MetricsNode()])
