"""The learner among RSUs that come and go: killed, late, one of two, or with nobody to listen."""

from __future__ import annotations

import os
import signal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the learning requirements")

from uav_twin_migration.msg import Interaction, PolicyUpdate

from test.ros.conftest import PATIENCE, RSU, Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.learning.evaluation import ActorPlayer
from uav_twin_migration.learning.games import GameDistribution
from uav_twin_migration.learning.interactions import Interactions
from uav_twin_migration.learning.simulated import collect
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.artifact import from_bytes, load
from uav_twin_migration.policy.choice import untrained
from uav_twin_migration.security.authority import make_learner_key

LEARNING = 150.0  # s until a test gives up waiting for a learner: torch starts slowly on a busy machine
LEARNER: dict[str, Any] = {"first": 300, "effort": 0.05, "growth": 1.5}


class Market:
    """Many RSUs' interactions, said by one probe, and the policies that come back."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.updates: list[PolicyUpdate] = []
        self._played = played(4000)
        self._next = 0
        self._publisher = probe.create_publisher(Interaction, topics.INTERACTIONS, qos_profiles.MARKET)
        probe.create_subscription(
            PolicyUpdate, topics.POLICY_UPDATES, self.updates.append, qos_profiles.LATCHED_BY_MANY
        )

    def rounds(self, count: int, version: int = 0) -> None:
        """That many interactions of RSUs that explore widely."""
        for _ in range(count):
            self._publisher.publish(message(self._played, self._next % len(self._played), version))
            self._next += 1

    def play_until(self, done: Any, what: str, version: int = 0) -> None:
        """Go on playing until something has happened."""

        timer = self.probe.create_timer(0.05, lambda: self.rounds(20, version))
        self.probe.wait_for(done, what, LEARNING)
        self.probe.destroy_timer(timer)


@cache
def played(count: int) -> Interactions:
    """What RSUs that explore widely see, ask and sell."""
    return collect(ActorPlayer(untrained().actor), count, 0.5, GameDistribution(), np.random.default_rng(0))


def message(played: Interactions, row: int, version: int) -> Interaction:
    """One interaction on the wire."""
    return Interaction(
        rsu_id="rsu_9",
        observation_schema=observation.SCHEMA,
        observation=played.observation[row].tolist(),
        action=float(played.action[row]),
        log_probability=float(played.log_probability[row]),
        price=float(played.price[row]),
        unit_cost=float(played.unit_cost[row]),
        price_cap=float(played.price_cap[row]),
        capacity=float(played.capacity[row]),
        demanded=float(played.demanded[row]),
        uavs_in_range=int(played.uavs[row]),
        policy_version=version,
    )


@pytest.fixture
def market(probe: Probe) -> Market:
    return Market(probe)


def in_use(probe: Probe) -> list[int]:
    """Versions of the policies that priced an RSU's rounds, in order."""
    return [heard.policy_version for heard in probe.interactions if heard.rsu_id == RSU["rsu_id"]]


def test_rsus_start_untrained_and_use_what_is_learned(
    processes: Processes, probe: Probe, market: Market, tmp_path: Path
) -> None:
    probe.answer_every_offer(uav_a=2.0)
    file = tmp_path / "learned.safetensors"
    make_learner_key(tmp_path / "keys", "ada")
    key = str(tmp_path / "keys" / "ada.key")
    processes.start("learner", "", **LEARNER, output=str(file), signing_key=key)
    trusting = {"learners": str(tmp_path / "keys")}
    processes.start("rsu", "/rsu/rsu_0", **RSU | trusting, policy="untrained", exploration=-1.0)
    probe.wait_for(lambda: in_use(probe), "a round that no policy priced yet")
    market.play_until(lambda: market.updates, "a policy")
    probe.wait_for(lambda: in_use(probe)[-1:] > [0], "a round that a learned policy priced")
    assert in_use(probe)[0] == 0
    policy = from_bytes(bytes(market.updates[0].artifact), expected_hash=market.updates[0].sha256)
    assert policy.version == market.updates[0].version == 1
    assert policy.actor.parameters < 1000
    assert load(file).version >= 1


def test_killed_it_leaves_its_policy_behind_and_its_successor_goes_on_above(
    processes: Processes, probe: Probe, market: Market
) -> None:
    probe.answer_every_offer(uav_a=2.0)
    learner = processes.start("learner", "", **LEARNER)
    processes.start("rsu", "/rsu/rsu_0", **RSU, policy="none")
    market.play_until(lambda: len(market.updates) > 1, "two policies")
    os.killpg(learner.pid, signal.SIGKILL)
    learner.wait()
    last = market.updates[-1].version
    given = [update.version for update in market.updates[-2:]]  # one that it sent as it died may have reached us alone
    probe.wait_for(lambda: in_use(probe) and in_use(probe)[-1] in given, "its last policy in use")
    count = len(in_use(probe))
    probe.wait_for(lambda: len(in_use(probe)) > count + 2, "rounds without a learner")
    assert in_use(probe)[-1] in given
    before = len(market.updates)
    processes.start("learner", "", **LEARNER)  # it knows nothing but what it hears
    market.play_until(lambda: len(market.updates) > before, "a policy of the second learner", version=last)
    assert market.updates[before].version > last
    probe.wait_for(lambda: in_use(probe)[-1] > last, "its policy in use")


def test_a_late_learner_does_not_replace_what_was_learned_from_more(
    processes: Processes, probe: Probe, market: Market
) -> None:
    processes.start("learner", "", **LEARNER | {"first": 1500})
    market.play_until(lambda: market.updates, "a policy of the first learner")
    first = from_bytes(bytes(market.updates[0].artifact))
    late = processes.start("learner", "", **LEARNER | {"seed": 7})
    market.play_until(lambda: len(market.updates) > 2, "further policies")
    for update in market.updates[1:]:
        learned = from_bytes(bytes(update.artifact))
        assert learned.training["interactions"] >= first.training["interactions"]
    assert late.poll() is None


def test_two_learners_do_each_other_no_harm(processes: Processes, probe: Probe, market: Market) -> None:
    probe.answer_every_offer(uav_a=2.0)
    both = [processes.start("learner", "", **LEARNER, seed=seed) for seed in (1, 2)]
    processes.start("rsu", "/rsu/rsu_0", **RSU, policy="none")
    market.play_until(lambda: len(market.updates) > 2, "three policies")
    last = max(update.version for update in market.updates)
    probe.wait_for(lambda: in_use(probe)[-1:] >= [last], "the newest policy in use", LEARNING)
    assert in_use(probe) == sorted(in_use(probe))
    assert [learner.poll() for learner in both] == [None, None]


def test_an_rsu_that_missed_three_policies_gets_the_last(processes: Processes, probe: Probe, market: Market) -> None:
    probe.answer_every_offer(uav_a=2.0)
    learner = processes.start("learner", "", **LEARNER)
    market.play_until(lambda: len(market.updates) >= 3, "three policies")
    processes.start("rsu", "/rsu/rsu_0", **RSU, policy="none")
    probe.wait_for(lambda: in_use(probe)[-1:] >= [3], "the last policy in use")
    assert min(version for version in in_use(probe) if version) >= 3
    assert learner.poll() is None


def test_nonsense_is_refused_and_learning_goes_on(processes: Processes, probe: Probe, market: Market) -> None:
    processes.start("learner", "", **LEARNER)
    wrong = [message(played(4), row, 0) for row in range(4)]
    wrong[0].demanded = float("nan")
    wrong[1].price = -1.0
    wrong[2].observation_schema = "another/1"
    wrong[3].observation = [0.0] * 3
    learner = probe.create_publisher(PolicyUpdate, topics.POLICY_UPDATES, qos_profiles.LATCHED)

    def attack() -> None:
        for bad in wrong:
            market._publisher.publish(bad)
        learner.publish(PolicyUpdate(version=9, artifact=list(b"junk")))

    probe.create_timer(0.1, attack)
    expected = {"not_finite", "absurd", "schema", "shape", "policy_corrupt"}
    probe.wait_for(lambda: probe.refused("learner").keys() >= expected, f"all of {expected}", LEARNING)
    market.play_until(lambda: any(update.version < 9 for update in market.updates), "a policy")


def test_stopped_while_it_trains_it_ends_at_once(processes: Processes, probe: Probe, market: Market) -> None:
    learner = processes.start("learner", "", **LEARNER | {"effort": 1000.0})
    market.play_until(lambda: probe.diagnostics.get("learner", {}).get("training") == "True", "training")
    learner.send_signal(signal.SIGTERM)
    learner.communicate(timeout=PATIENCE)
    assert learner.returncode == 0
