"""The last step: a small actor learns from a better one what to do where the small one goes.

The student plays, the teacher says what it would have done in every situation met (DAgger: Ross et al.,
arXiv:1011.0686), and the student moves towards that. The loss is the squared difference of log prices.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from uav_twin_migration.learning.environment import MarketEnvironment
from uav_twin_migration.learning.games import GameDistribution, draw_games, draw_size
from uav_twin_migration.learning.networks import FUSED, Perceptron, move_average
from uav_twin_migration.policy.actor import price_of


@dataclass(frozen=True)
class DistillationSettings:
    """How long and how fast; `iterations` 0 leaves the student as it is."""

    iterations: int = 0
    seed: int = 0
    agents: int = 128  # RSUs in the games of an iteration
    rounds: int = 16
    memory: int = 16  # iterations whose situations are learned from again
    steps: int = 16  # gradient steps in an iteration
    minibatch: int = 512
    learning_rate: float = 2e-3  # at the start; falls as a half cosine to nothing
    averaging: float = 0.2  # share by which the average moves in an iteration
    exploration: float = 0.1  # standard deviation of the student's actions, for variety


def distil(
    teacher: Perceptron,
    student: Perceptron,
    distribution: tuple[GameDistribution, ...],
    settings: DistillationSettings,
) -> Perceptron:
    """A copy of `student` that does what `teacher` does, as well as it can."""
    s = settings
    random = np.random.default_rng([s.seed, 2])
    student = copy.deepcopy(student)
    average = copy.deepcopy(student)
    optimizer = torch.optim.Adam(student.parameters(), s.learning_rate, **FUSED)
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    for i in range(s.iterations):
        for group in optimizer.param_groups:
            group["lr"] = s.learning_rate * 0.5 * (1.0 + math.cos(math.pi * i / s.iterations))
        one = distribution[int(random.integers(len(distribution)))]
        seen = [*seen[-(s.memory - 1) :], _situations(teacher, student, one, random, s)]
        observation, wanted, span = (torch.cat(column) for column in zip(*seen, strict=True))
        for _ in range(s.steps):
            part = torch.from_numpy(random.integers(0, len(wanted), s.minibatch))
            told = torch.sigmoid(student(observation[part]))
            loss = ((told - wanted[part]) * span[part]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        move_average(average, student, max(s.averaging, 1.0 / (1.0 + i)))
    return average


@torch.no_grad()
def _situations(
    teacher: Perceptron,
    student: Perceptron,
    distribution: GameDistribution,
    random: np.random.Generator,
    settings: DistillationSettings,
) -> tuple[Tensor, Tensor, Tensor]:
    """Observations [B, features] the student meets; the teacher's log price as a share of the span; the span."""
    rsus, uavs = draw_size(distribution, random)
    games = draw_games(distribution, random, max(settings.agents // rsus, 1), rsus, uavs, settings.rounds)
    environment = MarketEnvironment(games, distribution.utility)
    observations, wanted = [], []
    for _ in range(settings.rounds):
        seen = torch.from_numpy(environment.observe())
        observations.append(seen)
        wanted.append(torch.sigmoid(teacher(seen)))
        noise = settings.exploration * random.standard_normal(seen.shape[:-1])
        environment.step(price_of(student(seen).numpy() + noise, environment.unit_cost, environment.price_cap))
    span = np.log(environment.price_cap / environment.unit_cost).astype(np.float32)
    spans = torch.from_numpy(np.broadcast_to(span, (settings.rounds, *span.shape)).copy())
    return torch.stack(observations).flatten(0, 2), torch.stack(wanted).flatten(), spans.flatten()
