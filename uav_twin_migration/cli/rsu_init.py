"""`uavtwin rsu init`: write an RSU's host directory, or bring it up to date and keep what was changed in it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from uav_twin_migration.deployment.earlier_directories import left_over
from uav_twin_migration.deployment.host_directory import (
    FAST_DDS_FILE,
    HOST_FILE,
    KEYS,
    LEARNERS,
    PLUGINS,
    STORE,
    TWIN_PORT,
    WRITTEN,
    Address,
    EdgeHost,
    check_host,
    check_parameters,
    files_in,
    load_host,
    split_address,
)
from uav_twin_migration.deployment.installation import settings_files
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.shipped import shipped_file
from uav_twin_migration.transport.addresses import ip_address


def init(args: argparse.Namespace) -> int:
    """Write the directory, and say what to do next."""
    before = found_in(args.directory, args.rsu)
    parameters = parameters_of(args.rsu, args.scenario, address_of(args, before))
    parameters["admitted_uavs"] = args.admit or (before.parameters.get("admitted_uavs") if before else None) or ["*"]
    parameters["require_uav_signatures"] = asks_for_signatures(args, before)
    plugins = bring_plugins(parameters)
    host = host_of(args, before, parameters)
    check_parameters(host, args.directory, args.scenario)
    try:
        for line in write_files(args.directory, host):
            print(line)
        bring_files(args, plugins)
    except OSError as error:
        raise UavTwinError(f"{error.filename or args.directory}: {error.strerror}") from error
    print(next_steps(args.directory, load_host(args.directory), args))
    return 0


def found_in(directory: Path, rsu: str) -> EdgeHost | None:
    """What is there. Raises InputError where that is another RSU's, or damaged."""
    if not (directory / HOST_FILE).exists():
        return None
    host = load_host(directory)
    if host.rsu != rsu:
        raise InputError(
            "command line", "--rsu", rsu, f"{host.rsu}, whose directory {directory} is; or another directory"
        )
    return host


def host_of(args: argparse.Namespace, before: EdgeHost | None, parameters: dict[str, Any]) -> EdgeHost:
    """All that the host says: what is given, and else what was there. Raises InputError."""
    given = {"domain": args.domain, "rmw": args.rmw, "log": args.log, "peers": tuple(args.peer) or None}
    given["discovery_servers"] = tuple(args.discovery_server) or None
    given["at"] = str(args.at.absolute()) if args.at else None
    changed = {key: value for key, value in given.items() if value is not None}
    return check_host(replace(before or EdgeHost(args.rsu), parameters=parameters, **changed), "command line")


def address_of(args: argparse.Namespace, before: EdgeHost | None) -> Address:
    """Where other RSUs reach this one. Raises InputError."""
    if args.address is None and before is not None:
        return before.address
    given = args.address or "127.0.0.1"
    try:
        address = split_address(given, TWIN_PORT)
    except ValueError:
        address = ("", 0)
    if ip_address(address[0]) is None:
        raise InputError("command line", "--address", given, "IP or IP:PORT, an address of the host")
    return address


def asks_for_signatures(args: argparse.Namespace, before: EdgeHost | None) -> bool:
    """Whether UAVs have to sign."""
    if args.uav_signatures is not None:
        return bool(args.uav_signatures)
    return has_uav_signing_keys(args.keys) or bool(before and before.parameters.get("require_uav_signatures"))


def bring_files(args: argparse.Namespace, plugins: dict[str, Path]) -> None:
    """What the directory has besides its settings. Raises OSError."""
    from uav_twin_migration.deployment.sros2 import policy

    directory, values = args.directory, load_host(args.directory).parameters
    regions = [str(values.get("region", "")), *map(str, values.get("rival_regions", []))]
    for name, file in plugins.items():
        (directory / PLUGINS).mkdir(exist_ok=True)
        copy(file, directory / PLUGINS / name)
    (directory / "sros2-policy.xml").write_text(policy("rsu", args.rsu, regions))
    for key in args.learner:
        copy(key, directory / LEARNERS / f"{key.stem}.pub")
    if args.keys:
        bring_keys(args.keys, directory / KEYS, args.rsu)


def write_files(directory: Path, host: EdgeHost) -> list[str]:
    """What the RSU's node reads, merged with what is there. Returns what that changed. Raises OSError."""
    for folder in (directory, directory / KEYS, directory / LEARNERS, directory / STORE, directory / WRITTEN):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (directory / KEYS, directory / WRITTEN):
        folder.chmod(0o700)
    files, told = settings_files(directory, host)
    for name, content in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        write_private(directory / name, content)
    for file in left_over(directory):
        file.unlink()
    profile = shipped_file("config/fastdds/edge.xml")
    if profile is None:
        raise UavTwinError("config/fastdds/edge.xml is not installed: install uav_twin_migration anew")
    copy(profile, directory / FAST_DDS_FILE)
    return told


def parameters_of(rsu: str, scenario_file: str, address: Address) -> dict[str, Any]:
    """This RSU's parameters, and nobody else's. address: where other RSUs reach it. Raises InputError."""
    from uav_twin_migration.cli.scenario import told_of
    from uav_twin_migration.deployment.plan import rsu_node  # a running RSU has no use for these

    scenario = told_of("rsu", scenario_file)
    found = [one for one in scenario.rsus if one.id == rsu]
    if not found:
        raise InputError(scenario_file, "--rsu", rsu, f"one of {', '.join(one.id for one in scenario.rsus)}")
    parameters = rsu_node(found[0], scenario, seed=scenario.rsus.index(found[0])).parameters
    of_host = ("rsu_id", "use_sim_time", *files_in(rsu))
    own = {name: value for name, value in parameters.items() if name not in of_host}
    return own | {"twin_address": address[0], "twin_port": address[1]}


def write_private(file: Path, content: bytes) -> None:
    """A file that its owner alone can read: the unit cost is private."""
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_bytes(content)


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


def bring_plugins(parameters: dict[str, Any]) -> dict[str, Path]:
    """The files of the RSU's plug-ins, by their names in the directory, where the parameters then name them.

    Raises PluginError.
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
            parameters[setting.name] = f"{PLUGINS}/{setting.plugin}.py:{text.partition('.py:')[2]}"
    return brought


def copy(file: Path, to: Path) -> None:
    """Copy a small file. (shutil would take the memory of a running RSU.)"""
    to.write_bytes(file.read_bytes())


def has_uav_signing_keys(keys: Path | None) -> bool:
    """Whether signatures of UAVs were made in a folder."""
    from uav_twin_migration.security import ed25519
    from uav_twin_migration.security.message_signature import UAVS_LABEL

    return keys is not None and any(ed25519.read_block(file, UAVS_LABEL) for file in keys.glob("*.signing"))


def next_steps(directory: Path, host: EdgeHost, args: argparse.Namespace) -> str:
    """What the operator does now."""
    steps = [f"{directory} has what RSU {host.rsu}'s host needs."]
    if host.parameters["require_uav_signatures"]:
        steps.append(
            "It refuses what UAVs say without a signature: give each its ID.signing (uavtwin keys KEYS --uavs ID...)."
        )
    address, port = host.address
    if address.startswith("127."):
        steps.append(f"Other hosts cannot bring twins to {address}:{port}: give the host's own address as --address.")
    if not args.keys and not all((directory / KEYS / f"{host.rsu}.{kind}").exists() for kind in ("key", "signing")):
        steps.append(f"Make its keys where the authority is (uavtwin keys KEYS --rsus {host.rsu}), and copy from there")
        steps.append(
            f"  authority.pem, market.pub, {host.rsu}.pem, {host.rsu}.key, {host.rsu}.signing to {directory / KEYS}"
        )
    here = host.home == directory.absolute()
    steps.append("On its host:" if here else f"Copy it to the host, and there (it goes to {host.home}):")
    steps.append(f"  uavtwin doctor {directory}                # examine it")
    steps.append(f"  uavtwin rsu run {directory}               # try it in the foreground, Ctrl-C stops it")
    steps.append(f"  sudo uavtwin rsu install {directory}      # have it run from now on; again after each change")
    return "\n".join(steps)
