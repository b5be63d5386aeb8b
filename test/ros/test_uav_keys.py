"""UAVs with keys, against real nodes: nobody speaks in their names; docs/security.md tells what is tried."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from rclpy.action import ActionClient
from uav_twin_migration.action import MigrateTwin
from uav_twin_migration.msg import (
    TwinRequest,
    TwinState,
    UavHeartbeat,
)

from test.ros.conftest import PATIENCE, RSU, UAV, Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.market.messages import Bid
from uav_twin_migration.nodes.ros import convert, qos_profiles, twin_convert
from uav_twin_migration.nodes.ros.signatures import Signing, Verifying
from uav_twin_migration.nodes.ros.twin_convert import Heartbeat
from uav_twin_migration.security import ed25519
from uav_twin_migration.security.authority import make_signing_keys, make_uav_signing_keys, revoke
from uav_twin_migration.security.message_signature import UAVS_LABEL, certify_uavs
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.protocol.messages import HostRequest, LeaseRenewal

pytest.importorskip("nacl")


class Guarded:
    """An RSU that hosts the twin of a UAV and asks for UAVs' signatures, and all that is said about it."""

    def __init__(self, keys: Path, processes: Processes, probe: Probe) -> None:
        make_signing_keys(keys, ["rsu_0", "rsu_1"])
        make_uav_signing_keys(keys, {uav: [uav] for uav in ("uav_0", "uav_1")})
        self.keys, self.probe = keys, probe
        self.states: list[TwinState] = []
        self.heartbeats: list[UavHeartbeat] = []
        self.requests: list[TwinRequest] = []
        for kind, topic, heard in (
            (TwinState, topics.TWIN_STATES, self.states),
            (UavHeartbeat, topics.TWIN_UAV_HEARTBEATS, self.heartbeats),
            (TwinRequest, topics.TWIN_REQUESTS, self.requests),
        ):
            probe.create_subscription(kind, topic, heard.append, qos_profiles.MARKET)
        self.say_uav_heartbeat = probe.create_publisher(UavHeartbeat, topics.TWIN_UAV_HEARTBEATS, qos_profiles.MARKET)
        self.say_request = probe.create_publisher(TwinRequest, topics.TWIN_REQUESTS, qos_profiles.MARKET)
        market = {"market_key": str(keys / "market.pub")}
        own = {
            "signing_key": str(keys / "rsu_0.signing"),
            "require_uav_signatures": True,
            "twin_store": str(keys / "rsu_0.db"),
        }
        self.rsu = processes.start("rsu", "/rsu/rsu_0", **RSU, **own, **market)
        self.uav = processes.start("uav", "/uav/uav_0", **UAV, signing_key=str(keys / "uav_0.signing"), **market)
        # the UAV asks for a host once, when it knows where it is: by then it should be heard
        probe.wait_for(lambda: probe.count_publishers(topics.TWIN_REQUESTS) > 1, "the UAV beside ourselves")
        probe.fly()

        def served() -> Any:
            return self.states and self.heartbeats and self.heartbeats[-1].hosts == ["rsu_0"]

        probe.wait_for(served, "a twin that is served")
        probe.wait_for_trade()

    @property
    def epoch(self) -> int:
        """Of the twin's hosting, as users hear it."""
        return int(self.states[-1].epochs[0])

    def expect_refusals(self, publish: Any, reason: str, what: str) -> None:
        """Publish again and again until the RSU has counted some refusals more."""
        before = self.probe.refused().get(reason, 0)
        timer = self.probe.create_timer(0.05, publish)
        self.probe.wait_for(lambda: self.probe.refused().get(reason, 0) >= before + 5, f"{what}: {reason}")
        self.probe.destroy_timer(timer)

    def expect_service_to_go_on(self, epoch: int) -> None:
        """Under the same epoch, with fresh telemetry, and the market with it."""
        del self.states[:-1]
        newest = max(self.states[-1].stamps)
        self.probe.wait_for(lambda: max(self.states[-1].stamps) > newest + 0.5, "fresh states")
        self.probe.wait_for_trade()
        assert {one for state in self.states for one in state.epochs} == {epoch}
        assert {state.rsu_id for state in self.states} == {"rsu_0"}
        assert not any("uav_1" in got for got in self.probe.shares())


@pytest.fixture
def guarded(tmp_path: Path, processes: Processes, probe: Probe) -> Guarded:
    return Guarded(tmp_path, processes, probe)


def an_expired_signature(keys: Path) -> Path:
    """The UAV's own, of long ago."""
    market, own = ed25519.read_key(keys / "market.key", "PRIVATE KEY"), ed25519.make_key()
    certificate = certify_uavs(market, ["uav_0", "uav_1"], ed25519.public_of(own), 10**9)
    file = keys / "expired.signing"
    file.write_text(ed25519.to_pem(own, "PRIVATE KEY") + ed25519.pem_block(certificate, UAVS_LABEL))
    return file


@pytest.mark.parametrize("attacker", ["an outsider", "another UAV", "an RSU", "a key that has expired"])
def test_nobody_speaks_in_a_uavs_name(guarded: Guarded, attacker: str) -> None:
    keys, probe = guarded.keys, guarded.probe
    signing, reason = {
        "an outsider": lambda: (Signing(""), "unsigned"),
        "another UAV": lambda: (Signing(str(keys / "uav_1.signing"), ["uav_1"]), "forged"),
        "an RSU": lambda: (Signing(str(keys / "rsu_0.signing")), "forged"),
        "a key that has expired": lambda: (Signing(str(an_expired_signature(keys)), ["uav_0"]), "expired"),
    }[attacker]()
    epoch = guarded.epoch

    def demand() -> None:
        bids = [Bid(uav, "rsu_0", probe.offers[-1].round, 10.0) for uav in ("uav_0", "uav_1")]
        probe.demand_publisher.publish(signing.signed(convert.demand_to_message(bids, 10**6, 0.0)))

    def steal() -> None:
        elsewhere = LeaseRenewal("uav_0", "rsu_1", epoch + 10**6, epoch + 10**6, None)
        nonsense = Telemetry(2**62, 1e9, (1e5, 1e5, 0.0), (0.0, 0.0, 0.0))
        message = twin_convert.uav_heartbeats_to_message([Heartbeat(elsewhere, nonsense, 1e5)], 0.0)
        guarded.say_uav_heartbeat.publish(signing.signed(message))

    def request() -> None:
        wish = HostRequest("uav_0", "rsu_0", epoch + 10**6, 125_000)
        message = twin_convert.requests_to_message([wish], 0.0)
        guarded.say_request.publish(signing.signed(message))

    for publish in (demand, steal, request):
        guarded.expect_refusals(publish, reason, publish.__name__)
    guarded.expect_service_to_go_on(epoch)


def test_what_a_uav_said_is_worth_nothing_once_more(guarded: Guarded) -> None:
    probe, epoch = guarded.probe, guarded.epoch
    assert guarded.requests
    demands, heartbeats, requests = probe.demands[:2], guarded.heartbeats[-3:], guarded.requests[:1]

    def replay(publisher: Any, messages: list[Any]) -> Any:
        return lambda: [publisher.publish(message) for message in messages]

    guarded.expect_refusals(replay(probe.demand_publisher, demands), "past_round", "demands")
    guarded.expect_refusals(replay(guarded.say_uav_heartbeat, heartbeats), "twin_replayed", "heartbeats")
    timer = probe.create_timer(0.05, replay(guarded.say_request, requests))
    guarded.expect_service_to_go_on(epoch)
    probe.destroy_timer(timer)

    guarded.uav.kill()  # what it said last keeps nobody a host of its twin
    everything = [*guarded.heartbeats]
    probe.create_timer(0.05, replay(guarded.say_uav_heartbeat, everything[-20:]))
    quiet = time.monotonic()

    def is_quiet() -> bool:
        nonlocal quiet
        if guarded.states:
            quiet = time.monotonic()
            guarded.states.clear()
        return time.monotonic() > quiet + 1.0  # ten states' time

    probe.wait_for(is_quiet, "the lease to run out")


def test_only_the_uav_has_its_twin_moved(guarded: Guarded) -> None:
    probe, keys = guarded.probe, guarded.keys
    client = ActionClient(probe, MigrateTwin, topics.migrate_twin("rsu_0"))
    probe.wait_for(client.server_is_ready, "the action")

    def is_accepted(signing: Signing) -> bool:
        goal = MigrateTwin.Goal(uav_id="uav_0", epoch=guarded.epoch, target="rsu_1", rate=10.0)
        answer = client.send_goal_async(signing.signed(goal))
        probe.wait_for(answer.done, "an answer")
        return bool(answer.result().accepted)

    for file, uavs in (("", ()), ("uav_1.signing", ["uav_1"]), ("rsu_1.signing", ())):
        assert not is_accepted(Signing(str(keys / file) if file else "", uavs))
    assert is_accepted(Signing(str(keys / "uav_0.signing"), ["uav_0"]))


def test_what_an_rsu_tells_users_is_signed(guarded: Guarded) -> None:
    verifying = Verifying(str(guarded.keys / "market.pub"))
    assert all(verifying.believes(state) for state in guarded.states)
    forged = guarded.states[-1]
    forged.positions[0] += 1.0
    assert not verifying.believes(forged)


def test_a_uav_container_signatures_for_all_its_uavs(tmp_path: Path, processes: Processes, probe: Probe) -> None:
    make_signing_keys(tmp_path, ["rsu_0"])
    uavs = ["uav_0", "uav_1"]
    make_uav_signing_keys(tmp_path, {"uav_container": uavs})
    market = {"market_key": str(tmp_path / "market.pub")}
    own = {
        "signing_key": str(tmp_path / "rsu_0.signing"),
        "require_uav_signatures": True,
        "twin_store": str(tmp_path / "rsu_0.db"),
    }
    states: list[TwinState] = []
    probe.create_subscription(TwinState, topics.TWIN_STATES, states.append, qos_profiles.MARKET)
    processes.start("rsu", "/rsu/rsu_0", **RSU, **own, **market)
    both = {"uav_ids": uavs, "immersion_weights": [10.0] * 2, "twin_sizes": [60.0] * 2, "round_period": 0.5}
    key = str(tmp_path / "uav_container.signing")
    processes.start("uav_container", "/uav_container_0", **both, signing_key=key, **market)
    for uav in uavs:
        probe.fly(uav)
    probe.wait_for(lambda: any(set(got) == set(uavs) for got in probe.shares()), "grants for both")
    probe.wait_for(lambda: states and set(states[-1].uav_ids) == set(uavs), "twins of both")
    assert not {"forged", "unsigned"} & probe.refused().keys()


def test_a_key_is_revoked_while_nodes_run(guarded: Guarded) -> None:
    probe = guarded.probe
    revoke(guarded.keys, ["uav_0"])  # beside the market.pub that the nodes were given
    probe.wait_for(lambda: probe.refused().get("revoked", 0) >= 5, "the UAV refused by the RSU")
    start = len(probe.grants)
    probe.wait_for(lambda: len(probe.grants) >= start + 3, "rounds without it")
    assert not any("uav_0" in got for got in probe.shares(start + 1))
    revoke(guarded.keys, ["rsu_0"])
    probe.wait_for(lambda: probe.refused("uav/uav_0").get("revoked", 0) >= 5, "the RSU refused by the UAV")
    assert guarded.rsu.poll() is None
    assert guarded.uav.poll() is None


def test_signatures_of_uavs_are_not_asked_for_without_a_key_to_verify_them(processes: Processes) -> None:
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU, require_uav_signatures=True)
    _, errors = rsu.communicate(timeout=PATIENCE)
    assert "market_key" in errors
    assert rsu.returncode == 2
