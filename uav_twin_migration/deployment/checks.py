"""What `uavtwin doctor` looks at. Each check is a small function that returns findings and raises nothing."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import socket
import sqlite3
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from uav_twin_migration.deployment.host_directory import (
    KEYS,
    LEARNERS,
    STORE,
    STORE_FILE,
    Address,
    EdgeHost,
    check_parameters,
    is_earlier,
    load_host,
)
from uav_twin_migration.deployment.machines import WITHOUT_WHEELS, lacks_wheels
from uav_twin_migration.errors import InputError, UavTwinError

OK, WARNING, ERROR, UNKNOWN = "ok", "warning", "error", "unknown"

LITTLE_DISK, NO_DISK = 2e9, 2e8  # bytes
SOON = datetime.timedelta(days=30)
CLOCKS_APART, CLOCKS_FAR_APART = 5.0, 3600.0  # s
AS_SERVICE = "examine with sudo (sudo uavtwin doctor DIR), or give the files to the user that the RSU runs as: chown -R"
KNOWN_ROS = ("humble", "jazzy", "kilted", "rolling")


class Finding(NamedTuple):
    """What one check found."""

    check: str
    status: str  # OK, WARNING, ERROR or UNKNOWN
    detail: str
    hint: str = ""


# -- ROS -------------------------------------------------------------------------------------------------------------


def check_machine(machine: str, environment: Mapping[str, str]) -> list[Finding]:
    """Whether ROS 2 is to be had for this kind of machine. machine: as `uname -m` has it."""
    lacks = lacks_wheels(machine)
    return (
        [Finding("machine", ERROR, lacks, WITHOUT_WHEELS)] if lacks and not environment.get("AMENT_PREFIX_PATH") else []
    )


def check_ros(environment: Mapping[str, str], rclpy_file: str | None) -> list[Finding]:
    """Which ROS is there. rclpy_file: where rclpy would be imported from, None for nowhere."""
    distribution = environment.get("ROS_DISTRO", "")
    if rclpy_file is None:
        hint = (
            "in a checkout, ./uavtwin brings its own; else source /opt/ros/jazzy/setup.bash and the workspace's "
            "install/setup.bash"
        )
        where = f"ROS_DISTRO is {distribution}, but rclpy cannot be imported" if distribution else "no ROS 2 was found"
        return [Finding("ros", ERROR, where, hint)]
    if distribution not in KNOWN_ROS:
        hint = f"source one of {', '.join(KNOWN_ROS)}"
        return [Finding("ros", WARNING, f"{distribution or 'an unnamed ROS 2'}, rclpy from {rclpy_file}", hint)]
    return [Finding("ros", OK, f"{distribution}, rclpy from {rclpy_file}")]


def check_interfaces(prefix: str | None) -> list[Finding]:
    """Whether this package's messages are built and sourced. prefix: where they are, None for nowhere."""
    if prefix is None:
        hint = "in a checkout, ./uavtwin makes them; in a workspace, colcon build, then source its install/setup.bash"
        return [Finding("interfaces", ERROR, "the messages of uav_twin_migration are not found", hint)]
    return [Finding("interfaces", OK, prefix)]


def check_middleware(wanted: str, installed: Sequence[str]) -> list[Finding]:
    """Whether the wanted RMW implementation is installed."""
    if wanted in installed:
        return [Finding("middleware", OK, wanted)]
    there = ", ".join(installed) or "none"
    package = f"ros-$ROS_DISTRO-{wanted.replace('_', '-')}"
    hint = f"install {package}, or name an installed one as `rmw` in host.yaml or in RMW_IMPLEMENTATION"
    return [Finding("middleware", ERROR, f"{wanted} is not installed; installed: {there}", hint)]


def installed_middlewares(environment: Mapping[str, str]) -> list[str]:
    """RMW implementations of the sourced prefixes."""
    prefixes = [Path(prefix) for prefix in environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    index = "share/ament_index/resource_index/rmw_typesupport"
    return sorted({file.name for prefix in prefixes for file in (prefix / index).glob("rmw_*")})


# -- network ---------------------------------------------------------------------------------------------------------


def check_discovery(servers: Sequence[Address], patience: float = 0.3, peers: Sequence[str] = ()) -> list[Finding]:
    """Whether anything listens where the discovery servers should. peers: hosts that are asked besides."""
    if not servers:
        asked = f" and of {', '.join(peers)}" if peers else ""
        return [Finding("discovery", OK, f"by multicast{asked}, without a server")]
    states = [ask_udp(server, patience) for server in servers]
    findings = []
    for (host, port), state in zip(servers, states, strict=True):
        where = f"{host}:{port}"
        if state == "silent":
            findings.append(Finding("discovery", OK, f"{where} refuses nothing"))
        else:
            start = f"uavtwin rsu discovery --number {len(findings)} --port {port}"
            hint = f"start it there: {start} (or as a unit: uavtwin rsu install DIR --discovery N); open UDP {port}"
            status = ERROR if all(other != "silent" for other in states) else WARNING
            findings.append(Finding("discovery", status, f"{where}: {state}", hint))
    return findings


def ask_udp(address: Address, patience: float) -> str:
    """Send an empty datagram. Returns "silent" where a port takes it, or why it does not."""
    try:
        kind, _, _, _, target = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
    except OSError:
        return "the name is unknown"
    with socket.socket(kind, socket.SOCK_DGRAM) as probe:
        probe.settimeout(patience)
        try:
            probe.connect(target)
            probe.send(b"")
            probe.recv(1)
        except TimeoutError:
            return "silent"
        except ConnectionRefusedError:
            return "nothing listens there"
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return "silent"


def check_port(address: Address, running: bool) -> list[Finding]:
    """Whether an RSU can listen (or, when it is running, does) where other RSUs bring twins."""
    where = f"{address[0]}:{address[1]}"
    try:
        kind, _, _, _, target = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            if running:
                return [Finding("port", OK, f"{where} is in use, as it should be")]
            hint = f"see who has it: ss -ltnp 'sport = :{address[1]}'; or change `twin_port` in host.yaml"
            return [Finding("port", ERROR, f"{where} is taken, and this RSU does not run", hint)]
        hint = "name an address of this host as `twin_address` in host.yaml"
        return [Finding("port", ERROR, f"{where}: {(error.strerror or str(error)).lower()}", hint)]
    if running:
        hint = "open the port in the firewall, and see the RSU's log for why it does not listen"
        return [Finding("port", WARNING, f"{where} is free although the RSU runs", hint)]
    return [Finding("port", OK, f"{where} is free")]


def check_clocks(ages: Mapping[str, float], synchronised: bool | None) -> list[Finding]:
    """The clock against other RSUs'. ages: s between the stamp of their offers and now, by RSU; None: not known."""
    hint = "run a time service: sudo systemctl enable --now systemd-timesyncd (or chrony)"
    findings = []
    if synchronised is False:
        findings.append(Finding("clock", WARNING, "no time service keeps this host's clock", hint))
    for rsu, age in sorted(ages.items()):
        told = f"{abs(age):.1f} s {'ahead of' if age > 0 else 'behind'} {rsu}'s, the way included"
        if abs(age) > CLOCKS_FAR_APART:
            what = f"this clock is {told}; certificates may seem to be out of date"
            findings.append(Finding("clock", ERROR, what, hint))
        elif abs(age) > CLOCKS_APART:
            what = f"this clock is {told}; the market does not mind, logs are hard to compare"
            findings.append(Finding("clock", WARNING, what, hint))
        else:
            findings.append(Finding("clock", OK, told))
    if not findings:
        status = OK if synchronised else UNKNOWN
        findings.append(
            Finding("clock", status, "kept by a time service" if synchronised else "nobody to compare with")
        )
    return findings


# -- the host's directory --------------------------------------------------------------------------------------------


def check_directory(directory: Path) -> tuple[EdgeHost | None, list[Finding]]:
    """The settings that `uavtwin rsu init` writes."""
    hint = "mend what it names, or write it anew, which keeps all else: uavtwin rsu init DIR --rsu ID --scenario FILE"
    host = None
    try:
        host = load_host(directory)
        check_parameters(host, directory)
    except InputError as error:
        return host, [Finding("host", ERROR, str(error), hint)]
    if is_earlier(directory):
        what, hint = "it works, but is as an earlier version wrote it", f"sudo uavtwin rsu install {directory}"
        return host, [Finding("host", WARNING, f"{directory}, RSU {host.rsu}'s: {what}", hint)]
    return host, [Finding("host", OK, f"{directory} is RSU {host.rsu}'s")]


def check_keys(directory: Path, rsu: str, now: datetime.datetime) -> list[Finding]:
    """The RSU's key, its certificate and its authority's: there, matching, private, and valid for how long."""
    from uav_twin_migration.security.certificates import AUTHORITY_FILE, Identity

    keys = directory / KEYS
    key = keys / f"{rsu}.key"
    hint = f"make new ones (uavtwin keys KEYS --rsus {rsu}) and copy {AUTHORITY_FILE}, {rsu}.pem, {rsu}.key to {keys}"
    files = (keys / AUTHORITY_FILE, keys / f"{rsu}.pem")
    findings = [finding for file in files for finding in _check_validity(file, now, hint)]
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
        if mode & 0o077:
            what = f"{key} can be read by others (mode {mode:o})"
            findings.append(Finding("keys", ERROR, what, f"chmod 600 {key}; if it has been so for long, renew it"))
        Identity(keys, rsu)
    except UavTwinError as error:
        if not any(finding.status == ERROR for finding in findings):
            findings.append(Finding("keys", ERROR, str(error), hint))
    except OSError as error:
        findings.append(Finding("keys", ERROR, f"{key}: {(error.strerror or str(error)).lower()}", hint))
    if (keys / "authority.key").exists():
        what = f"{keys / 'authority.key'}: whoever takes this host can make keys for every RSU"
        findings.append(Finding("keys", ERROR, what, "move it to where no RSU runs"))
    return findings


def _check_validity(file: Path, now: datetime.datetime, hint: str) -> list[Finding]:
    try:
        from cryptography import x509
    except ImportError:
        what = "validity not examined: the Python library `cryptography` is missing"
        return [Finding("keys", UNKNOWN, what, "install python3-cryptography, or PyPI's cryptography")]
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except PermissionError:
        return [Finding("keys", ERROR, f"{file}: this user may not read it", AS_SERVICE)]
    except OSError as error:
        return [Finding("keys", ERROR, f"{file}: {(error.strerror or str(error)).lower()}", hint)]
    except ValueError:
        return [Finding("keys", ERROR, f"{file} is no certificate", hint)]
    begin, end = _validity(certificate)
    if now < begin:
        what = f"{file} is valid only from {begin:%Y-%m-%d %H:%M} UTC"
        return [Finding("keys", ERROR, what, "set this host's clock; then, make a new one")]
    return [_until("keys", file, now, end, hint)]


def _until(check: str, file: Path, now: datetime.datetime, end: datetime.datetime, hint: str) -> Finding:
    """Until when a file is valid."""
    if now >= end:
        return Finding(check, ERROR, f"{file} has expired on {end:%Y-%m-%d}", hint)
    told = f"{file} valid until {end:%Y-%m-%d}, {(end - now).days} days"
    if end - now < SOON:
        return Finding(check, WARNING, told, f"renew it: uavtwin keys KEYS --rsus ID --renew; {hint}")
    return Finding(check, OK, told)


def _validity(certificate: Any) -> tuple[datetime.datetime, datetime.datetime]:
    """From when until when; cryptography before 42 has only times without a zone, which are UTC."""
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc
    utc = datetime.timezone.utc
    return certificate.not_valid_before.replace(tzinfo=utc), certificate.not_valid_after.replace(tzinfo=utc)


def check_signing_key(directory: Path, rsu: str, now: datetime.datetime) -> list[Finding]:
    """What the RSU signs with, and verifies others' signatures with; and the list of revoked keys."""
    from uav_twin_migration.security import ed25519, revocation
    from uav_twin_migration.security.message_signature import MessageSigner, MessageVerifier

    keys = directory / KEYS
    file = keys / f"{rsu}.signing"
    hint = f"make one (uavtwin keys KEYS --rsus {rsu}) and copy market.pub and {rsu}.signing to {keys}"
    try:
        authority = ed25519.read_key(keys / "market.pub", "PUBLIC KEY")
        signer = MessageSigner(file)
        version, revoked = revocation.read(keys / revocation.REVOKED_FILE, authority)
    except ed25519.KeyFileError as error:
        return [Finding("signing_key", ERROR, str(error), hint)]
    until = datetime.datetime.fromtimestamp(signer.until, datetime.timezone.utc)
    findings = [_until("signing_key", file, now, until, hint)]
    if MessageVerifier(authority).refusal(rsu, b"", signer.signature(b""), wall_time=0.0):
        what = f"{file}: not certified as {rsu}'s by market.pub's authority: nobody believes what it signs"
        findings = [Finding("signing_key", ERROR, what, hint)]
    elif signer.public in revoked:
        findings = [Finding("signing_key", ERROR, f"{file} is revoked: whoever has the list refuses it", hint)]
    if version:
        findings.append(
            Finding("signing_key", OK, f"list {version} of revoked keys and certificates has {len(revoked)}")
        )
    return findings


def check_learners(directory: Path) -> list[Finding]:
    """The public keys of learners."""
    keys = sorted(file.stem for file in (directory / LEARNERS).glob("*.pub"))
    if keys:
        return [Finding("learners", OK, f"policies are accepted that are signed by {', '.join(keys)}")]
    what = "no learner's key: no policy is accepted over the network"
    return [Finding("learners", OK, what, f"to accept some, copy a learner's .pub file to {directory / LEARNERS}")]


def check_store(directory: Path, rsu: str) -> list[Finding]:
    """The twins' store: there, of this RSU, readable, and sound."""
    from uav_twin_migration.twin.hosting.store_reader import StoreReader

    folder = directory / STORE
    if not os.access(folder, os.W_OK):
        return [Finding("store", ERROR, f"{folder} cannot be written by this user", AS_SERVICE)]
    file = folder / STORE_FILE
    if not file.exists():
        return [Finding("store", OK, "no twin has ever been here")]
    try:
        reader = StoreReader(file)
        with contextlib.closing(reader):
            if reader.rsu != rsu:
                hint = "each RSU needs its own store; move this one away or back to its RSU"
                return [Finding("store", ERROR, f"{file} belongs to RSU {reader.rsu}", hint)]
            twins = len(reader.load())
        trouble = quick_check(file)
    except UavTwinError as error:
        return [Finding("store", ERROR, str(error), "the message says it")]
    if trouble:
        hint = f"stop the RSU, keep a copy of {file}, look at the disk (dmesg, smartctl), then `uavtwin twins {file}`"
        return [Finding("store", ERROR, f"{file}: {trouble}", hint)]
    return [Finding("store", OK, f"{twins} twins, {file.stat().st_size / 1e6:.1f} MB, sound")]


def quick_check(file: Path) -> str:
    """What SQLite's own examination of a file finds; empty where it is sound."""
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            first = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    return "" if first == "ok" else first


def check_disk(free: float, where: Path) -> list[Finding]:
    """Room for twins. free: bytes."""
    told = f"{free / 1e9:.1f} GB free at {where}"
    hint = "free some, or move the store to a larger disk: an RSU refuses twins that do not fit"
    if free < LITTLE_DISK:
        return [Finding("disk", ERROR if free < NO_DISK else WARNING, told, hint)]
    return [Finding("disk", OK, told)]


# -- the running RSU -------------------------------------------------------------------------------------------------


def check_running(rsu: str, states: Mapping[str, Mapping[str, str]], nodes: Sequence[str]) -> list[Finding]:
    """Whether the RSU is heard, what it does, and what it refuses."""
    state = states.get(f"rsu/{rsu}")
    if state is None:
        known = f"/rsu/{rsu}/rsu" in nodes
        what = "discovered, but it says nothing" if known else "not heard: it does not run, or in another ROS domain"
        hint = f"sudo systemctl status uavtwin-rsu-{rsu}; journalctl -u uavtwin-rsu-{rsu} -n 50"
        return [Finding("running", WARNING, what, hint)]
    shown = ", ".join(f"{key} {state[key]}" for key in ("price", "leased_mhz", "uavs_in_range") if key in state)
    findings = [Finding("running", OK, shown)]
    refused = {key.partition("/")[2]: value for key, value in state.items() if key.startswith("refused/")}
    if refused:
        counted = ", ".join(f"{reason} {count}" for reason, count in sorted(refused.items()))
        hint = "docs/market.md says what each reason means; duplicate_id: two hosts claim to be this RSU"
        status = ERROR if "duplicate_id" in refused else WARNING
        findings.append(Finding("refusals", status, counted, hint))
    version = state.get("policy_version")
    if version is not None:
        rule = "none: the RSU prices by its rule" if version == "0" else f"version {version}"
        findings.append(Finding("policy", OK, rule))
    return findings


def check_hearing(rsu: str, states: Mapping[str, Mapping[str, str]], ages: Mapping[str, float]) -> list[Finding]:
    """What the running RSU itself hears of other RSUs, beside what is heard here."""
    state = states.get(f"rsu/{rsu}")
    if state is None or "rsus_heard" not in state:
        return []
    hears = {other for other in state["rsus_heard"].split(",") if other}
    deaf = sorted({other for other in ages if other != rsu} - hears)
    if deaf:
        what = f"{', '.join(deaf)} can be heard from here, and the running RSU does not hear it"
        forged = state.get("refused/forged")
        if forged:
            what = f"{', '.join(deaf)} can be heard from here, and the running RSU refused {forged} messages as forged"
            hint = "keys of another authority, or another version: docs/edge.md, Upgrades, and the way back"
            return [Finding("hearing", WARNING, what, hint)]
        hint = f"its discovery is stuck, as after a server's restart: sudo systemctl restart uavtwin-rsu-{rsu}"
        return [Finding("hearing", ERROR, what, hint)]
    return [Finding("hearing", OK, f"it hears {', '.join(sorted(hears)) or 'no other RSU'}")]
