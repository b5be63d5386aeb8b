"""What all ways of training share: games to play, neurons that go, a running average, checkpoints.

A method (`actor_critic`, `mappo`) collects rounds and updates its networks; everything else is here. What is evaluated
and shipped is a running average of the actor's weights, which is good long before the last iterate.
"""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from uav_twin_migration.errors import InputError
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.learning import pruning
from uav_twin_migration.learning.environment import MarketEnvironment
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, score
from uav_twin_migration.learning.games import GameDistribution, draw_games, draw_size
from uav_twin_migration.learning.networks import Perceptron, move_average
from uav_twin_migration.learning.pruning import PruningSettings
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import price_of


@dataclass(frozen=True)
class Settings:
    """What shapes a training run of any method; the same settings give the same policy on the same machine."""

    iterations: int = 200  # of collecting and updating
    seed: int = 0  # of games, exploration, initial weights and minibatches
    distribution: tuple[GameDistribution, ...] = (GameDistribution(),)  # each iteration's games are of one of these
    pruning: PruningSettings = PruningSettings()
    agents: int = 64  # RSUs in the games played side by side in an iteration
    rounds: int = 16  # of each game
    random_starts: float = 0.5  # share of games whose first prices are random, so that the policy learns to recover
    strange: float = 0.0  # share of games in which some RSUs follow no policy, see `StrangePrices`
    hidden: tuple[int, ...] = (128, 128)  # neurons of the actor's layers before pruning
    minibatch: int = 512  # samples
    learning_rate: float = 5e-3  # of Adam, at the start; falls as a half cosine
    final_learning_rate: float = 0.02  # of the initial one, at the end
    exploration: tuple[float, float] = (0.4, 0.1)  # standard deviation of the action's noise, first and last; geometric
    averaging: float = 0.05  # share by which the average moves to the current actor in an iteration
    first_action: float = -1.2  # of the untrained actor: a mark-up of about two


class Played(NamedTuple):
    """An iteration's games, [rounds, G, M] each."""

    games: Market  # [rounds, G]
    observation: observation.Observation  # [..., observation.SIZE]
    mean: FloatArray  # of the action
    action: FloatArray
    price: FloatArray  # credit/MHz
    profit: FloatArray  # credit
    acted: np.ndarray  # whether the price was the actor's, and not a random first one


class Point(NamedTuple):
    """How good the policy was at a moment of training."""

    iteration: int
    cpu_s: float  # spent on training, without evaluations
    games: int  # played so far
    exploitability: float
    p95: float


S = TypeVar("S", bound="Trainer")


class Trainer(ABC):
    """One training run. Deterministic: `run(k)` then `run(l)` is `run(k + l)`, also across a checkpoint."""

    networks: tuple[str, ...] = ("actor", "average")  # attributes that a checkpoint keeps

    def __init__(self, settings: Settings, actor: Perceptron | None = None) -> None:
        """`actor`: to start from, instead of a random one of the settings' size."""
        self.settings = s = settings
        torch.manual_seed(s.seed)
        self.random = np.random.default_rng(s.seed)
        self.actor = actor or Perceptron(observation.SIZE, s.hidden, output_gain=0.01, output_bias=s.first_action)
        self.average = copy.deepcopy(self.actor)
        self.low, self.high = np.full((2, observation.SIZE), np.inf) * [[1.0], [-1.0]]  # of what was seen
        self.iteration = 0
        self.games = 0
        self.cpu_s = 0.0
        self.curve: list[Point] = []
        self.losses: dict[str, float] = {}
        self.optimizer: torch.optim.Optimizer

    @abstractmethod
    def update(self, played: Played) -> Tensor:
        """Learn from what was played; returns observations [B, SIZE] on which neurons are judged."""

    @property
    def progress(self) -> float:
        """Share of the run that is done."""
        return self.iteration / self.settings.iterations

    @property
    def exploration(self) -> float:
        """Present standard deviation of the action's noise."""
        first, last = self.settings.exploration
        return float(first * (last / first) ** self.progress)

    def run(self, iterations: int | None = None, after: Callable[[Any], None] = lambda trainer: None) -> None:
        """Train on, to the end or for some `iterations`; `after` is called after each, off the clock."""
        left = self.settings.iterations - self.iteration
        for _ in range(left if iterations is None else min(iterations, left)):
            began = time.process_time()
            self.iterate()
            self.cpu_s += time.process_time() - began
            after(self)

    def iterate(self) -> None:
        """Play, update, average, prune."""
        s = self.settings
        rate = s.final_learning_rate + (1.0 - s.final_learning_rate) * 0.5 * (1.0 + math.cos(math.pi * self.progress))
        for group in self.optimizer.param_groups:
            group["lr"] = s.learning_rate * rate
        judged_on = self.update(self.play())
        # Early on the average forgets quickly what the first iterates were like.
        move_average(self.average, self.actor, max(s.averaging, 1.0 / (1.0 + 0.3 * self.iteration)))
        self.iteration += 1
        if self.iteration % s.pruning.every == 0 or self.iteration == s.iterations:
            self.prune(s.pruning.removed_at(self.progress), judged_on)

    def play(self) -> Played:
        """New games, from the first round to the last, with the present actor and exploration."""
        s = self.settings
        distribution = s.distribution[int(self.random.integers(len(s.distribution)))]
        rsus, uavs = draw_size(distribution, self.random)
        count = max(s.agents // rsus, 1)
        games = draw_games(distribution, self.random, count, rsus, uavs, s.rounds)
        environment = MarketEnvironment(games, distribution.utility)
        seen, means, actions, posted, profit = [], [], [], [], []
        acted = np.ones((s.rounds, count, rsus), dtype=bool)
        acted[0] = self.random.random((count, 1)) >= s.random_starts
        strangers = StrangePrices(environment, s.strange, self.random) if s.strange else None
        for round_ in range(s.rounds):
            seen.append(environment.observe())
            with torch.no_grad():
                means.append(self.actor(torch.from_numpy(seen[-1])).numpy())
            actions.append(means[-1] + self.exploration * self.random.standard_normal(means[-1].shape))
            prices = price_of(actions[-1], environment.unit_cost, environment.price_cap)
            if round_ == 0:
                prices = np.where(acted[0], prices, random_prices(environment, self.random))
            if strangers:
                prices = strangers.instead_of(prices)
                acted[round_] &= ~strangers.who
            profit.append(environment.step(prices).profit)
            posted.append(prices)
        self.games += count
        columns = [np.stack(column) for column in (seen, means, actions, posted, profit)]
        self.low = np.minimum(self.low, columns[0].min(axis=(0, 1, 2)))
        self.high = np.maximum(self.high, columns[0].max(axis=(0, 1, 2)))
        seen_, mean, action, price, earned = columns
        return Played(games, seen_, mean, action, price, earned, acted)

    def prune(self, removed: float, judged_on: Tensor) -> None:
        """Remove neurons until a share of them is gone, over all of the actor's layers."""
        s = self.settings
        pruning.prune(self.actor, judged_on, s.hidden, removed, s.pruning, self.optimizer, self.average)

    def finish(self) -> None:
        """End the run before its time: what the schedule would still remove goes now."""
        seen = self.play().observation
        self.prune(self.settings.pruning.share, torch.from_numpy(seen.reshape(-1, observation.SIZE)))

    def ranges(self) -> dict[str, tuple[float, float]]:
        """What was seen in training, feature by feature, with a little around it."""
        around = 0.02 * (self.high - self.low) + 0.01
        bounds = np.stack([self.low - around, self.high + around], axis=-1).round(2)
        return {name: (float(low), float(high)) for name, (low, high) in zip(observation.NAMES, bounds, strict=True)}

    # -- stopping and going on ---------------------------------------------------------------------------------------

    def checkpoint(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, as plain data and tensors for `torch.save`."""
        return {
            "settings": repr(self.settings),
            "hidden": {name: getattr(self, name).hidden for name in self.networks},
            "networks": {name: getattr(self, name).state_dict() for name in self.networks},
            "optimizer": self.optimizer.state_dict(),
            "random": self.random.bit_generator.state,
            "torch_random": torch.get_rng_state(),
            "progress": (self.iteration, self.games, self.cpu_s),
            "ranges": (self.low.tolist(), self.high.tolist()),
            "curve": [tuple(point) for point in self.curve],
            "memory": self.remembered(),
        }

    def remembered(self) -> Any:
        """What a method keeps from one iteration to the next besides its networks."""
        return None

    def remember(self, memory: Any) -> None:  # noqa: B027 - most methods have nothing to remember
        """Take up what `remembered` gave."""

    @classmethod
    def restore(cls: type[S], settings: Any, saved: dict[str, Any]) -> S:
        """The trainer that said `checkpoint()`. Raises InputError where it was trained with other settings."""
        if saved["settings"] != repr(settings):
            raise InputError("checkpoint", "settings", saved["settings"], repr(settings))
        trainer = cls(replace(settings, **cls.sizes(saved["hidden"])))
        trainer.settings = settings
        for name, state in saved["networks"].items():
            getattr(trainer, name).load_state_dict(state)
        trainer.optimizer.load_state_dict(saved["optimizer"])
        trainer.random.bit_generator.state = saved["random"]
        torch.set_rng_state(saved["torch_random"])
        trainer.iteration, trainer.games, trainer.cpu_s = saved["progress"]
        trainer.low, trainer.high = map(np.array, saved["ranges"])
        trainer.curve = [Point(*point) for point in saved["curve"]]
        trainer.remember(saved["memory"])
        return trainer

    @classmethod
    def sizes(cls, hidden: dict[str, Any]) -> dict[str, Any]:
        """The settings that make networks of these sizes."""
        return {"hidden": tuple(hidden["actor"])}


def measure(trainer: Trainer, games: Games) -> Point:
    """How good the trainer's policy is on `games`; noted in its curve."""
    now = score(games, ActorPlayer(trainer.average.to_actor()))
    point = Point(trainer.iteration, trainer.cpu_s, trainer.games, now.mean, now.p95)
    trainer.curve.append(point)
    return point


class StrangePrices:
    """RSUs that follow no policy, so that others learn to live with them: they ask the same price in every round, two
    in turn, or another one whenever."""

    MOST = 0.75  # share of such RSUs in a game that has some

    def __init__(self, environment: MarketEnvironment, share: float, random: np.random.Generator) -> None:
        """`share`: of the games."""
        self.environment, self.random = environment, random
        count, rsus = environment.unit_cost.shape
        among = random.random((count, 1)) < share
        self.who = among & (random.random((count, rsus)) < self.MOST)  # [G, M]
        self.kind = random.integers(3, size=(count, 1))
        self.fixed = random_prices(environment, random), random_prices(environment, random)

    def instead_of(self, prices: FloatArray) -> FloatArray:
        """[G, M] this round's prices, those of strangers among them."""
        anew = random_prices(self.environment, self.random)
        in_turn = self.fixed[self.environment.round % 2]
        strange = np.select([self.kind == 0, self.kind == 1], [self.fixed[0], in_turn], anew)
        return np.where(self.who, strange, prices)


def random_prices(environment: MarketEnvironment, rng: np.random.Generator) -> FloatArray:
    """[G, M] log-uniform between cost and cap."""
    low, high = np.log(environment.unit_cost), np.log(environment.price_cap)
    return np.asarray(np.exp(rng.uniform(low, high)))
