"""List the twins in an RSU's store, and verify every chunk. The RSU may be running: nothing is written."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from uav_twin_migration.cli.markets import write
from uav_twin_migration.deployment.host_directory import STORE, STORE_FILE
from uav_twin_migration.errors import InputError, UavTwinError

if TYPE_CHECKING:
    from uav_twin_migration.twin.hosting.inspection import Inspected
    from uav_twin_migration.twin.hosting.store_reader import StoreReader

MB = 1e6  # bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("store", metavar="STORE", help="an RSU's store, or its host's directory")
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Looks at all twins. Returns 1 where something is wrong with one."""
    from uav_twin_migration.twin.hosting.inspection import inspect
    from uav_twin_migration.twin.protocol.epochs import format_epoch

    args.store = _file(args.store)
    store = _opened(args.store)
    try:
        rsu, problems = store.rsu, store.problems()
        found = []
        for twin in inspect(store):
            found.append(twin)
            if sys.stderr.isatty():
                print(f"\r  {len(found)} twins", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print("\r", end="", file=sys.stderr)
    finally:
        store.close()
    sound = not problems and not any(twin.problems for twin in found)
    if args.json:
        twins = [asdict(twin) | {"epoch_name": format_epoch(twin.epoch)} for twin in found]
        write({"store": args.store, "rsu": rsu, "sound": sound, "problems": problems, "twins": twins}, args.json)
    if args.json != "-":
        print(_text(args.store, rsu, problems, found))
    if not sound:
        raise UavTwinError(f"{args.store}: damaged; see above. Keep the file, and start its RSU with another one")
    return 0


def _file(path: str) -> str:
    """A store's file, given that or the directory that it is in."""
    inside = (Path(path) / STORE / STORE_FILE, Path(path) / STORE_FILE)
    return next((str(file) for file in inside if file.is_file()), path)


def _opened(path: str) -> StoreReader:
    from uav_twin_migration.twin.hosting.store_reader import StoreError, StoreReader
    from uav_twin_migration.twin.protocol.messages import Reason

    try:
        return StoreReader(Path(path))
    except StoreError as error:
        if error.reason is Reason.CORRUPT:
            raise
        raise InputError(path, "file", error.what, f"an RSU's store; {error.hint}") from None


def _text(path: str, rsu: str, problems: list[str], found: list[Inspected]) -> str:
    here = [twin for twin in found if twin.state != "absent" or twin.inbound_from]
    size = sum(twin.size + twin.inbound_size for twin in here) / MB
    lines = [f"{path}: RSU {rsu}, {len(here)} twins, {size:,.1f} MB; {len(found) - len(here)} have moved away"]
    lines += [f"  {problem}" for problem in problems]
    if here:
        lines.append(f"  {'UAV':<16} {'state':<12} {'epoch':>14} {'MB':>9} {'history':>8}  {'from':>12} {'to, s':>12}")
    lines += [line for twin in here for line in _lines(twin)]
    return "\n".join(lines)


def _lines(twin: Inspected) -> list[str]:
    from uav_twin_migration.twin.protocol.epochs import format_epoch

    first, last = (f"{time:12.1f}" if time is not None else f"{'-':>12}" for time in (twin.first, twin.last))
    epoch = format_epoch(twin.epoch) if twin.epoch else "-"
    line = f"  {twin.uav:<16} {twin.state:<12} {epoch:>14} {twin.size / MB:9.2f} {twin.records:8d}  {first} {last}"
    if twin.successor:
        line += f"  handed over to {twin.successor}"
    if twin.inbound_from:
        whole = "whole" if twin.prepared else "not yet whole"
        line += f"  a copy from {twin.inbound_from}: {twin.inbound_size / MB:.2f} MB, {whole}"
    return [line, *(f"    WRONG: {problem}" for problem in twin.problems)]
