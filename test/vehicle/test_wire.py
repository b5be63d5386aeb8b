"""Ways to a vehicle: addresses, and a message over each, in pieces where the way is a stream."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("pymavlink", reason="needs pymavlink")

from pymavlink.dialects.v20 import common

from uav_twin_migration.errors import InputError
from uav_twin_migration.vehicle.connection import MavlinkConnection, read_signing_key
from uav_twin_migration.vehicle.signals import Arm, Event, Heartbeat
from uav_twin_migration.vehicle.wire import SerialWire, TcpWire, UdpWire, open_wire

PATIENCE = 60.0  # s until a test gives up waiting
VEHICLE = common.MAVLink(None, srcSystem=1, srcComponent=1)
BEAT = bytes(VEHICLE.heartbeat_encode(2, 12, 0, 0, 4).pack(VEHICLE))


def heard(connection: MavlinkConnection) -> Iterator[Event]:
    """What it hears, waited for."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        yield from connection.events()
        time.sleep(0.01)
    pytest.fail("nothing was heard")


def speaks_both_ways(
    wire: UdpWire | TcpWire | SerialWire, send: Callable[[bytes], object], read: Callable[[], bytes]
) -> None:
    connection = MavlinkConnection(1, wire)
    for piece in (BEAT[:7], BEAT[7:]) if wire.is_stream else (BEAT,):
        send(piece)
    assert isinstance(next(heard(connection)), Heartbeat)
    connection.send(Arm())
    assert common.MAVLink(None).parse_buffer(bytearray(read()))[0].command == common.MAV_CMD_COMPONENT_ARM_DISARM
    connection.close()


def test_udp_with_bind_and_target_apart() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as vehicle:
        vehicle.bind(("127.0.0.1", 0))
        vehicle.settimeout(PATIENCE)
        wire = open_wire(f"udp://0.0.0.0:0?to=127.0.0.1:{vehicle.getsockname()[1]}")
        assert isinstance(wire, UdpWire)
        where = ("127.0.0.1", wire.local[1])
        speaks_both_ways(wire, lambda data: vehicle.sendto(data, where), lambda: vehicle.recv(2048))


def test_tcp_and_again_after_it_broke() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        wire = open_wire(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        assert isinstance(wire, TcpWire)
        first, _ = server.accept()
        first.close()
        connection = MavlinkConnection(1, wire)
        end = time.monotonic() + PATIENCE
        server.settimeout(0.05)
        while time.monotonic() < end:
            list(connection.events())
            try:
                vehicle, _ = server.accept()
                break
            except TimeoutError:
                continue
        vehicle.settimeout(PATIENCE)
        speaks_both_ways(wire, vehicle.sendall, lambda: vehicle.recv(2048))
        vehicle.close()


def test_a_serial_line() -> None:
    vehicle, line = os.openpty()
    wire = open_wire(f"serial://{os.ttyname(line)}:921600")
    assert isinstance(wire, SerialWire)
    speaks_both_ways(wire, lambda data: os.write(vehicle, data), lambda: os.read(vehicle, 2048))
    os.close(vehicle)
    os.close(line)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "14540",
        "udp://127.0.0.1",
        "udp://127.0.0.1:99999",
        "udp://127.0.0.1:1?to=",
        "udp://127.0.0.1:1?from=2",
        "tcp://host:",
        "serial:///dev/ttyUSB0",
        "serial:///dev/ttyUSB0:12345",
        "serial://ttyUSB0:921600",
        "pigeon://loft:1",
    ],
)
def test_what_is_no_address_is_said_to_be_none(address: str) -> None:
    with pytest.raises(InputError, match="address"):
        open_wire(address)


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(OSError, match="No such file"):
        open_wire("serial:///dev/no_such_line:57600")


def test_a_signing_key_is_read_as_bytes_or_as_digits(tmp_path: Path) -> None:
    key = bytes(range(32))
    (tmp_path / "raw").write_bytes(key)
    (tmp_path / "hex").write_text(key.hex() + "\n")
    (tmp_path / "short").write_text("abc")
    assert read_signing_key(str(tmp_path / "raw")) == read_signing_key(str(tmp_path / "hex")) == key
    for wrong in ("short", "none"):
        with pytest.raises(InputError, match="signing_key"):
            read_signing_key(str(tmp_path / wrong))
