"""A simulation that is about to start: what was asked for is checked, and becomes processes. Before anything runs.

`uavtwin sim` and sim.launch.py both come through here, so that they give the same nodes.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, NamedTuple

from uav_twin_migration.deployment.discovery import DiscoveryServer, by_address, by_server, hosts_server
from uav_twin_migration.deployment.options import Options, check
from uav_twin_migration.deployment.plan import (
    ProcessSpec,
    market_processes,
    monitor_process,
    needs_discovery_server,
    plan,
)
from uav_twin_migration.deployment.shares import (
    Share,
    SimulationHost,
    discovery_address,
    divided,
    read_hosts,
    whole,
)
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.policy.choice import DEFAULT, NONE, UNTRAINED, choose
from uav_twin_migration.radio.model import check_map
from uav_twin_migration.scenario.examine import warnings
from uav_twin_migration.scenario.load import check_plugins, load, save, scenario_path
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.vary import as_run
from uav_twin_migration.transport.addresses import is_loopback

OTHERS = 10  # processes of a host beside RSUs and UAVs: the world, the links, the monitor, and who listens by hand
NAMESPACE = "UAVTWIN_NAMESPACE"  # environment variable: what stands before every topic's name, see topics.py


class Simulation(NamedTuple):
    """What to start."""

    scenario: Scenario
    processes: list[ProcessSpec]
    monitor: ProcessSpec | None  # with whose end the simulation ends; another host's where there are several
    variables: dict[str, str]  # that the processes' environment must hold
    server: DiscoveryServer | None = None  # that several hosts need; None where this machine is all


def simulation(values: Mapping[str, Any], twin_stores: str, namespace: str = "") -> Simulation:
    """From the values of `options.SIM` and the scenario.

    Args:
        values: by name, of their types.
        twin_stores: folder in which RSUs keep twins; empty for none.
        namespace: that a launch file has pushed, before the one in `values`.

    Raises:
        InputError: something in the values, or in a file that they name, is not as it must be.
    """
    check(values)
    if scenario_path(values["scenario"]).is_fifo():
        expected = "a file on a disk, which every node can read: save it first"
        raise InputError("options", "scenario", values["scenario"], expected)
    scenario = load(values["scenario"])
    hosts = read_hosts(values["hosts"]) if values["hosts"] else ()
    here = place_of(values["host"], hosts)
    run = as_run(scenario, values["seed"], local=len(hosts) > 1)
    shares = divided(run, hosts) if hosts else whole(run)
    check_files(values, scenario)
    check_keys(values, shares[here])
    file = saved(run) if run is not scenario else str(scenario_path(values["scenario"]).resolve())
    options = Options.of(values, twin_stores)
    if options.ledgers:
        make_folder("ledgers", Path(options.ledgers))
    processes = plan(run, file, options, shares, here)
    monitor = monitor_process(file, options, processes) if here == 0 else None
    prefix = absolute(namespace, values["namespace"])
    if prefix and values["world"] == "gazebo":
        raise InputError(
            "options", "namespace", prefix, "nothing: Gazebo's world and bridge name the topics themselves"
        )
    runs = [market_processes(run, options, shares, host) for host in range(len(hosts))]
    by_a_server = needs_discovery_server([process for processes in runs for process in processes])
    return Simulation(
        scenario,
        [moved(process, prefix) for process in processes],
        moved(monitor, prefix) if monitor else None,
        {NAMESPACE: prefix, **(across(hosts, by_a_server, max(map(len, runs))) if hosts else {})},
        hosts_server(discovery_address(hosts), os.environ) if by_a_server and here == 0 else None,
    )


def place_of(name: str, hosts: Sequence[SimulationHost]) -> int:
    """Which of the hosts this one is; the first where there are none. Raises InputError."""
    names = [host.name for host in hosts]
    if hosts and name not in names:
        raise InputError("options", "host", name, f"one of {', '.join(names)}, as the hosts' file has them")
    return names.index(name) if hosts else 0


def across(hosts: Sequence[SimulationHost], by_a_server: bool, processes: int) -> dict[str, str]:
    """Variables that let a simulation's hosts find each other. processes: that one of them runs of the market's."""
    if by_a_server:
        address, port = discovery_address(hosts)
        return by_server(os.environ, f"{address}:{port}")
    addresses = [host.address for host in hosts]
    return by_address(os.environ, addresses, processes + OTHERS, own_folder() / "fastdds.xml")


def saved(scenario: Scenario) -> str:
    """A file, while we run, of a scenario."""
    file = own_folder() / "scenario.yaml"
    save(scenario, file)
    return str(file)


def own_folder() -> Path:
    """A folder that is there while we run."""
    folder = Path(mkdtemp(prefix="uavtwin-simulation-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def warn(sentence: str) -> None:
    """Tell what is odd about a scenario, and go on."""
    print(f"uavtwin: warning: {sentence}", file=sys.stderr)


def examine(scenario: Scenario) -> None:
    """Tell all that is odd about it."""
    for sentence in warnings(scenario):
        warn(sentence)


def absolute(*namespaces: str) -> str:
    """One namespace of several, one within the other: "/north/city", or nothing. Raises InputError."""
    tokens = [token for namespace in namespaces for token in namespace.split("/") if token]
    for token in tokens:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", token):
            raise InputError(
                "options", "namespace", token, "ROS names: letters, digits and _, not beginning with a digit"
            )
    return "".join(f"/{token}" for token in tokens)


def moved(process: ProcessSpec, prefix: str) -> ProcessSpec:
    """The same process with its nodes in a namespace."""
    nodes = (replace(node, namespace=f"{prefix}{node.namespace}") for node in process.nodes)
    return replace(process, nodes=tuple(nodes))


def check_files(values: Mapping[str, Any], scenario: Scenario) -> None:
    """What files must be there, or must not, is seen before anything starts. Raises InputError."""
    policy = values["policy"]
    if policy not in ("", DEFAULT, NONE, UNTRAINED):
        choose(policy)
    if values["record"] and Path(values["record"]).exists():
        raise InputError("options", "record", values["record"], "a folder that does not exist yet")
    for name in ("json", "learned"):
        if values[name] not in ("", "-") and not Path(values[name]).resolve().parent.is_dir():
            raise InputError("options", name, values[name], "a file in a folder that exists")
    for name in ("keys", "px4_dir"):
        if values[name] and not Path(values[name]).is_dir():
            raise InputError("options", name, values[name], "a folder that exists")
    if values["view"]:
        from uav_twin_migration.monitor.server import check_address  # asyncio takes a while to load

        check_address(values["view_address"], values["view_token"])
    check_plugins(scenario)
    check_map(scenario.radio, [(*rsu.position, rsu.antenna_height) for rsu in scenario.rsus])


def check_keys(values: Mapping[str, Any], share: Share) -> None:
    """The keys of a host's RSUs must be there, where keys are wanted or needed. Raises InputError."""
    if values["twins"] and not values["keys"] and not is_loopback(share.host.address):
        raise InputError("options", "keys", "", "the folder of the RSUs' keys: twins go from host to host over TLS")
    for rsu in share.rsus if values["keys"] else ():
        if not (Path(values["keys"]) / f"{rsu.id}.key").is_file():
            expected = f"the keys of every RSU: run uavtwin keys {values['keys']} --rsus {rsu.id} ..."
            raise InputError("options", "keys", values["keys"], expected)


def make_folder(option: str, folder: Path) -> None:
    """Make a folder that an option names. Raises InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("options", option, str(folder), f"a folder that can be made: {error.strerror}") from None


@contextmanager
def store_folder(values: Mapping[str, Any]) -> Iterator[str]:
    """Where the RSUs keep twins: a folder that is given and stays, or one that goes with the run, or none."""
    if not values["twins"]:
        yield ""
    elif values["twin_stores"]:
        folder = Path(values["twin_stores"])
        make_folder("twin_stores", folder)
        yield str(folder.resolve())
    else:
        with TemporaryDirectory(prefix="uavtwin-twins-", ignore_cleanup_errors=True) as name:
            yield name


_claim: socket.socket | None = None


def claim_domain() -> None:
    """Make sure that no other simulation of this machine runs in the same ROS domain: two clocks would be chaos."""
    global _claim
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    _claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # an abstract socket: no file, and gone with the process
        _claim.bind(f"\0uav_twin_migration/sim/domain/{domain}")
    except OSError:
        raise UavTwinError(
            f"another simulation runs in ROS domain {domain}; stop it, or choose another: export ROS_DOMAIN_ID=1"
        ) from None
