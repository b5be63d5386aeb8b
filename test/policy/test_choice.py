"""What an RSU starts with, and what it tells the recorder about a rule's prices."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from test.policy.test_artifact import make_policy
from test.policy.test_pricer import HISTORY, Rule, send
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import action_of, price_of
from uav_twin_migration.policy.artifact import PolicyRefused, Reason, save
from uav_twin_migration.policy.choice import choose, make_pricer, untrained
from uav_twin_migration.policy.observed import ObservedRule
from uav_twin_migration.policy.single import observe


def test_a_policy_is_chosen_by_name_or_by_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    save(make_policy(version=7), file)
    chosen = choose(str(file))
    assert chosen is not None
    assert chosen.version == 7
    assert choose("none") is None


def test_a_file_that_is_no_policy_is_refused_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"no policy")
    with pytest.raises(PolicyRefused) as refused:
        choose(str(file))
    assert refused.value.reason is Reason.CORRUPT


def test_the_shipped_policy_can_be_used_wherever_there_is_one() -> None:
    chosen = choose("default")
    assert chosen is None or chosen.version > 0


def test_an_untrained_policy_says_the_same_of_everything_and_gives_way_to_any_other() -> None:
    policy = untrained()
    seen = np.random.default_rng(0).standard_normal((5, observation.SIZE))
    assert np.ptp(policy.actor(seen)) == 0.0
    pricer = make_pricer(1.0, 20.0, 10.0, 0.6, "untrained", 0.0)
    assert pricer.version == 0
    send(pricer, make_policy(version=1))
    assert pricer.version == 1


def test_a_rule_is_observed_without_being_disturbed() -> None:
    decision = ObservedRule(Rule(), 1.0, 20.0, 10.0, 0.6).decide(HISTORY, (1.7,))
    assert decision.price == 1.25
    assert decision.action == pytest.approx(float(action_of(1.25, 1.0, 20.0)))
    assert math.isnan(decision.log_probability)
    assert decision.observation == tuple(observe(HISTORY, (1.7,), 1.0, 20.0, 10.0, 0.6).tolist())
    assert decision.observation_schema == observation.SCHEMA


def test_an_explored_rule_tells_how_likely_its_action_was() -> None:
    rule = ObservedRule(Rule(), 1.0, 20.0, 10.0, 0.6, exploration=0.3, seed=1)
    decisions = [rule.decide(HISTORY, (1.7,)) for _ in range(400)]
    actions = np.array([decision.action for decision in decisions])
    mean = float(action_of(1.25, 1.0, 20.0))
    assert actions.std() == pytest.approx(0.3, rel=0.15)
    expected = -0.5 * ((actions - mean) / 0.3) ** 2 - math.log(0.3 * math.sqrt(2.0 * math.pi))
    assert [decision.log_probability for decision in decisions] == pytest.approx(expected.tolist())
    assert [decision.price for decision in decisions] == pytest.approx(price_of(actions, 1.0, 20.0).tolist())


def test_exploration_below_zero_is_what_the_policy_says(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    save(make_policy(), file)  # exploration 0.2
    explored = make_pricer(1.0, 20.0, 10.0, 0.6, str(file), -1.0).decide(HISTORY, ())
    assert math.isfinite(explored.log_probability)
    assert math.isnan(make_pricer(1.0, 20.0, 10.0, 0.6, "none", -1.0).decide(HISTORY, ()).log_probability)
