"""Messages as what they say, whoever decoded them: rclpy's classes and those of a recording have the same fields.

Here is the edge: what comes out has ids that are ids, finite numbers and columns of one length. The rest is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from uav_twin_migration.game.market import FloatArray
from uav_twin_migration.market.messages import (
    LARGEST_BANDWIDTH,
    LARGEST_COORDINATE,
    LARGEST_EFFICIENCY,
    LARGEST_PRICE,
    LONGEST_LEASE,
    Bid,
    Grant,
    Offer,
    check_number,
    check_offer,
    is_id,
)
from uav_twin_migration.monitor.twins import Report, State
from uav_twin_migration.vehicle.attitude import Vector, turned

MOST_ENTRIES = 10_000  # of one message
LONGEST_TEXT = 200  # characters


class Hosting(NamedTuple):
    """What an RSU says that it has of a twin."""

    uav: str
    holding: str
    epoch: int
    version: int  # of the newest change that it has
    successor: str
    replica: str
    replica_age: float  # s


class Reply(NamedTuple):
    """An RSU's answer to a UAV that asked it to host."""

    uav: str
    epoch: int
    accepted: bool
    restored: bool
    as_of: float  # s


class Progress(NamedTuple):
    """How far a twin has come on its way."""

    uav: str
    source: str
    target: str
    phase: str
    size: float  # Mbit
    sent: float  # Mbit
    rate: float  # Mbit/s


class Status(NamedTuple):
    """What a node says about itself."""

    name: str
    level: int  # 0 ok, 1 warning, 2 error
    message: str
    values: dict[str, str]


def seconds(stamp: Any) -> float:
    """A Duration or Time as seconds."""
    return float(stamp.sec) + 1e-9 * float(stamp.nanosec)


def offer(message: Any) -> Offer | None:
    """An RSU's offer."""
    at = message.position
    read = Offer(
        message.rsu_id,
        int(message.round),
        float(message.price),
        float(message.free_bandwidth),
        (float(at.x), float(at.y), float(at.z)),
        float(message.range),
        seconds(message.offer_window if hasattr(message, "offer_window") else message.valid_for),  # until 0.1
    )
    return read if check_offer(read) is None else None


def bids(message: Any) -> Iterator[Bid]:
    """UAVs' bids."""
    for uav, rsu, round_, bandwidth in columns(message.uav_ids, message.rsu_ids, message.rounds, message.bandwidth):
        if is_id(uav) and is_id(rsu) and check_number(bandwidth, LARGEST_BANDWIDTH) is None:
            yield Bid(uav, rsu, int(round_), float(bandwidth))


def grant(message: Any) -> Grant | None:
    """What an RSU sold."""
    lease, price = seconds(message.lease), float(message.price)
    if not is_id(message.rsu_id) or check_number(lease, LONGEST_LEASE) or check_number(price, LARGEST_PRICE):
        return None
    if len(message.uav_ids) != len(message.bandwidth):
        return None
    shares = {
        uav: float(share)
        for uav, share in columns(message.uav_ids, message.bandwidth)
        if is_id(uav) and check_number(share, LARGEST_BANDWIDTH) is None
    }
    return Grant(message.rsu_id, int(message.round), price, shares, lease)


def links(message: Any) -> tuple[list[str], list[str], FloatArray] | None:
    """Spectral efficiency [uavs, rsus], bit/s/Hz, and whose."""
    uavs, rsus = list(message.uav_ids), list(message.rsu_ids)
    efficiency = np.asarray(message.spectral_efficiency, dtype=np.float64)
    if efficiency.size != len(uavs) * len(rsus) or not all(map(is_id, [*uavs, *rsus])):
        return None
    if not ((efficiency >= 0.0) & (efficiency <= LARGEST_EFFICIENCY)).all():
        return None
    return uavs, rsus, efficiency.reshape(len(uavs), len(rsus))


def is_motion(position: Vector, velocity: Vector) -> bool:
    """Whether a UAV can be there, m, and so fast, m/s."""
    return all(abs(value) <= LARGEST_COORDINATE for value in (*position, *velocity))  # also false for NaN


def motion(message: Any) -> tuple[Vector, Vector]:
    """Position, m, and velocity, m/s, both in the map frame: an Odometry's twist is in the UAV's own frame."""
    at, q, v = message.pose.pose.position, message.pose.pose.orientation, message.twist.twist.linear
    return (float(at.x), float(at.y), float(at.z)), turned((v.x, v.y, v.z), (q.x, q.y, q.z, q.w))


def decisions(message: Any) -> Iterator[tuple[str, str]]:
    """Which host each UAV wants; an empty id for none."""
    for uav, rsu in columns(message.uav_ids, message.rsu_ids):
        if is_id(uav) and (not rsu or is_id(rsu)):
            yield uav, rsu


def states(message: Any) -> Iterator[State]:
    """Twins as their users see them."""
    positions = np.asarray(message.positions, dtype=np.float64)
    if not is_id(message.rsu_id) or positions.size != 3 * len(message.uav_ids):
        return
    rows = positions.reshape(-1, 3).tolist()
    for uav, epoch, stamp, at in columns(message.uav_ids, message.epochs, message.stamps, rows):
        if is_id(uav) and math.isfinite(stamp) and all(abs(value) <= LARGEST_COORDINATE for value in at):
            yield State(uav, message.rsu_id, int(epoch), float(stamp), (at[0], at[1], at[2]))


def hostings(message: Any) -> Iterator[Hosting]:
    """What an RSU has of twins."""
    versions = message.versions if hasattr(message, "versions") else message.marks  # until 0.1
    copies = (message.successors, message.replicas, message.replica_ages)
    for uav, holding, epoch, version, *copy in columns(
        message.uav_ids, message.holdings, message.epochs, versions, *copies
    ):
        if is_id(uav):
            successor, replica, age = copy
            yield Hosting(uav, holding[:LONGEST_TEXT], int(epoch), int(version), successor, replica, float(age))


def replies(message: Any) -> Iterator[Reply]:
    """An RSU's answers to UAVs that asked it to host."""
    rows = (message.uav_ids, message.epochs, message.reasons, message.restored, message.as_of)
    for uav, epoch, reason, restored, as_of in columns(*rows):
        if is_id(uav):
            yield Reply(uav, int(epoch), not reason, bool(restored), float(as_of))


def report(message: Any) -> Report | None:
    """How a migration went."""
    numbers = (message.age_of_migration, message.downtime, message.granted_rate, message.achieved_rate)
    if not all(map(is_id, (message.uav_id, message.source, message.target))):
        return None
    if not all(float(value) >= 0.0 for value in numbers):
        return None
    age, downtime, granted, achieved = map(float, numbers)
    reason = message.reason[:LONGEST_TEXT]
    return Report(message.uav_id, message.source, message.target, reason, age, downtime, granted, achieved)


def transfers(message: Any) -> Iterator[Progress]:
    """Twins on their way."""
    names = (message.uav_ids, message.source_ids, message.target_ids, message.phases)
    for uav, source, target, phase, size, sent, rate in columns(*names, message.sizes, message.sent, message.rates):
        if all(map(is_id, (uav, source, target))) and 0.0 <= sent < 1e9 and 0.0 <= size < 1e9 and rate >= 0.0:
            yield Progress(uav, source, target, phase[:LONGEST_TEXT], float(size), float(sent), float(rate))


def feedback(source: str, message: Any) -> Progress | None:
    """How far a migration from an RSU has come, as that RSU tells the UAV."""
    said = message.feedback
    size, left, rate = float(said.size), float(said.remaining), float(said.rate)
    if not all(map(is_id, (said.uav_id, source, said.target))) or not (0.0 <= left <= size < 1e9 and rate >= 0.0):
        return None
    return Progress(said.uav_id, source, said.target, said.phase[:LONGEST_TEXT], size, size - left, rate)


def statuses(message: Any) -> Iterator[Status]:
    """What nodes say about themselves."""
    for one in list(message.status)[:MOST_ENTRIES]:
        level = one.level[0] if isinstance(one.level, bytes) else int(one.level)
        values = {entry.key[:LONGEST_TEXT]: entry.value for entry in one.values}
        yield Status(one.name[:LONGEST_TEXT], level, one.message[:LONGEST_TEXT], values)


def columns(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Rows of arrays of one length; nothing where lengths differ, or of more than a message may hold."""
    if len({len(array) for array in arrays}) == 1 and len(arrays[0]) <= MOST_ENTRIES:
        yield from zip(*arrays, strict=True)
