"""Two runs or policies side by side, and who is better off with which: users, RSUs, both.

Each is a summary (of `uavtwin sim --json`), a recording or a policy; both are of one kind, or summary and recording.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from uav_twin_migration.cli.evaluate import COUNT
from uav_twin_migration.errors import InputError

POLICY = ".safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin compare`."""
    parser.add_argument("a", metavar="A", type=Path, help="a summary, a recording or a policy")
    parser.add_argument("b", metavar="B", type=Path, help="another")
    parser.add_argument("--scenario", default="", metavar="S", help="where recordings were made, if they do not say")
    parser.add_argument("--json", metavar="FILE", help="write the comparison as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    from uav_twin_migration.cli.markets import write
    from uav_twin_migration.cli.view import labels
    from uav_twin_migration.monitor.compare import differences, verdict

    if (args.a.suffix == POLICY) != (args.b.suffix == POLICY):
        raise InputError("command line", "A and B", f"{args.a.name} and {args.b.name}", "two policies, or two runs")
    found = differences(summary_of(args.a, args.scenario), summary_of(args.b, args.scenario))
    if not found:
        raise InputError(
            str(args.b), "summary", "nothing that the other has, too", "numbers as `uavtwin sim` tells them"
        )
    a, b = labels([args.a, args.b])
    sentence = verdict(found, a, b)
    if args.json:
        document = {"a": a, "b": b, "verdict": sentence, "differences": [one.to_json() for one in found]}
        write(document, args.json)
    if args.json != "-":
        from rich.console import Console
        from rich.table import Table

        table = Table("", a, b, "better", show_edge=False)
        for one in found:
            table.add_row(*one.cells(a, b))
        console = Console(highlight=False, markup=False)
        console.print(table)
        console.print(sentence)
    return 0


def summary_of(source: Path, scenario: str) -> dict[str, Any]:
    """The numbers of a run or a policy. Raises InputError where there is none."""
    if source.suffix == POLICY:
        return policy_summary(source)
    if source.is_dir() or source.suffix == ".mcap":
        from uav_twin_migration.monitor.replay import replay
        from uav_twin_migration.monitor.sources import scenario_of

        world, about = scenario_of(source, scenario)
        return replay(source, world, about).summary
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(source), "file", error.strerror, "a summary, a recording or a policy") from None
    except ValueError:
        raise InputError(str(source), "file", "no JSON", "a summary, a recording or a policy") from None
    if not isinstance(document, dict):
        raise InputError(str(source), "summary", document, "an object, as `uavtwin sim --json` writes it")
    return document


def policy_summary(source: Path) -> dict[str, Any]:
    """What a policy does on the games that `uavtwin evaluate` plays, for users and RSUs, too."""
    from uav_twin_migration.game.followers import immersion, respond, utilities
    from uav_twin_migration.game.leaders import profits
    from uav_twin_migration.learning.environment import flatten
    from uav_twin_migration.learning.evaluation import SETTLED, ActorPlayer, Games, compare, play
    from uav_twin_migration.learning.games import GameDistribution
    from uav_twin_migration.policy import artifact

    policy = artifact.load(source)
    drawn = Games.draw(GameDistribution(), COUNT)
    posted = play(drawn, ActorPlayer(policy.actor))[-SETTLED:]
    prices, market = posted.reshape(-1, posted.shape[-1]), flatten(drawn.last(SETTLED))
    answer, measured = respond(market, prices), compare(market, prices)
    return {
        "mean_immersion": float(immersion(answer.rate, market.alpha, market.required_rate).mean()),
        "mean_utility": float(utilities(market, prices, answer.bandwidth).mean()),
        "mean_profit": float(profits(market, prices).mean()),
        "exploitability": float(measured.exploitability.mean()),
        "price_gap_to_equilibrium": float(measured.price_gap.mean()) if len(measured.price_gap) else None,
        "parameters": policy.actor.parameters,
    }
