"""Traces a city's radio map with Sionna RT: the path loss from every RSU, at several heights, by rays.

Then `radio: {map: FILE}` in the scenario has link quality read from it, in place of 3GPP's formulas. docs/radio.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uav_twin_migration.cli.commands import FIGURES, require_studies
from uav_twin_migration.cli.parser import number
from uav_twin_migration.errors import InputError
from uav_twin_migration.output import write_text

if TYPE_CHECKING:
    from uav_twin_migration.radio.radio_map import RadioMap

PATTERNS = ("isotropic", "dipole", "half_wave_dipole", "sector")
HEIGHT = number(0.1, 1000.0, "metres from 0.1 to 1,000")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("scenario", metavar="SCENARIO", help="scenario file or name (default, small, large)")
    parser.add_argument("-o", "--output", metavar="MAP", required=True, help="radio map to write")
    parser.add_argument(
        "--heights", metavar="M", nargs="+", type=HEIGHT, help="above ground, m (10, 40, and around the UAVs' own)"
    )
    parser.add_argument(
        "--cell", type=number(1.0, 1000.0, "metres from 1 to 1,000"), default=10.0, metavar="M", help="m (%(default)s)"
    )
    parser.add_argument("--depth", type=int, default=3, metavar="N", help="bounces of a path at most (%(default)s)")
    parser.add_argument("--rays", type=int, default=4_000_000, metavar="N", help="from each antenna (%(default)s)")
    parser.add_argument("--no-diffraction", action="store_true", help="no rays bent at edges: nearly twice as quick")
    parser.add_argument("--antenna", choices=PATTERNS, default="isotropic", help="of all RSUs (%(default)s)")
    degrees = number(-360.0, 360.0, "degrees")
    parser.add_argument(
        "--azimuth", type=degrees, default=0.0, metavar="DEG", help="of a sector, clockwise from north (%(default)s)"
    )
    parser.add_argument(
        "--downtilt",
        type=degrees,
        default=0.0,
        metavar="DEG",
        help="below the horizon, < 0 for above (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the rays (%(default)s)")
    parser.add_argument(
        "--figure", metavar="FILE", help="draw it beside 3GPP's model, with prices and migrations: .png, .svg or .pdf"
    )
    parser.add_argument("--json", metavar="FILE", help="write the comparison with 3GPP's model as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Trace, write, and tell how it differs from 3GPP's model."""
    from uav_twin_migration.cli.scenario import told_of
    from uav_twin_migration.radio.comparison import compared
    from uav_twin_migration.radio.radio_map import save
    from uav_twin_migration.radio.ray_tracing import trace

    _check(args)
    if args.figure:
        require_studies(FIGURES)
    scenario = told_of("radiomap", args.scenario)
    began = time.monotonic()
    found = trace(scenario, _tracing(args), lambda what: print(f"tracing {what} ...", file=sys.stderr, flush=True))
    took = time.monotonic() - began
    size = save(found, args.output)
    differences = compared(scenario, found)
    document = {"bytes": size, "bytes_per_km2": size / _area(found), "seconds": took, **differences}
    if args.figure:
        from uav_twin_migration.studies.figures.radio import draw

        document["market"] = draw(scenario, args.output, args.figure)
    if args.json:
        text = json.dumps(document, indent=1) + "\n"
        sys.stdout.write(text) if args.json == "-" else write_text(args.json, text)
    if args.json != "-":
        print(_described(args.output, found, document))
    return 0


def _check(args: argparse.Namespace) -> None:
    for option, low, high in (("depth", 0, 20), ("rays", 1_000, 1_000_000_000), ("seed", 0, 2**31)):
        if not low <= getattr(args, option) <= high:
            raise InputError("options", f"--{option}", getattr(args, option), f"a number from {low:,} to {high:,}")
    if args.figure and Path(args.figure).suffix not in (".png", ".svg", ".pdf"):
        raise InputError("options", "--figure", args.figure, "a file name that ends in .png, .svg or .pdf")
    for option in ("output", "figure", "json"):
        path = getattr(args, option)
        if path and not Path(path).parent.is_dir():
            raise InputError("options", f"--{option}", path, "a file in a folder that exists")


def _tracing(args: argparse.Namespace) -> Any:
    from uav_twin_migration.radio.ray_tracing import Tracing

    return Tracing(
        heights=tuple(sorted(set(args.heights or ()))),
        cell=args.cell,
        depth=args.depth,
        samples=args.rays,
        diffraction=not args.no_diffraction,
        antenna=args.antenna,
        azimuth=args.azimuth,
        downtilt=args.downtilt,
        seed=args.seed,
    )


def _area(found: RadioMap) -> float:
    rows, columns = found.codes.shape[2:]
    return float(rows * columns * found.cell**2 / 1e6)


def _described(path: str, found: RadioMap, document: dict[str, Any]) -> str:
    heights = ", ".join(f"{height:g}" for height in found.heights)
    lines = [
        f"{path}: {len(found.rsus)} RSUs, {_area(found):.2f} km2 in cells of {found.cell:g} m, at {heights} m; "
        f"{document['bytes'] / 1e3:.0f} kB, {document['seconds']:.0f} s",
    ]
    for name, of in document["differences"].items():
        lines.append(
            f"  {name}: {of['places']} places, loss {of['mean_db']:+.1f} dB on 3GPP's on average, "
            f"5 to 95 % of them {of['p5_db']:+.1f} to {of['p95_db']:+.1f} dB; {of['without_path']:.1%} without a path"
        )
    for name, of in document.get("market", {}).items():
        lines.append(
            f"  {name}: prices {of['price_mean_credit_per_MHz']:.2f} credit/MHz, immersion "
            f"{of['immersion_mean_credit']:.1f} credit, {of['migrations']:.0f} migrations of "
            f"{of['age_of_migration_mean_s']:.1f} s"
        )
    lines.append(f"  take it up in the scenario: radio: {{map: {Path(path).name}}}")
    return "\n".join(lines)
