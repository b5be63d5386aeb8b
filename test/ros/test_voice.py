"""What an RSU says of its twins while its executor has too much to do."""

from __future__ import annotations

import queue
import time
from pathlib import Path
from typing import Any

import pytest

from test.ros.conftest import PATIENCE, Probe, Processes
from test.ros.test_twins import Town
from uav_twin_migration.clocks import LONGEST_STEP
from uav_twin_migration.nodes.ros import voice
from uav_twin_migration.nodes.ros.voice import Voice

# A rule that takes an RSU's executor for as long as a file is there.
BUSY = """
import os, time
class Busy:
    def decide(self, history, rivals):
        while os.path.exists({file!r}):
            time.sleep(0.01)
        return 3.0
"""


class BusyTown(Town):
    """One whose RSUs' executors are busy while there is a file named busy."""

    def start_rsu(self, rsu: str, **more: Any) -> Any:
        rule = self.folder / "rule.py"
        rule.write_text(BUSY.format(file=str(self.folder / "busy")))
        return super().start_rsu(rsu, pricing=f"{rule}:Busy", **more)


def test_an_rsu_whose_executor_is_busy_still_speaks_of_its_twins(
    processes: Processes, probe: Probe, tmp_path: Path
) -> None:
    town = BusyTown(processes, probe, tmp_path)
    probe.wait_for(town.host, "a twin")
    host = town.host()
    probe.wait_for_trade()
    (tmp_path / "busy").touch()

    def told() -> float:
        return town.host_heartbeats[host].header.stamp.sec

    def rounds() -> int:
        return max(offer.round for offer in probe.offers if offer.rsu_id == host)

    before, last = told(), rounds()
    probe.wait_for(lambda: told() > before + 3.0, "its voice, for some seconds")
    assert rounds() <= last + 1  # one may have been on its way
    last, before = rounds(), told()
    probe.wait_for(lambda: told() > before + 3.0 and town.says(host, "hosting"), "its voice, of the twin")
    assert rounds() == last
    (tmp_path / "busy").unlink()
    probe.wait_for(lambda: rounds() > last, "another round")


def test_an_executor_that_stands_still_has_heard_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = [10.0]
    monkeypatch.setattr(time, "monotonic", lambda: steady[0])
    speaker = Voice(lambda: None, lambda: 1.0, print)
    before = speaker.now
    steady[0] += 30.0
    assert speaker.now == before
    speaker.beat()
    assert speaker.now == before + LONGEST_STEP


def test_an_executor_that_is_gone_for_good_silences_its_rsu(monkeypatch: pytest.MonkeyPatch) -> None:
    said: queue.SimpleQueue[float] = queue.SimpleQueue()
    turns: queue.SimpleQueue[float] = queue.SimpleQueue()

    def period() -> float:
        turns.put(time.monotonic())
        return 0.01

    speaker = Voice(lambda: said.put(time.monotonic()), period, print)
    speaker.start()
    said.get(timeout=PATIENCE)
    monkeypatch.setattr(voice, "STUCK", -1.0)
    for _ in range(turns.qsize() + 3):
        turns.get(timeout=PATIENCE)
    while not said.empty():
        said.get()
    for _ in range(3):
        turns.get(timeout=PATIENCE)
    assert said.empty()
    speaker.close()
