"""`uavtwin train --from-bag`: a policy from recordings alone."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import Any

import torch

from uav_twin_migration.cli.markets import write
from uav_twin_migration.cli.train import options_of
from uav_twin_migration.errors import InputError
from uav_twin_migration.learning import recordings
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, score
from uav_twin_migration.learning.games import GameDistribution
from uav_twin_migration.learning.networks import from_actor
from uav_twin_migration.learning.offline import OfflineSettings, OfflineTrainer
from uav_twin_migration.learning.pruning import PruningSettings
from uav_twin_migration.policy import artifact

DEFAULT_STEPS_S = 60.0  # CPU-seconds that the default numbers of steps take at most, also on a slow machine
REPORTS = 10  # progress lines in a run
ONLINE_ONLY = ("games", "ranges", "method", "hidden", "teacher", "tensorboard", "checkpoint", "resume")


def run(args: argparse.Namespace) -> int:
    """Reads, trains, prunes, measures, writes, tells."""
    torch.set_num_threads(1)  # the networks are small: more threads only cost CPU time
    options = options_of(args, None)
    for name in ONLINE_ONLY:
        if getattr(args, name) is not None:
            raise InputError("train", f"--{name}", getattr(args, name), "nothing with --from-bag")
    quiet = args.json == "-"
    data = recordings.read(args.from_bag, tell=lambda sentence: print(f"uavtwin train: {sentence}", file=sys.stderr))
    settings = OfflineSettings(
        seed=options["seed"], pruning=PruningSettings(options["prune"], every=OfflineSettings.pruning.every)
    ).scaled(options["budget_s"] / DEFAULT_STEPS_S)
    start = artifact.load(args.improve) if args.improve else None
    trainer = OfflineTrainer(data, settings, ", ".join(map(str, args.from_bag)), start)
    if not quiet:
        print(f"{len(data)} interactions")
    curve = [] if trainer.fits else _train(trainer, Games.draw(GameDistribution(), 128), quiet)
    policy = trainer.policy()
    network = from_actor(policy.actor)
    if start is not None and not quiet:
        print(f"{args.improve}: {_judged(trainer)}")
    final = score(Games.draw(GameDistribution(), 256), ActorPlayer(network.to_actor()))
    document: dict[str, Any] = {
        "interactions": len(data),
        "games": 0,
        "exploitability": final.mean,
        "exploitability_p95": final.p95,
        "neurons_removed": 1.0 - sum(network.hidden) / sum(settings.hidden),
        "parameters": network.parameter_count,
    }
    size = artifact.save(replace(policy, training={**policy.training, **document}), args.output)
    if args.json:
        error = None if trainer.fits else trainer.model_error()
        further = {"cpu_s": trainer.cpu_s, "curve": curve, "model_error": error, "seed": settings.seed}
        write(document | further | {"bytes": size}, args.json)
    if not quiet:
        print(
            f"{args.output}: {size} bytes, {network.parameter_count} parameters, exploitability "
            f"{100 * final.mean:.2f} % (p95 {100 * final.p95:.2f} %) after {trainer.cpu_s:.1f} CPU-seconds"
        )
    return 0


def _judged(trainer: OfflineTrainer) -> str:
    """What becomes of the policy that was to be improved, and why."""
    if trainer.fits:
        return f"it stays, for it was trained for {100 * (1.0 - trainer.beyond):.1f} % of what was recorded"
    mean, error = trainer.gain()
    kept = "what was learned replaces it" if trainer.better else "it stays"
    return f"{100 * mean:+.2f} % ({100 * error:.2f}) of the best profit, on held-out rounds: {kept}"


def _train(trainer: OfflineTrainer, games: Games, quiet: bool) -> list[dict[str, float]]:
    """Run to the end, with progress; returns the curve."""
    curve: list[dict[str, float]] = []
    every = max(trainer.settings.policy_steps // REPORTS, 1)

    def after(trainer: OfflineTrainer) -> None:
        improved = trainer.step - trainer.settings.model_steps
        if improved == 0 and not quiet:
            print(f"model of sales: off by {100 * trainer.model_error():.1f} % on held-out rounds", flush=True)
        if improved <= 0 or improved % every:
            return
        now = score(games, ActorPlayer(trainer.average.to_actor()))
        curve.append({"iteration": trainer.step, "cpu_s": trainer.cpu_s, "exploitability": now.mean, "p95": now.p95})
        if not quiet:
            print(
                f"{trainer.step:6d}/{trainer.steps}  {trainer.cpu_s:6.1f} CPU-s  exploitability "
                f"{100 * now.mean:6.2f} % (p95 {100 * now.p95:6.2f} %)  neurons "
                f"{'-'.join(map(str, trainer.average.hidden))}",
                flush=True,
            )

    trainer.run(after)
    return curve
