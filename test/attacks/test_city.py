"""A small city, unsigned and signed, beside somebody who says whatever they like: docs/security.md's tables.

The attacker (nodes/attacker.py) varies with its seed. Whatever it says, the city goes on: every process lives, each
twin is served by its host under its epoch, nobody is served by two, no RSU sells more than it has, memory stays flat.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from uav_twin_migration.msg import TwinState

from test.ros.conftest import RSU, UAV, Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes.attacker import Attacks, Plan
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.security.authority import make_signing_keys, make_uav_signing_keys

psutil = pytest.importorskip("psutil", reason="needs psutil")

RSUS, UAVS = ("rsu_0", "rsu_1"), ("uav_0", "uav_1")
GROWTH = 60.0  # MB that a process may grow by: caches up to their bounds
CAPACITY = 10.0  # MHz, of each RSU
RATE, SECONDS = 200.0, 8.0


class City:
    """Two RSUs and two UAVs, each a node, and all that users and buyers hear of them."""

    def __init__(self, folder: Path, processes: Processes, probe: Probe, signed: bool) -> None:
        self.probe, self.folder, self._processes = probe, folder, processes
        self.states: list[tuple[str, str, int]] = []  # UAV, RSU, epoch
        self.fresh: dict[str, float] = {}  # UAV -> stamp of the newest telemetry that users saw
        probe.create_subscription(TwinState, topics.TWIN_STATES, self._on_state, qos_profiles.MARKET)
        common: dict[str, Any] = {}
        if signed:
            make_signing_keys(folder, [*RSUS, "rsu_9"])
            make_uav_signing_keys(folder, {uav: [uav] for uav in UAVS})
            common["market_key"] = str(folder / "market.pub")
        self.nodes = {}
        for rsu in RSUS:
            own: dict[str, Any] = {"rsu_id": rsu, "twin_store": str(folder / f"{rsu}.db"), "admitted_uavs": ["uav_?"]}
            if signed:
                own |= {"signing_key": str(folder / f"{rsu}.signing"), "require_uav_signatures": True}
            self.nodes[rsu] = processes.start("rsu", f"/rsu/{rsu}", **(RSU | own | common))
        for uav in UAVS:
            own = {"uav_id": uav, "rehost_after": 30.0}
            if signed:
                own["signing_key"] = str(folder / f"{uav}.signing")
            self.nodes[uav] = processes.start("uav", f"/uav/{uav}", **(UAV | own), **common)
            probe.fly(uav, RSUS)
        self.wait_for_service()

    def _on_state(self, message: TwinState) -> None:
        for uav, epoch, stamp in zip(message.uav_ids, message.epochs, message.stamps, strict=True):
            self.states.append((uav, message.rsu_id, epoch))
            self.fresh[uav] = max(stamp, self.fresh.get(uav, 0.0))

    def wait_for_service(self) -> None:
        """Wait until every twin is served with news, and every UAV buys."""
        before, start = dict(self.fresh), len(self.probe.grants)
        self.probe.wait_for(
            lambda: all(self.fresh.get(uav, 0.0) > before.get(uav, 0.0) + 0.3 for uav in UAVS), "fresh states", 60.0
        )
        self.probe.wait_for(
            lambda: all(any(got.get(uav, 0.0) > 0.0 for got in self.probe.shares(start)) for uav in UAVS), "trade", 60.0
        )

    def attack(self, plan: Plan) -> dict[str, int]:
        """Let somebody loose; returns what they said."""
        command = [sys.executable, "-m", "uav_twin_migration.nodes.attacker", json.dumps(asdict(plan))]
        attacker = self._processes.run(command)
        self.probe.wait_for(lambda: attacker.poll() is not None, "the end of the attack", 120.0)
        out, problems = attacker.communicate()
        assert attacker.returncode == 0, problems
        said: dict[str, int] = json.loads(out.splitlines()[-1])
        return said

    def memory(self) -> dict[str, float]:
        """MB resident, by node."""
        return {name: psutil.Process(one.pid).memory_info().rss / 1e6 for name, one in self.nodes.items()}

    def check(self) -> None:
        """All of them live; who hosts what goes on, and nothing is sold twice."""
        assert {name: one.poll() for name, one in self.nodes.items()} == dict.fromkeys(self.nodes)
        newest: dict[str, tuple[int, str]] = {}
        for uav, rsu, epoch in self.states:
            if uav in UAVS:
                known = newest.setdefault(uav, (epoch, rsu))
                assert epoch >= known[0], f"{uav} is served by {rsu} after {known[1]} under a newer epoch"
                assert epoch > known[0] or rsu == known[1], f"two serve {uav} under one epoch"
                newest[uav] = (epoch, rsu)
        for grant in self.probe.grants:
            if grant.rsu_id in RSUS and grant.round in self._own_rounds():
                assert sum(grant.bandwidth) <= CAPACITY * (1.0 + 1e-9)

    def _own_rounds(self) -> set[int]:
        """Rounds that RSUs have opened: what the attacker says of others is not theirs."""
        return {offer.round for offer in self.probe.offers if offer.rsu_id in RSUS}


@pytest.mark.parametrize(("signed", "seed"), [(False, 1), (True, 2)], ids=["unsigned", "signed"])
def test_a_city_goes_on_whatever_somebody_says(
    tmp_path: Path, processes: Processes, probe: Probe, signed: bool, seed: int
) -> None:
    city = City(tmp_path, processes, probe, signed)
    key = str(tmp_path / "rsu_9.signing") if signed else ""
    plan = Plan(RSUS, UAVS, RATE, SECONDS, seed=seed, signing=key, harmless=not signed)
    hosting = {(uav, rsu, epoch) for uav, rsu, epoch in city.states[-4:]}
    warm = city.attack(Plan(RSUS, UAVS, RATE, 2.0, seed=seed + 100, signing=key, harmless=not signed))
    before = city.memory()
    said = city.attack(plan)
    assert {*Attacks(plan, random.Random(seed)).all} <= {*said, *warm}
    city.wait_for_service()
    city.check()
    assert hosting & set(city.states[-20:])  # nobody's twin has moved, or begun anew
    grown = {name: memory - before[name] for name, memory in city.memory().items()}
    assert max(grown.values()) < GROWTH, grown
    probe.diagnostics.clear()  # somebody has spoken there in the RSUs' names, too
    probe.wait_for(lambda: {f"rsu/{rsu}" for rsu in RSUS} <= probe.diagnostics.keys(), "the RSUs' own diagnostics")
    refused = {reason for rsu in RSUS for reason in probe.refused(f"rsu/{rsu}")}
    assert {"twin_bad_epoch", "forged"} & refused
    assert not {"unexpected", "twin_unexpected_error"} & refused
