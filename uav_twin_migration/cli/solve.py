"""Equilibrium of one market or of many: prices at which no RSU gains by moving alone, proven.

Files: JSON (a market, a list of them, or one object of arrays with one axis more), JSON Lines, .npz, .parquet.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from uav_twin_migration.cli.markets import numbers
from uav_twin_migration.errors import InputError

if TYPE_CHECKING:
    from uav_twin_migration.game.equilibrium import Equilibrium
    from uav_twin_migration.game.files import Markets
    from uav_twin_migration.game.market import Market

PAIRS = 20_000  # from so many pairs of a UAV and an RSU on, one market is solved by its links
TOLD = 20  # of so many markets each is told to people; of more, how many are of which kind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "markets",
        nargs="?",
        default="-",
        metavar="MARKET.json",
        help="a market or many, also .jsonl, .npz, .parquet; - for stdin",
    )
    parser.add_argument("--scenario", metavar="FILE", help="take the market of a scenario (a file or a name) instead")
    parser.add_argument("--at", type=float, default=0.0, metavar="T", help="... at T seconds after its start")
    parser.add_argument(
        "--json", metavar="FILE", help="write the result, as JSON or as the name ends; - for JSON to stdout"
    )
    parser.add_argument(
        "--mixed",
        action="store_true",
        help="of many markets, too: mixed equilibria where there is no pure one (seconds each)",
    )
    parser.add_argument("--utility", metavar="PLUGIN", help="what a rate is worth to UAVs: measured, seconds a market")
    parser.add_argument("--threads", type=int, metavar="N", help="threads for long lists (default: one per CPU)")


def run(args: argparse.Namespace) -> int:
    """Reads, solves, tells."""
    # Before numpy is loaded: its BLAS would begin a thread a core for products that nobody asks for, .03 s.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()  # a million numbers in lists, none of them in a cycle: looking through them again and again doubles it
    try:
        return _solved(args)
    finally:
        gc.enable()


def _solved(args: argparse.Namespace) -> int:
    from uav_twin_migration.game.equilibrium import solve
    from uav_twin_migration.game.files import read_markets
    from uav_twin_migration.game.results import columns_of, write_found

    named = [args.utility or ""]
    if args.scenario:
        markets, theirs = _of_scenario(args.scenario, args.at)
        named = named if args.utility else theirs
    else:
        markets = read_markets(args.markets)
    plain = not any(named)
    if plain and (markets.large or (not markets.many and markets.groups[0].market.efficiency.size > PAIRS)):
        return _large(markets, args.json)
    further: dict[int, dict[str, Any]] = {}
    if not plain:
        from uav_twin_migration.game import numeric  # what plug-ins need takes a while to load
        from uav_twin_migration.game.utility import Utilities

        utilities = Utilities(named)
        found = [numeric.solve(group.market, utilities) for group in markets.groups]
    else:
        found = [solve(group.market, args.threads) for group in markets.groups]
        further = {} if markets.many and not args.mixed else _without(markets, found)
    if args.json:
        columns = [columns_of(group.market, result) for group, result in zip(markets.groups, found, strict=True)]
        write_found(
            columns[0] if len(columns) == 1 else {}, markets, _rows(markets, found, columns, further), args.json
        )
    if args.json != "-":
        print(_text(markets, found))
        for place, told in sorted(further.items()):
            print(_instead(markets.name(place), told))
    return 0


def _rows(
    markets: Markets, found: list[Equilibrium], columns: list[dict[str, Any]], further: dict[int, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """What is told of each market, in the order of the file; made where somebody asks for the first."""
    from uav_twin_migration.game.results import rows_of

    rows: list[Any] = [None] * markets.count
    for group, result, column in zip(markets.groups, found, columns, strict=True):
        for place, row in zip(group.places, rows_of(column, result), strict=True):
            rows[place] = row | further[place] if place in further else row
    yield from rows


def _without(markets: Markets, found: list[Equilibrium]) -> dict[int, dict[str, Any]]:
    """What is told instead, by place, of markets without a pure equilibrium."""
    from uav_twin_migration.game.results import instead

    return {
        place: instead(group.market[row])
        for group, result in zip(markets.groups, found, strict=True)
        for row, place in enumerate(group.places)
        if not result.found[row]
    }


def _instead(source: str, told: dict[str, Any]) -> str:
    lines = [f"{source}: instead of a pure equilibrium"]
    if told["mixed"]:
        mixed = told["mixed"]
        lines.append(f"  mixed, exploitability {mixed['exploitability']:.1e}: each RSU draws one of its prices")
        for m, (prices, chances) in enumerate(zip(mixed["prices"], mixed["probabilities"], strict=True)):
            drawn = ", ".join(f"{p:.4g} ({100 * c:.1f} %)" for p, c in zip(prices, chances, strict=True) if c > 5e-4)
            lines.append(f"    RSU {m}: {drawn} credit/MHz; earns {mixed['profits'][m]:.4g} credit on average")
    least, cycle = told["least_regret"], told["cycle"]
    lines.append(f"  least regret, {least['exploitability']:.1e}: {numbers(least['prices'])}  credit/MHz")
    ends = "and then again" if cycle["closed"] else "and so on"
    lines.append(f"  best replies in turn go through {len(cycle['path'])} prices, {ends}")
    return "\n".join(lines)


def _large(markets: Markets, path: str | None) -> int:
    """Solves one market by its links; tells RSU by RSU only as JSON."""
    import numpy as np

    from uav_twin_migration.game.large import solve_links
    from uav_twin_migration.game.links import LinkMarket
    from uav_twin_migration.game.results import row_of_links, write_found

    market = markets.large or LinkMarket.of_pairs(markets.groups[0].market[0])
    result = solve_links(market)
    if path:
        row = row_of_links(market, result)
        if not markets.large:  # as it came: pairs
            del row["links"]
            for key in ("bandwidth", "granted"):
                row[key] = None if row[key] is None else market.dense(row[key])
        write_found({}, markets, [row], path)
    if path != "-":
        size = f"{market.uavs} UAVs, {market.rsus} RSUs, {len(market.uav)} links, rho {market.rho:g}"
        print(f"{markets.source}: {result.status}, {size}")
        if result.found:
            same = "the same" if result.agrees else "different: these are from below"
            print(f"  no RSU gains more than {result.bound:.0e}; from below and from above {same}")
            for name, values, unit in (
                ("mark-ups", result.prices / market.unit_cost, "price over cost"),
                ("profits", result.profits, "credit"),
                ("utilities", result.utilities, "credit"),
            ):
                low, middle, high = np.quantile(values, [0.0, 0.5, 1.0])
                print(f"  {name:<15} {low:.4g} to {high:.4g}, median {middle:.4g}  {unit}")
    return 0


def _of_scenario(name: str, at: float) -> tuple[Markets, list[str]]:
    """Its market, and its UAVs' utilities."""
    from uav_twin_migration.cli.scenario import told_of
    from uav_twin_migration.game.files import Group, Markets
    from uav_twin_migration.scenario.snapshot import market_at

    if not 0.0 <= at < math.inf:
        raise InputError(name, "--at", at, "seconds >= 0 after the start")
    scenario = told_of("solve", name)
    market = market_at(scenario, at).flat()
    return Markets([Group(market, [0])], 1, f"{name} at {at:g} s", many=False), [uav.utility for uav in scenario.uavs]


def _text(markets: Markets, found: list[Equilibrium]) -> str:
    if markets.count <= TOLD:
        told = {}
        for group, result in zip(markets.groups, found, strict=True):
            for row, place in enumerate(group.places):
                told[place] = _told(markets.name(place), group.market[row], result[row])
        return "\n".join(told[place] for place in sorted(told))
    pure = sum(int(result.found.sum()) for result in found)
    met = sum(int(result.agrees.sum()) for result in found)
    return (
        f"{markets.source}: {markets.count} markets\n"
        f"  equilibrium           {pure}, {met} of them the same from below and from above\n"
        f"  no_pure_equilibrium   {markets.count - pure}"
    )


def _bound(bound: float) -> str:
    return (
        f"no RSU gains more than {bound:.0e}" if math.isfinite(bound) else "as far as found, UAVs' utilities being own"
    )


def _told(source: str, market: Market, result: Equilibrium) -> str:
    from uav_twin_migration.game.leaders import ration

    lines = [f"{source}: {result.status}, {market.uavs} UAVs, {market.rsus} RSUs, rho {float(market.rho):g}"]
    if result.found:
        lines += [
            f"  exploitability  {float(result.exploitability):.1e}, {_bound(float(result.bound))}; "
            "from below and from above " + ("the same" if result.agrees else "different: these are from below"),
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
