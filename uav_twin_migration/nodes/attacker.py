"""Somebody on the market's network who says whatever they like: what docs/security.md's tables tell of, for a while.

``python3 -m uav_twin_migration.nodes.attacker '{"rsus": [...], "uavs": [...], "rate": 100.0, "seconds": 20.0, ...}'``
prints how much of each attack it has said. A process of its own, beside a running city, with the same randomness for
the same seed. With `signing` (another RSU's key, say) everything is signed by somebody who has no right to.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from uav_twin_migration.deployment import topics
from uav_twin_migration.market.messages import Bid, Grant, Offer
from uav_twin_migration.msg import BandwidthGrant, PolicyUpdate, PriceOffer, TwinHost, TwinHostStatus
from uav_twin_migration.nodes.ros import convert, qos_profiles, twin_convert
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.signatures import Signing
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import steady_timer
from uav_twin_migration.nodes.ros.twin_convert import Heartbeat
from uav_twin_migration.policy import observation
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.protocol.epochs import LAST_TERM, make_epoch
from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostHeartbeat,
    HostReply,
    HostRequest,
    LeaseRenewal,
    Reason,
    Stamp,
)

PERIOD = 0.02  # s between two bursts
ODD_NUMBERS = (math.nan, math.inf, -math.inf, -1.0, 1e300, 5e-324)
ODD_NAMES = ("", "no such/name!", "x" * 100_000, "\ufffd", "../../etc/passwd", "rsu 0")
FAR_EPOCHS = ((1 << 63) - 1, make_epoch(LAST_TERM - 2), make_epoch(LAST_TERM - 1))
MOST_CONNECTIONS = 70
GARBAGE = (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + bytes(512), bytes(4096), b"\xff" * 64)
Said = tuple[str, Any, Any]  # topic, message, quality of service


@dataclass(frozen=True)
class Plan:
    """Whom it attacks, and how."""

    rsus: Sequence[str]
    uavs: Sequence[str]
    rate: float = 100.0  # messages/s
    seconds: float = 20.0
    seed: int = 1
    signing: str = ""  # a file ID.signing, of somebody else
    harmless: bool = True  # without what docs/security.md says succeeds where nobody signs
    attacks: Sequence[str] = ()  # names; none: all
    pool: int = 0  # so many messages are made once and said again and again, which is ten times faster; 0: none


class Attacks:
    """Messages, by attack; each call of one makes another message."""

    def __init__(self, plan: Plan, chance: random.Random) -> None:
        self._plan, self._chance, self._invented = plan, chance, 0
        self.offers: dict[str, PriceOffer] = {}  # the last true ones, to go by
        self.old: list[Said] = []  # true messages, to be sent again
        self.all: dict[str, Callable[[], Said]] = {
            "policy": self.policy,
            "address": self.address,
            "host status": self.host_status,
            "heartbeat": self.heartbeat,
            "request": self.request,
            "reply": self.reply,
            "offer": self.offer,
            "grant": self.grant,
            "demand": self.demand,
            "sybil demand": self.sybil_demand,
            "diagnostics": self.diagnostics,
            "replay": self.replay,
        }

    def _one_of(self, values: Sequence[Any]) -> Any:
        return self._chance.choice(values)

    def _rsu(self) -> str:
        self._invented += 1
        return str(self._one_of((*self._plan.rsus, f"rsu_x{self._invented}", self._one_of(ODD_NAMES))))

    def _someone(self) -> str:
        """A UAV that there is not: what is said for one that there is succeeds where UAVs do not sign."""
        self._invented += 1
        return str(self._one_of((f"uav_x{self._invented}", self._one_of(ODD_NAMES))))

    def _number(self) -> float:
        return float(self._one_of((*ODD_NUMBERS, 1e-4, 1.0, 1e4)))

    def policy(self) -> Said:
        """A policy of shapes that are none, or just long."""
        shape = self._one_of(({}, [9] * 2000, [-1], "a", [1 << 62, 4]))
        header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}).encode()
        data = len(header).to_bytes(8, "little") + self._one_of((header, b"[" * len(header))) + bytes(4)
        message = PolicyUpdate(version=9, artifact=data, observation_schema=observation.SCHEMA)
        message.sha256 = hashlib.sha256(data).hexdigest()
        return topics.POLICY_UPDATES, message, qos_profiles.LATCHED

    def address(self) -> Said:
        """An RSU that listens nowhere, or at a name."""
        self._invented += 1
        address = self._one_of(("127.\ufffd", "127.evil.example", "::::", "127.0.0.1", ""))
        message = TwinHost(rsu_id=f"rsu_x{self._invented}", address=address, port=self._one_of((0, 1, 65535)))
        return topics.TWIN_HOSTS, message, qos_profiles.LATCHED

    def host_status(self) -> Said:
        """Somebody claims a twin, under an epoch of the far future or a plausible one."""
        rsu = self._rsu()
        while self._plan.harmless and rsu in self._plan.rsus:
            rsu = self._rsu()
        epoch = self._one_of((*FAR_EPOCHS, make_epoch(int(time.time())), 1, 0))
        holding = self._one_of(list(Holding))
        stamp = Stamp(self._one_of((0, 1, 1 << 40)), self._number())
        held = HostHeartbeat(self._one_of(self._plan.uavs), rsu, holding, epoch, self._one_of((0, 1 << 60)), stamp)
        message = twin_convert.host_heartbeats_to_message(rsu, stamp, [held], {}, 0.0)
        return topics.TWIN_HOST_HEARTBEATS, message, qos_profiles.MARKET

    def heartbeat(self) -> Said:
        """A UAV that there is not tells absurd telemetry, or that it is hosted in the far future."""
        rsu, epoch = self._rsu(), self._one_of((*FAR_EPOCHS, 1))
        place = (self._number(), self._number(), self._number())
        telemetry = Telemetry(self._one_of((1, (1 << 64) - 1)), self._number(), place, place)
        said = LeaseRenewal(self._someone(), rsu, epoch, epoch, Stamp(1, self._number()), self._rsu())
        message = twin_convert.uav_heartbeats_to_message([Heartbeat(said, telemetry, self._number())], 0.0)
        return topics.TWIN_UAV_HEARTBEATS, message, qos_profiles.MARKET

    def request(self) -> Said:
        """UAVs that there are not want their twins hosted."""
        rsu, epoch = self._one_of(self._plan.rsus), self._one_of((*FAR_EPOCHS, make_epoch(int(time.time()))))
        size = self._one_of((0, 1000, 20_000_000, 1 << 40))
        message = twin_convert.requests_to_message([HostRequest(self._someone(), rsu, epoch, size)], 0.0)
        return topics.TWIN_REQUESTS, message, qos_profiles.MARKET

    def reply(self) -> Said:
        """Somebody refuses, and knows an epoch of the far future."""
        reply = HostReply(self._one_of(self._plan.uavs), self._rsu(), 1, Reason.STALE, self._one_of(FAR_EPOCHS))
        return topics.TWIN_REPLIES, twin_convert.reply_to_message(reply, None, 0.0), qos_profiles.MARKET

    def offer(self) -> Said:
        """A price that is none, or an RSU's that there is not."""
        self._invented += 1
        place = (self._number(), 0.0, 0.0)
        offer = Offer(f"rsu_x{self._invented}", self._invented, self._number(), self._number(), place, 600.0, 0.5)
        return topics.PRICE_OFFERS, convert.offer_to_message(offer, 0.0), qos_profiles.MARKET

    def grant(self) -> Said:
        """Bandwidth that nobody has asked for."""
        share = {uav: self._number() for uav in self._plan.uavs}
        grant = Grant(self._rsu(), self._one_of((0, 1 << 60)), self._number(), share, 1.0)
        return topics.BANDWIDTH_GRANTS, convert.grant_to_message(grant, 0.0), qos_profiles.MARKET

    def demand(self) -> Said:
        """Bids that are none, for rounds that are none."""
        rsu = self._one_of(self._plan.rsus)
        known = self.offers.get(rsu)
        round_ = self._one_of((0, (1 << 64) - 1, known.round - 1 if known else 0))
        bids = [Bid(self._one_of((*self._plan.uavs, self._someone())), rsu, round_, self._number()) for _ in range(4)]
        message = convert.demand_to_message(bids, self._one_of((0, 1, (1 << 64) - 1)), 0.0)
        if self._chance.random() < 0.3:
            message.bandwidth = message.bandwidth[:-1]
        return topics.BANDWIDTH_DEMANDS, message, qos_profiles.MARKET

    def sybil_demand(self) -> Said:
        """Bids for the round that is open, of UAVs whom nobody admits."""
        rsu = self._one_of(self._plan.rsus)
        known = self.offers.get(rsu)
        bid = Bid(f"stranger_{self._chance.randrange(10_000)}", rsu, known.round if known else 0, 1e6)
        return topics.BANDWIDTH_DEMANDS, convert.demand_to_message([bid], 1, 0.0), qos_profiles.MARKET

    def diagnostics(self) -> Said:
        """Figures that are none, of nodes that there are and are not."""
        name = self._one_of((*(f"rsu/{one}" for one in self._plan.rsus), f"uav/{self._someone()}"))
        values = {"offer_to_grant_ms": "abc", "refused/forged": "9" * 5000, "rounds_missed": "NaN", "late_ms": "-1"}
        listed = [KeyValue(key=key, value=value) for key, value in values.items()]
        message = DiagnosticArray(status=[DiagnosticStatus(name=name[:200], values=listed)])
        return topics.DIAGNOSTICS, message, 10

    def replay(self) -> Said:
        """What was true once, again."""
        return self._one_of(self.old) if self.old else self.offer()


class AttackerNode(Guarded):
    """Says all that, and opens connections that it does not use."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("attacker")
        self.stop: Callable[[], None] = lambda: None
        self._plan, self._chance = plan, random.Random(plan.seed)
        self._attacks = Attacks(plan, self._chance)
        wanted = list(plan.attacks) or list(self._attacks.all)
        self._making = [(name, self._attacks.all[name]) for name in wanted]
        self._signing = Signing(plan.signing)
        self.said: Counter[str] = Counter()
        self._publishers_: dict[tuple[str, type], Any] = {}
        self._connections: list[socket.socket] = []
        self._pool: list[tuple[str, Any, bytes]] = []
        self._until = time.monotonic() + plan.seconds
        self._due = time.monotonic()
        self.create_subscription(PriceOffer, topics.PRICE_OFFERS, self._on_offer, qos_profiles.MARKET)
        self.create_subscription(BandwidthGrant, topics.BANDWIDTH_GRANTS, self._keep(topics.BANDWIDTH_GRANTS), 10)
        self.create_subscription(
            TwinHostStatus, topics.TWIN_HOST_HEARTBEATS, self._keep(topics.TWIN_HOST_HEARTBEATS), 10
        )
        self.create_subscription(TwinHost, topics.TWIN_HOSTS, self._on_host, qos_profiles.LATCHED_BY_MANY)
        steady_timer(self, PERIOD, self._burst)

    def _keep(self, topic: str) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            """Of what was said truly, some, to be said again later."""
            if message.rsu_id in self._plan.rsus and len(self._attacks.old) < 50:
                self._attacks.old.append((topic, message, qos_profiles.MARKET))

        return keep

    def _on_offer(self, message: PriceOffer) -> None:
        if message.rsu_id in self._plan.rsus:
            self._attacks.offers[message.rsu_id] = message
            self._keep(topics.PRICE_OFFERS)(message)

    def _on_host(self, message: TwinHost) -> None:
        """Connect to an RSU's port; some say nothing, some say nonsense."""
        if message.rsu_id not in self._plan.rsus or not message.port:
            return
        for number in range(MOST_CONNECTIONS // len(self._plan.rsus)):
            try:
                connection = socket.create_connection((message.address, message.port), timeout=0.5)
                if number % 2:
                    connection.sendall(GARBAGE[number % len(GARBAGE)])
            except OSError:
                continue
            self._connections.append(connection)
            self.said["connection"] += 1

    def _burst(self) -> None:
        now = time.monotonic()
        if now > self._until:
            self.stop()
            return
        count = min(int((now - self._due) * self._plan.rate), int(self._plan.rate))
        self._due += count / self._plan.rate
        for _ in range(count):
            if self._plan.pool and len(self._pool) >= self._plan.pool:
                name, publisher, message = self._pool[self._chance.randrange(len(self._pool))]
                publisher.publish(message)
                self.said[name] += 1
            else:
                name, make = self._making[self._chance.randrange(len(self._making))]
                self._say(name, *make())

    def _say(self, name: str, topic: str, message: Any, qos: Any) -> None:
        key = (topic, type(message))
        if key not in self._publishers_:
            self._publishers_[key] = self.create_publisher(type(message), topic, qos)
        if name != "replay" and hasattr(message, "signature"):
            self._signing.signed(message)
        self._publishers_[key].publish(message)
        self.said[name] += 1
        if self._plan.pool:
            self._pool.append((name, self._publishers_[key], convert.to_bytes(message)))


def main() -> int:
    """``python3 -m uav_twin_migration.nodes.attacker PLAN``: prints counts by attack, as JSON."""
    nodes: list[AttackerNode] = []

    def create() -> list[AttackerNode]:
        nodes.append(AttackerNode(Plan(**json.loads(sys.argv[1]))))
        return nodes

    code = run(create, arguments=[])
    print(json.dumps(nodes[0].said), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
