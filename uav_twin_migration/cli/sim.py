"""Run the whole system as real ROS 2 processes, and show what the market does."""

from __future__ import annotations

import argparse
import os
import sys

from uav_twin_migration.deployment.options import SCENARIO, SIM, add_to_parser
from uav_twin_migration.nodes.start import THREADS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin sim`: those of sim.launch.py."""
    parser.add_argument("scenario", nargs="?", default=SCENARIO.default, help=SCENARIO.help)
    add_to_parser(parser, SIM)


def run(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    for name in THREADS:  # the nodes' matrices are small, and the runner forks: no threads of numpy's libraries
        os.environ.setdefault(name, "1")
    from uav_twin_migration.deployment.discovery import keep_to_this_machine
    from uav_twin_migration.deployment.simulation import claim_domain, simulation, store_folder

    values = vars(args)
    with store_folder(values) as twin_stores:
        wanted = simulation(values, twin_stores)
        claim_domain()
        os.environ.update(wanted.variables)
        if args.localhost_only:
            keep_to_this_machine()

        from uav_twin_migration.nodes.ros.runner import Runner

        live = not args.plain and (sys.stderr if args.json == "-" else sys.stdout).isatty()
        return Runner([*wanted.processes, wanted.monitor], until=wanted.monitor.name, quiet=live).run()
