"""MAVLink's bytes: what is decoded, and what is dropped."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pymavlink", reason="needs pymavlink")

from pymavlink.dialects.v20 import common

from uav_twin_migration.vehicle.mavlink import MavlinkLink
from uav_twin_migration.vehicle.signals import UNKNOWN_MODE, Arm, Heartbeat


@settings(max_examples=500)
@given(st.binary(max_size=400))
def test_no_datagram_breaks_the_link(datagram: bytes) -> None:
    link = MavlinkLink(1)
    assert link.decode(datagram) is None


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_a_message_is_late_only_behind_a_newer_one(sequence: list[int]) -> None:
    """Sequence numbers that only rise are all taken, also across their wrap at 256."""
    link = MavlinkLink(1)
    encoder = common.MAVLink(None, srcSystem=1, srcComponent=1)
    number = 0
    for step in sequence:
        number += step
        encoder.seq = number % 256
        packed = bytes(encoder.heartbeat_encode(2, 12, 0, 0, 4).pack(encoder))
        assert link.decode(packed) == [Heartbeat(False, UNKNOWN_MODE)]


def test_not_finite_positions_are_dropped() -> None:
    link = MavlinkLink(1)
    encoder = common.MAVLink(None, srcSystem=1, srcComponent=1)
    position = encoder.local_position_ned_encode(5, float("nan"), 0, 0, 0, 0, 0)
    assert link.decode(bytes(position.pack(encoder))) == []


def signed(key: bytes) -> common.MAVLink:
    """A vehicle's encoder that signs with a key."""
    encoder = common.MAVLink(None, srcSystem=1, srcComponent=1)
    encoder.signing.secret_key, encoder.signing.sign_outgoing = key, True
    encoder.signing.timestamp = 10**15  # after now
    return encoder


def test_with_a_key_only_what_is_signed_with_it_is_taken() -> None:
    key, other = bytes(range(32)), bytes(32)
    link = MavlinkLink(1, key=key)
    vehicle, stranger, plain = signed(key), signed(other), common.MAVLink(None, srcSystem=1, srcComponent=1)
    beat = vehicle.heartbeat_encode(2, 12, 0, 0, 4)
    good = bytes(beat.pack(vehicle))
    assert link.decode(good) == [Heartbeat(False, UNKNOWN_MODE)]
    assert link.decode(good) is None  # again: its time does not rise
    assert link.decode(bytes(plain.heartbeat_encode(2, 12, 0, 0, 4).pack(plain))) is None
    assert link.decode(bytes(stranger.heartbeat_encode(2, 12, 0, 0, 4).pack(stranger))) is None
    assert link.refused["unsigned"] == 3


def test_what_is_sent_is_signed_and_its_time_rises() -> None:
    key = bytes(range(32))
    link = MavlinkLink(1, key=key)
    receiver = common.MAVLink(None)
    receiver.signing.secret_key = key
    for _ in range(3):
        (message,) = receiver.parse_buffer(bytearray(link.encode(Arm()))) or []
        assert message.get_type() == "COMMAND_LONG"


def test_a_ground_station_is_no_foreign_vehicle() -> None:
    link = MavlinkLink(1)
    station = common.MAVLink(None, srcSystem=255, srcComponent=190)
    link.decode(bytes(station.heartbeat_encode(6, 8, 0, 0, 4).pack(station)))
    assert link.refused["other system"] == 0
    vehicle = common.MAVLink(None, srcSystem=3, srcComponent=1)
    link.decode(bytes(vehicle.heartbeat_encode(2, 12, 0, 0, 4).pack(vehicle)))
    assert link.refused["other system"] == 1


@pytest.mark.parametrize("place", [(910_000_000, 0), (0, 1_810_000_000)])
def test_an_origin_that_is_nowhere_is_dropped(place: tuple[int, int]) -> None:
    vehicle = common.MAVLink(None, srcSystem=1, srcComponent=1)
    assert MavlinkLink(1).decode(bytes(vehicle.gps_global_origin_encode(*place, 0).pack(vehicle))) == []


def test_the_time_of_signatures_keeps_up_and_never_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    """An autopilot that has restarted refuses signatures of a minute ago; a companion's clock can step back."""
    link = MavlinkLink(1, key=bytes(32))
    stamps = []
    for now in (2e9, 2e9 + 3600, 2e9 - 5):
        monkeypatch.setattr("time.time", lambda now=now: now)
        stamps.append(int.from_bytes(link.heartbeat()[-12:-6], "little"))
    assert stamps[1] - stamps[0] == pytest.approx(3600 * 1e5, abs=2)
    assert stamps[2] == stamps[1] + 1
