"""Discovery servers that are killed and come back, RSUs that start anew meanwhile: how long until all have found all.

RSU hosts, a host with the UAVs and hosts of discovery servers, each a network namespace (studies/harnesses/network.py),
on a network of 10 ms delay that carries no multicast. Ten times a server is killed (SIGKILL) and, as its unit does it,
back 2 s later; an RSU is killed and back 2 s later, too: at the same time, as the server is coming back, or when it is
there again, in turn. Everybody who ran has to hear the new RSU's offers, on each host, and the RSU has to serve UAVs.
Once with one server, once with two that are killed in turn, once with none, where the hosts know each other's addresses
(`peers` in host.yaml). No twin has a replica, so that one whose host is not found in time begins anew. It needs root,
and some fifteen minutes; UAVTWIN_DISCOVERY_KILLS makes it shorter.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses.city_of_hosts import UAVS, City, running_city
from uav_twin_migration.studies.harnesses.network import Network

SUMMARY = "discovery servers killed and back, ten times: until every node has found every other (root; minutes)"
NEEDS = ("ros", "keys")  # groups of setup.py's REQUIREMENTS besides the command's

KILLS = "UAVTWIN_DISCOVERY_KILLS"
RSUS, PLANES = 3, 4
DOWN = 2.0  # s between the end of a process and its next start, as in their units
GAPS = (0.0, 3.0, 9.0)  # s between the server's end and the RSU's, in turn
PATIENCE = 60.0  # s
QUIET = 12.0  # s after which an RSU's `rsus_heard` holds nobody whom it hears no more
WAYS = {"one server": 1, "two servers in turn": 2, "peers, no multicast": 0}


class Found(NamedTuple):
    """One kill."""

    heard: float  # s from the RSU's start until everybody heard it; NaN where that never came
    served: float  # s until somebody got something of it
    deaf: int  # RSUs that do not hear all others some seconds later


def run(directory: Path | None) -> list[Figure]:
    """Each way, one after the other."""
    kills = kills_of(os.environ.get(KILLS, ""))
    return [figure for way in WAYS for figure in endure(way, kills)]


def endure(way: str, kills: int) -> list[Figure]:
    """So many kills in a city whose nodes find each other in one of `WAYS`."""
    network = Network(delay=0.01, jitter=0.003, multicast=False)
    with (
        tempfile.TemporaryDirectory(prefix="uavtwin-discovery-") as folder,
        running_city(Path(folder), RSUS, PLANES, network, WAYS[way], "none", learner=False) as city,
    ):
        for rsu in city.rsus:
            city.watch(rsu)
        city.wait_for_service()
        city.wait_for(lambda: len(city.twins()) == PLANES, "all twins", 120.0)
        time.sleep(QUIET)
        return figures_of(way, city, [kill(city, number, way) for number in range(kills)])


def kills_of(text: str) -> int:
    """How many kills. Raises InputError."""
    if text and not (text.isdecimal() and 0 < int(text) <= 10_000):
        raise InputError("environment", KILLS, text, "a whole number from 1")
    return int(text or "10")


def kill(city: City, number: int, way: str) -> Found:
    """A server goes and comes, and an RSU does."""
    rsu, gap = city.rsus[number % RSUS], GAPS[number % len(GAPS)]
    server = city.discovery[number % len(city.discovery)] if city.discovery else ""
    struck = time.monotonic()
    todo = [(gap, lambda: city.hosts[rsu].kill("rsu")), (gap + DOWN, lambda: city.start_rsu(rsu))]
    if server:
        todo += [(0.0, lambda: city.hosts[server].kill()), (DOWN, lambda: city.start_discovery(server))]
    for at, do in sorted(todo, key=lambda one: one[0]):
        time.sleep(max(0.0, struck + at - time.monotonic()))
        do()
    found = wait_until_found(city, rsu, struck + gap + DOWN)
    time.sleep(QUIET)
    deaf = len(deaf_rsus(city))
    print(
        f"  {way}, {number + 1}: {rsu} heard by all after {found[0]:.1f} s, serves after {found[1]:.1f} s, {deaf} deaf",
        file=sys.stderr,
        flush=True,
    )
    return Found(*found, deaf)


def wait_until_found(city: City, rsu: str, since: float) -> tuple[float, float]:
    """How long after a time everybody heard an RSU, and it served, s; infinity where that does not come."""
    heard = [float("inf")] * len(city.watchers)
    served = float("inf")
    while time.monotonic() < since + PATIENCE and max(*heard, served) == float("inf"):
        time.sleep(0.2)
        first = [watcher.events("offer", since, rsu) for watcher in city.watchers.values()]
        heard = [events[0]["at"] - since if events else float("inf") for events in first]
        grants = city.served(rsu, since)
        served = grants[0]["at"] - since if grants else float("inf")
    return max(heard), served


def deaf_rsus(city: City) -> set[str]:
    """RSUs that do not hear all others, as they say themselves; and those that nobody hears say so."""
    lately = {event["rsu"]: set(event["rsus"]) for event in city.events("hears", time.monotonic() - 3.0)}
    return {rsu for rsu in city.rsus if not lately.get(rsu, set()) >= set(city.rsus) - {rsu}}


def figures_of(way: str, city: City, kills: list[Found]) -> list[Figure]:
    """What a person wants to know. Raises UavTwinError where the UAVs' process ended."""
    if city.hosts[UAVS].processes["uav_container"].poll() is not None:
        raise UavTwinError(f"{way}: the UAVs' process has ended")
    heard, served = [one.heard for one in kills], [one.served for one in kills]
    return [
        Figure(f"{way}: kills", len(kills), ""),
        Figure(f"{way}: an RSU is heard by all again after, median", statistics.median(heard), "s"),
        Figure(f"{way}: an RSU is heard by all again after, at most", max(heard), "s"),
        Figure(f"{way}: it serves again after, median", statistics.median(served), "s"),
        Figure(f"{way}: it serves again after, at most", max(served), "s"),
        Figure(f"{way}: RSUs that did not hear another {QUIET:.0f} s later", sum(one.deaf for one in kills), ""),
        Figure(f"{way}: twins that began anew", len(city.begun_anew()), ""),
        Figure(f"{way}: states of twins by hosts whose time was over", len(city.served_twice()), ""),
    ]
