"""Between ROS messages and the events of the state machines. Nothing is judged here but the shape of arrays."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Duration, Time
from rclpy.serialization import deserialize_message, serialize_message

from uav_twin_migration.deployment.topics import MAP
from uav_twin_migration.market.leader import ClosedRound, LeaderSettings
from uav_twin_migration.market.messages import Bid, Grant, Offer
from uav_twin_migration.msg import (
    BandwidthDemand,
    BandwidthGrant,
    HostingDecision,
    Interaction,
    PriceOffer,
)
from uav_twin_migration.nodes.ros import cdr
from uav_twin_migration.vehicle.attitude import Vector, turned

if TYPE_CHECKING:  # an RSU has no use for these, and they take 2 MB
    from nav_msgs.msg import Odometry

    from uav_twin_migration.market.follower import HostChange

NANOSECONDS = 1_000_000_000


def to_bytes(message: Any) -> bytes:
    """A message of any type as it travels."""
    return serialize_message(message)


def to_duration(seconds: float) -> Duration:
    """Seconds as a Duration."""
    whole, rest = divmod(round(seconds * NANOSECONDS), NANOSECONDS)
    return Duration(sec=whole, nanosec=rest)


def to_time(seconds: float) -> Time:
    """Seconds as a Time stamp."""
    whole, rest = divmod(round(seconds * NANOSECONDS), NANOSECONDS)
    return Time(sec=whole, nanosec=rest)


def seconds(stamp: Duration | Time) -> float:
    """A Duration or Time as seconds."""
    return float(stamp.sec) + float(stamp.nanosec) / NANOSECONDS


def offer_to_message(offer: Offer, now: float) -> PriceOffer:
    """An offer, stamped."""
    message = PriceOffer(rsu_id=offer.rsu, round=offer.round, price=offer.price, range=offer.range)
    message.header.stamp = to_time(now)
    message.header.frame_id = MAP
    message.free_bandwidth = offer.free_bandwidth
    message.position.x, message.position.y, message.position.z = offer.position
    message.offer_window = to_duration(offer.offer_window)
    return message


def offer_from_message(message: PriceOffer) -> Offer:
    """The offer that a message claims."""
    at = message.position
    return Offer(
        message.rsu_id,
        message.round,
        message.price,
        message.free_bandwidth,
        (at.x, at.y, at.z),
        message.range,
        seconds(message.offer_window),
    )


def demand_to_message(bids: Sequence[Bid], sequence: int, now: float) -> BandwidthDemand:
    """Bids of one or many UAVs, stamped."""
    message = BandwidthDemand(
        sequence=sequence,
        uav_ids=[bid.uav for bid in bids],
        rsu_ids=[bid.rsu for bid in bids],
        rounds=[bid.round for bid in bids],
        bandwidth=[bid.bandwidth for bid in bids],
    )
    message.header.stamp = to_time(now)
    return message


def has_length_mismatch(message: BandwidthDemand | BandwidthGrant) -> bool:
    """Whether the arrays of entries differ in length."""
    lengths = {len(message.uav_ids), len(message.bandwidth)}
    if isinstance(message, BandwidthDemand):
        lengths |= {len(message.rsu_ids), len(message.rounds)}
    return len(lengths) > 1


def all_bids(message: BandwidthDemand) -> Iterator[Bid]:
    """All bids of a demand that is not of mismatched lengths."""
    return map(Bid, message.uav_ids, message.rsu_ids, message.rounds, message.bandwidth)


def bids_to(message: BandwidthDemand, rsus: Container[str]) -> list[Bid]:
    """Those of them that are to some RSUs: of a UAV container's demand, most are to others."""
    entries = zip(message.uav_ids, message.rsu_ids, message.rounds, message.bandwidth, strict=True)
    return [Bid(*entry) for entry in entries if entry[1] in rsus]


def grant_to_message(grant: Grant, now: float) -> BandwidthGrant:
    """A grant, stamped."""
    message = BandwidthGrant(
        rsu_id=grant.rsu,
        round=grant.round,
        price=grant.price,
        uav_ids=list(grant.bandwidth),
        bandwidth=list(grant.bandwidth.values()),
        lease=to_duration(grant.lease),
    )
    message.header.stamp = to_time(now)
    return message


def grant_from_message(message: BandwidthGrant) -> Grant:
    """The grant that a message claims; not for of mismatched lengths ones."""
    shares = dict(zip(message.uav_ids, message.bandwidth, strict=True))
    return Grant(message.rsu_id, message.round, message.price, shares, seconds(message.lease))


def interaction_to_message(booked: ClosedRound, settings: LeaderSettings, now: float) -> Interaction:
    """A closed round as the learner and the recorder get it."""
    result, decision = booked
    message = Interaction(
        rsu_id=settings.rsu,
        round=result.round,
        observation_schema=decision.observation_schema,
        observation=list(decision.observation),
        action=decision.action,
        log_probability=decision.log_probability,
        price=result.price,
        unit_cost=settings.unit_cost,
        price_cap=settings.price_cap,
        capacity=settings.capacity,
        demanded=result.demanded,
        sold=result.sold,
        profit=result.profit,
        uavs_in_range=result.uavs_in_range,
        policy_version=decision.policy_version,
    )
    message.header.stamp = to_time(now)
    return message


def hosting_to_message(changes: Sequence[HostChange], now: float) -> HostingDecision:
    """Hosting decisions of one or many UAVs, stamped."""
    message = HostingDecision(
        uav_ids=[change.uav for change in changes],
        rsu_ids=[change.rsu or "" for change in changes],
        predicted_stay=[change.stay for change in changes],
    )
    message.header.stamp = to_time(now)
    return message


def motion_from_message(message: Odometry) -> tuple[float, Vector, Vector]:
    """Its stamp, s, position, m, and velocity, m/s, both in the map frame: an Odometry's twist is in the UAV's own."""
    at, q, v = message.pose.pose.position, message.pose.pose.orientation, message.twist.twist.linear
    return seconds(message.header.stamp), (at.x, at.y, at.z), turned((v.x, v.y, v.z), (q.x, q.y, q.z, q.w))


def motion_from_bytes(data: bytes) -> tuple[float, Vector, Vector]:
    """The same of an Odometry's bytes: four fifths of such a message are covariances, which nobody here reads."""
    try:
        at = cdr.start(data)
        sec, nanosec = int.from_bytes(data[at : at + 4], "little", signed=True), data[at + 4 : at + 8]
        at = cdr.skip_text(data, cdr.skip_text(data, at + 8))  # names of the two frames
        x, y, z, qx, qy, qz, qw, vx, vy, vz = cdr.numbers(data, at, "<7d288x3d")
    except ValueError:
        from nav_msgs.msg import Odometry

        return motion_from_message(deserialize_message(data, Odometry))
    stamp = float(sec) + int.from_bytes(nanosec, "little") / NANOSECONDS
    return stamp, (x, y, z), turned((vx, vy, vz), (qx, qy, qz, qw))
