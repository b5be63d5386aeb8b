"""Examine a host before and while an RSU runs on it; say what is wrong, and what to do about it.

With DIR, as `uavtwin rsu init` wrote it: that RSU's host. Without: what any host of this package needs. Exits with 1
where something is wrong that keeps an RSU from working. As root it looks at files as the user whose the store is.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from uav_twin_migration.cli.markets import write
from uav_twin_migration.deployment import checks
from uav_twin_migration.deployment.checks import (
    ERROR,
    OK,
    UNKNOWN,
    WARNING,
    Finding,
)
from uav_twin_migration.deployment.host_directory import (
    STORE,
    EdgeHost,
)
from uav_twin_migration.errors import InputError

MARKS = {OK: "ok     ", WARNING: "warning", ERROR: "ERROR  ", UNKNOWN: "unknown"}
BEFORE = (
    *("yaml", "cryptography.x509", "uav_twin_migration.scenario.parameters"),
    *("uav_twin_migration.security.certificates", "uav_twin_migration.security.revocation"),
    *("uav_twin_migration.security.message_signature", "uav_twin_migration.twin.hosting.store_reader"),
)
START = 20.0  # s that the listening process may take beyond its listening


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin doctor`."""
    parser.add_argument("directory", nargs="?", metavar="DIR", type=Path, help="an RSU's host directory")
    parser.add_argument(
        "--listen", type=float, default=3.0, metavar="S", help="listen to the market (default 3; 0: not)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the findings as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Returns 0 where nothing is wrong, 1 where something is."""
    if not 0.0 <= args.listen <= 3600.0:
        raise InputError("command line", "--listen", args.listen, "a number of seconds from 0 to 3600")
    findings = examine(args.directory, args.listen)
    if args.json:
        write({"findings": [finding._asdict() for finding in findings]}, args.json)
    if args.json != "-":
        print("\n".join(map(tell, findings)))
    return 1 if any(finding.status == ERROR for finding in findings) else 0


def tell(finding: Finding) -> str:
    """A finding for people."""
    line = f"{MARKS[finding.status]}  {finding.check:<11} {finding.detail}"
    return f"{line}\n{'':<22}-> {finding.hint}" if finding.hint else line


def examine(directory: Path | None, patience: float) -> list[Finding]:
    """All checks. patience: s to listen to the market."""
    host: EdgeHost | None = None
    findings: list[Finding] = []
    environment: Mapping[str, str] = os.environ
    if directory is not None:
        with as_owner(directory):
            host, findings = checks.check_directory(directory)
        environment = {**os.environ, **(host.variables(directory) if host else {})}
    findings += guarded("machine", lambda: checks.check_machine(platform.machine(), environment))
    findings += guarded("ros", lambda: checks.check_ros(environment, source_of("rclpy")))
    findings += guarded("interfaces", lambda: checks.check_interfaces(source_of("uav_twin_migration.msg")))
    findings += guarded("middleware", lambda: check_middleware(environment))
    heard = listen(patience, environment, region_of(host)) if patience > 0.0 else Unheard("not listened to")
    if isinstance(heard, Unheard):
        findings.append(Finding("market", UNKNOWN, heard.why))
        heard = {"ages": {}, "states": {}, "nodes": []}
    else:
        findings.append(Finding("market", OK, f"{len(heard['ages'])} RSUs post offers, {len(heard['nodes'])} nodes"))
    rsu = host.rsu if host else ""
    others = {id_: age for id_, age in heard["ages"].items() if id_ != rsu}
    findings += guarded("clock", lambda: checks.check_clocks(others, time_service()))
    if host is not None and directory is not None:
        findings += of_host(host, directory, heard)
    else:
        findings += guarded("disk", lambda: checks.check_disk(shutil.disk_usage(".").free, Path.cwd()))
    return findings


def of_host(host: EdgeHost, directory: Path, heard: Mapping[str, Any]) -> list[Finding]:
    """The checks of one RSU's host."""
    with as_owner(directory):
        return of_files(host, directory, heard)


def of_files(host: EdgeHost, directory: Path, heard: Mapping[str, Any]) -> list[Finding]:
    """The same, by whoever may read them."""
    store = directory / STORE
    running = f"rsu/{host.rsu}" in heard["states"]
    now = datetime.datetime.now(datetime.timezone.utc)
    return [
        *guarded("discovery", lambda: checks.check_discovery(host.servers, peers=host.peers)),
        *guarded("port", lambda: checks.check_port(host.address, running)),
        *guarded("keys", lambda: checks.check_keys(directory, host.rsu, now)),
        *guarded("signing_key", lambda: checks.check_signing_key(directory, host.rsu, now)),
        *guarded("learners", lambda: checks.check_learners(directory)),
        *guarded("store", lambda: checks.check_store(directory, host.rsu)),
        *guarded("disk", lambda: checks.check_disk(shutil.disk_usage(store).free, store)),
        *guarded("running", lambda: checks.check_running(host.rsu, heard["states"], heard["nodes"])),
        *guarded("hearing", lambda: checks.check_hearing(host.rsu, heard["states"], heard["ages"])),
    ]


@contextlib.contextmanager
def as_owner(directory: Path) -> Iterator[None]:
    """Be, if this is root, the user whose store it is: SQLite makes files beside a store, even to look into it."""
    owner = None
    with contextlib.suppress(OSError):
        owner = (directory / STORE).stat()
    if os.geteuid() != 0 or owner is None or owner.st_uid == 0:
        yield
        return
    for module in BEFORE:  # which that user may not be able to read
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    groups = os.getgroups()
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def heard_of(directory: Path, host: EdgeHost, patience: float) -> dict[str, str]:
    """What an RSU says of itself within `patience` seconds; empty where it is not heard."""
    found = listen(patience, {**os.environ, **host.variables(directory)}, region_of(host))
    return {} if isinstance(found, Unheard) else dict(found["states"].get(f"rsu/{host.rsu}", {}))


def guarded(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """A check's findings; where it fails itself, that: the others still count."""
    try:
        return check()
    except Exception as error:
        return [Finding(name, UNKNOWN, f"could not be examined: {type(error).__name__}: {error}")]


def check_middleware(environment: Mapping[str, str]) -> list[Finding]:
    """The middleware that this environment asks for."""
    wanted = environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    return checks.check_middleware(wanted, checks.installed_middlewares(environment))


def source_of(module: str) -> str | None:
    """Where a module would be imported from; None for nowhere."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if found is None:
        return None
    return found.origin or next(iter(found.submodule_search_locations or ()), None)


def time_service() -> bool | None:
    """Whether a time service keeps this host's clock; None where nobody knows."""
    if shutil.which("timedatectl") is None:
        return None
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(answer)


class Unheard(NamedTuple):
    """The market could not be listened to."""

    why: str


def region_of(host: EdgeHost | None) -> str:
    """The region of a host's RSU."""
    return str(host.parameters.get("region", "")) if host else ""


def listen(patience: float, environment: Mapping[str, str], region: str = "") -> dict[str, Any] | Unheard:
    """What the market says within `patience` seconds, heard by a process of its own; see nodes/probe.py."""
    command = [sys.executable, "-m", "uav_twin_migration.nodes.probe", str(patience), region]
    try:
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=patience + START)
    except subprocess.TimeoutExpired:
        return Unheard("the middleware hangs; see that no old process of it is left, and /dev/shm is not full")
    try:
        heard: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return Unheard(f"cannot be listened to: {last[0]}")
    return heard
