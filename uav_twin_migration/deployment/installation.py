"""Puts an RSU's host directory to work on its host: user, files, units, permissions; says what it changed.

What is wanted is listed first, then compared with what is there: done again, nothing is left to do. Root owns all but
the store, the keys and host.yaml, and the units let the services write the store alone, so that who takes one changes
neither its parameters nor its units.

    /etc/uavtwin/environment    the variables with which the command line runs here, of ROS 2 and Python
    /usr/local/bin/uavtwin      the command line with them, for whoever may sudo
    AT/                         the host's directory: /etc/uavtwin/RSU, or as `at` in host.yaml says
    /etc/systemd/system/        the units
"""

from __future__ import annotations

import functools
import grp
import hashlib
import os
import pwd
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

from uav_twin_migration.deployment import earlier_directories
from uav_twin_migration.deployment.host_directory import (
    DISCOVERY_PORT,
    EARLIER_FILE,
    FAST_DDS_FILE,
    HOST_FILE,
    KEYS,
    LEARNERS,
    PLUGINS,
    STORE,
    WRITTEN,
    EdgeHost,
    check_parameters,
    host_of,
    is_earlier,
    load_host,
)
from uav_twin_migration.deployment.merging import merge
from uav_twin_migration.deployment.systemd_unit import Launcher, discovery_unit, metrics_unit, unit, unit_name
from uav_twin_migration.errors import UavTwinError

ENVIRONMENT, COMMAND, UNITS = Path("/etc/uavtwin/environment"), Path("/usr/local/bin/uavtwin"), "etc/systemd/system"
VARIABLES = (
    *("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "VIRTUAL_ENV", "RMW_IMPLEMENTATION"),
    *("ROS_DISTRO", "ROS_VERSION", "ROS_PYTHON_VERSION", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"),
)
PACKAGE = Path(__file__).resolve().parents[1]
ROOT = "root"


class Wanted(NamedTuple):
    """A file or folder as it shall be. content: None for a folder."""

    path: Path
    content: bytes | None
    mode: int
    owner: str
    restarts: str = ""  # the unit that has to start anew when it changes


class Change(NamedTuple):
    """Something to do."""

    what: str
    do: Callable[[], None]
    restarts: str = ""


class Choices(NamedTuple):
    """What the operator wants that may differ from what host.yaml says, which then says it; and where."""

    user: str | None = None
    metrics: str | None = None
    discovery: int | None = None
    root: Path = Path("/")  # where the host's files are, for an image that is being made

    @property
    def given(self) -> dict[str, Any]:
        """The settings among them."""
        return {name: value for name, value in self._asdict().items() if name != "root" and value is not None}


def plan(directory: Path, choices: Choices) -> list[Change]:
    """What is left to do, in order. Raises InputError, UavTwinError."""
    host, files = installed(directory, choices)
    changes = [] if has_user(host.user) else [Change(f"user {host.user} is made", lambda: add_user(host.user))]
    for wanted in listed(directory, host, files, choices.root):
        changes += compared(wanted, choices.root)
    left = earlier_directories.left_over(under(choices.root, host.home))
    return changes + [
        Change(f"/{file.relative_to(choices.root)} goes: host.yaml has all of it", file.unlink) for file in left
    ]


def installed(directory: Path, choices: Choices) -> tuple[EdgeHost, dict[str, bytes]]:
    """What the host says once it is installed, and the files that say so, by their places. Raises InputError."""
    brought = load_host(directory)
    check_parameters(brought, directory)
    to = under(choices.root, brought.home)
    in_place = directory.resolve() == to.resolve()
    files, _ = settings_files(to, None if in_place else brought, choices.given)
    host = host_of(yaml.safe_load(files[HOST_FILE]), str(to / HOST_FILE))
    check_parameters(host, to)
    return host, files


def settings_files(
    to: Path, new: EdgeHost | None, given: Mapping[str, Any] = MappingProxyType({})
) -> tuple[dict[str, bytes], list[str]]:
    """The settings of a directory, brought up to date: files by their places in it, and what changes in them.

    new: what is to be there; None for what is there. given: what overrides both. Raises InputError.
    """
    own = load_host(to).document() if (to / HOST_FILE).exists() else {}
    base = load_host(to / WRITTEN).document() if (to / WRITTEN / HOST_FILE).exists() else own
    wanted = new.document() if new else own
    merged = merge(base, own, wanted)
    values = {**merged.values, **given}
    whole = dumped(values) if values != own or is_earlier(to) else (to / HOST_FILE).read_bytes()  # with its comments
    copies = earlier_directories.copies(to) if is_earlier(to) else {}
    told = [*merged.changes, *merged.kept, *([earlier_directories.told(to)] if copies else [])]
    return {**copies, HOST_FILE: whole, f"{WRITTEN}/{HOST_FILE}": dumped(wanted if new else base)}, told


def has_user(user: str) -> bool:
    """Whether the service's user is there."""
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def add_user(user: str) -> None:
    """Make it. Raises UavTwinError."""
    call(["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", user])


def listed(directory: Path, host: EdgeHost, settings: Mapping[str, bytes], root: Path) -> Iterator[Wanted]:
    """All files and folders. settings: content by places in the host's directory."""
    at, user, name = host.home, host.user, unit_name(host.rsu)
    to = under(root, at)
    beside = beside_settings(directory)
    digest = hashlib.sha256(b"".join([settings[HOST_FILE], *beside.values()])).hexdigest()[:12]
    launcher = Launcher(f"{sys.executable} -m uav_twin_migration.cli", str(ENVIRONMENT))
    yield Wanted(under(root, ENVIRONMENT.parent), None, 0o755, ROOT)
    yield Wanted(under(root, ENVIRONMENT), environment(), 0o644, ROOT, name)
    yield Wanted(under(root, COMMAND), command(), 0o755, ROOT)
    yield Wanted(to, None, 0o755, ROOT)
    for folder in (KEYS, STORE):
        yield Wanted(to / folder, None, 0o700, user)
    for folder in (LEARNERS, PLUGINS, WRITTEN):
        yield Wanted(to / folder, None, 0o755, ROOT)
    for place, content in {**settings, **beside}.items():
        private = place == HOST_FILE or place.startswith(f"{KEYS}/")
        secret = private or Path(place).name in (HOST_FILE, EARLIER_FILE)
        yield Wanted(to / place, content, 0o600 if secret else 0o644, user if private else ROOT, name)
    units = [(name, unit(host.rsu, at, launcher, user) + f"# configuration {digest}\n")]
    if host.metrics:
        units.append(metrics_unit(at, launcher, user, host.metrics))
    if host.discovery is not None:
        units.append(discovery_unit(host.discovery, host.address[0], DISCOVERY_PORT, launcher, user))
    for file_name, text in units:
        yield Wanted(root / UNITS / file_name, text.encode(), 0o644, ROOT, file_name)


def beside_settings(directory: Path) -> dict[str, bytes]:
    """The files that are copied as they are, by their places in the host's directory."""
    found = {}
    for file in sorted(directory.rglob("*")):
        part = file.relative_to(directory)
        if file.is_file() and (part.parts[0] in (KEYS, LEARNERS, PLUGINS) or part.name in COPIED):
            found[str(part)] = file.read_bytes()
    return found


COPIED = (FAST_DDS_FILE, "sros2-policy.xml")


def dumped(values: Mapping[str, Any]) -> bytes:
    """The content of host.yaml."""
    return yaml.safe_dump({**values, "parameters": dict(values["parameters"])}, sort_keys=False).encode()


def environment() -> bytes:
    """The variables of this very process that the command line needs, and which code it is."""
    found = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    found.setdefault("PYTHONPATH", str(PACKAGE.parent))
    found["UAVTWIN_CODE"] = code()
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in found.items()).encode()


def code() -> str:
    """What tells this version of the package from others."""
    total = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        total.update(file.read_bytes())
    return total.hexdigest()[:12]


def command() -> bytes:
    """The script that is `uavtwin` for everybody on the host."""
    run = f'exec {sys.executable} -m uav_twin_migration.cli "$@"'
    return f"#!/bin/sh\nset -a\n. {ENVIRONMENT}\nset +a\n{run}\n".encode()


def under(root: Path, path: Path) -> Path:
    """A path of the host where its files are now."""
    return root / path.relative_to("/")


def compared(wanted: Wanted, root: Path) -> Iterator[Change]:
    """What is to be done about one file or folder."""
    path, shown = wanted.path, f"/{wanted.path.relative_to(root)}"
    if not path.exists():
        kind = "/ is made" if wanted.content is None else " is written"
        yield Change(f"{shown}{kind}, {wanted.owner}'s", lambda: put(wanted), wanted.restarts)
    elif wanted.content is not None and path.read_bytes() != wanted.content:
        yield Change(f"{shown} changes{differences(path, wanted.content)}", lambda: put(wanted), wanted.restarts)
    elif owner_of(path) != wanted.owner or path.stat().st_mode & 0o7777 != wanted.mode:
        yield Change(f"{shown} belongs to {wanted.owner}, mode {wanted.mode:o}", lambda: own(wanted))
    if wanted.content is None and path.name == STORE and path.is_dir():
        for file in sorted(path.iterdir()):
            if owner_of(file) != wanted.owner:
                mine = Wanted(file, None, file.stat().st_mode & 0o7777, wanted.owner)
                yield Change(f"{shown}/{file.name} belongs to {wanted.owner}", functools.partial(own, mine))


def differences(path: Path, content: bytes) -> str:
    """Which settings change in host.yaml."""
    if path.name != HOST_FILE or path.parent.name in (WRITTEN, earlier_directories.ASIDE):
        return ""
    before, after = load_host(path.parent).document(), host_of(yaml.safe_load(content), str(path)).document()
    lines = [*merge(before, before, after).changes]
    if is_earlier(path.parent):
        lines.append(earlier_directories.told(path.parent))
    return "".join(f"\n    {line}" for line in lines)


def owner_of(path: Path) -> str:
    """Whose file it is."""
    owner = path.stat().st_uid
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)


def put(wanted: Wanted) -> None:
    """Put a file or folder in place, a file whole or not at all."""
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    if wanted.content is None:
        wanted.path.mkdir(mode=wanted.mode)
        own(wanted)
        return
    passing = wanted._replace(path=wanted.path.with_name(f".{wanted.path.name}.new"))
    passing.path.touch(mode=0o600)
    passing.path.write_bytes(wanted.content)
    own(passing)
    passing.path.replace(wanted.path)


def own(wanted: Wanted) -> None:
    """Give it its owner and mode."""
    group = grp.getgrgid(pwd.getpwnam(wanted.owner).pw_gid).gr_name
    shutil.chown(wanted.path, wanted.owner, group)
    wanted.path.chmod(wanted.mode)


def unreadable(user: str) -> str:
    """The first folder on the way to the code that a service's user may not enter; empty where there is none."""
    for file in (Path(sys.executable), PACKAGE):
        for folder in file.absolute().parents:
            if folder != Path("/") and not folder.stat().st_mode & 0o001 and owner_of(folder) != user:
                return str(folder)
    return ""


def call(argv: Sequence[str]) -> None:
    """Run a command of the system. Raises UavTwinError."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UavTwinError(f"{argv[0]}: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise UavTwinError(f"{' '.join(argv)}: exit code {done.returncode}: {''.join(said)}")
