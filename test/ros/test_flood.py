"""Messages that come faster than a process takes them: timers and coroutines go on."""

from __future__ import annotations

import json
import sys

import pytest

from test.ros.conftest import Probe, Processes
from test.ros.drowned import ENOUGH
from uav_twin_migration.nodes.ros.flood import LATE, LOOK, Pulse

pytest.importorskip("rclpy.experimental", reason="no events executor here, which floods stop")


def test_timers_and_coroutines_go_on_in_a_flood(processes: Processes) -> None:
    said, errors = processes.run([sys.executable, "-m", "test.ros.drowned"]).communicate(timeout=90.0)
    assert said, errors
    found = json.loads(said)
    assert found.pop("ticks") >= ENOUGH
    assert found == {"answers": [7], "noticed": True, "sheds": False}


def test_timers_that_stand_still_are_starved_but_not_where_who_looks_was_late_too(probe: Probe) -> None:
    now = 0.0
    pulse = Pulse(probe, clock=lambda: now)

    def looks(seconds: float) -> bool:
        nonlocal now
        now += seconds
        return pulse.starved()

    assert not any(looks(LOOK) for _ in range(round(LATE / LOOK)))
    assert looks(LOOK)
    pulse.beat()
    assert not looks(LOOK)
    assert not looks(60.0)  # the process was suspended
    assert not looks(LOOK)
