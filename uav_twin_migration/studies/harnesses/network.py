"""Several hosts on one machine: a network namespace each, and between them a switch that is as bad as it is told to be.

Each host has one interface (a TUN device), an address of its own, and nothing in common with the others but the disk.
The switch is in user space: it carries IP packets between the TUN devices, and delays, drops and cuts as its `Network`
says, which may change at any time. That needs no kernel module but `tun`: no netem, no bridge, no nftables.

Linux, as root (or with CAP_NET_ADMIN and CAP_SYS_ADMIN), with iproute2.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.nodes.ros.children import die_with_parent

TUN_DEVICE, TUN_NAME = "/dev/net/tun", "city0"
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
NETWORK = "10.77.0."
MTU = 1500  # bytes
LONGEST_QUEUE = 2.0  # s of the rate that wait at a host's port; what comes then is dropped


def why_not() -> str:
    """Why hosts cannot be made here; empty where they can."""
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    if not os.path.exists(TUN_DEVICE):
        return f"there is no {TUN_DEVICE}"
    try:
        with open(TUN_DEVICE, "rb+", buffering=0):
            pass
    except OSError as error:
        return f"{TUN_DEVICE}: {error.strerror}"
    name = f"uavtwin{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"network namespaces are not allowed: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return ""


@dataclass
class Network:
    """What the network does to packets."""

    delay: float = 0.0  # s, each way
    jitter: float = 0.0  # s, uniformly more or less; packets may overtake each other
    loss: float = 0.0  # probability
    rate: float = float("inf")  # bytes/s, of what each host sends
    multicast: bool = True
    cut: set[tuple[str, str]] = field(default_factory=set)  # (from, to) between which nothing passes

    def isolate(self, host: str, others: Iterable[str], inbound: bool = True, outbound: bool = True) -> None:
        """Cut a host off from others, one way or both."""
        for other in others:
            if other != host:
                self.cut |= ({(other, host)} if inbound else set()) | ({(host, other)} if outbound else set())

    def split(self, one: Iterable[str], other: Iterable[str]) -> None:
        """Cut the network into two halves."""
        far = list(other)
        for host in one:
            self.isolate(host, far)

    def heal(self) -> None:
        """Everybody reaches everybody again."""
        self.cut = set()


class Host:
    """One host: its namespace, its address and its processes."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.address = name, f"{NETWORK}{number}"
        self.namespace = f"uavtwin{os.getpid()}{name}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        run("ip", "netns", "add", self.namespace)
        try:
            self.tun = open_tun(self.namespace)
            run("ip", "-n", self.namespace, "link", "set", "lo", "up")
            run("ip", "-n", self.namespace, "addr", "add", f"{self.address}/24", "dev", TUN_NAME)
            run("ip", "-n", self.namespace, "link", "set", TUN_NAME, "up", "mtu", str(MTU))
        except BaseException:
            self.remove()
            raise

    def start(
        self, name: str, command: Sequence[str], environment: dict[str, str] | None = None, log: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process on this host, in place of an earlier one of this name. Its output goes to `log`."""
        with open(log or os.devnull, "ab") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *command],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self.processes[name] = process
        return process

    def kill(self, *names: str, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """End processes, all of them where none is named: at once, as when the power goes."""
        for name in names or list(self.processes):
            process = self.processes.pop(name, None)
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, with_signal)
                process.wait()

    def remove(self) -> None:
        """End everything of this host."""
        self.kill()
        subprocess.run(["ip", "netns", "del", self.namespace], capture_output=True)


def run(*command: str) -> None:
    """Run a command of iproute2. Raises UavTwinError."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise UavTwinError(f"{' '.join(command)}: {done.stderr.strip()}")


def open_tun(namespace: str) -> int:
    """A TUN device in a namespace. Returns its file descriptor. Namespaces are a matter of the calling thread."""
    opened: list[int | OSError] = []

    def inside() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            with open(f"/run/netns/{namespace}", "rb") as file:
                if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            tun = os.open(TUN_DEVICE, os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", TUN_NAME.encode(), IFF_TUN | IFF_NO_PI))
            opened.append(tun)
        except OSError as error:
            opened.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    (result,) = opened
    if isinstance(result, OSError):
        raise UavTwinError(f"no TUN device in a namespace: {result.strerror}")
    return result


class Switch:
    """Carries packets between hosts, in a thread of its own."""

    def __init__(self, hosts: Sequence[Host], network: Network, seed: int = 0) -> None:
        self.network = network
        self.carried = self.dropped = 0  # packets
        self._hosts = hosts
        self._by_address = {socket.inet_aton(host.address): host for host in hosts}
        self._dice = random.Random(seed)
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, Host, bytes]] = []
        self._free_at = {host.name: 0.0 for host in hosts}  # when what a host sent before has left
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="switch", daemon=True)

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()

    def stop(self) -> None:
        """Carry no more."""
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        for host in self._hosts:
            selector.register(host.tun, selectors.EVENT_READ, host)
        while not self._stopping:
            patience = self._waiting[0][0] - time.monotonic() if self._waiting else 0.1
            for key, _ in selector.select(min(max(patience, 0.0), 0.1)):
                self._take_in(key.data)
            self._give_out()
        selector.close()

    def _take_in(self, source: Host) -> None:
        for _ in range(64):
            try:
                packet = os.read(source.tun, 65536)
            except OSError:
                return
            if len(packet) < 20 or packet[0] >> 4 != 4:
                continue  # IPv6's own chatter
            destination = packet[16:20]
            if destination[0] & 0xF0 == 0xE0:  # multicast
                targets = [host for host in self._hosts if host is not source and self.network.multicast]
            else:
                targets = [host] if (host := self._by_address.get(destination)) else []
            for target in targets:
                self._carry(source, target, packet)

    def _carry(self, source: Host, target: Host, packet: bytes) -> None:
        network, now = self.network, time.monotonic()
        left = max(self._free_at[source.name], now) + len(packet) / network.rate
        if (
            (source.name, target.name) in network.cut
            or self._dice.random() < network.loss
            or left - now > LONGEST_QUEUE
        ):
            self.dropped += 1
            return
        self._free_at[source.name] = left
        due = left + max(network.delay + self._dice.uniform(-network.jitter, network.jitter), 0.0)
        heapq.heappush(self._waiting, (due, next(self._order), target, packet))

    def _give_out(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, target, packet = heapq.heappop(self._waiting)
            with contextlib.suppress(OSError):
                os.write(target.tun, packet)
                self.carried += 1


class Hosts:
    """Hosts with a switch between them."""

    def __init__(self, names: Sequence[str], network: Network, seed: int = 0) -> None:
        self.network = network
        self._hosts: dict[str, Host] = {}
        try:
            for number, name in enumerate(names, 1):
                self._hosts[name] = Host(name, number)
        except BaseException:
            self.remove()
            raise
        self.switch = Switch(list(self._hosts.values()), network, seed)
        self.switch.start()

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts.values())

    @property
    def names(self) -> list[str]:
        """All hosts' names."""
        return list(self._hosts)

    def remove(self) -> None:
        """End everything."""
        for host in self:
            host.kill()
        if hasattr(self, "switch"):
            self.switch.stop()
        for host in self:
            os.close(host.tun)
            host.remove()


@contextmanager
def made_hosts(names: Sequence[str], network: Network, seed: int = 0) -> Iterator[Hosts]:
    """Hosts that end with the block. Raises UavTwinError where none can be made."""
    obstacle = why_not()
    if obstacle:
        raise UavTwinError(f"several hosts on one machine are not possible here: {obstacle}")
    hosts = Hosts(names, network, seed)
    try:
        yield hosts
    finally:
        hosts.remove()
