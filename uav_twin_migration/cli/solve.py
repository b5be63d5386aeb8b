"""Equilibrium of one market or a list of markets: prices at which no RSU gains by moving alone, verified globally."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from uav_twin_migration.cli.markets import by_size, numbers, read, write
from uav_twin_migration.errors import InputError

if TYPE_CHECKING:
    from uav_twin_migration.game.equilibrium import Equilibrium
    from uav_twin_migration.game.market import Market


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "markets", nargs="?", default="-", metavar="MARKET.json", help="a market or a list of markets; - for stdin"
    )
    parser.add_argument("--scenario", metavar="FILE", help="take the market of a scenario (a file or a name) instead")
    parser.add_argument("--at", type=float, default=0.0, metavar="T", help="... at T seconds after its start")
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; - for stdout")
    parser.add_argument("--threads", type=int, metavar="N", help="threads for long lists (default: one per CPU)")


def run(args: argparse.Namespace) -> int:
    """Reads, solves, tells."""
    from uav_twin_migration.cli.scenario import told_of
    from uav_twin_migration.game.equilibrium import solve
    from uav_twin_migration.game.market import Market, stack
    from uav_twin_migration.scenario.snapshot import market_at

    if args.scenario:
        if not 0.0 <= args.at < math.inf:
            raise InputError(args.scenario, "--at", args.at, "seconds >= 0 after the start")
        markets, sources, many = (
            [market_at(told_of("solve", args.scenario), args.at)],
            [f"{args.scenario} at {args.at:g} s"],
            False,
        )
    else:
        documents, sources, many = read(args.markets)
        markets = [Market.from_json(document, source) for document, source in zip(documents, sources, strict=True)]
    results: list[Any] = [None] * len(markets)
    for group in by_size(markets):
        batch = stack([markets[i] for i in group])
        equilibria = solve(batch, args.threads)
        for row, i in enumerate(group):
            results[i] = equilibria[row]
    if args.json:
        told = [_document(market, result) for market, result in zip(markets, results, strict=True)]
        write(told if many else told[0], args.json)
    if args.json != "-":
        for source, market, result in zip(sources, markets, results, strict=True):
            print(_text(source, market, result))
    return 0


def _document(market: Market, result: Equilibrium) -> dict[str, object]:
    from uav_twin_migration.game.leaders import ration

    document: dict[str, object] = {"status": str(result.status)}
    if result.found:
        return document | {
            "prices": result.prices,
            "bandwidth": result.bandwidth,
            "granted": ration(market, result.bandwidth),
            "profits": result.profits,
            "utilities": result.utilities,
            "exploitability": float(result.exploitability),
            "agrees_from_above_and_below": bool(result.agrees),
            "prices_from_above": result.from_above if result.found and not result.agrees else result.prices,
            "cycle": None,
        }
    none = ("prices", "bandwidth", "granted", "profits", "utilities", "exploitability")
    low, high = result.cycle
    return document | {
        **dict.fromkeys(none),
        "agrees_from_above_and_below": False,
        "prices_from_above": None,
        "cycle": {"lowest": low, "highest": high},
    }


def _text(source: str, market: Market, result: Equilibrium) -> str:
    from uav_twin_migration.game.leaders import ration

    lines = [f"{source}: {result.status}, {market.uavs} UAVs, {market.rsus} RSUs, rho {float(market.rho):g}"]
    if result.found:
        lines += [
            f"  exploitability  {float(result.exploitability):.1e}, from below and from above "
            + ("the same" if result.agrees else "different: these are from below"),
            f"  prices          {numbers(result.prices)}  credit/MHz",
            f"  sold            {numbers(ration(market, result.bandwidth).sum(axis=-2))}  MHz",
            f"  profits         {numbers(result.profits)}  credit",
            f"  utilities       {numbers(result.utilities)}  credit",
        ]
    else:
        low, high = result.cycle
        lines += [
            "  none found: best replies, one after the other, go round between",
            f"  lowest prices   {numbers(low)}  credit/MHz",
            f"  highest prices  {numbers(high)}  credit/MHz",
        ]
    return "\n".join(lines)
