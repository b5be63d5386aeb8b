"""Run the whole system as real ROS 2 processes, and show what the market does."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uav_twin_migration.errors import InputError, UavTwinError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin sim`."""
    parser.add_argument("scenario", nargs="?", default="default", help="scenario file or name (default, small, large)")
    parser.add_argument("--duration", type=float, metavar="S", help="simulated seconds to run; without it until Ctrl-C")
    parser.add_argument("--world", default="embedded", help="who flies the UAVs: embedded, gazebo or px4")
    parser.add_argument("--no-gui", action="store_true", help="Gazebo without a window")
    parser.add_argument("--px4-dir", default="", metavar="DIR", help="PX4 SITL build to start the drones from")
    parser.add_argument("--real-time-factor", type=float, default=1.0, metavar="X", help="simulated seconds per second")
    parser.add_argument(
        "--compose",
        default="auto",
        help="auto, processes (one a node), compose (several nodes a process) or UAV container",
    )
    parser.add_argument(
        "--policy",
        default="",
        metavar="P",
        help="what RSUs price with at first: default (the shipped policy), none (a rule), untrained, or a file",
    )
    parser.add_argument(
        "--exploration", type=float, metavar="STD", help="noise on the RSUs' actions, for recordings to learn from"
    )
    parser.add_argument("--record", default="", metavar="DIR", help="record all topics to a new folder")
    parser.add_argument("--train", action="store_true", help="start untrained, and learn while it runs")
    parser.add_argument("--learned", default="", metavar="FILE", help="with --train: keep the newest policy there")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default 0)")
    parser.add_argument("--twins", metavar="DIR", help="keep the RSUs' stores of twins there, for the next run, too")
    parser.add_argument("--no-twins", action="store_true", help="only the market: no twins are hosted or moved")
    parser.add_argument("--keys", default="", metavar="DIR", help="move twins over TLS, with the keys of this folder")
    parser.add_argument("--json", metavar="FILE", help="write the summary as JSON; - for stdout")
    parser.add_argument("--plain", action="store_true", help="lines instead of a live table")


def run(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    one_thread_per_process()
    from uav_twin_migration.cli.scenario import told_of
    from uav_twin_migration.deployment.discovery import keep_to_this_machine
    from uav_twin_migration.deployment.plan import Options, monitor_process, plan
    from uav_twin_migration.scenario.load import scenario_path

    if scenario_path(args.scenario).is_fifo():
        expected = "a file on a disk, which every node can read: save it first"
        raise InputError("command line", "scenario", args.scenario, expected)
    scenario = told_of("sim", args.scenario)
    if args.duration is not None and not 0.0 < args.duration < 1e9:
        raise InputError("command line", "--duration", args.duration, "a number of seconds above 0")
    if args.record and Path(args.record).exists():
        raise InputError("command line", "--record", args.record, "a folder that does not exist yet")
    if args.learned and not args.train:
        raise InputError("command line", "--learned", args.learned, "nothing without --train")
    with store_folder(args) as twins:
        options = Options(
            world=args.world,
            real_time_factor=args.real_time_factor,
            composition=args.compose,
            seed=args.seed,
            gui=not args.no_gui,
            px4_dir=args.px4_dir,
            policy=args.policy,
            record=args.record,
            train=args.train,
            learned=args.learned,
            exploration=args.exploration,
            twins=twins,
            twin_keys=args.keys,
        )
        file = str(scenario_path(args.scenario).resolve())
        processes = plan(scenario, file, options)
        claim_domain()
        keep_to_this_machine()

        from uav_twin_migration.nodes.ros.runner import Runner

        monitor = monitor_process(file, args.duration, args.json, args.plain, len(processes), options)
        live = not args.plain and (sys.stderr if args.json == "-" else sys.stdout).isatty()
        return Runner([*processes, monitor], until=monitor.name, quiet=live).run()


@contextmanager
def store_folder(args: argparse.Namespace) -> Iterator[str]:
    """Where the RSUs keep twins: a folder that is given and stays, or one that goes with the run, or none."""
    if args.no_twins:
        yield ""
    elif args.twins:
        Path(args.twins).mkdir(parents=True, exist_ok=True)
        yield str(Path(args.twins).resolve())
    else:
        with tempfile.TemporaryDirectory(prefix="uavtwin-twins-") as folder:
            yield folder


def one_thread_per_process() -> None:
    """Keep numpy's libraries from starting threads: the nodes' matrices are small, and the runner forks."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


_claim: socket.socket | None = None


def claim_domain() -> None:
    """Make sure that no other simulation of this machine runs in the same ROS domain: two clocks would be chaos."""
    global _claim
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    _claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # an abstract socket: no file, and gone with the process
        _claim.bind(f"\0uav_twin_migration/sim/domain/{domain}")
    except OSError:
        raise UavTwinError(
            f"another simulation runs in ROS domain {domain}; stop it, or choose another: export ROS_DOMAIN_ID=1"
        ) from None


if sys.platform != "linux":  # the runner leans on Linux: PR_SET_PDEATHSIG, abstract sockets
    raise UavTwinError("uavtwin sim runs on Linux")
