"""Scenarios: makes one of a size, examines one, draws one."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from uav_twin_migration.cli.parser import number
from uav_twin_migration.errors import InputError
from uav_twin_migration.output import write_text

if TYPE_CHECKING:
    from uav_twin_migration.scenario.model import Scenario

SUFFIXES = (".yaml", ".yml", ".json")
PICTURES = (".png", ".svg", ".pdf")
MOST_RSUS, MOST_UAVS = 2_500, 100_000  # a city of 25 km, at 500 m from RSU to RSU


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin scenario`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    known = "scenario file or name (default, small, large)"
    check = verbs.add_parser("check", help="examine a scenario: what is refused, and what is hardly meant")
    check.add_argument("scenario", metavar="SCENARIO", help=known)
    check.add_argument(
        "--separation",
        type=number(0.0, 1e4, "metres from 0 to 10,000"),
        default=5.0,
        metavar="M",
        help="tell of UAVs that come closer, m (%(default)s)",
    )
    check.add_argument(
        "--duration",
        type=number(0.0, 1e5, "seconds from 0 to 100,000"),
        default=600.0,
        metavar="S",
        help="flight to look at for that, s (%(default)s)",
    )
    check.add_argument("--json", metavar="FILE", help="write what was found as JSON; - for stdout")
    new = verbs.add_parser("new", help="make a city up, of a size, from a seed")
    new.add_argument("--rsus", type=int, default=4, metavar="N", help="how many RSUs (%(default)s)")
    new.add_argument("--uavs", type=int, default=8, metavar="N", help="how many UAVs (%(default)s)")
    new.add_argument("--seed", type=int, default=1, metavar="N", help="of everything in it (%(default)s)")
    new.add_argument(
        "--neighbourhoods", action="store_true", help="a region of its own for each square of four RSUs or so"
    )
    new.add_argument("--name", default="", help="of the scenario (one that tells its size)")
    new.add_argument("-o", "--output", metavar="FILE", required=True, help="scenario to write: .yaml or .json")
    record = verbs.add_parser("record", help="have a scenario's UAVs fly recorded flights instead of their routes")
    record.add_argument("scenario", metavar="SCENARIO", help=known)
    record.add_argument("flights", metavar="FILE", nargs="+", help="with time stamps: .gpx, .kml, .kmz, .csv or .ulg")
    record.add_argument("-o", "--output", metavar="FILE", required=True, help="scenario to write: .yaml or .json")
    record.add_argument("--figure", metavar="FILE", help="draw hosting and migrations beside those of the routes")
    draw = verbs.add_parser("draw", help="draw a scenario as a map")
    draw.add_argument("scenario", metavar="SCENARIO", help=known)
    draw.add_argument("-o", "--output", metavar="FILE", required=True, help="picture to write: .png, .svg or .pdf")


def run(args: argparse.Namespace) -> int:
    """Returns the exit code: 0 also for a scenario that one is warned of."""
    return {"check": check, "new": new, "draw": draw, "record": record}[args.verb](args)


def check(args: argparse.Namespace) -> int:
    """Tell what a scenario holds, and what is hardly meant in it."""
    from uav_twin_migration.scenario.examine import warnings
    from uav_twin_migration.scenario.load import load

    scenario = load(args.scenario)
    found = warnings(scenario, args.separation, args.duration)
    if args.json:
        document = {**_counts(scenario), "warnings": found}
        text = json.dumps(document, indent=1) + "\n"
        sys.stdout.write(text) if args.json == "-" else write_text(args.json, text)
    if args.json != "-":
        print(f"{args.scenario}: {_in_words(scenario)}")
        for sentence in found:
            print(f"  warning: {sentence}")
        if not found:
            print("  nothing to warn of")
    return 0


def new(args: argparse.Namespace) -> int:
    """Make a city up and write it."""
    from uav_twin_migration.scenario.examine import separated
    from uav_twin_migration.scenario.generate import LAYER, generate
    from uav_twin_migration.scenario.load import dump_json, loads, save
    from uav_twin_migration.scenario.neighbourhoods import by_neighbourhood

    for option, most in (("rsus", MOST_RSUS), ("uavs", MOST_UAVS)):
        if not 1 <= getattr(args, option) <= most:
            raise InputError("options", f"--{option}", getattr(args, option), f"a number from 1 to {most}")
    _check_suffix(args.output, SUFFIXES)
    scenario = separated(generate(args.rsus, args.uavs, args.seed, args.name), LAYER)
    if args.neighbourhoods:
        scenario = by_neighbourhood(scenario)
    loads(dump_json(scenario), args.output)  # what we write is what `sim` will take
    save(scenario, args.output)
    print(f"{args.output}: {_in_words(scenario)}; seed {args.seed}")
    return 0


def record(args: argparse.Namespace) -> int:
    """Write the scenario whose UAVs fly pieces of recorded flights, moved over its RSUs."""
    from uav_twin_migration.cli.commands import FIGURES, require_studies
    from uav_twin_migration.scenario.load import load, save
    from uav_twin_migration.scenario.routes import UnreadableError
    from uav_twin_migration.scenario.tracks import read_track
    from uav_twin_migration.scenario.vary import recorded

    _check_suffix(args.output, SUFFIXES)
    if args.figure:
        _check_suffix(args.figure, PICTURES)
        require_studies(FIGURES)
    scenario = load(args.scenario)
    flights = []
    for name in args.flights:
        try:
            flights.append(read_track(Path(name), None, 0.0, flat=True))
        except UnreadableError as error:
            raise InputError(name, "flight", Path(name).name, str(error)) from None
    flown = recorded(scenario, flights)
    save(flown, args.output)
    print(f"{args.output}: {_in_words(flown)}, of {len(flights)} recorded flights")
    if args.figure:
        from uav_twin_migration.studies.figures.mobility import draw as draw_both

        for name, of in draw_both(scenario, flown, args.figure).items():
            print(
                f"  {name}: {of['speed_mean_m_per_s']:.1f} m/s on average, {of['migrations']:.0f} migrations of "
                f"{of['age_of_migration_mean_s']:.1f} s, a twin stays {of['hosting_median_s']:.0f} s with an RSU "
                f"(median), immersion {of['immersion_mean_credit']:.1f} credit"
            )
    return 0


def draw(args: argparse.Namespace) -> int:
    """Draw a scenario."""
    from uav_twin_migration.scenario.draw import draw_map

    _check_suffix(args.output, PICTURES)
    scenario = told_of("scenario", args.scenario)
    draw_map(scenario, args.output)
    print(f"{args.output}: {_in_words(scenario)}")
    return 0


def told_of(command: str, path_or_name: str) -> Scenario:
    """The scenario that a command is given, after a word on stderr about what is hardly meant in it."""
    from uav_twin_migration.scenario.examine import loaded

    return loaded(path_or_name, lambda sentence: print(f"uavtwin {command}: warning: {sentence}", file=sys.stderr))


def _check_suffix(path: str, suffixes: tuple[str, ...]) -> None:
    if Path(path).suffix not in suffixes:
        raise InputError("options", "--output", path, f"a file name that ends in {', '.join(suffixes)}")


def _counts(scenario: Scenario) -> dict[str, object]:
    counts = {"buildings": len(scenario.buildings), "rsus": len(scenario.rsus), "uavs": len(scenario.uavs)}
    return {"name": scenario.name, **counts}


def _in_words(scenario: Scenario) -> str:
    return f"{len(scenario.buildings)} buildings, {len(scenario.rsus)} RSUs, {len(scenario.uavs)} UAVs"
