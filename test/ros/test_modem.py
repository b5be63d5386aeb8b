"""The modem node beside a modem that we play, on a pseudo-terminal, by 3GPP TS 27.007 (2026-11-30, from the text)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from uav_twin_migration.msg import LinkQuality

from test.ros.conftest import Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes.ros import qos_profiles

CELLS = "01A2B3C4=rsu_1 01A2B3C5=rsu_2"


class Modem:
    """Answers on a pseudo-terminal, with an echo until that is turned off, as modems do."""

    def __init__(self) -> None:
        self._line, terminal = os.openpty()
        self.device, self._terminal = os.ttyname(terminal), terminal
        self.cell, self.sinr, self.echo = "01a2b3c4", 87, True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        waiting = b""
        with suppress(OSError):  # until it is closed
            while True:
                *commands, waiting = (waiting + os.read(self._line, 256)).split(b"\r")
                for command in commands:
                    self._answer(command.decode().strip())

    def _answer(self, command: str) -> None:
        if self.echo:
            os.write(self._line, f"{command}\r\n".encode())
        self.echo = self.echo and command != "ATE0"
        said = {
            "AT+C5GREG?": f'+C5GREG: 2,1,"00D2F0","{self.cell}",11',
            "AT+CEREG?": "+CEREG: 2,0",
            "AT+CESQ": f"+CESQ: 99,99,255,255,255,255,75,70,{self.sinr}",
        }
        lines = [said[command]] if command in said else []
        for line in [*lines, "OK"]:
            os.write(self._line, f"\r\n{line}\r\n".encode())

    def close(self) -> None:
        os.close(self._terminal)
        os.close(self._line)


@pytest.fixture
def modem() -> Iterator[Modem]:
    playing = Modem()
    yield playing
    playing.close()


def heard_by(probe: Probe) -> list[LinkQuality]:
    heard: list[LinkQuality] = []
    probe.create_subscription(LinkQuality, topics.LINK_QUALITY, heard.append, qos_profiles.MEASUREMENT)
    return heard


def test_a_modem_is_asked_and_its_uav_hears_of_its_links(processes: Processes, probe: Probe, modem: Modem) -> None:
    heard = heard_by(probe)
    processes.start("modem", "/uav/uav_1", uav_id="uav_1", device=modem.device, cells=CELLS, period=0.1)
    probe.wait_for(lambda: heard and heard[-1].spectral_efficiency[0] > 0.0, "a link")
    message = heard[-1]
    assert (message.uav_ids, message.rsu_ids) == (["uav_1"], ["rsu_1", "rsu_2"])
    assert message.snr[0] == pytest.approx(20.0)
    assert message.spectral_efficiency[0] == pytest.approx(5.68, abs=0.02)
    assert message.spectral_efficiency[1] == 0.0
    modem.sinr, modem.cell = 57, "01a2b3c5"  # in this order: it is asked meanwhile
    probe.wait_for(lambda: heard[-1].spectral_efficiency[1] > 0.0, "a link to the other")
    assert heard[-1].snr[1] == pytest.approx(5.0)


def test_a_log_is_followed(processes: Processes, probe: Probe, tmp_path: Path) -> None:
    heard, log = heard_by(probe), tmp_path / "modem.csv"
    log.write_text("cell,sinr\n01A2B3C4,20\n01A2B3C5,5\n")
    processes.start("modem", "/uav/uav_1", uav_id="uav_1", device=str(log), cells=CELLS, period=0.1, stale_after=60.0)
    probe.wait_for(lambda: heard and min(heard[-1].spectral_efficiency) > 0.0, "both links")
    with open(log, "a") as file:
        file.write("01A2B3C4,-20\n")
    probe.wait_for(lambda: heard[-1].spectral_efficiency[0] == 0.0, "the end of a link")
    assert heard[-1].spectral_efficiency[1] > 0.0
