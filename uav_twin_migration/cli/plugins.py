"""Plug-ins: the kinds there are, and for each the built-ins and what installed packages bring.

With PLUGIN of a KIND: whether it can be found and is one, before anything is run with it.
"""

from __future__ import annotations

import argparse
from typing import Any

from uav_twin_migration.cli.parser import one_of
from uav_twin_migration.plugins import KINDS, PluginError, found, group, load, make

# what constructors of a kind may ask for, as an RSU or a UAV would give it
TRIED_WITH: dict[str, dict[str, Any]] = {
    "pricing": {"unit_cost": 1.0, "price_cap": 20.0, "capacity": 100.0, "seed": 0},
    "hosting": {"uav": "uav_1"},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin plugins`."""
    parser.add_argument("kind", nargs="?", metavar="KIND", type=one_of(KINDS), help=f"one of {', '.join(KINDS)}")
    parser.add_argument("plugin", nargs="?", metavar="PLUGIN", help="one to try: a name, module:Class or file.py:Class")
    parser.add_argument("--json", metavar="FILE", help="write the list as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Returns the exit code: 2 where PLUGIN is none, 1 where an installed one cannot be loaded."""
    from uav_twin_migration.cli.markets import write

    if args.plugin:
        made = make(args.kind, args.plugin, **TRIED_WITH.get(args.kind, {}))
        print(f"{args.plugin}: a plug-in for {args.kind} ({type(made).__name__})")
        return 0
    document = {name: _listed(name) for name in ([args.kind] if args.kind else KINDS)}
    if args.json:
        write(document, args.json)
    if args.json != "-":
        for name, told in document.items():
            print(f"{name}: {told['replaces']}; {told['setting']}")
            print(f"  protocol   {told['protocol']}, entry points {told['group']}")
            print(f"  built in   {', '.join(told['built_in'])}")
            for plugin, place in told["installed"].items():
                wrong = told["errors"].get(plugin)
                print(f"  installed  {plugin} = {place}" + (f"; cannot be loaded: {wrong}" if wrong else ""))
    return 1 if any(told["errors"] for told in document.values()) else 0


def _listed(kind: str) -> dict[str, Any]:
    one, points, errors = KINDS[kind], found(kind), {}
    for name in points:
        try:
            load(kind, name)
        except PluginError as error:
            errors[name] = str(error)
    return {
        "replaces": one.replaces,
        "setting": one.setting,
        "protocol": one.protocol,
        "methods": list(one.methods),
        "group": group(kind),
        "built_in": list(one.built_in),
        "installed": {name: point.value for name, point in points.items()},
        "errors": errors,
    }
