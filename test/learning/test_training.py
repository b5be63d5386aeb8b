"""Training, by both methods: deterministic from its seed, resumable, better than it began, and pruned in earnest."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the learning requirements")

import torch

from uav_twin_migration.errors import InputError
from uav_twin_migration.learning import actor_critic, mappo
from uav_twin_migration.learning.actor_critic import ActorCritic
from uav_twin_migration.learning.distillation import DistillationSettings, distil
from uav_twin_migration.learning.environment import MarketEnvironment
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, score
from uav_twin_migration.learning.games import GAMES, GameDistribution, draw_games
from uav_twin_migration.learning.mappo import Mappo
from uav_twin_migration.learning.networks import Perceptron
from uav_twin_migration.learning.pruning import Criterion, PruningSettings
from uav_twin_migration.learning.training import Settings, StrangePrices, Trainer, measure

COMMON: dict[str, Any] = {
    "iterations": 12,
    "seed": 3,
    "distribution": GAMES["wide"],
    "agents": 16,
    "rounds": 4,
    "hidden": (24, 16),
    "minibatch": 32,
    "pruning": PruningSettings(0.75, start=0.2, end=0.7, every=2),
}
SMALL: dict[type[Trainer], Settings] = {
    ActorCritic: actor_critic.Settings(**COMMON, steps=4, memory=3, parts=2, strange=0.5),
    Mappo: mappo.Settings(**COMMON, critic_hidden=(8, 8)),
}
METHODS = pytest.mark.parametrize("method", list(SMALL))


def weights(trainer: Trainer) -> list[Any]:
    networks = (getattr(trainer, name) for name in trainer.networks)
    return [values.detach().numpy() for network in networks for values in network.parameters()]


def same(one: Trainer, other: Trainer) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def trained(method: Any, settings: Settings) -> Trainer:
    trainer: Trainer = method(settings)
    trainer.run()
    return trainer


@METHODS
def test_the_same_seed_gives_the_same_policy_and_another_seed_another(method: type[Trainer]) -> None:
    first = trained(method, SMALL[method])
    assert same(first, trained(method, SMALL[method]))
    assert not same(first, trained(method, dataclasses.replace(SMALL[method], seed=4)))


@METHODS
@pytest.mark.parametrize("stop", [1, 5, 11])  # before, while and after neurons go
@pytest.mark.parametrize("criterion", list(Criterion))
def test_a_resumed_run_ends_as_one_that_was_never_stopped(method: Any, stop: int, criterion: Criterion) -> None:
    pytest.importorskip("torch", minversion="2.4", reason="older ones read no checkpoint")
    small = SMALL[method]
    settings = dataclasses.replace(small, pruning=dataclasses.replace(small.pruning, criterion=criterion))
    stopped = method(settings)
    stopped.run(stop)
    measure(stopped, Games.draw(GameDistribution(), 2, rounds=4))
    file = io.BytesIO()
    torch.save(stopped.checkpoint(), file)
    torch.manual_seed(99)
    file.seek(0)
    resumed = method.restore(settings, torch.load(file, weights_only=True))
    assert resumed.curve == stopped.curve
    resumed.run()
    whole = trained(method, settings)
    assert same(resumed, whole)
    assert (resumed.iteration, resumed.games, resumed.ranges()) == (whole.iteration, whole.games, whole.ranges())


@METHODS
def test_a_run_is_not_resumed_with_other_settings(method: Any) -> None:
    saved = method(SMALL[method]).checkpoint()
    with pytest.raises(InputError, match="settings"):
        method.restore(dataclasses.replace(SMALL[method], averaging=0.3), saved)


@METHODS
def test_neurons_are_gone_for_good(method: Any) -> None:
    trainer = trained(method, SMALL[method])
    assert trainer.actor.hidden == trainer.average.hidden == (6, 4)
    if isinstance(trainer, Mappo):
        assert trainer.critic.hidden == (2, 2)
    actor = trainer.average.to_actor()
    assert actor.sizes[1:] == (6, 4, 1)
    assert all(np.count_nonzero(weight) == weight.size for weight, _ in actor.layers)


@METHODS
def test_a_run_that_ends_early_is_pruned_all_the_same(method: Any) -> None:
    trainer = method(SMALL[method])
    trainer.run(3)
    trainer.finish()
    assert trainer.average.hidden == (6, 4)


@pytest.mark.parametrize(
    ("method", "settings"),
    [(ActorCritic, actor_critic.Settings(iterations=20, seed=1)), (Mappo, mappo.Settings(iterations=30, seed=1))],
)
def test_training_makes_it_better(method: Any, settings: Settings) -> None:
    games = Games.draw(GameDistribution(), 32)
    trainer = method(settings)
    before = measure(trainer, games)
    trainer.run()
    after = measure(trainer, games)
    assert after.exploitability < 0.4 * before.exploitability
    assert after.exploitability < 0.04
    assert [point.iteration for point in trainer.curve] == [0, settings.iterations]


def test_a_small_network_learns_from_a_better_one() -> None:
    teacher = trained(ActorCritic, actor_critic.Settings(iterations=20, seed=1))
    torch.manual_seed(0)
    student = Perceptron(teacher.actor.layers[0].in_features, (8, 8), output_gain=0.01, output_bias=-1.2)
    settings = DistillationSettings(iterations=12, agents=64)
    learned = distil(teacher.average, student, (GameDistribution(),), settings)
    games = Games.draw(GameDistribution(), 32)
    before, after = (score(games, ActorPlayer(network.to_actor())).mean for network in (student, learned))
    assert after < 0.5 * before


def test_the_critic_is_the_game() -> None:
    """In every situation it gives the profit that the environment booked at the price that was posted."""
    trainer = ActorCritic(actor_critic.Settings(distribution=GAMES["wide"], agents=16, seed=5))
    for _ in range(4):
        played = trainer.play()
        at = actor_critic.situations(played)
        scale = at.worth.numpy() / (np.minimum(played.games.capacity, 1e300) * played.games.unit_cost).reshape(-1)
        told = actor_critic.profit(torch.from_numpy(action(played).astype(np.float32)), at)[0].numpy()
        booked = played.profit.reshape(-1) * scale
        some = booked > 1e-4
        assert told[some] == pytest.approx(booked[some], rel=2e-3, abs=2e-3)


def test_the_critics_slope_is_that_of_what_it_says() -> None:
    """By torch's own derivative; also where nobody buys, and where all is sold."""
    trainer = ActorCritic(actor_critic.Settings(distribution=GAMES["wide"], seed=6))
    random = np.random.default_rng(6)
    for _ in range(8):
        at = actor_critic.situations(trainer.play())
        asked = torch.from_numpy(random.normal(0.0, 3.0, len(at.epsilon)).astype(np.float32)).requires_grad_()
        told, slope = actor_critic.profit(asked, at)
        told.sum().backward()
        assert asked.grad is not None
        torch.testing.assert_close(slope, asked.grad, rtol=1e-3, atol=1e-5)


def test_a_networks_gradients_are_those_of_backward() -> None:
    network = Perceptron(5, (7, 3), output_gain=1.0)
    seen, slope = torch.randn(20, 5), torch.randn(20)
    network(seen).backward(slope)
    expected = [values.grad for values in network.parameters()]
    with torch.no_grad():
        network.descend(network.said(seen), slope)
    torch.testing.assert_close([values.grad for values in network.parameters()], expected)


def action(played: Any) -> np.ndarray:
    """Of all prices, also of those that were nobody's action."""
    from uav_twin_migration.policy.actor import action_of

    return action_of(played.price, played.games.unit_cost, played.games.price_cap).reshape(-1)


def test_strangers_keep_to_their_way_and_the_others_to_the_policy() -> None:
    random = np.random.default_rng(8)
    environment = MarketEnvironment(draw_games(GameDistribution(), random, 40, 3, 4, 6))
    strangers = StrangePrices(environment, 0.5, random)
    policy = np.sqrt(environment.unit_cost * environment.price_cap)
    asked = []
    for _ in range(6):
        asked.append(strangers.instead_of(policy))
        environment.step(asked[-1])
    rounds = np.stack(asked)
    games = strangers.who.any(axis=1)
    assert 0.2 < games.mean() < 0.8
    assert np.array_equal(rounds[:, ~strangers.who], np.broadcast_to(policy, rounds.shape)[:, ~strangers.who])
    for kind, differ in ((0, 0), (1, 1), (2, 5)):
        theirs = rounds[:, strangers.who & (strangers.kind == kind)]
        assert theirs.size
        assert all(len(np.unique(column)) == differ + 1 for column in theirs.T)
    assert (rounds >= environment.unit_cost).all()
    assert (rounds <= environment.price_cap).all()
