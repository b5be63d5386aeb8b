"""A policy, or a pricing rule, against the equilibrium, on games that nobody trained on or on given markets.

Without --markets: 256 games of moving UAVs, by default of 4 RSUs and 16 UAVs with rho 0.7; measured are the last four
rounds. With --markets: each market held still; measured is the last round. Both begin with a round of random prices.
An RSU that sees what the policy was not trained for prices by the fallback rule, here as everywhere.
"""

from __future__ import annotations

import argparse
import math
from statistics import median
from typing import TYPE_CHECKING

from uav_twin_migration.cli.markets import numbers, write
from uav_twin_migration.errors import InputError
from uav_twin_migration.learning.choices import GAMES, TEST_SEED

if TYPE_CHECKING:
    from uav_twin_migration.game.market import FloatArray

COUNT = 256  # games, where none are given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "policy",
        metavar="POLICY",
        help="an artifact, as `uavtwin train` writes it; default, none, untrained; or a rule, as file.py:Class",
    )
    parser.add_argument("--markets", metavar="FILE", help="a market or a list of markets in JSON; - for stdin")
    parser.add_argument(
        "--games", choices=GAMES, default="standard", help="what to draw games from, as uavtwin train does"
    )
    parser.add_argument(
        "--ranges", metavar="NAME=LOW:HIGH", nargs="+", default=[], help="other ranges for them, as rho=0.8 or uavs=200"
    )
    parser.add_argument("--utility", default="", metavar="PLUGIN", help="what a rate is worth to UAVs")
    parser.add_argument("--radio", default="", metavar="PLUGIN", help="radio model of the games")
    parser.add_argument("--radio-map", default="", metavar="MAP", help="a traced city to play the games in")
    parser.add_argument("--rounds", type=int, default=15, metavar="R", help="that the policy prices (default: 15)")
    parser.add_argument("--seed", type=int, default=TEST_SEED, metavar="N", help="of games and first prices")
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Loads, plays, compares, tells."""
    import numpy as np

    from uav_twin_migration.game.files import read_markets
    from uav_twin_migration.learning import games
    from uav_twin_migration.learning.evaluation import on_markets, on_unseen
    from uav_twin_migration.learning.rules import PolicyPlayer, player_of
    from uav_twin_migration.plugins import check

    if args.rounds < 1:
        raise InputError("evaluate", "--rounds", args.rounds, "a number of rounds >= 1")
    if args.seed < 0:
        raise InputError("evaluate", "--seed", args.seed, "a number >= 0")
    check("utility", args.utility)
    player = player_of(args.policy)
    prices: list[FloatArray] = []
    if args.markets:
        markets = read_markets(args.markets)
        prices, found = on_markets(markets, player, args.rounds, args.seed, args.utility)
        where = f"{markets.count} markets of {args.markets}, after {args.rounds} rounds"
    else:
        wanted = [games.with_ranges(each, args.ranges, "evaluate") for each in games.GAMES[args.games]]
        drawn_from = [games.with_plugins(each, args.utility, args.radio, args.radio_map) for each in wanted]
        found = on_unseen(player, drawn_from, COUNT, args.rounds, args.seed)
        where = f"{COUNT} {args.games} games of moving UAVs" + "".join(f", {given}" for given in args.ranges)
    document: dict[str, object] = {
        "exploitability": {"mean": found.exploitability.mean(), "p95": np.percentile(found.exploitability, 95)},
        "price_gap": {"mean": _mean(found.price_gap), "median": _median(found.price_gap)},
        "seed": args.seed,
    }
    told = args.policy
    if isinstance(player, PolicyPlayer):
        actor = player.policy.actor
        told += f": {'-'.join(map(str, actor.sizes))}, {actor.parameters} parameters"
        document |= {
            "by_the_rule": player.ruled / player.decisions,
            "parameters": actor.parameters,
            "architecture": list(actor.sizes),
            "policy_version": player.policy.version,
        }
    if args.markets:
        document["prices"] = prices
    if args.json:
        write(document, args.json)
    if args.json != "-":
        print(f"{told}; {where}")
        print(_line("exploitability", found.exploitability, "p95", np.percentile(found.exploitability, 95)))
        print(_line("price gap", found.price_gap, "median", _median(found.price_gap)))
        if isinstance(player, PolicyPlayer) and player.ruled:
            print(
                f"  by the rule     {100 * player.ruled / player.decisions:.2f} % of the decisions: out of its ranges"
            )
        for row in prices:
            print(f"  prices          {numbers(row)}  credit/MHz")
    return 0


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _median(values: FloatArray) -> float:
    return float(median(values)) if len(values) else math.nan


def _line(name: str, values: FloatArray, other: str, value: float) -> str:
    return f"  {name:<15} mean {100 * _mean(values):.2f} %, {other} {100 * value:.2f} %"
