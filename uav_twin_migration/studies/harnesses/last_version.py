"""The last version of this package, which a city is upgraded from: it ran, and left its RSUs' stores.

`UAVTWIN_DAYS_LAST` names a command that runs the last version's `uavtwin` in an environment of its own: `uavtwin` of a
checkout, or a script. It flies the same scenario, all of it, by its own nodes; then everything is stopped, as when a
region is upgraded in one night, and this version begins on the stores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import yaml

from uav_twin_migration.deployment.host_directory import STORE, STORE_FILE, read_yaml
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.twin.hosting.inspection import inspect
from uav_twin_migration.twin.hosting.store_reader import StoreReader

COMMAND = "UAVTWIN_DAYS_LAST"
KEPT = ("HOME", "LANG", "TMPDIR", "USER")  # of the environment; all else is of this version
LONGEST = 600.0  # s that its run may take beyond its duration: it may have to be set up
KNOWN = ("name", "origin", "rsus", "uavs", "buildings")  # of a scenario, to every version; for all else it has defaults
STORES = ("--twin-stores", "--twins")  # the option, as versions call it


class Left(NamedTuple):
    """What the last version left of a twin."""

    epoch: int
    records: int  # of telemetry


def last_command() -> str:
    """The last version's command; empty where there is none. Raises InputError."""
    command = os.environ.get(COMMAND, "")
    if command and not os.access(command, os.X_OK):
        raise InputError("environment", COMMAND, command, "a command that runs the last version's uavtwin")
    return str(Path(command).absolute()) if command else ""


def fly(command: str, scenario: str, stores: Path, seconds: float, speed: float) -> str:
    """Have the last version fly a scenario and keep its stores. Returns its name. Raises UavTwinError."""
    known = {key: value for key, value in read_yaml(Path(scenario)).items() if key in KNOWN}
    city = stores.parent / "last.yaml"
    city.write_text(yaml.safe_dump(known))
    option = next(option for option in STORES if option in said(command, ["sim", "--help"]))
    arguments = ["sim", str(city), "--duration", f"{seconds * speed:g}", "--real-time-factor", f"{speed:g}", "--plain"]
    said(command, [*arguments, option, str(stores)], seconds + LONGEST)
    return said(command, ["--version"]).strip() or "the last version"


def said(command: str, arguments: list[str], patience: float = LONGEST) -> str:
    """What the last version prints. Raises UavTwinError where it fails."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    own = str(Path(sys.prefix) / "bin")
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment["ROS_DOMAIN_ID"] = str(int(os.environ.get("ROS_DOMAIN_ID", "0")) % 100 + 1)  # ours is taken
    environment["PATH"] = os.pathsep.join(folder for folder in path if folder != own)
    try:
        done = subprocess.run(  # elsewhere: its Python may look for modules where it begins, and find this version's
            [command, *arguments], env=environment, cwd=os.sep, capture_output=True, text=True, timeout=patience
        )
    except subprocess.TimeoutExpired as error:
        raise UavTwinError(f"{command} {arguments[0]} has not ended within {patience:.0f} s") from error
    if done.returncode != 0:
        last = " / ".join((done.stderr or done.stdout).splitlines()[-3:])
        raise UavTwinError(f"{command} {' '.join(arguments)} failed, exit code {done.returncode}: {last}")
    return done.stdout


def take_over(stores: Path, folder: Path, rsus: list[str]) -> dict[str, Left]:
    """Put its stores where this version's RSUs look for them. Returns the newest of each twin, by UAV.

    folder: has the RSUs' host directories. Raises StoreError where a store of it is damaged, or UavTwinError.
    """
    left: dict[str, Left] = {}
    for rsu in rsus:
        store = folder / rsu / STORE
        for file in stores.glob(f"{rsu}.db*"):
            shutil.copyfile(file, store / file.name.replace(f"{rsu}.db", STORE_FILE, 1))
        with closing(StoreReader(store / STORE_FILE)) as reader:
            for twin in inspect(reader):
                if twin.problems:
                    raise UavTwinError(f"{twin.uav}'s twin, as the last version left it: {'; '.join(twin.problems)}")
                if twin.state == "hosting" and twin.epoch > left.get(twin.uav, Left(0, 0)).epoch:
                    left[twin.uav] = Left(twin.epoch, twin.records)
    return left
