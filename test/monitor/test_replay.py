"""A recording as frames: those of the shipped one are what they were, whatever is left of a recording is shown."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mcap", reason="needs the libraries of recordings")

from uav_twin_migration.errors import InputError
from uav_twin_migration.monitor.frames import cast_to_json, frame_to_json
from uav_twin_migration.monitor.replay import Replay, replay
from uav_twin_migration.scenario.load import load

HERE = Path(__file__).parent
RECORDING = HERE / "recording"  # 70 s of `uavtwin sim small --real-time-factor 3 --record`, with migrations
GOLDEN = HERE / "frames.json"
EVERY = 10  # frames of which one is in the golden file


@pytest.fixture(scope="module")
def seen() -> Replay:
    return replay(RECORDING, load("small"))


def document(seen: Replay) -> dict[str, Any]:
    """What the golden file holds. To write it anew: python -m test.monitor.test_replay."""
    return {"cast": cast_to_json(seen.cast), "frames": [frame_to_json(frame) for frame in seen.frames[::EVERY]]}


def same(found: Any, wanted: Any, where: str) -> None:
    """Equal, numbers to a thousandth: a solver may find the same equilibrium another way."""
    assert type(found) is type(wanted) or {type(found), type(wanted)} == {int, float}, where
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key, value in wanted.items():
            same(found[key], value, f"{where}/{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            same(one, other, f"{where}/{number}")
    elif isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4), where
    else:
        assert found == wanted, where


def test_frames_of_the_shipped_recording_are_those_of_the_golden_file(seen: Replay) -> None:
    same(json.loads(json.dumps(document(seen))), json.loads(GOLDEN.read_text()), "frames")


def test_time_is_simulated_and_frames_are_even(seen: Replay) -> None:
    times = [frame.time for frame in seen.frames]
    assert 60.0 < times[-1] - times[0] < 75.0  # it was recorded in 24 s
    assert np.diff(times) == pytest.approx(0.4)


def test_what_is_published_is_what_is_seen(seen: Replay) -> None:
    moving = [one for frame in seen.frames for one in frame.transfers]
    assert moving
    assert all(0.0 <= one.sent <= one.size for one in moving)
    for uav, target in {(one.uav, one.target) for one in moving}:
        sent = [one.sent for one in moving if (one.uav, one.target) == (uav, target)]
        assert sent == sorted(sent)
    arrived = [event.text for frame in seen.frames for event in frame.events if "moved from" in event.text]
    assert len(arrived) == seen.summary["migrations_completed"] > 0


def test_the_summary_is_the_mean_of_what_is_shown(seen: Replay) -> None:
    samples = [frame.sample for frame in seen.frames if frame.sample is not None]
    shown = [sample.exploitability for sample in samples if math.isfinite(sample.exploitability)]
    assert seen.summary["exploitability"] == pytest.approx(np.mean(shown))
    assert seen.summary["equilibria_compared"] == sum(np.isfinite(sample.equilibrium).all() for sample in samples)


def test_without_its_scenario_it_is_shown_as_far_as_it_says(seen: Replay) -> None:
    found = replay(RECORDING)
    assert {rsu.id for rsu in found.cast.rsus} == {rsu.id for rsu in seen.cast.rsus}
    assert {uav.id for uav in found.cast.uavs} == {uav.id for uav in seen.cast.uavs}
    assert {rsu.unit_cost for rsu in found.cast.rsus} == {rsu.unit_cost for rsu in seen.cast.rsus}
    last = next(frame.sample for frame in reversed(found.frames) if frame.sample is not None)
    assert np.isnan(last.equilibrium).all()
    assert (last.price > 0.0).all()


def test_a_recording_that_was_cut_off_is_shown_up_to_the_cut(tmp_path: Path) -> None:
    shutil.copytree(RECORDING, tmp_path / "cut")
    file = next((tmp_path / "cut").glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    found = replay(tmp_path / "cut", load("small"))
    assert 10 < len(found.frames) < 150
    assert "cut off" in found.damage[0]


def test_where_nothing_can_be_watched_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing there"):
        replay(tmp_path / "none")
    with pytest.raises(InputError, match="nothing of a market"):
        replay(HERE.parent / "recording" / "versions" / "rosbag2_8")


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(document(replay(RECORDING, load("small"))), indent=None) + "\n")
