"""Ports of loopback for programs that are started later.

A port that the kernel gives may be given again before the program binds it: each socket that connects takes one of the
same range. These are below that range, and below the ports of ROS domains; who has got one keeps it from the others of
this machine as long as its process lives.
"""

from __future__ import annotations

import socket

PORTS = range(5000, 7400)  # Linux gives ports from 32768 on by itself, DDS takes 7400 and more

_claims: list[socket.socket] = []


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """Ports of 127.0.0.1 that nobody else has, nor gets from here.

    Raises:
        RuntimeError: there are not so many.
    """
    found: list[int] = []
    for port in PORTS:
        if len(found) == count:
            break
        if _claimed(port) and _unbound(port, kind):
            found.append(port)
    if len(found) < count:
        raise RuntimeError(f"no {count} free ports of {PORTS.start} to {PORTS.stop - 1}")
    return found


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """One of them."""
    return free_ports(1, kind)[0]


def _claimed(port: int) -> bool:
    """Claim it among processes that ask here."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0uav_twin_migration/port/{port}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def _unbound(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
