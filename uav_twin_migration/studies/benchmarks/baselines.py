"""Tiny MADRL beside well-known libraries on the same market, and beside rules that do not learn beforehand.

Every learner gets the same observation and, but for the one on the PettingZoo environment, the same reward, networks of
the same size, one thread, and settings that were chosen in trials (docs/learning.md). Time is CPU time of learning
alone; exploitability is measured on unseen games. Figures are interquartile means over seeds, told with their bootstrap
intervals.
"""

from __future__ import annotations

import math
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.learning.actor_critic import ActorCritic, Settings
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, Player, score
from uav_twin_migration.learning.games import GameDistribution
from uav_twin_migration.learning.rules import ConstantMarkup, Greedy, PerRsu, Random, Structural
from uav_twin_migration.market.pricing import ElasticityPricer
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.sweep.results import Band, Row, band
from uav_twin_migration.studies.sweep.sweep import rows_of_function

SUMMARY = "Tiny MADRL beside Stable-Baselines3, TorchRL, and rules that do not learn"
NEEDS = ("learning", "environment", "libraries")  # groups of setup.py's REQUIREMENTS besides the command's

SEEDS = (0, 1, 2)
STANDARD = GameDistribution()
LEVELS = (0.05, 0.02)
LIMIT = 10.0  # CPU-s for each run
ITERATIONS = 200  # of Tiny MADRL: what it does in that time
EVERY = 2  # batches between two measurements

# Tells how good the policy is after so many CPU-s; returns whether to go on.
Report = Callable[[Player, float], bool]


class Watch:
    """Notes when a level is first reached, and what is reached in the end."""

    def __init__(self, games: Games) -> None:
        self.games = games
        self.reached: dict[float, float] = {}
        self.last = self.best = float("nan")

    def __call__(self, player: Player, cpu_s: float) -> bool:
        now = score(self.games, player).mean
        for level in LEVELS:
            if now < level:
                self.reached.setdefault(level, cpu_s)
        self.last, self.best = now, float(np.fmin(self.best, now))
        return cpu_s < LIMIT


def run(directory: Path | None) -> list[Figure]:
    """Learners, then rules; some five minutes of CPU time. What is done is kept in `directory`."""
    with tempfile.TemporaryDirectory(prefix="uavtwin-baselines-") as made:
        return [*learners(directory / "baselines" if directory else Path(made)), *rules()]


def tiny_madrl(seed: int, report: Report) -> None:
    """Dense; pruned it is cheaper still."""
    trainer = ActorCritic(Settings(iterations=ITERATIONS, seed=seed))

    def after(trainer: ActorCritic) -> None:
        if trainer.iteration % EVERY == 0:
            report(ActorPlayer(trainer.average.to_actor()), trainer.cpu_s)

    trainer.run(after=after)


def contestants() -> dict[str, Callable[[int, Report], None]]:
    """Name to training. Raises UavTwinError where a library is not installed."""
    try:
        from uav_twin_migration.studies.baselines.libraries import Trial, stable_baselines3, torchrl_mappo
    except ImportError as error:
        raise UavTwinError(f"{error}: install stable-baselines3, torchrl, gymnasium and pettingzoo") from None
    ppo, mappo, ddpg = Trial(), Trial(learning_rate=3e-4), Trial(epochs=1)
    return {
        "Tiny MADRL": tiny_madrl,
        "Stable-Baselines3 PPO": lambda seed, report: stable_baselines3("PPO", STANDARD, ppo, seed, report, EVERY),
        "Stable-Baselines3 PPO on the PettingZoo environment": lambda seed, report: stable_baselines3(
            "PPO", STANDARD, Trial(one_by_one=True), seed, report, EVERY
        ),
        "Stable-Baselines3 PPO, gamma 0.9": lambda seed, report: stable_baselines3(
            "PPO", STANDARD, Trial(gamma=0.9), seed, report, EVERY
        ),
        "TorchRL MAPPO": lambda seed, report: torchrl_mappo(STANDARD, mappo, seed, report, EVERY),
        "Stable-Baselines3 DDPG": lambda seed, report: stable_baselines3("DDPG", STANDARD, ddpg, seed, report, EVERY),
    }


def learners(folder: Path) -> list[Figure]:
    """CPU time to each level, and exploitability when the time is up; beside Tiny MADRL's."""
    points = [{"learner": name, "seed": seed} for name in contestants() for seed in SEEDS]
    rows = rows_of_function(f"{__name__}:one", points, folder, jobs=1)  # CPU time is measured
    found = {name: [row for row in rows if row["learner"] == name] for name in contestants()}
    measures = {
        **{_key(level): (f"until below {100 * level:g} %", "CPU-s", LIMIT) for level in LEVELS},
        "last": (f"exploitability after {LIMIT:g} CPU-s", "%", math.nan),
    }
    figures = []
    for name, theirs in found.items():
        for key, (what, unit, otherwise) in measures.items():
            there, own = (_band(each, key, otherwise) for each in (theirs, found["Tiny MADRL"]))
            print(f"  {name}: {what}: {there.middle:.3g} ({there.low:.3g} to {there.high:.3g})", file=sys.stderr)
            figures.append(Figure(f"{name}: {what}", there.middle, unit, own.middle, there.middle / own.middle))
    return figures


def one(learner: str, seed: int) -> dict[str, float]:
    """CPU-s to each level that one training reached, and exploitability in the end, %."""
    warnings.filterwarnings("ignore")  # of libraries about each other
    torch.set_num_threads(1)
    watch = Watch(Games.draw(STANDARD, 96))
    contestants()[learner](seed, watch)
    return {_key(level): cpu_s for level, cpu_s in watch.reached.items()} | {"last": 100 * watch.last}


def _key(level: float) -> str:
    return f"below_{1e4 * level:.0f}bp"


def _band(rows: Sequence[Row], name: str, otherwise: float) -> Band:
    """Interquartile mean over seeds with its bootstrap interval; of who did not get so far, `otherwise` at least."""
    return band([float(row.get(name, otherwise)) for row in rows])


def rules() -> list[Figure]:
    """Exploitability of rules that only know their own history."""
    games, others = Games.draw(STANDARD, 128), Games.draw(STANDARD, 128, seed=1)
    markup = min(np.arange(1.4, 2.6, 0.05), key=lambda m: score(others, ConstantMarkup(m)).mean)
    players: dict[str, Player] = {
        "random prices": Random(),
        f"best constant mark-up ({markup:.2f})": ConstantMarkup(float(markup)),
        "greedy on own history": Greedy(),
        "own demand's elasticity (an RSU's fallback)": PerRsu(ElasticityPricer),
        "Kalman filter on the market's structure": Structural(),
    }
    return [
        Figure(f"rule: {name}", 100 * score(games, player).mean, "% exploitability") for name, player in players.items()
    ]
