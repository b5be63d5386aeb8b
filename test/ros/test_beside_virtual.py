"""The real `sim` beside `sim --virtual`: the same city and seeds have means that agree (`bench agreement`, short)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

from uav_twin_migration.studies.benchmarks.agreement import Compared, compare, study
from uav_twin_migration.studies.sweep.sweep import rows_of_study

MOST_LOAD = 2.0 * (os.cpu_count() or 1)  # where nodes wait for a processor, that is what is compared
SEEDS, DURATION = 3, 20.0  # s
ASKED = (  # keys that say what the city does, and that so few seconds tell
    "demands",
    "grants",
    "mean_immersion",
    "mean_profit",
    "mean_rate",
    "price_gap_to_equilibrium",
    "exploitability",
    "twins",
    "twin_error_m.mean",
)

pytestmark = pytest.mark.slow


def test_the_running_city_does_what_virtual_time_says(tmp_path: Path) -> None:
    if os.getloadavg()[0] > MOST_LOAD:  # now, not when tests were collected
        pytest.skip("THIS MACHINE IS TOO BUSY FOR A COMPARISON, nothing is proven")
    sim, virtual = (rows_of_study(study(one, SEEDS, DURATION), tmp_path / one) for one in ("sim", "virtual"))
    found = {one.key: one for one in compare(sim, virtual)}
    assert {*ASKED} <= found.keys()
    assert [describe(found[key]) for key in ASKED if not found[key].agrees] == []
    assert [describe(one) for one in found.values() if one.key.startswith("twins_") and one.sim.value != 0.0] == []


def describe(one: Compared) -> str:
    """For whoever reads the failure."""
    sim, virtual = (f"{mean.value:.4g} ± {mean.half:.2g}" for mean in (one.sim, one.virtual))
    return f"{one.key}: {sim}, virtual {virtual}"
