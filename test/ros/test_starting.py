"""What is said of a simulation that takes its time to start."""

from __future__ import annotations

import os
import time

import pytest

from uav_twin_migration.nodes.ros.starting import PERIOD, Starting


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_who_starts_at_once_is_not_told_of(clock: list[float]) -> None:
    lines: list[str] = []
    starting = Starting(2, lines.append)
    assert starting.look()
    starting.tell()
    starting.tell()
    assert not starting.look()
    assert not starting.look()
    assert lines == []


def test_on_a_busy_machine_it_is_said_how_many_have_started(clock: list[float]) -> None:
    lines: list[str] = []
    starting = Starting(3, lines.append)
    starting.tell()
    clock[0] += PERIOD
    assert starting.look()
    assert starting.look()  # not due again
    assert [line.partition(";")[0] for line in lines] == ["1 of 3 processes have started"]
    for _ in range(2):
        starting.tell()
    clock[0] += 10.0
    assert not starting.look()
    assert lines[-1] == "all 3 processes have started, 12 s after the start"


def test_a_process_that_is_started_again_later_tells_nobody() -> None:
    starting = Starting(1, print)
    starting.tell()
    assert not starting.look()
    reader, writer = os.pipe()  # which get the numbers that are free now
    starting.tell()
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    os.close(reader)
    os.close(writer)
