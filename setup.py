"""The package's executables and Python requirements: the one list of each.

CMakeLists.txt reads EXECUTABLES (``ros2 run`` finds them), ``./uavtwin`` reads REQUIREMENTS.
"""

PACKAGE = "uav_twin_migration"

# executable -> module:function
EXECUTABLES = {
    "component_container": f"{PACKAGE}.nodes.component_container:main",
    "gazebo": f"{PACKAGE}.nodes.gazebo:main",
    "learner": f"{PACKAGE}.nodes.learner:main",
    "link": f"{PACKAGE}.nodes.link:main",
    "metrics": f"{PACKAGE}.nodes.metrics:main",
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
REQUIREMENTS = {
    "core": ["numpy>=1.21", "PyYAML>=5.4", "rich>=11", "transforms3d>=0.4.1"],
    "px4": ["pymavlink>=2.4.40"],
    "metrics": ["prometheus_client>=0.9"],
    "keys": ["cryptography>=3.4", "PyNaCl>=1.4"],
    "figures": ["matplotlib>=3.5", "scipy>=1.8"],
    "bench": ["matplotlib>=3.5", "numba>=0.57", "psutil>=5.9", "scipy>=1.8"],
    "recording": ["mcap>=1.5", "rosbags>=0.10"],
    # An exact torch where it is known to work, so that tests and published figures are of one version.
    "learning": [
        "tensorboard>=2.10",
        "torch==2.13.0; python_version == '3.11'",
        "torch>=2.4; python_version != '3.11'",
    ],
    "environment": ["gymnasium>=0.29", "pettingzoo>=1.24"],  # the market for other libraries to learn on
    "libraries": ["stable-baselines3>=2.3", "tensordict>=0.6", "torchrl>=0.6"],  # that Tiny MADRL is compared with
    "city": ["geopandas>=1.0", "pyproj>=3.4", "shapely>=2.0"],
    "test": [
        "colcon-common-extensions",
        "coverage>=7",
        "hypothesis>=6.100",
        "import-linter>=2.0",
        "momepy>=0.11; python_version >= '3.11'",  # carries a real district as test data
        "mypy>=1.10",
        "pytest>=7.4",
        "ruff>=0.6",
        "safetensors>=0.4",  # the format's own library: what it reads and writes, ours does
        "types-PyYAML",
    ],
}

if __name__ == "__main__":
    from setuptools import find_packages, setup

    setup(
        name=PACKAGE,
        version="0.1.0",
        license="Apache-2.0",
        packages=find_packages(include=[f"{PACKAGE}*"]),
        python_requires=">=3.10",
        install_requires=REQUIREMENTS["core"],
        extras_require={group: names for group, names in REQUIREMENTS.items() if group != "core"},
        entry_points={"console_scripts": [f"{name}={target}" for name, target in EXECUTABLES.items()]},
    )
