"""The table of `uavtwin` commands. Standard library only: `./uavtwin` reads it before anything is installed."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One sub-command: ``uav_twin_migration.cli.<module>`` has ``add_arguments(parser)`` and ``run(args) -> int``."""

    module: str
    help: str
    requirements: tuple[str, ...] = ()  # groups of setup.py's REQUIREMENTS besides "core"
    ros: bool = False  # needs the built ROS 2 package


COMMANDS: dict[str, Command] = {
    "sim": Command("sim", "run the whole system as real ROS 2 processes", ("px4",), ros=True),
    "solve": Command("solve", "equilibrium of one market or a list of markets"),
    "respond": Command("respond", "the followers' answer to given prices"),
    "figures": Command("figures", "the paper's studies as PNG and CSV", ("figures",)),
    "keys": Command("keys", "a local authority, and a key pair for each RSU", ("keys",)),
    "world": Command("world", "a scenario as a Gazebo world"),
    "city": Command("city", "a scenario of a real city's building footprints", ("city", "figures")),
    "rsu": Command("rsu", "set an RSU's host up, and run its RSU", ("keys",), ros=True),
    "doctor": Command("doctor", "examine a host: what is wrong with it, and what to do", ("keys",)),
    "bench": Command("bench", "benchmarks beside their baselines", ("bench", "keys"), ros=True),
    "test": Command("test", "all tests", ("figures", "bench", "city", "keys", "test", "px4"), ros=True),
}
