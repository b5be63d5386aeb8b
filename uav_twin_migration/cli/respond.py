"""The followers' answer to given prices: what each UAV buys where, and what that is worth to its users."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from uav_twin_migration.cli.markets import numbers, read, write
from uav_twin_migration.errors import InputError

if TYPE_CHECKING:
    from uav_twin_migration.game.market import FloatArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "markets",
        nargs="?",
        default="-",
        metavar="MARKET.json",
        help='a market with "prices", or a list of them; - for stdin',
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Reads, answers, tells."""
    documents, sources, many = read(args.markets)
    answers = [_answer(document, source) for document, source in zip(documents, sources, strict=True)]
    if args.json:
        write(answers if many else answers[0], args.json)
    if args.json != "-":
        for source, answer in zip(sources, answers, strict=True):
            print(_text(source, answer))
    return 0


def _answer(document: object, source: str) -> dict[str, FloatArray]:
    from uav_twin_migration.game import followers
    from uav_twin_migration.game.market import Market
    from uav_twin_migration.game.market import numbers as json_numbers

    market = Market.from_json(document, source)
    assert isinstance(document, Mapping)  # or from_json had raised
    if "prices" not in document:
        raise InputError(source, "prices", "nothing", "this key: one price per RSU, credit/MHz")
    prices = json_numbers(document["prices"], source, "prices", market.rsus, "unit_cost")
    for m, price in enumerate(prices):
        if not (price > 0.0 and math.isfinite(price)):
            raise InputError(source, f"prices[{m}]", float(price), "a finite number > 0")
    response = followers.respond(market, prices)
    return {
        "bandwidth": response.bandwidth,
        "rate": response.rate,
        "immersion": followers.immersion(response.rate, market.alpha, market.required_rate),
        "utilities": followers.utilities(market, prices, response.bandwidth),
        "price_index": response.price_index,
    }


def _text(source: str, answer: dict[str, FloatArray]) -> str:
    lines = [
        f"{source}:",
        "  UAV      rate  immersion   utility   bandwidth at each RSU",
        "        Mbit/s     credit    credit   MHz",
    ]
    rows = zip(answer["rate"], answer["immersion"], answer["utilities"], answer["bandwidth"], strict=True)
    for n, (rate, immersion, utility, bandwidth) in enumerate(rows):
        lines.append(f"  {n:3d}  {rate:8.4g}   {immersion:8.4g}  {utility:8.4g}   {numbers(bandwidth)}")
    return "\n".join(lines)
