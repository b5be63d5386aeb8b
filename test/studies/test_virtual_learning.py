"""A learner and a viewer in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from uav_twin_migration.monitor.frames import Frame
from uav_twin_migration.policy import artifact
from uav_twin_migration.studies.virtual.city import City
from uav_twin_migration.studies.virtual.run import run


def test_who_views_changes_nothing_and_sees_ten_frames_a_second() -> None:
    frames: list[Frame] = []
    seen = run("small", duration=8.0, view=lambda city, frame: frames.append(frame))
    assert seen == run("small", duration=8.0)
    assert len(frames) == pytest.approx(80, abs=3)
    assert sum(frame.sample is not None for frame in frames) == 8


def test_a_learner_learns_while_it_runs_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    versions: list[Any] = []

    def learned(name: str) -> tuple[dict[str, Any], bytes]:
        file = tmp_path / name

        def watch(city: City, sample: object) -> None:
            if city.air.clock > 5.0:
                versions[:] = [rsu.pricer.version for rsu in city.air.rsus.values()]

        summary = run("default", duration=92.0, twins=False, train=True, learned=file, watch=watch)
        return summary, file.read_bytes()

    first, second = learned("one.safetensors"), learned("two.safetensors")
    assert versions == [1, 1, 1, 1]
    assert artifact.load(tmp_path / "one.safetensors").training["interactions"] >= 300
    assert first == second
