"""A scenario of a real city: building footprints, and streets if there are, become prisms, RSUs and UAVs' routes.

Reads what people have: GeoJSON, GeoPackage, shapefiles, .osm.pbf, GeoParquet, CityJSON and whatever else GDAL reads,
zipped or not, in any projection. Heights come from `height`, else from `building:levels` (3 m each), else from
--default-height.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from uav_twin_migration.errors import InputError
from uav_twin_migration.output import write_text
from uav_twin_migration.scenario.model import Origin
from uav_twin_migration.scenario.wishes import Wishes

if TYPE_CHECKING:
    from uav_twin_migration.scenario.city import City

DEFAULTS = Wishes()
PICTURES = (".png", ".svg", ".pdf")
SUFFIXES = (".yaml", ".yml", ".json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `uavtwin city`."""
    parser.add_argument("footprints", metavar="FOOTPRINTS", help="file of building footprints")
    parser.add_argument("--streets", metavar="FILE", help="file of street lines; may be that of the footprints")
    parser.add_argument("-o", "--output", metavar="SCENARIO", required=True, help="scenario to write: .yaml or .json")
    parser.add_argument("--map", metavar="PNG", help="draw the scenario, too")
    parser.add_argument("--rsus", type=int, default=DEFAULTS.rsus, help="how many RSUs (%(default)s)")
    parser.add_argument("--uavs", type=int, default=DEFAULTS.uavs, help="how many UAVs (%(default)s)")
    parser.add_argument("--seed", type=int, default=DEFAULTS.seed, help="of routes and private values (%(default)s)")
    parser.add_argument("--name", default="", help="of the scenario (that of the file)")
    parser.add_argument("--range", type=float, default=DEFAULTS.range, metavar="M", help="of the RSUs, m (%(default)s)")
    parser.add_argument(
        "--default-height",
        type=float,
        default=DEFAULTS.default_height,
        metavar="M",
        help="of buildings that do not tell theirs, m (%(default)s)",
    )
    parser.add_argument(
        "--radius",
        type=float,
        default=DEFAULTS.radius,
        metavar="M",
        help="leave out what is farther from the centre, m (%(default)s)",
    )
    parser.add_argument(
        "--center", metavar="LAT,LON", help="of the map, degrees (the median of the buildings' positions)"
    )
    parser.add_argument("--layer", help="of the footprints (one named like buildings, else the first with polygons)")
    parser.add_argument(
        "--street-layer", help="of the streets (one named like streets or roads, else the first with lines)"
    )
    parser.add_argument("--crs", metavar="EPSG:N", help="projection of files that do not name theirs")
    parser.add_argument("--json", metavar="FILE", help="write the summary as JSON; - for standard output")


def run(args: argparse.Namespace) -> int:
    """Import the city, write the scenario, tell what became of it."""
    _check(args)
    city = _imported(args)
    if args.json != "-":
        print(described(city, args))
    if args.json:
        text = json.dumps(summary(city, args.seed), indent=2) + "\n"
        sys.stdout.write(text) if args.json == "-" else write_text(args.json, text)
    return 0


def _imported(args: argparse.Namespace) -> City:
    from uav_twin_migration.scenario.city import import_city
    from uav_twin_migration.scenario.draw import draw_map
    from uav_twin_migration.scenario.load import dump_json, loads, save

    wishes = Wishes(
        name=args.name,
        rsus=args.rsus,
        uavs=args.uavs,
        seed=args.seed,
        range=args.range,
        default_height=args.default_height,
        centre=_centre(args.center),
        radius=args.radius,
        layer=args.layer,
        street_layer=args.street_layer,
        crs=args.crs,
    )
    city = import_city(args.footprints, args.streets, wishes, progress=lambda what: print(what, "...", file=sys.stderr))
    loads(dump_json(city.scenario), args.output)  # what we write is what `sim` will take; JSON is read quickest
    save(city.scenario, args.output)
    if args.map:
        draw_map(city.scenario, args.map, [line.tolist() for line in city.streets])
    return city


def _centre(text: str | None) -> Origin | None:
    """Where the map's centre lies, as "50.1,14.4": degrees north and east."""
    if text is None:
        return None
    expected = "LATITUDE,LONGITUDE in degrees, as 50.1,14.4"
    try:
        latitude, longitude = map(float, text.split(","))
    except ValueError:
        raise InputError("options", "--center", text, expected) from None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise InputError("options", "--center", text, expected)
    return Origin(latitude, longitude)


def _check(args: argparse.Namespace) -> None:
    for key, low, high in (
        ("rsus", 1, 200),
        ("uavs", 1, 10_000),
        ("range", 10.0, 1e5),
        ("default_height", 1.0, 300.0),
        ("radius", 10.0, DEFAULTS.radius),
    ):
        if not low <= getattr(args, key) <= high:
            option = "--" + key.replace("_", "-")
            raise InputError("options", option, getattr(args, key), f"a number from {low:g} to {high:g}")
    for option in ("output", "map", "json"):
        path = getattr(args, option)
        if path and not Path(path).parent.is_dir():
            raise InputError("options", f"--{option}", path, "a file in a folder that exists")
    if args.map and Path(args.map).suffix not in PICTURES:
        raise InputError("options", "--map", args.map, f"a file name that ends in {', '.join(PICTURES)}")
    if Path(args.output).suffix not in SUFFIXES:
        raise InputError("options", "--output", args.output, f"a file name that ends in {', '.join(SUFFIXES)}")


def summary(city: City, seed: int) -> dict[str, object]:
    """What became of the files, as numbers."""
    scenario = city.scenario
    best = city.efficiency.max(axis=1)
    return {
        "name": scenario.name,
        "seed": seed,
        "origin": [scenario.origin.latitude, scenario.origin.longitude],
        "buildings": sum(city.heights_from.values()),
        "prisms": len(scenario.buildings),
        "highest_roof_m": max(building.base + building.height for building in scenario.buildings),
        "heights_from": dict(city.heights_from),
        "left_out": dict(city.left_out),
        "street_pieces": len(city.streets),
        "rsus": len(scenario.rsus),
        "uavs": len(scenario.uavs),
        "lowest_flight_m": city.lowest_flight,
        "served": float((best > 0).mean()),
        "best_efficiency_mean": float(best.mean()),
        "rsus_in_reach_mean": float((city.efficiency > 0).sum(axis=1).mean()),
    }


def described(city: City, args: argparse.Namespace) -> str:
    """The summary in words."""
    from uav_twin_migration.scenario.footprints import in_words

    scenario, told = city.scenario, city.heights_from
    best = city.efficiency.max(axis=1)
    roof = max(building.base + building.height for building in scenario.buildings)
    lines = [
        f"{args.output}: {sum(told.values())} buildings as {len(scenario.buildings)} prisms, "
        f"{len(scenario.rsus)} RSUs, {len(scenario.uavs)} UAVs; seed {args.seed}",
        f"  origin: {scenario.origin.latitude} N, {scenario.origin.longitude} E",
        f"  heights: {told['height']} told, {told['levels']} from levels, {told['default']} taken as "
        f"{args.default_height:g} m; highest roof {roof:g} m",
        f"  over the {'streets' if city.streets else 'city'} at {city.lowest_flight:g} m: {(best > 0).mean():.1%} of "
        f"places served, {(city.efficiency > 0).sum(axis=1).mean():.1f} RSUs in reach on average, "
        f"{best.mean():.1f} bit/s/Hz from the best",
    ]
    if city.left_out:
        lines.append("  left out: " + in_words(city.left_out))
    if roof > city.lowest_flight:
        lines.append("  beware: some roofs are higher than the lowest UAVs fly")
    if args.map:
        lines.append(f"  map: {args.map}")
    return "\n".join(lines)
