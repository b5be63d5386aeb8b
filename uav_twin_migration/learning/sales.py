"""What an RSU will sell in the next round at any price: the market's structure, with what was sold to fill it in.

An RSU knows its own margin; what it does not know is demand. Of a UAV whose other sellers ask the price index z, all
per unit of its link's quality, CES demand gives the RSU, at price p, the share

    w = 1 / (1 + (p / z)^(sigma - 1))

of what the UAV spends, which is `alpha - d P` at its price index `P = p w^(1 / (sigma - 1))`, or nothing. The model
says that an RSU's UAVs are of a few kinds, and a network tells each kind's (z, alpha, d) from the observation. So it
needs to learn who is there; how they answer to a price, also to one that was never asked, it knows.

Prices count by the RSU's own cost and money by what it took in the round before, so that the model is the same in
every currency, and for bandwidth in whatever unit.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from uav_twin_migration.learning.interactions import Interactions
from uav_twin_migration.policy import observation

USUAL_RIVALS = 0.6  # ln of the price over the own cost that unknown rivals are taken to ask
SHARPNESS = 12.0  # of the smooth max(., 0), over the last revenue
GAINS = 0.3  # of the last layer at the start
SMALL_SALE = 0.05  # of the last revenue, below which errors no longer count as shares of the revenue
LEAST_LOAD = 0.02  # of the capacity, what the last revenue counts as at least


class Rounds(NamedTuple):
    """Interactions as tensors, [B] each, `seen` [B, observation.SIZE]."""

    seen: Tensor
    rivals: Tensor  # ln of the price index that rivals asked last, over the own cost
    log_span: Tensor  # ln of price cap over cost
    steepness: Tensor  # sigma - 1
    limit: Tensor  # worth at unit cost of what can be sold per UAV, in units of the last round's revenue per UAV
    log_price: Tensor  # ln of price over cost
    revenue: Tensor  # per UAV, in those units, if all that was demanded could be sold

    def part(self, rows: Tensor) -> Rounds:
        """Some of them."""
        return Rounds(*(column[rows] for column in self))


def rounds_of(data: Interactions) -> Rounds:
    """All interactions, which must be ones with UAVs."""
    recalled = observation.recall(data.observation)
    worth = data.unit_cost * data.capacity / data.uavs
    last = np.where(np.isnan(recalled.revenue), 1.0, np.exp(recalled.revenue) * data.uavs)  # over the worth
    unit = worth * np.maximum(last, LEAST_LOAD)
    columns = (
        np.where(np.isnan(recalled.rivals), USUAL_RIVALS, recalled.rivals),
        np.log(data.price_cap / data.unit_cost),
        recalled.rho / (1.0 - recalled.rho),
        worth / unit,
        np.log(data.price / data.unit_cost),
        data.price * data.demanded / data.uavs / unit,
    )
    return Rounds(
        torch.from_numpy(data.observation), *(torch.from_numpy(column.astype(np.float32)) for column in columns)
    )


class SalesModel(nn.Module):
    """Revenue per UAV at any price, given the observation, in units of the last round's."""

    def __init__(self, kinds: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.kinds = kinds
        sizes = [observation.SIZE, *hidden]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        head = nn.Linear(sizes[-1], 3 * kinds)
        with torch.no_grad():
            head.weight.mul_(GAINS)
            start = torch.tensor([[0.0], [0.5], [-0.5]]).repeat(1, kinds)  # ln of z over rivals' index, alpha, d
            start[0] = torch.linspace(-1.0, 0.5, kinds) if kinds > 1 else -0.5
            head.bias.copy_(start.flatten())
        self.network = nn.Sequential(*layers, head)

    def forward(self, seen: Tensor) -> Tensor:
        """[..., 3, kinds]: ln of z over the rivals' index, of alpha, of d per UAV, the last two in units."""
        out: Tensor = self.network(seen)
        return out.reshape(*seen.shape[:-1], 3, self.kinds)

    def revenue(self, who: Tensor, rounds: Rounds, log_price: Tensor) -> Tensor:
        """[B] or [B, P] units per UAV at `log_price` over cost; `who` [B, 3, kinds] as `forward` says."""
        several = log_price.dim() == 2
        wide = (slice(None), None, None) if several else (slice(None), None)
        attraction, alpha, claim = who[:, None].unbind(-2) if several else who.unbind(-2)
        steepness = rounds.steepness[wide]
        log_share = nn.functional.logsigmoid(steepness * (rounds.rivals[wide] + attraction - log_price[..., None]))
        log_index = log_price[..., None] + log_share / steepness
        spent = torch.exp(alpha) - torch.exp(claim + log_index)
        spent = nn.functional.softplus(SHARPNESS * spent) / SHARPNESS
        out: Tensor = (torch.exp(log_share) * spent).sum(dim=-1)
        return out

    def profit(self, who: Tensor, rounds: Rounds, log_price: Tensor) -> Tensor:
        """[B] or [B, P] units per UAV at `log_price` over cost: the known margin on what can be sold."""
        wide = (slice(None), None) if log_price.dim() == 2 else slice(None)
        price = torch.exp(log_price)
        sold = torch.minimum(self.revenue(who, rounds, log_price) / price, rounds.limit[wide])
        return (price - 1.0) * sold

    def error(self, rounds: Rounds) -> Tensor:
        """Mean squared error of the revenue, as a share of it."""
        told = self.revenue(self(rounds.seen), rounds, rounds.log_price)
        scale = 0.5 * (rounds.revenue + told.detach()) + SMALL_SALE
        return (((told - rounds.revenue) / scale) ** 2).mean()


def half_cosine(progress: float) -> float:
    """From 1 at the start to 0 at the end."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))
