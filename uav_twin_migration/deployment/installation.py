"""Puts an RSU's host directory to work on its host: user, files, units, permissions; says what it changed.

What is wanted is listed first, then compared with what is there: done again, nothing is left to do. Root owns all but
the store and the keys, so that who takes the service changes neither its parameters nor its units.

    /etc/uavtwin/environment    the variables with which the command line runs here, of ROS 2 and Python
    /usr/local/bin/uavtwin      the command line with them, for whoever may sudo
    AT/                         the host's directory, where its parameters say that it lies
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from uav_twin_migration.deployment.host_directory import (
    FAST_DDS_FILE,
    HOST_FILE,
    KEYS,
    LEARNERS,
    PARAMETERS_FILE,
    PLUGINS,
    STORE,
    WRITTEN,
    check_parameters,
    load_host,
    read_parameters,
    read_yaml,
)
from uav_twin_migration.deployment.merging import merge
from uav_twin_migration.deployment.systemd_unit import Launcher, discovery_unit, metrics_unit, unit, unit_name
from uav_twin_migration.errors import InputError, UavTwinError

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
    """What the operator wants."""

    user: str = "uavtwin"
    metrics: str = ""  # ADDRESS:PORT; empty for no such unit
    discovery: int | None = None  # the number of the discovery server that runs here
    discovery_port: int = 11811
    root: Path = Path("/")  # where the host's files are, for an image that is being made


def plan(directory: Path, choices: Choices) -> list[Change]:
    """What is left to do, in order. Raises InputError, UavTwinError."""
    changes = [] if has_user(choices) else [Change(f"user {choices.user} is made", lambda: add_user(choices))]
    for wanted in listed(directory, choices):
        changes += compared(wanted, choices)
    return changes


def has_user(choices: Choices) -> bool:
    """Whether the service's user is there."""
    try:
        pwd.getpwnam(choices.user)
    except KeyError:
        return False
    return True


def add_user(choices: Choices) -> None:
    """Make it. Raises UavTwinError."""
    call(["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", choices.user])


def listed(directory: Path, choices: Choices) -> Iterator[Wanted]:
    """All files and folders. Raises InputError."""
    host, parameters = load_host(directory), read_parameters(directory)
    at = lies_at(directory, parameters)
    to, user = under(choices.root, at), choices.user
    name = unit_name(host.rsu)
    files = dict(configuration(directory, to))
    digest = hashlib.sha256(b"".join(files.values())).hexdigest()[:12]
    launcher = Launcher(f"{sys.executable} -m uav_twin_migration.cli", str(ENVIRONMENT))
    yield Wanted(under(choices.root, ENVIRONMENT.parent), None, 0o755, ROOT)
    yield Wanted(under(choices.root, ENVIRONMENT), environment(), 0o644, ROOT, name)
    yield Wanted(under(choices.root, COMMAND), command(), 0o755, ROOT)
    yield Wanted(to, None, 0o755, ROOT)
    for folder, mode in ((KEYS, 0o700), (STORE, 0o700)):
        yield Wanted(to / folder, None, mode, user)
    for folder in (LEARNERS, PLUGINS, WRITTEN):
        yield Wanted(to / folder, None, 0o755, ROOT)
    for file, content in files.items():
        private = file.parent.name == KEYS or file.name == PARAMETERS_FILE
        owner = user if private and file.parent.name != WRITTEN else ROOT
        yield Wanted(file, content, 0o600 if private else 0o644, owner, name)
    units = [(name, unit(host.rsu, at, launcher, user, "install") + f"# configuration {digest}\n")]
    if choices.metrics:
        units.append(metrics_unit(at, launcher, user, choices.metrics))
    if choices.discovery is not None:
        units.append(discovery_unit(choices.discovery, choices.discovery_port, launcher, user))
    for file_name, text in units:
        yield Wanted(choices.root / UNITS / file_name, text.encode(), 0o644, ROOT, file_name)


def lies_at(directory: Path, parameters: dict[str, Any]) -> Path:
    """Where the host's directory belongs, as its parameters say. Raises InputError."""
    store = Path(str(parameters.get("twin_store", "")))
    if not store.is_absolute() or store.parent.name != STORE:
        where = str(directory / PARAMETERS_FILE)
        raise InputError(where, "twin_store", str(store), f"DIR/{STORE}/FILE, as `uavtwin rsu init --at DIR` writes it")
    return store.parent.parent


def configuration(directory: Path, to: Path) -> Iterator[tuple[Path, bytes]]:
    """The files that are copied, merged with what the operator changed where they go. Raises InputError."""
    for name in (HOST_FILE, PARAMETERS_FILE):
        new = document(directory / name)
        own = document(to / name) if (to / name).exists() else {}
        base = document(to / WRITTEN / name) if (to / WRITTEN / name).exists() else own
        merged = own if directory.resolve() == to.resolve() else merge(base, own, new).values
        if name == PARAMETERS_FILE:
            check_parameters(merged, str(to / name))
        yield to / name, dumped(name, merged)
        yield to / WRITTEN / name, dumped(name, base if directory.resolve() == to.resolve() else new)
    for file in sorted(directory.rglob("*")):
        part = file.relative_to(directory)
        if file.is_file() and (part.parts[0] in (KEYS, LEARNERS, PLUGINS) or part.name in COPIED):
            yield to / part, file.read_bytes()


COPIED = (FAST_DDS_FILE, "sros2-policy.xml")


def document(file: Path) -> dict[str, Any]:
    """host.yaml, or the parameters in rsu.yaml. Raises InputError."""
    return read_parameters(file.parent) if file.name == PARAMETERS_FILE else read_yaml(file)


def dumped(name: str, values: dict[str, Any]) -> bytes:
    """Such a file's content."""
    rsu = values.get("rsu_id", "")
    whole = {f"/rsu/{rsu}/rsu": {"ros__parameters": values}} if name == PARAMETERS_FILE else values
    return yaml.safe_dump(whole, sort_keys=False).encode()


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


def compared(wanted: Wanted, choices: Choices) -> Iterator[Change]:
    """What is to be done about one file or folder."""
    path, shown = wanted.path, f"/{wanted.path.relative_to(choices.root)}"
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
    """Which settings change in a file of them."""
    if path.name not in (HOST_FILE, PARAMETERS_FILE) or path.parent.name == WRITTEN:
        return ""
    before = document(path)
    after = yaml.safe_load(content)
    if path.name == PARAMETERS_FILE:
        after = next(iter(after.values()))["ros__parameters"]
    return "".join(f"\n    {line}" for line in merge(before, before, after).changes)


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
