"""UAV nodes: followers of the market. A `UavNode` is one UAV, a `UavContainerNode` many in one process.

Both are an `AgentsNode`: the same state machines over subscriptions that the UAVs of the process share.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from nav_msgs.msg import Odometry

from uav_twin_migration.errors import InputError
from uav_twin_migration.market.follower import Demand, Follower, FollowerSettings, HostChange, OfferBoard, Output
from uav_twin_migration.market.messages import Bid, Refusal, is_id
from uav_twin_migration.market.regions import Membership
from uav_twin_migration.monitor.throttled_log import ThrottledLog
from uav_twin_migration.msg import BandwidthDemand, BandwidthGrant, HostingDecision, LinkQuality, PriceOffer
from uav_twin_migration.nodes.ros import convert, topics
from uav_twin_migration.nodes.ros.diagnostics import Diagnostics
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import Parameter, declare, require
from uav_twin_migration.nodes.ros.regions import Regions
from uav_twin_migration.nodes.ros.signatures import Signing, Verifying
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import Timing, steady_timer
from uav_twin_migration.nodes.ros.uav_twins import PARAMETERS as TWIN_PARAMETERS
from uav_twin_migration.nodes.ros.uav_twins import UavTwins

# RSUs post together. A UAV container lets that burst of offers come in before it looks at them, so that its UAVs
# answer with one message instead of one for each offer: every RSU has to read every message.
GATHERING = 0.005  # s of wall time
SILENCE, SILENT_ROUNDS = 10.0, 10.0  # s of wall time, and rounds, without an offer that are worth a line in the log

MARKET_PARAMETERS = (
    Parameter("rho", 0.6, "rho of the market, in (0, 1): how well RSUs replace each other"),
    Parameter("round_period", 1.0, "time between two offers of an RSU, s"),
    Parameter("max_bids", 4, "RSUs to bid to, the ones with the best links"),
    Parameter("min_stay", 20.0, "lower bound of the predicted stay in coverage T, s"),
    Parameter("max_stay", 100.0, "upper bound of the predicted stay in coverage T, s"),
    Parameter(
        "market_key", "", "file (market.pub) that RSUs' signatures are verified with; empty: unsigned is believed"
    ),
    Parameter("replicas", "none", "replicas of the twin on a second RSU: none or one"),
    Parameter("signing_key", "", "file (ID.signing) with which to sign what it says as its UAVs; empty: without"),
    Parameter("twin", True, "have the twin hosted and moved; false: only trade"),
    *TWIN_PARAMETERS,
)
UAV_PARAMETERS = (
    Parameter("uav_id", str, "id of this UAV, a ROS name token"),
    Parameter("immersion_weight", float, "alpha, what immersion is worth to the UAV's users, credit; private"),
    Parameter("twin_size", float, "size of the twin, Mbit; private"),
    *MARKET_PARAMETERS,
)
UAV_CONTAINER_PARAMETERS = (
    Parameter("uav_ids", list, "ids of the UAV container's UAVs"),
    Parameter("immersion_weights", tuple, "alpha of each UAV, credit"),
    Parameter("twin_sizes", tuple, "twin size of each UAV, Mbit"),
    *MARKET_PARAMETERS,
)


class AgentsNode(Guarded):
    """Translates between ROS messages and one or many `Follower`s."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        values, settings = self._read()
        self._check(values, settings)
        self._board = OfferBoard(values["round_period"])
        self._verifying = Verifying(values["market_key"])
        self._signing = Signing(values["signing_key"], [one.uav for one in settings])
        self._followers = {one.uav: Follower(one, self._board) for one in settings}
        self._wanted_hosts: dict[str, HostChange] = {}
        self._sequence = 0
        self._latencies: deque[float] = deque(maxlen=4096)  # ms from an offer's reception to its grant's
        self._heard_at: dict[str, tuple[int, float]] = {}  # rsu -> round, wall time
        self._length_mismatches = 0
        self._timing = Timing(self)
        self._waker = self._timing.waker(self._on_time)
        self._membership = Membership()
        self._regions = Regions(self, self._membership.regions(self._timing.now()))
        self._demands = self._regions.create_publisher(BandwidthDemand, topics.BANDWIDTH_DEMANDS, topics.MARKET)
        self._hosting = self._regions.create_publisher(HostingDecision, topics.HOSTING_DECISIONS, topics.LATCHED)
        self._regions.create_subscription(PriceOffer, topics.PRICE_OFFERS, self._on_offer, topics.REPEATED)
        self._regions.create_subscription(BandwidthGrant, topics.BANDWIDTH_GRANTS, self._on_grant, topics.REPEATED)
        self.create_subscription(LinkQuality, topics.LINK_QUALITY, self._on_links, topics.MEASUREMENT)
        self._twins: UavTwins | None = None
        if values["twin"]:
            own = (self._followers, values, self._timing, self._signing, self._verifying)
            self._twins = UavTwins(self, self._regions, *own)
        for follower in self._followers.values():
            self._follow_motion(follower)
        self._gathering = steady_timer(self, GATHERING, self._answer)
        self._gathering.cancel()
        self._diagnostics = Diagnostics(self, self._describe, self._senders)
        self._news = ThrottledLog(lambda line: self.get_logger().info(line), ends=False)
        self._heard_last, self._silent = time.monotonic(), False
        self._silence = max(SILENCE, SILENT_ROUNDS * values["round_period"])
        steady_timer(self, 1.0, self._watch_offers)

    def _read(self) -> tuple[dict[str, Any], list[FollowerSettings]]:
        """Parameters and what they make of each UAV."""
        raise NotImplementedError

    def _check(self, values: dict[str, Any], settings: list[FollowerSettings]) -> None:
        where = f"parameters of {self.get_fully_qualified_name()}"
        require(self, values, "rho", 0.01, 0.99)
        require(self, values, "round_period", 1e-3, 3600.0)
        require(self, values, "max_bids", 1, 256)
        require(self, values, "min_stay", 1e-3, values["max_stay"])
        if values["replicas"] not in ("none", "one"):
            raise InputError(where, "replicas", values["replicas"], "none or one")
        for one in settings:
            if not is_id(one.uav):
                raise InputError(where, "uav_id", one.uav, "a ROS name token of at most 64 characters")
            for key, value in (("immersion_weight", one.immersion_weight), ("twin_size", one.twin_size)):
                if not 0.0 < value < 1e9:
                    raise InputError(where, f"{key} of {one.uav}", value, "a number above 0")

    def _follow_motion(self, follower: Follower) -> None:
        def on_odometry(message: Odometry) -> None:
            position, velocity = convert.motion_from_message(message)
            follower.on_motion(self._timing.now(), position, velocity)
            if self._twins is not None:
                stamp = convert.seconds(message.header.stamp) or self._timing.now()
                self._twins.on_motion(follower.settings.uav, stamp, position, velocity)

        self.create_subscription(Odometry, topics.odometry(follower.settings.uav), on_odometry, topics.MEASUREMENT)

    # -- events ------------------------------------------------------------------------------------------------------

    def _on_offer(self, message: PriceOffer) -> None:
        now = self._timing.now()
        offer = convert.offer_from_message(message)
        if not self._verifying.believes(message) or not self._board.on_offer(now, offer):
            return
        self._heard_last = time.monotonic()
        self._heard_at[offer.rsu] = (offer.round, self._heard_last)
        if len(self._followers) == 1:
            self._answer()
        elif self._gathering.is_canceled():
            self._gathering.reset()

    def _answer(self) -> None:
        """Let everybody answer who has heard all offers that it waits for."""
        self._gathering.cancel()
        now = self._timing.now()
        self._send([output for one in self._followers.values() for output in one.on_offers(now)], now)

    def _on_time(self, now: float) -> None:
        self._send([output for one in self._followers.values() for output in one.on_time(now)], now)

    def _on_links(self, message: LinkQuality) -> None:
        width = len(message.rsu_ids)
        if len(message.spectral_efficiency) != width * len(message.uav_ids) or len(message.regions) not in (0, width):
            self._length_mismatches += 1
            return
        now = self._timing.now()
        outputs: list[Output] = []
        linked: set[str] = set()
        for row, uav in enumerate(message.uav_ids):
            follower = self._followers.get(uav)
            if follower is not None:
                efficiency = message.spectral_efficiency[row * width : (row + 1) * width]
                outputs += follower.on_links(now, dict(zip(message.rsu_ids, efficiency, strict=True)))
                linked.update(follower.in_range)
        self._membership.on_links(now, dict(zip(message.rsu_ids, message.regions, strict=False)), linked)
        self._visit(now)
        self._send(outputs, now)

    def _visit(self, now: float) -> None:
        """Be in the regions whose RSUs can be reached, or have the UAVs' twins."""
        hosts = [twin_client.host for twin_client in self._twins.twin_clients.values()] if self._twins else []
        regions = self._membership.regions(now, hosts)
        if regions != self._regions.joined:
            self._regions.move(regions)
            self._hosting.publish(convert.hosting_to_message(list(self._wanted_hosts.values()), now))

    def _on_grant(self, message: BandwidthGrant) -> None:
        if convert.has_length_mismatch(message):
            self._length_mismatches += 1
            return
        if not self._verifying.believes(message):
            return
        now = self._timing.now()
        grant = convert.grant_from_message(message)
        round_, heard = self._heard_at.get(grant.rsu, (-1, 0.0))
        for uav in grant.bandwidth:
            follower = self._followers.get(uav)
            if follower is None:
                continue
            before = follower.granted
            follower.on_grant(now, grant)
            if follower.granted > before and grant.round == round_:
                self._latencies.append((time.monotonic() - heard) * 1e3)

    def _send(self, outputs: list[Output], now: float) -> None:
        bids: list[Bid] = [bid for output in outputs if isinstance(output, Demand) for bid in output.bids]
        changes = {output.uav: output for output in outputs if isinstance(output, HostChange)}
        if bids:
            self._sequence += 1
            self._demands.publish(self._signing.signed(convert.demand_to_message(bids, self._sequence, now)))
        if changes:
            self._wanted_hosts.update(changes)
            self._hosting.publish(convert.hosting_to_message(list(self._wanted_hosts.values()), now))
        self._waker.set(min(one.wake_at for one in self._followers.values()))

    def _watch_offers(self) -> None:
        """Say when no RSU is heard any more, and when one is again."""
        silent = time.monotonic() - self._heard_last > self._silence
        if silent and not self._silent:
            reason = "out of the reach of all RSUs, none runs, or ROS does not connect us"
            self._diagnostics.throttled_log.note("hears no offer any more", reason)
        elif self._silent and not silent:
            self._news.note("hears offers again")
        self._silent = silent
        self._news.tick()

    def _senders(self) -> dict[str, str]:
        senders = self._board.refusals.senders | self._verifying.refusals.senders
        for one in self._followers.values():
            senders |= one.refusals.senders
        return senders

    def _describe(self) -> dict[str, dict[str, object]]:
        """One status for the process's UAVs; latencies are those since the last time."""
        followers = self._followers.values()
        refusals = self._board.refusals.copy()
        refusals.update(self._verifying.refusals)
        for one in followers:
            refusals.update(one.refusals)
        if self._length_mismatches:
            refusals[Refusal.LENGTH_MISMATCH] = self._length_mismatches
        latencies = [self._latencies.popleft() for _ in range(len(self._latencies))]
        values: dict[str, object] = {
            "uavs": len(followers),
            "answers_granted": sum(one.granted for one in followers),
            "answers_ungranted": sum(one.ungranted for one in followers),
            "rounds_missed": sum(one.missed for one in followers),
            "hosting_changes": sum(one.hosting.changes for one in followers),
            "offer_to_grant_ms": " ".join(f"{value:.1f}" for value in latencies),
        }
        values.update({f"refused/{reason.value}": count for reason, count in refusals.items()})
        values.update(self.describe_unexpected())
        name = next(iter(self._followers)) if len(followers) == 1 else self.get_namespace().strip("/")
        return {f"uav/{name}": values}


class UavNode(AgentsNode):
    """One UAV."""

    def __init__(self, **options: Any) -> None:
        super().__init__("uav", **options)

    def _read(self) -> tuple[dict[str, Any], list[FollowerSettings]]:
        values = declare(self, UAV_PARAMETERS)
        return values, [make_settings(values["uav_id"], values["immersion_weight"], values["twin_size"], values)]


class UavContainerNode(AgentsNode):
    """Many UAVs."""

    def __init__(self, **options: Any) -> None:
        super().__init__("uav_container", **options)

    def _read(self) -> tuple[dict[str, Any], list[FollowerSettings]]:
        values = declare(self, UAV_CONTAINER_PARAMETERS)
        columns: list[Any] = [values["uav_ids"], values["immersion_weights"], values["twin_sizes"]]
        if len({len(column) for column in columns}) > 1 or not columns[0]:
            where = f"parameters of {self.get_fully_qualified_name()}"
            lengths = [len(column) for column in columns]
            raise InputError(where, "uav_ids, immersion_weights, twin_sizes", lengths, "equal lengths, at least 1")
        return values, [make_settings(uav, weight, size, values) for uav, weight, size in zip(*columns, strict=True)]


def make_settings(uav: str, immersion_weight: float, twin_size: float, values: dict[str, Any]) -> FollowerSettings:
    """One UAV's settings out of its own values and the market's parameters."""
    return FollowerSettings(
        uav,
        immersion_weight,
        twin_size,
        values["rho"],
        values["max_bids"],
        values["min_stay"],
        values["max_stay"],
        replicas=values["replicas"],
    )


def main() -> int:
    """``ros2 run uav_twin_migration uav``."""
    return run(lambda: [UavNode()])


def container_main() -> int:
    """``ros2 run uav_twin_migration UAV container``."""
    return run(lambda: [UavContainerNode()])
