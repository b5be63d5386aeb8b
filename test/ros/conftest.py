"""Real nodes in processes of their own, each test in a ROS domain of its own."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from uav_twin_migration.msg import BandwidthDemand, BandwidthGrant, Interaction, LinkQuality, PriceOffer

from test.ros.forge import Forked, Process, forge
from uav_twin_migration.deployment import topics
from uav_twin_migration.deployment.discovery import loopback
from uav_twin_migration.deployment.plan import NodeSpec, ProcessSpec
from uav_twin_migration.market.messages import Bid
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.nodes.ros.children import die_with_parent

PATIENCE = 60.0  # s until a test gives up waiting for something that must come, also on a slow machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # of the whole session
        if Path(__file__).parent in Path(str(item.fspath)).parents:  # item.path is not in Humble's pytest
            item.add_marker(pytest.mark.ros)


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A ROS domain that no other test of this machine uses, whichever checkout it belongs to."""
    for number in range(10, 100):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0uav_twin_migration/test/domain/{number}")
        except OSError:
            claim.close()
            continue
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        for name, value in loopback(os.environ).items():
            monkeypatch.setenv(name, value)
        with claim:
            yield number
        return
    raise RuntimeError("no free ROS domain")


class Processes:
    """Starts processes of this package and ends them all."""

    def __init__(self) -> None:
        self._running: list[Process] = []

    def start(self, executable: str, namespace: str, **parameters: Any) -> Forked:
        """One node in a process."""
        document = ProcessSpec("test", (NodeSpec(executable, namespace, parameters),)).to_json()
        process = forge().fork([json.dumps(document)])
        self._running.append(process)
        return process

    def run(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        """Any command, in a session of its own; it ends with the tests, also where those are killed."""
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=die_with_parent,
            **options,
        )
        self._running.append(process)
        return process

    def stop(self) -> None:
        """End them all. What they have said, and how one ended before, is shown with a test that fails."""
        before = [process.poll() for process in self._running]
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process, ended in zip(self._running, before, strict=True):
            try:
                said = process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                said = process.communicate()
            print(f"-- process {process.pid}, {'ran' if ended is None else f'ended with {ended}'}:", *said, sep="\n")


@pytest.fixture
def processes(domain: int) -> Iterator[Processes]:
    started = Processes()
    yield started
    started.stop()


RSU = {
    "rsu_id": "rsu_0",
    "position": [0.0, 0.0, 20.0],
    "range": 600.0,
    "capacity": 10.0,
    "unit_cost": 1.0,
    "price_cap": 20.0,
    "round_period": 0.5,
    "offer_window": 0.4,  # a round is over as soon as all have answered: this is for who is slow
    "admitted_uavs": ["uav_*"],
}
UAV = {"uav_id": "uav_0", "immersion_weight": 10.0, "twin_size": 60.0, "round_period": 0.5}


class Probe(Node):
    """Hears everything of the market and can say anything, also what nobody should."""

    def __init__(self, context: Any) -> None:
        super().__init__("probe", context=context)
        self._executor_ = SingleThreadedExecutor(context=context)
        self._executor_.add_node(self)
        self.offers: list[PriceOffer] = []
        self.demands: list[BandwidthDemand] = []
        self.grants: list[BandwidthGrant] = []
        self.interactions: list[Interaction] = []
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.on_offer: Callable[[PriceOffer], None] = lambda offer: None
        self._sequence = 0
        self._guests: list[Node] = []
        self._clients_: dict[str, Any] = {}
        for kind, topic, store in (
            (BandwidthDemand, topics.BANDWIDTH_DEMANDS, self.demands),
            (BandwidthGrant, topics.BANDWIDTH_GRANTS, self.grants),
            (Interaction, topics.INTERACTIONS, self.interactions),
        ):
            self.create_subscription(kind, topic, store.append, qos_profiles.MARKET)
        self.create_subscription(PriceOffer, topics.PRICE_OFFERS, self._hear_offer, qos_profiles.MARKET)
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._hear_diagnostics, qos_profiles.MARKET)
        self.demand_publisher = self.create_publisher(BandwidthDemand, topics.BANDWIDTH_DEMANDS, qos_profiles.MARKET)
        self.offer_publisher = self.create_publisher(PriceOffer, topics.PRICE_OFFERS, qos_profiles.MARKET)
        self.link_publisher = self.create_publisher(LinkQuality, topics.LINK_QUALITY, qos_profiles.MEASUREMENT)
        self.clock_publisher = self.create_publisher(Clock, topics.CLOCK, 10)

    def _hear_offer(self, message: PriceOffer) -> None:
        self.offers.append(message)
        self.on_offer(message)

    def _hear_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics[status.name] = {entry.key: entry.value for entry in status.values}

    def wait_for(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
        """Serve callbacks until a condition holds; fails the test when it never does."""
        assert self.comes(condition, patience), f"never came: {what}"

    def comes(self, condition: Callable[[], Any], patience: float) -> bool:
        """Serve callbacks until a condition holds, for so many seconds at most; returns whether it does."""
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() >= deadline:
                return False
            self._executor_.spin_once(timeout_sec=0.05)
        return True

    def hosts(self, node: Node) -> None:
        """Serve a node of this process, too, and end it with the probe."""
        self._executor_.add_node(node)
        self._guests.append(node)

    def wait_for_trade(self, uav: str = "uav_0", rounds: int = 1) -> None:
        """Until a UAV has been granted something so many times more, and offers and demands are heard, too.

        Of two topics the one may be heard before the other: what is discovered when is the middleware's choice.
        """
        start = len(self.grants)

        def traded() -> bool:
            return sum(shares.get(uav, 0.0) > 0.0 for shares in self.shares(start)) >= rounds

        self.wait_for(lambda: traded() and self.offers and self.demands, f"grants for {uav}")

    def call(self, kind: Any, service: str, request: Any) -> Any:
        """What a service answers, once it is there."""
        if service not in self._clients_:
            self._clients_[service] = self.create_client(kind, service)
        client = self._clients_[service]
        self.wait_for(client.service_is_ready, service)
        answer: Any = client.call_async(request)
        self.wait_for(answer.done, f"an answer of {service}")
        return answer.result()

    def change_state(self, *transitions: int, node: str = "/rsu/rsu_0/rsu") -> None:
        """Lead a node through its life cycle."""
        for one in transitions:
            request = ChangeState.Request(transition=Transition(id=one))
            assert self.call(ChangeState, f"{node}/change_state", request).success

    def destroy_node(self) -> None:
        """Its guests first."""
        for guest in self._guests:
            guest.destroy_node()
        super().destroy_node()

    def demand(self, uav: str, round_: int, bandwidth: float, rsu: str = "rsu_0", sequence: int | None = None) -> None:
        """One bid."""
        self._sequence += 1
        number = self._sequence if sequence is None else sequence
        self.demand_publisher.publish(convert.demand_to_message([Bid(uav, rsu, round_, bandwidth)], number, 0.0))

    def answer_every_offer(self, **bandwidth: float) -> None:
        """Be these UAVs: answer each offer with the same bandwidths."""

        def answer(offer: PriceOffer) -> None:
            for uav, wanted in bandwidth.items():
                self.demand(uav, offer.round, wanted, offer.rsu_id)

        self.on_offer = answer

    def refused(self, name: str = "rsu/rsu_0") -> dict[str, int]:
        """Refusals that a node has counted, by reason. Anybody may say nonsense under its name."""
        counts = {key: value for key, value in self.diagnostics.get(name, {}).items() if "refused/" in key}
        return {
            key.removeprefix("refused/"): int(value)
            for key, value in counts.items()
            if value.isdecimal() and len(value) < 20
        }

    def shares(self, start: int = 0) -> list[dict[str, float]]:
        """Who got what, round by round, from the grant number `start` on."""
        return [dict(zip(grant.uav_ids, grant.bandwidth, strict=True)) for grant in self.grants[start:]]

    def fly(self, uav: str = "uav_0", rsus: tuple[str, ...] = ("rsu_0",)) -> None:
        """Give a UAV a place and links, ten times a second."""
        odometry = self.create_publisher(Odometry, topics.odometry(uav), qos_profiles.ODOMETRY)
        place = Odometry()
        place.pose.pose.position.x, place.pose.pose.position.z = 100.0, 100.0
        links = LinkQuality(uav_ids=[uav], rsu_ids=list(rsus), spectral_efficiency=[5.0] * len(rsus))

        def measure() -> None:
            odometry.publish(place)
            self.link_publisher.publish(links)

        self.create_timer(0.1, measure)


@pytest.fixture
def probe(domain: int) -> Iterator[Probe]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = Probe(context)
    yield node
    node.destroy_node()
    context.try_shutdown()
    gc.collect()  # lifecycle nodes of this process stay in ROS's graph, for the next test, until they are collected
