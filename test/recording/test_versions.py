"""Recordings of all versions there have been are read, and those of versions to come are left alone.

`versions` keeps one real recording of each. So far there is `rosbag2_8` alone, metadata.yaml of rosbag2's version 8 and
one file of MCAP version 0: the numbers 0 to 3 as strings, on the topics /a and /b in turn.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

pytest.importorskip("mcap", reason="needs the libraries of recordings")

from test.recording.test_recording import numbers
from uav_twin_migration.errors import InputError
from uav_twin_migration.recording import metadata
from uav_twin_migration.recording.reader import contents
from uav_twin_migration.recording.repair import repair

VERSIONS = Path(__file__).parent / "versions"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A copy of the newest one that is kept."""
    return Path(shutil.copytree(VERSIONS / f"rosbag2_{metadata.VERSION}", tmp_path / "bag"))


def test_a_recording_of_every_version_is_kept_and_read() -> None:
    kept = sorted(VERSIONS.iterdir())
    assert f"rosbag2_{metadata.VERSION}" in [folder.name for folder in kept]
    for folder in kept:
        assert numbers(folder) == [0, 1, 2, 3]
        assert not contents(folder).damage


def test_metadata_of_a_newer_rosbag2_are_no_hindrance(recording: Path) -> None:
    """What is read is in the MCAP file; metadata.yaml repeats it for others."""
    file = recording / metadata.FILE
    document = yaml.safe_load(file.read_text())
    document["rosbag2_bagfile_information"]["version"] = 99
    file.write_text(yaml.safe_dump(document))
    before = file.read_bytes()
    assert numbers(recording) == [0, 1, 2, 3]
    repair(recording)
    assert file.read_bytes() == before


def test_a_newer_mcap_is_refused_and_not_repaired(recording: Path) -> None:
    (file,) = recording.glob("*.mcap")
    newer = file.read_bytes().replace(b"\x89MCAP0\r\n", b"\x89MCAP1\r\n")
    file.write_bytes(newer)
    for look in (contents, repair):
        with pytest.raises(InputError, match="MCAP 1") as refused:
            look(recording)
        assert str(file) in str(refused.value)
        assert "upgrade" in str(refused.value)
    assert file.read_bytes() == newer
