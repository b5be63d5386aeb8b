"""UAV nodes: followers of the market. A `UavNode` is one UAV, a `UavContainerNode` many in one process.

Both are an `AgentsNode`: the same state machines over subscriptions that the UAVs of the process share.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any

from nav_msgs.msg import Odometry

from uav_twin_migration.deployment import topics
from uav_twin_migration.errors import InputError
from uav_twin_migration.market.follower import GATHERING, Demand, Follower, FollowerSettings, HostChange, Output
from uav_twin_migration.market.ledger import receipt_of
from uav_twin_migration.market.messages import Bid, Refusal
from uav_twin_migration.market.offer_board import OfferBoard
from uav_twin_migration.market.regions import Membership
from uav_twin_migration.monitor.throttled_log import ThrottledLog
from uav_twin_migration.msg import BandwidthDemand, BandwidthGrant, HostingDecision, LinkQuality, PriceOffer
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.nodes.ros.diagnostics import Diagnostics
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.ledgers import describe_ledger, open_ledger
from uav_twin_migration.nodes.ros.parameters import ExplainsParameters, declare
from uav_twin_migration.nodes.ros.regions import Regions
from uav_twin_migration.nodes.ros.signatures import Signing, Verifying
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import Timing, steady_timer
from uav_twin_migration.nodes.ros.uav_twins import UavTwins
from uav_twin_migration.scenario.parameters import container_parameters, listed, own_settings, parameters_of
from uav_twin_migration.scenario.settings import UAV, made_of

SILENCE, SILENT_ROUNDS = 10.0, 10.0  # s of wall time, and rounds, without an offer that are worth a line in the log


class AgentsNode(ExplainsParameters, Guarded):
    """Translates between ROS messages and one or many `Follower`s."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._twins: UavTwins | None = None
        values, settings = self._read()
        self._board = OfferBoard(values["round_period"])
        self._verifying = Verifying(values["market_key"])
        self._signing = Signing(values["signing_key"], [one.uav for one in settings])
        tell = self.get_logger().error
        self._followers = {one.uav: Follower(one, self._board, tell) for one in settings}
        self._wanted_hosts: dict[str, HostChange] = {}
        self._sequence = 0
        self._latencies: deque[float] = deque(maxlen=4096)  # ms from an offer's reception to its grant's
        self._heard_at: dict[str, tuple[int, float]] = {}  # rsu -> round, wall time
        self._length_mismatches = 0
        self._timing = Timing(self)
        self._ledger = open_ledger(values, "", list(self._followers), self._timing)
        self._waker = self._timing.waker(self._on_time)
        self._membership = Membership()
        self._regions = Regions(self, self._membership.regions(self._timing.now()))
        self._demands = self._regions.create_publisher(BandwidthDemand, topics.BANDWIDTH_DEMANDS, qos_profiles.MARKET)
        self._hosting = self._regions.create_publisher(HostingDecision, topics.HOSTING_DECISIONS, qos_profiles.LATCHED)
        self._regions.create_subscription(PriceOffer, topics.PRICE_OFFERS, self._on_offer, qos_profiles.REPEATED)
        self._regions.create_subscription(
            BandwidthGrant, topics.BANDWIDTH_GRANTS, self._on_grant, qos_profiles.REPEATED
        )
        told = f"{self.get_namespace().rstrip('/')}/link_quality"
        links = told if values["own_links"] else topics.LINK_QUALITY
        self.create_subscription(LinkQuality, links, self._on_links, qos_profiles.MEASUREMENT)
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

    def _on_change(self, names: frozenset[str]) -> None:
        """Parameters were set while running."""
        if self._twins is not None:
            self._twins.change()

    def _follow_motion(self, follower: Follower) -> None:
        uav = follower.settings.uav

        def on_odometry(data: bytes) -> None:
            stamp, position, velocity = convert.motion_from_bytes(data)
            now = self._timing.now()
            follower.on_motion(now, position, velocity)
            if self._twins is not None:
                self._twins.on_motion(uav, stamp or now, position, velocity)

        self.create_subscription(Odometry, topics.odometry(uav), on_odometry, qos_profiles.MEASUREMENT, raw=True)

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
        """Be in the regions whose RSUs can be reached, or have to do with the UAVs' twins."""
        clients = self._twins.twin_clients.values() if self._twins else ()
        hosts = {rsu for twin_client in clients for rsu in twin_client.rsus}
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
        got: list[str] = []
        for uav in grant.bandwidth:
            follower = self._followers.get(uav)
            if follower is None:
                continue
            before = follower.granted
            follower.on_grant(now, grant)
            if follower.granted == before:
                continue
            if grant.bandwidth[uav] > 0.0:
                got.append(uav)
            if self._twins is not None:
                self._twins.on_grant(uav, message)
            if grant.round == round_:
                self._latencies.append((time.monotonic() - heard) * 1e3)
        if got and self._ledger is not None:
            self._ledger.add(receipt_of(message, now, got))

    def destroy_node(self) -> None:
        """Write the rest of the ledger before the node goes."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
        super().destroy_node()

    def _send(self, outputs: list[Output], now: float) -> None:
        bids: list[Bid] = [bid for output in outputs if isinstance(output, Demand) for bid in output.bids]
        changes = {output.uav: output for output in outputs if isinstance(output, HostChange)}
        if bids:
            self._sequence += 1
            for region, some in self._membership.divided(bids).items():
                message = convert.demand_to_message(some, self._sequence, now)
                self._demands.publish_in(region, self._signing.signed(message))
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
        values.update(sum((Counter(one.describe_plugins()) for one in followers), Counter[str]()))
        values.update(self.describe_unexpected())
        values.update(describe_ledger(self._ledger))
        name = next(iter(self._followers)) if len(followers) == 1 else self.get_namespace().strip("/")
        return {f"uav/{name}": values}


class UavNode(AgentsNode):
    """One UAV."""

    def __init__(self, **options: Any) -> None:
        super().__init__("uav", **options)

    def _read(self) -> tuple[dict[str, Any], list[FollowerSettings]]:
        values = declare(self, parameters_of(UAV), self._on_change)
        return values, [made_of(FollowerSettings, values, uav=values["uav_id"])]


class UavContainerNode(AgentsNode):
    """Many UAVs."""

    def __init__(self, **options: Any) -> None:
        super().__init__("uav_container", **options)

    def _read(self) -> tuple[dict[str, Any], list[FollowerSettings]]:
        values = declare(self, container_parameters(), self._on_change)
        lists = {own.name: values[listed(own.name)] for own in own_settings()}
        count = max(map(len, lists.values()))
        one_for_all = [own.name for own in own_settings() if not own.required and len(lists[own.name]) == 1]
        lists |= {name: lists[name] * count for name in one_for_all}
        if len(set(map(len, lists.values()))) > 1:
            where = f"parameters of {self.get_fully_qualified_name()}"
            lengths = [len(column) for column in lists.values()]
            raise InputError(where, ", ".join(map(listed, lists)), lengths, "equal lengths")
        each = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
        return values, [made_of(FollowerSettings, {**values, **own}, uav=own["uav_id"]) for own in each]


def main() -> int:
    """``ros2 run uav_twin_migration uav``."""
    return run(lambda: [UavNode()])


def container_main() -> int:
    """``ros2 run uav_twin_migration UAV container``."""
    return run(lambda: [UavContainerNode()])
