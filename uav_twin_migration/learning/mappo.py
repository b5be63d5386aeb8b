"""MAPPO with a shared actor, a centralised critic and dynamic structured pruning; to be read from top to bottom.

Yu et al., "The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games", arXiv:2103.01955, for a market:

1. `collect` plays new random games with the present actor and Gaussian exploration noise. All RSUs of all games share
   the actor; each is one more sample.
2. The critic sees what no RSU does: the whole market, and what the rivals ask in the very round. It knows about how
   much an RSU could have earned (`environment.judge`) and predicts which share of that it earns; what the RSU got
   beyond that share is the advantage of its action.
3. `update` does a few epochs of minibatches of PPO's clipped objective (Schulman et al., arXiv:1707.06347).
4. Now and then neurons go (`pruning`), from both networks.

Rewards of later rounds do not count (gamma = 0): RSUs that look ahead play another game than the one whose equilibrium
is wanted, and learn more slowly; docs/learning.md has the figures.

What is evaluated and shipped is a running average of the actor's weights, which is good long before the last iterate.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from uav_twin_migration.errors import InputError
from uav_twin_migration.game.market import FloatArray
from uav_twin_migration.learning import pruning
from uav_twin_migration.learning.environment import STATE_SIZE, MarketEnvironment, judge
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, score
from uav_twin_migration.learning.games import GameDistribution, draw_games, draw_size
from uav_twin_migration.learning.networks import Perceptron, move_average
from uav_twin_migration.learning.pruning import PruningSettings
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import price_of


@dataclass(frozen=True)
class Settings:
    """Everything that shapes a training run; the same settings give the same policy on the same machine."""

    iterations: int = 1000  # of collecting and updating
    seed: int = 0  # of games, exploration, initial weights and minibatches
    distribution: GameDistribution = GameDistribution()  # the games to learn from
    pruning: PruningSettings = PruningSettings()
    agents: int = 64  # RSUs in the games played side by side in an iteration
    rounds: int = 16  # of each game
    random_starts: float = 0.5  # share of games whose first prices are random, so that the policy learns to recover
    hidden: tuple[int, ...] = (128, 128)  # neurons of the actor's layers before pruning
    critic_hidden: tuple[int, ...] = (64, 64)
    epochs: int = 4  # passes over an iteration's samples
    minibatch: int = 512  # samples
    learning_rate: float = 1e-3  # of Adam, at the start; falls as a half cosine
    final_learning_rate: float = 0.05  # of the initial one, at the end
    clip: float = 0.4  # how far the probability ratio may move, as a share
    exploration: tuple[float, float] = (0.5, 0.1)  # standard deviation of the action's noise, first and last; geometric
    largest_gradient: float = 0.5  # norm beyond which gradients are scaled down
    averaging: float = 0.05  # share by which the average moves to the current actor in an iteration
    first_action: float = -1.2  # of the untrained actor: a mark-up of about two


class Batch(NamedTuple):
    """What an iteration has seen, one row a sample."""

    observation: Tensor  # [B, observation.SIZE]
    state: Tensor  # [B, observation.SIZE + STATE_SIZE], the critic's input
    action: Tensor  # [B]
    mean: Tensor  # [B] of the policy that acted
    reward: Tensor  # [B] profit over the critic's reference


class Point(NamedTuple):
    """How good the policy was at a moment of training."""

    iteration: int
    cpu_s: float  # spent on training, without evaluations
    games: int  # played so far
    exploitability: float
    p95: float


class Trainer:
    """One training run. Deterministic: `run(k)` then `run(l)` is `run(k + l)`, also across a checkpoint."""

    def __init__(self, settings: Settings, actor: Perceptron | None = None) -> None:
        """`actor`: to start from, instead of a random one of the settings' size."""
        self.settings = s = settings
        torch.manual_seed(s.seed)
        self.random = np.random.default_rng(s.seed)
        self.actor = actor or Perceptron(observation.SIZE, s.hidden, output_gain=0.01, output_bias=s.first_action)
        self.critic = Perceptron(observation.SIZE + STATE_SIZE, s.critic_hidden, output_gain=1.0)
        self.average = copy.deepcopy(self.actor)
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.optimizer = torch.optim.Adam(parameters, s.learning_rate, eps=1e-5, fused=True)
        self.iteration = 0
        self.games = 0
        self.cpu_s = 0.0
        self.curve: list[Point] = []
        self.losses: dict[str, float] = {}

    @property
    def progress(self) -> float:
        """Share of the run that is done."""
        return self.iteration / self.settings.iterations

    @property
    def exploration(self) -> float:
        """Present standard deviation of the action's noise."""
        first, last = self.settings.exploration
        return first * (last / first) ** self.progress

    def run(self, iterations: int | None = None, after: Callable[[Trainer], None] = lambda trainer: None) -> None:
        """Train on, to the end or for some `iterations`; `after` is called after each, off the clock."""
        left = self.settings.iterations - self.iteration
        for _ in range(left if iterations is None else min(iterations, left)):
            began = time.process_time()
            self.iterate()
            self.cpu_s += time.process_time() - began
            after(self)

    def iterate(self) -> None:
        """Collect, update, average, prune."""
        batch = self.collect()
        self.update(batch)
        # Early on the average forgets quickly what the first iterates were like.
        move_average(self.average, self.actor, max(self.settings.averaging, 1.0 / (1.0 + 0.3 * self.iteration)))
        self.iteration += 1
        self.prune(batch)

    # -- collecting --------------------------------------------------------------------------------------------------

    def collect(self) -> Batch:
        """Play new games to the end."""
        s, d = self.settings, self.settings.distribution
        rsus, uavs = draw_size(d, self.random)
        count = max(s.agents // rsus, 1)
        games = draw_games(d, self.random, count, rsus, uavs, s.rounds)
        environment = MarketEnvironment(games)
        at_random = self.random.random((count, 1)) < s.random_starts
        seen, actions, means, posted, profit = [], [], [], [], []
        for round_ in range(s.rounds):
            seen.append(environment.observe())
            mean = self.act(seen[-1])
            noise = self.random.standard_normal(mean.shape, dtype=np.float32)
            actions.append(mean + self.exploration * noise)
            means.append(mean)
            prices = price_of(actions[-1], environment.unit_cost, environment.price_cap)
            if round_ == 0:
                prices = np.where(at_random, random_prices(environment, self.random), prices)
            outcome = environment.step(prices)
            posted.append(prices)
            profit.append(outcome.profit)
        self.games += count
        judgement = judge(games, np.stack(posted))
        relative = np.stack(profit) / judgement.reference
        learn = np.ones((s.rounds, count, rsus), dtype=bool)
        learn[0] = ~at_random  # random prices were nobody's action

        def rows(values: Any) -> Tensor:
            return torch.from_numpy(np.asarray(values, dtype=np.float32)[learn])

        observed = rows(np.stack(seen))
        state = torch.cat([observed, rows(judgement.state)], dim=1)
        return Batch(observed, state, rows(np.stack(actions)), rows(np.stack(means)), rows(relative))

    @torch.no_grad()
    def act(self, seen: observation.Observation) -> FloatArray:
        """The actor's mean actions."""
        mean: FloatArray = self.actor(torch.from_numpy(seen)).numpy()
        return mean

    # -- learning ----------------------------------------------------------------------------------------------------

    def update(self, batch: Batch) -> None:
        """A few epochs of PPO on what was collected."""
        s = self.settings
        rate = 0.5 * (1.0 + math.cos(math.pi * self.progress))
        for group in self.optimizer.param_groups:
            group["lr"] = s.learning_rate * (s.final_learning_rate + (1.0 - s.final_learning_rate) * rate)
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

    def prune(self, batch: Batch) -> None:
        """Let those neurons go that should be gone by now."""
        p = self.settings.pruning
        if self.iteration % p.every == 0 or self.iteration == self.settings.iterations:
            self.prune_to(p.removed_at(self.progress), batch)

    def prune_to(self, removed: float, batch: Batch) -> None:
        """Remove neurons until a share of them is gone, over all layers of both networks."""
        s, p = self.settings, self.settings.pruning
        pruning.prune(self.actor, batch.observation, s.hidden, removed, p, self.optimizer, self.average)
        if p.critic:
            pruning.prune(self.critic, batch.state, s.critic_hidden, removed, p, self.optimizer)

    def finish(self) -> None:
        """End the run before its time: what the schedule would still remove goes now."""
        self.prune_to(self.settings.pruning.share, self.collect())

    # -- stopping and going on ---------------------------------------------------------------------------------------

    def checkpoint(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, as plain data and tensors for `torch.save`."""
        return {
            "settings": repr(self.settings),
            "hidden": (self.actor.hidden, self.critic.hidden),
            "actor": self.actor.state_dict(),
            "critic": self.critic.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self.random.bit_generator.state,
            "torch_random": torch.get_rng_state(),
            "progress": (self.iteration, self.games, self.cpu_s),
            "curve": [tuple(point) for point in self.curve],
        }

    @classmethod
    def restore(cls, settings: Settings, saved: dict[str, Any]) -> Trainer:
        """The trainer that said `checkpoint()`. Raises InputError where it was trained with other settings."""
        if saved["settings"] != repr(settings):
            raise InputError("checkpoint", "settings", saved["settings"], repr(settings))
        actor, critic = saved["hidden"]
        trainer = cls(replace(settings, hidden=tuple(actor), critic_hidden=tuple(critic)))
        trainer.settings = settings
        for name in ("actor", "critic", "average", "optimizer"):
            getattr(trainer, name).load_state_dict(saved[name])
        trainer.random.bit_generator.state = saved["random"]
        torch.set_rng_state(saved["torch_random"])
        trainer.iteration, trainer.games, trainer.cpu_s = saved["progress"]
        trainer.curve = [Point(*point) for point in saved["curve"]]
        return trainer


def measure(trainer: Trainer, games: Games) -> Point:
    """How good the trainer's policy is on `games`; noted in its curve."""
    now = score(games, ActorPlayer(trainer.average.to_actor()))
    point = Point(trainer.iteration, trainer.cpu_s, trainer.games, now.mean, now.p95)
    trainer.curve.append(point)
    return point


def random_prices(environment: MarketEnvironment, rng: np.random.Generator) -> FloatArray:
    """[G, M] log-uniform between cost and cap."""
    low, high = np.log(environment.unit_cost), np.log(environment.price_cap)
    return np.asarray(np.exp(rng.uniform(low, high)))
