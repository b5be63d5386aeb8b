"""A simulation on several hosts: which of a scenario's RSUs and UAVs live on which, neighbours together.

hosts.yaml, the same on every host:

    hosts:
      - {name: west, address: 10.0.0.1}
      - {name: east, address: 10.0.0.2}

The first has what there is once, too: world, links, monitor, recorder, learner, and the server of discovery.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uav_twin_migration.deployment.host_directory import DISCOVERY_PORT, read_yaml
from uav_twin_migration.errors import InputError
from uav_twin_migration.market.messages import is_id
from uav_twin_migration.scenario.model import Rsu, Scenario, Uav
from uav_twin_migration.scenario.neighbourhoods import home, neighbours_first
from uav_twin_migration.transport.addresses import ip_address

LOOPBACK = "127.0.0.1"
MOST_HOSTS = 256
KEYS = {"name", "address"}


@dataclass(frozen=True)
class SimulationHost:
    """A host of a simulation."""

    name: str
    address: str  # where the others reach it


@dataclass(frozen=True)
class Share:
    """What lives on one host."""

    host: SimulationHost
    rsus: tuple[Rsu, ...]
    uavs: tuple[Uav, ...]


def read_hosts(file: str) -> tuple[SimulationHost, ...]:
    """The hosts of a hosts.yaml. Raises InputError."""
    entries = read_yaml(Path(file), "a file with a list `hosts`, see docs/hosts.md").get("hosts")
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_HOSTS:
        raise InputError(file, "hosts", entries, f"a list of 1 to {MOST_HOSTS} hosts, each with name and address")
    hosts = tuple(_host(file, number, entry) for number, entry in enumerate(entries))
    for key in sorted(KEYS):
        seen: set[str] = set()
        for number, host in enumerate(hosts):
            if (value := getattr(host, key)) in seen:
                raise InputError(file, f"hosts[{number}].{key}", value, "one that no other host has")
            seen.add(value)
    return hosts


def _host(file: str, number: int, entry: Any) -> SimulationHost:
    where = f"hosts[{number}]"
    if not isinstance(entry, dict) or entry.keys() != KEYS:
        raise InputError(file, where, entry, "a mapping with name and address")
    if not (isinstance(entry["name"], str) and is_id(entry["name"])):
        raise InputError(file, f"{where}.name", entry["name"], "a name of letters, digits and _")
    if not isinstance(entry["address"], str) or ip_address(entry["address"]) is None:
        raise InputError(file, f"{where}.address", entry["address"], "an IP address, at which the others reach it")
    return SimulationHost(**entry)


def whole(scenario: Scenario) -> tuple[Share, ...]:
    """All of it on one machine."""
    return divided(scenario, [SimulationHost("", LOOPBACK)])


def divided(scenario: Scenario, hosts: Sequence[SimulationHost]) -> tuple[Share, ...]:
    """A share for each host: as many RSUs for each, neighbours together, and the UAVs that are at home with them."""
    places, flying = neighbours_first(scenario)
    size = math.ceil(len(places) / len(hosts))
    runs = [tuple(scenario.rsus[place] for place in places[k * size : (k + 1) * size]) for k in range(len(hosts))]
    at = {rsu.id: number for number, run in enumerate(runs) for rsu in run}
    homes = [at[home(uav, scenario).id] for uav in flying] if len(hosts) > 1 else [0] * len(flying)
    uavs = [
        tuple(uav for uav, there in zip(flying, homes, strict=True) if there == number) for number in range(len(hosts))
    ]
    return tuple(map(Share, hosts, runs, uavs))


def discovery_address(hosts: Sequence[SimulationHost]) -> tuple[str, int]:
    """Where the first host's discovery server listens."""
    return hosts[0].address, DISCOVERY_PORT
