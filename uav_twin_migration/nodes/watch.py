"""Prints what it hears of a market, a JSON line for each event: the eyes of `uavtwin bench hosts`."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from rclpy.node import Node

from uav_twin_migration.msg import BandwidthGrant, PriceOffer
from uav_twin_migration.nodes import topics
from uav_twin_migration.nodes.spin import run


class WatchNode(Node):
    """Hears offers and grants; says nothing on the network."""

    def __init__(self) -> None:
        super().__init__("watch")
        self.create_subscription(PriceOffer, topics.PRICE_OFFERS, self._on_offer, topics.MARKET)
        self.create_subscription(BandwidthGrant, topics.BANDWIDTH_GRANTS, self._on_grant, topics.MARKET)
        tell("started")

    def _on_offer(self, message: PriceOffer) -> None:
        tell("offer", rsu=message.rsu_id, round=message.round)

    def _on_grant(self, message: BandwidthGrant) -> None:
        sold = sum(message.bandwidth)
        served = sum(share > 0.0 for share in message.bandwidth)
        tell("grant", rsu=message.rsu_id, round=message.round, sold=sold, served=served)


def tell(kind: str, **values: Any) -> None:
    """Print an event. `at`: s of this machine's steady clock, which its namespaces share."""
    print(json.dumps({"kind": kind, "at": time.monotonic(), **values}), flush=True)


def main() -> int:
    """``python3 -m uav_twin_migration.nodes.watch``."""
    return run(lambda: [WatchNode()], arguments=[])


if __name__ == "__main__":
    sys.exit(main())
