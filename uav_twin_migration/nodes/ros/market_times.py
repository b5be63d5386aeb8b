"""What a metrics node hears of moves and rounds: who hosts whom, how long they take, how they end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

from uav_twin_migration.deployment import topics
from uav_twin_migration.market.messages import is_id
from uav_twin_migration.monitor.prometheus import AGES, DOWNTIMES, ROUNDS, Histogram, Sample
from uav_twin_migration.msg import BandwidthGrant, MigrationReport, PriceOffer, TwinHostStatus, TwinReply
from uav_twin_migration.nodes.ros import qos_profiles, twin_convert
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.twin.protocol.messages import Holding

STALE = 10.0  # s without a word after which an RSU's twins are gone
MOST_RSUS = 1000  # that anything is kept of: names come from whoever speaks


class MarketTimes:
    """Counts and times of one region."""

    def __init__(self, node: Guarded, region: str) -> None:
        self._hosted: dict[str, tuple[float, list[str]]] = {}  # RSU -> s, UAVs whose twins it hosts
        self._offered: dict[str, tuple[int, float]] = {}  # RSU -> its last round, and when it was heard, s
        self.histograms: dict[str, dict[str, Histogram]] = {
            name: {} for name in ("age_of_twin_migration_seconds", "migration_downtime_seconds", "round_seconds")
        }  # by the RSU's id
        self._counts: Counter[tuple[str, str, str]] = Counter()  # name, RSU, outcome
        here = partial(topics.in_region, region)
        for kind, topic, heard, qos in (
            (PriceOffer, here(topics.PRICE_OFFERS), self._on_offer, qos_profiles.REPEATED),
            (BandwidthGrant, here(topics.BANDWIDTH_GRANTS), self._on_grant, qos_profiles.REPEATED),
            (TwinHostStatus, here(topics.TWIN_HOST_HEARTBEATS), self._on_hosts, qos_profiles.REPEATED),
            (TwinReply, here(topics.TWIN_REPLIES), self._on_reply, qos_profiles.MARKET),
            (MigrationReport, topics.MIGRATIONS, self._on_report, qos_profiles.MARKET),
        ):
            node.create_subscription(kind, topic, heard, qos)

    def samples(self) -> Iterator[Sample]:
        """Gauges and counters. For any thread."""
        fresh = time.monotonic() - STALE
        for rsu, (heard, uavs) in sorted(self._hosted.copy().items()):
            if heard > fresh:
                yield from (Sample("hosted", {"rsu": rsu, "uav": uav}, 1.0) for uav in uavs)
        for (name, rsu, outcome), count in sorted(self._counts.copy().items()):
            yield Sample(name, {"rsu": rsu, "outcome": outcome} if outcome else {"rsu": rsu}, float(count))

    def _on_offer(self, message: PriceOffer) -> None:
        if is_id(message.rsu_id) and self._has_room(message.rsu_id, self._offered):
            known = self._offered.get(message.rsu_id, (-1, 0.0))
            if message.round != known[0]:
                self._offered[message.rsu_id] = (message.round, time.monotonic())

    def _on_grant(self, message: BandwidthGrant) -> None:
        round_, since = self._offered.get(message.rsu_id, (-1, 0.0))
        if round_ == message.round:
            self._observe("round_seconds", message.rsu_id, time.monotonic() - since)
            self._offered[message.rsu_id] = (-1, 0.0)  # a grant that is said twice is one

    def _on_hosts(self, message: TwinHostStatus) -> None:
        if is_id(message.rsu_id) and self._has_room(message.rsu_id, self._hosted):
            held = twin_convert.host_heartbeats_from_message(message)
            uavs = sorted({one.uav for one in held if one.holding is Holding.HOSTING})
            self._hosted[message.rsu_id] = (time.monotonic(), uavs)

    def _on_reply(self, message: TwinReply) -> None:
        for reply in twin_convert.replies_from_message(message):
            if reply.reason is None:
                self._count("takeovers_total" if reply.restored else "twins_begun_total", reply.rsu, "")

    def _on_report(self, message: MigrationReport) -> None:
        report = twin_convert.report_from_message(message)
        self._count("migrations_total", report.source, report.reason or "completed")
        if not report.reason:
            self._observe("age_of_twin_migration_seconds", report.source, report.age_of_migration)
            self._observe("migration_downtime_seconds", report.source, report.downtime)

    def _count(self, name: str, rsu: str, outcome: str) -> None:
        if is_id(rsu) and len(outcome) <= 64 and len(self._counts) < 20 * MOST_RSUS:
            self._counts[name, rsu, outcome] += 1

    def _observe(self, name: str, rsu: str, seconds: float) -> None:
        bounds = {"age_of_twin_migration_seconds": AGES, "migration_downtime_seconds": DOWNTIMES}.get(name, ROUNDS)
        histograms = self.histograms[name]
        if is_id(rsu) and self._has_room(rsu, histograms):
            histograms.setdefault(rsu, Histogram(bounds)).observe(seconds)

    def _has_room(self, rsu: str, table: object) -> bool:
        assert isinstance(table, dict)
        return rsu in table or len(table) < MOST_RSUS
