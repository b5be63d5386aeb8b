"""The package's executables and Python requirements: the one list of each.

CMakeLists.txt reads EXECUTABLES (``ros2 run`` finds them), ``./uavtwin`` reads REQUIREMENTS. The version is
package.xml's.
"""

import re
from pathlib import Path

PACKAGE = "uav_twin_migration"
HERE = Path(__file__).resolve().parent

# executable -> module:function
EXECUTABLES = {
    "component_container": f"{PACKAGE}.nodes.component_container:main",
    "gazebo": f"{PACKAGE}.nodes.gazebo:main",
    "learner": f"{PACKAGE}.nodes.learner:main",
    "link": f"{PACKAGE}.nodes.link:main",
    "metrics": f"{PACKAGE}.nodes.metrics:main",
    "modem": f"{PACKAGE}.nodes.modem:main",
    "monitor": f"{PACKAGE}.nodes.monitor:main",
    "pilot": f"{PACKAGE}.nodes.pilot:main",
    "px4": f"{PACKAGE}.nodes.px4:main",
    "recorder": f"{PACKAGE}.nodes.recorder:main",
    "rsu": f"{PACKAGE}.nodes.rsu:main",
    "uav": f"{PACKAGE}.nodes.uav:main",
    "uav_container": f"{PACKAGE}.nodes.uav:container_main",
    "uavtwin": f"{PACKAGE}.cli.main:main",
    "world": f"{PACKAGE}.nodes.world:main",
}

# Groups of PyPI requirements. "core" is what a command line without ROS needs; ROS itself is not listed here.
# config/constraints.txt pins the versions that tests and published figures are of.
REQUIREMENTS = {
    "core": ["numpy>=1.21", "PyYAML>=5.4", "rich>=11", "transforms3d>=0.4.1"],
    "px4": ["pymavlink>=2.4.40"],
    "metrics": ["prometheus_client>=0.9"],
    "keys": ["cryptography>=3.4", "PyNaCl>=1.4"],
    "figures": ["matplotlib>=3.5", "scipy>=1.8"],
    "bench": ["matplotlib>=3.5", "numba>=0.57", "psutil>=5.9", "scipy>=1.8"],
    "recording": ["mcap>=1.5", "rosbags>=0.10", "zstandard>=0.18"],
    "learning": ["tensorboard>=2.10", "torch>=2.4"],
    "environment": ["gymnasium>=0.29", "pettingzoo>=1.24"],  # the market for other libraries to learn on
    "libraries": ["stable-baselines3>=2.3", "tensordict>=0.6", "torchrl>=0.6"],  # that Tiny MADRL is compared with
    "view": ["aiohttp>=3.8"],  # serves the page
    "foxglove": ["foxglove-sdk>=0.16"],
    "city": ["pyogrio>=0.9", "pyproj>=3.4", "shapely>=2.1"],
    "raytracing": ["mitsuba>=3.6", "sionna-rt>=1.2"],  # radio maps; 700 MB, on a CPU with LLVM from the system
    "ulog": ["pyulog>=1.0"],  # routes out of PX4's logs
    "parquet": ["pyarrow>=12"],
    "ray": ["ray>=2.10"],  # sweeps on a cluster
    "markets": ["orjson>=3.6"],  # files of many markets, five times as quickly as with the standard library
    "docs": ["ipykernel>=6", "mkdocs-material>=9.5", "mkdocs>=1.6,<2", "mkdocstrings[python]>=0.26", "nbclient>=0.8"],
    "test": [
        "build>=1.0",
        "colcon-common-extensions",
        "coverage>=7",
        "geopandas>=1.0",  # writes what `uavtwin city` reads
        "hypothesis>=6.100",
        "import-linter>=2.0",
        "momepy>=0.11; python_version >= '3.11'",  # carries a real district as test data
        "mypy>=1.10",
        "playwright>=1.40",  # drives a browser that the system has: Debian's chromium
        "pytest-xdist>=3.2",
        "pytest>=7.4",
        "ruff>=0.6",
        "safetensors>=0.4",  # the format's own library: what it reads and writes, ours does
        "setuptools>=61",
        "types-PyYAML",
    ],
}


def version() -> str:
    """The version that package.xml names, which the ROS release tools raise."""
    found = re.search(r"<version>([^<]+)</version>", (HERE / "package.xml").read_text(encoding="utf-8"))
    assert found, "package.xml names no version"
    return found.group(1)


def shared_files() -> list[tuple[str, list[str]]]:
    """Scenarios, policies, worlds and messages, under share/ as ROS packages install them, where shipped.py looks."""
    files = [HERE / "package.xml"]
    for folder in ("config", "launch", "msg", "worlds"):
        files += [path for path in sorted((HERE / folder).rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    found: dict[str, list[str]] = {}
    for path in files:
        relative = path.relative_to(HERE)
        found.setdefault(str(Path("share", PACKAGE, relative.parent)), []).append(str(relative))
    return list(found.items())


if __name__ == "__main__":
    from setuptools import find_packages, setup

    setup(
        name=PACKAGE,
        version=version(),
        description="A bandwidth market for migrating the digital twins of UAVs between road-side units",
        long_description=(HERE / "README.md").read_text(encoding="utf-8"),
        long_description_content_type="text/markdown",
        license="Apache-2.0",
        packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
        package_data={"": ["py.typed", "*.cmake", "page/*"]},
        data_files=shared_files(),
        python_requires=">=3.10",
        install_requires=REQUIREMENTS["core"],
        extras_require={group: names for group, names in REQUIREMENTS.items() if group != "core"},
        entry_points={"console_scripts": [f"uavtwin={EXECUTABLES['uavtwin']}"]},  # ROS starts the others
    )
