"""`uavtwin train`: a policy from games that are drawn and played, pruned while it learns."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from uav_twin_migration.cli.markets import write
from uav_twin_migration.cli.train import options_of
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.learning import actor_critic, mappo
from uav_twin_migration.learning.actor_critic import ActorCritic
from uav_twin_migration.learning.distillation import DistillationSettings, distil
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, score
from uav_twin_migration.learning.games import GAMES, GameDistribution, different, with_plugins, with_ranges
from uav_twin_migration.learning.mappo import Mappo
from uav_twin_migration.learning.networks import TORCH, Perceptron, from_actor
from uav_twin_migration.learning.pruning import PruningSettings
from uav_twin_migration.learning.training import Point, Settings, Trainer, measure
from uav_twin_migration.policy import artifact
from uav_twin_migration.policy.artifact import Policy

ITERATIONS_PER_SECOND = {"standard": 10.0, "mixed": 7.0, "wide": 7.0}  # of CPU: of dense networks on a busy machine
# Where games differ, a step is to look at several kinds.
MANY_SIZES: dict[str, Any] = {"minibatch": 512, "parts": 4, "memory": 64}
STRANGE = {"standard": 0.0, "mixed": 0.0, "wide": 0.08}  # share of games with RSUs that follow no policy
CHEAPER = 0.4  # how many more the pruned ones train, all neurons removed
METHODS: dict[str, tuple[type[Settings], type[Trainer]]] = {
    "actor-critic": (actor_critic.Settings, ActorCritic),
    "mappo": (mappo.Settings, Mappo),
}
LAST_STEP = 0.15  # of the budget, where there is a teacher
DISTILLATIONS_PER_SECOND = 20
EXPLORATION = 0.1  # standard deviation of the action with which an RSU should explore that wants to
FEW = 8  # games to measure on where UAVs have a utility of their own
REPORTS = 20  # progress lines in a run


def run(args: argparse.Namespace) -> int:
    """Trains, prunes, finishes, measures, writes, tells."""
    torch.set_num_threads(1)  # the networks are small: more threads only cost CPU time
    saved = _load(args.resume) if args.resume else None
    options = options_of(args, saved)
    teacher = _teacher(options["teacher"])
    settings, last_step = _settings(options, teacher is not None)
    method = METHODS[options["method"]][1]
    trainer = method.restore(settings, saved["trainer"]) if saved else method(settings)
    checkpoint: Path | None = args.checkpoint or args.resume
    quiet = args.json == "-"
    with _writer(args.tensorboard) as writer, _saving(trainer, options, checkpoint):
        measured_on = with_plugins(GameDistribution(), options["utility"], options["radio"], options["radio_map"])
        games = Games.draw(measured_on, FEW if options["utility"] else 128)
        cut = _train(trainer, games, options["budget_s"], writer, quiet, lambda: _save(trainer, options, checkpoint))
    network = trainer.average
    began = time.process_time()
    if teacher is not None:
        network = distil(teacher, network, settings.distribution, last_step)
    cpu_s = trainer.cpu_s + time.process_time() - began
    final = score(Games.draw(measured_on, FEW if options["utility"] else 256), ActorPlayer(network.to_actor()))
    document = {
        "cpu_s": cpu_s,
        "games": trainer.games,
        "iterations": trainer.iteration,
        "curve": [point._asdict() for point in trainer.curve],
        "exploitability": final.mean,
        "exploitability_p95": final.p95,
        "neurons_removed": 1.0 - sum(network.hidden) / sum(settings.hidden),
        "hidden": {"before": settings.hidden, "after": network.hidden},
        "parameters": network.parameter_count,
        "seed": settings.seed,
        "cut_short": cut,
    }
    told = {"cpu_s", "curve"}  # of what differs between two runs with the same options, the artifact says nothing
    training: dict[str, Any] = {"options": options} | {
        name: value for name, value in document.items() if name not in told
    }
    training["drawn_from"] = [different(distribution) for distribution in dict.fromkeys(settings.distribution)]
    policy = Policy(network.to_actor(), exploration=EXPLORATION, training=training, ranges=trainer.ranges())
    size = artifact.save(policy, args.output)
    if args.json:
        write(document | {"bytes": size}, args.json)
    if not quiet:
        print(
            f"{args.output}: {size} bytes, {network.parameter_count} parameters, exploitability "
            f"{100 * final.mean:.2f} % (p95 {100 * final.p95:.2f} %) after {cpu_s:.1f} CPU-seconds"
        )
    return 0


def _train(trainer: Trainer, games: Games, budget: float, writer: Any, quiet: bool, save: Any) -> bool:
    """Run to the end, with progress; returns whether the budget was spent before."""
    every = max(trainer.settings.iterations // REPORTS, 1)

    def after(trainer: Trainer) -> None:
        if writer:
            _log(writer, trainer)
        if trainer.iteration % every == 0 or trainer.iteration == trainer.settings.iterations:
            point = measure(trainer, games)
            if writer:
                writer.add_scalar("exploitability/mean", point.exploitability, trainer.iteration)
                writer.add_scalar("exploitability/p95", point.p95, trainer.iteration)
            if not quiet:
                print(_line(trainer, point), flush=True)
            save()

    while trainer.progress < 1.0 and trainer.cpu_s < budget:
        trainer.run(1, after)
    if trainer.progress == 1.0:
        return False
    trainer.finish()
    if not quiet:
        done, wanted = trainer.iteration, trainer.settings.iterations
        print(f"the budget is spent after {done} of {wanted} iterations: a slow or busy machine", flush=True)
    return True


def _line(trainer: Trainer, point: Point) -> str:
    neurons = "-".join(map(str, trainer.actor.hidden))
    return (
        f"{point.iteration:6d}/{trainer.settings.iterations}  {point.cpu_s:6.1f} CPU-s  {point.games:7d} games  "
        f"exploitability {100 * point.exploitability:6.2f} % (p95 {100 * point.p95:6.2f} %)  neurons {neurons}"
    )


def _log(writer: Any, trainer: Trainer) -> None:
    for name, value in trainer.losses.items():
        writer.add_scalar(f"training/{name}", value, trainer.iteration)
    writer.add_scalar("training/exploration", trainer.exploration, trainer.iteration)
    writer.add_scalar("training/cpu_s", trainer.cpu_s, trainer.iteration)
    writer.add_scalar("neurons/actor", sum(trainer.actor.hidden), trainer.iteration)
    if isinstance(trainer, Mappo):
        writer.add_scalar("neurons/critic", sum(trainer.critic.hidden), trainer.iteration)


def _settings(options: dict[str, Any], teacher: bool) -> tuple[Settings, DistillationSettings]:
    budget, last = options["budget_s"], LAST_STEP * options["budget_s"] if teacher else 0.0
    rate = ITERATIONS_PER_SECOND[options["games"]] * (1.0 + CHEAPER * options["prune"])
    several = MANY_SIZES if options["method"] == "actor-critic" and options["games"] != "standard" else {}
    settings = METHODS[options["method"]][0](
        iterations=max(round((budget - last) * rate), 1),
        seed=options["seed"],
        distribution=tuple(
            with_plugins(
                with_ranges(each, options["ranges"], "train"),
                options["utility"],
                options["radio"],
                options["radio_map"],
            )
            for each in GAMES[options["games"]]
        ),
        pruning=PruningSettings(options["prune"]),
        strange=STRANGE[options["games"]],
        hidden=tuple(options["hidden"]),
        **several,
    )
    return settings, DistillationSettings(round(last * DISTILLATIONS_PER_SECOND), options["seed"])


def _teacher(path: str | None) -> Perceptron | None:
    return from_actor(artifact.load(path).actor) if path else None


# -- checkpoints -----------------------------------------------------------------------------------------------------


def _load(path: Path) -> dict[str, Any]:
    """A saved run: plain data and tensors, loading it executes nothing. Raises InputError where it is none."""
    try:
        saved = torch.load(path, weights_only=True)
    except OSError as error:
        raise InputError(str(path), "file", error.strerror or str(error), "a readable checkpoint") from None
    except Exception:  # torch raises whatever the damage leads to
        older = "" if TORCH >= (2, 4) else f", and torch 2.4 or newer to read it; this is {torch.__version__}"
        raise InputError(str(path), "content", "no checkpoint", f"a file that --checkpoint wrote{older}") from None
    if not isinstance(saved, dict) or saved.keys() != {"options", "trainer"}:
        raise InputError(str(path), "content", "no checkpoint", "a file that --checkpoint wrote")
    return saved


def _save(trainer: Trainer, options: dict[str, Any], path: Path | None) -> None:
    if path is None:
        return
    partial = path.with_name(path.name + ".part")
    try:
        torch.save({"options": options, "trainer": trainer.checkpoint()}, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        raise UavTwinError(f"{path}: cannot be written: {error}") from None


@contextmanager
def _saving(trainer: Trainer, options: dict[str, Any], path: Path | None) -> Iterator[None]:
    """Saves the run when it is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        _save(trainer, options, path)
        if path is not None:
            print(f"\ninterrupted after {trainer.iteration} iterations; go on with --resume {path}")
        raise


@contextmanager
def _writer(directory: str | None) -> Iterator[Any]:
    """A TensorBoard writer, or None."""
    if directory is None:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(directory) as writer:
        yield writer
