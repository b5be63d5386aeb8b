"""A radio driver: what a UAV's modem, or a log of it, says of its links, as link quality. docs/interfaces.md.

In the field it stands where the link node stands in a simulation: the UAV's node hears the same topic.
"""

from __future__ import annotations

import os
import stat
import termios
import time
from pathlib import Path
from typing import Any

from uav_twin_migration.deployment import topics
from uav_twin_migration.errors import InputError
from uav_twin_migration.msg import LinkQuality
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.nodes.ros.diagnostics import Diagnostics
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import Timing, steady_timer
from uav_twin_migration.radio.modem import NO_LINK, Dialogue, Log, Reading, Receiver, quality
from uav_twin_migration.scenario.settings import parameter

POLL = 0.05  # s between two looks at what the modem has said
READ = 4096  # bytes at once
RETRY = 2.0  # s between two attempts to open it

PARAMETERS = (
    parameter("uav_id", str, "whose modem it is"),
    parameter("device", str, "serial line of a modem that knows AT commands, as /dev/ttyUSB2; or a log that grows"),
    parameter("cells", str, "which RSU stands behind which cell, by the identity the modem tells: CELL=RSU CELL=RSU"),
    parameter("baud", 115200, "of a serial line, bit/s: 9600, 19200, 38400, 57600, 115200, 230400 or 460800"),
    parameter("period", 0.5, "time between two messages, and two rounds of questions, s", 0.05, 60.0),
    parameter("stale_after", 3.0, "time after which a reading counts no more, s", 0.1, 600.0),
    parameter("noise_figure", 9.0, "of the modem, dB, where it tells RSRP alone", 0.0, 50.0),
    parameter("subcarrier", 15.0, "of that RSRP, kHz; of 5G often 30", 1.0, 1000.0),
    parameter("bandwidth", 20.0, "that carried a rate, where it tells that alone, MHz", 1e-3, 1e6),
    parameter("implementation_loss", 3.0, "by which real coding stays behind Shannon's bound, dB", 0.0, 50.0),
)


class ModemNode(Guarded):
    """Reads a modem or a log, and publishes what its UAV's links to RSUs are worth."""

    def __init__(self, **options: Any) -> None:
        super().__init__("modem", **options)
        values = declare(self, PARAMETERS)
        self._uav, self._device, self._baud = values["uav_id"], Path(values["device"]), _speed(values["baud"])
        self._rsu_of = _cells(values["cells"])
        self._rsus = list(dict.fromkeys(self._rsu_of.values()))
        self._receiver = Receiver(*(values[name] for name in Receiver._fields))
        self._stale_after: float = values["stale_after"]
        self._heard: dict[str, tuple[float, Reading]] = {}  # by RSU, with the time of the steady clock
        self._others = 0
        self._file = -1
        self._source: Dialogue | Log = Log()
        self._period: float = values["period"]
        self._open_next = 0.0
        self._timing = Timing(self)
        self._links = self.create_publisher(LinkQuality, topics.LINK_QUALITY, qos_profiles.MEASUREMENT)
        self._diagnostics = Diagnostics(self, self._describe)
        steady_timer(self, POLL, self._look)
        steady_timer(self, self._period, self._publish)

    def _look(self) -> None:
        """Ask, and listen; a line that fails is opened again."""
        now = time.monotonic()
        if self._file < 0 and not self._open(now):
            return
        try:
            if isinstance(self._source, Dialogue):
                os.write(self._file, self._source.ask(now))
            data = os.read(self._file, READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._close(f"{self._device}: {error.strerror or error}")
            return
        for reading in self._source.hear(data):
            rsu = self._rsu_of.get(reading.cell)
            self._others += rsu is None
            if rsu is not None:
                self._heard[rsu] = (now, reading)

    def _open(self, now: float) -> bool:
        if now < self._open_next:
            return False
        self._open_next = now + RETRY
        try:
            self._file = os.open(self._device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            is_line = stat.S_ISCHR(os.fstat(self._file).st_mode)
            if is_line:
                _make_raw(self._file, self._baud)
            self._source = Dialogue(self._period) if is_line else Log()
        except (OSError, termios.error) as error:
            self._close(f"{self._device}: {error.args[-1] if error.args else error}; tried again every {RETRY:g} s")
            return False
        self.get_logger().info(f"{self._device}: {'a modem' if is_line else 'a log'}")
        return True

    def _close(self, why: str) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
        self.get_logger().warning(why, throttle_duration_sec=30.0)

    def _publish(self) -> None:
        """Links to all RSUs whose cells are known; those of which nothing new is known carry nothing."""
        now = time.monotonic()
        known = {rsu: reading for rsu, (at, reading) in self._heard.items() if now - at <= self._stale_after}
        found = [quality(known[rsu], self._receiver) if rsu in known else NO_LINK for rsu in self._rsus]
        message = LinkQuality(uav_ids=[self._uav], rsu_ids=self._rsus)
        message.header.stamp = convert.to_time(self._timing.now())
        message.header.frame_id = topics.MAP
        message.distance = [0.0] * len(found)
        message.line_of_sight = [False] * len(found)
        message.snr = [one.snr for one in found]
        message.spectral_efficiency = [one.efficiency for one in found]
        message.loss = [one.loss for one in found]
        self._links.publish(message)

    def _describe(self) -> dict[str, dict[str, object]]:
        refused = {f"refused/{reason}": count for reason, count in self._source.refused.items()}
        said = {**refused, "refused/unknown_cell": self._others, **self.describe_unexpected()}
        return {f"modem of {self._uav}": said | ({} if self._file >= 0 else {"trouble": f"{self._device} is not open"})}


def _cells(text: str) -> dict[str, str]:
    """RSUs by cell. Raises InputError."""
    found = {}
    for pair in text.split():
        cell, equals, rsu = pair.partition("=")
        if not equals or not cell.strip() or not rsu.strip():
            raise InputError("modem", "cells", pair, "CELL=RSU, as 01A2B3C=rsu_1, with spaces between several")
        found[cell.strip().upper()] = rsu.strip()
    if not found:
        raise InputError("modem", "cells", text, "at least one CELL=RSU")
    return found


def _speed(baud: int) -> int:
    speed = getattr(termios, f"B{baud}", None)
    if not isinstance(speed, int) or baud <= 0:
        raise InputError("modem", "baud", baud, "a serial line's speed, as 115200")
    return speed


def _make_raw(line: int, speed: int) -> None:
    """Bytes as they are: 8 bits, no parity, no flow control, no echo, nothing translated."""
    control = termios.CS8 | termios.CREAD | termios.CLOCAL
    kept = termios.tcgetattr(line)[6]
    termios.tcsetattr(line, termios.TCSANOW, [0, 0, control, 0, speed, speed, kept])


def main() -> int:
    """``ros2 run uav_twin_migration modem``."""
    return run(lambda: [ModemNode()])
