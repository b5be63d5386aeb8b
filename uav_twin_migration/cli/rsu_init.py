"""`uavtwin rsu init`: write an RSU's host directory, or bring it up to date and keep what was changed in it."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from uav_twin_migration.deployment.host_directory import (
    FAST_DDS_FILE,
    HOST_FILE,
    KEYS,
    LEARNERS,
    PARAMETERS_FILE,
    PLUGINS,
    STORE,
    STORE_FILE,
    TWIN_PORT,
    WRITTEN,
    Address,
    EdgeHost,
    check_host,
    check_parameters,
    load_host,
    read_parameters,
    split_address,
)
from uav_twin_migration.deployment.installation import document, dumped
from uav_twin_migration.deployment.merging import merge
from uav_twin_migration.deployment.systemd_unit import from_workspace, unit, unit_name
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.shipped import shipped_file
from uav_twin_migration.transport.addresses import ip_address


class Before(NamedTuple):
    """What a directory has already: what is not given anew stays."""

    host: EdgeHost
    parameters: dict[str, Any]


def init(args: argparse.Namespace) -> int:
    """Write the directory, and say what to do next."""
    before = found_in(args.directory, args.rsu)
    at = lies_at(args, before)
    host = host_of(args, before)
    parameters = parameters_of(args.rsu, args.scenario) | own_parameters(at, args.rsu, address_of(args, before))
    parameters["admitted_uavs"] = args.admit or ["*"]
    parameters["require_uav_signatures"] = asks_for_signatures(args, before)
    plugins = bring_plugins(at, parameters)
    check_parameters(parameters, args.scenario)
    try:
        for line in write_files(args.directory, host, parameters):
            print(line)
        bring_files(args, at, plugins)
    except OSError as error:
        raise UavTwinError(f"{error.filename or args.directory}: {error.strerror}") from error
    print(next_steps(args.directory, at, host, parameters, args))
    return 0


def found_in(directory: Path, rsu: str) -> Before | None:
    """What is there. Raises InputError where that is another RSU's, or damaged."""
    if not (directory / HOST_FILE).exists():
        return None
    host = load_host(directory)
    if host.rsu != rsu:
        raise InputError(
            "command line", "--rsu", rsu, f"{host.rsu}, whose directory {directory} is; or another directory"
        )
    return Before(host, read_parameters(directory))


def lies_at(args: argparse.Namespace, before: Before | None) -> Path:
    """Where the directory will lie on its host. Raises InputError."""
    store = Path(str(before.parameters.get("twin_store", ""))) if before else Path()
    kept = store.parent.parent if store.is_absolute() else args.directory
    at: Path = (args.at or kept).absolute()
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", args.user):
        raise InputError("command line", "--user", args.user, "the name of a user")
    for key, path in (("--at", at), ("--workspace", args.workspace)):
        if not re.fullmatch(r"[\w./@+-]+", str(path)):
            raise InputError("command line", key, str(path), "a path without spaces: systemd and the shell read it")
    return at


def host_of(args: argparse.Namespace, before: Before | None) -> EdgeHost:
    """How the host takes part in the network. Raises InputError."""
    was = before.host if before else EdgeHost(args.rsu)
    given = {"domain": args.domain, "rmw": args.rmw, "log": args.log, "peers": tuple(args.peer) or None}
    given["discovery_servers"] = tuple(args.discovery_server) or None
    return check_host(replace(was, **{key: value for key, value in given.items() if value is not None}), "command line")


def address_of(args: argparse.Namespace, before: Before | None) -> Address:
    """Where other RSUs reach this one. Raises InputError."""
    if args.address is None and before is not None:
        return str(before.parameters.get("twin_address")), int(before.parameters.get("twin_port", TWIN_PORT))
    given = args.address or "127.0.0.1"
    try:
        address = split_address(given, TWIN_PORT)
    except ValueError:
        address = ("", 0)
    if ip_address(address[0]) is None:
        raise InputError("command line", "--address", given, "IP or IP:PORT, an address of the host")
    return address


def asks_for_signatures(args: argparse.Namespace, before: Before | None) -> bool:
    """Whether UAVs have to sign."""
    if args.uav_signatures is not None:
        return bool(args.uav_signatures)
    return has_uav_signing_keys(args.keys) or bool(before and before.parameters.get("require_uav_signatures"))


def bring_files(args: argparse.Namespace, at: Path, plugins: dict[str, Path]) -> None:
    """What the directory has besides its two files of settings. Raises OSError."""
    from uav_twin_migration.deployment.sros2 import policy

    directory, values = args.directory, read_parameters(args.directory)
    regions = [str(values.get("region", "")), *map(str, values.get("rival_regions", []))]
    for name, file in plugins.items():
        (directory / PLUGINS).mkdir(exist_ok=True)
        copy(file, directory / PLUGINS / name)
    launcher = from_workspace(args.workspace)
    (directory / unit_name(args.rsu)).write_text(unit(args.rsu, at, launcher, args.user))
    (directory / "sros2-policy.xml").write_text(policy("rsu", args.rsu, regions))
    for key in args.learner:
        copy(key, directory / LEARNERS / f"{key.stem}.pub")
    if args.keys:
        bring_keys(args.keys, directory / KEYS, args.rsu)


def write_files(directory: Path, host: EdgeHost, parameters: dict[str, Any]) -> list[str]:
    """The files that the RSU's node reads, merged with what is there. Returns what that changed. Raises OSError."""
    for folder in (directory, directory / KEYS, directory / LEARNERS, directory / STORE, directory / WRITTEN):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (directory / KEYS, directory / WRITTEN):
        folder.chmod(0o700)
    told = []
    for name, new in ((HOST_FILE, host.document()), (PARAMETERS_FILE, parameters)):
        own = document(directory / name) if (directory / name).exists() else {}
        base = document(directory / WRITTEN / name) if (directory / WRITTEN / name).exists() else own
        merged = merge(base, own, new)
        told += [f"{name}: {line}" for line in [*merged.changes, *merged.kept]]
        write_private(directory / WRITTEN / name, dumped(name, new))
        write_private(directory / name, dumped(name, merged.values))
    profile = shipped_file("config/fastdds/edge.xml")
    if profile is None:
        raise UavTwinError("config/fastdds/edge.xml is not installed: install uav_twin_migration anew")
    copy(profile, directory / FAST_DDS_FILE)
    return told


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
    if parameters["twin_address"].startswith("127."):
        address = f"{parameters['twin_address']}:{parameters['twin_port']}"
        steps.append(f"Other hosts cannot bring twins to {address}: give the host's own address as --address.")
    if not args.keys and not (directory / KEYS / f"{host.rsu}.key").exists():
        steps.append(f"Make its keys where the authority is (uavtwin keys KEYS --rsus {host.rsu}), and copy from there")
        steps.append(
            f"  authority.pem, market.pub, {host.rsu}.pem, {host.rsu}.key, {host.rsu}.signing to {directory / KEYS}"
        )
    steps.append("On its host:" if at == directory.absolute() else f"Copy it to the host, and there (it goes to {at}):")
    steps.append(f"  uavtwin doctor {directory}                # examine it")
    steps.append(f"  uavtwin rsu run {directory}               # try it in the foreground, Ctrl-C stops it")
    steps.append(f"  sudo uavtwin rsu install {directory}      # have it run from now on; again after each change")
    return "\n".join(steps)
