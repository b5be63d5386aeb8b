"""Results are whole files or none, also where the disk is full or the path is no file."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.output import write_text


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    write_text(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(target, "ne\udc00")
    assert (target.read_text(), os.listdir(tmp_path)) == ("old", ["result.json"])
    write_text(target, "new")
    assert target.read_text() == "new"


def test_a_full_disk_is_told_in_one_line() -> None:
    with pytest.raises(UavTwinError, match="cannot write /dev/full: No space left on device"):
        write_text("/dev/full", "text")


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str, **options: object) -> int:
        with open(path, "w") as file:
            file.write(text[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UavTwinError, match="No space left"):
        write_text(tmp_path / "result.txt", "text")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["no/such/folder.txt", "."])
def test_what_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UavTwinError, match="cannot write"):
        write_text(tmp_path / name, "text")


def test_a_pipe_stays_a_pipe_and_a_link_a_link(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "text")
    reader.join()
    assert heard == ["text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    link.symlink_to(tmp_path / "target")
    write_text(link, "text")
    assert link.is_symlink()
    assert (tmp_path / "target").read_text() == "text"
