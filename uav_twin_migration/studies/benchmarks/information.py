"""How much of what policies forgo is for want of information: the same training on other observations.

The shipped policy, with some noise, plays games. In the situations that come about, the best price is known, and what
any other one forgoes; so a network for each observation learns to price in some of them, and is measured in others: in
the last half of games of its own. Nobody plays what it learned: what it forgoes is close to exploitability, and
observations are compared on the very same situations.

Besides the policy's observation there are those with less and with more, all without units but one: more rounds; every
UAV's demand, by an encoder of sets (Zaheer et al., "Deep Sets", NeurIPS 2017); all rounds, by a recurrent network.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.learning.actor_critic import Situations, profit, situations
from uav_twin_migration.learning.environment import MarketEnvironment
from uav_twin_migration.learning.games import GameDistribution, draw_games
from uav_twin_migration.learning.networks import FUSED, Perceptron
from uav_twin_migration.learning.training import Played, random_prices
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import price_of
from uav_twin_migration.policy.choice import DEFAULT, choose, untrained
from uav_twin_migration.policy.observation import NAMES, ROUND, SITUATION
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "what an RSU's information allows: the same training on less and on more of it"
NEEDS = ("learning",)  # groups of setup.py's REQUIREMENTS besides the command's

STANDARD = GameDistribution()  # 4 RSUs, 16 moving UAVs, rho .7
SEED, BATCHES, GAMES, ROUNDS = 5005, 400, 16, 16
KEPT = 0.8  # of the batches to learn from; the others are measured
NOISE = 0.12  # standard deviation of the actions that are played
HIDDEN, SET, STATE = (128, 128), 32, 64  # neurons
STEPS, MINIBATCH, RATE = 1500, 1024, 3e-3
MORE = 6  # rounds, where there are more than the policy's
PRICES = 100  # between cost and cap, to find the best
NOTHING = 1e-6  # of about the most, what the best price earns where nobody is there
LEAST = 0.03  # credit per UAV, what "nothing sold" counts as in the logarithm
BLUE = "#0072b2"


class Data(NamedTuple):
    """S sequences of the rounds of one RSU each."""

    situations: Situations  # [ROUNDS * S], by round, then by sequence
    best: Tensor  # [ROUNDS, S] the most that could be earned
    seen: Tensor  # [ROUNDS, S, observation.SIZE]
    more: Tensor  # [ROUNDS, S, MORE * len(ROUND)] earlier rounds
    uavs: Tensor  # [ROUNDS, S, N, 3] of every UAV: its demand in the last two rounds, and the most it ever spent
    units: Tensor  # [ROUNDS, S, 2] logarithms of the cost in credit/MHz and of the last revenue per UAV in credit

    @property
    def sequences(self) -> int:
        return self.seen.shape[1]


def run(directory: Path | None) -> list[Figure]:
    """Some two minutes of CPU time; with a `directory` a table and a picture of it, too."""
    torch.set_num_threads(1)
    data = play_games(BATCHES)
    found = {}
    for name, make in networks(data).items():
        found[name] = 100.0 * learned(make, data)
        print(f"  {name}: {found[name]:.2f} %", file=sys.stderr, flush=True)
    if directory:
        with open(directory / "bench_information.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("observation", "forgone_percent"), *found.items()])
        _plot(found, directory / "bench_information.png")
    base = found["the policy's observation"]
    return [Figure(f"forgone with {name}", value, "%", base, base / value) for name, value in found.items()]


def play_games(batches: int) -> Data:
    """What RSUs see, and what every price would earn, in batches of games."""
    random = np.random.default_rng(SEED)
    actor = (choose(DEFAULT) or untrained()).actor
    parts = []
    for _ in range(batches):
        games = draw_games(STANDARD, random, GAMES, 4, 16, ROUNDS)
        environment = MarketEnvironment(games)
        seen, prices, bandwidth = [], [], []
        for round_ in range(ROUNDS):
            seen.append(environment.observe())
            action = actor(seen[-1]) + NOISE * random.standard_normal(seen[-1].shape[:-1])
            asked = price_of(action, environment.unit_cost, environment.price_cap)
            prices.append(random_prices(environment, random) if round_ == 0 else asked)
            bandwidth.append(environment.utilities.respond(games[round_], prices[-1]).bandwidth)
            environment.step(prices[-1])
        parts.append(_told(games, environment, np.stack(seen), np.stack(prices), np.stack(bandwidth)))
    joined = [torch.cat([part[i] for part in parts], dim=1) for i in range(len(parts[0]))]
    known = Situations(*(column.flatten(0, 1) for column in joined[: len(Situations._fields)]))
    best = torch.zeros(len(known.epsilon))
    for share in torch.linspace(0.01, 0.99, PRICES):
        best = torch.maximum(best, profit(torch.logit(share).expand(len(best)), known)[0])
    return Data(known, best.reshape(joined[0].shape[:2]), *joined[len(Situations._fields) :])


def _told(
    games: Market, environment: MarketEnvironment, seen: observation.Observation, prices: FloatArray, sold: FloatArray
) -> list[Tensor]:
    """Columns of `Situations` and `Data`, [ROUNDS, sequences, ...]."""
    nobody = np.zeros(prices.shape, dtype=bool)
    known = situations(Played(games, seen, prices, prices, prices, prices, ~nobody))
    spent = np.swapaxes(prices[..., None, :] * np.minimum(sold, games.capacity[..., None, :]), -1, -2)
    total = spent.sum(axis=-1)
    most = np.maximum.accumulate(spent, axis=0)
    usual = total[..., None] / np.maximum(environment.uavs, 1.0)[..., None] + LEAST

    def before(values: FloatArray, rounds: int = 1) -> FloatArray:
        earlier = np.zeros_like(values)
        earlier[rounds:] = values[:-rounds]
        return earlier

    each = [before(spent / usual), before(spent / usual, 2), before(most / usual)]
    newest = seen.astype(np.float64)[..., len(SITUATION) : len(SITUATION) + len(ROUND)]  # of the round before
    columns = (
        np.concatenate([before(newest, k) for k in range(observation.ROUNDS, observation.ROUNDS + MORE)], axis=-1),
        np.log1p(np.stack(each, axis=-1)),
        np.stack([np.log(environment.unit_cost + 0.0 * total), before(np.log(usual[..., 0]))], axis=-1),
    )
    rounds = len(prices)
    flat = [column.reshape(rounds, -1, *column.shape[1:]) for column in known]
    parts = [np.asarray(column, dtype=np.float32).reshape(rounds, -1, *column.shape[3:]) for column in (seen, *columns)]
    return flat + [torch.from_numpy(part) for part in parts]


# -- networks --------------------------------------------------------------------------------------------------------


class OfSets(nn.Module):
    """Of every UAV something, summed over UAVs, beside the observation."""

    def __init__(self, each: int, beside: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(each, SET), nn.ReLU(), nn.Linear(SET, SET), nn.ReLU())
        self.decide = _perceptron(beside + SET)

    def forward(self, uavs: Tensor, seen: Tensor) -> Tensor:
        out: Tensor = self.decide(torch.cat([self.encode(uavs).mean(dim=-2), seen], dim=-1))
        return out


class Recurrent(nn.Module):
    """All rounds so far, one after the other."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.remember = nn.GRU(inputs, STATE)
        self.decide = _perceptron(inputs + STATE)

    def forward(self, seen: Tensor) -> Tensor:
        out: Tensor = self.decide(torch.cat([self.remember(seen)[0], seen], dim=-1))
        return out


def _perceptron(inputs: int) -> Perceptron:
    return Perceptron(inputs, HIDDEN, output_gain=0.01, output_bias=-1.2)


Columns = Callable[[Tensor], list[Tensor]]  # of some sequences, what the network takes


def networks(data: Data) -> dict[str, tuple[Callable[[], nn.Module], Columns]]:
    """Name -> network, and what it gets of sequences."""
    without = [i for i, name in enumerate(NAMES) if not name.startswith(("most_spent", "bandwidth_"))]
    unspent = [i for i, name in enumerate(NAMES) if not name.startswith("most_spent")]

    def flat(*columns: Tensor) -> tuple[Callable[[], nn.Module], Columns]:
        size = sum(column.shape[-1] for column in columns)
        return (lambda: _perceptron(size)), lambda rows: [torch.cat([column[:, rows] for column in columns], dim=-1)]

    size, each = data.seen.shape[-1], data.uavs.shape[-1]
    return {
        "own sales and rivals' prices": flat(data.seen[..., without]),
        "... and rivals' bandwidths": flat(data.seen[..., unspent]),
        "the policy's observation": flat(data.seen),
        f"... and {MORE} rounds more": flat(data.seen, data.more),
        "... and every UAV's demand (set encoder)": (
            lambda: OfSets(each, size),
            lambda rows: [data.uavs[:, rows], data.seen[:, rows]],
        ),
        "... and all rounds (recurrent)": (lambda: Recurrent(size), lambda rows: [data.seen[:, rows]]),
        "... and credits and MHz": flat(data.seen, data.units),
    }


def learned(how: tuple[Callable[[], nn.Module], Columns], data: Data) -> float:
    """Part of the best profit that a network forgoes in the last half of games that it did not learn from."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    network, columns = how[0](), how[1]
    optimizer = torch.optim.Adam(network.parameters(), RATE, eps=1e-5, **FUSED)
    kept, rounds = int(KEPT * data.sequences), len(data.best)
    places = torch.arange(rounds * data.sequences).reshape(rounds, -1)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * (0.02 + 0.49 * (1.0 + math.cos(math.pi * step / STEPS)))
        rows = torch.from_numpy(random.integers(0, kept, MINIBATCH // rounds))
        at = data.situations.part(places[:, rows].flatten())
        action = network(*columns(rows)).flatten()
        optimizer.zero_grad()
        action.backward(-profit(action.detach(), at)[1] / len(action))
        optimizer.step()
    rows = torch.arange(kept, data.sequences)
    with torch.no_grad():
        action = network(*columns(rows))
        earned = profit(action.flatten(), data.situations.part(places[:, rows].flatten()))[0].reshape(action.shape)
    best = data.best[:, rows]
    forgone = torch.where(best > NOTHING, 1.0 - earned / best, 0.0)
    return float(forgone[rounds // 2 :].mean())


def _plot(found: dict[str, float], path: Path) -> None:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(8, 3.2), layout="constrained")
    axes = canvas.subplots()
    axes.barh(list(found), list(found.values()), color=BLUE)
    axes.invert_yaxis()
    for place, value in enumerate(found.values()):
        axes.text(value, place, f" {value:.2f}", va="center", fontsize=9)
    axes.set_xlabel("forgone of the best profit, %")
    canvas.suptitle("4 RSUs, 16 moving UAVs, ρ 0.7: the same training on other observations", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    canvas.savefig(path, dpi=150)
