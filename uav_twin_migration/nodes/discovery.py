"""A Fast DDS discovery server for simulations of many processes.

With very many participants, simple discovery overflows its socket buffers and never finds everybody.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import NamedTuple

FIRST_PORT = 11811  # Fast DDS's own default


class DiscoveryServer(NamedTuple):
    """How to start a server, and what its clients' environment must hold."""

    command: tuple[str, ...]  # empty where a server was there already
    variables: dict[str, str]


def discovery_server(environment: Mapping[str, str]) -> DiscoveryServer | None:
    """What to do in this environment; None with another middleware or where Fast DDS's command is not installed."""
    if environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") != "rmw_fastrtps_cpp":
        return None
    variables = {}
    if "FASTDDS_BUILTIN_TRANSPORTS" not in environment:
        variables["FASTDDS_BUILTIN_TRANSPORTS"] = "UDPv4?sockets_size=4MB"
    if "ROS_DISCOVERY_SERVER" in environment:
        return DiscoveryServer((), variables)
    server = shutil.which("fast-discovery-server", path=environment.get("PATH"))
    tool = shutil.which("fastdds", path=environment.get("PATH"))
    if server is None and tool is None:
        return None
    port = str(FIRST_PORT + int(environment.get("ROS_DOMAIN_ID", "0")))
    variables["ROS_DISCOVERY_SERVER"] = f"127.0.0.1:{port}"
    start = (server,) if server else (str(tool), "discovery")
    return DiscoveryServer((*start, "-i", "0", "-l", "127.0.0.1", "-p", port), variables)
