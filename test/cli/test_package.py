"""The wheel: what it carries, what it puts on the PATH, and that it works where nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from uav_twin_migration import __version__

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the checkout, as `pip install .` builds it."""
    pytest.importorskip("build", reason="needs build")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_what_commands_read(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    share = f"uav_twin_migration-{__version__}.data/data/share/uav_twin_migration/"
    for folder in ("config", "worlds", "launch"):
        for path in (CHECKOUT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert share + str(path.relative_to(CHECKOUT)) in names
    assert share + "package.xml" in names
    assert not [name for name in names if name.startswith(("test/", "docs/"))]


def test_the_wheel_puts_uavtwin_and_nothing_else_on_the_path(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    entries = archive.read(f"uav_twin_migration-{__version__}.dist-info/entry_points.txt").decode()
    assert [line.split()[0] for line in entries.splitlines() if "=" in line] == ["uavtwin"]


def test_a_market_is_solved_where_only_the_wheel_and_its_requirements_are(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    venv.create(home, system_site_packages=False, with_pip=False)
    python = home / "bin" / "python"
    site = next(home.glob("lib/python*/site-packages"))
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--quiet", str(wheel)]
    elsewhere = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # of a checkout: not there
    told = subprocess.run(command, capture_output=True, text=True, env=elsewhere)
    assert told.returncode == 0, told.stderr
    for name in ("numpy", "yaml", "rich", "transforms3d", "pygments", "markdown_it", "mdurl"):
        module = __import__(name)
        folder = Path(str(module.__file__)).parent
        (site / name).symlink_to(folder)
    libraries = Path(str(__import__("numpy").__file__)).parents[1] / "numpy.libs"
    if libraries.exists():
        (site / "numpy.libs").symlink_to(libraries)
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C"}
    program = home / "bin" / "uavtwin"
    solved = subprocess.run(
        [program, "solve", "--scenario", "default"], capture_output=True, text=True, env=clean, cwd=tmp_path
    )
    assert solved.returncode == 0, solved.stderr
    assert "equilibrium" in solved.stdout
    refused = subprocess.run([program, "sim"], capture_output=True, text=True, env=clean, cwd=tmp_path)
    assert refused.returncode == 1
    assert "needs ROS 2" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not list(CHECKOUT.glob("*.egg-info"))
