"""PX4's events over MAVLink; all names and numbers were held against v1.17.0-beta1's own metadata, in November 2026."""

from __future__ import annotations

import pytest

pytest.importorskip("pymavlink", reason="needs pymavlink")

from pymavlink.dialects.v20 import common

from test.vehicle.scripted import ARM_DENIED, CRITICAL, SentEvent
from uav_twin_migration.vehicle.mavlink import MavlinkLink
from uav_twin_migration.vehicle.px4_events import NAMES, WORDS, number, words
from uav_twin_migration.vehicle.signals import StatusText

INFO = 6


def datagram(event: int, level: int, arguments: bytes = b"") -> bytes:
    """As PX4 sends it."""
    sender = common.MAVLink(None, srcSystem=1, srcComponent=1)
    return SentEvent(event, 5000, 7, 0, 0, level << 4 | level, arguments).pack(sender)


def test_an_event_s_number_is_made_of_its_name() -> None:
    assert number("commander_arm_denied_resolve_failures") == ARM_DENIED
    assert len(NAMES) == len(WORDS)


def test_a_warning_is_told_in_words() -> None:
    assert MavlinkLink(1).decode(datagram(ARM_DENIED, CRITICAL)) == [StatusText("arming denied: its checks fail")]
    assert MavlinkLink(1).decode(datagram(ARM_DENIED, INFO)) == []
    assert MavlinkLink(1).decode(datagram(1, CRITICAL)) == []


def test_why_there_is_a_failsafe() -> None:
    event = number("commander_failsafe_enter")
    assert words(event, CRITICAL, bytes((0, 0, 6, 0, 3, 3))) == "failsafe: battery low"
    assert words(event, CRITICAL, bytes((0, 0, 6, 0, 3))) == "failsafe"  # PX4 leaves zeros at the end out


def test_a_damaged_event_is_garbage() -> None:
    sent = bytearray(datagram(ARM_DENIED, CRITICAL))
    sent[12] ^= 1
    link = MavlinkLink(1)
    assert link.decode(bytes(sent)) is None
    assert link.refused["garbage"] > 0
