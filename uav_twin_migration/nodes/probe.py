"""Listens to a market for some seconds and tells what it heard, as JSON: the eyes of `uavtwin doctor`.

A process of its own, so that a middleware that hangs or crashes takes nobody with it.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray

from uav_twin_migration.deployment import topics
from uav_twin_migration.msg import PriceOffer
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import steady_timer


@dataclass
class Heard:
    """What a probe heard."""

    ages: dict[str, float] = field(default_factory=dict)  # RSU -> s between its offer's stamp and our clock, the least
    states: dict[str, dict[str, str]] = field(default_factory=dict)  # diagnostics: status name -> its values
    nodes: list[str] = field(default_factory=list)  # full names of all nodes that were discovered


class ProbeNode(Guarded):
    """Hears offers and diagnostics; says nothing."""

    def __init__(self, patience: float, region: str) -> None:
        """patience: s to listen. region: whose market."""
        super().__init__("uavtwin_probe")
        self.stop: Any = None
        self.heard = Heard()
        self.create_subscription(
            PriceOffer, topics.in_region(region, topics.PRICE_OFFERS), self._on_offer, qos_profiles.MARKET
        )
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, 50)
        steady_timer(self, patience, self._finish)

    def _on_offer(self, message: PriceOffer) -> None:
        age = time.time() - convert.seconds(message.header.stamp)
        known = self.heard.ages.get(message.rsu_id)
        self.heard.ages[message.rsu_id] = age if known is None else min(age, known)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.heard.states[status.name] = {entry.key: entry.value for entry in status.values}

    def _finish(self) -> None:
        names = self.get_node_names_and_namespaces()
        self.heard.nodes = sorted({f"{space.rstrip('/')}/{name}" for name, space in names if name != self.get_name()})
        self.stop()


def main() -> int:
    """``python3 -m uav_twin_migration.nodes.probe SECONDS [REGION]``."""
    nodes: list[ProbeNode] = []

    def create() -> list[ProbeNode]:
        nodes.append(ProbeNode(float(sys.argv[1]), "".join(sys.argv[2:])))
        return nodes

    code = run(create, arguments=[])
    print(json.dumps(asdict(nodes[0].heard)))
    return code


if __name__ == "__main__":
    sys.exit(main())
