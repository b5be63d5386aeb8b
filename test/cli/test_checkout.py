"""The set-up: where environments lie, that they are kept apart, and that none goes while a command runs from it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from uav_twin_migration.cli import environment
from uav_twin_migration.cli.environment import Environment, Needs
from uav_twin_migration.cli.steps import CHECKOUT, SetupError, check_machine, step


@pytest.fixture(autouse=True)
def _no_ros_is_sourced(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is under `colcon test`: an environment then lies upon that ROS, and has its versions."""
    monkeypatch.delenv("ROS_DISTRO", raising=False)


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


def test_a_folder_goes_only_when_no_command_runs_from_it(tmp_path: Path) -> None:
    made = Environment(tmp_path)
    made.prefix.mkdir(parents=True)
    handles = made.hold()
    assert len(handles) == 2
    for folder in (made.prefix, made.folder):
        environment.remove_unused(folder)
        assert folder.is_dir()
    for handle in handles:
        os.close(handle)
    environment.remove_unused(made.folder)
    assert not made.folder.exists()


def test_another_version_is_installed_beside_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    version = Environment(tmp_path).version

    def run(what: str, command: list[str | Path], log: Path, env: object = None) -> None:
        commands.append([*map(str, command)])
        if "venv" in commands[-1]:
            site = Path(command[-1]) / "lib" / version / "site-packages"
            site.mkdir(parents=True)
            (Path(command[-1]) / "bin").mkdir()
            (Path(command[-1]) / "bin" / "python").touch()

    monkeypatch.setattr(environment, "step", run)
    pins = tmp_path / "constraints.txt"
    monkeypatch.setattr(environment, "CONSTRAINTS", pins)

    def install(matplotlib: str) -> Environment:
        pins.write_text(f"matplotlib=={matplotlib}\n")
        made = Environment(tmp_path / "home")
        if not made.ready(Needs(("figures",))):
            made.make(Needs(("figures",)))
        return made

    first = install("3.10.0")
    assert len(commands) == 2
    assert install("3.10.0").folder == first.folder
    assert len(commands) == 2  # nothing to do
    handles = first.hold()
    second = install("3.11.0")
    assert second.folder != first.folder
    assert first.folder.is_dir()  # a command runs from it
    assert len(commands) == 4
    assert (tmp_path / "home" / "venv").resolve() == second.venv
    for handle in handles:
        os.close(handle)
    third = install("3.12.0")
    assert third.folder.is_dir()
    assert not first.folder.exists()
    assert not second.folder.exists()


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


def test_a_machine_for_which_there_are_no_wheels_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(SetupError, match=r"aarch64: PyPI has no ROS 2 for it; two ways exist: Ubuntu .* the container"):
        check_machine(build=True, wheels=True)
    check_machine(build=False)  # with ROS 2 from apt, or for commands that need none
