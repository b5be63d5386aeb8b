"""Migrations are paced by what RSUs granted: nodes that say more than that get no more."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from uav_twin_migration.msg import BandwidthGrant

from test.ros.conftest import PATIENCE, UAV, Probe, Processes
from test.ros.test_twins import QUICK, Town
from uav_twin_migration.deployment.plan import NodeSpec, ProcessSpec
from uav_twin_migration.market.messages import Grant, Offer, Refusal
from uav_twin_migration.nodes.ros import convert
from uav_twin_migration.nodes.ros.proofs import MOST_GRANTS, Proofs
from uav_twin_migration.nodes.ros.signatures import Signing, Verifying
from uav_twin_migration.radio.link import HIGHEST_EFFICIENCY

CONTAINER = "uav_twin_migration.nodes.component_container:main"
LIE = """
import sys
from uav_twin_migration.market.follower import Follower
from uav_twin_migration.nodes.start import start
Follower.rate = lambda self, now: 1e6  # Mbit/s
sys.exit(start(sys.argv.pop(1)))
"""


class LyingTown(Town):
    """Whose UAV says, in each heartbeat and goal, that it has bought a million Mbit/s."""

    def __init__(self, processes: Processes, probe: Probe, folder: Path) -> None:
        super().__init__(processes, probe, folder, size=100.0)
        self.uav.kill()
        parameters = UAV | QUICK | {"twin_size": 100.0, "rehost_after": 2.0 * PATIENCE}
        document = ProcessSpec("test", (NodeSpec("uav", "/uav/uav_0", parameters),)).to_json()
        self.uav = processes.run([sys.executable, "-c", LIE, CONTAINER, json.dumps(document)])


@pytest.mark.parametrize("sells", ["its host and the target", "the target alone"])
def test_a_uav_that_claims_more_than_was_granted_gets_what_was_granted(
    processes: Processes, probe: Probe, tmp_path: Path, sells: str
) -> None:
    town = LyingTown(processes, probe, tmp_path)
    town.reachable = ("rsu_0",)
    town.wait_for_host("rsu_0")
    if sells == "its host and the target":
        town.reachable = ("rsu_0", "rsu_1")
        probe.wait_for(lambda: granted(probe.grants, "rsu_1"), "grants of the target")
    town.reachable = ("rsu_1",)
    probe.wait_for(lambda: any(not one.reason for one in town.reports), "the end of the migration")
    report = next(one for one in town.reports if not one.reason)
    assert (report.source, report.target) == ("rsu_0", "rsu_1")
    assert report.granted_rate > 0.0

    def most() -> float:
        """MHz. A UAV hears no grant of its host's where the market opened after it left: then the target's count."""
        return sum(max(granted(probe.grants, rsu), default=0.0) for rsu in ("rsu_0", "rsu_1"))

    probe.wait_for(lambda: report.granted_rate <= HIGHEST_EFFICIENCY * most(), "the grants that allowed the rate")
    probe.wait_for(lambda: probe.refused().get("twin_unproven_rate"), "the claim noticed")


def granted(grants: list[BandwidthGrant], rsu: str) -> list[float]:
    """What an RSU granted in each round in which it granted something, MHz."""
    return [sum(grant.bandwidth) for grant in grants if grant.rsu_id == rsu and sum(grant.bandwidth) > 0.0]


class Host:
    """What an RSU with a market key makes of grants that are handed over."""

    def __init__(self, keys: Path) -> None:
        from uav_twin_migration.security.authority import make_signing_keys

        make_signing_keys(keys, ["rsu_0", "rsu_1"])
        self.seller = Signing(str(keys / "rsu_1.signing"))
        self.verifying = Verifying(str(keys / "market.pub"))
        timing = cast(Any, SimpleNamespace(now=lambda: 10.0))
        self.proofs = Proofs("rsu_0", {"highest_efficiency": 7.0}, timing, self.verifying)
        self.proofs.on_offer(Offer("rsu_1", 9, 2.0, 10.0, (0.0, 0.0, 20.0), 500.0, 0.5))

    def rate_with(self, *grants: BandwidthGrant) -> float:
        self.proofs.take(grants, {"uav_0"})
        return self.proofs.rate("uav_0", 1e6)


def a_grant(bandwidth: float = 4.0) -> BandwidthGrant:
    return convert.grant_to_message(Grant("rsu_1", 9, 2.0, {"uav_0": bandwidth, "uav_1": 1.0}, 2.0), 10.0)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    pytest.importorskip("nacl")
    return Host(tmp_path)


def test_a_signed_grant_proves_a_rate(host: Host) -> None:
    assert host.rate_with(host.seller.signed(a_grant())) == 28.0
    assert host.proofs.rate("uav_1", 1e6) == 0.0  # whose twin is not here


def test_a_grant_that_was_changed_or_made_up_proves_nothing(host: Host) -> None:
    changed = host.seller.signed(a_grant())
    changed.bandwidth[0] = 9.0
    assert host.rate_with(changed, a_grant()) == 0.0
    assert host.verifying.refusals == {Refusal.FORGED: 1, Refusal.UNSIGNED: 1}


def test_a_grant_of_more_than_was_offered_proves_nothing_though_it_is_signed(host: Host) -> None:
    assert host.rate_with(host.seller.signed(a_grant(1e4))) == 0.0
    assert host.proofs.refusals == {Refusal.OVERSOLD: 1}


def test_a_flood_of_grants_in_one_message_is_cut_off(host: Host) -> None:
    assert host.rate_with(*[a_grant()] * 10_000, host.seller.signed(a_grant())) == 0.0
    assert host.verifying.refusals == {Refusal.UNSIGNED: MOST_GRANTS}


def test_grants_of_mismatched_lengths_prove_nothing(host: Host) -> None:
    wrong = a_grant()
    wrong.uav_ids = ["uav_0"]
    assert host.rate_with(host.seller.signed(wrong)) == 0.0
    assert host.proofs.refusals == {Refusal.LENGTH_MISMATCH: 1}
