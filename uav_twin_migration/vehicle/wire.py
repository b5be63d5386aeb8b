"""Ways for MAVLink's bytes to a vehicle: UDP, TCP, a serial line. None of them blocks, and none raises once it is open.

An *address* says which: ``udp://BIND:PORT?to=HOST:PORT`` (without `to`, it answers to whom it hears first),
``tcp://HOST:PORT``, ``serial:///dev/ttyUSB0:921600``.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol
from urllib.parse import urlsplit

from uav_twin_migration.errors import InputError

LARGEST = 2048  # bytes read in one go; a MAVLink 2 frame has at most 280
MOST_AT_ONCE = 500  # reads in one go, so that a flood does not keep set-points from being sent
RECONNECT_AFTER = 1.0  # s between two attempts at a connection or a device that is gone

Address = tuple[str, int]
EXPECTED = "udp://BIND:PORT[?to=HOST:PORT], tcp://HOST:PORT or serial:///dev/DEVICE:BAUD"


class Wire(Protocol):
    """Bytes to and from a vehicle."""

    is_stream: bool  # whether messages may come in pieces

    def receive(self) -> Iterator[bytes]:
        """What has come since the last call."""

    def answer_here(self) -> None:
        """From now on send to where the latest bytes came from."""

    def send(self, data: bytes) -> None:
        """Send bytes; lost where there is no way for them."""

    def close(self) -> None:
        """Let go of it."""


def open_wire(address: str) -> Wire:
    """The wire of an address.

    Raises:
        InputError: there is no such address.
        OSError: the local port is taken, or the device is not to be had.
    """
    try:
        parts = urlsplit(address)
        if parts.scheme == "udp" and parts.path in ("", "/"):
            key, _, to = parts.query.partition("=")
            if key in ("", "to"):
                return UdpWire(_pair(parts.netloc), _pair(to) if key else None)
        if parts.scheme == "tcp" and parts.path in ("", "/"):
            return TcpWire(_pair(parts.netloc))
        if parts.scheme == "serial" and not parts.netloc:
            device, _, baud = parts.path.rpartition(":")
            return SerialWire(device, int(baud))
    except ValueError:
        pass
    raise InputError("options", "address", address, EXPECTED)


def _pair(text: str) -> Address:
    """Raises ValueError."""
    found = re.fullmatch(r"(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})", text)
    if found is None or int(found["port"]) > 65535:
        raise ValueError(text)
    return found["host"].strip("[]"), int(found["port"])


class UdpWire:
    """A UDP port of its own. It sends to `peer`, or to whom it has heard."""

    is_stream = False

    def __init__(self, local: Address, peer: Address | None) -> None:
        """Raises OSError where the local port is taken."""
        self._peer, self._sender = peer, peer
        self._socket = socket.socket(socket.AF_INET6 if ":" in local[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(local)

    @property
    def local(self) -> Address:
        """The address that it listens on."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def receive(self) -> Iterator[bytes]:
        for _ in range(MOST_AT_ONCE):
            try:
                datagram, self._sender = self._socket.recvfrom(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error to an earlier datagram: nobody listens there, yet
            yield datagram

    def answer_here(self) -> None:
        self._peer = self._sender

    def send(self, data: bytes) -> None:
        if self._peer is None:
            return
        with suppress(OSError):  # no route, buffers full: as good as lost on the air, and repeated like that
            self._socket.sendto(data, self._peer)

    def close(self) -> None:
        self._socket.close()


class TcpWire:
    """A connection, made again where it breaks."""

    is_stream = True

    def __init__(self, peer: Address) -> None:
        self._peer = peer
        self._socket: socket.socket | None = None
        self._try_at = 0.0
        self._connect()

    def _connect(self) -> None:
        if self._socket is None and time.monotonic() >= self._try_at:
            self._try_at = time.monotonic() + RECONNECT_AFTER
            with suppress(OSError):
                family = socket.AF_INET6 if ":" in self._peer[0] else socket.AF_INET
                self._socket = socket.socket(family, socket.SOCK_STREAM)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socket.setblocking(False)
                self._socket.connect_ex(self._peer)

    def receive(self) -> Iterator[bytes]:
        self._connect()
        for _ in range(MOST_AT_ONCE):
            if self._socket is None:
                return
            try:
                data = self._socket.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOTCONN or time.monotonic() >= self._try_at:  # not yet connected: patience
                    self.close()
                return
            if not data:
                self.close()
                return
            yield data

    def answer_here(self) -> None:
        """There is nowhere else."""

    def send(self, data: bytes) -> None:
        with suppress(OSError):
            if self._socket is not None:
                self._socket.send(data)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class SerialWire:
    """A serial line, opened again where its device was unplugged."""

    is_stream = True

    def __init__(self, device: str, baud: int) -> None:
        """Raises ValueError where the rate is none of the system's, OSError where the device cannot be opened."""
        self._device = device
        self._speed: int | None = getattr(termios, f"B{baud}", None)
        if self._speed is None or not device:
            raise ValueError(f"{device}:{baud}")
        self._line: int | None = None
        self._try_at = 0.0
        self._open()

    def _open(self) -> None:
        """Raises OSError."""
        line = os.open(self._device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            tty.setraw(line)
            attributes = termios.tcgetattr(line)
            attributes[2] |= termios.CLOCAL | termios.CREAD
            attributes[4] = attributes[5] = self._speed
            termios.tcsetattr(line, termios.TCSANOW, attributes)
        except termios.error as error:
            os.close(line)
            raise OSError(error.args[0], f"no serial line: {error.args[-1]}") from None
        self._line = line

    def receive(self) -> Iterator[bytes]:
        if self._line is None and time.monotonic() >= self._try_at:
            self._try_at = time.monotonic() + RECONNECT_AFTER
            with suppress(OSError):
                self._open()
        for _ in range(MOST_AT_ONCE):
            if self._line is None:
                return
            try:
                data = os.read(self._line, LARGEST)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            if not data:
                return
            yield data

    def answer_here(self) -> None:
        """There is nowhere else."""

    def send(self, data: bytes) -> None:
        with suppress(OSError):
            if self._line is not None:
                os.write(self._line, data)

    def close(self) -> None:
        if self._line is not None:
            os.close(self._line)
            self._line = None
