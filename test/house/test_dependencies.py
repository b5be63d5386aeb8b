"""package.xml, setup.py and what the code imports say the same."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = "uav_twin_migration"

# imported module -> rosdep's key of it (rosdistro of 2026-08-22), where that is not the module's own name
KEYS = {
    "aiohttp": "python3-aiohttp",
    "cryptography": "python3-cryptography",
    "geopandas": "python3-geopandas",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "prometheus_client": "python3-prometheus-client",
    "pymavlink": "python3-pymavlink-pip",
    "pyogrio": "python3-geopandas",  # which brings it
    "pyproj": "python3-pyproj",
    "rich": "python3-rich",
    "rosbags": "python3-rosbags-pip",
    "scipy": "python3-scipy",
    "shapely": "python3-shapely",
    "torch": "python3-torch",
    "transforms3d": "python3-transforms3d",
    "yaml": "python3-yaml",
}
# Without a key in any distribution. No RSU or UAV needs any of them: what nacl does, cryptography does, too.
WITHOUT_KEY = {"foxglove", "gymnasium", "mcap", "nacl", "numba", "pettingzoo", "pyarrow", "pyulog"}
WITHOUT_KEY |= {"mitsuba", "sionna"}
WITHOUT_KEY |= {"stable_baselines3", "tensordict", "torchrl", "zstandard"}
ONLY_MEASURED = {"playwright", "psutil"}  # by bench
BY_HAND = {"atheris"}  # fuzzing by coverage, where somebody has installed it: it builds on few machines
DISTRIBUTIONS = {  # PyPI's name -> module
    "foxglove-sdk": "foxglove",
    "PyYAML": "yaml",
    "PyNaCl": "nacl",
    "sionna-rt": "sionna",
}


def imported() -> set[str]:
    """Top-level modules, other than the standard library's and our own, that the package imports anywhere."""
    found: set[str] = set()
    for path in (CHECKOUT / PACKAGE).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {PACKAGE, "setuptools"} - BY_HAND


def dependencies() -> dict[str, str]:
    """What package.xml needs when running, and on which condition."""
    root = ElementTree.parse(CHECKOUT / "package.xml").getroot()
    found = [*root.findall("exec_depend"), *root.findall("depend"), *root.findall("test_depend")]
    return {str(entry.text): entry.get("condition", "") for entry in found}


def pypi_names() -> set[str]:
    """Every module that setup.py's groups bring by name."""
    groups = runpy.run_path(str(CHECKOUT / "setup.py"))["REQUIREMENTS"]
    names = {line.partition(";")[0].split(">")[0].split("=")[0].strip() for lines in groups.values() for line in lines}
    return {DISTRIBUTIONS.get(name, name.replace("-", "_")) for name in names}


def test_package_xml_names_everything_that_is_imported() -> None:
    wanted = {KEYS.get(name, name) for name in imported() - WITHOUT_KEY - ONLY_MEASURED}
    assert wanted <= dependencies().keys()


def test_what_has_no_key_is_needed_by_no_rsu() -> None:
    """The rooms that an RSU or UAV consists of import nothing without a key, but for nacl, which has an understudy."""
    for room in ("game", "market", "policy", "radio", "scenario", "twin", "nodes"):
        for path in (CHECKOUT / PACKAGE / room).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Import):
                    assert not {alias.name.partition(".")[0] for alias in node.names} & WITHOUT_KEY - {"nacl"}, path
                elif isinstance(node, ast.ImportFrom):
                    assert (node.module or "").partition(".")[0] not in WITHOUT_KEY, path


def test_setup_py_names_everything_from_pypi_that_is_imported() -> None:
    from_pypi = imported() & (KEYS.keys() | WITHOUT_KEY | ONLY_MEASURED)
    assert from_pypi <= pypi_names()


def test_a_plain_rosdep_install_brings_no_simulator_and_no_learning() -> None:
    heavy = ("ros_gz", "gazebo", "px4", "torch", "pymavlink", "rosbags", "matplotlib", "geopandas", "launch_testing")
    for name, condition in dependencies().items():
        if any(word in name for word in heavy):
            assert "UAVTWIN_WITH_" in condition, name


def test_conditions_are_what_rep_149_reads() -> None:
    evaluate_condition = pytest.importorskip("catkin_pkg.condition").evaluate_condition

    told = {"UAVTWIN_WITH_GAZEBO": "classic", "ROS_DISTRO": "humble"}
    bring = {name for name, condition in dependencies().items() if not condition or evaluate_condition(condition, told)}
    assert {"gazebo_ros", "gazebo_plugins", "rclpy"} <= bring
    assert "ros_gz_sim" not in bring
    nothing = {name for name, condition in dependencies().items() if condition and evaluate_condition(condition, {})}
    assert nothing == set()


def test_the_table_of_missing_modules_knows_every_import() -> None:
    from uav_twin_migration.cli.commands import missing_group

    groups = runpy.run_path(str(CHECKOUT / "setup.py"))["REQUIREMENTS"]
    for module in imported() & (KEYS.keys() | WITHOUT_KEY | ONLY_MEASURED):
        group = missing_group(module)
        assert group is not None, module
        names = {line.partition(";")[0].split(">")[0].split("=")[0].strip() for line in groups[group]}
        assert module in {DISTRIBUTIONS.get(name, name.replace("-", "_")) for name in names}, (module, group)
