"""Set an RSU's host up, and run its RSU.

`init` writes a directory with what one RSU's host needs and nothing else: copy it to the host. `run` runs the RSU of
such a directory in the foreground, as the systemd unit in it does.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import getpass
import os
import re
from pathlib import Path
from typing import Any

from uav_twin_migration.deployment.host_directory import (
    FAST_DDS_FILE,
    KEYS,
    LEARNERS,
    PARAMETERS_FILE,
    PLUGINS,
    STORE,
    STORE_FILE,
    TWIN_PORT,
    Address,
    EdgeHost,
    check_host,
    load_host,
    read_parameters,
    split_address,
)
from uav_twin_migration.deployment.systemd_unit import unit, unit_name
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.shipped import shipped_file

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of glibc's mallopt(3)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin rsu`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="init|run")
    init = verbs.add_parser("init", help="write an RSU's host directory")
    init.add_argument("directory", metavar="DIR", type=Path)
    init.add_argument("--rsu", metavar="ID", required=True)
    init.add_argument("--scenario", metavar="FILE", required=True, help="scenario file or name to take its values from")
    init.add_argument("--keys", metavar="KEYS", type=Path, help="where `uavtwin keys` keeps its files; made if missing")
    init.add_argument("--learner", metavar="PUB", type=Path, action="append", default=[], help="a learner's public key")
    init.add_argument("--discovery-server", metavar="HOST[:PORT]", action="append", default=[], help="one or two")
    init.add_argument("--domain", metavar="N", type=int, default=0, help="ROS domain (default 0)")
    init.add_argument("--rmw", default="rmw_fastrtps_cpp", help="ROS middleware (default rmw_fastrtps_cpp)")
    init.add_argument(
        "--address",
        default=f"127.0.0.1:{TWIN_PORT}",
        metavar="IP[:PORT]",
        help="the host's own, where RSUs bring twins",
    )
    init.add_argument("--at", metavar="DIR", type=Path, help="where the directory will lie on the host (default: DIR)")
    init.add_argument("--workspace", metavar="DIR", type=Path, default=Path("/opt/uavtwin/install"))
    init.add_argument("--user", default="uavtwin", help="user that the service runs as (default uavtwin)")
    init.add_argument(
        "--uav-signatures",
        action=argparse.BooleanOptionalAction,
        help="refuse what UAVs say without a signature (default: where KEYS has signatures of UAVs)",
    )
    run_ = verbs.add_parser("run", help="run the RSU of a host directory")
    run_.add_argument("directory", metavar="DIR", type=Path)


def run(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    return init(args) if args.verb == "init" else serve(args.directory)


# -- init ------------------------------------------------------------------------------------------------------------


def init(args: argparse.Namespace) -> int:
    """Write the directory, and say what to do next."""
    from uav_twin_migration.deployment.sros2 import (
        policy,  # a running RSU has no use for it, and what it needs takes 3 MB
    )

    parameters = parameters_of(args.rsu, args.scenario)
    servers = tuple(args.discovery_server)
    host = check_host(EdgeHost(args.rsu, args.domain, args.rmw, servers), "command line")
    try:
        address = split_address(args.address, TWIN_PORT)
    except ValueError:
        raise InputError("command line", "--address", args.address, "IP or IP:PORT") from None
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", args.user):
        raise InputError("command line", "--user", args.user, "the name of a user")
    at = (args.at or args.directory).absolute()
    for key, path in (("--at", at), ("--workspace", args.workspace)):
        if not re.fullmatch(r"[\w./@+-]+", str(path)):
            raise InputError("command line", key, str(path), "a path without spaces: systemd and the shell read it")
    parameters |= own_parameters(at, args.rsu, address)
    plugins = bring_plugins(at, parameters)
    parameters["require_uav_signatures"] = (
        has_uav_signing_keys(args.keys) if args.uav_signatures is None else args.uav_signatures
    )
    try:
        write_files(args.directory, host, parameters)
        for name, file in plugins.items():
            (args.directory / PLUGINS).mkdir(exist_ok=True)
            copy(file, args.directory / PLUGINS / name)
        (args.directory / unit_name(args.rsu)).write_text(unit(args.rsu, at, args.workspace, args.user))
        (args.directory / "sros2-policy.xml").write_text(policy("rsu", args.rsu))
        for key in args.learner:
            copy(key, args.directory / LEARNERS / f"{key.stem}.pub")
        if args.keys:
            bring_keys(args.keys, args.directory / KEYS, args.rsu)
    except OSError as error:
        raise UavTwinError(f"{error.filename or args.directory}: {error.strerror}") from error
    print(next_steps(args.directory, at, host, parameters, args))
    return 0


def write_files(directory: Path, host: EdgeHost, parameters: dict[str, Any]) -> None:
    """The files that the RSU's node reads. Raises OSError."""
    for folder in (directory, directory / KEYS, directory / LEARNERS, directory / STORE):
        folder.mkdir(parents=True, exist_ok=True)
    (directory / KEYS).chmod(0o700)
    host.save(directory)
    write_parameters(directory, host.rsu, parameters)
    profile = shipped_file("config/fastdds/edge.xml")
    if profile is None:
        raise UavTwinError("config/fastdds/edge.xml is not installed: install uav_twin_migration anew")
    copy(profile, directory / FAST_DDS_FILE)


def parameters_of(rsu: str, scenario_file: str) -> dict[str, Any]:
    """This RSU's parameters, and nobody else's. Raises InputError."""
    from uav_twin_migration.cli.scenario import told_of
    from uav_twin_migration.deployment.plan import rsu_node  # a running RSU has no use for these

    scenario = told_of("rsu", scenario_file)
    found = [one for one in scenario.rsus if one.id == rsu]
    if not found:
        raise InputError(scenario_file, "--rsu", rsu, f"one of {', '.join(one.id for one in scenario.rsus)}")
    parameters = rsu_node(found[0], scenario, seed=scenario.rsus.index(found[0])).parameters
    return parameters | {"use_sim_time": False}


def own_parameters(directory: Path, rsu: str, address: Address) -> dict[str, Any]:
    """The parameters that depend on the host. directory: where it lies there. address: where other RSUs reach it."""
    directory = directory.absolute()
    return {
        "signing_key": str(directory / KEYS / f"{rsu}.signing"),
        "market_key": str(directory / KEYS / "market.pub"),
        "learners": str(directory / LEARNERS),
        "policy_kept": str(directory / STORE / "policy.safetensors"),
        "twin_store": str(directory / STORE / STORE_FILE),
        "twin_keys": str(directory / KEYS),
        "ledger": str(directory / STORE / f"{rsu}.ledger"),
        "twin_address": address[0],
        "twin_port": address[1],
        "drain_on_stop": True,
    }


def write_parameters(directory: Path, rsu: str, parameters: dict[str, Any]) -> None:
    """rsu.yaml, readable by its owner alone: the unit cost is private."""
    import yaml

    file = directory / PARAMETERS_FILE
    document = {f"/rsu/{rsu}/rsu": {"ros__parameters": parameters}}
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def bring_keys(keys: Path, to: Path, rsu: str) -> None:
    """Copy the RSU's key and certificates, made where they are missing. The authorities' keys stay behind."""
    from uav_twin_migration.security.authority import MARKET_PUBLIC, make_keys, make_signing_keys
    from uav_twin_migration.security.certificates import AUTHORITY_FILE
    from uav_twin_migration.security.revocation import REVOKED_FILE

    make_keys(keys, [rsu])
    make_signing_keys(keys, [rsu])
    for name in (AUTHORITY_FILE, f"{rsu}.pem", MARKET_PUBLIC):
        copy(keys / name, to / name)
    for name in (f"{rsu}.key", f"{rsu}.signing"):
        (to / name).touch(mode=0o600)
        copy(keys / name, to / name)
    if (keys / REVOKED_FILE).exists():
        copy(keys / REVOKED_FILE, to / REVOKED_FILE)


def bring_plugins(at: Path, parameters: dict[str, Any]) -> dict[str, Path]:
    """The files of the RSU's plug-ins, by the names that they get on its host; the parameters then name them there.

    at: the directory, on the host. Raises PluginError.
    """
    from uav_twin_migration.plugins import check, file_of
    from uav_twin_migration.scenario.parameters import parameters_of as settings
    from uav_twin_migration.scenario.settings import RSU

    brought = {}
    for setting in settings(RSU):
        text = parameters.get(setting.name, "")
        file = file_of(text) if setting.plugin else None
        if setting.plugin:
            check(setting.plugin, text)
        if file is not None:
            brought[f"{setting.plugin}.py"] = file
            parameters[setting.name] = f"{at / PLUGINS / setting.plugin}.py:{text.partition('.py:')[2]}"
    return brought


def copy(file: Path, to: Path) -> None:
    """Copy a small file. (shutil would take the memory of a running RSU.)"""
    to.write_bytes(file.read_bytes())


def has_uav_signing_keys(keys: Path | None) -> bool:
    """Whether signatures of UAVs were made in a folder."""
    from uav_twin_migration.security import ed25519
    from uav_twin_migration.security.message_signature import UAVS_LABEL

    return keys is not None and any(ed25519.read_block(file, UAVS_LABEL) for file in keys.glob("*.signing"))


def next_steps(directory: Path, at: Path, host: EdgeHost, parameters: dict[str, Any], args: argparse.Namespace) -> str:
    """What the operator does now."""
    steps = [f"{directory} has what RSU {host.rsu}'s host needs."]
    if parameters["require_uav_signatures"]:
        steps.append(
            "It refuses what UAVs say without a signature: give each its ID.signing (uavtwin keys KEYS --uavs ID...)."
        )
    if args.address.startswith("127."):
        steps.append(f"Other hosts cannot bring twins to {args.address}: give the host's own address as --address.")
    if args.at or args.user != getpass.getuser():
        steps.append(f"Copy it to the host as {at}, and there:")
    if not args.keys:
        steps.append(
            f"  make its keys where the authority is: uavtwin keys KEYS --rsus {host.rsu}; and copy from there"
        )
        steps.append(
            f"      authority.pem, market.pub, {host.rsu}.pem, {host.rsu}.key, {host.rsu}.signature to {at / KEYS}"
        )
    steps.append(f"  uavtwin doctor {at}                # examine it")
    steps.append(f"  uavtwin rsu run {at}               # try it in the foreground, Ctrl-C stops it")
    steps.append(f"  sudo useradd --system --user-group {args.user}; sudo chown -R {args.user}: {at}")
    steps.append(f"  sudo systemctl enable --now {at / unit_name(host.rsu)}")
    return "\n".join(steps)


def spare_memory() -> None:
    """Have all threads share a heap that gives back what was needed once: the node runs for months."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        for option, value in ((M_ARENA_MAX, 1), (M_TRIM_THRESHOLD, 128 * 1024), (M_MMAP_THRESHOLD, 128 * 1024)):
            libc.mallopt(option, value)


# -- run -------------------------------------------------------------------------------------------------------------


def serve(directory: Path) -> int:
    """Run the RSU in this process. Returns its exit code."""
    host = load_host(directory)
    read_parameters(directory)
    spare_memory()
    os.environ.update(host.variables(directory))
    try:
        from uav_twin_migration.nodes.ros.spin import run as spin
        from uav_twin_migration.nodes.rsu import RsuNode
    except ImportError as error:
        raise UavTwinError(f"ROS 2 is not complete ({error}); see `uavtwin doctor {directory}`") from error
    # ROS's own log files would grow for months: what the node prints goes to the journal, which rotates
    arguments = ["--ros-args", "--disable-external-lib-logs", "--params-file", str(directory / PARAMETERS_FILE)]
    return spin(lambda: [RsuNode(namespace=f"/rsu/{host.rsu}")], arguments)
