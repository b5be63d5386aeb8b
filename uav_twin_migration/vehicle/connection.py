"""MAVLink with one vehicle: a `MavlinkLink` over a wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from uav_twin_migration.errors import InputError
from uav_twin_migration.vehicle import px4_codes
from uav_twin_migration.vehicle.dialect import Dialect
from uav_twin_migration.vehicle.mavlink import KEY_BYTES, MavlinkLink
from uav_twin_migration.vehicle.signals import Command, Event
from uav_twin_migration.vehicle.wire import Wire


class Link(Protocol):
    """The way to the vehicle."""

    @property
    def refused(self) -> dict[str, int]:
        """What was ignored, counted by reason."""

    def events(self) -> Iterator[Event]:
        """What the vehicle has said since the last call."""

    def send(self, command: Command) -> None:
        """Tell the vehicle."""

    def keep_alive(self) -> None:
        """Called once a second."""

    def close(self) -> None:
        """Let go of it."""


class MavlinkConnection:
    """Speaks with one vehicle. It answers to where the vehicle's messages come from."""

    def __init__(
        self, system_id: int, wire: Wire, dialect: Dialect = px4_codes.DIALECT, *, signing_key: bytes = b""
    ) -> None:
        """`signing_key`: 32 bytes, or none."""
        self.wire = wire
        self._link = MavlinkLink(system_id, dialect, key=signing_key, stream=wire.is_stream)

    @property
    def refused(self) -> dict[str, int]:
        """What was ignored, counted by reason."""
        return {reason: count for reason, count in self._link.refused.items() if count}

    def events(self) -> Iterator[Event]:
        """What has come since the last call."""
        for data in self.wire.receive():
            events = self._link.decode(data)
            if events is not None:
                self.wire.answer_here()
                yield from events

    def send(self, command: Command) -> None:
        """Send a command."""
        self.wire.send(self._link.encode(command))

    def keep_alive(self) -> None:
        """Send our heartbeat; once a second. It also tells the vehicle where we are."""
        self.wire.send(self._link.heartbeat())

    def close(self) -> None:
        """Let go of the wire."""
        self.wire.close()


def read_signing_key(path: str) -> bytes:
    """MAVLink's signing key in a file: its 32 bytes, or those in hexadecimal.

    Raises:
        InputError: there is no such file, or no such key in it.
    """
    expected = f"a file with {KEY_BYTES} bytes, or {2 * KEY_BYTES} hexadecimal digits"
    try:
        with Path(path).expanduser().open("rb") as file:
            text = file.read(4 * KEY_BYTES)
    except OSError as error:
        raise InputError("options", "signing_key", path, f"{expected} ({error.strerror})") from None
    if len(text) == KEY_BYTES:
        return text
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InputError("options", "signing_key", path, expected)
    return key
