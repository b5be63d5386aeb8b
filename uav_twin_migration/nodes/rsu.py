"""The RSU node: a leader of the market. A lifecycle node: it posts prices while it is active."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.timer import Timer

from uav_twin_migration.deployment import topics
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.market.leader import ClosedRound, Leader, LeaderSettings, Output
from uav_twin_migration.market.ledger import receipt_of
from uav_twin_migration.market.ledger_file import LedgerFile
from uav_twin_migration.market.messages import Grant, Offer, Refusal
from uav_twin_migration.msg import BandwidthDemand, BandwidthGrant, Interaction, PolicyUpdate, PriceOffer
from uav_twin_migration.nodes.ros import convert, qos_profiles, systemd
from uav_twin_migration.nodes.ros.diagnostics import Diagnostics
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.ledgers import describe_ledger, open_ledger
from uav_twin_migration.nodes.ros.migrate_action import MigrateAction
from uav_twin_migration.nodes.ros.parameters import ExplainsParameters, declare
from uav_twin_migration.nodes.ros.policies import PolicyDesk
from uav_twin_migration.nodes.ros.proofs import Proofs
from uav_twin_migration.nodes.ros.rsu_twins import RsuTwins
from uav_twin_migration.nodes.ros.rsus_heard import RsusHeard
from uav_twin_migration.nodes.ros.signatures import Signing, Verifying
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import Timing, steady_timer
from uav_twin_migration.plugins import PluginError, describe
from uav_twin_migration.policy.choice import make_pricer
from uav_twin_migration.scenario.parameters import parameters_of
from uav_twin_migration.scenario.settings import RSU, made_of

RETRY = 5.0  # s between two attempts to host twins, where something keeps it from doing so that may pass
LOOK = 0.2  # s between two looks whether the twins have moved, on the way out
SLACK = 10.0  # s beyond drain_limit that ending takes at most


class RsuNode(ExplainsParameters, Guarded, LifecycleNode):
    """Translates between ROS messages and a `Leader`."""

    def __init__(self, **options: Any) -> None:
        self.bare = set[object]()  # what is not of a configuration: `on_cleanup` leaves it
        super().__init__("rsu", **options)
        self._leader: Leader | None = None
        self._twins: RsuTwins | None = None
        self._values = declare(self, parameters_of(RSU), self._on_change)
        self._check_files(self._values)
        self.settings = self._read_settings()  # those of the next round
        self._signing = Signing(self._values["signing_key"])
        self._verifying = Verifying(self._values["market_key"], self._values["require_uav_signatures"])
        self._policies = PolicyDesk(self._values["learners"], self._values["policy_kept"])
        self._pricer = make_pricer(
            *(self.settings.unit_cost, self.settings.price_cap, self.settings.capacity),
            self._values["rho"],
            self._policies.first(self._values["policy"]),
            exploration=self._values["exploration"],
            seed=self._values["seed"],
            tell=self.get_logger().info,
            plugin=self._values["pricing"],
        )
        self._ledger: LedgerFile | None = None
        self._heard = RsusHeard()
        self._totals = Counter({"rounds": 0, "grants": 0})
        self._trouble = ""  # why it hosts no twins though it should
        self._failure: UavTwinError | None = None  # of the last transition
        self.fail: Callable[[str], None] = self.get_logger().fatal  # the spin puts its own here
        self.stop: Callable[[], None] = lambda: None  # and here
        if self._values["autostart"]:
            self.trigger_configure()
            if self._failure is not None:
                raise self._failure
            self.trigger_activate()

    def _check_files(self, values: dict[str, Any]) -> None:
        if values["require_uav_signatures"] and not values["market_key"]:
            where = f"parameters of {self.get_fully_qualified_name()}"
            raise InputError(where, "market_key", "", "the file market.pub, which require_uav_signatures needs")

    def _read_settings(self) -> LeaderSettings:
        values = self._values
        return made_of(LeaderSettings, values, rsu=values["rsu_id"], admitted=values["admitted_uavs"])

    def _on_change(self, names: frozenset[str]) -> None:
        """Parameters were set while running."""
        settings = self.settings = self._read_settings()
        self._pricer.adopt(settings.unit_cost, settings.price_cap, settings.capacity)
        if self._leader is not None:
            self._leader.change(settings)
        if self._twins is not None:
            self._twins.change()
        told = ", ".join(f"{name} {self._values[name]}" for name in sorted(names))
        self.get_logger().info(f"changed: {told}")

    # -- lifecycle ---------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the leader and its connections; it does not sell yet."""
        self._failure = None
        self.bare = {*self.publishers, *self.subscriptions, *self.timers}
        self._timing = Timing(self)
        self._proofs = Proofs(self.settings.rsu, self._values, self._timing, self._verifying)
        try:
            self._twins = self._host_twins(at_start=True)
        except UavTwinError as error:
            self._failure = error
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        settings = self.settings
        self._ledger = open_ledger(self._values, settings.rsu, (), self._timing)
        # The start's time in us is above every round number of an earlier life, which counted no faster than that, and
        # of nobody else's: by their rounds, two RSUs of one id that start at once know that a voice is not their own.
        self._leader = Leader(settings, self._pricer, first_round=int(time.time() * 1e6))
        self._leader.stop()
        self._waker = self._timing.waker(self._on_time)
        self._offers = self.create_publisher(PriceOffer, self._here(topics.PRICE_OFFERS), qos_profiles.MARKET)
        self._grants = self.create_publisher(BandwidthGrant, self._here(topics.BANDWIDTH_GRANTS), qos_profiles.MARKET)
        self._interactions = self.create_publisher(Interaction, topics.INTERACTIONS, qos_profiles.MARKET)
        self.create_subscription(
            BandwidthDemand, self._here(topics.BANDWIDTH_DEMANDS), self._on_demand, qos_profiles.REPEATED
        )
        for region in sorted({self._values["region"], *self._values["rival_regions"]}):
            near = topics.in_region(region, topics.PRICE_OFFERS)
            self.create_subscription(PriceOffer, near, self._on_offer, qos_profiles.REPEATED)
        if not self._values["pricing"]:
            self.create_subscription(PolicyUpdate, topics.POLICY_UPDATES, self._on_policy, qos_profiles.LATCHED)
        self._diagnostics = Diagnostics(self, self._describe, self._senders)
        self._retry = steady_timer(self, RETRY, self._try_again) if self._trouble else None
        return TransitionCallbackReturn.SUCCESS

    def stuck(self, within: float) -> str:
        """A thread that has not gone round for `within` seconds; empty where there is none."""
        return self._twins.stuck(within) if self._twins is not None else ""

    def _here(self, topic: str) -> str:
        return topics.in_region(self._values["region"], topic)

    def _host_twins(self, at_start: bool = False) -> RsuTwins | None:
        """An RSU that cannot host twins now says so, goes on selling, and tries again.

        Raises UavTwinError at its start, where no waiting helps.
        """
        if not self._values["twin_store"]:
            return None
        try:
            self._action = self._action or MigrateAction(self, self.settings.rsu)
            own = (self._values, self._timing, self._signing, self._verifying, self._proofs, self._action)
            twins = RsuTwins(self, self.settings.rsu, *own)
        except UavTwinError as error:
            if at_start and not (error.may_pass or isinstance(error, PluginError)):
                raise
            trouble, self._trouble = self._trouble, f"hosts no twins: {error}"
            if trouble != self._trouble:
                self.get_logger().error(f"{self._trouble} (tried again every {RETRY:g} s)")
            return None
        twins.fail = lambda why: self.fail(why)
        self._trouble = ""
        return twins

    def _try_again(self) -> None:
        self._twins = self._host_twins()
        if self._twins is not None and self._retry is not None:
            self._retry.cancel()
            self.get_logger().info(f"hosts twins now; {self._twins_here()}")
            if self._going_down:
                self._twins.drain()

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Sell, and take twins."""
        assert self._leader is not None  # configured before
        self._going_down = False
        if self._twins is not None:
            self._twins.stop_draining()
        self._leader.start()
        self._waker.set(self._timing.now())
        rule = self._values["pricing"] or "its rule"
        policy = f"policy {self._pricer.version}" if self._pricer.version else rule
        self.get_logger().info(
            f"RSU {self.settings.rsu} sells up to {self.settings.capacity:g} MHz, priced by {policy}; "
            f"{self._twins_here()}"
        )
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop selling, and have the twins move away; what was granted stays until its lease is over."""
        assert self._leader is not None  # configured before
        self._leader.stop()
        self._going_down = True
        self.get_logger().info("sells nothing any more")
        if self._twins is not None:
            self._twins.drain()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo `on_configure`. Twins that have not moved away stay in the store."""
        self._close_twins()
        self._close_ledger()
        for timer in set(self.timers) - self.bare:
            self.destroy_timer(timer)
        for subscription in set(self.subscriptions) - self.bare:
            self.destroy_subscription(subscription)
        for publisher in set(self.publishers) - self.bare:
            self.destroy_publisher(publisher)
        self._leader = None
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop for good, from whichever state: sell nothing more, and close the store."""
        if self._leader is not None:
            self.on_cleanup(state)
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition failed in a way that nobody expected: back to the beginning, where it can be tried again."""
        self.get_logger().error(f"the transition from {state.label!r} failed; the RSU is unconfigured")
        self.on_cleanup(state)
        return TransitionCallbackReturn.SUCCESS

    def leave(self) -> bool:
        """SIGTERM came; for any thread. Whether the node ends by itself now, by `stop`, once its twins have moved."""
        executor = self.executor
        if not self._values["drain_on_stop"] or executor is None:
            return False
        executor.create_task(self._leave)
        executor.wake()
        return True

    def _leave(self) -> None:
        if self._twins is None or not self._twins.hosted or self._leader is None:
            self.stop()
            return
        systemd.notify(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int((self._values['drain_limit'] + SLACK) * 1e6)}")
        if not self._going_down:
            self.trigger_deactivate()
        steady_timer(self, LOOK, self._watch_leaving)

    def _watch_leaving(self) -> None:
        if self._twins is None or not self._twins.drains:
            self.stop()

    def _twins_here(self) -> str:
        return f"twins here: {self._twins.hosted}" if self._twins is not None else "it hosts no twins"

    def _close_twins(self) -> None:
        if self._twins is not None:
            self._twins.close()
            self._twins = None

    def _close_ledger(self) -> None:
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    # -- events ------------------------------------------------------------------------------------------------------

    def _on_time(self, now: float) -> None:
        assert self._leader is not None  # the waker came with it
        self._send(self._leader.on_time(now))

    def _on_demand(self, message: BandwidthDemand) -> None:
        assert self._leader is not None  # the subscription came with it
        if convert.has_length_mismatch(message):
            self._leader.refusals.note(Refusal.LENGTH_MISMATCH, next(iter(message.uav_ids), ""))
            return
        now, rsu = self._timing.now(), self.settings.rsu
        bids = convert.bids_to(message, {rsu, *self._leader.doubted(now)})
        own = [bid for bid in bids if bid.rsu == rsu]
        elsewhere = [bid for bid in bids if bid.rsu != rsu and self._leader.doubts(now, bid)]
        if not (own or elsewhere) or not self._verifying.believes_uavs(message):
            return
        for bid in elsewhere:
            self._leader.on_bid_elsewhere(now, bid)
        self._send([output for bid in own for output in self._leader.on_demand(now, message.sequence, bid)])

    def _on_offer(self, message: PriceOffer) -> None:
        assert self._leader is not None  # the subscription came with it
        offer = convert.offer_from_message(message)
        if offer.rsu == self.settings.rsu and offer.round in self._own_rounds:
            return  # our own voice
        if self._verifying.believes(message):
            self._heard.hear(offer.rsu)
            self._leader.on_offer(self._timing.now(), offer)
            self._proofs.on_offer(offer)

    def _on_policy(self, message: PolicyUpdate) -> None:
        try:
            self._policies.take(message, self._pricer)
        except (UavTwinError, OSError) as refused:
            self._diagnostics.throttled_log.note("a policy is refused", str(refused))
        else:
            self.get_logger().info(f"prices by policy {message.version} from the next round on")

    def _send(self, outputs: list[Output]) -> None:
        assert self._leader is not None  # it made the outputs
        for output in outputs:
            now = self._timing.now()
            if isinstance(output, Offer):
                self._own_rounds = (*self._own_rounds[-3:], output.round)
                self._offers.publish(self._signing.signed(convert.offer_to_message(output, now)))
            elif isinstance(output, Grant):
                self._totals["rounds"] += 1
                self._totals["grants"] += sum(share > 0.0 for share in output.bandwidth.values())
                self._proofs.on_own_grant(output)
                message = self._signing.signed(convert.grant_to_message(output, now))
                self._grants.publish(message)
                if self._ledger is not None and any(output.bandwidth.values()):
                    self._ledger.add(receipt_of(message, now))
            elif isinstance(output, ClosedRound):
                self._interactions.publish(convert.interaction_to_message(output, self._leader.settings, now))
        self._waker.set(self._leader.wake_at)

    _own_rounds: tuple[int, ...] = ()
    _action: MigrateAction | None = None  # of its twins; made with the first of them
    _going_down = False  # it was deactivated: its twins are to move away
    _retry: Timer | None = None

    def _describe(self) -> dict[str, dict[str, object]]:
        assert self._leader is not None  # diagnostics come with it
        leader = self._leader
        values: dict[str, object] = {
            "price": f"{leader.price:.4g}",
            "leased_mhz": f"{leader.leased():.4g}",
            "capacity_mhz": f"{leader.settings.capacity:.4g}",
            "round": leader.round,
            "policy_version": self._pricer.version,
            "policy_out_of_range": self._pricer.outside or "no",
            "rsus_heard": ",".join(self._heard.lately()),
            "uavs_in_range": leader.history[-1].uavs_in_range if leader.history else 0,
        }
        refusals = leader.refusals + self._verifying.refusals + self._proofs.refusals
        values.update({f"refused/{reason.value}": count for reason, count in refusals.items()})
        values.update(describe(self._pricer.plugged) if self._pricer.plugged else {})
        values.update(self.describe_unexpected())
        if self._twins is not None:
            values.update(self._twins.describe())
        elif self._trouble:
            values["trouble"] = self._trouble
        if self._signing.until is not None:
            values["signing_key_expires_timestamp_seconds"] = int(self._signing.until)
        values.update({f"total/{name}": count for name, count in self._totals.items()})
        values.update(describe_ledger(self._ledger))
        for refused in (self._pricer.refusals, self._policies.refusals):
            values.update({f"policy_refused/{reason.value}": count for reason, count in refused.items()})
        return {f"rsu/{self.settings.rsu}": values}

    def _senders(self) -> dict[str, str]:
        assert self._leader is not None  # diagnostics come with it
        return self._leader.refusals.senders | self._verifying.refusals.senders

    def destroy_node(self) -> None:
        """Close the store before the node goes."""
        if self._leader is not None:
            self.get_logger().info(f"ends; {self._twins_here()}")
        self._close_twins()
        self._close_ledger()
        super().destroy_node()


def main() -> int:
    """``ros2 run uav_twin_migration rsu``."""
    return run(lambda: [RsuNode()])
