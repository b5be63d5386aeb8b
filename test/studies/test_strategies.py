"""`uavtwin figures strategies`: the same flights, by several strategies, on the sweep runner."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from uav_twin_migration.studies.figures import strategies


def test_strategies_are_compared_on_the_same_flights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: strategies.STRATEGIES[name] for name in ("always nearest", "predicted stay, a replica")}
    monkeypatch.setattr(strategies, "STRATEGIES", kept)
    monkeypatch.setattr(strategies, "SEEDS", 1)
    monkeypatch.setattr(strategies, "DURATION", 20)
    strategies.run(tmp_path)
    assert (tmp_path / "strategies.png").stat().st_size > 10_000
    with (tmp_path / "strategies.csv").open() as file:
        found = {(row["way"], row["measure"]): float(row["middle"]) for row in csv.DictReader(file)}
    assert len(found) == len(kept) * len(strategies.MEASURES)
    assert found["predicted stay, a replica", "energy (model)"] > found["always nearest", "energy (model)"]
    assert found["predicted stay, a replica", "cost of what is sent"] > 0.0
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "strategies" / "runs").iterdir()}
    strategies.run(tmp_path)  # what is done is not done again
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "strategies" / "runs").iterdir()} == before


def test_energy_is_linear_in_moves_and_bytes() -> None:
    row = {"uavs": 1.0, "transferred_mbit": 8.0, "migrations_completed": 1.0}
    hours = strategies.DURATION / 3600.0
    assert strategies.energy(row) == pytest.approx((0.512 + 20.165) / 1e3 / hours)
