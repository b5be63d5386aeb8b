"""How the processes of a simulation on one machine find each other and talk: environment variables, and a server.

A simulation keeps to itself: two of them on one network must not hear each other's clocks. ROS's own way to say that,
ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, stops at 32 processes with Fast DDS and insists on shared memory, which hangs
for ever when a process is killed at the wrong moment. So Fast DDS gets a profile of ours; what the user has set wins.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import NamedTuple

from uav_twin_migration.shipped import shipped_file

FIRST_PORT = 11811  # Fast DDS's own default
CHOICES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_AUTOMATIC_DISCOVERY_RANGE")


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
    return dict.fromkeys(("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"), str(profile))


def keep_to_this_machine() -> None:
    """Apply `loopback` to this process and its children."""
    os.environ.update(loopback(os.environ))


def discovery_server(environment: Mapping[str, str]) -> DiscoveryServer | None:
    """For very many processes; None with another middleware or where Fast DDS's command is not installed."""
    if not uses_fast_dds(environment):
        return None
    if "ROS_DISCOVERY_SERVER" in environment:
        return DiscoveryServer((), {})
    server = shutil.which("fast-discovery-server", path=environment.get("PATH"))
    tool = shutil.which("fastdds", path=environment.get("PATH"))
    if server is None and tool is None:
        return None
    port = str(FIRST_PORT + int(environment.get("ROS_DOMAIN_ID", "0")))
    start = (server,) if server else (str(tool), "discovery")
    variables = {"ROS_DISCOVERY_SERVER": f"127.0.0.1:{port}"}
    return DiscoveryServer((*start, "-i", "0", "-l", "127.0.0.1", "-p", port), variables)
