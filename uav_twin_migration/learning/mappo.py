"""MAPPO with a shared actor, a centralised critic and dynamic structured pruning; to be read from top to bottom.

The paper's baseline, beside `actor_critic` and in the same harness (`training`). Yu et al., "The Surprising
Effectiveness of PPO in Cooperative Multi-Agent Games", arXiv:2103.01955, for a market:

1. `Trainer.play` plays new random games with the present actor and Gaussian exploration noise. All RSUs of all games
   share the actor; each is one more sample.
2. The critic sees what no RSU does: the whole market, and what the rivals ask in the very round. It knows about how
   much an RSU could have earned (`environment.judge`) and predicts which share of that it earns; what the RSU got
   beyond that share is the advantage of its action.
3. `update` does a few epochs of minibatches of PPO's clipped objective (Schulman et al., arXiv:1707.06347).
4. Now and then neurons go (`pruning`), from both networks.

Rewards of later rounds do not count (gamma = 0): RSUs that look ahead play another game than the one whose equilibrium
is wanted, and learn more slowly; docs/learning.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from uav_twin_migration.learning import pruning, training
from uav_twin_migration.learning.environment import STATE_SIZE, judge
from uav_twin_migration.learning.networks import FUSED, Perceptron
from uav_twin_migration.learning.training import Played
from uav_twin_migration.policy import observation


@dataclass(frozen=True)
class Settings(training.Settings):
    """What shapes a run of this method besides what shapes any."""

    iterations: int = 600
    critic_hidden: tuple[int, ...] = (64, 64)
    epochs: int = 4  # passes over an iteration's samples
    learning_rate: float = 1e-3
    final_learning_rate: float = 0.05
    clip: float = 0.4  # how far the probability ratio may move, as a share
    exploration: tuple[float, float] = (0.5, 0.1)
    largest_gradient: float = 0.5  # norm beyond which gradients are scaled down


class Batch(NamedTuple):
    """What an iteration has seen, one row a sample."""

    observation: Tensor  # [B, observation.SIZE]
    state: Tensor  # [B, observation.SIZE + STATE_SIZE], the critic's input
    action: Tensor  # [B]
    mean: Tensor  # [B] of the policy that acted
    reward: Tensor  # [B] profit over the critic's reference


class Mappo(training.Trainer):
    """One training run."""

    settings: Settings
    networks = ("actor", "average", "critic")

    def __init__(self, settings: Settings, actor: Perceptron | None = None) -> None:
        super().__init__(settings, actor)
        self.critic = Perceptron(observation.SIZE + STATE_SIZE, settings.critic_hidden, output_gain=1.0)
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.optimizer = torch.optim.Adam(parameters, settings.learning_rate, eps=1e-5, **FUSED)
        self._state = torch.empty(0)  # [B, observation.SIZE + STATE_SIZE] of the last iteration

    def update(self, played: Played) -> Tensor:
        """A few epochs of PPO on what was played."""
        s = self.settings
        batch = self.judged(played)
        with torch.no_grad():
            advantage = batch.reward - self.critic(batch.state)
            self.losses["advantage_std"] = float(advantage.std())
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        samples = len(batch.reward)
        parts = max(round(samples / s.minibatch), 1)
        for _ in range(s.epochs):
            order = torch.from_numpy(self.random.permutation(samples))
            for part in order.chunk(parts):
                self.step(Batch(*(column[part] for column in batch)), advantage[part])
        self._state = batch.state
        return batch.observation

    @staticmethod
    def judged(played: Played) -> Batch:
        """What was played as samples; random first prices were nobody's action."""
        judgement = judge(played.games, played.price)

        def rows(values: Any) -> Tensor:
            return torch.from_numpy(np.asarray(values, dtype=np.float32)[played.acted])

        observed = rows(played.observation)
        state = torch.cat([observed, rows(judgement.state)], dim=1)
        relative = played.profit / judgement.reference
        return Batch(observed, state, rows(played.action), rows(played.mean), rows(relative))

    def step(self, batch: Batch, advantage: Tensor) -> None:
        """One minibatch: both networks, which share nothing, in one backward pass."""
        s = self.settings
        mean = self.actor(batch.observation)
        log_ratio = ((batch.action - batch.mean) ** 2 - (batch.action - mean) ** 2) / (2.0 * self.exploration**2)
        ratio = torch.exp(log_ratio)
        clipped = ratio.clamp(1.0 - s.clip, 1.0 + s.clip)
        policy_loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
        value_loss = ((self.critic(batch.state) - batch.reward) ** 2).mean()
        self.optimizer.zero_grad()
        (policy_loss + value_loss).backward()
        torch.nn.utils.clip_grad_norm_(self.actor.parameters(), s.largest_gradient)
        self.optimizer.step()
        self.losses["policy"], self.losses["value"] = policy_loss.item(), value_loss.item()

    def prune(self, removed: float, judged_on: Tensor) -> None:
        """From both networks."""
        super().prune(removed, judged_on)
        s = self.settings
        if s.pruning.critic and len(self._state):
            pruning.prune(self.critic, self._state, s.critic_hidden, removed, s.pruning, self.optimizer)

    @classmethod
    def sizes(cls, hidden: dict[str, Any]) -> dict[str, Any]:
        """Of both networks."""
        return {"hidden": tuple(hidden["actor"]), "critic_hidden": tuple(hidden["critic"])}
