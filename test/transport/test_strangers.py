"""What peers without a certificate of this authority, or with bad manners, get of the carrier."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import struct
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from test.transport.city import PATIENCE, QUICK, City, ack, wait_until
from uav_twin_migration.security import authority as keys
from uav_twin_migration.security.certificates import URI_PREFIX, Identity
from uav_twin_migration.transport.addresses import Address
from uav_twin_migration.transport.link import Arrived
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.messages import (
    Ack,
    Reason,
    Refuse,
)


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
