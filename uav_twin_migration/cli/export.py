"""A recording as tidy tables, one a kind of topic and one a list within its messages: CSV or Parquet."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin export`."""
    parser.add_argument(
        "recording", type=Path, metavar="DIR", help="a rosbag2 folder with MCAP files, or an .mcap file"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", required=True, help="new folder for the tables")
    parser.add_argument("--parquet", action="store_true", help="write Parquet instead of CSV")
    parser.add_argument("--json", metavar="FILE", help="write what was exported as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Returns the exit code: 0 also for a damaged recording, whose damage is told on stderr."""
    from uav_twin_migration.output import write_text
    from uav_twin_migration.recording.export import export

    told = export(args.recording, args.output, args.parquet)
    for sentence in (*told["damage"], *(f"{topic}: not exported: {why}" for topic, why in told["unread"].items())):
        print(f"uavtwin export: {sentence}", file=sys.stderr)
    if args.json:
        text = json.dumps(told, indent=1) + "\n"
        sys.stdout.write(text) if args.json == "-" else write_text(args.json, text)
    if args.json != "-":
        print(f"{args.output}: {len(told['tables'])} tables of {told['messages']} messages")
        for name, rows in told["tables"].items():
            print(f"  {rows:>8}  {name}")
    return 0
