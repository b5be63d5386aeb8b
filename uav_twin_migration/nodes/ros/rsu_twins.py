"""An RSU's twins on the ROS side: what they say and hear, and the action that moves them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.serialization import deserialize_message

from uav_twin_migration import plugins
from uav_twin_migration.clocks import boot_time
from uav_twin_migration.deployment import topics
from uav_twin_migration.market.admitted import Admitted
from uav_twin_migration.monitor.throttled_log import ThrottledLog
from uav_twin_migration.msg import (
    MigrationReport,
    TwinHost,
    TwinHostStatus,
    TwinReply,
    TwinRequest,
    TwinState,
    UavHeartbeat,
)
from uav_twin_migration.nodes.ros import qos_profiles, twin_convert
from uav_twin_migration.nodes.ros.convert import to_time
from uav_twin_migration.nodes.ros.mailbox import Mailbox
from uav_twin_migration.nodes.ros.migrate_action import MigrateAction, Served
from uav_twin_migration.nodes.ros.proofs import Proofs
from uav_twin_migration.nodes.ros.signatures import Signing, Verifying
from uav_twin_migration.nodes.ros.timing import Timing, change_period, steady_timer
from uav_twin_migration.nodes.ros.twin_convert import BYTES_PER_MBIT, Heartbeat
from uav_twin_migration.nodes.ros.voice import Voice
from uav_twin_migration.scenario.model import MOST_RATE
from uav_twin_migration.security.certificates import Identity
from uav_twin_migration.transport.addresses import Address
from uav_twin_migration.twin.hosting import outputs as hosting
from uav_twin_migration.twin.hosting.admission import HostSettings, plugged_admission, plugged_transfer
from uav_twin_migration.twin.hosting.application import NamedApplication
from uav_twin_migration.twin.hosting.carrying_out import Callbacks
from uav_twin_migration.twin.hosting.runtime import TwinService
from uav_twin_migration.twin.hosting.store_reader import StoreError
from uav_twin_migration.twin.hosting.twin import UavTwins
from uav_twin_migration.twin.hosting.uavs_heard import UavsHeard, news_of
from uav_twin_migration.twin.protocol.messages import HostReply, Reason, Stamp

HARMLESS = {"not_served_here", "closed", "finished", "old_session"}  # of what the service counts: part of every move
NAMESAKE_SILENCE = 10.0  # s after which a later incarnation that is silent no longer keeps this one from serving
NAMESAKE_HINT = (
    "stop one of the two: a copy of a store is no second RSU, see docs/migration.md; "
    "where RSUs do not sign, somebody may only say so: set market_key"
)
MOST_RSUS = 1_000  # whose addresses it keeps


class RsuTwins:
    """Translates between ROS and a `TwinService`."""

    def __init__(
        self,
        node: Node,
        rsu: str,
        values: dict[str, Any],
        timing: Timing,
        signing: Signing,
        verifying: Verifying,
        proofs: Proofs,
        action: MigrateAction,
    ) -> None:
        """Open the store and the port. Raises StoreError, CarrierError, IdentityError."""
        self._proofs, self._action = proofs, action
        self._node, self.rsu, self._values, self._timing = node, rsu, values, timing
        self._signing, self._verifying = signing, verifying
        self._hosts: dict[str, TwinHost] = {}
        self._voice = Voice(self._send_host_heartbeats, lambda: values["twin_beat"], partial(self._ended, "the voice"))
        self._uavs = UavsHeard(rsu, self._voice.now, verifying.verifies_uavs)
        self._refused = self._uavs.refused  # what was heard and makes no sense, by why
        self._drain_until: float | None = None
        self.trouble = ""
        self._namesake_at = float("-inf")  # s, own boot clock, when a later incarnation of this RSU was last heard
        self.fail: Callable[[str], None] = node.get_logger().fatal  # the node puts its own here
        self._throttled_log = ThrottledLog(node.get_logger().warning)
        self._news = ThrottledLog(lambda line: node.get_logger().info(line), ends=False)
        self._mail = Mailbox(node)
        self._service = self._open(values)
        self._connect(node)
        self._service.start()
        self._voice.start()
        self._announce()

    def _open(self, values: dict[str, Any]) -> TwinService:
        self._identity = Identity(values["twin_keys"], self.rsu) if values["twin_keys"] else None
        post, tell = self._mail.post, self._node.get_logger().error
        self._plugged = (
            plugged_admission(values["admission"], tell, self.rsu),
            plugged_transfer(values["transfer"], tell),
        )
        return TwinService(
            self.rsu,
            values["twin_store"],
            NamedApplication(values["application"], tell) if values["application"] else UavTwins(),
            self._identity,
            (values["twin_address"], values["twin_port"]),
            self._resolve,
            HostSettings.of(values, *self._plugged),
            callbacks=Callbacks(
                reply=lambda reply: post(lambda: self._send_reply(reply)),
                report=lambda report: post(lambda: self._send_report(report)),
                hosting_change=lambda hosting_change: post(self._on_hosting_change),
                trouble=lambda trouble: post(lambda: self._on_trouble(trouble)),
                expired=lambda expired: post(lambda: self._on_expired(expired)),
                ended=self._ended,
            ),
        )

    def _ended(self, thread: str, error: BaseException) -> None:
        self.fail(f"{thread} of RSU {self.rsu} has ended: {error!r}")

    def _connect(self, node: Node) -> None:
        here = partial(topics.in_region, self._values["region"])
        self._host_heartbeats = node.create_publisher(
            TwinHostStatus, here(topics.TWIN_HOST_HEARTBEATS), qos_profiles.MARKET
        )
        self._replies = node.create_publisher(TwinReply, here(topics.TWIN_REPLIES), qos_profiles.MARKET)
        self._states = node.create_publisher(TwinState, topics.TWIN_STATES, qos_profiles.MARKET)
        self._reports = node.create_publisher(MigrationReport, topics.MIGRATIONS, qos_profiles.MARKET)
        self._announcements = node.create_publisher(TwinHost, topics.TWIN_HOSTS, qos_profiles.LATCHED)
        self._entities = [
            node.create_subscription(
                UavHeartbeat, here(topics.TWIN_UAV_HEARTBEATS), self._on_uav_heartbeat, qos_profiles.REPEATED, raw=True
            ),
            node.create_subscription(TwinRequest, here(topics.TWIN_REQUESTS), self._on_request, qos_profiles.REPEATED),
            node.create_subscription(TwinHost, topics.TWIN_HOSTS, self._on_host, qos_profiles.LATCHED_BY_MANY),
            node.create_subscription(
                TwinHostStatus, here(topics.TWIN_HOST_HEARTBEATS), self._on_namesake, qos_profiles.REPEATED
            ),
        ]
        self._timers = [
            steady_timer(node, self._values["twin_beat"], self._on_beat),
            steady_timer(node, self._values["state_period"], self._send_states),
        ]
        self._action.serve(
            Served(self._service, self._proven, self._verifying.believes_uavs, lambda uav: uav in self._uavs.held)
        )

    def change(self) -> None:
        """Periods may have changed; all else is read when it is needed."""
        for timer, name in zip(self._timers, ("twin_beat", "state_period"), strict=True):
            change_period(timer, self._values[name])

    def close(self) -> None:
        """Stop serving. What was accepted is on the disk then; it does not drain."""
        self._voice.close()
        for timer in self._timers:
            self._node.destroy_timer(timer)
        for subscription in self._entities:
            self._node.destroy_subscription(subscription)
        self._mail.close()
        self._service.stop()
        self._action.pause()
        for publisher in (self._host_heartbeats, self._replies, self._states, self._reports, self._announcements):
            self._node.destroy_publisher(publisher)

    # -- going down on purpose ---------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take no more twins and move those here to other RSUs."""
        targets = [rsu for rsu, host in self._hosts.items() if host.port and not host.draining]
        self._drain_until = boot_time() + self._values["drain_limit"] if targets else math.inf  # nobody to wait for
        self._service.drain(targets, self._rate(self._values["drain_rate"]))
        self._announce()
        self._say(f"draining: {len(self._service.hosted)} twins to {', '.join(targets) or 'nobody'}")

    @property
    def drains(self) -> bool:
        """Whether twins may still move away."""
        return self._drain_until is not None and self._drain_until != math.inf

    def stop_draining(self) -> None:
        """Take twins again."""
        if self._drain_until is not None:
            self._drain_until = None
            self._service.stop_draining()
            self._announce()
            self._say("takes twins again")

    def _watch_drain(self) -> None:
        if self._drain_until is None or self._drain_until == math.inf:
            return
        left = len(self._service.hosted)
        if not left or boot_time() > self._drain_until:
            self._drain_until = math.inf  # said once
            limit = self._values["drain_limit"]
            timed_out = f"drain timed out after {limit:g} s, {left} twins not moved"
            self._say(timed_out if left else "drained: no twin is left here")

    # -- what is heard -----------------------------------------------------------------------------------------------

    def _on_uav_heartbeat(self, data: bytes) -> None:
        """The bytes of a UavHeartbeat: no message is so frequent, and few have to be made a message of."""
        heartbeats, hands_over = twin_convert.uav_heartbeats_from_bytes(data)
        if (hands_over or self._verifying.verifies_uavs) and self._relevant(heartbeats or ()):
            message = deserialize_message(data, UavHeartbeat)
            if not self._verifying.believes_uavs(message):
                return
            self._proofs.take(message.grants, self._uavs.held)
            heartbeats = twin_convert.uav_heartbeats_from_message(message)  # what was verified, to the letter
        if heartbeats is None:
            self._refused["length_mismatch"] += 1
            return
        for heartbeat in self._relevant(heartbeats):
            self._hear(heartbeat)

    def _relevant(self, heartbeats: Sequence[Heartbeat]) -> list[Heartbeat]:
        said = [(heartbeat, heartbeat.lease_renewal) for heartbeat in heartbeats]
        return [heartbeat for heartbeat, one in said if self._uavs.is_relevant(one.uav, news_of(one))]

    def _hear(self, heartbeat: Heartbeat) -> None:
        """Pass on what a UAV has told."""
        said, telemetry = heartbeat.lease_renewal, heartbeat.telemetry
        sequence = telemetry.sequence if telemetry is not None else None
        news, hosted = self._uavs.hear(said, sequence, self._voice.now)
        if news:
            self._service.recognise(said)
        if hosted:
            self._service.hear(said, heartbeat.telemetry, self._timing.now(), self._granted(heartbeat))

    def _granted(self, heartbeat: Heartbeat) -> float | None:
        """A UAV heartbeat's rate, bytes/s; None where it does not count."""
        if heartbeat.telemetry is None and self._verifying.verifies_uavs:
            return None  # without a sequence, it may be an old one
        if not 0.0 <= heartbeat.rate <= MOST_RATE:
            self._refused["rate"] += 1
            return None
        if self._drain_until is not None:
            return None  # who goes down pays for the moves itself
        return self._proven(heartbeat.lease_renewal.uav, heartbeat.rate)

    def _proven(self, uav: str, claimed: float) -> float:
        """What a UAV's migration may send, bytes/s: what it claims, Mbit/s, as far as its grants prove it."""
        proven = self._proofs.rate(uav, claimed)
        if proven < claimed and self._action.moves(uav):
            self._refused["unproven_rate"] += 1
        return self._rate(proven)

    def _on_request(self, message: TwinRequest) -> None:
        requests = list(twin_convert.requests_for(message, self.rsu))
        if requests and self._verifying.believes_uavs(message):
            admitted = Admitted(self._values["admitted_uavs"])
            for request in requests:
                if request.uav in admitted:
                    self._service.request(request)
                else:
                    self._refused["unknown_uav"] += 1

    def _on_host(self, message: TwinHost) -> None:
        if message.rsu_id == self.rsu or not self._verifying.believes(message):
            return
        known = message.rsu_id in self._hosts or len(self._hosts) < MOST_RSUS
        if not known or not twin_convert.is_host(message):
            self._refused["unknown_rsu"] += 1
            return
        self._hosts[message.rsu_id] = message

    def _on_namesake(self, message: TwinHostStatus) -> None:
        """A later incarnation of this very RSU speaks: another process, on a copy of this store. It goes on, not we."""
        if message.rsu_id != self.rsu or message.incarnation <= self._service.incarnation:
            return
        if self._verifying.believes(message):
            self._namesake_at = boot_time()
            self._refused["duplicate_id"] += 1
            self._throttled_log.note("another process speaks as this RSU, no twin is served here", NAMESAKE_HINT)

    def _has_namesake(self) -> bool:
        return boot_time() < self._namesake_at + NAMESAKE_SILENCE

    def _resolve(self, rsu: str) -> Address | None:
        host = self._hosts.get(rsu)
        return (host.address, host.port) if host is not None and host.port else None

    # -- what is said ------------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        message = TwinHost(rsu_id=self.rsu, address=self._values["twin_advertise"] or self._service.address[0])
        message.port = self._service.address[1]
        message.tls = bool(self._values["twin_keys"])
        message.draining = self._drain_until is not None
        message.header.stamp = to_time(self._timing.now())
        self._announcements.publish(self._signing.signed(message))

    def _on_beat(self) -> None:
        self._voice.beat()
        self._mail.empty()
        self._watch_drain()
        self._throttled_log.tick()
        self._news.tick()
        for progress in self._service.progress():
            self._action.tell(progress, self._values["time_scale"])

    def _on_hosting_change(self) -> None:
        self._voice.speak()
        self._send_states()

    def _send_host_heartbeats(self) -> None:
        if self._has_namesake():
            return
        host_heartbeats = self._service.host_heartbeats()
        self._uavs.held = {host_heartbeat.uav for host_heartbeat in host_heartbeats}
        stamp = host_heartbeats[0].stamp if host_heartbeats else Stamp(self._service.incarnation, boot_time())
        heard = [host_heartbeat for host_heartbeat in host_heartbeats if self._hears(host_heartbeat.uav)]
        ages = {uav: age * self._values["time_scale"] for uav, age in self._service.replica_ages().items()}
        message = twin_convert.host_heartbeats_to_message(self.rsu, stamp, heard, ages, self._timing.now())
        self._host_heartbeats.publish(self._signing.signed(message))

    def _hears(self, uav: str) -> bool:
        return self._uavs.hears(uav, self._values["twin_lease"], self._voice.now)

    def _send_states(self) -> None:
        if not self._states.get_subscription_count():
            return  # nobody to tell
        now = self._timing.now()
        served = self._service.served(now)
        if served and not self._has_namesake():
            self._states.publish(self._signing.signed(twin_convert.states_to_message(self.rsu, served, now)))

    def _send_reply(self, reply: HostReply) -> None:
        as_of = self._service.as_of(reply.uav) if reply.restored else None
        self._replies.publish(self._signing.signed(twin_convert.reply_to_message(reply, as_of, self._timing.now())))

    def _send_report(self, report: hosting.MigrationReport) -> None:
        message = twin_convert.report_to_message(report, self._values["time_scale"], self._timing.now())
        self._reports.publish(self._signing.signed(message))
        if report.reason is not None and report.reason is not Reason.CANCELLED:
            target = report.target if report.target in self._hosts else "an RSU that is not known here"
            detail = f"{report.reason.value}, last {report.uav}'s; it stays here, and goes when its UAV asks again"
            self._throttled_log.note(f"a twin could not be moved to {target}", detail)
        self._action.ended(report, message)

    def _on_expired(self, expired: hosting.Expired) -> None:
        silent = f"{expired.uav}'s, which was not heard for {expired.silence / 86_400.0:.2g} days"
        if expired.served:
            self._throttled_log.note(f"a twin is dropped that may have been the last copy ({expired.status})", silent)
        else:
            self._news.note("an empty twin is dropped that its UAV never claimed", silent)

    def _on_trouble(self, trouble: StoreError | None) -> None:
        self.trouble = str(trouble) if trouble else ""
        if trouble is None:
            self._news.note("the store of twins works again")
        else:
            self._throttled_log.note("the store of twins refuses, no new twin is taken", str(trouble))

    def _say(self, what: str) -> None:
        self._node.get_logger().info(what)

    def _rate(self, megabits: float) -> float:
        """A granted rate, Mbit/s, as bytes of this machine's second."""
        return megabits * BYTES_PER_MBIT * float(self._values["time_scale"])

    def stuck(self, within: float) -> str:
        """A thread that has not gone round for `within` seconds; empty where there is none."""
        return self._service.stuck(within)

    @property
    def hosted(self) -> int:
        """How many twins are here."""
        return len(self._service.hosted)

    # -- diagnostics -------------------------------------------------------------------------------------------------

    def describe(self) -> dict[str, object]:
        """For `/diagnostics`."""
        counts = self._service.counts + self._refused
        values: dict[str, object] = {
            "twins": len(self._service.hosted),
            "twins_moving": len(self._service.progress()),
            "draining": self._drain_until is not None,
            **self._service.room(),
            **self._describe_replicas(),
            **plugins.describe(*self._plugged),
        }
        if self._identity is not None:
            values["certificate_expires_timestamp_seconds"] = int(self._identity.until)
        if self.trouble:
            values["trouble"] = self.trouble
        values.update({f"refused/twin_{why}": count for why, count in counts.items() if why not in HARMLESS})
        return values

    def _describe_replicas(self) -> dict[str, object]:
        """Replicas of the twins that are hosted here; nothing where nobody wants any."""
        ages = self._service.replica_ages().values()
        if not ages:
            return {}
        late = sum(age > self._values["replica_bound"] for age in ages)
        return {"twins_replicated": len(ages) - late, "twins_replica_late": late}
