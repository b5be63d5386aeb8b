"""The set-up: where environments lie, that they are kept apart, and that none goes while a command runs from it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from uav_twin_migration.cli import environment
from uav_twin_migration.cli.environment import Environment
from uav_twin_migration.cli.steps import CHECKOUT, SetupError, step


def test_every_interpreter_and_ros_has_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UAVTWIN_WHEELS", raising=False)
    folders = {Environment(tmp_path).folder}
    monkeypatch.setattr("sys.base_prefix", "/opt/another/python")
    folders.add(Environment(tmp_path).folder)
    monkeypatch.setenv("UAVTWIN_WHEELS", "kilted")
    folders.add(Environment(tmp_path).folder)
    assert len(folders) == 3
    monkeypatch.setenv("UAVTWIN_WHEELS", "kitled")
    with pytest.raises(SetupError, match="one of jazzy, kilted"):
        Environment(tmp_path)


def test_a_prefix_goes_only_when_no_command_runs_from_it(tmp_path: Path) -> None:
    made = Environment(tmp_path)
    made.prefix.mkdir(parents=True)
    old = made.folder / "install-old"
    old.mkdir()
    handle = made.hold()
    made._remove_unused_prefixes()
    assert made.prefix.is_dir()
    assert not old.exists()
    assert handle is not None
    os.close(handle)
    made._remove_unused_prefixes()
    assert not made.prefix.exists()


def test_a_path_that_is_not_ascii_has_its_environment_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path / "Übung")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert [home.parent for home in environment.homes()] == [tmp_path / "cache", Path("/var/tmp")]
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path)
    assert environment.homes()[0] == tmp_path / ".uavtwin"


def test_somebody_elses_folder_is_not_ours_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.is_mine(tmp_path / "not" / "made" / "yet")
    owner = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: owner + 1)
    assert not environment.is_mine(tmp_path / ".uavtwin")


def test_a_pin_makes_only_its_own_group_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Environment(tmp_path)
    before = {group: made._wanted(group) for group in ("core", "figures")}
    pins = (CHECKOUT / "config" / "constraints.txt").read_text().replace("matplotlib==", "matplotlib==9")
    changed = tmp_path / "constraints.txt"
    changed.write_text(pins)
    monkeypatch.setattr(environment, "CONSTRAINTS", changed)
    assert made._wanted("core") == before["core"]
    assert made._wanted("figures") != before["figures"]


def test_a_step_that_fails_says_so_with_the_end_of_its_output(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"(?s)trying failed; the end of .*it broke"):
        step("trying", ["sh", "-c", "echo it broke; exit 3"], tmp_path / "log")
