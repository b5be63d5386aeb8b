"""Trains a pricing policy on random markets, prunes it while training, and writes it as an artifact.

The same options give the same policy, to the last bit, on the same machine: the budget of CPU time is turned into a
number of iterations beforehand. On a machine too slow for that many the run is cut short when the budget is spent, and
says so.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from uav_twin_migration.errors import InputError
from uav_twin_migration.learning.choices import GAMES, METHODS

DEFAULTS: dict[str, Any] = {
    "seed": 0,
    "budget_s": 60.0,
    "prune": 0.0,
    "method": "actor-critic",
    "games": "wide",
    "ranges": [],
    "hidden": [128, 128],
    "utility": "",
    "radio": "",
    "radio_map": "",
    "teacher": None,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--seed", type=int, metavar="N", help="of everything random (default: 0)")
    parser.add_argument("--budget-s", type=float, metavar="S", help="CPU time to train, s (default: 60)")
    parser.add_argument("--prune", type=float, metavar="F", help="share of the hidden neurons to remove (default: 0)")
    parser.add_argument(
        "--games",
        choices=GAMES,
        help="wide: all that an RSU may meet (default); mixed: 1-8 RSUs, 4-64 UAVs; standard: 4 RSUs, 16 UAVs, rho 0.7",
    )
    parser.add_argument(
        "--ranges", metavar="NAME=LOW:HIGH", nargs="+", help="other ranges for the games, as rho=0.2:0.8 or rsus=2:6"
    )
    parser.add_argument("--method", choices=METHODS, help="actor-critic: exact critic (default); mappo: learned critic")
    parser.add_argument(
        "--hidden", metavar="N", nargs="+", type=int, help="neurons of each hidden layer, before pruning: 128 128"
    )
    parser.add_argument("--utility", metavar="PLUGIN", help="what a rate is worth to UAVs; with --method mappo")
    parser.add_argument("--radio", metavar="PLUGIN", help="radio model of the games")
    parser.add_argument("--radio-map", metavar="MAP", help="a traced city to play the games in; docs/radio.md")
    parser.add_argument("--teacher", metavar="POLICY", help="a larger policy to learn from in a last step")
    parser.add_argument(
        "--improve", metavar="POLICY", help="with --from-bag: a policy to start from, kept unless beaten"
    )
    parser.add_argument(
        "--from-bag", metavar="DIR", nargs="+", type=Path, help="learn from recorded interactions alone, play no games"
    )
    parser.add_argument("-o", "--output", metavar="POLICY", type=Path, required=True, help="the artifact to write")
    parser.add_argument("--json", metavar="FILE", help="write the run's figures as JSON; - for stdout")
    parser.add_argument("--tensorboard", metavar="DIR", help="write curves for TensorBoard")
    parser.add_argument("--checkpoint", metavar="FILE", type=Path, help="save the run there, also on Ctrl-C")
    parser.add_argument("--resume", metavar="CHECKPOINT", type=Path, help="go on with a saved run, with its options")


def run(args: argparse.Namespace) -> int:
    """Trains, prunes, finishes, measures, writes, tells."""
    _check_output(args.output)
    if args.from_bag:
        from uav_twin_migration.cli import train_offline

        return train_offline.run(args)
    if args.improve:
        raise InputError("train", "--improve", args.improve, "--from-bag beside it")
    from uav_twin_migration.cli import train_simulated

    return train_simulated.run(args)


def options_of(args: argparse.Namespace, saved: dict[str, Any] | None) -> dict[str, Any]:
    """What shapes the run: the options given, else those of the checkpoint, else the defaults."""
    begun = DEFAULTS | saved["options"] if saved else DEFAULTS
    options = {name: begun[name] if getattr(args, name) is None else getattr(args, name) for name in DEFAULTS}
    changed = [name for name in DEFAULTS if saved and options[name] != begun[name]]
    if changed:
        name = changed[0]
        raise InputError(str(args.resume), _named(name), options[name], f"{begun[name]!r}, as the run began")
    for name, good, expected in (
        ("seed", options["seed"] >= 0, "a number >= 0"),
        ("budget_s", 0.0 < options["budget_s"] < float("inf"), "CPU-seconds > 0"),
        ("prune", 0.0 <= options["prune"] < 1.0, "a share in [0, 1)"),
        ("utility", not options["utility"] or options["method"] == "mappo", "--method mappo beside it"),
        ("hidden", all(0 < n <= 4096 for n in options["hidden"]), "numbers of neurons from 1 to 4096"),
    ):
        if not good:
            raise InputError("train", _named(name), options[name], expected)
    return options


def _named(name: str) -> str:
    return "--" + name.replace("_", "-")


def _check_output(path: Path) -> None:
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise InputError("train", "-o", str(path), "a file in a folder that exists")
