"""Where RSUs listen: addresses of IP, which of them are this machine's own, and a socket that listens at one."""

from __future__ import annotations

import errno
import ipaddress
import socket

from uav_twin_migration.errors import UavTwinError

Address = tuple[str, int]  # host, port


class CarrierError(UavTwinError):
    """The carrier cannot start; says why and what to do."""


class ListenError(CarrierError):
    """It cannot listen at its address now."""

    may_pass = True


def ip_address(host: str) -> str | None:
    """A host as the IP address that it is; None for a name that somebody would have to look up."""
    try:
        return str(ipaddress.ip_address("127.0.0.1" if host == "localhost" else host))
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether a host is an address of this machine's own: a name may be anybody's, whatever it begins with."""
    address = ip_address(host)
    return address is not None and ipaddress.ip_address(address).is_loopback


def is_here(host: str) -> bool:
    """Whether this machine has an address now. A name counts as here: nobody is asked whose it is."""
    address = ip_address(host)
    if address is None:
        return True
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def listen(address: Address) -> socket.socket:
    """A non-blocking socket that listens; port 0: any free one. Raises ListenError."""
    host, port = address
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except (OSError, ValueError, OverflowError) as error:
        listener.close()
        hint = "another process has the port, or this machine not the address"
        why = error.strerror if isinstance(error, OSError) else error
        raise ListenError(f"{host}:{port}: cannot listen ({why}); {hint}") from error
    listener.setblocking(False)
    return listener
