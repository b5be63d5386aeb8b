"""How nodes find each other: by hosts' addresses or a discovery server, and what keeps a simulation to one machine.

A simulation keeps to itself: two of them on one network must not hear each other's clocks. ROS's own way to say that,
ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, stops at 32 processes with Fast DDS and insists on shared memory, which hangs
for ever when a process is killed at the wrong moment. So Fast DDS gets a profile of ours; what the user has set wins.

Fast DDS 2.14's discovery server loses some endpoints for ever where a dozen processes start at once: an RSU then never
learns that a UAV listens. So a server is for very many processes alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.shipped import shipped_file

FIRST_PORT = 11811  # Fast DDS's own default
FORGOTTEN = 3.5  # s after which nobody believes in a server that was killed: the lease in server.xml, and a little
PROFILES = "{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}"
CHOICES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_AUTOMATIC_DISCOVERY_RANGE")


# Nodes that have to hear of all topics. A discovery server tells its other clients of those alone that they have, too.
HEARS_OF_ALL = {"recorder": {"ROS_SUPER_CLIENT": "TRUE"}}


class DiscoveryServer(NamedTuple):
    """How to start a server, and what its clients' environment must hold."""

    command: tuple[str, ...]  # empty where a server was there already
    variables: dict[str, str]


def uses_fast_dds(environment: Mapping[str, str]) -> bool:
    """Whether Fast DDS is the middleware: ROS's default."""
    return environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp").startswith("rmw_fastrtps")


def loopback(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that keep a simulation on this machine; none where the user has chosen already."""
    if any(name in environment for name in (*CHOICES, "ROS_LOCALHOST_ONLY")):
        return {}
    profile = shipped_file("config/fastdds/loopback.xml")
    if profile is None or not uses_fast_dds(environment):
        return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return with_profile(str(profile))


def with_profile(file: str) -> dict[str, str]:
    """Variables that make nodes use one of our profiles of Fast DDS, of whatever version."""
    return dict.fromkeys(CHOICES[:2], file) | {"RMW_FASTRTPS_USE_QOS_FROM_XML": "1"}


def keep_to_this_machine() -> None:
    """Apply `loopback` to this process and its children."""
    os.environ.update(loopback(os.environ))


def by_server(environment: Mapping[str, str], server: str) -> dict[str, str]:
    """Variables for a simulation on several hosts, with a discovery server at HOST:PORT. What the user has set wins."""
    variables = {"ROS_DISCOVERY_SERVER": server}
    profile = shipped_file("config/fastdds/edge.xml")
    if profile is not None:
        variables |= with_profile(str(profile))
    return unless_chosen(variables, environment)


def by_address(environment: Mapping[str, str], hosts: Sequence[str], processes: int, file: Path) -> dict[str, str]:
    """Variables for a simulation on several hosts that ask each other, without a server. What the user has set wins.

    Args:
        hosts: all their addresses.
        processes: that any of them may run: so many ports of each are asked.
        file: where Fast DDS's profile is written.

    Raises:
        InputError: an address is not of IPv4, which the profile of Fast DDS is for.
    """
    profile = shipped_file("config/fastdds/edge.xml")
    if profile is None or not uses_fast_dds(environment):
        return unless_chosen({"ROS_STATIC_PEERS": ";".join(hosts)}, environment)
    for host in hosts:
        if ":" in host:
            raise InputError("hosts", "address", host, "an IPv4 address: config/fastdds/edge.xml is for UDP over IPv4")
    file.write_text(with_hosts(profile.read_text(), hosts, processes))
    return unless_chosen(with_profile(str(file)), environment)


def with_hosts(profile: str, hosts: Sequence[str], processes: int) -> str:
    """A profile of Fast DDS that has nodes ask hosts for others; ROS's own ROS_STATIC_PEERS asks four ports of each."""
    ElementTree.register_namespace("", PROFILES.strip("{}"))
    document = ElementTree.fromstring(profile)
    (transport,) = document.iter(f"{PROFILES}transport_descriptor")
    (participant,) = document.iter(f"{PROFILES}rtps")
    ElementTree.SubElement(transport, f"{PROFILES}maxInitialPeersRange").text = str(processes)
    builtin = ElementTree.SubElement(participant, f"{PROFILES}builtin")
    peers = ElementTree.SubElement(builtin, f"{PROFILES}initialPeersList")
    for host in hosts:
        udp = ElementTree.SubElement(ElementTree.SubElement(peers, f"{PROFILES}locator"), f"{PROFILES}udpv4")
        ElementTree.SubElement(udp, f"{PROFILES}address").text = host
    return ElementTree.tostring(document, encoding="unicode")


def unless_chosen(variables: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Those that the user has not set."""
    return {name: value for name, value in variables.items() if name not in environment}


def hosts_server(address: tuple[str, int], environment: Mapping[str, str]) -> DiscoveryServer | None:
    """The discovery server of several hosts, at the first one's address; None where there is nothing to start one."""
    start = server_command(environment) if uses_fast_dds(environment) else ()
    return DiscoveryServer((*start, "-i", "0", "-l", address[0], "-p", str(address[1])), {}) if start else None


def server_command(environment: Mapping[str, str]) -> tuple[str, ...]:
    """How Fast DDS's discovery server is started; empty where it is not installed."""
    server = shutil.which("fast-discovery-server", path=environment.get("PATH"))
    tool = shutil.which("fastdds", path=environment.get("PATH"))
    return (server,) if server else (tool, "discovery") if tool else ()


def discovery_server(environment: Mapping[str, str]) -> DiscoveryServer | None:
    """For very many processes; None with another middleware or where Fast DDS's command is not installed."""
    if not uses_fast_dds(environment):
        return None
    if "ROS_DISCOVERY_SERVER" in environment:
        return DiscoveryServer((), {})
    start = server_command(environment)
    if not start:
        return None
    port = str(FIRST_PORT + int(environment.get("ROS_DOMAIN_ID", "0")))
    variables = {"ROS_DISCOVERY_SERVER": f"127.0.0.1:{port}"}
    return DiscoveryServer((*start, "-i", "0", "-l", "127.0.0.1", "-p", port), variables)


def lasting_server(number: int, address: str, port: int) -> list[str]:
    """The command of a host's server: one that may be killed, and come back `FORGOTTEN` later. Raises UavTwinError."""
    program, profile = server_command(os.environ), shipped_file("config/fastdds/server.xml")
    if not program:
        raise UavTwinError("fast-discovery-server is missing; it comes with ros-$ROS_DISTRO-fastrtps, and with wheels")
    if profile is None:
        raise UavTwinError("config/fastdds/server.xml is not installed: install uav_twin_migration anew")
    return [*program, "-i", str(number), "-l", address, "-p", str(port), "-x", f"server@{profile}"]
