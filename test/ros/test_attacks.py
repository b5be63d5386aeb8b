"""Attacks from the market's network that must fail, against real nodes; docs/security.md tells what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from uav_twin_migration.msg import (
    BandwidthGrant,
    PolicyUpdate,
    PriceOffer,
    TwinHostStatus,
    TwinState,
    UavHeartbeat,
)

from test.ros.conftest import PATIENCE, RSU, UAV, Probe, Processes
from test.ros.test_policy import update
from uav_twin_migration.deployment import topics
from uav_twin_migration.market.messages import Grant, Offer
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.nodes.ros.signatures import Signing
from uav_twin_migration.security.authority import make_learner_key, make_signing_keys
from uav_twin_migration.security.policy_signature import Signer

pytest.importorskip("nacl")

CHEAP = 1.001  # credit/MHz: what a forger asks, to make UAVs want more than the RSU would grant at its own price


class Market:
    """An RSU and a UAV with keys, and an attacker: an insider, who is another RSU, or an outsider."""

    def __init__(self, keys: Path, processes: Processes, probe: Probe) -> None:
        make_signing_keys(keys, ["rsu_0", "rsu_1"])
        key = str(keys / "market.pub")
        self.probe = probe
        self.grant_publisher = probe.create_publisher(BandwidthGrant, topics.BANDWIDTH_GRANTS, qos_profiles.MARKET)
        self.rsu = processes.start("rsu", "/rsu/rsu_0", **RSU, signing_key=str(keys / "rsu_0.signing"), market_key=key)
        self.uav = processes.start("uav", "/uav/uav_0", **UAV, market_key=key)
        self.insider = Signing(str(keys / "rsu_1.signing"))
        self.outsider = Signing("")
        probe.fly()
        probe.wait_for_trade(rounds=2)

    def answered_rounds(self) -> set[int]:
        """Rounds of the RSU that the UAV has answered."""
        return {bid.round for demand in self.probe.demands for bid in convert.all_bids(demand) if bid.rsu == "rsu_0"}

    def attack(self, forge: Any, every: float = 0.1) -> None:
        """Do something again and again."""
        self.probe.create_timer(every, forge)

    def refused_by_uav(self) -> dict[str, int]:
        return self.probe.refused("uav/uav_0")


@pytest.fixture
def market(tmp_path: Path, processes: Processes, probe: Probe) -> Market:
    return Market(tmp_path, processes, probe)


def test_forged_prices_under_another_rsus_id_are_not_believed(market: Market) -> None:
    probe = market.probe
    forged: set[int] = set()

    def forge() -> None:
        last = probe.offers[-1]
        for ahead, signing in enumerate((market.insider, market.outsider), 1000):
            offer = Offer("rsu_0", last.round + ahead, CHEAP, 1e4, (0.0, 0.0, 20.0), 600.0, 0.5)
            forged.add(offer.round)
            probe.offer_publisher.publish(signing.signed(convert.offer_to_message(offer, 0.0)))

    genuine = {offer.round for offer in probe.offers}
    market.attack(forge)
    probe.wait_for(lambda: {"forged", "unsigned"} <= market.refused_by_uav().keys(), "the forgeries refused by the UAV")
    probe.wait_for(lambda: {"forged", "unsigned"} <= probe.refused().keys(), "and by the RSU that they name")
    probe.wait_for_trade(rounds=3)
    assert forged
    assert not market.answered_rounds() & forged
    probe.wait_for(lambda: market.answered_rounds() - genuine, "answers to the true ones")


def test_what_is_said_on_the_market_anybody_can_read(market: Market) -> None:
    """Signatures hide nothing: SROS2 does."""
    market.probe.wait_for(lambda: market.probe.interactions, "what an RSU tells its learner")
    told = market.probe.interactions[-1]
    assert (told.rsu_id, told.unit_cost) == ("rsu_0", RSU["unit_cost"])


def test_forged_grants_under_another_rsus_id_are_not_believed(market: Market) -> None:
    probe = market.probe

    def forge() -> None:
        for signing in (market.insider, market.outsider):
            bid = next(iter(convert.all_bids(probe.demands[-1])))
            grant = Grant("rsu_0", bid.round, CHEAP, {"uav_0": 0.0}, 0.001)  # to make it believe that it got nothing
            market.grant_publisher.publish(signing.signed(convert.grant_to_message(grant, 0.0)))

    market.attack(forge, every=0.02)
    probe.wait_for(lambda: {"forged", "unsigned"} <= market.refused_by_uav().keys(), "the forgeries refused")
    before = int(probe.diagnostics["uav/uav_0"]["answers_granted"])
    probe.wait_for(lambda: int(probe.diagnostics["uav/uav_0"]["answers_granted"]) >= before + 3, "true grants believed")


def test_replayed_offers_and_grants_change_nothing(market: Market) -> None:
    probe = market.probe

    def over() -> set[int]:
        """Rounds of which offer, answer and grant have been heard."""
        granted = {grant.round for grant in probe.grants if "uav_0" in grant.uav_ids}
        return granted & market.answered_rounds() & {offer.round for offer in probe.offers}

    probe.wait_for(lambda: len(over()) >= 2, "two rounds that are over")
    replayed = set(sorted(over())[:2])
    old_offers: list[PriceOffer] = [offer for offer in probe.offers if offer.round in replayed]
    old_grants: list[BandwidthGrant] = [grant for grant in probe.grants if grant.round in replayed]

    def answers() -> int:
        bids = (bid for demand in probe.demands for bid in convert.all_bids(demand))
        return sum(bid.round in replayed for bid in bids)

    before = answers()

    def replay() -> None:
        for offer in old_offers:
            probe.offer_publisher.publish(offer)
        for grant in old_grants:
            market.grant_publisher.publish(grant)

    market.attack(replay)
    probe.wait_for(lambda: market.refused_by_uav().get("past_round", 0) >= 5, "old offers refused")
    probe.wait_for(lambda: market.refused_by_uav().get("unasked", 0) >= 5, "old grants refused")
    probe.wait_for_trade(rounds=3)
    assert answers() == before  # none was answered again


def test_a_flood_of_forged_offers_does_not_keep_the_uav_from_the_market(market: Market) -> None:
    probe = market.probe
    sent = 0

    def flood() -> None:
        nonlocal sent
        for _ in range(20):
            sent += 1
            offer = Offer(f"rsu_{sent % 300}", 10**6 + sent, CHEAP, 1e4, (0.0, 0.0, 20.0), 600.0, 0.5)
            probe.offer_publisher.publish(market.insider.signed(convert.offer_to_message(offer, 0.0)))

    market.attack(flood, every=0.05)
    probe.wait_for(lambda: sent >= 2000, "the flood", patience=120.0)
    probe.wait_for_trade(rounds=3)
    assert market.uav.poll() is None


def test_a_twin_is_not_stolen_by_a_forged_host_heartbeat(tmp_path: Path, processes: Processes, probe: Probe) -> None:
    make_signing_keys(tmp_path, ["rsu_0", "rsu_1"])
    key = {"market_key": str(tmp_path / "market.pub")}
    states: list[TwinState] = []
    heartbeats: list[UavHeartbeat] = []
    probe.create_subscription(TwinState, topics.TWIN_STATES, states.append, qos_profiles.MARKET)
    probe.create_subscription(UavHeartbeat, topics.TWIN_UAV_HEARTBEATS, heartbeats.append, qos_profiles.MARKET)
    store = {"twin_store": str(tmp_path / "rsu_0.db"), "signing_key": str(tmp_path / "rsu_0.signing")}
    processes.start("rsu", "/rsu/rsu_0", **RSU, **store, **key)
    processes.start("uav", "/uav/uav_0", **UAV, **key)
    probe.fly()
    probe.wait_for(lambda: states and heartbeats and heartbeats[-1].hosts == ["rsu_0"], "a twin that is served")
    epoch = states[-1].epochs[0]
    thief = probe.create_publisher(TwinHostStatus, topics.TWIN_HOST_HEARTBEATS, qos_profiles.MARKET)
    insider = Signing(str(tmp_path / "rsu_1.signing"))

    def steal() -> None:
        for host, signing in (("rsu_0", insider), ("rsu_1", Signing(""))):  # in its host's name, and in another RSU's
            claim = TwinHostStatus(
                rsu_id=host, incarnation=2**62, uav_ids=["uav_0"], holdings=["hosting"], successors=[""]
            )
            claim.epochs, claim.versions = [2**60], [1]
            claim.replicas, claim.replica_versions, claim.replica_ages = [""], [0], [0.0]
            thief.publish(signing.signed(claim))

    probe.create_timer(0.1, steal)
    probe.wait_for(lambda: {"forged", "unsigned"} <= probe.refused("uav/uav_0").keys(), "the claims refused")
    states.clear()
    heartbeats.clear()
    probe.wait_for(lambda: len(states) >= 10 and len(heartbeats) >= 5, "service to go on")
    assert {state.rsu_id for state in states} == {"rsu_0"}
    assert {one for state in states for one in state.epochs} == {epoch}
    assert {host for heartbeat in heartbeats for host in heartbeat.hosts} == {"rsu_0"}


def test_forged_replayed_and_unsigned_policies_are_not_used(tmp_path: Path, processes: Processes, probe: Probe) -> None:
    make_learner_key(tmp_path, "city")
    make_learner_key(tmp_path, "impostor")
    city, impostor = Signer(tmp_path / "city.key"), Signer(tmp_path / "impostor.key")
    (tmp_path / "learners").mkdir()
    (tmp_path / "learners" / "city.pub").write_bytes((tmp_path / "city.pub").read_bytes())
    own = {"policy": "none", "learners": str(tmp_path / "learners"), "policy_kept": str(tmp_path / "kept.safetensors")}
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU, **own)
    publisher = probe.create_publisher(PolicyUpdate, topics.POLICY_UPDATES, qos_profiles.LATCHED)

    def in_use() -> str:
        return probe.diagnostics.get("rsu/rsu_0", {}).get("policy_version", "")

    def refused(reason: str) -> int:
        return int(probe.diagnostics.get("rsu/rsu_0", {}).get(f"policy_refused/{reason}", 0))

    def signed(version: int, signer: Signer, key_id: str = "") -> PolicyUpdate:
        message = update(version)
        message.key_id, message.signature = key_id or signer.key_id, signer.sign(bytes(message.artifact))
        return message

    first = signed(1, city)
    probe.wait_for(lambda: in_use() == "0", "a sign of life")
    publisher.publish(first)
    probe.wait_for(lambda: in_use() == "1", "a signed policy in use")
    publisher.publish(signed(3, city))
    probe.wait_for(lambda: in_use() == "3", "a newer one in use")
    for attack, reason in (
        (update(9), "unsigned"),
        (signed(9, impostor), "unknown_key"),
        (signed(9, impostor, city.key_id), "forged"),
        (first, "stale"),
    ):
        publisher.publish(attack)
        probe.wait_for(lambda: refused(reason) == 1, f"{reason} counted")  # noqa: B023 - called at once
        assert in_use() == "3"

    rsu.kill()  # after a restart, the old one is still an old one
    rsu.wait()
    probe.diagnostics.clear()
    publisher.publish(first)
    processes.start("rsu", "/rsu/rsu_0", **RSU, **own)
    # what the first RSU said last may still come: it had refused a forgery, too
    probe.wait_for(lambda: (refused("stale"), refused("forged")) == (1, 0), "the replay refused after a restart")
    assert in_use() == "3"


def test_a_key_file_that_is_missing_is_named(tmp_path: Path, processes: Processes) -> None:
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU, signing_key=str(tmp_path / "rsu_0.signing"))
    _, errors = rsu.communicate(timeout=PATIENCE)
    assert "rsu_0.signing: cannot be read" in errors
    assert rsu.returncode == 2
