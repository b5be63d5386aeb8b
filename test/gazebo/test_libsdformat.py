"""Every world for Gazebo Sim is read by libsdformat itself, which also knows what makes no sense physically."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from uav_twin_migration.scenario.load import SHIPPED, load
from uav_twin_migration.scenario.sdf import world_name, world_sdf


@pytest.fixture(scope="session")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled check_sdf.cc."""
    flags = _flags()
    if flags is None or shutil.which("g++") is None:
        pytest.skip(
            "WORLDS NOT CHECKED BY LIBSDFORMAT: install with: sudo apt-get install libsdformat-dev pkg-config g++"
        )
    program = tmp_path_factory.mktemp("sdf") / "check_sdf"
    source = Path(__file__).with_name("check_sdf.cc")
    subprocess.run(["g++", "-std=c++17", str(source), "-o", str(program), *flags], check=True)
    return program


def _flags() -> list[str] | None:
    """Compiler flags of the newest libsdformat here; None where there is none."""
    if shutil.which("pkg-config") is None:
        return None
    known = subprocess.run(["pkg-config", "--list-all"], capture_output=True, text=True, check=True).stdout
    libraries = [line.split()[0] for line in known.splitlines() if line.startswith("sdformat")]
    if not libraries:
        return None
    newest = max(libraries, key=lambda name: int(name.removeprefix("sdformat") or 0))
    return subprocess.run(
        ["pkg-config", "--cflags", "--libs", newest], capture_output=True, text=True, check=True
    ).stdout.split()


def _check(checker: Path, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    world = folder / "world.sdf"
    world.write_text(text)
    return subprocess.run([str(checker), str(world)], capture_output=True, text=True)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_worlds_are_valid(checker: Path, name: str, tmp_path: Path) -> None:
    scenario = load(name)
    text = world_sdf(scenario, "sim")
    result = _check(checker, text, tmp_path)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    seen = result.stdout.split()
    assert seen[0] == world_name(scenario)
    root = ElementTree.fromstring(text)
    tags = ("world/model", "world/model/link", ".//visual", ".//collision", ".//plugin")
    assert seen[1:] == [str(len(root.findall(tag))) for tag in tags]  # nothing is left out without an error


@pytest.mark.parametrize(
    ("part", "broken"),
    [
        ("<mass>2</mass>", "<mass>-2</mass>"),
        ("<ixx>", "<ixx>9"),  # violates the triangle inequality of moments of inertia
        ('<model name="ground">', '<model name="city">'),  # a second one of that name
        ("<diffuse>", "<diffuse>red "),
    ],
)
def test_the_check_can_fail(checker: Path, part: str, broken: str, tmp_path: Path) -> None:
    text = world_sdf(load("small"), "sim")
    assert part in text
    result = _check(checker, text.replace(part, broken), tmp_path)
    assert result.returncode == 1 or result.stderr
