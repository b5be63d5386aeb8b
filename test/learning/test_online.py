"""The learner's rules, without ROS: when it learns, and under which number it publishes."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the learning requirements")

from hypothesis import given
from hypothesis import strategies as st

from test.learning.test_offline import message
from test.policy.test_artifact import make_policy
from uav_twin_migration.learning.online import Learner, LearnerSettings
from uav_twin_migration.policy.artifact import Policy

SETTINGS = LearnerSettings(first=10, growth=1.5, most=40)


def hear(learner: Learner, count: int, version: int = 0) -> None:
    """That many rounds priced by a policy."""
    for _ in range(count):
        learner.on_interaction(message(policy_version=version))


def policy(version: int, interactions: int) -> Policy:
    """A policy that tells what it was learned from."""
    return Policy(make_policy().actor, version, training={"interactions": interactions})


def test_it_learns_when_there_is_enough_and_again_when_there_is_considerably_more() -> None:
    learner = Learner(SETTINGS)
    hear(learner, 9)
    assert not learner.due()
    hear(learner, 1)
    assert learner.due()
    assert len(learner.take()) == 10
    hear(learner, 5)
    assert not learner.due()
    hear(learner, 1)
    assert learner.due()
    assert len(learner.take()) == 16


def test_it_remembers_the_newest_and_goes_on_learning() -> None:
    learner = Learner(SETTINGS)
    hear(learner, 100)
    assert len(learner.take()) == 40
    assert not learner.due()
    hear(learner, 21)
    assert learner.due()
    assert len(learner.take()) == 40


@given(heard=st.lists(st.integers(0, 2**63)))
def test_its_policies_go_on_above_whatever_can_be_believed(heard: list[int]) -> None:
    learner = Learner(SETTINGS)
    for version in heard:
        hear(learner, 1, version)
    believed = [version for version in heard if version < 2**53]
    first, second = learner.next_version(), learner.next_version()
    assert first == max(believed, default=0) + 1
    assert second == first + 1


def test_what_was_learned_from_more_is_not_replaced() -> None:
    learner = Learner(SETTINGS)
    learner.on_policy(policy(version=7, interactions=30))
    hear(learner, 29)
    assert not learner.due()
    hear(learner, 1)
    assert learner.due()
    assert learner.next_version() == 8


def test_nobody_can_keep_it_from_learning_for_ever() -> None:
    learner = Learner(SETTINGS)
    learner.on_policy(policy(version=7, interactions=10**9))
    hear(learner, SETTINGS.most)
    assert learner.due()


def test_nonsense_is_counted_and_an_empty_sky_is_none() -> None:
    learner = Learner(SETTINGS)
    learner.on_interaction(message(demanded=float("nan"), policy_version=99))
    learner.on_interaction(message(uavs_in_range=0, policy_version=3))
    assert learner.refused == {"not_finite": 1}
    assert learner.remembered == 0
    assert learner.next_version() == 4
