"""Learning from interactions: from recordings alone, and in the running system while it runs.

The recordings of the first part are made by the vectorised market, which plays thousands of rounds a second, written in
the recorder's format and read from it. Those of the second part are the running system's own. Exploitability of the
first part is that of games nobody trained on, as in `bench training`; of the second part that of the posted prices,
exploration included, against the true best responses.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.learning import recordings
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, Player, score
from uav_twin_migration.learning.games import GameDistribution
from uav_twin_migration.learning.interactions import Interactions
from uav_twin_migration.learning.offline import OfflineSettings, OfflineTrainer, train_from_recordings
from uav_twin_migration.learning.pruning import PruningSettings
from uav_twin_migration.learning.rules import PerRsu
from uav_twin_migration.learning.simulated import collect
from uav_twin_migration.market.pricing import ElasticityPricer
from uav_twin_migration.policy import artifact
from uav_twin_migration.policy.choice import DEFAULT, UNTRAINED_EXPLORATION, choose, untrained
from uav_twin_migration.studies.baselines.weighted import train_by_weights
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "from recordings alone, and in the running system while it runs"
NEEDS = ("ros", "learning", "recording")  # groups of setup.py's REQUIREMENTS besides the command's

STANDARD = GameDistribution()  # 4 RSUs, 16 moving UAVs, rho .7
SEED = 1
RULE_EXPLORATION = 0.3
LATER_EXPLORATION = 0.25  # of a policy that has learned something
TUNING_EXPLORATION = 0.15  # of the shipped policy, to learn from where it is
TUNED = {
    "standard games": STANDARD,
    "alpha 50-200": replace(STANDARD, alpha=(50.0, 200.0)),
    "costs 0.1-0.5": replace(STANDARD, unit_cost=(0.1, 0.5)),
    "half the links blocked": replace(STANDARD, blocked=(0.5, 0.5)),
    "alpha 500-2000, which it was not trained for": replace(STANDARD, alpha=(500.0, 2000.0)),
}
PRUNED = PruningSettings(0.9, every=OfflineSettings.pruning.every)
SCENARIO = "default"
REAL_TIME_FACTOR = 4.0
LEARNING_S = 600.0  # simulated time with a learner
AFTERWARDS_S = 120.0  # simulated time with what was learned from the recording
LAST = 5  # of the curve's 20 points that count as the end


def run(directory: Path | None) -> list[Figure]:
    """Both parts; some five minutes of CPU time and three of waiting."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        return [
            *from_recordings(Path(folder)),
            *fine_tuned(Path(folder)),
            *while_running(Path(folder), directory),
        ]


# -- from recordings alone -------------------------------------------------------------------------------------------


def from_recordings(folder: Path) -> list[Figure]:
    """Exploitability after learning from recordings of several origins, beside that of whoever recorded."""
    games = Games.draw(STANDARD, 256)
    random = np.random.default_rng(SEED)

    def measure(player: Player) -> float:
        return 100.0 * score(games, player).mean

    def learn(name: str, *parts: Interactions, settings: OfflineSettings = OfflineSettings()) -> Player:  # noqa: B008
        data = Interactions.join(parts)
        say(f"{name}: learning from {len(data)} interactions")
        return ActorPlayer(train_from_recordings(data, settings).actor)

    nobody: Player = ActorPlayer(untrained().actor)
    rule = PerRsu(ElasticityPricer)
    before, ruled = measure(nobody), 100.0 * score(Games.draw(STANDARD, 32), rule).mean

    first = recorded(folder / "untrained", nobody, 20_000, UNTRAINED_EXPLORATION, random)
    once = learn("20,000 of an untrained policy", first)
    small = learn("the same, 90 % pruned", first, settings=OfflineSettings(pruning=PRUNED))
    weighted = measure(ActorPlayer(train_by_weights(first, UNTRAINED_EXPLORATION)))
    few = recorded(folder / "few", nobody, 1_000, UNTRAINED_EXPLORATION, random)
    figures = [
        figure(
            "1,000 interactions of an untrained policy", measure(learn("1,000 of an untrained policy", few)), before
        ),
        figure("20,000 interactions of an untrained policy", measure(once), before),
        figure("the same beside importance-weighted PPO", measure(once), weighted),
        figure("the same, 90 % of the neurons removed", measure(small), before),
    ]
    long = recorded(folder / "rule", rule, 100_000, RULE_EXPLORATION, random)
    figures.append(figure("100,000 of the fallback rule, explored", measure(learn("rule", long)), ruled))
    parts, player = [first], once
    for number in (2, 3, 4):
        parts.append(recorded(folder / f"again{number}", player, 20_000, LATER_EXPLORATION, random))
        player = learn(f"{number} times 20,000, each of what was learned before", *parts)
    return [*figures, figure("4 times 20,000, each of what was learned before", measure(player), before)]


def fine_tuned(folder: Path) -> list[Figure]:
    """The shipped policy after learning from 2,000 interactions of its own in games of one kind, beside before."""
    shipped = choose(DEFAULT)
    if shipped is None:
        raise UavTwinError("the shipped policy is not installed")
    random, figures = np.random.default_rng(SEED + 1), []
    for number, (name, games) in enumerate(TUNED.items()):
        data = recorded(folder / f"local{number}", ActorPlayer(shipped.actor), 2_000, TUNING_EXPLORATION, random, games)
        trainer = OfflineTrainer(data, OfflineSettings(), start=shipped)
        trainer.run()
        unseen = Games.draw(games, 256)
        after, before = (
            100.0 * score(unseen, ActorPlayer(policy.actor)).mean for policy in (trainer.policy(), shipped)
        )
        figures.append(figure(f"the shipped policy after 2,000 interactions, {name}", after, before))
    return figures


def recorded(
    folder: Path,
    player: Player,
    count: int,
    exploration: float,
    random: np.random.Generator,
    games: GameDistribution = STANDARD,
) -> Interactions:
    """Interactions of a way to price, by way of a recording."""
    say(f"{folder.name}: recording {count} interactions")
    recordings.write(folder, collect(player, count, exploration, games, random))
    return recordings.read([folder], say)


# -- while the system runs -------------------------------------------------------------------------------------------


def while_running(folder: Path, directory: Path | None) -> list[Figure]:
    """Exploitability of the running system: untrained, at the end, and with what its recording teaches."""
    bag, policy = folder / "running", folder / "learned.safetensors"
    say(f"the running system: {LEARNING_S:.0f} simulated seconds with a learner")
    learning = simulate("--train", "--record", str(bag), "--duration", str(LEARNING_S))
    curve = learning["exploitability_curve"]
    data = recordings.read([bag], say)
    new = data.version == 0
    if new.all():
        raise UavTwinError("the learner published nothing: the machine is too slow for this real-time factor")
    start = mean(curve[: max(round(len(curve) * float(new.mean()) / 2), 1)])
    say(f"learning from the {int(new.sum())} interactions before the first policy, and from all {len(data)}")
    figures = [figure("running system, exploration included, beside untrained", mean(curve[-LAST:]), start)]
    for name, part in (("before the first policy", data[new]), ("in all", data)):
        artifact.save(train_from_recordings(part, OfflineSettings(pruning=PRUNED).scaled(0.25)), policy)
        after = simulate("--policy", str(policy), "--duration", str(AFTERWARDS_S))
        figures.append(figure(f"from its {len(part)} interactions {name}", 100.0 * after["exploitability"], start))
    if directory:
        with open(directory / "learning.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, ["seconds", "exploitability"])
            writer.writeheader()
            writer.writerows(curve)
    return figures


def simulate(*options: str) -> dict[str, Any]:
    """One run's summary. Raises UavTwinError where it failed."""
    command = [sys.executable, "-m", "uav_twin_migration.cli", "sim", SCENARIO, "--no-twins", "--plain", "--json", "-"]
    command += ["--real-time-factor", str(REAL_TIME_FACTOR), "--seed", str(SEED), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise UavTwinError(f"the simulation failed: {done.stderr.strip().splitlines()[-1:]}")
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def mean(points: list[dict[str, float]]) -> float:
    """Of a part of a curve, %."""
    return 100.0 * float(np.mean([point["exploitability"] for point in points]))


def figure(name: str, value: float, baseline: float) -> Figure:
    """An exploitability beside another."""
    say(f"{name}: {value:.2f} %, beside {baseline:.2f} %")
    return Figure(f"{name}: exploitability", value, "%", baseline, baseline / value)


def say(what: str) -> None:
    """Progress."""
    print(f"  {what} ...", file=sys.stderr, flush=True)
