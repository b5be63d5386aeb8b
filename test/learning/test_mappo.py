"""Training: deterministic from its seed, resumable, better than it began, and pruned in earnest."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the learning requirements")

import torch

from uav_twin_migration.errors import InputError
from uav_twin_migration.learning.distillation import DistillationSettings, distil
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, score
from uav_twin_migration.learning.games import MIXED, GameDistribution
from uav_twin_migration.learning.mappo import Settings, Trainer, measure
from uav_twin_migration.learning.networks import Perceptron
from uav_twin_migration.learning.pruning import Criterion, PruningSettings

SMALL = Settings(
    iterations=12,
    seed=3,
    distribution=MIXED,
    agents=16,
    rounds=4,
    hidden=(24, 16),
    critic_hidden=(8, 8),
    minibatch=32,
    pruning=PruningSettings(0.75, start=0.2, end=0.7, every=2),
)


def weights(trainer: Trainer) -> list[Any]:
    networks = (trainer.actor, trainer.critic, trainer.average)
    return [values.detach().numpy() for network in networks for values in network.parameters()]


def same(one: Trainer, other: Trainer) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def trained(settings: Settings) -> Trainer:
    trainer = Trainer(settings)
    trainer.run()
    return trainer


def test_the_same_seed_gives_the_same_policy_and_another_seed_another() -> None:
    first = trained(SMALL)
    assert same(first, trained(SMALL))
    assert not same(first, trained(dataclasses.replace(SMALL, seed=4)))


@pytest.mark.parametrize("stop", [1, 5, 11])  # before, while and after neurons go
@pytest.mark.parametrize("criterion", list(Criterion))
def test_a_resumed_run_ends_as_one_that_was_never_stopped(stop: int, criterion: Criterion) -> None:
    settings = dataclasses.replace(SMALL, pruning=dataclasses.replace(SMALL.pruning, criterion=criterion))
    stopped = Trainer(settings)
    stopped.run(stop)
    measure(stopped, Games.draw(GameDistribution(), 2, rounds=4))
    file = io.BytesIO()
    torch.save(stopped.checkpoint(), file)
    torch.manual_seed(99)
    file.seek(0)
    resumed = Trainer.restore(settings, torch.load(file, weights_only=True))
    assert resumed.curve == stopped.curve
    resumed.run()
    whole = trained(settings)
    assert same(resumed, whole)
    assert (resumed.iteration, resumed.games) == (whole.iteration, whole.games)


def test_a_run_is_not_resumed_with_other_settings() -> None:
    saved = Trainer(SMALL).checkpoint()
    with pytest.raises(InputError, match="settings"):
        Trainer.restore(dataclasses.replace(SMALL, clip=0.3), saved)


def test_neurons_are_gone_for_good() -> None:
    trainer = trained(SMALL)
    assert trainer.actor.hidden == trainer.average.hidden == (6, 4)
    assert trainer.critic.hidden == (2, 2)
    actor = trainer.average.to_actor()
    assert actor.sizes[1:] == (6, 4, 1)
    assert all(np.count_nonzero(weight) == weight.size for weight, _ in actor.layers)


def test_a_run_that_ends_early_is_pruned_all_the_same() -> None:
    trainer = Trainer(SMALL)
    trainer.run(3)
    trainer.finish()
    assert trainer.average.hidden == (6, 4)


def test_training_makes_it_better() -> None:
    games = Games.draw(GameDistribution(), 32)
    trainer = Trainer(Settings(iterations=30, seed=1))
    before = measure(trainer, games)
    trainer.run()
    after = measure(trainer, games)
    assert after.exploitability < 0.4 * before.exploitability
    assert after.exploitability < 0.04
    assert [point.iteration for point in trainer.curve] == [0, 30]


def test_a_small_network_learns_from_a_better_one() -> None:
    teacher = Trainer(Settings(iterations=30, seed=1))
    teacher.run()
    torch.manual_seed(0)
    student = Perceptron(teacher.actor.layers[0].in_features, (8, 8), output_gain=0.01, output_bias=-1.2)
    settings = DistillationSettings(iterations=12, agents=64)
    learned = distil(teacher.average, student, GameDistribution(), settings)
    games = Games.draw(GameDistribution(), 32)
    before, after = (score(games, ActorPlayer(network.to_actor())).mean for network in (student, learned))
    assert after < 0.5 * before
