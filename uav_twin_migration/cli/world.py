"""Write a scenario as a Gazebo world."""

from __future__ import annotations

import argparse
import sys

from uav_twin_migration.errors import InputError
from uav_twin_migration.output import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("scenario", help="a scenario file, or the name of a shipped one")
    parser.add_argument("--gazebo", choices=["sim", "classic"], default="sim", help="which Gazebo (default: sim)")
    parser.add_argument("-o", "--output", metavar="FILE", help="the world file to write (default: standard output)")
    parser.add_argument("--bridge", metavar="FILE", help="also write the configuration of ros_gz's parameter bridge")
    parser.add_argument("--messages", choices=["gz", "ignition"], default="gz", help="the bridge's message names")
    parser.add_argument("--no-coverage", action="store_true", help="leave the coverage discs out")


def run(args: argparse.Namespace) -> int:
    """Write the world, and the bridge's configuration where asked for."""
    from uav_twin_migration.cli.scenario import told_of
    from uav_twin_migration.scenario.sdf import bridge_yaml, world_sdf

    if args.bridge and args.gazebo == "classic":
        raise InputError("--bridge", "FILE", args.bridge, "nothing: Gazebo Classic speaks ROS by itself")
    scenario = told_of("world", args.scenario)
    text = world_sdf(scenario, args.gazebo, show_coverage=not args.no_coverage)
    if args.output is None:
        print(text, end="")
    else:
        write_text(args.output, text)
        print(
            f"{args.output}: {len(scenario.buildings)} buildings, {len(scenario.rsus)} RSUs, {len(scenario.uavs)} UAVs",
            file=sys.stderr,
        )
    if args.bridge:
        write_text(args.bridge, bridge_yaml(scenario, args.messages))
    return 0
