"""ROS messages made of any bytes, and who hears them: converters, state machines, the listener of who watches.

Bytes choose a type, and for some of its fields a value that nobody expects. Needs the package's messages, not rclpy's
network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from uav_twin_migration.market.follower import Follower, FollowerSettings
from uav_twin_migration.market.leader import Leader, LeaderSettings, PriceDecision
from uav_twin_migration.market.messages import Bid, Grant, Offer
from uav_twin_migration.market.offer_board import OfferBoard
from uav_twin_migration.monitor.listener import Listener
from uav_twin_migration.scenario.load import load
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.hosting.twin import UavTwin
from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostHeartbeat,
    HostReply,
    HostRequest,
    LeaseRenewal,
    Stamp,
)
from uav_twin_migration.twin.protocol.twin_client import TwinClient

CLOCK = 1.8e9  # s since 1970
TEXTS = (
    "",
    "rsu_0",
    "uav_0",
    "rsu_1",
    "no such/name!",
    "x" * 65,
    "\ufffd",
    "hosting",
    "9" * 400,
    "/market/price_offers",
)
NUMBERS = (0.0, -0.0, -1.0, 1.0, 0.5, math.nan, math.inf, -math.inf, 1e300, -1e300, 5e-324, 1.8e9)
LENGTHS = (0, 1, 2, 3, 7, 64)
_BOUND = re.compile(r"<=\d+|<\d+>$")


class Drawn:
    """Choices out of bytes; nothing but firsts once they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self) -> int:
        """The next byte."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def one_of(self, values: Sequence[Any]) -> Any:
        """The next choice."""
        return values[self.number() % len(values)]


def value_of(kind: str, old: Any, drawn: Drawn) -> Any:
    """A value for a field of a type, as rosidl names types."""
    kind = _BOUND.sub("", kind)
    if kind.startswith("sequence<"):
        element = kind[len("sequence<") :].partition(",")[0].rstrip(">")
        first = next(iter(old), None) if len(old) else None
        return [value_of(element, first, drawn) for _ in range(drawn.one_of((len(old), *LENGTHS)))]
    if kind.endswith("]"):
        return old
    if kind in ("string", "wstring"):
        return drawn.one_of(TEXTS)
    if kind == "boolean":
        return drawn.number() % 2 == 1
    if kind == "float":
        return drawn.one_of([one for one in NUMBERS if abs(one) < 1e38 or not math.isfinite(one)])
    if kind == "double":
        return drawn.one_of(NUMBERS)
    if kind == "octet":
        return bytes([drawn.number()])
    if "/" in kind:
        return changed(old, drawn) if old is not None else None
    signed = not kind.startswith("u")
    bits = int(re.sub(r"\D", "", kind) or 64)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return drawn.one_of((0, 1, low, high, high - 1, min(high, 1 << 60)))


def changed(message: Any, drawn: Drawn) -> Any:
    """The message with some of its fields changed."""
    fields = list(message.get_fields_and_field_types().items())
    for _ in range(drawn.number() % 4):
        name, kind = drawn.one_of(fields)
        value = value_of(kind, getattr(message, name), drawn)
        if value is None or (isinstance(value, list) and any(one is None for one in value)):
            continue  # a nested message of which there was none
        setattr(message, name, value)
    return message


@cache
def _makers() -> Sequence[tuple[str, Callable[[], Any]]]:
    """What is right, by topic, to be changed."""
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
    from nav_msgs.msg import Odometry

    from uav_twin_migration import msg
    from uav_twin_migration.deployment import topics
    from uav_twin_migration.nodes.ros import convert, twin_convert
    from uav_twin_migration.nodes.ros.twin_convert import Heartbeat

    offer = Offer("rsu_0", 1, 3.0, 10.0, (0.0, 0.0, 20.0), 600.0, 0.5)
    held = HostHeartbeat("uav_0", "rsu_0", Holding.HOSTING, 1 << 30, 1, Stamp(1, 1.0))
    telemetry = Telemetry(1, 1.0, (1.0, 2.0, 3.0), (0.0, 0.0, 0.0))
    renewal = LeaseRenewal("uav_0", "rsu_0", 1 << 30, 1 << 30, Stamp(1, 1.0))
    reply = HostReply("uav_0", "rsu_0", 1 << 30, None, 0, restored=True)
    status = DiagnosticStatus(name="rsu/rsu_0", values=[KeyValue(key="price", value="2.5")])
    links = msg.LinkQuality(uav_ids=["uav_0"], rsu_ids=["rsu_0"], spectral_efficiency=[2.0])
    moved = msg.MigrationReport(uav_id="uav_0", source="rsu_0", target="rsu_1")
    twin_state = msg.TwinState(rsu_id="rsu_0", uav_ids=["uav_0"], epochs=[1], stamps=[1.0], positions=[0.0] * 3)
    return [
        (topics.PRICE_OFFERS, lambda: convert.offer_to_message(offer, 1.0)),
        (topics.BANDWIDTH_DEMANDS, lambda: convert.demand_to_message([Bid("uav_0", "rsu_0", 1, 2.0)], 1, 1.0)),
        (topics.BANDWIDTH_GRANTS, lambda: convert.grant_to_message(Grant("rsu_0", 1, 3.0, {"uav_0": 2.0}, 2.0), 1.0)),
        (
            topics.TWIN_HOST_HEARTBEATS,
            lambda: twin_convert.host_heartbeats_to_message("rsu_0", Stamp(1, 1.0), [held], {}, 1.0),
        ),
        (
            topics.TWIN_UAV_HEARTBEATS,
            lambda: twin_convert.uav_heartbeats_to_message([Heartbeat(renewal, telemetry, 1.0)], 1.0),
        ),
        (
            topics.TWIN_REQUESTS,
            lambda: twin_convert.requests_to_message([HostRequest("uav_0", "rsu_0", 1 << 30, 1000)], 1.0),
        ),
        (topics.TWIN_REPLIES, lambda: twin_convert.reply_to_message(reply, 1.0, 1.0)),
        (topics.TWIN_HOSTS, lambda: msg.TwinHost(rsu_id="rsu_0", address="127.0.0.1", port=7000)),
        (topics.TWIN_STATES, lambda: twin_state),
        (topics.MIGRATIONS, lambda: moved),
        (topics.LINK_QUALITY, lambda: links),
        (
            topics.HOSTING_DECISIONS,
            lambda: msg.HostingDecision(uav_ids=["uav_0"], rsu_ids=["rsu_0"], predicted_stay=[1.0]),
        ),
        (topics.INTERACTIONS, lambda: msg.Interaction(rsu_id="rsu_0", capacity=10.0, unit_cost=1.0, price_cap=20.0)),
        (topics.DIAGNOSTICS, lambda: DiagnosticArray(status=[status])),
        (topics.odometry("uav_0"), Odometry),
    ]


class Hearers:
    """Whoever hears the messages; they go on from input to input, as nodes do."""

    def __init__(self) -> None:
        self.now = 0.0
        self.listener = Listener(load("small"))
        self.board = OfferBoard()
        self.follower = Follower(FollowerSettings("uav_0", 10.0, 60.0, 0.6), self.board)
        self.leader = Leader(LeaderSettings("rsu_0", (0.0, 0.0, 20.0), 600.0, 10.0, 1.0, 20.0), _Fixed(), 0)
        self.client = TwinClient("uav_0", 1000, 0.0, CLOCK)
        self.twin = UavTwin("uav_0", 1000)

    def hear(self, topic: str, message: Any) -> None:
        """Let everybody who would hear it have a message; then some time passes."""
        from uav_twin_migration.nodes.ros import convert, twin_convert

        kind = type(message).__name__
        self.now += 0.01
        if kind in self.listener.kinds:
            self.listener.hear(self.now, topic, kind, message)
        if kind == "PriceOffer":
            offer = convert.offer_from_message(message)
            self.board.on_offer(self.now, offer)
            self.leader.on_offer(self.now, offer)
        elif kind == "BandwidthDemand" and not convert.has_length_mismatch(message):
            for bid in convert.all_bids(message):
                if bid.rsu == "rsu_0":
                    self.leader.on_demand(self.now, message.sequence, bid)
                elif self.leader.doubts(self.now, bid):
                    self.leader.on_bid_elsewhere(self.now, bid)
        elif kind == "BandwidthGrant" and not convert.has_length_mismatch(message):
            self.follower.on_grant(self.now, convert.grant_from_message(message))
        elif kind == "TwinHostStatus":
            for host_heartbeat in twin_convert.host_heartbeats_from_message(message):
                self.client.hear(host_heartbeat, self.now)
            list(twin_convert.replica_ages_from_message(message))
        elif kind == "TwinReply":
            for reply in twin_convert.replies_from_message(message):
                self.client.answer(reply, self.now)
            list(twin_convert.takeovers_from_message(message))
        elif kind == "UavHeartbeat":
            for heartbeat in twin_convert.uav_heartbeats_from_message(message) or ():
                if heartbeat.telemetry is not None:
                    self.twin.observe(heartbeat.telemetry, self.now)
        elif kind == "TwinRequest":
            list(twin_convert.requests_for(message, "rsu_0"))
        elif kind == "TwinHost":
            twin_convert.is_host(message)
        elif kind == "Odometry":
            self.follower.on_motion(self.now, *convert.motion_from_message(message)[1:])
        self._go_on()

    def _go_on(self) -> None:
        self.leader.on_time(self.now)
        self.follower.on_time(self.now)
        self.client.want("rsu_0", ["rsu_1"])
        self.client.step(self.now, 1.0)
        self.client.lease_renewal()


class _Fixed:
    def decide(self, history: Sequence[Any], rival_prices: Sequence[float]) -> PriceDecision:
        return PriceDecision(2.0)


_hearers: list[Hearers] = []


def read(data: bytes) -> None:
    """Hear the message that the bytes make."""
    if not _hearers:
        _hearers.append(Hearers())
    drawn = Drawn(data)
    topic, make = drawn.one_of(_makers())
    _hearers[0].hear(topic, changed(make(), drawn))


def seeds() -> Sequence[bytes]:
    """One of each type."""
    return [bytes([number]) for number in range(len(_makers()))]


def read_bytes(data: bytes) -> None:
    """Read what came as a UAV's heartbeat or odometry, whose bytes nodes read themselves. Raises ValueError."""
    from uav_twin_migration.nodes.ros import convert, twin_convert

    refused = 0
    for read_one in (twin_convert.uav_heartbeats_from_bytes, convert.motion_from_bytes):
        try:
            read_one(data)
        except Exception as error:  # what is not plain is rclpy's to refuse; the node drops it
            if type(error).__name__ != "RMWError":
                raise
            refused += 1
    if refused == 2:
        raise ValueError("neither a heartbeat nor an odometry")


def seeds_of_bytes() -> Sequence[bytes]:
    """Heartbeats of one UAV and of two that hand grants over, and an odometry, as they come."""
    from nav_msgs.msg import Odometry

    from uav_twin_migration.msg import BandwidthGrant
    from uav_twin_migration.nodes.ros import convert, twin_convert

    telemetry = Telemetry(1, 1.0, (1.0, 2.0, 3.0), (0.0, 0.0, 0.0))
    told = twin_convert.Heartbeat(LeaseRenewal("uav_0", "rsu_0", 1 << 30, 1 << 30, Stamp(1, 1.0)), telemetry, 1.0)
    alone = twin_convert.uav_heartbeats_to_message([told], 1.0)
    two = twin_convert.uav_heartbeats_to_message([told] * 2, 1.0, [BandwidthGrant(rsu_id="rsu_0")])
    return [convert.to_bytes(message) for message in (alone, two, Odometry(child_frame_id="uav_0/base_link"))]
