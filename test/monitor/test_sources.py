"""Where a recording was made: what it says itself."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mcap", reason="needs the libraries of recordings")

from test.monitor.test_replay import RECORDING
from uav_twin_migration.errors import InputError
from uav_twin_migration.monitor.sources import scenario_of
from uav_twin_migration.recording.metadata import Attachment, Topic
from uav_twin_migration.recording.writer import Recording
from uav_twin_migration.scenario.load import dump, load


def recorded(folder: Path, scenario: str) -> Path:
    """A recording of one message that says where it was made."""
    about = {"policy": "default", "seed": "7", "unheard_of": "x"}
    attachment = Attachment("scenario.yaml", "application/yaml", scenario.encode(), 0, 0)
    recording = Recording(folder, about, [attachment])
    recording.add_topic(Topic("/a", "std_msgs/msg/String", "string data\n"))
    recording.write("/a", b"\x00\x01\x00\x00\x01\x00\x00\x00\x00", 1)
    recording.close()
    return folder


def test_a_recording_says_where_it_was_made_and_how(tmp_path: Path) -> None:
    scenario, about = scenario_of(recorded(tmp_path / "bag", dump(load("small"))))
    assert scenario == load("small")
    assert about == {"policy": "default", "seed": "7"}


def test_what_a_person_says_counts_more(tmp_path: Path) -> None:
    scenario, _ = scenario_of(recorded(tmp_path / "bag", dump(load("small"))), "default")
    assert scenario == load("default")


def test_an_older_recording_says_nothing() -> None:
    assert scenario_of(RECORDING) == (None, {})


def test_a_scenario_that_is_none_is_told_with_its_recording(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bag: scenario\.yaml"):
        scenario_of(recorded(tmp_path / "bag", "rsus: 7"))
