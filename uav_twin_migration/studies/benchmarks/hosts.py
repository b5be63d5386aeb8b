"""A city on several hosts, and everything that happens to networks and hosts: what each costs, and how long it lasts.

Four RSU hosts, a host with the UAVs, a learner's host and two discovery hosts, each a network namespace of this machine
(studies/harnesses/network.py), on a network of 30 ms delay with 10 ms of jitter, 5 % loss and 20 Mbit/s a host. One
disturbance after the other; in between, everybody recovers, and each twin has a replica. It needs root, and some ten
minutes; without PyTorch there is no learner.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses.city_of_hosts import (
    LEARNER,
    UAVS,
    City,
    running_city,
    why_no_learner,
)
from uav_twin_migration.studies.harnesses.network import Network

SUMMARY = "RSUs on hosts of their own, cut off, killed, rebooted: what is lost, and time to recover (root; minutes)"
NEEDS = ("ros", "keys")  # groups of setup.py's REQUIREMENTS besides the command's

NETWORK = Network(delay=0.03, jitter=0.01, loss=0.05, rate=20e6 / 8)
RSUS, PLANES = 4, 8
SHORT, LONG = 5.0, 60.0  # s that an RSU is cut off
HALVES = 20.0  # s that the city is cut in two, or a host that serves nobody is away


class Disturbance(NamedTuple):
    """Something that happens, to whom, and what ends it."""

    name: str
    struck: tuple[str, ...]  # RSUs that cannot serve meanwhile
    begin: Callable[[], None]
    end: Callable[[], None]
    lasts: float  # s


def run(directory: Path | None) -> list[Figure]:
    """Everything, one after the other."""
    figures: list[Figure] = []
    if why_no_learner():
        print(f"  NO LEARNER'S HOST, nothing is shown of policies: {why_no_learner()}", file=sys.stderr, flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="uavtwin-hosts-") as folder,
        running_city(Path(folder), RSUS, PLANES, NETWORK) as city,
    ):
        began = time.monotonic()
        figures.append(Figure("all RSUs serve after the start", city.wait_for_service(), "s"))
        city.wait_for(lambda: len(city.twins()) == PLANES, "all twins", 120.0)
        if city.learns:
            figures.append(Figure("all RSUs price by what was learned after", city.wait_for_policy(2, began), "s"))
        for one in disturbances(city):
            print(f"  {one.name} ...", file=sys.stderr, flush=True)
            figures += endure(city, one)
        if city.learns:
            figures.append(Figure("newest policy's version", city.newest_policy(), ""))
        figures += [
            Figure("grants of more than an RSU has", len(city.oversold()), ""),
            Figure("states of twins by hosts whose time was over", len(city.served_twice()), ""),
            Figure("packets carried", city.hosts.switch.carried, ""),
            Figure("packets dropped", city.hosts.switch.dropped, ""),
        ]
    return figures


def disturbances(city: City) -> list[Disturbance]:
    """The list, in order."""
    hosts, network = city.hosts, city.hosts.network
    one, two, three, four = city.rsus
    halves = [one, two, city.discovery[0], UAVS], [three, four, city.discovery[1], LEARNER]

    def cut(rsu: str, inbound: bool, outbound: bool) -> Callable[[], None]:
        return lambda: network.isolate(rsu, hosts.names, inbound, outbound)

    def forget_and_start() -> None:
        city.lose_disk(four)
        city.start_rsu(four)

    learner = Disturbance(
        "the learner is cut off for 20 s",
        (),
        lambda: network.isolate(LEARNER, hosts.names),
        network.heal,
        HALVES,
    )
    return [
        Disturbance("nothing happens for 20 s", (), lambda: None, lambda: None, HALVES),  # but loss, delay and jitter
        *([learner] if city.learns else []),
        Disturbance("an RSU hears nothing for 5 s", (one,), cut(one, True, False), network.heal, SHORT),
        Disturbance("an RSU is not heard for 5 s", (two,), cut(two, False, True), network.heal, SHORT),
        Disturbance("an RSU is cut off for 5 s", (three,), cut(three, True, True), network.heal, SHORT),
        Disturbance("an RSU hears nothing for 60 s", (four,), cut(four, True, False), network.heal, LONG),
        Disturbance("an RSU is cut off for 60 s", (one,), cut(one, True, True), network.heal, LONG),
        Disturbance(
            "a discovery host is killed for 20 s",
            (),
            hosts[city.discovery[0]].kill,
            lambda: city.start_discovery(city.discovery[0]),
            HALVES,
        ),
        Disturbance("a host is rebooted", (two,), hosts[two].kill, lambda: city.start_rsu(two), SHORT),
        Disturbance("a host is lost with its disk", (four,), hosts[four].kill, forget_and_start, SHORT),
        Disturbance(
            "the city is cut in two for 20 s", (three, four), lambda: network.split(*halves), network.heal, HALVES
        ),
    ]


def endure(city: City, one: Disturbance) -> list[Figure]:
    """Let it happen, wait until it is over and everybody serves again. Returns what was seen."""
    others = [rsu for rsu in city.rsus if rsu not in one.struck]
    period = city.scenario.market.round_period
    warm = city.wait_for_replicas()
    anew = len(city.begun_anew())
    began, began_at = time.monotonic(), time.time()
    one.begin()
    time.sleep(one.lasts)
    ended, ended_at = time.monotonic(), time.time()
    newest = city.newest_policy()
    one.end()
    try:
        recovered = city.wait_for_service()
        served = city.wait_for(lambda: city.served_since(ended + recovered) == set(city.twins()), "all twins again")
        learned = city.wait_for_policy(newest, ended) if city.learns else 0.0
    except UavTwinError as error:
        raise UavTwinError(f"{one.name}: {error}") from error
    held = [event for event in city.events("grant", began) if began_at <= event["said"] < ended_at]  # heard late or not
    losses = city.takeovers(began)
    missed = sum(round((ended - began) / period) - sum(event["rsu"] == rsu for event in held) for rsu in others)
    return [
        Figure(f"{one.name}: all RSUs serve again after", recovered, "s"),
        Figure(f"{one.name}: all twins are served again after", recovered + served, "s"),
        Figure(
            f"{one.name}: rounds that others missed, of {round(one.lasts / period) * len(others)}", max(missed, 0), ""
        ),
        Figure(f"{one.name}: longest time without word of a twin", city.longest_silence(began), "s"),
        Figure(f"{one.name}: twins that began anew", len(city.begun_anew()) - anew, ""),
        Figure(f"{one.name}: twins taken over by their replicas", len(losses), ""),
        Figure(f"{one.name}: most that a takeover lost", max(losses, default=0.0), "s"),
        Figure(f"{one.name}: all twins had a replica before after", warm, "s"),
        *([Figure(f"{one.name}: all RSUs price by the newest policy after", learned, "s")] if city.learns else []),
    ]
