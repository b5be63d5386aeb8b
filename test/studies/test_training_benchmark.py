"""`uavtwin bench training` on the sweep runner: what is done is kept, and nothing of it is done again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.studies.benchmarks import training
from uav_twin_migration.studies.sweep import sweep
from uav_twin_migration.studies.sweep.results import RUNS


def half(number: float) -> dict[str, float]:
    """A study's own function."""
    if number > 100.0:
        raise ValueError("too large")
    print("said on the way")
    return {"half": number / 2.0}


def test_a_study_s_own_function_is_run_kept_and_named_where_it_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points: list[dict[str, Any]] = [{"number": 3.0}, {"number": 5.0}]
    rows = sweep.rows_of_function(f"{__name__}:half", points, tmp_path, jobs=1)
    assert [row["half"] for row in rows] == [1.5, 2.5]
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / RUNS).glob("*.json")}
    assert sweep.rows_of_function(f"{__name__}:half", points, tmp_path, jobs=1) == rows
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / RUNS).glob("*.json")} == kept
    assert capsys.readouterr().out == ""  # which is for JSON
    with pytest.raises(UavTwinError, match=r"1 of 1 runs failed(?s:.)*ValueError: too large"):
        sweep.rows_of_function(f"{__name__}:half", [{"number": 101.0}], tmp_path, jobs=1)


def test_ways_of_pruning_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "seed": 4,
        **{f"dense@0.{name}": value for name, value in zip(training.FOUND, (9.0, 2.0, 0.04, 0.1), strict=True)},
        **{f"dynamic@0.95.{name}": value for name, value in zip(training.FOUND, (3.0, 1.0, 0.02, 0.1), strict=True)},
    }
    monkeypatch.setattr(training, "rows_of_function", lambda *args: [told])
    figures = {one.name: one for one in training.pruning(tmp_path, tmp_path)}
    assert figures["exploitability: dynamic, 95 % removed"].ratio == pytest.approx(2.0)
    assert figures["CPU time: dense"].value == 2.0
    table = (tmp_path / "bench_training_pruning.csv").read_text().splitlines()
    assert table[2] == "dynamic,0.95,4,3,1.0,0.02,0.1"
