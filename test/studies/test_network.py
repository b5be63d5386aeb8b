"""Hosts made of network namespaces: the network between them does what it is told."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from uav_twin_migration.studies.harnesses.network import (
    Hosts,
    Network,
    made_hosts,
    why_not,
)

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"NO NETWORK NAMESPACES HERE, nothing is proven: {why_not()}")

ECHO = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 9000))
while True:
    data, address = server.recvfrom(2048)
    server.sendto(data, address)
"""
# sends numbered datagrams, prints how many came back, none so long after the last, and the median round trip in ms
ASK = """
import socket, sys, time
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.settimeout(float(sys.argv[3]))
sent, times = [], {}
for number in range(int(sys.argv[2])):
    sent.append(time.monotonic())
    probe.sendto(str(number).encode(), (sys.argv[1], 9000))
try:
    while len(times) < len(sent):
        number = int(probe.recv(2048))
        times[number] = (time.monotonic() - sent[number]) * 1e3
except OSError:
    pass
print(len(times), sorted(times.values())[len(times) // 2] if times else 0.0)
"""
PATIENCE = 60.0  # s for what is bound to come back
SILENCE = 0.5  # s after which no more of what may be lost comes back


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with made_hosts(["a", "b", "c"], Network(), seed=1) as made:
        for host in made:
            host.start("echo", [sys.executable, "-c", ECHO])
        for source, target in (("a", "b"), ("b", "c"), ("c", "a")):
            while ask(made, source, target, 1, SILENCE)[0] == 0:
                time.sleep(0.02)
        yield made


def ask(hosts: Hosts, source: str, target: str, count: int = 100, patience: float = PATIENCE) -> tuple[int, float]:
    """Round trips from one host to another: how many there were, and the median in ms."""
    command = ["ip", "netns", "exec", hosts[source].namespace, sys.executable, "-c", ASK]
    command += [hosts[target].address, str(count), str(patience)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answered, median = done.stdout.split()
    return int(answered), float(median)


def test_an_undisturbed_network_carries_everything(hosts: Hosts) -> None:
    assert ask(hosts, "a", "b")[0] == 100


def test_delay(hosts: Hosts) -> None:
    hosts.network.delay = 0.03
    answered, median = ask(hosts, "a", "b", 20)
    assert answered == 20
    assert median >= 60.0  # at least: a slow machine adds to it


def test_loss(hosts: Hosts) -> None:
    hosts.network.loss = 0.3
    hosts.network.delay = 0.0
    answered, _ = ask(hosts, "a", "b", 60, SILENCE)
    assert 12 <= answered <= 46  # expected 29, standard deviation 3.9


def test_cuts_one_way_and_both(hosts: Hosts) -> None:
    hosts.network.isolate("a", hosts.names, inbound=False)
    assert ask(hosts, "a", "b", 3, SILENCE)[0] == 0
    assert ask(hosts, "b", "c", 3)[0] == 3
    hosts.network.heal()
    assert ask(hosts, "a", "b", 3)[0] == 3
    hosts.network.split(["a"], ["b", "c"])
    assert [ask(hosts, one, other, 3, SILENCE)[0] for one, other in (("a", "b"), ("c", "a"))] == [0, 0]
    assert ask(hosts, "b", "c", 3)[0] == 3


def test_rate(hosts: Hosts) -> None:
    hosts.network.rate = 2000.0  # bytes/s; each datagram is some 30 bytes and its echo as many
    began = time.monotonic()
    ask(hosts, "a", "b", 40)
    assert time.monotonic() - began >= 40 * 29 / 2000.0


def test_a_host_that_loses_power_has_no_processes(hosts: Hosts) -> None:
    process = hosts["a"].processes["echo"]
    hosts["a"].kill()
    assert process.poll() is not None
    assert ask(hosts, "b", "a", 2, SILENCE)[0] == 0
    assert ask(hosts, "b", "c", 2)[0] == 2
