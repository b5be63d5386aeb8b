"""Messages that come faster than a process takes them: timers and coroutines go on."""

from __future__ import annotations

import json
import sys

import pytest

from test.ros.conftest import Processes
from test.ros.drowned import ENOUGH

pytest.importorskip("rclpy.experimental", reason="no events executor here, which floods stop")


def test_timers_and_coroutines_go_on_in_a_flood(processes: Processes) -> None:
    said, errors = processes.run([sys.executable, "-m", "test.ros.drowned"]).communicate(timeout=90.0)
    assert said, errors
    found = json.loads(said)
    assert found.pop("ticks") >= ENOUGH
    assert found == {"answers": [7], "noticed": True, "sheds": False}
