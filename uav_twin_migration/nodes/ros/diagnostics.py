"""What a node says about itself: on /diagnostics, once a second, its state, and refusals counted by reason.

What is refused is in its log, too, one line for each reason, with counts where it repeats (monitor/throttled_log.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from uav_twin_migration.deployment.topics import DIAGNOSTICS
from uav_twin_migration.monitor.hints import TOO_SLOW, hint
from uav_twin_migration.monitor.throttled_log import ThrottledLog
from uav_twin_migration.nodes.ros.other_versions import OtherVersions
from uav_twin_migration.nodes.ros.timing import steady_timer

LOOK_EVERY = 10  # periods between two looks for nodes of another version
MOST_NAMED = 10
PERIOD = 1.0  # s
LATE = 0.5  # s by which a node's timers may be late before it says that the machine is too slow


class Diagnostics:
    """Publishes what `describe` returns, by status name.

    A refusal since the last time makes the status a warning, as does being late; a value named `trouble` an error.
    """

    def __init__(
        self,
        node: Node,
        describe: Callable[[], Mapping[str, Mapping[str, object]]],
        senders: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """senders: who was refused last, by reason, where that is known."""
        self._node = node
        self._describe, self._senders = describe, senders
        self._counts: dict[tuple[str, str], int] = {}
        self.throttled_log = ThrottledLog(node.get_logger().warning)
        self._refused: dict[str, int] = {}
        self._other_versions, self._periods = OtherVersions(node), 0
        self._publisher = node.create_publisher(DiagnosticArray, DIAGNOSTICS, 10)
        self._due = time.monotonic() + PERIOD  # s
        steady_timer(node, PERIOD, self.publish)

    def publish(self) -> None:
        """Say it now."""
        now = time.monotonic()
        late, self._due = max(0.0, now - self._due), now + PERIOD
        if late > LATE:
            self.throttled_log.note("timers are late", f"{late:.1f} s; {TOO_SLOW}")
        if self._periods % LOOK_EVERY == 0:
            for other, where in self._other_versions.look().items():
                self.throttled_log.note(f"{other} is of another version", where)
        self._periods += 1
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        for name, values in self._describe().items():
            status = DiagnosticStatus(name=name, hardware_id=name)
            status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
            status.values.append(KeyValue(key="late_ms", value=str(round(1e3 * late))))
            of_another_version = ", ".join(sorted(self._other_versions.found)[:MOST_NAMED])
            if of_another_version:
                status.values.append(KeyValue(key="other_versions", value=of_another_version))
            refused = sum(int(str(value)) for key, value in values.items() if key.startswith("refused/"))
            if values.get("trouble"):
                status.level, status.message = DiagnosticStatus.ERROR, str(values["trouble"])
            elif late > LATE:
                status.level, status.message = DiagnosticStatus.WARN, f"{late:.1f} s late: {TOO_SLOW}"
            elif of_another_version:
                status.level, status.message = DiagnosticStatus.WARN, f"of another version: {of_another_version}"
            elif refused > self._refused.get(name, 0):
                status.level, status.message = DiagnosticStatus.WARN, "refused input"
            else:
                status.level, status.message = DiagnosticStatus.OK, "ok"
            self._refused[name] = refused
            self._log_refusals(name, values)
            message.status.append(status)
        self._publisher.publish(message)
        self.throttled_log.tick()

    def _log_refusals(self, name: str, values: Mapping[str, object]) -> None:
        senders = self._senders()
        for key, value in values.items():
            kind, _, reason = key.partition("/")
            news = int(str(value)) - self._counts.get((name, key), 0) if kind == "refused" else 0
            if news > 0:
                sender = f"last from {senders[reason]!r}; " if senders.get(reason) else ""
                self.throttled_log.note(f"refused, {reason}", sender + hint(reason), news)
                self._counts[name, key] = int(str(value))
