"""Learning to price from interactions alone: what RSUs saw, asked and sold, with no market to try prices on.

1. `fit`: a model of one round's sales (`sales`) is fitted to what was sold.
2. `improve`: the actor climbs the profit that the model predicts for its price, in the situations that were recorded,
   measured in units of the best profit that the model knows there. Neurons go meanwhile, as in `mappo`.

As with MAPPO nothing but the round's own profit counts (gamma = 0), so that the best answers in all situations, taken
together, are the equilibrium. Rivals' prices of the round are not known when pricing; the model averages over them as
they were recorded. So a policy learned from one generation of prices is a best answer to that generation; recording
again with what was learned brings it to the equilibrium.

A policy that is already good can be the start (`start`). Where it was trained for nearly all that was recorded it
stays: a model of few rounds knows less than what learned from millions, and cannot tell (docs/learner.md). Elsewhere
what was learned replaces it only where the model says, on rounds that were held out, that it earns clearly more.

Importance-weighted PPO (`weighted`) on the same data does worse: it can only say more or less of what was tried, where
the model's structure says what would have happened. docs/learner.md has the figures.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from uav_twin_migration.errors import InputError
from uav_twin_migration.learning import pruning
from uav_twin_migration.learning.interactions import Interactions
from uav_twin_migration.learning.networks import Perceptron, from_actor, move_average
from uav_twin_migration.learning.pruning import PruningSettings
from uav_twin_migration.learning.sales import Rounds, SalesModel, half_cosine, rounds_of
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.artifact import Policy
from uav_twin_migration.policy.choice import UNTRAINED_ACTION

FEWEST = 100  # interactions to learn from
PRICES = 16  # that are compared to find the model's best profit, log-uniform between cost and cap
SURE = 2.0  # standard errors by which something must be better to replace what is there,
LEAST_GAIN = 0.005  # and of the best profit
BEYOND = 0.05  # share of the recorded situations out of a policy's ranges, from which on it may be replaced
LEAST_BEST = 0.005  # in the model's unit of money, the last revenue per UAV


@dataclass(frozen=True)
class OfflineSettings:
    """Everything that shapes a run; the same settings and interactions give the same policy on the same machine."""

    seed: int = 0  # of initial weights and minibatches
    model_steps: int = 4000  # gradient steps that fit the model of sales
    policy_steps: int = 3000  # gradient steps that improve the actor
    kinds: int = 2  # of UAVs that the model tells apart
    model_hidden: tuple[int, ...] = (64, 64)
    hidden: tuple[int, ...] = (128, 128)  # neurons of the actor's layers before pruning
    pruning: PruningSettings = PruningSettings(every=100)
    minibatch: int = 512  # interactions
    model_rate: float = 2e-3  # learning rate of the model at the start; both fall as a half cosine to nothing
    policy_rate: float = 1e-3  # learning rate of the actor at the start
    weight_decay: float = 1e-4  # of the model
    largest_gradient: float = 1.0  # norm beyond which gradients are scaled down
    averaging: float = 0.005  # share by which the average moves to the current actor in a step
    held_out: float = 0.1  # share of the interactions that tell when the model is best
    looks: int = 20  # at the model's error on them
    exploration: float = 0.15  # standard deviation of the action with which the policy should be recorded next

    def scaled(self, factor: float) -> OfflineSettings:
        """The same run with more or fewer steps."""
        steps = (max(round(factor * steps), 1) for steps in (self.model_steps, self.policy_steps))
        return OfflineSettings(**{**self.__dict__, **dict(zip(("model_steps", "policy_steps"), steps, strict=True))})


class OfflineTrainer:
    """One run over one set of interactions: first the model, then the actor. Deterministic.

    Raises:
        InputError: there are too few interactions with UAVs in range.
    """

    def __init__(
        self,
        data: Interactions,
        settings: OfflineSettings,
        source: str = "interactions",
        start: Policy | None = None,
    ) -> None:
        """`start`: a policy to improve, whose neurons all stay."""
        useful = data[data.uavs > 0]
        if len(useful) < FEWEST:
            raise InputError(source, "interactions with UAVs in range", len(useful), f"at least {FEWEST}")
        self.settings = s = settings
        torch.manual_seed(s.seed)
        self.random = np.random.default_rng(s.seed)
        rounds = rounds_of(useful)
        order = torch.from_numpy(self.random.permutation(len(useful)))
        kept = max(int(len(useful) * s.held_out), 1)
        self.held_out, self.rounds = rounds.part(order[:kept]), rounds.part(order[kept:])
        self.model = SalesModel(s.kinds, s.model_hidden)
        self.start = start
        self.actor = Perceptron(observation.SIZE, s.hidden, output_gain=0.01, output_bias=UNTRAINED_ACTION)
        if start is not None:
            self.actor = from_actor(start.actor)
        self.average = copy.deepcopy(self.actor)
        self._model_optimizer = torch.optim.AdamW(self.model.parameters(), s.model_rate, weight_decay=s.weight_decay)
        self._optimizer = torch.optim.Adam(self.actor.parameters(), s.policy_rate)
        self._least_error, self._best_model = math.inf, self.model.state_dict()
        self.step = 0
        self.cpu_s = 0.0

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.settings.model_steps + self.settings.policy_steps

    def run(self, after: Callable[[OfflineTrainer], None] = lambda trainer: None) -> None:
        """To the end; `after` is called after each step, off the clock, and may raise to stop."""
        while self.step < self.steps:
            began = time.process_time()
            if self.step < self.settings.model_steps:
                self.fit()
            else:
                self.improve()
            self.step += 1
            self.cpu_s += time.process_time() - began
            after(self)

    def fit(self) -> None:
        """One step of the model towards what was sold."""
        s = self.settings
        self._learn_at(self._model_optimizer, s.model_rate * half_cosine(self.step / s.model_steps))
        loss = self.model.error(self._minibatch())
        self._model_optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.largest_gradient)
        self._model_optimizer.step()
        if (self.step + 1) % max(s.model_steps // s.looks, 1) == 0 or self.step + 1 == s.model_steps:
            self._keep_best()

    def _keep_best(self) -> None:
        """Remember the model that is best on held-out rounds; at the end of fitting, go back to it."""
        error = self.model_error()
        if error < self._least_error:
            self._least_error, self._best_model = error, copy.deepcopy(self.model.state_dict())
        if self.step + 1 == self.settings.model_steps:
            self.model.load_state_dict(self._best_model)

    @property
    def beyond(self) -> float:
        """Share of the recorded situations for which the start was not trained; 1 where it names no ranges."""
        if self.start is None or not self.start.ranges:
            return 1.0
        low, high = self.start.bounds()
        seen = self.rounds.seen.numpy()
        return float(((seen < low) | (seen > high)).any(axis=1).mean())

    @property
    def fits(self) -> bool:
        """Whether the start was trained for nearly all that was recorded, and stays whatever is learned."""
        return self.beyond < BEYOND

    def improve(self) -> None:
        """One step of the actor towards the profit that the model predicts."""
        s = self.settings
        done = self.step - s.model_steps
        self._learn_at(self._optimizer, s.policy_rate * half_cosine(done / s.policy_steps))
        batch = self._minibatch()
        loss = -self._share_of_best(batch, self.actor).mean()
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.actor.parameters(), s.largest_gradient)
        self._optimizer.step()
        move_average(self.average, self.actor, max(s.averaging, 1.0 / (1.0 + 0.3 * done)))
        if self.start is None and (done % s.pruning.every == 0 or done == s.policy_steps - 1):
            removed = s.pruning.removed_at((done + 1) / s.policy_steps)
            pruning.prune(self.actor, batch.seen, s.hidden, removed, s.pruning, self._optimizer, self.average)

    def _share_of_best(self, batch: Rounds, actor: Perceptron) -> torch.Tensor:
        """[B] what an actor's prices earn, over the best that the model knows."""
        with torch.no_grad():
            who = self.model(batch.seen)
            shares = torch.linspace(0.02, 0.98, PRICES)
            prices = batch.log_span[:, None] * shares
            best = self.model.profit(who, batch, prices).max(dim=1).values
        log_price = batch.log_span * torch.sigmoid(actor(batch.seen))
        return self.model.profit(who, batch, log_price) / (best + LEAST_BEST)

    def _minibatch(self) -> Rounds:
        rows = self.random.integers(0, len(self.rounds.log_price), self.settings.minibatch)
        return self.rounds.part(torch.from_numpy(rows))

    @staticmethod
    def _learn_at(optimizer: torch.optim.Optimizer, rate: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def model_error(self) -> float:
        """Root mean squared error of the model on held-out rounds, as a share of the revenue."""
        return float(self.model.error(self.held_out).sqrt())

    @torch.no_grad()
    def gain(self) -> tuple[float, float]:
        """What was learned against the start on held-out rounds, in shares of the best profit: mean, standard error."""
        assert self.start is not None
        before = self._share_of_best(self.held_out, from_actor(self.start.actor))
        gained = self._share_of_best(self.held_out, self.average) - before
        return float(gained.mean()), float(gained.std() / math.sqrt(len(gained)))

    @property
    def better(self) -> bool:
        """Whether what was learned is clearly better than the start; true where there is none."""
        if self.start is None:
            return True
        if self.fits:
            return False
        mean, error = self.gain()
        return mean > max(SURE * error, LEAST_GAIN)

    def policy(self, version: int = 1, **training: Any) -> Policy:
        """What was learned so far, or the start where that is no worse.

        `training` is told in the artifact, besides how it was learned.
        """
        if self.start is not None and not self.better:
            return replace(self.start, version=version, training={**self.start.training, "kept": True})
        about = {
            "method": "offline",
            "interactions": len(self.rounds.log_price) + len(self.held_out.log_price),
            "model_error": round(self.model_error(), 5),
            "seed": self.settings.seed,
            "hidden": list(self.average.hidden),
        }
        told, exploration = about | training, self.settings.exploration
        return Policy(self.average.to_actor(), version, exploration, training=told, ranges=self._ranges())

    def _ranges(self) -> dict[str, tuple[float, float]]:
        """Those of the start, widened to what was recorded; none where there is no start."""
        if self.start is None:
            return {}
        seen = self.rounds.seen.numpy()
        met = dict(zip(observation.NAMES, seen.T, strict=True))
        return {
            name: (min(low, float(met[name].min())), max(high, float(met[name].max())))
            for name, (low, high) in self.start.ranges.items()
        }


def train_from_recordings(data: Interactions, settings: OfflineSettings, version: int = 1) -> Policy:
    """A policy from interactions alone. Raises InputError where there are too few."""
    trainer = OfflineTrainer(data, settings)
    trainer.run()
    return trainer.policy(version)
