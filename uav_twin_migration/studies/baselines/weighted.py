"""Importance-weighted PPO on recorded interactions: what learning through a model of sales is compared with.

PPO's clipped objective with the recorded log-probabilities in the place of the last policy's. A ratio beyond the clip
has no gradient, so that the policy stays near the one that recorded; the more it differs, the fewer interactions count.
A clip wider than PPO's usual ones did best of those tried (0.4, 1.5, 5).
"""

from __future__ import annotations

import math

import numpy as np
import torch

from uav_twin_migration.learning.environment import SPENDING
from uav_twin_migration.learning.interactions import Interactions
from uav_twin_migration.learning.networks import Perceptron
from uav_twin_migration.learning.sales import half_cosine
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import Actor
from uav_twin_migration.policy.choice import UNTRAINED_ACTION


def train_by_weights(
    data: Interactions, deviation: float, clip: float = 5.0, steps: int = 4000, seed: int = 0, minibatch: int = 512
) -> Actor:
    """An actor from explored interactions.

    Args:
        deviation: standard deviation of the learned policy's action, best that of the recorded one.
        clip: how far the probability ratio to the recorded policy may move, as a share.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    useful = data[(data.uavs > 0) & np.isfinite(data.log_probability)]
    sold = np.minimum(useful.demanded, useful.capacity)
    profit = (useful.price - useful.unit_cost) * sold / (SPENDING * useful.uavs)
    columns = (useful.action, useful.log_probability, profit)
    action, recorded, reward = (torch.from_numpy(column.astype(np.float32)) for column in columns)
    seen = torch.from_numpy(useful.observation)
    actor = Perceptron(observation.SIZE, (128, 128), output_gain=0.01, output_bias=UNTRAINED_ACTION)
    value = Perceptron(observation.SIZE, (64, 64), output_gain=1.0)
    optimizer = torch.optim.Adam([*actor.parameters(), *value.parameters()], 1e-3, eps=1e-5)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * half_cosine(step / steps)
        rows = torch.from_numpy(random.integers(0, len(useful), minibatch))
        worth = value(seen[rows])
        advantage = (reward[rows] - worth).detach()
        advantage = advantage / (advantage.std() + 1e-8)
        away = (action[rows] - actor(seen[rows])) / deviation
        ratio = torch.exp(-0.5 * away**2 - math.log(deviation * math.sqrt(2.0 * math.pi)) - recorded[rows])
        gain = torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage).mean()
        loss = ((worth - reward[rows]) ** 2).mean() - gain
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(actor.parameters(), 0.5)
        optimizer.step()
    return actor.to_actor()
