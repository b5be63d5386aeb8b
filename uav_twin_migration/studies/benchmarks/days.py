"""A day's load in two hours, twelve times as fast as real, with all that happens to hosts: what is lost, or grows?

Three RSUs as their hosts run them, with a discovery server, a UAV container of four UAVs, a world and a link node. In
turn: an RSU is restarted (SIGTERM, SIGKILL), the discovery server is killed and comes back, an RSU's keys are renewed,
an RSU's are revoked, a host is suspended (SIGSTOP), the disk of a store fills up and is freed. The first RSU is struck
by none but the discovery server. After each, every RSU has to serve again, and every twin to be served. Memory,
descriptors, threads, stores and logs are sampled, and the slope of each fitted. UAVTWIN_DAYS_MINUTES makes it shorter
or longer. Disks fill up for root alone, who may mount small ones.

Where UAVTWIN_DAYS_LAST names the last version's `uavtwin`, that flies the city first, and the day begins with the
upgrade of all of it: this version starts on the stores that the last one left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.cli.rsu_init import bring_keys
from uav_twin_migration.deployment.discovery import keep_to_this_machine
from uav_twin_migration.deployment.host_directory import KEYS, STORE
from uav_twin_migration.deployment.simulation import claim_domain
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.nodes import start
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.security.authority import make_keys, make_signing_keys, revoke
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.benchmarks.soak import (
    OF_ALL,
    OF_RSUS,
    Course,
    Quantity,
    Row,
    Sampler,
    Trend,
    conclude,
    in_figures,
    trend,
    worst,
    write_rows,
    write_trends,
)
from uav_twin_migration.studies.harnesses.last_version import COMMAND, Left, fly, last_command, take_over
from uav_twin_migration.studies.harnesses.long_running_city import PYTHON, LongRunningCity
from uav_twin_migration.studies.harnesses.ports import free_port

SUMMARY = "a day's load in two hours, with all that happens to hosts (UAVTWIN_DAYS_MINUTES for another duration)"
NEEDS = ("ros", "keys")  # groups of setup.py's REQUIREMENTS besides the command's

RSUS, UAVS = 3, 4
SPEED = 12.0  # simulated seconds in a second
TWIN_SIZE = 20.0  # Mbit
MINUTES = "UAVTWIN_DAYS_MINUTES"
DAY = Course(7200.0, 150.0, 5.0, 60.0)
DOWN = 2.0  # s between the end of a process and its next start, as in its systemd unit
LASTS = 20.0  # s that a host is suspended, or a disk full, at most
DISK = 192  # MB, of an RSU whose disk fills up; 64 of them it keeps free
DISCOVERY = "discovery"
BEFORE = 60.0  # s that the last version flies
LOG = Quantity("log", "log", "kB", lives_on=True)


class Strike(NamedTuple):
    """Something that happened."""

    name: str
    seconds: float  # since the beginning
    recovered: float  # s from its end until every RSU served and every twin was served


def run(directory: Path | None) -> list[Figure]:
    """A day, or as long as the environment says."""
    course = course_of(os.environ.get(MINUTES, ""))
    os.environ.update(dict.fromkeys(start.THREADS, "1"))  # nodes' matrices are small
    keep_to_this_machine()
    claim_domain()
    scenario = generate(RSUS, UAVS, seed=1)
    scenario = replace(scenario, uavs=tuple(replace(uav, twin_size=TWIN_SIZE) for uav in scenario.uavs))
    with tempfile.TemporaryDirectory(prefix="uavtwin-days-", dir=os.environ.get("TMPDIR")) as folder:
        domain = int(os.environ.get("ROS_DOMAIN_ID", "0"))
        city = LongRunningCity(Path(folder), scenario, SPEED, domain, record=False)
        city.make_hosts()
        with small_disk(city.folder / city.rsus[1] / STORE) as has_small_disk:
            left = upgrade(city)
            rows, strikes = live(city, course, has_small_disk)
            soaked = conclude(city, rows, [])
            city.stop()
    trends = trends_of(rows, course, city.rsus)
    if directory:
        write_rows(rows, directory / "days.csv")
        write_trends(trends, directory / "days_trends.csv")
    lost = {
        "twins moved": soaked.moved,
        "twins that began anew": soaked.lost,
        "twins that nobody served at the end": soaked.missing,
        "twins served by two RSUs": soaked.duplicated,
        "rounds with more under lease than an RSU has": soaked.oversold,
        "rounds heard": soaked.rounds,
    }
    if left:
        lost["twins of the last version"] = len(left)
    counted = [Figure(name, float(count), "") for name, count in lost.items()]
    return [*slopes_of(trends, city.rsus), *recoveries_of(strikes), *counted]


def course_of(minutes: str) -> Course:
    """The course of so many minutes; of a day where nothing is said. Raises InputError."""
    try:
        duration = 60.0 * float(minutes) if minutes else DAY.duration
    except ValueError:
        duration = float("nan")
    if not 120.0 <= duration <= 1e7:
        raise InputError("environment", MINUTES, minutes, "minutes, at least 2")
    shrink = min(duration / 2400.0, 1.0)  # below forty minutes all comes faster
    every = max(DAY.restart_every * shrink, 20.0)
    return Course(duration, every, max(DAY.sample_every * shrink, 1.0), DAY.warm_up * shrink)


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A disk of its own for a folder; whether there is one."""
    options = ["-t", "tmpfs", "-o", f"size={DISK}m,mode=0700", "uavtwin-days", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True).returncode == 0
    if not mounted:
        print("  NO DISK FILLS UP, nothing is shown of that: only root may mount a small one", file=sys.stderr)
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], capture_output=True)


def upgrade(city: LongRunningCity) -> dict[str, Left]:
    """Have the last version fly, and this one find what it left. Returns that: nothing where there is no last version.

    A twin that begins anew from now on counts as lost. Raises UavTwinError.
    """
    command = last_command()
    if not command:
        print(f"  NOTHING IS UPGRADED: {COMMAND} names no command of the last version", file=sys.stderr)
        return {}
    with tempfile.TemporaryDirectory(prefix="uavtwin-last-", dir=city.folder) as stores:
        version = fly(command, city.file, Path(stores), BEFORE, SPEED)
        left = take_over(Path(stores), city.folder, city.rsus)
    missing = [uav.id for uav in city.scenario.uavs if uav.id not in left]
    if missing:
        raise UavTwinError(f"{version} left no twin of {', '.join(missing)}")
    for uav, twin in left.items():
        city.hearing.twins.on_known(uav, twin.epoch)
    records = sum(twin.records for twin in left.values())
    print(f"  {version} has left {len(left)} twins with {records} records of telemetry", file=sys.stderr, flush=True)
    return left


# -- the day -----------------------------------------------------------------------------------------------------------


def live(city: LongRunningCity, course: Course, has_small_disk: bool) -> tuple[list[Row], list[Strike]]:
    """The day. Raises UavTwinError where a process ends by itself, or something does not come back."""
    rows: list[Row] = []
    strikes: list[Strike] = []
    try:
        port = free_port()
        os.environ["ROS_DISCOVERY_SERVER"] = f"127.0.0.1:{port}"
        verb = ["rsu", "discovery", "--address", "127.0.0.1", "--port", str(port)]
        city.start_beside(DISCOVERY, [*PYTHON, "uav_twin_migration.cli", *verb])
        city.start_processes()
        list_of = happenings(city, min(LASTS, course.restart_every / 3.0), has_small_disk)
        began = time.monotonic()
        sampler, strike_at = Sampler(city, began), began + course.restart_every
        while (now := time.monotonic()) < began + course.duration:
            if now >= strike_at:
                name, do = list_of[len(strikes) % len(list_of)]
                do()
                strikes.append(Strike(name, now - began, wait_until_whole(city)))
                strike_at = now + course.restart_every
                tell(strikes[-1], rows, city)
            time.sleep(course.sample_every)
            city.check()
            rows += sampler.sample()
    except BaseException:
        city.stop()
        raise
    return rows, strikes


def wait_until_whole(city: LongRunningCity) -> float:
    """Wait until every RSU serves, and every twin is served. Returns how long that took, s. Raises UavTwinError."""
    since, hearing = time.monotonic(), city.hearing
    city.wait_for(lambda: all(grants[-1] > since for grants in hearing.grants.values()), "a grant of every RSU")
    city.wait_for(lambda: all(at > since for at in hearing.states.values()), "a state of every twin")
    return time.monotonic() - since


def happenings(city: LongRunningCity, lasts: float, has_small_disk: bool) -> list[tuple[str, Callable[[], None]]]:
    """What happens, in turn. lasts: s that a host is suspended, or a disk full."""
    _, second, third = city.rsus
    full = [("a disk is full", lambda: fill_disk(city.folder / second / STORE, lasts))] if has_small_disk else []
    return [
        ("an RSU is stopped", lambda: restart(city, second, signal.SIGTERM)),
        ("the discovery server is killed", lambda: restart(city, DISCOVERY, signal.SIGKILL)),
        ("an RSU's keys are renewed", lambda: renew_keys(city, third)),
        *full,
        ("an RSU is killed", lambda: restart(city, third, signal.SIGKILL)),
        ("a host is suspended", lambda: suspend(city, second, lasts)),
        ("an RSU's keys are revoked", lambda: revoke_keys(city, second)),
        ("the discovery server and an RSU are killed", lambda: restart_both(city, third)),
    ]


def restart(city: LongRunningCity, name: str, way: signal.Signals) -> None:
    """A process ends, and begins again."""
    city.end_process(name, way)
    time.sleep(DOWN)
    city.start_process(name)


def restart_both(city: LongRunningCity, rsu: str) -> None:
    """The discovery server and an RSU end at the same time, as with the power of a house."""
    for name in (DISCOVERY, rsu):
        city.end_process(name, signal.SIGKILL)
    time.sleep(DOWN)
    for name in (DISCOVERY, rsu):
        city.start_process(name)


def renew_keys(city: LongRunningCity, rsu: str) -> None:
    """New keys for an RSU; what it signs with counts from its next start on."""
    keys = city.folder / "keys"
    make_keys(keys, [rsu], renew=True)
    make_signing_keys(keys, [rsu], renew=True)
    bring_keys(keys, city.folder / rsu / KEYS, rsu)
    restart(city, rsu, signal.SIGTERM)


def revoke_keys(city: LongRunningCity, rsu: str) -> None:
    """All keys of an RSU are revoked, everywhere, and it gets new ones."""
    keys = city.folder / "keys"
    revoke(keys, [rsu])
    for one in city.rsus:
        bring_keys(keys, city.folder / one / KEYS, one)
    restart(city, rsu, signal.SIGTERM)


def suspend(city: LongRunningCity, rsu: str, lasts: float) -> None:
    """A host sleeps."""
    city.processes[rsu].send_signal(signal.SIGSTOP)
    time.sleep(lasts)
    city.processes[rsu].send_signal(signal.SIGCONT)


def fill_disk(folder: Path, lasts: float) -> None:
    """Nothing more fits on an RSU's disk for some time."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
    except OSError:
        time.sleep(lasts)
    finally:
        filler.unlink(missing_ok=True)


# -- what it says ------------------------------------------------------------------------------------------------------


def trends_of(rows: list[Row], course: Course, rsus: list[str]) -> list[Trend]:
    """How everything went, of every process; of what begins anew with a process, without its first minute."""
    trends = []
    for process in dict.fromkeys(row.process for row in rows):
        own = [row for row in rows if row.process == process and row.age >= course.warm_up]
        if own:
            trends += [trend(own, quantity) for quantity in ((*OF_RSUS, LOG) if process in rsus else OF_ALL)]
    return trends


def slopes_of(trends: list[Trend], rsus: list[str]) -> list[Figure]:
    """The RSU that ran through, and the worst of all others."""
    through = [one for one in trends if one.process == rsus[0]]
    rest = [one for one in trends if one.process != rsus[0]]
    figures = [figure for one in through for figure in in_figures("RSU that ran through", one)]
    return figures + [figure for quantity in OF_ALL for figure in in_figures("worst other", worst(rest, quantity))]


def recoveries_of(strikes: list[Strike]) -> list[Figure]:
    """How often everything happened, and how long after it all was well again at most."""
    figures = []
    for name in dict.fromkeys(one.name for one in strikes):
        times = [one.recovered for one in strikes if one.name == name]
        figures += [Figure(f"{name}: times", len(times), ""), Figure(f"{name}: all is well after", max(times), "s")]
    return figures


def tell(strike: Strike, rows: list[Row], city: LongRunningCity) -> None:
    """Progress."""
    print(
        f"  {strike.seconds / 60.0:.1f} min: {strike.name}, all well {strike.recovered:.1f} s later; "
        f"{city.told_of_twins()}",
        file=sys.stderr,
        flush=True,
    )
