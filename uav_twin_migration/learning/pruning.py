"""Dynamic structured pruning: hidden neurons leave the networks for good while training goes on.

Every few iterations each hidden neuron's importance is measured on fresh observations, a threshold psi is set so that
just as many neurons fall below it as the schedule wants gone by now, a binary mask says which stay, and the others are
removed physically: from the weights, from the optimiser's memory and from the running average. What is left is a
smaller dense network; the following iterations are cheaper, and there is nothing to decode at the end.

Importance of a neuron: how much of what the network says would change if the neuron always said its mean, to first
order,

    I_i = std(h_i) * mean |d output / d h_i|.

The mean itself is no loss: as the neuron goes, its mean goes into the biases of the next layer.

The schedule is cubic in time (Zhu and Gupta, arXiv:1710.01878): many neurons go early, when the network has most to
spare, and few at the end. Layers are pruned alike, since one threshold for all empties whichever layer has the smaller
scale (`Scope.GLOBAL` is there to show it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from uav_twin_migration.learning.networks import Perceptron, keep_neurons


class Criterion(str, Enum):
    """What makes a neuron worth keeping."""

    IMPORTANCE = "importance"
    RANDOM = "random"


class Scope(str, Enum):
    """What a threshold holds for."""

    LAYER = "layer"
    GLOBAL = "global"


@dataclass(frozen=True)
class PruningSettings:
    """When and what to prune. `share` 0 leaves the networks dense."""

    share: float = 0.0  # of the hidden neurons to remove, over all layers
    start: float = 0.05  # of training, when the first ones go
    end: float = 0.35  # of training, when the last ones have gone
    every: int = 5  # iterations between two thresholds
    criterion: Criterion = Criterion.IMPORTANCE
    scope: Scope = Scope.LAYER
    critic: bool = True  # the critic loses the same share

    def removed_at(self, progress: float) -> float:
        """Share of the hidden neurons that should be gone at `progress` (0 to 1) of training."""
        if progress < self.start or self.share == 0.0:
            return 0.0
        if progress >= self.end:
            return self.share
        return self.share * (1.0 - (1.0 - (progress - self.start) / (self.end - self.start)) ** 3)


def left_of(neurons: int, removed: float) -> int:
    """How many of a layer's `neurons` stay when a share is removed; at least one."""
    return max(math.floor(neurons * (1.0 - removed) + 1e-9), 1)


def importance(network: Perceptron, inputs: Tensor) -> list[Tensor]:
    """Of each hidden layer [neurons], in units of the output; on `inputs` [batch, features]."""
    said = network.activations(inputs)
    output = network.layers[-1](said[-1]).sum()
    slopes = torch.autograd.grad(output, said)
    return [h.detach().std(dim=0) * g.abs().mean(dim=0) for h, g in zip(said, slopes, strict=True)]


def masks(values: Sequence[Tensor], stay: Sequence[int], scope: Scope) -> list[Tensor]:
    """Which neurons stay, a bool [neurons] for each layer: those whose importance reaches the threshold psi.

    psi is the importance that just as many neurons reach as shall stay; of several at psi the first ones stay.
    `stay`: neurons to keep in each layer; with one threshold for all layers, only their sum counts, but no layer is
    emptied.
    """
    if scope is Scope.LAYER:
        return [_most_important(v, k) for v, k in zip(values, stay, strict=True)]
    together = _most_important(torch.cat(list(values)), sum(stay)).split([len(v) for v in values])
    return [mask if mask.any() else _most_important(v, 1) for mask, v in zip(together, values, strict=True)]


def _most_important(values: Tensor, stay: int) -> Tensor:
    mask = torch.zeros(len(values), dtype=torch.bool)
    mask[torch.topk(values, min(stay, len(values))).indices] = True
    return mask


@torch.no_grad()
def fold_means(network: Perceptron, kept: Sequence[Tensor], inputs: Tensor) -> None:
    """Put what the neurons that are about to go say on average into the next layers' biases."""
    said = network.activations(inputs)
    for i, (mask, h) in enumerate(zip(kept, said, strict=True)):
        gone = ~mask
        if gone.any():
            after = network.layers[i + 1]
            after.bias.add_(after.weight[:, gone] @ h[:, gone].mean(dim=0))


def prune(
    network: Perceptron,
    inputs: Tensor,
    dense: Sequence[int],
    removed: float,
    settings: PruningSettings,
    optimizer: torch.optim.Optimizer | None = None,
    average: Perceptron | None = None,
) -> bool:
    """Remove neurons until only `1 - removed` of the `dense` layers' are left. Returns whether any went.

    `average`: a running average of the network's weights, which loses the same neurons.
    """
    stay = [left_of(neurons, removed) for neurons in dense]
    if sum(stay) >= sum(network.hidden):
        return False
    values = importance(network, inputs)
    if settings.criterion is Criterion.RANDOM:
        values = [torch.rand_like(v) for v in values]
    kept = masks(values, stay, settings.scope)
    for each, memory in ((network, optimizer), (average, None)):
        if each is not None:
            fold_means(each, kept, inputs)
            keep_neurons(each, kept, memory)
    return True
