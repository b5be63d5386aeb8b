"""MAVLink's bytes: what is decoded, and what is dropped."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common

from uav_twin_migration.vehicle.mavlink import MavlinkLink
from uav_twin_migration.vehicle.signals import Heartbeat, Mode


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400))
def test_no_datagram_breaks_the_link(datagram: bytes) -> None:
    link = MavlinkLink(1)
    assert link.decode(datagram) is None


@settings(deadline=None)
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
        assert link.decode(packed) == [Heartbeat(False, Mode.OTHER)]


def test_not_finite_positions_are_dropped() -> None:
    link = MavlinkLink(1)
    encoder = common.MAVLink(None, srcSystem=1, srcComponent=1)
    position = encoder.local_position_ned_encode(5, float("nan"), 0, 0, 0, 0, 0)
    assert link.decode(bytes(position.pack(encoder))) == []
