"""The terminal's table: it fits 80 x 24, whatever the size of the city."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from uav_twin_migration.monitor.market import MarketMonitor
from uav_twin_migration.monitor.terminal import Display, worst
from uav_twin_migration.monitor.twins import TwinMonitor
from uav_twin_migration.scenario.load import load


@pytest.mark.parametrize("name", ["small", "default", "large"])
def test_the_table_fits_a_small_terminal(name: str) -> None:
    monitor = MarketMonitor(load(name))
    display = Display(monitor, TwinMonitor(), io.StringIO(), plain=False)
    display._console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    lines = display._console.render_lines(display._picture(12.0), pad=False)
    assert len(lines) <= 23
    assert all(sum(segment.cell_length for segment in line) <= 80 for line in lines)
    text = "\n".join("".join(segment.text for segment in line) for line in lines)
    assert monitor.scenario.rsus[0].id in text
    if name == "large":
        assert "and " in text


def test_the_worst_come_first_where_not_all_fit() -> None:
    assert worst([3.0, 1.0, 2.0], 3) == [0, 1, 2]
    assert worst([3.0, 1.0, 2.0], 2) == [1, 2]


def test_a_run_that_is_too_slow_is_said_so() -> None:
    monitor = MarketMonitor(load("small"))
    display = Display(monitor, TwinMonitor(), io.StringIO(), plain=False)
    assert display._health(0.0).plain == "in time"
    monitor.rounds_missed["uav/uav_1"] = 9
    assert display._health(5.0).plain.startswith("too slow: 9 answers late")
    assert display._health(30.0).plain == "in time"
