"""The carrier over real sockets: what arrives, and how links end."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from test.transport.city import City, ack, wait_until
from uav_twin_migration.security import authority as keys
from uav_twin_migration.security.certificates import Identity
from uav_twin_migration.transport.addresses import CarrierError
from uav_twin_migration.transport.carrier import Carrier
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.chunks import Chunk, digest
from uav_twin_migration.twin.protocol.messages import (
    Ack,
    Data,
)

# -- as it should be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [True, False])
def test_frames_arrive_in_order_both_ways(authority: Path, encrypted: bool) -> None:
    city = City(lambda name: Identity(authority, name) if encrypted else None)
    try:
        north, south = city.carriers["north"], city.carriers["south"]
        north.open(1, "south", 1e9)
        for version in range(50):
            north.send(1, ack(version))
        heard = [city.ears["south"].frame() for _ in range(50)]
        assert [(one.peer, one.frame) for one in heard] == [("north", Ack("u1", 1, version)) for version in range(50)]
        assert heard[0].link < 0
        south.send(heard[0].link, ack(99))
        assert city.ears["north"].frame()[:3] == (1, "south", Ack("u1", 1, 99))
        north.send(1, ack(100))
        north.close(1)
        assert city.ears["south"].frame().frame == Ack("u1", 1, 100)
        assert city.ears["south"].broken().link == heard[0].link
        assert city.ears["north"].broken() == (1, "finished")
    finally:
        city.close()


def test_large_frames_arrive_whole(city: City) -> None:
    contents = [bytes([number]) * (1 << 20) for number in range(8)]
    city.carriers["north"].open(1, "south", float("inf"))
    for version, content in enumerate(contents):
        chunk = Chunk(version, version + 1, digest(content), content)
        pieces = wire.encode_chunks(Data("u1", 1, version, version + 1), [chunk])
        city.carriers["north"].send(1, b"".join(pieces), paced=True)
    for content in contents:
        arrived = city.ears["south"].frame()
        assert arrived.frame.intact
        assert arrived.frame.chunks[0].content == content
        city.carriers["south"].consumed(arrived.link, arrived.size)
    assert city.carriers["north"].queued(1) == 0


def test_what_is_not_consumed_holds_the_sender_up(city: City) -> None:
    north, south = city.carriers["north"], city.carriers["south"]
    limit, size = south.limits.unread, 1 << 20
    north.open(1, "south", float("inf"))
    content = bytes(size)
    frames = 40
    for version in range(frames):
        chunk = Chunk(0, version + 1, digest(content), content)
        north.send(1, b"".join(wire.encode_chunks(Data("u1", 1, version, version + 1), [chunk])), paced=True)
    arrived = [city.ears["south"].frame() for _ in range(limit // size)]
    waiting = [-1] * 20

    def stands_still() -> bool:
        waiting[:] = [*waiting[1:], north.queued(1)]
        return len(set(waiting)) == 1

    wait_until(stands_still)
    assert city.ears["south"].happened.qsize() <= 2
    assert north.queued(1) > 10 * size
    while len(arrived) < frames:
        for one in arrived[-4:]:
            south.consumed(one.link, one.size)
        arrived += [city.ears["south"].frame() for _ in range(min(4, frames - len(arrived)))]


def test_a_link_to_nobody_is_told_to_be_broken(city: City) -> None:
    city.carriers["north"].open(5, "west", 1.0)
    assert city.ears["north"].broken() == (5, "unknown_peer")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        city.ports["west"] = unused.getsockname()[:2]
    city.carriers["north"].open(6, "west", 1.0)
    assert city.ears["north"].broken() == (6, "unreachable")


def test_a_link_closed_without_bandwidth_still_says_goodbye(city: City) -> None:
    north = city.carriers["north"]
    north.open(1, "south", 0.0)
    chunk = Chunk(0, 1, digest(b"x" * 5000), b"x" * 5000)
    north.send(1, b"".join(wire.encode_chunks(Data("u1", 1, 0, 1), [chunk])), paced=True)
    north.send(1, ack(7))
    north.close(1)
    assert city.ears["south"].frame().frame == Ack("u1", 1, 7)
    assert city.ears["north"].broken().why == "finished"


def test_plain_tcp_is_for_loopback_alone() -> None:
    with pytest.raises(CarrierError, match="plain TCP is for the loopback interface only"):
        Carrier("north", None, ("0.0.0.0", 0), lambda event: None, lambda peer: None)


def test_a_port_in_use_is_told(city: City, authority: Path) -> None:
    with pytest.raises(CarrierError, match="cannot listen"):
        Carrier("east", Identity(authority, "east"), city.ports["north"], lambda event: None, lambda peer: None)


def test_a_revoked_certificate_is_refused_from_then_on(tmp_path: Path) -> None:
    keys.make_keys(tmp_path, ["north", "south"])
    keys.make_signing_keys(tmp_path, [])
    city = City(lambda name: Identity(tmp_path, name))
    try:
        city.carriers["south"].open(1, "north", 1e9)
        city.carriers["south"].send(1, ack(1))
        assert city.ears["north"].frame().peer == "south"
        stolen = {file: file.read_bytes() for file in (tmp_path / "south.pem", tmp_path / "south.key")}
        keys.revoke(tmp_path, ["south"])
        for file, content in stolen.items():
            file.write_bytes(content)
        city.carriers["north"].open(2, "south", 1e9)  # as its client, and then as its server
        assert city.ears["north"].broken() == (2, "revoked")
        city.carriers["south"].open(2, "north", 1e9)
        assert city.ears["north"].broken().why == "revoked"
        keys.make_keys(tmp_path, ["south"], renew=True)
        city.carriers["south"].open(3, "north", 1e9)
        city.carriers["south"].send(3, ack(2))
        assert city.ears["north"].frame().frame == Ack("u1", 1, 2)
    finally:
        city.close()
