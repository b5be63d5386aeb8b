"""A city on several hosts: RSU hosts as `uavtwin rsu init` makes them, a host with the UAVs, hosts for discovery.

Where PyTorch is installed there is a learner's host, too, whose policies the RSUs believe.
"""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from uav_twin_migration.cli.rsu_init import bring_keys, parameters_of, write_files
from uav_twin_migration.deployment.host_directory import (
    DISCOVERY_PORT,
    KEYS,
    LEARNERS,
    STORE,
    TWIN_PORT,
    EdgeHost,
)
from uav_twin_migration.deployment.options import Options
from uav_twin_migration.deployment.plan import (
    NodeSpec,
    ProcessSpec,
    link_node,
    uav_container_node,
    world_node,
)
from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.policy import artifact
from uav_twin_migration.policy.choice import DEFAULT, choose
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.load import save
from uav_twin_migration.scenario.model import Scenario, TwinParameters
from uav_twin_migration.security.authority import make_learner_key, make_uav_signing_keys
from uav_twin_migration.studies.harnesses.heard import Event, Heard
from uav_twin_migration.studies.harnesses.network import Hosts, Network, made_hosts

UAV_CONTAINER = "uav_container_0"
UAVS = "uavs"  # the host that the UAVs, their world and the watcher are on
LEARNER = "learner"  # the host that a learner is on
LEARNING = {"first": 100, "growth": 1.15, "effort": 0.05}  # little, but often: what matters is that it arrives
TWIN_SIZE = 20.0  # Mbit; small, so that a new replica is there in seconds
LATE = 3.0  # s, age from which a replica is not one
PYTHON = [sys.executable, "-m"]


class City:
    """The running city, and what its watcher has heard."""

    def __init__(self, hosts: Hosts, folder: Path, scenario: Scenario, discovery: tuple[str, ...]) -> None:
        self.hosts, self.folder, self.scenario, self.discovery = hosts, folder, scenario, discovery
        self.rsus = [rsu.id for rsu in scenario.rsus]
        self.servers = tuple(f"{hosts[name].address}:{DISCOVERY_PORT}" for name in discovery)
        self.peers = () if discovery else tuple(host.address for host in hosts)  # then simple discovery finds them
        self.learns = LEARNER in hosts.names
        self.watchers: dict[str, Heard] = {}  # by host
        self._file = str(folder / "scenario.yaml")

    # -- hosts -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything."""
        save(self.scenario, self._file)
        for name in self.discovery:
            self.start_discovery(name)
        make_uav_signing_keys(self._keys, {UAV_CONTAINER: [uav.id for uav in self.scenario.uavs]})
        make_learner_key(self._keys, LEARNER)
        for rsu in self.rsus:
            self.make_rsu_host(rsu)
            self.start_rsu(rsu)
        self._start_uavs()
        self.watch(UAVS)
        if self.learns:
            self.start_learner()

    @property
    def _keys(self) -> Path:
        return self.folder / "keys"

    def start_discovery(self, name: str) -> None:
        """A discovery server."""
        number, address = str(self.discovery.index(name)), self.hosts[name].address
        verb = ["rsu", "discovery", "--number", number, "--address", address, "--port", str(DISCOVERY_PORT)]
        self.hosts[name].start("discovery", [*PYTHON, "uav_twin_migration.cli", *verb])

    def make_rsu_host(self, rsu: str) -> None:
        """An RSU's host directory, with its keys."""
        directory = self.folder / rsu
        address = (self.hosts[rsu].address, TWIN_PORT)
        parameters = parameters_of(rsu, self._file, address)
        parameters |= {"require_uav_signatures": True, "drain_on_stop": False}  # what ends there, ends at once
        host = EdgeHost(rsu, discovery_servers=self.servers, peers=self.peers, parameters=parameters)
        write_files(directory, host)
        bring_keys(self._keys, directory / KEYS, rsu)
        shutil.copyfile(self._keys / f"{LEARNER}.pub", directory / LEARNERS / f"{LEARNER}.pub")

    def start_rsu(self, rsu: str) -> None:
        """Start an RSU as its host's systemd unit does."""
        command = [*PYTHON, "uav_twin_migration.cli", "rsu", "run", str(self.folder / rsu)]
        self.hosts[rsu].start("rsu", command, log=self.folder / f"{rsu}.log")

    def lose_disk(self, rsu: str) -> None:
        """An RSU's twins are gone for ever."""
        shutil.rmtree(self.folder / rsu / STORE)
        (self.folder / rsu / STORE).mkdir()

    def start_learner(self) -> None:
        """A learner, which goes on from the policy that it published last."""
        own = {"signing_key": str(self._keys / f"{LEARNER}.key"), "output": str(self._learned), "use_sim_time": False}
        node = NodeSpec(LEARNER, "", own | LEARNING)
        log = self.folder / f"{LEARNER}.log"
        self.hosts[LEARNER].start(LEARNER, host_command(node), self._environment(LEARNER), log)

    def restart_learner(self, version: int) -> None:
        """The learner's process ends, and begins again with a policy that nobody has yet."""
        self.hosts[LEARNER].kill()
        shipped = choose(DEFAULT)
        if shipped is None:
            raise UavTwinError("the shipped policy is not installed: install uav_twin_migration anew")
        artifact.save(replace(shipped, version=version), self._learned)
        self.start_learner()

    @property
    def _learned(self) -> Path:
        return self.folder / LEARNER / "policy.safetensors"

    def _environment(self, name: str) -> dict[str, str]:
        """Of a host's processes, other than an RSU's."""
        host, folder = EdgeHost(name, discovery_servers=self.servers, peers=self.peers), self.folder / name
        if name not in self.rsus:  # who have their directories already
            write_files(folder, host)
        return host.variables(folder)

    def _start_uavs(self) -> None:
        environment = self._environment(UAVS)
        link = link_node(self.scenario, self._file, Options())
        uav_container = uav_container_node(0, self.scenario.uavs, self.scenario)
        key, signing_key = str(self._keys / "market.pub"), str(self._keys / f"{UAV_CONTAINER}.signing")
        uav_container.parameters.update(market_key=key, signing_key=signing_key, twin=True, use_sim_time=False)
        link.parameters["use_sim_time"] = False
        host = self.hosts[UAVS]
        for node in (world_node(self.scenario, self._file, Options()), link, uav_container):
            host.start(node.executable, host_command(node), environment, self.folder / f"{node.executable}.log")

    def watch(self, name: str) -> None:
        """Have a watcher on a host."""
        file = self.folder / f"heard-{name}.jsonl"
        self.watchers[name] = Heard(file)
        self.hosts[name].start("watch", [*PYTHON, "uav_twin_migration.nodes.watch"], self._environment(name), file)

    # -- what is heard -----------------------------------------------------------------------------------------------

    def events(self, kind: str, since: float = 0.0, rsu: str = "") -> list[Event]:
        """What is heard on the UAVs' host since a time of the steady clock, of one RSU or of all."""
        return self.watchers[UAVS].events(kind, since, rsu)

    def served(self, rsu: str, since: float) -> list[Event]:
        """Grants of an RSU with which somebody got something."""
        return [event for event in self.events("grant", since, rsu) if event["served"]]

    def wait_for(self, condition: Callable[[], Any], what: str, patience: float = 60.0) -> float:
        """Wait until something is heard. Returns how long that took, s. Raises UavTwinError."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > patience:
                raise UavTwinError(f"within {patience:.0f} s this never came: {what}")
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_for_service(self, *rsus: str, rounds: int = 2) -> float:
        """Wait until each RSU has served somebody in some rounds from now on. Returns how long that took, s."""
        since = time.monotonic()
        return self.wait_for(
            lambda: all(len(self.served(rsu, since)) >= rounds for rsu in rsus or self.rsus), "service of all RSUs"
        )

    def oversold(self) -> list[Event]:
        """Grants of more than an RSU has."""
        capacity = {rsu.id: rsu.capacity for rsu in self.scenario.rsus}
        return [event for event in self.events("grant") if event["sold"] > capacity[event["rsu"]] * (1.0 + 1e-9)]

    # -- policies ----------------------------------------------------------------------------------------------------

    def newest_policy(self) -> int:
        """The highest version that was published; 0 for none."""
        return max((int(event["version"]) for event in self.events("policy")), default=0)

    def wait_for_policy(self, version: int, since: float, *rsus: str) -> float:
        """Wait until RSUs price by a policy of at least this version.

        Returns how long after a time of the steady clock the last of them did, s.
        """

        first: dict[str, float] = {}

        def is_used() -> bool:
            for event in reversed(self.events("priced", since)):
                if event["version"] >= version:
                    first[event["rsu"]] = event["at"]
            return first.keys() >= set(rsus or self.rsus)

        self.wait_for(is_used, f"policy {version} at all RSUs", 120.0)
        return max(first[rsu] for rsu in rsus or self.rsus) - since

    # -- twins -------------------------------------------------------------------------------------------------------

    def twins(self) -> set[str]:
        """All UAVs whose twins were ever served."""
        return {uav for event in self.events("state") for uav in event["twins"]}

    def served_since(self, since: float) -> set[str]:
        """The UAVs whose twins were served after a time."""
        return {uav for event in self.events("state", since) for uav in event["twins"]}

    def longest_silence(self, since: float) -> float:
        """The longest time since then in which the users of some twin heard nothing of it, s."""
        heard = {uav: [since] for uav in self.twins()}
        for event in self.events("state", since):
            for uav in event["twins"]:
                heard[uav].append(float(event["at"]))
        until = time.monotonic()
        return max(later - earlier for times in heard.values() for earlier, later in pairwise([*times, until]))

    def begun_anew(self) -> list[Event]:
        """Twins that an RSU began without a copy, the first time of each left out."""
        begun = self.events("begun")
        first = {event["uav"]: event for event in reversed(begun)}
        return [event for event in begun if event is not first[event["uav"]]]

    def warm_copies(self, since: float) -> set[str]:
        """The UAVs whose twins had a replica, not late, at some time since then."""
        return {uav for event in self.events("replicas", since) for uav, age in event["ages"].items() if age < LATE}

    def wait_for_replicas(self) -> float:
        """Wait until each twin has a replica. Returns how long that took, s."""
        since = time.monotonic()
        return self.wait_for(lambda: self.warm_copies(since) == self.twins(), "a replica of each twin", 240.0)

    def takeovers(self, since: float) -> list[float]:
        """What each takeover since then has cost, s of telemetry that users had seen and that is gone."""
        known = {(event["uav"], event["epoch"]): event for event in reversed(self.events("takeover"))}
        states = self.events("state")
        return [_lost(event, states) for event in known.values() if event["at"] >= since]

    def served_twice(self) -> list[Event]:
        """States of a twin that an RSU gave after another had given one of a higher epoch.

        By the time at which they were given: all namespaces share a clock, and a state may be heard long after it was
        said, since what was cut off is sent again.
        """
        newest: dict[str, tuple[int, str]] = {}  # epoch, host
        late = []
        for event in sorted(self.events("state"), key=lambda event: float(event["said"])):
            for uav, epoch in event["twins"].items():
                highest, host = newest.get(uav, (0, ""))
                if epoch >= highest:
                    newest[uav] = (epoch, event["rsu"])
                elif event["rsu"] != host:
                    late.append(event)
        return late

    def stop(self) -> None:
        """Stop everything in good order."""
        for host in self.hosts:
            host.kill(with_signal=signal.SIGTERM)


def _lost(takeover: Event, states: Sequence[Event]) -> float:
    """Seconds between the newest telemetry that users saw of a twin before a takeover and that in the copy."""
    uav, epoch, as_of = takeover["uav"], takeover["epoch"], takeover["as_of"]
    seen = [state["stamps"][uav] for state in states if state["twins"].get(uav, epoch) < epoch]
    if not seen:
        return 0.0
    return max(max(seen) - as_of, 0.0) if as_of is not None else math.inf


def why_no_learner() -> str:
    """Why there can be no learner here; empty where there can."""
    return "" if importlib.util.find_spec("torch") else "PyTorch is not installed"


def host_command(node: NodeSpec) -> list[str]:
    """The command that runs one node."""
    return [
        *PYTHON,
        "uav_twin_migration.nodes.component_container",
        json.dumps(ProcessSpec(node.executable, (node,)).to_json()),
    ]


@contextmanager
def running_city(
    folder: Path, rsus: int, uavs: int, network: Network, servers: int = 2, replicas: str = "one", learner: bool = True
) -> Iterator[City]:
    """A city that ends with the block. Raises UavTwinError where hosts cannot be made."""
    scenario = replace(generate(rsus, uavs, seed=1), twins=TwinParameters(replicas))
    scenario = replace(scenario, uavs=tuple(replace(uav, twin_size=TWIN_SIZE) for uav in scenario.uavs))
    discovery = tuple(f"disc{number}" for number in range(servers))
    learners = [LEARNER] if learner and not why_no_learner() else []
    names = [*discovery, *(rsu.id for rsu in scenario.rsus), UAVS, *learners]
    with made_hosts(names, network) as hosts:
        city = City(hosts, folder, scenario, discovery)
        city.start()
        yield city
