"""The carrier over real sockets: what arrives, and what unauthenticated peers get."""

from __future__ import annotations

import contextlib
import datetime
import queue
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from uav_twin_migration.security import authority as keys
from uav_twin_migration.security.certificates import URI_PREFIX, Identity
from uav_twin_migration.transport.addresses import Address, CarrierError
from uav_twin_migration.transport.carrier import Carrier
from uav_twin_migration.transport.link import Arrived, Broken, Limits, LinkEvent
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.chunks import Chunk, digest
from uav_twin_migration.twin.protocol.messages import (
    Ack,
    Data,
    Reason,
    Refuse,
)

PATIENCE = 20.0  # s that an event may take on a busy machine
QUICK = Limits(
    handshake=0.5, frame=0.6, silence=0.8, keep_alive=0.2, unauthenticated=8, unauthenticated_of_one_address=8
)


class Verifying:
    """Gets what a carrier delivers."""

    def __init__(self) -> None:
        self.happened: queue.Queue[LinkEvent] = queue.Queue()

    def frame(self) -> Arrived:
        event = self.happened.get(timeout=PATIENCE)
        assert isinstance(event, Arrived), event
        return event

    def broken(self) -> Broken:
        while True:
            event = self.happened.get(timeout=PATIENCE)
            if isinstance(event, Broken):
                return event


class City:
    """Carriers of several RSUs on loopback."""

    def __init__(self, keys_of: Callable[[str], Identity | None], limits: Limits | None = None) -> None:
        self.ports: dict[str, Address] = {}
        self.ears = {name: Verifying() for name in ("north", "south")}
        self.carriers: dict[str, Carrier] = {}
        for name, verifying in self.ears.items():
            address = ("127.0.0.1", 0)
            carrier = Carrier(name, keys_of(name), address, verifying.happened.put, self.ports.get, limits)
            self.carriers[name] = carrier
            self.ports[name] = carrier.address
            carrier.start()

    def close(self) -> None:
        for carrier in self.carriers.values():
            carrier.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    keys.make_keys(directory, ["north", "south", "east"])
    return directory


@pytest.fixture
def city(authority: Path) -> Iterator[City]:
    opened = City(lambda name: Identity(authority, name), Limits(unread=4 << 20))
    yield opened
    opened.close()


@pytest.fixture
def strict(authority: Path) -> Iterator[City]:
    """One that loses patience soon."""
    opened = City(lambda name: Identity(authority, name), QUICK)
    yield opened
    opened.close()


def ack(version: int) -> bytes:
    return wire.encode(Ack("u1", 1, version))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


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


# -- unauthenticated peers ------------------------------------------------------------------------------------------


def dial(address: Address) -> socket.socket:
    connection = socket.create_connection(address)
    connection.settimeout(PATIENCE)
    return connection


def context_of(directory: Path, rsu: str | None, authority: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if rsu is not None:
        context.load_cert_chain(directory / f"{rsu}.pem", directory / f"{rsu}.key")
    return context


def knock(city: City, context: ssl.SSLContext, say: bytes = b"") -> None:
    """Shake hands and speak; returns when the other side hangs up."""
    try:
        with context.wrap_socket(dial(city.ports["north"])) as connection:
            connection.sendall(say)
            while connection.recv(4096):
                pass
    except OSError:  # ssl.SSLError is one
        return


def still_works(city: City) -> None:
    """Whether the attacked RSU serves its like as before."""
    city.carriers["south"].open(77, "north", 1e9)
    city.carriers["south"].send(77, ack(1))
    arrived = city.ears["north"].frame()
    assert (arrived.peer, arrived.frame) == ("south", Ack("u1", 1, 1))


HELLO = wire.encode(wire.Hello("east"))


def expired(directory: Path, rsu: str) -> None:
    """Replace an RSU's certificate by one that ended yesterday."""
    made_by = keys._Authority(directory)
    now = datetime.datetime.now(datetime.timezone.utc)
    from cryptography import x509

    private = keys._new_key()
    builder = x509.CertificateBuilder(
        made_by.certificate.subject, keys._name(f"RSU {rsu}"), private.public_key(), x509.random_serial_number()
    )
    day = datetime.timedelta(days=1)
    builder = builder.not_valid_before(now - 3 * day).not_valid_after(now - day)
    name = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URI_PREFIX + rsu)])
    signed = keys._signed(builder.add_extension(name, critical=False), made_by.key)
    keys._write(directory / f"{rsu}.pem", directory / f"{rsu}.key", signed, private)


def test_only_a_certificate_of_this_authority_in_its_time_gets_through(city: City, tmp_path: Path) -> None:
    authority = city.carriers["north"].identity
    assert authority is not None
    here, elsewhere, late = authority.directory, tmp_path / "elsewhere", tmp_path / "overdue"
    keys.make_keys(elsewhere, ["east"])
    late.mkdir()
    for file in here.iterdir():
        (late / file.name).write_bytes(file.read_bytes())
    expired(late, "east")
    counts = city.carriers["north"].counts
    knock(city, context_of(elsewhere, "east"), HELLO)
    wait_until(lambda: counts["bad_certificate"] == 1)
    knock(city, context_of(late, "east"), HELLO)
    wait_until(lambda: counts["bad_certificate"] == 2)
    knock(city, context_of(here, None), HELLO)
    wait_until(lambda: counts["bad_tls"] == 1)
    assert city.ears["north"].broken().why == "bad_certificate"
    city.ears["north"].happened.queue.clear()
    still_works(city)


def test_a_certificate_speaks_for_its_own_rsu_alone(city: City) -> None:
    identity = city.carriers["north"].identity
    assert identity is not None
    for hello in ("south", "west"):
        knock(city, context_of(identity.directory, "east"), wire.encode(wire.Hello(hello)))
    wait_until(lambda: city.carriers["north"].counts["wrong_name"] == 2)
    city.ports["south"], south = city.ports["north"], city.ports["south"]
    city.carriers["south"].open(3, "north", 1.0)
    city.ears["north"].happened.queue.clear()
    city.ports["east"] = south
    city.carriers["north"].open(9, "east", 1.0)  # south answers where east was expected
    assert city.ears["north"].broken() == (9, "wrong_peer")


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", HELLO, b"\x16\x03\x01\xff\xff" + b"\0" * 600, b"\0" * 999])
def test_plain_text_on_the_port_is_refused(city: City, said: bytes) -> None:
    with dial(city.ports["north"]) as connection:
        connection.sendall(said)
        connection.settimeout(PATIENCE)
        try:
            while connection.recv(4096):
                pass
        except ConnectionResetError:
            pass
    counts = city.carriers["north"].counts
    wait_until(lambda: counts["bad_tls"] + counts["too_slow"] + counts["closed"] == 1)
    city.ears["north"].happened.queue.clear()
    still_works(city)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (struct.pack(">IB", 1 << 31, 1), "bad_frame"),  # a huge frame
        (struct.pack(">IB", 5000, 10), "bad_frame"),
        (struct.pack(">IB", 10, 99), "bad_frame"),  # of no known kind
        (struct.pack(">IB", 4, 0) + b"{}}", "bad_frame"),
        (ack(1), "no_handshake"),
        (wire.encode(wire.Hello("east", 99)), "other_version"),
        (HELLO + struct.pack(">IB", 3, 22) + b"{}", "bad_frame"),
    ],
)
def test_an_rsu_that_speaks_nonsense_is_cut_off(city: City, said: bytes, why: str) -> None:
    identity = city.carriers["north"].identity
    assert identity is not None
    knock(city, context_of(identity.directory, "east"), said)
    wait_until(lambda: city.carriers["north"].counts[why] == 1)
    city.ears["north"].happened.queue.clear()
    still_works(city)


def test_who_is_slow_to_greet_is_cut_off(strict: City) -> None:
    silent = [dial(strict.ports["north"]) for _ in range(3)]
    slow = dial(strict.ports["north"])
    drops = iter(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(490))  # of a TLS handshake that never ends

    def drip() -> bool:
        with contextlib.suppress(OSError):
            slow.send(bytes([next(drops)]))
        return strict.carriers["north"].counts["too_slow"] == 4

    wait_until(drip)
    for connection in (*silent, slow):
        connection.close()


def test_who_drips_a_frame_is_cut_off(strict: City) -> None:
    identity = strict.carriers["north"].identity
    assert identity is not None
    frame = wire.encode(Refuse("u1", 1, Reason.BUSY)) * 2
    with context_of(identity.directory, "east").wrap_socket(dial(strict.ports["north"])) as connection:
        connection.sendall(HELLO)
        for byte in frame[: len(frame) // 2 - 1]:
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.05)
    wait_until(lambda: strict.carriers["north"].counts["too_slow"] == 1)


def test_a_peer_that_falls_silent_is_let_go(strict: City) -> None:
    identity = strict.carriers["north"].identity
    assert identity is not None
    with context_of(identity.directory, "east").wrap_socket(dial(strict.ports["north"])) as connection:
        connection.sendall(HELLO + ack(3))
        assert strict.ears["north"].frame().frame == Ack("u1", 1, 3)
        assert strict.ears["north"].broken().why == "too_slow"


def test_a_quiet_link_between_two_rsus_stays(strict: City) -> None:
    strict.carriers["north"].open(1, "south", 1.0)
    strict.carriers["north"].send(1, ack(1))
    strict.ears["south"].frame()
    time.sleep(2.5 * QUICK.silence)
    strict.carriers["north"].send(1, ack(2))
    assert strict.ears["south"].frame().frame == Ack("u1", 1, 2)


def test_a_crowd_of_unauthenticated_keeps_no_rsu_out_and_costs_little(strict: City) -> None:
    north = strict.carriers["north"]
    strict.carriers["south"].open(1, "north", 1e9)
    strict.carriers["south"].send(1, ack(1))
    strict.ears["north"].frame()
    crowd = [dial(strict.ports["north"]) for _ in range(60)]
    wait_until(lambda: north.counts["too_many_unauthenticated"] >= 40)
    assert sum(north.unauthenticated.values()) <= QUICK.unauthenticated
    strict.carriers["south"].send(1, ack(2))
    while True:  # those who were known stay, whoever else knocks
        event = strict.ears["north"].happened.get(timeout=PATIENCE)
        if isinstance(event, Arrived):
            break
    assert event.frame == Ack("u1", 1, 2)
    wait_until(lambda: not north.unauthenticated)
    for connection in crowd:
        connection.close()
    strict.ears["north"].happened.queue.clear()
    still_works(strict)


def test_idle_links_do_not_keep_the_carrier_awake(strict: City, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = [dial(strict.ports["north"]) for _ in range(6)]
    strict.carriers["south"].open(1, "north", 1e9)
    strict.carriers["south"].send(1, ack(1))
    strict.ears["north"].frame()
    selector, looks = strict.carriers["north"].selector, 0
    select = selector.select

    def counted(timeout: float | None = None) -> list[Any]:
        nonlocal looks
        looks += 1
        return select(timeout)

    monkeypatch.setattr(selector, "select", counted)
    time.sleep(1.0)
    for connection in crowd:
        connection.close()
    assert looks < 200  # a loop that never sleeps makes many thousands


def test_any_bytes_at_all_do_no_harm(authority: Path) -> None:
    """Random bytes, and frames with random damage, behind a good certificate."""
    import random

    chance = random.Random(1)
    city = City(lambda name: Identity(authority, name))
    try:
        context = context_of(authority, "east")
        for _ in range(25):
            frame: Any = bytearray(HELLO + ack(1) + ack(2))
            for _ in range(chance.randrange(1, 4)):
                frame[chance.randrange(len(frame))] = chance.randrange(256)
            with context.wrap_socket(dial(city.ports["north"])) as connection:
                connection.sendall(bytes(frame) + chance.randbytes(chance.randrange(50)))
        city.ears["north"].happened.queue.clear()
        wait_until(lambda: not city.carriers["north"].links)
        city.ears["north"].happened.queue.clear()
        still_works(city)
    finally:
        city.close()
