"""`uavtwin bench agreement`: when two means are taken for the same, and which keys are asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from uav_twin_migration.studies.benchmarks.agreement import OF_THE_MACHINE, SEEDS, Compared, Mean, compare
from uav_twin_migration.studies.sweep.results import Row
from uav_twin_migration.studies.sweep.run import flat
from uav_twin_migration.studies.virtual.run import run


def rows(seed: int, shift: float = 0.0) -> list[Row]:
    """Ten runs that tell the same but for chance, and by `shift` of their deviation."""
    chance = np.random.default_rng(seed)
    return [
        {"seed": one, "mean_immersion": 30.0 + shift + chance.normal(), "downtime_ms.mean": 9.0} for one in range(SEEDS)
    ]


def test_runs_of_one_system_agree_and_those_of_two_do_not() -> None:
    (same,) = compare(rows(1), rows(2))
    (other,) = compare(rows(1), rows(2, shift=3.0))
    assert same.key == "mean_immersion"  # downtime is of the machine
    assert same.agrees
    assert not other.agrees


@pytest.mark.parametrize(("sim", "virtual", "agrees"), [(100.0, 101.9, True), (100.0, 103.0, False), (0.0, 0.0, True)])
def test_what_nobody_would_notice_is_the_same(sim: float, virtual: float, agrees: bool) -> None:
    assert Compared("rounds", Mean(sim, 0.1), Mean(virtual, 0.1)).agrees == agrees


def test_a_key_that_a_run_does_not_tell_counts_as_none() -> None:
    told: list[dict[str, Any]] = [{"seed": 0, "failed.x": 2.0}, {"seed": 1}]
    (failed,) = compare(told, told)
    assert failed.sim.value == 1.0


def test_the_summary_of_virtual_time_has_keys_to_compare() -> None:
    told = dict(flat(run("small", duration=6.0)))
    asked = [key for key in told if not key.startswith(OF_THE_MACHINE)]
    assert {"rounds", "mean_immersion", "age_of_information_ms.mean", "migrations_completed"} <= set(asked)
