"""Host directories as earlier versions wrote them: read as today's, and brought over with a copy of what was there.

Before the release of 0.2 an RSU's parameters were in a file of their own, rsu.yaml, a ROS parameters file with all
places in the directory written out. 0.1 called some of them otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uav_twin_migration.deployment.host_directory import EARLIER_FILE, HOST_FILE, KEYS, WRITTEN, files_in, read_yaml
from uav_twin_migration.errors import InputError

ASIDE = "earlier"  # the folder with the files as they were
RENAMED = {"seal": "signing_key", "require_uav_seals": "require_uav_signatures", "substitutability": "rho"}
USUAL = {"use_sim_time": False, "drain_on_stop": True}  # on a host, without being said


def joined(document: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """host.yaml's content and what stands in rsu.yaml, as one. Raises InputError."""
    file = directory / EARLIER_FILE
    for entry in read_yaml(file).values():
        if isinstance(entry, dict) and isinstance(entry.get("ros__parameters"), dict):
            values = {RENAMED.get(name, name): value for name, value in entry["ros__parameters"].items()}
            break
    else:
        raise InputError(str(file), "ros__parameters", None, "the RSU's parameters")
    rsu = values.pop("rsu_id", None)
    if rsu != document.get("rsu"):
        raise InputError(str(file), "rsu_id", rsu, f"{document.get('rsu')!r}, as host.yaml says")
    values = {name: value for name, value in values.items() if USUAL.get(name) is not value}
    home = Path(str(values.get("learners", ""))).parent
    for name, usual in files_in(rsu).items():
        place = Path(str(values.get(name, "")))
        if home.is_absolute() and place.is_relative_to(home):
            values[name] = str(place.relative_to(home))
        if values.get(name) == usual:
            del values[name]
    if values.get("signing_key") == f"{KEYS}/{rsu}.seal" and (directory / KEYS / f"{rsu}.signing").exists():
        del values["signing_key"]  # 0.1's is not believed any more
    at = {"at": str(home)} if home.is_absolute() and home != Path("/etc/uavtwin", rsu) else {}
    return {**document, **at, "parameters": values}


def copies(directory: Path) -> dict[str, bytes]:
    """The files of an earlier version's directory, by where in it a copy of them goes; none where it is today's."""
    if "parameters" in read_yaml(directory / HOST_FILE) or not (directory / EARLIER_FILE).exists():
        return {}
    return {f"{ASIDE}/{name}": (directory / name).read_bytes() for name in (HOST_FILE, EARLIER_FILE)}


def left_over(directory: Path) -> list[Path]:
    """The files that host.yaml makes superfluous, once it has their content."""
    return [file for folder in (directory, directory / WRITTEN) if (file := folder / EARLIER_FILE).exists()]


def told(directory: Path) -> str:
    """What becomes of them."""
    return f"{HOST_FILE} has all settings now; what it and {EARLIER_FILE} were is in {directory / ASIDE}"
