"""Actor-critic with an exact critic, and dynamic structured pruning; to be read from top to bottom.

A critic says what an action is worth. Here it need not be learned: once the followers' closed form and the prices that
the rivals posted in a round are given, an RSU's profit of that round is a known function of its own price, and one
that can be differentiated. So the actor climbs it directly: a deterministic policy gradient (Silver et al., ICML 2014)
with the market itself as the critic. In training, that is; the policy sees only what an RSU sees, and learns to set
the price that is best on average over everything that it cannot see.

1. `Trainer.play` plays new random games with the present actor and Gaussian exploration noise. All RSUs of all games
   share the actor; each round of each is one more situation.
2. `situations` keeps what the critic needs to know about each: how attractive the RSU and its rivals were to each UAV,
   at the prices that the rivals posted.
3. `update` takes a few gradient steps up the `profit`, half of them in the newest situations and half in older ones,
   which are as good: the critic says what another price would have earned, whoever posted whatever.
4. Now and then neurons of the actor go (`pruning`). The critic has none.

Profits count in units of about the most that the RSU could have earned in the situation (`environment.judge`), which
makes all RSUs of all markets alike; as it does not depend on the RSU's own price, it changes no best response. Rewards
of later rounds do not count: RSUs that look ahead play another game than the one whose equilibrium is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from uav_twin_migration.game.block import Block
from uav_twin_migration.game.deviation import UnilateralDeviation
from uav_twin_migration.learning import training
from uav_twin_migration.learning.environment import flatten, references
from uav_twin_migration.learning.networks import FUSED, Perceptron
from uav_twin_migration.learning.training import Played
from uav_twin_migration.policy import observation

FAR = 1e-30  # attraction of an RSU that is out of range
SLOPE_BEYOND = 0.1  # of the profit where nobody buys
BEYOND = 3.0  # how far, in logarithms of the price index


@dataclass(frozen=True)
class Settings(training.Settings):
    """What shapes a run of this method besides what shapes any."""

    minibatch: int = 256  # samples
    steps: int = 16  # gradient steps in an iteration
    memory: int = 8  # iterations whose situations are learned from, the newest among them
    parts: int = 1  # iterations that a minibatch is drawn from


class Situations(NamedTuple):
    """What is known of B situations, in which N UAVs chose; money in units of the most that can be earned."""

    observation: Tensor  # [B, observation.SIZE]
    own: Tensor  # [B, N] logarithm of the RSU's attraction at unit cost, see `game.block`
    rivals: Tensor  # [B, N] logarithm of the sum of its rivals' attractions at their prices
    alpha: Tensor  # [B, N] what the UAV spends when bandwidth costs nothing
    epsilon: Tensor  # [B] sigma - 1
    worth: Tensor  # [B] of all its capacity at unit cost
    ceiling: Tensor  # [B] logarithm of the price cap over the unit cost

    def part(self, rows: Tensor) -> Situations:
        """Some of them."""
        return Situations(*(column[rows] for column in self))


def situations(played: Played) -> Situations:
    """All that an iteration has seen."""
    games = flatten(played.games)
    rsus, uavs = games.rsus, games.uavs
    block = Block.of(games)
    alone = UnilateralDeviation.of(block, np.log(played.price.reshape(-1, rsus) / games.unit_cost).T)
    unit = references(alone).T.reshape(-1)  # by market, then by RSU, as everything here

    def each(values: Any) -> Any:  # [M, N, B] -> [B * M, N]
        return values.transpose(2, 0, 1).reshape(-1, uavs)

    logarithm = (lambda values: values) if alone.wide else (lambda values: np.log(np.maximum(values, FAR)))
    columns = (
        played.observation.reshape(-1, observation.SIZE),
        np.maximum(logarithm(each(alone.own)), np.log(FAR)),
        np.maximum(logarithm(each(alone.rivals)), np.log(FAR)),
        np.repeat(block.alpha.T, rsus, axis=0) / unit[:, None],
        np.repeat(block.epsilon, rsus),
        np.minimum(block.worth.T.reshape(-1) / unit, 1e6),
        block.ceiling.T.reshape(-1),
    )
    return Situations(*(torch.from_numpy(np.ascontiguousarray(column, dtype=np.float32)) for column in columns))


def profit(action: Tensor, at: Situations) -> tuple[Tensor, Tensor]:
    """[B] what an RSU earns with `action` [B] in a situation, and its slope by the action: the critic.

    With `x = ln(p / C)` a UAV gives the RSU the share `s = own e^(-epsilon x) / S` of what it spends, where
    `S = own e^(-epsilon x) + rivals`, and spends `alpha (1 - S^(-1 / epsilon))`, or nothing where S < 1. What the RSU
    sells cannot exceed its capacity. By x, the slope of s is `-epsilon s (1 - s)`, that of `ln S^(1 / epsilon)` is -s.
    """
    sigmoid = torch.sigmoid(action)
    x = at.ceiling * sigmoid
    epsilon = at.epsilon[:, None]
    own = at.own - epsilon * x[:, None]
    over = own - at.rivals
    share = torch.sigmoid(over)
    depth = (own - logsigmoid(over)) / epsilon  # ln of S^(1 / epsilon)
    spent = at.alpha * -torch.expm1(-depth.clamp(min=0.0))
    lost = epsilon * (1.0 - share)
    revenue = (share * spent).sum(dim=1)
    slope = -(share * (lost * spent + share * (at.alpha - spent) * (depth > 0.0))).sum(dim=1)
    # Where nobody buys, the price is too high: without a slope nothing would say so.
    nobody = revenue <= 0.0
    if nobody.any():
        beyond = depth.clamp(-BEYOND, 0.0)
        revenue = torch.where(nobody, SLOPE_BEYOND * (share * beyond).sum(dim=1), revenue)
        falling = share * (lost * beyond + share * (depth > -BEYOND))
        slope = torch.where(nobody, -SLOPE_BEYOND * falling.sum(dim=1), slope)
    price = torch.exp(x)
    most = at.worth * price
    full = most < revenue
    margin = 1.0 - 1.0 / price
    by_x = torch.where(full, most, slope * margin + revenue / price)
    return torch.where(full, most, revenue) * margin, by_x * at.ceiling * sigmoid * (1.0 - sigmoid)


class ActorCritic(training.Trainer):
    """One training run."""

    settings: Settings

    def __init__(self, settings: Settings, actor: Perceptron | None = None) -> None:
        super().__init__(settings, actor)
        self.optimizer = torch.optim.Adam(self.actor.parameters(), settings.learning_rate, eps=1e-5, **FUSED)
        self.memory: list[Situations] = []

    @torch.no_grad()
    def update(self, played: Played) -> Tensor:
        """A few steps up the profit."""
        s = self.settings
        newest = situations(played)
        self.memory = [*self.memory[len(self.memory) + 1 - s.memory :], newest]
        for step in range(s.steps):
            drawn = self.drawn(newest, step)
            said = self.actor.said(torch.cat([at.observation for at in drawn]))
            actions = said[-1][:, 0].split(s.minibatch // s.parts)
            earned, slopes = zip(*(profit(action, at) for action, at in zip(actions, drawn, strict=True)), strict=True)
            slope = torch.cat(slopes)
            self.actor.descend(said, -slope / len(slope))
            self.optimizer.step()
        self.losses["profit"] = float(torch.cat(earned).mean())
        return newest.observation

    def drawn(self, newest: Situations, step: int) -> list[Situations]:
        """A minibatch, in parts: situations of several iterations, every other one the newest."""
        s = self.settings
        drawn = []
        for part in range(step, step + s.parts):
            some = newest if part % 2 == 0 else self.memory[int(self.random.integers(len(self.memory)))]
            rows = self.random.integers(0, len(some.epsilon), s.minibatch // s.parts)
            drawn.append(some.part(torch.from_numpy(rows)))
        return drawn

    def remembered(self) -> Any:
        """The situations."""
        return [tuple(each) for each in self.memory]

    def remember(self, memory: Any) -> None:
        """Take up the situations."""
        self.memory = [Situations(*each) for each in memory]
