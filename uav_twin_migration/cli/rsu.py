"""Set an RSU's host up, run its RSU, and look after it.

On a desk, `init` writes a directory with what one RSU's host needs and nothing else: copy it to the host. There,
`install` puts it to work, and does so again after each change or upgrade. `stop` and `start` are for maintenance,
`backup` and `restore` for its store. `run`, `metrics` and `discovery` are what the units run, in the foreground.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from uav_twin_migration.deployment.host_directory import (
    METRICS_PORT,
    EdgeHost,
    check_parameters,
    is_earlier,
    load_host,
    split_address,
)
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.transport.addresses import is_here

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of glibc's mallopt(3)
# ROS 2's messages bring it along, and go on where it is missing
GENERATOR = "rosidl_generator_py.generate_py_impl"
METRICS = f"127.0.0.1:{METRICS_PORT}"  # where Prometheus asks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin rsu`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    init = verbs.add_parser("init", help="write an RSU's host directory, or bring one up to date")
    init.add_argument("directory", metavar="DIR", type=Path)
    init.add_argument("--rsu", metavar="ID", required=True)
    init.add_argument("--scenario", metavar="FILE", required=True, help="scenario file or name to take its values from")
    init.add_argument("--keys", metavar="KEYS", type=Path, help="where `uavtwin keys` keeps its files; made if missing")
    init.add_argument("--learner", metavar="PUB", type=Path, action="append", default=[], help="a learner's public key")
    init.add_argument("--discovery-server", metavar="HOST[:PORT]", action="append", default=[], help="one or two")
    init.add_argument("--peer", metavar="HOST", action="append", default=[], help="found without server and multicast")
    init.add_argument("--domain", metavar="N", type=int, help="ROS domain (default 0)")
    init.add_argument("--rmw", help="ROS middleware (default rmw_fastrtps_cpp)")
    init.add_argument("--address", metavar="IP[:PORT]", help="the host's own, where RSUs bring twins")
    init.add_argument("--admit", metavar="PATTERN", action="append", help="ids of UAVs that it serves (default: all)")
    init.add_argument("--log", choices=("text", "json"), help="what its nodes print (default text)")
    init.add_argument("--at", metavar="DIR", type=Path, help="where it goes on the host (default /etc/uavtwin/ID)")
    init.add_argument(
        "--uav-signatures",
        action=argparse.BooleanOptionalAction,
        help="refuse what UAVs say without a signature (default: where KEYS has signatures of UAVs)",
    )
    install = verbs.add_parser("install", help="put a host directory to work on this host, again after each change")
    install.add_argument("directory", metavar="DIR", type=Path)
    install.add_argument("--dry-run", action="store_true", help="only say what would be done")
    install.add_argument("--user", help="user that the service runs as (default uavtwin)")
    install.add_argument("--metrics", metavar="IP:PORT", nargs="?", const=METRICS, help="answer Prometheus here, too")
    install.add_argument("--discovery", metavar="N", type=int, choices=(0, 1), help="run discovery server N here, too")
    install.add_argument("--root", metavar="DIR", type=Path, default=Path("/"), help="an image of a host (default /)")
    for verb, help_ in (
        ("stop", "sell no more, have the twins move away, then stop the service"),
        ("start", "start the service, and wait until it sells"),
        ("run", "run the RSU of a host directory"),
    ):
        verbs.add_parser(verb, help=help_).add_argument("directory", metavar="DIR", type=Path)
    backup = verbs.add_parser("backup", help="copy the store into a file, also while the RSU runs")
    backup.add_argument("directory", metavar="DIR", type=Path)
    backup.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)
    restore = verbs.add_parser(
        "restore", help="put a backup, or the store as it was in an earlier format, in its place"
    )
    restore.add_argument("directory", metavar="DIR", type=Path)
    restore.add_argument("backup", metavar="FILE", type=Path)
    metrics = verbs.add_parser("metrics", help="answer Prometheus with what is heard from this host")
    metrics.add_argument("directory", metavar="DIR", type=Path)
    metrics.add_argument("--listen", metavar="IP:PORT", default=METRICS, help=f"default {METRICS}")
    discovery = verbs.add_parser("discovery", help="run a Fast DDS discovery server")
    discovery.add_argument("--number", metavar="N", type=int, choices=(0, 1), default=0, help="0, or 1 for the second")
    discovery.add_argument("--address", metavar="IP", default="0.0.0.0", help="where it listens (default: everywhere)")
    discovery.add_argument("--port", type=int, default=11811)
    discovery.add_argument("--wait-for", metavar="IP", default="", help="begin only when this host has that address")


def run(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    if args.verb in ("run", "metrics", "discovery"):
        return {"run": lambda: serve(args.directory), "metrics": lambda: answer(args), "discovery": lambda: meet(args)}[
            args.verb
        ]()
    if args.verb == "init":
        from uav_twin_migration.cli.rsu_init import init  # what these need would cost a running RSU memory

        return init(args)
    from uav_twin_migration.cli import rsu_host

    verb: Callable[[argparse.Namespace], int] = getattr(rsu_host, args.verb)
    return verb(args)


def spare_memory() -> None:
    """The node runs for months: all threads share a heap that gives back what was needed once.

    Nor are messages' sources generated here, for which ROS 2 would load parsers, 2.5 MB.
    """
    sys.modules.setdefault(GENERATOR, None)  # type: ignore[arg-type]
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        for option, value in ((M_ARENA_MAX, 1), (M_TRIM_THRESHOLD, 128 * 1024), (M_MMAP_THRESHOLD, 128 * 1024)):
            libc.mallopt(option, value)


def serve(directory: Path) -> int:
    """Run the RSU in this process. Returns its exit code."""
    host = load_host(directory)
    parameters = check_parameters(host, directory)
    if is_earlier(directory):
        print(f"{directory} is an earlier version's; bring it over: sudo uavtwin rsu install {directory}", flush=True)
    spare_memory()
    prepare(host, directory)
    try:
        from uav_twin_migration.nodes.ros.parameters import overrides
        from uav_twin_migration.nodes.ros.spin import run as spin
        from uav_twin_migration.nodes.rsu import RsuNode
    except ImportError as error:
        raise UavTwinError(f"ROS 2 is not complete ({error}); see `uavtwin doctor {directory}`") from error
    # ROS's own log files would grow for months: what the node prints goes to the journal, which rotates
    arguments = ["--ros-args", "--disable-external-lib-logs"]
    given = overrides(parameters)
    name, own = f"/rsu/{host.rsu}", host.address[0]
    return spin(lambda: [RsuNode(namespace=name, parameter_overrides=given)], arguments, own)


def prepare(host: EdgeHost, directory: Path) -> None:
    """Have this process take part in the network, and print, as its host does."""
    os.environ.update(host.variables(directory))
    if host.log == "json":
        from uav_twin_migration.nodes.ros.json_logs import print_json

        print_json()


def answer(args: argparse.Namespace) -> int:
    """Run the metrics node of a host. Returns its exit code."""
    host = load_host(args.directory)
    try:
        address, port = split_address(args.listen, METRICS_PORT)
    except ValueError:
        raise InputError("command line", "--listen", args.listen, "IP:PORT") from None
    spare_memory()
    prepare(host, args.directory)
    from uav_twin_migration.nodes.metrics import MetricsNode
    from uav_twin_migration.nodes.ros.spin import run as spin

    region = str(host.parameters.get("region", ""))
    values = {"address": address, "port": port, "rsu": host.rsu} | ({"region": region} if region else {})
    arguments = ["--ros-args", "--disable-external-lib-logs"]
    arguments += [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    return spin(lambda: [MetricsNode()], arguments, host.address[0])


def meet(args: argparse.Namespace) -> int:
    """Become a discovery server, once nobody believes any more in one that was here before.

    It tells others the addresses that it finds when it begins, as an RSU does (nodes/ros/spin.py).
    """
    from uav_twin_migration.cli.rsu_host import wait
    from uav_twin_migration.deployment.discovery import FORGOTTEN, lasting_server

    if not 0 < args.port < 65536:
        raise InputError("command line", "--port", args.port, "a whole number from 1 to 65535")
    command = lasting_server(args.number, args.address, args.port)
    if args.wait_for and not is_here(args.wait_for):
        print(f"waits until this host has its address {args.wait_for}: who begins before is never heard", flush=True)
        wait(lambda: is_here(args.wait_for), math.inf)
    print(f"starts in {FORGOTTEN:g} s: who knew a server that was here before has to forget it first", flush=True)
    time.sleep(FORGOTTEN)
    os.execv(command[0], command)
