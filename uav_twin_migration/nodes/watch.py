"""Prints what it hears of a market, a JSON line for each event: the eyes of `bench hosts` and `bench soak`."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray

from uav_twin_migration.deployment import topics
from uav_twin_migration.msg import (
    BandwidthGrant,
    Interaction,
    PolicyUpdate,
    PriceOffer,
    TwinHostStatus,
    TwinReply,
    TwinState,
)
from uav_twin_migration.nodes.ros import convert, qos_profiles, twin_convert
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.spin import run


class WatchNode(Guarded):
    """Hears offers, grants, policies and twins' states; says nothing on the network."""

    def __init__(self, regions: Sequence[str]) -> None:
        super().__init__("watch")
        for region in regions:
            offers, grants = (topics.in_region(region, name) for name in (topics.PRICE_OFFERS, topics.BANDWIDTH_GRANTS))
            self.create_subscription(PriceOffer, offers, self._on_offer, qos_profiles.MARKET)
            self.create_subscription(BandwidthGrant, grants, self._on_grant, qos_profiles.MARKET)
            replies = topics.in_region(region, topics.TWIN_REPLIES)
            self.create_subscription(TwinReply, replies, self._on_replies, qos_profiles.MARKET)
            host_heartbeats = topics.in_region(region, topics.TWIN_HOST_HEARTBEATS)
            self.create_subscription(TwinHostStatus, host_heartbeats, self._on_host_heartbeats, qos_profiles.REPEATED)
        self.create_subscription(TwinState, topics.TWIN_STATES, self._on_states, qos_profiles.REPEATED)
        self.create_subscription(Interaction, topics.INTERACTIONS, self._on_interaction, qos_profiles.MARKET)
        self.create_subscription(PolicyUpdate, topics.POLICY_UPDATES, self._on_policy, qos_profiles.LATCHED)
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, qos_profiles.REPEATED)
        tell("started")

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {entry.key: entry.value for entry in status.values}
            if "rsus_heard" in values:
                tell("hears", rsu=status.name.removeprefix("rsu/"), rsus=values["rsus_heard"].split(","))

    def _on_offer(self, message: PriceOffer) -> None:
        tell("offer", rsu=message.rsu_id, round=message.round)

    def _on_grant(self, message: BandwidthGrant) -> None:
        sold = sum(message.bandwidth)
        served = sum(share > 0.0 for share in message.bandwidth)
        shares = dict(zip(message.uav_ids, message.bandwidth, strict=False))
        tell(
            "grant",
            rsu=message.rsu_id,
            round=message.round,
            price=message.price,
            sold=sold,
            served=served,
            shares=shares,
            lease=convert.seconds(message.lease),
            said=convert.seconds(message.header.stamp),
        )

    def _on_replies(self, message: TwinReply) -> None:
        for reply in twin_convert.replies_from_message(message):
            if reply.reason is None and not reply.restored:
                tell("begun", rsu=reply.rsu, uav=reply.uav, epoch=reply.epoch)
        for uav, epoch, as_of in twin_convert.takeovers_from_message(message):
            tell("takeover", rsu=message.rsu_id, uav=uav, epoch=epoch, as_of=None if math.isnan(as_of) else as_of)

    def _on_host_heartbeats(self, message: TwinHostStatus) -> None:
        ages = dict(twin_convert.replica_ages_from_message(message))
        if ages:
            tell("replicas", rsu=message.rsu_id, ages=ages)

    def _on_interaction(self, message: Interaction) -> None:
        tell("priced", rsu=message.rsu_id, version=message.policy_version)

    def _on_policy(self, message: PolicyUpdate) -> None:
        tell("policy", version=message.version)

    def _on_states(self, message: TwinState) -> None:
        twins = dict(zip(message.uav_ids, message.epochs, strict=False))
        stamps = dict(zip(message.uav_ids, message.stamps, strict=False))
        tell("state", rsu=message.rsu_id, twins=twins, stamps=stamps, said=convert.seconds(message.header.stamp))


def tell(kind: str, **values: Any) -> None:
    """Print an event. `at`: s of this machine's steady clock, which its namespaces share."""
    print(json.dumps({"kind": kind, "at": time.monotonic(), **values}), flush=True)


def main() -> int:
    """``python3 -m uav_twin_migration.nodes.watch [REGION...]``."""
    return run(lambda: [WatchNode(sys.argv[1:] or [""])], arguments=[])


if __name__ == "__main__":
    sys.exit(main())
