"""Run the whole system, as real ROS 2 processes or in virtual time, and show what the market does."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from typing import Any

from uav_twin_migration.deployment.options import SCENARIO, SIM, add_to_parser
from uav_twin_migration.nodes.start import THREADS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin sim`: those of sim.launch.py, and virtual time."""
    parser.add_argument("scenario", nargs="?", default=SCENARIO.default, help=SCENARIO.help)
    parser.add_argument(
        "--virtual", action="store_true", help="in virtual time: one process, no ROS, the same result for the same seed"
    )
    parser.add_argument(
        "--faults",
        default="",
        metavar="TEXT",
        help="with --virtual: what goes wrong, such as 'at 30 s: kill rsu_2; at 60 s: back rsu_2'",
    )
    add_to_parser(parser, SIM)


def run(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    for name in THREADS:  # the nodes' matrices are small, and the runner forks: no threads of numpy's libraries
        os.environ.setdefault(name, "1")
    values = vars(args)
    return run_virtually(values) if args.virtual else run_processes(values)


def run_virtually(values: dict[str, Any]) -> int:
    """In this process. Returns the exit code."""
    from uav_twin_migration.studies.virtual.command import simulate

    return simulate(values)


def run_processes(values: dict[str, Any]) -> int:
    """As ROS 2 processes. Returns the exit code."""
    told = sys.stderr if values["json"] == "-" else sys.stdout
    print(f"uavtwin: reading {values['scenario']}, to start its nodes", file=told, flush=True)

    from uav_twin_migration.deployment.discovery import keep_to_this_machine
    from uav_twin_migration.deployment.simulation import claim_domain, examine, simulation, store_folder
    from uav_twin_migration.errors import InputError
    from uav_twin_migration.monitor.hints import about_to_run

    if values["faults"]:
        raise InputError("options", "faults", values["faults"], "nothing: faults are for --virtual")
    with store_folder(values) as twin_stores:
        wanted = simulation(values, twin_stores)
        claim_domain()
        summary = about_to_run(wanted.scenario, len(wanted.processes), values["seed"])
        print(f"{summary}; its nodes are starting", file=told, flush=True)
        os.environ.update(wanted.variables)
        if values["localhost_only"] and not values["hosts"]:
            keep_to_this_machine()

        from uav_twin_migration.nodes.ros.runner import Runner

        if wanted.monitor is None:
            print(f"uavtwin: {values['host']}'s share, until it is stopped", file=sys.stderr)
            return Runner(wanted.processes, alone=False).run(partial(examine, wanted.scenario))
        live = not values["plain"] and told.isatty()
        wanted.monitor.nodes[0].parameters["processes"] = 0  # said above: the monitor takes a while to come
        processes, until = [*wanted.processes, wanted.monitor], wanted.monitor.name
        runner = Runner(processes, until, quiet=live, server=wanted.server, alone=not values["hosts"])
        return runner.run(partial(examine, wanted.scenario))
