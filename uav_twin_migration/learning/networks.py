"""Perceptrons whose hidden neurons can be taken out for good while an optimiser works on them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from uav_twin_migration.policy.actor import Actor

TORCH = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
# An optimiser's steps in one piece, which torch can on a CPU from 2.4 on.
FUSED: dict[str, Any] = {"fused": True} if TORCH >= (2, 4) else {}


class Perceptron(nn.Module):
    """ReLU between layers, one linear output. Input [..., sizes[0]], output [...]."""

    def __init__(self, inputs: int, hidden: Sequence[int], output_gain: float, output_bias: float = 0.0) -> None:
        super().__init__()
        sizes = [inputs, *hidden, 1]
        self.layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        self.registered = nn.ModuleList(self.layers)  # the same ones, where torch looks for parameters
        for layer in self.layers:
            nn.init.orthogonal_(layer.weight, math.sqrt(2.0))
            nn.init.zeros_(layer.bias)
        nn.init.orthogonal_(self.layers[-1].weight, output_gain)
        nn.init.constant_(self.layers[-1].bias, output_bias)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        out: Tensor = self.layers[-1](x)[..., 0]
        return out

    def activations(self, x: Tensor) -> list[Tensor]:
        """What each hidden layer says, [..., neurons] each."""
        return self.said(x)[1:-1]

    def said(self, x: Tensor) -> list[Tensor]:
        """The input, what each hidden layer says, and the output [..., 1]."""
        said = [x]
        for layer in self.layers[:-1]:
            said.append(torch.relu(layer(said[-1])))
        return [*said, self.layers[-1](said[-1])]

    def descend(self, said: Sequence[Tensor], slope: Tensor) -> None:
        """Gradients of a loss with the `slope` [B] by the output, where the network `said` so; as `backward` does,
        without its cost, which counts in a small network."""
        back = slope[:, None]
        for layer, x in zip(reversed(self.layers), reversed(said[:-1]), strict=True):
            layer.weight.grad, layer.bias.grad = back.T @ x, back.sum(dim=0)
            if x is not said[0]:
                back = (back @ layer.weight) * (x > 0.0)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Neurons of each hidden layer."""
        return tuple(layer.out_features for layer in self.layers[:-1])

    @property
    def parameter_count(self) -> int:
        """Numbers in the network."""
        return sum(p.numel() for p in self.parameters())

    def to_actor(self) -> Actor:
        """The same network in numpy."""
        return Actor([(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in self.layers])


def from_actor(actor: Actor) -> Perceptron:
    """The same network in torch."""
    network = Perceptron(actor.sizes[0], actor.sizes[1:-1], output_gain=1.0)
    for layer, (weight, bias) in zip(network.layers, actor.layers, strict=True):
        layer.weight.data, layer.bias.data = torch.from_numpy(weight.copy()), torch.from_numpy(bias.copy())
    return network


@torch.no_grad()
def keep_neurons(network: Perceptron, masks: Sequence[Tensor], optimizer: torch.optim.Optimizer | None = None) -> None:
    """Take the neurons with a False in their layer's mask out of the network and out of the optimiser's memory."""
    for i, mask in enumerate(masks):
        kept = torch.nonzero(mask)[:, 0]
        before, after = network.layers[i], network.layers[i + 1]
        _select(before.weight, 0, kept, optimizer)
        _select(before.bias, 0, kept, optimizer)
        _select(after.weight, 1, kept, optimizer)
        before.out_features = after.in_features = len(kept)


def _select(parameter: Tensor, axis: int, kept: Tensor, optimizer: torch.optim.Optimizer | None) -> None:
    full = parameter.shape
    parameter.data = parameter.data.index_select(axis, kept)
    parameter.grad = None
    memory = optimizer.state.get(parameter, {}) if optimizer else {}
    for name, value in memory.items():
        if isinstance(value, Tensor) and value.shape == full:
            memory[name] = value.index_select(axis, kept)


@torch.no_grad()
def move_average(average: nn.Module, current: nn.Module, share: float) -> None:
    """Move an average of weights by a `share` of the way towards the current ones (Polyak averaging)."""
    old: list[Tensor] = list(average.parameters())
    new: list[Tensor] = list(current.parameters())
    if hasattr(torch, "_foreach_lerp_"):
        torch._foreach_lerp_(old, new, share)
        return
    for one, other in zip(old, new, strict=True):  # torch before 2.0
        one.lerp_(other, share)
