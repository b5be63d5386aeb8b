"""Between ROS messages and what UAVs and RSUs say about twins. Nothing is judged here but the shape of arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rclpy.serialization import deserialize_message

from uav_twin_migration.deployment.topics import MAP
from uav_twin_migration.market.messages import is_id
from uav_twin_migration.monitor.twins import Report, State
from uav_twin_migration.msg import (
    BandwidthGrant,
    MigrationReport,
    TwinHost,
    TwinHostStatus,
    TwinReply,
    TwinRequest,
    TwinState,
    UavHeartbeat,
)
from uav_twin_migration.nodes.ros import cdr
from uav_twin_migration.nodes.ros.convert import to_time
from uav_twin_migration.twin.hosting import outputs as hosting
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostHeartbeat,
    HostReply,
    HostRequest,
    LeaseRenewal,
    Reason,
    Stamp,
)
from uav_twin_migration.twin.protocol.wire import LONGEST_TIME

BYTES_PER_MBIT = 125_000.0
_ADDRESS = re.compile(r"[A-Za-z0-9.:%_-]{1,253}\Z")  # of a host: a name or an IP address
HOLDINGS = {holding.value: holding for holding in Holding}
REASONS = {reason.value: reason for reason in Reason}


class Heartbeat(NamedTuple):
    """What a UAV tells RSUs; `telemetry` is None before its first odometry."""

    lease_renewal: LeaseRenewal
    telemetry: Telemetry | None
    rate: float  # Mbit/s


def uav_heartbeats_to_message(
    heartbeats: Sequence[Heartbeat], now: float, grants: Sequence[BandwidthGrant] = ()
) -> UavHeartbeat:
    """What the UAVs of a node tell RSUs, stamped. grants: what the rates come from, as RSUs signed it."""
    message = UavHeartbeat(grants=list(grants))
    message.header.stamp = to_time(now)
    message.header.frame_id = MAP
    lease_renewals = [heartbeat.lease_renewal for heartbeat in heartbeats]
    stamps = [one.stamp or Stamp(0, 0.0) for one in lease_renewals]
    telemetry = [heartbeat.telemetry or NO_TELEMETRY for heartbeat in heartbeats]
    message.uav_ids = [one.uav for one in lease_renewals]
    message.hosts = [one.host for one in lease_renewals]
    message.replica_hosts = [one.replica_host for one in lease_renewals]
    message.epochs = [one.epoch for one in lease_renewals]
    message.newest_epochs = [one.newest_epoch for one in lease_renewals]
    message.stamp_incarnations = [stamp.incarnation for stamp in stamps]
    message.stamp_times = [stamp.time for stamp in stamps]
    message.sequences = [one.sequence for one in telemetry]
    message.telemetry_stamps = [one.stamp for one in telemetry]
    message.positions = [value for one in telemetry for value in one.position]
    message.velocities = [value for one in telemetry for value in one.velocity]
    message.rates = [heartbeat.rate for heartbeat in heartbeats]
    return message


NO_TELEMETRY = Telemetry(0, 0.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def uav_heartbeats_from_message(message: UavHeartbeat) -> list[Heartbeat] | None:
    """What UAVs told; None where the arrays do not fit together."""
    columns = (
        message.uav_ids,
        message.hosts,
        message.replica_hosts,
        message.epochs,
        message.newest_epochs,
        message.stamp_incarnations,
        message.stamp_times,
        message.sequences,
        message.telemetry_stamps,
        message.rates,
    )
    return _heartbeats(columns, tuple(message.positions), tuple(message.velocities))


def uav_heartbeats_from_bytes(data: bytes) -> tuple[list[Heartbeat] | None, bool]:
    """The same of a message's bytes, and whether it hands grants over.

    In a third of the time that rclpy takes to make a message; what is not as it should be is left to that.
    """
    try:
        return _from_plain_bytes(data)
    except ValueError:
        message = deserialize_message(data, UavHeartbeat)
        return uav_heartbeats_from_message(message), bool(message.grants)


def _from_plain_bytes(data: bytes) -> tuple[list[Heartbeat], bool]:
    """Raises ValueError where they are none, or no UAV or columns of different lengths are in it."""
    at = cdr.skip_text(data, cdr.start(data) + 8)  # the header: its stamp, its frame
    uavs, at = cdr.texts(data, at)
    hosts, at = cdr.texts(data, at)
    replica_hosts, at = cdr.texts(data, at)
    count = len(uavs)
    columns, at = cdr.columns(data, at, "QQQdQdddd", (*[count] * 6, 3 * count, 3 * count, count))
    heartbeats = _heartbeats((uavs, hosts, replica_hosts, *columns[:6], columns[8]), *columns[6:8])
    if heartbeats is None:
        raise ValueError("the arrays do not fit together")
    return heartbeats, cdr.length(data, at)[0] > 0


def _heartbeats(
    columns: Sequence[Sequence[Any]], positions: tuple[float, ...], velocities: tuple[float, ...]
) -> list[Heartbeat] | None:
    count = len(columns[0])
    if any(len(column) != count for column in columns) or not len(positions) == len(velocities) == 3 * count:
        return None
    heartbeats = []
    for row, (uav, host, replica_host, epoch, newest_epoch, incarnation, time, sequence, at, rate) in enumerate(
        zip(*columns, strict=True)
    ):
        three = slice(3 * row, 3 * row + 3)
        telemetry = Telemetry(sequence, at, positions[three], velocities[three]) if sequence else None  # type: ignore[arg-type]
        stamp = Stamp(incarnation, time) if incarnation else None
        heartbeats.append(Heartbeat(LeaseRenewal(uav, host, epoch, newest_epoch, stamp, replica_host), telemetry, rate))
    return heartbeats


def host_heartbeats_to_message(
    rsu: str, stamp: Stamp, host_heartbeats: Sequence[HostHeartbeat], ages: Mapping[str, float], now: float
) -> TwinHostStatus:
    """All that an RSU holds, stamped. ages: by how much replicas of what it hosts are behind, s by UAV."""
    message = TwinHostStatus(
        rsu_id=rsu,
        incarnation=stamp.incarnation,
        time=stamp.time,
        uav_ids=[one.uav for one in host_heartbeats],
        holdings=[one.holding.value for one in host_heartbeats],
        epochs=[one.epoch for one in host_heartbeats],
        versions=[one.version for one in host_heartbeats],
        successors=[one.successor for one in host_heartbeats],
        replicas=[one.replica for one in host_heartbeats],
        replica_versions=[one.replica_version for one in host_heartbeats],
        replica_ages=[ages.get(one.uav, math.inf) for one in host_heartbeats],
    )
    message.header.stamp = to_time(now)
    return message


def host_heartbeats_from_message(message: TwinHostStatus) -> Iterator[HostHeartbeat]:
    """What an RSU holds; nothing where the message makes no sense."""
    replicas = (message.replicas, message.replica_versions)
    columns = (message.uav_ids, message.holdings, message.epochs, message.versions, message.successors, *replicas)
    if len({len(column) for column in columns}) > 1:
        return
    if not is_id(message.rsu_id) or not 0.0 <= message.time <= LONGEST_TIME:
        return
    stamp = Stamp(message.incarnation, message.time)
    for uav, holding, epoch, version, successor, *replica in zip(*columns, strict=True):
        named = all(is_id(name) or not name for name in (successor, replica[0]))
        if holding in HOLDINGS and is_id(uav) and named:
            yield HostHeartbeat(uav, message.rsu_id, HOLDINGS[holding], epoch, version, stamp, successor, *replica)


def replica_ages_from_message(message: TwinHostStatus) -> Iterator[tuple[str, float]]:
    """By how much replicas are behind, s, of twins that have one."""
    columns = (message.uav_ids, message.replicas, message.replica_ages)
    if len({len(column) for column in columns}) == 1:
        yield from ((uav, age) for uav, replica, age in zip(*columns, strict=True) if replica)


def requests_to_message(requests: Sequence[HostRequest], now: float) -> TwinRequest:
    """UAVs ask RSUs to host their twins."""
    message = TwinRequest(
        uav_ids=[one.uav for one in requests],
        rsu_ids=[one.rsu for one in requests],
        epochs=[one.epoch for one in requests],
        sizes=[one.size / BYTES_PER_MBIT for one in requests],
        least_epochs=[one.least_epoch for one in requests],
        least_versions=[one.least_version for one in requests],
    )
    message.header.stamp = to_time(now)
    return message


def requests_for(message: TwinRequest, rsu: str) -> Iterator[HostRequest]:
    """The requests to one RSU; nothing where the message makes no sense."""
    least = (message.least_epochs, message.least_versions)
    columns = (message.uav_ids, message.rsu_ids, message.epochs, message.sizes, *least)
    if len({len(column) for column in columns}) > 1:
        return
    for uav, addressed, epoch, size, *copy in zip(*columns, strict=True):
        if addressed == rsu and 0.0 <= size < 1e9 and is_id(uav):
            yield HostRequest(uav, rsu, epoch, round(size * BYTES_PER_MBIT), *copy)


def reply_to_message(reply: HostReply, as_of: float | None, now: float) -> TwinReply:
    """An RSU's answer to one UAV. as_of: of the newest telemetry in the twin, s by the UAV's clock."""
    message = TwinReply(
        rsu_id=reply.rsu,
        uav_ids=[reply.uav],
        epochs=[reply.epoch],
        reasons=[reply.reason.value if reply.reason else ""],
        newest_epochs=[reply.newest_epoch],
        restored=[reply.restored],
        as_of=[math.nan if as_of is None else as_of],
    )
    message.header.stamp = to_time(now)
    return message


def is_host(message: TwinHost) -> bool:
    """Whether a message names an RSU and an address that somebody can be called at."""
    return is_id(message.rsu_id) and _ADDRESS.match(message.address) is not None


def replies_from_message(message: TwinReply) -> Iterator[HostReply]:
    """An RSU's answers; nothing where the message makes no sense."""
    columns = (message.uav_ids, message.epochs, message.reasons, message.newest_epochs, message.restored)
    if len({len(column) for column in columns}) > 1:
        return
    for uav, epoch, why, newest_epoch, restored in zip(*columns, strict=True):
        reason = REASONS.get(why, Reason.INVALID) if why else None
        yield HostReply(uav, message.rsu_id, epoch, reason, newest_epoch, restored)


def takeovers_from_message(message: TwinReply) -> Iterator[tuple[str, int, float]]:
    """Twins that go on from a copy: under which epoch, and the stamp of its newest telemetry, s by the UAV's clock."""
    columns = (message.reasons, message.restored, message.uav_ids, message.epochs, message.as_of)
    if len({len(column) for column in columns}) == 1:
        for why, restored, *takeover in zip(*columns, strict=True):
            if restored and not why:
                yield tuple(takeover)


def states_to_message(rsu: str, served: Sequence[hosting.Served], now: float) -> TwinState:
    """The twins that an RSU serves, as users see them."""
    estimates = [one.estimate for one in served]
    message = TwinState(
        rsu_id=rsu,
        uav_ids=[one.uav for one in served],
        epochs=[one.epoch for one in served],
        stamps=[one.stamp for one in estimates],
        ages=[one.age for one in estimates],
        positions=[value for one in estimates for value in one.position],
        velocities=[value for one in estimates for value in one.velocity],
        position_deviations=[value for one in estimates for value in one.position_deviation],
        velocity_deviations=[value for one in estimates for value in one.velocity_deviation],
    )
    message.header.stamp = to_time(now)
    message.header.frame_id = MAP
    return message


def states_from_message(message: TwinState) -> Iterator[State]:
    """Twins as users see them; nothing where the message makes no sense."""
    columns = (message.uav_ids, message.epochs, message.stamps)
    if len({len(column) for column in columns} | {len(message.positions) / 3}) > 1:
        return
    positions = message.positions.tolist()
    for row, (uav, epoch, stamp) in enumerate(zip(*columns, strict=True)):
        yield State(uav, message.rsu_id, epoch, stamp, tuple(positions[3 * row : 3 * row + 3]))


def report_from_message(message: MigrationReport) -> Report:
    """How a migration went."""
    return Report(
        message.uav_id,
        message.source,
        message.target,
        message.reason,
        message.age_of_migration,
        message.downtime,
        message.granted_rate,
        message.achieved_rate,
    )


def report_to_message(report: hosting.MigrationReport, time_scale: float, now: float) -> MigrationReport:
    """How a migration went. time_scale: simulated seconds in one of the report's."""
    message = MigrationReport(
        uav_id=report.uav,
        source=report.source,
        target=report.target,
        epoch=report.epoch,
        reason=report.reason.value if report.reason else "",
        size=report.size / BYTES_PER_MBIT,
        sent=report.sent / BYTES_PER_MBIT,
        granted_rate=report.granted / BYTES_PER_MBIT / time_scale,
        achieved_rate=report.achieved / BYTES_PER_MBIT / time_scale,
        age_of_migration=report.duration * time_scale,
        downtime=report.downtime * time_scale,
    )
    message.header.stamp = to_time(now)
    return message
