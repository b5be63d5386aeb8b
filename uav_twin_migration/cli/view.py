"""Look at a city in a browser: a recording, two side by side, or what runs now. Without a browser, write a page."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import threading
from pathlib import Path

from uav_twin_migration.errors import InputError, UavTwinError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin view`."""
    parser.add_argument("recording", nargs="*", type=Path, metavar="RECORDING", help="one or two rosbag2 folders")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write one self-contained page, and no server"
    )
    parser.add_argument("--live", action="store_true", help="watch what runs in this ROS domain")
    parser.add_argument("--scenario", default="", metavar="S", help="where it happens, if recordings do not say")
    add_server_arguments(parser)


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Where a page is served."""
    parser.add_argument("--port", type=int, default=0, metavar="N", help="to serve the page at; default: any free one")
    parser.add_argument(
        "--address", default="127.0.0.1", metavar="IP", help="to serve at (default: this machine alone)"
    )
    parser.add_argument("--token", default="", help="a secret that viewers need; must for any other address")


def check_server_arguments(args: argparse.Namespace) -> None:
    """Raises InputError for a port that is none, or an address that others could reach, without a token."""
    from uav_twin_migration.monitor.server import check_address

    if not 0 <= args.port <= 65535:
        raise InputError("command line", "--port", args.port, "a TCP port, or 0 for any")
    check_address(args.address, args.token)


def run(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    check_server_arguments(args)
    if args.live:
        return watch(args)
    if not 1 <= len(args.recording) <= 2:
        raise InputError("command line", "RECORDING", len(args.recording), "one or two recordings, or --live")
    html = replayed(args.recording, args.scenario)
    if args.output:
        try:
            args.output.write_text(html, encoding="utf-8")
        except OSError as error:
            raise UavTwinError(f"{args.output}: cannot be written: {error.strerror}") from None
        print(f"{args.output}: {len(html.encode()) / 1e3:.0f} kB; open it in a browser")
        return 0
    from uav_twin_migration.monitor.server import PageServer

    server = PageServer(html, args.address, args.port, args.token)
    print(f"{server.url}  (Ctrl-C ends)", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.close()
    return 0


def replayed(recordings: list[Path], scenario: str) -> str:
    """The page of one recording or two."""
    from uav_twin_migration.monitor.compare import differences, verdict
    from uav_twin_migration.monitor.html import Run, page
    from uav_twin_migration.monitor.replay import replay
    from uav_twin_migration.monitor.sources import scenario_of

    runs, summaries = [], []
    for source, label in zip(recordings, labels(recordings), strict=True):
        world, about = scenario_of(source, scenario)
        if world is None:
            hint = "no scenario in it; without --scenario there is no equilibrium to show"
            print(f"uavtwin view: {source}: {hint}", file=sys.stderr)
        found = replay(source, world, about, progress=Progress(str(source)))
        for sentence in found.damage:
            print(f"uavtwin view: {sentence}", file=sys.stderr)
        runs.append(Run(label, found.cast, found.frames))
        summaries.append(found.summary)
    if len(runs) == 1:
        return page(runs)
    a, b = runs[0].label, runs[1].label
    measured = differences(*summaries)
    return page(runs, [*(one.cells(a, b) for one in measured), (verdict(measured, a, b), "", "", "")])


def labels(recordings: list[Path]) -> list[str]:
    """Short names that tell recordings apart."""
    names = [source.resolve().stem for source in recordings]
    return names if len(set(names)) == len(names) else [str(source) for source in recordings]


class Progress:
    """How far a recording is read, on a terminal."""

    def __init__(self, source: str) -> None:
        self._source, self._said = source, -10.0

    def __call__(self, seconds: float) -> None:
        """Another frame."""
        if sys.stderr.isatty() and seconds - self._said >= 10.0:
            self._said = seconds
            print(f"\r{self._source}: {seconds:.0f} s read", end="\033[K", file=sys.stderr, flush=True)


def watch(args: argparse.Namespace) -> int:
    """Watch what runs in this ROS domain."""
    if args.recording or args.output:
        raise InputError("command line", "--live", "recordings or -o besides", "nothing else: it shows what runs now")
    if importlib.util.find_spec("rclpy") is None:
        raise UavTwinError("--live needs ROS 2: source a workspace, or run ./uavtwin in a checkout")
    from uav_twin_migration.nodes.viewer import run_viewer

    return run_viewer(args.scenario, args.address, args.port, args.token)
