"""MAVLink over UDP: the socket under a `MavlinkLink`."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

from uav_twin_migration.vehicle.mavlink import MavlinkLink
from uav_twin_migration.vehicle.signals import Command, Event

LARGEST = 2048  # bytes; a MAVLink 2 frame has at most 280
MOST_AT_ONCE = 500  # datagrams read in one go, so that a flood does not keep set-points from being sent

Address = tuple[str, int]


class UdpLink:
    """Speaks with one vehicle, over a port of its own.

    It answers to where the vehicle's messages come from, and until the first has come, to `peer`.
    """

    def __init__(self, system_id: int, local: Address, peer: Address | None) -> None:
        """Raises OSError where the local port is taken."""
        self._link = MavlinkLink(system_id)
        self._peer = peer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(local)

    @property
    def refused(self) -> dict[str, int]:
        """What was ignored, counted by reason."""
        return dict(self._link.refused)

    @property
    def local(self) -> Address:
        """The address that it listens on."""
        host, port = self._socket.getsockname()
        return host, port

    def events(self) -> Iterator[Event]:
        """What has come since the last call."""
        for _ in range(MOST_AT_ONCE):
            try:
                datagram, sender = self._socket.recvfrom(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error to an earlier datagram: nobody listens there, yet
            events = self._link.decode(datagram)
            if events is not None:
                self._peer = sender
                yield from events

    def send(self, command: Command) -> None:
        """Send a command."""
        self._send(self._link.encode(command))

    def keep_alive(self) -> None:
        """Send our heartbeat; once a second. It also tells the vehicle where we are."""
        self._send(self._link.heartbeat())

    def _send(self, datagram: bytes) -> None:
        if self._peer is None:
            return
        with suppress(OSError):  # no route, buffers full: as good as lost on the air, and repeated like that
            self._socket.sendto(datagram, self._peer)

    def close(self) -> None:
        """Free the port."""
        self._socket.close()
