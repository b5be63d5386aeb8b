"""What a recording holds; makes one that was cut off whole again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from uav_twin_migration.cli.markets import write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin bag`."""
    parser.add_argument("action", choices=("info", "repair"), help="show what it holds, or make it whole again")
    parser.add_argument("recording", type=Path, metavar="DIR", help="a rosbag2 folder with MCAP files")
    parser.add_argument("--json", metavar="FILE", help="write what it holds as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Returns the exit code: 0 also for a damaged recording, whose damage is told on stderr."""
    from uav_twin_migration.recording.reader import contents, repair

    found = contents(args.recording) if args.action == "info" else repair(args.recording)
    for sentence in found.damage:
        print(f"uavtwin bag: {sentence}", file=sys.stderr)
    if found.damage and args.action == "repair":
        print("uavtwin bag: what could be read is now a whole recording", file=sys.stderr)
    if args.json:
        write(found.to_json(), args.json)
    if args.json != "-":
        print(f"{args.recording}: {found.messages} messages in {found.span.nanoseconds / 1e9:.1f} s")
        for name, topic in sorted(found.topics.items()):
            print(f"  {topic.messages:>8}  {name}  ({topic.kind})")
    return 0
