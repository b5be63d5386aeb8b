"""`uavtwin rsu install`, `stop`, `start`, `backup`, `restore`: what an administrator does on an RSU's host."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from uav_twin_migration.deployment.host_directory import STORE, STORE_FILE, EdgeHost, load_host
from uav_twin_migration.deployment.installation import Choices, call, installed, plan, unreadable
from uav_twin_migration.deployment.systemd_unit import unit_name
from uav_twin_migration.errors import UavTwinError

PATIENCE = 120.0  # s until it is heard to sell, or has stopped
LOOK = 2.0  # s of listening


def install(args: argparse.Namespace) -> int:
    """Bring the host to what is wanted, and say what that took."""
    choices = Choices(args.user, args.metrics, args.discovery, root=args.root)
    if os.geteuid() != 0 and not args.dry_run:
        raise UavTwinError(f"only root can install: sudo uavtwin rsu install {args.directory} (or --dry-run)")
    host, _ = installed(args.directory, choices)
    closed = unreadable(host.user)
    if closed and args.root == Path("/"):
        what = f"{closed} is closed to user {host.user}, who is to run what lies in it"
        raise UavTwinError(f"{what}: put the checkout where all can read it, as /opt/uavtwin, and install from there")
    changes = plan(args.directory, choices)
    would = "would be done" if args.dry_run else "done"
    for change in changes:
        if not args.dry_run:
            change.do()
        print(change.what)
    started = [] if args.dry_run or args.root != Path("/") else start_units(host, changes)
    for line in started:
        print(line)
    print(f"{len(changes)} changes {would}" if changes else "nothing to change: all is as it should be")
    return 0


def start_units(host: EdgeHost, changes: Iterable[object]) -> list[str]:
    """Enable the units, and start anew those whose files have changed. Returns what was done."""
    restarted = {getattr(change, "restarts", "") for change in changes}
    units = [unit_name(host.rsu)]
    units += ["uavtwin-metrics.service"] if host.metrics else []
    units += [f"uavtwin-discovery-{host.discovery}.service"] if host.discovery is not None else []
    if not Path("/run/systemd/system").is_dir():
        call(["systemctl", "enable", *units])
        return ["systemd does not run here: the units start at the next boot"]
    call(["systemctl", "daemon-reload"])
    call(["systemctl", "enable", "--quiet", *units])
    told = []
    for unit in units:
        if is_active(unit) and unit in restarted:
            call(["systemctl", "kill", "--signal=SIGINT", unit])  # at once: its twins stay in its store
            wait(lambda unit=unit: not is_active(unit), 10.0)  # type: ignore[misc]
            told.append(f"{unit} is started anew")
        elif not is_active(unit):
            told.append(f"{unit} is started")
        call(["systemctl", "start", "--no-block", unit])
    return told


def is_active(unit: str) -> bool:
    """Whether a unit runs."""
    with contextlib.suppress(UavTwinError):
        call(["systemctl", "is-active", "--quiet", unit])
        return True
    return False


def wait(until: Callable[[], bool], patience: float) -> bool:
    """Wait for a condition; whether it came."""
    deadline = time.monotonic() + patience
    while not until():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


# -- maintenance -----------------------------------------------------------------------------------------------------


def stop(args: argparse.Namespace) -> int:
    """Stop the service: it sells no more, has its twins move away, and ends."""
    host = load_host(args.directory)
    limit = float(host.parameters.get("drain_limit", 30.0))
    print(f"RSU {host.rsu} goes down: its twins have {limit:g} s to move to other RSUs", flush=True)
    call(["systemctl", "stop", unit_name(host.rsu)])
    left = hosted(args.directory)
    print("stopped; no twin is left here" if not left else f"stopped; {left} twins stay in its store until it is back")
    return 0


def start(args: argparse.Namespace) -> int:
    """Start the service, and wait until it sells. Returns 1 where it does not."""
    from uav_twin_migration.cli.doctor import heard_of

    host = load_host(args.directory)
    call(["systemctl", "start", unit_name(host.rsu)])
    found: dict[str, str] = {}

    def sells() -> bool:
        found.update(heard_of(args.directory, host, LOOK))
        return "price" in found

    if not wait(sells, PATIENCE):
        raise UavTwinError(f"RSU {host.rsu} was started and is not heard: uavtwin doctor {args.directory}")
    trouble = found.get("trouble")
    print(f"RSU {host.rsu} sells; " + (trouble or f"twins here: {found.get('twins', 'none')}"))
    return 0


def hosted(directory: Path) -> int:
    """Twins that are in the store as hosted; 0 where there is no store."""
    from uav_twin_migration.twin.hosting.store_reader import StoreReader
    from uav_twin_migration.twin.protocol.replica_state import Status

    file = store_of(directory)
    if not file.exists():
        return 0
    with contextlib.closing(StoreReader(file)) as reader:
        kept = (Status.HOSTING, Status.HANDING_OVER)
        return sum(stored.record.status in kept for stored in reader.load().values())


# -- backups ---------------------------------------------------------------------------------------------------------


def store_of(directory: Path) -> Path:
    """Where the twins of a host are. Raises InputError."""
    return Path(load_host(directory).node_parameters(directory)["twin_store"] or directory / STORE / STORE_FILE)


def backup(args: argparse.Namespace) -> int:
    """Copy the store as it is at one instant."""
    from uav_twin_migration.twin.hosting.backup import copy_store

    twins, size = copy_store(store_of(args.directory), args.output)
    print(f"{args.output}: {twins} twins, {size / 1e6:.1f} MB")
    return 0


def restore(args: argparse.Namespace) -> int:
    """Put a backup in the store's place; what was there stays beside it."""
    from uav_twin_migration.twin.hosting.backup import restore_store

    host = load_host(args.directory)
    aside = restore_store(store_of(args.directory), args.backup, host.rsu)
    print(f"{store_of(args.directory)} is {args.backup} now" + (f"; what was there is {aside}" if aside else ""))
    print("What was acknowledged since is taken from replicas where other RSUs have them, and else lost: UAVs say so.")
    return 0
