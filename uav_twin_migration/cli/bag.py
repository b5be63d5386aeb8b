"""What a recording holds; writes a whole one beside one that is damaged."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin bag`."""
    parser.add_argument("action", choices=("info", "repair"), help="show what it holds, or write a whole one beside it")
    parser.add_argument("recording", type=Path, metavar="DIR", help="a rosbag2 folder with MCAP files")
    parser.add_argument("--json", metavar="FILE", help="write what it holds as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Returns the exit code: 0 also for a damaged recording, whose damage is told on stderr."""
    from uav_twin_migration.cli.markets import write
    from uav_twin_migration.recording.reader import contents
    from uav_twin_migration.recording.repair import repair

    document: dict[str, object] = {}
    if args.action == "repair":
        found, folder = repair(args.recording)
        document = {"repaired": None if folder is None else str(folder)}
    else:
        found, folder = contents(args.recording), None
    for sentence in [*found.notes, *found.damage]:
        print(f"uavtwin bag: {sentence}", file=sys.stderr)
    if folder is not None:
        print(f"uavtwin bag: {folder} is whole; {args.recording} stays as it was", file=sys.stderr)
    if args.json:
        write({**found.to_json(), **document}, args.json)
    if args.json != "-":
        print(f"{folder or args.recording}: {found.messages} messages in {found.span.nanoseconds / 1e9:.1f} s")
        for name, topic in sorted(found.topics.items()):
            print(f"  {topic.messages:>8}  {name}  ({topic.kind or 'no type'})")
        for name, attachment in sorted(found.attachments.items()):
            print(f"  attached: {name}, {len(attachment.data)} bytes")
        for about in found.about.values():
            print("  " + ", ".join(f"{key} {value}" for key, value in about.items()))
    return 0
