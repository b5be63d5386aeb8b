"""Publishes frames for people and tools: /market/state, /twin/transfers, and a plottable topic an RSU and a UAV."""

from __future__ import annotations

import math
from typing import Any

from rclpy.node import Node

from uav_twin_migration.deployment import topics
from uav_twin_migration.monitor.frames import NOBODY, Cast, Frame, Sample
from uav_twin_migration.msg import MarketState, RsuState, TwinTransfers, UavState
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.nodes.ros.convert import to_time

MOST_PLOTTED = 50  # RSUs, and UAVs, that get a topic each: more topics would burden everybody's discovery
TRANSFERS_PERIOD = 0.5  # s


class StatePublisher:
    """A node's publishers of what a monitor sees."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._market = node.create_publisher(MarketState, topics.MARKET_STATE, qos_profiles.MARKET)
        self._transfers = node.create_publisher(TwinTransfers, topics.TWIN_TRANSFERS, qos_profiles.MARKET)
        self._plotted: dict[str, Any] = {}  # topic -> publisher
        self._due = -math.inf  # s, when transfers are told again

    def publish(self, cast: Cast, frame: Frame) -> None:
        """Tell of a frame: its transfers twice a second, its sample where it has one."""
        if frame.time >= self._due or frame.time < self._due - TRANSFERS_PERIOD:
            self._due = frame.time + TRANSFERS_PERIOD
            self._transfers.publish(transfers_message(cast, frame))
        if frame.sample is None:
            return
        self._market.publish(market_message(cast, frame, frame.sample))
        for row, rsu in enumerate(cast.rsus[:MOST_PLOTTED]):
            self._plot(topics.rsu_state(rsu.id), rsu_message(frame, frame.sample, row))
        for row, uav in enumerate(cast.uavs[:MOST_PLOTTED]):
            self._plot(topics.uav_state(uav.id), uav_message(cast, frame, frame.sample, row))

    def _plot(self, topic: str, message: Any) -> None:
        if topic not in self._plotted:
            self._plotted[topic] = self._node.create_publisher(type(message), topic, qos_profiles.MARKET)
        self._plotted[topic].publish(message)


def transfers_message(cast: Cast, frame: Frame) -> TwinTransfers:
    """The twins that are on their way."""
    message = TwinTransfers(
        uav_ids=[cast.uavs[one.uav].id for one in frame.transfers],
        source_ids=[cast.rsus[one.source].id for one in frame.transfers],
        target_ids=[cast.rsus[one.target].id for one in frame.transfers],
        phases=[one.phase for one in frame.transfers],
        sizes=[one.size for one in frame.transfers],
        sent=[one.sent for one in frame.transfers],
        rates=[one.rate for one in frame.transfers],
    )
    message.header.stamp = to_time(frame.time)
    return message


def market_message(cast: Cast, frame: Frame, sample: Sample) -> MarketState:
    """The market beside its equilibrium."""
    message = MarketState(
        rsu_ids=[rsu.id for rsu in cast.rsus],
        prices=sample.price.tolist(),
        equilibrium_prices=sample.equilibrium.tolist(),
        sold=sample.sold.tolist(),
        loads=sample.load.tolist(),
        profits=sample.profit.tolist(),
        twins=sample.twins.tolist(),
        uav_ids=[uav.id for uav in cast.uavs],
        rates=sample.rate.tolist(),
        immersions=sample.immersion.tolist(),
        spendings=sample.spending.tolist(),
        exploitability=sample.exploitability,
    )
    message.header.stamp = to_time(frame.time)
    return message


def rsu_message(frame: Frame, sample: Sample, row: int) -> RsuState:
    """One RSU in plain numbers."""
    message = RsuState(
        price=float(sample.price[row]),
        equilibrium_price=float(sample.equilibrium[row]),
        sold=float(sample.sold[row]),
        load=float(sample.load[row]),
        profit=float(sample.profit[row]),
        twins=int(sample.twins[row]),
    )
    message.header.stamp = to_time(frame.time)
    return message


def uav_message(cast: Cast, frame: Frame, sample: Sample, row: int) -> UavState:
    """One UAV and its twin in plain numbers."""
    host = int(frame.host[row])
    message = UavState(
        host_id="" if host == NOBODY else cast.rsus[host].id,
        rate=float(sample.rate[row]),
        immersion=float(sample.immersion[row]),
        spending=float(sample.spending[row]),
        age_of_information=float(frame.age[row]),
        twin_error=math.dist(frame.position[row], frame.estimate[row]),
    )
    message.header.stamp = to_time(frame.time)
    return message
