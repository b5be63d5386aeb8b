"""The clocks of leases and of silence."""

from __future__ import annotations

import time

import pytest

from uav_twin_migration.clocks import LONGEST_STEP, ListeningClock, boot_time


def test_leases_count_the_time_in_which_a_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {time.CLOCK_BOOTTIME: 100.0, time.CLOCK_MONOTONIC: 50.0}
    monkeypatch.setattr(time, "clock_gettime", now.__getitem__)
    before = boot_time()
    now[time.CLOCK_BOOTTIME] += 3600.0  # suspended: the monotonic clock stands still
    assert boot_time() - before == 3600.0


def test_who_was_stopped_has_not_been_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = [10.0]
    monkeypatch.setattr(time, "monotonic", lambda: steady[0])
    clock = ListeningClock()
    before = clock.now()
    for _ in range(4):
        steady[0] += 0.25
        clock.now()
    assert clock.now() - before == 1.0
    steady[0] += 60.0  # SIGSTOP, or a machine with too much to do
    assert clock.now() - before == 1.0 + LONGEST_STEP
