"""The followers' answer to given prices: what each UAV buys where, and what that is worth to its users."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from uav_twin_migration.cli.markets import numbers

if TYPE_CHECKING:
    from uav_twin_migration.game.files import Group, Markets
    from uav_twin_migration.game.utility import Utilities


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "markets",
        nargs="?",
        default="-",
        metavar="MARKET.json",
        help='a market with "prices", or many, also .jsonl, .npz, .parquet; - for stdin',
    )
    parser.add_argument("--utility", default="", metavar="PLUGIN", help="what a rate is worth to UAVs")
    parser.add_argument(
        "--json", metavar="FILE", help="write the result, as JSON or as the name ends; - for JSON to stdout"
    )


def run(args: argparse.Namespace) -> int:
    """Reads, answers, tells."""
    from uav_twin_migration.game.files import read_markets
    from uav_twin_migration.game.results import write_found
    from uav_twin_migration.game.utility import Utilities

    markets = read_markets(args.markets, prices=True)
    answers = [_answers(group, Utilities([args.utility])) for group in markets.groups]
    rows: list[Any] = [None] * markets.count
    for group, answer in zip(markets.groups, answers, strict=True):
        lists = zip(*(array.tolist() for array in answer.values()), strict=True)
        for place, row in zip(group.places, lists, strict=True):
            rows[place] = dict(zip(answer, row, strict=True))
    if args.json:
        write_found(answers[0] if len(answers) == 1 else {}, markets, rows, args.json)
    if args.json != "-":
        for place, row in enumerate(rows):
            print(_text(markets, place, row))
    return 0


def _answers(group: Group, utilities: Utilities) -> dict[str, Any]:
    market, prices = group.market, group.prices
    assert prices is not None  # or read_markets had raised
    response = utilities.respond(market, prices)
    return {
        "bandwidth": response.bandwidth,
        "rate": response.rate,
        "immersion": utilities.worth(market, response.rate),
        "utilities": utilities.utilities(market, prices, response.bandwidth),
        "price_index": response.price_index,
    }


def _text(markets: Markets, place: int, answer: dict[str, Any]) -> str:
    lines = [
        f"{markets.name(place)}:",
        "  UAV      rate  immersion   utility   bandwidth at each RSU",
        "        Mbit/s     credit    credit   MHz",
    ]
    rows = zip(answer["rate"], answer["immersion"], answer["utilities"], answer["bandwidth"], strict=True)
    for n, (rate, immersion, utility, bandwidth) in enumerate(rows):
        lines.append(f"  {n:3d}  {rate:8.4g}   {immersion:8.4g}  {utility:8.4g}   {numbers(bandwidth)}")
    return "\n".join(lines)
