"""Records a run in virtual time: the topics of `sim --record` that `view`, `export`, `compare` and `train` read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uav_twin_migration.deployment import topics
from uav_twin_migration.market.follower import HostChange
from uav_twin_migration.market.leader import ClosedRound, LeaderSettings
from uav_twin_migration.market.messages import Bid, Grant, Offer
from uav_twin_migration.monitor.readers import Progress
from uav_twin_migration.monitor.twins import Report
from uav_twin_migration.radio.link import Links
from uav_twin_migration.recording.messages import NANOSECONDS, Messages, to_time
from uav_twin_migration.recording.metadata import Attachment
from uav_twin_migration.recording.writer import Recording
from uav_twin_migration.shipped import PACKAGE
from uav_twin_migration.studies.virtual.messages import interaction
from uav_twin_migration.twin.hosting.outputs import Served
from uav_twin_migration.twin.protocol.messages import HostHeartbeat, HostReply

Vector = tuple[float, float, float]


class Recorder:
    """Writes what is said in a city. Times are the simulation's, s."""

    def __init__(self, directory: Path, about: Mapping[str, str], files: Sequence[Attachment]) -> None:
        """Raises InputError where the folder is not empty or cannot be made, UavTwinError without the libraries."""
        self._messages = Messages()
        self._recording = Recording(directory, about, files)

    def close(self) -> None:
        """End the recording with its index."""
        self._recording.close()

    def _write(self, now: float, topic: str, kind: str, fields: Mapping[str, Any], frame: str = "") -> None:
        if "/" not in kind:
            kind = f"{PACKAGE}/msg/{kind}"
        if topic not in self._recording.topics:
            self._recording.add_topic(self._messages.topic(topic, kind))
        stamped = {"header": {"stamp": to_time(now), "frame_id": frame}, **fields}
        self._recording.write(topic, self._messages.serialised(kind, stamped), round(now * NANOSECONDS))

    # -- the world ---------------------------------------------------------------------------------------------------

    def clock(self, now: float) -> None:
        """A tick."""
        self._write(now, topics.CLOCK, "rosgraph_msgs/msg/Clock", {"clock": to_time(now)})

    def motion(self, now: float, uav: str, at: Vector, velocity: Vector, yaw: float) -> None:
        """A UAV's odometry: its twist is in its own frame."""
        cosine, sine = math.cos(yaw), math.sin(yaw)
        x, y, z = velocity
        forward = {"x": x * cosine + y * sine, "y": y * cosine - x * sine, "z": z}
        turned = {"z": math.sin(yaw / 2.0), "w": math.cos(yaw / 2.0)}
        pose = {"position": dict(zip("xyz", at, strict=True)), "orientation": turned}
        fields = {
            "child_frame_id": f"{uav}/base_link",
            "pose": {"pose": pose},
            "twist": {"twist": {"linear": forward}},
        }
        self._write(now, topics.odometry(uav), "nav_msgs/msg/Odometry", fields, topics.MAP)

    def links(self, now: float, uavs: Sequence[str], rsus: Sequence[str], regions: Sequence[str], links: Links) -> None:
        """All links that were measured."""
        fields = {
            "uav_ids": uavs,
            "rsu_ids": rsus,
            "regions": regions if any(regions) else [],
            "distance": links.distance.ravel(),
            "line_of_sight": links.line_of_sight.ravel(),
            "snr": links.snr.ravel(),
            "spectral_efficiency": links.efficiency.ravel(),
            "loss": links.loss.ravel(),
        }
        self._write(now, topics.LINK_QUALITY, "LinkQuality", fields, topics.MAP)

    # -- the market --------------------------------------------------------------------------------------------------

    def offer(self, now: float, region: str, offer: Offer) -> None:
        """A price."""
        fields = {
            "rsu_id": offer.rsu,
            "round": offer.round,
            "price": offer.price,
            "free_bandwidth": offer.free_bandwidth,
            "position": dict(zip("xyz", offer.position, strict=True)),
            "range": offer.range,
            "offer_window": to_time(offer.offer_window),
        }
        self._write(now, topics.in_region(region, topics.PRICE_OFFERS), "PriceOffer", fields, topics.MAP)

    def demand(self, now: float, sequence: int, bids: Sequence[Bid]) -> None:
        """UAVs' answers."""
        fields = {
            "sequence": sequence,
            "uav_ids": [bid.uav for bid in bids],
            "rsu_ids": [bid.rsu for bid in bids],
            "rounds": [bid.round for bid in bids],
            "bandwidth": [bid.bandwidth for bid in bids],
        }
        self._write(now, topics.BANDWIDTH_DEMANDS, "BandwidthDemand", fields)

    def grant(self, now: float, region: str, grant: Grant) -> None:
        """What was sold."""
        fields = {
            "rsu_id": grant.rsu,
            "round": grant.round,
            "price": grant.price,
            "uav_ids": list(grant.bandwidth),
            "bandwidth": list(grant.bandwidth.values()),
            "lease": to_time(grant.lease),
        }
        self._write(now, topics.in_region(region, topics.BANDWIDTH_GRANTS), "BandwidthGrant", fields)

    def closed(self, now: float, booked: ClosedRound, settings: LeaderSettings) -> None:
        """A closed round, to learn from."""
        self._write(now, topics.INTERACTIONS, "Interaction", interaction(booked, settings))

    def decision(self, now: float, change: HostChange) -> None:
        """A UAV wants another host."""
        fields = {"uav_ids": [change.uav], "rsu_ids": [change.rsu or ""], "predicted_stay": [change.stay]}
        self._write(now, topics.HOSTING_DECISIONS, "HostingDecision", fields)

    # -- the twins ---------------------------------------------------------------------------------------------------

    def states(self, now: float, rsu: str, served: Sequence[Served]) -> None:
        """Twins as their users see them."""
        estimates = [one.estimate for one in served]
        fields = {
            "rsu_id": rsu,
            "uav_ids": [one.uav for one in served],
            "epochs": [one.epoch for one in served],
            "stamps": [one.stamp for one in estimates],
            "ages": [one.age for one in estimates],
            "positions": [value for one in estimates for value in one.position],
            "velocities": [value for one in estimates for value in one.velocity],
            "position_deviations": [value for one in estimates for value in one.position_deviation],
            "velocity_deviations": [value for one in estimates for value in one.velocity_deviation],
        }
        self._write(now, topics.TWIN_STATES, "TwinState", fields, topics.MAP)

    def host_heartbeats(
        self, now: float, region: str, rsu: str, held: Sequence[HostHeartbeat], ages: Mapping[str, float]
    ) -> None:
        """What an RSU holds."""
        fields = {
            "rsu_id": rsu,
            "incarnation": held[0].stamp.incarnation,
            "time": held[0].stamp.time,
            "uav_ids": [one.uav for one in held],
            "holdings": [one.holding.value for one in held],
            "epochs": [one.epoch for one in held],
            "versions": [one.version for one in held],
            "successors": [one.successor for one in held],
            "replicas": [one.replica for one in held],
            "replica_versions": [one.replica_version for one in held],
            "replica_ages": [ages.get(one.uav, math.inf) for one in held],
        }
        self._write(now, topics.in_region(region, topics.TWIN_HOST_HEARTBEATS), "TwinHostStatus", fields)

    def reply(self, now: float, region: str, reply: HostReply, as_of: float | None) -> None:
        """An RSU's answer to a UAV."""
        fields = {
            "rsu_id": reply.rsu,
            "uav_ids": [reply.uav],
            "epochs": [reply.epoch],
            "reasons": [reply.reason.value if reply.reason else ""],
            "newest_epochs": [reply.newest_epoch],
            "restored": [reply.restored],
            "as_of": [math.nan if as_of is None else as_of],
        }
        self._write(now, topics.in_region(region, topics.TWIN_REPLIES), "TwinReply", fields)

    def progress(self, now: float, progress: Progress) -> None:
        """How far a migration is."""
        one = progress
        names = {"uav_ids": [one.uav], "source_ids": [one.source], "target_ids": [one.target], "phases": [one.phase]}
        fields = {**names, "sizes": [one.size], "sent": [one.sent], "rates": [one.rate]}
        self._write(now, topics.TWIN_TRANSFERS, "TwinTransfers", fields)

    def report(self, now: float, report: Report, epoch: int, size: float, sent: float) -> None:
        """How a migration went. size, sent: Mbit."""
        fields = {
            "uav_id": report.uav,
            "source": report.source,
            "target": report.target,
            "epoch": epoch,
            "reason": report.reason,
            "size": size,
            "sent": sent,
            "granted_rate": report.granted_rate,
            "achieved_rate": report.achieved_rate,
            "age_of_migration": report.age_of_migration,
            "downtime": report.downtime,
        }
        self._write(now, topics.MIGRATIONS, "MigrationReport", fields)
