"""The table of `uavtwin` commands. Standard library only: `./uavtwin` reads it before anything is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Command(NamedTuple):
    """One sub-command: ``uav_twin_migration.cli.<module>`` has ``add_arguments(parser)`` and ``run(args) -> int``."""

    module: str
    help: str
    requirements: tuple[str, ...] = ()  # groups of setup.py's REQUIREMENTS besides "core"
    ros: bool = False  # needs the built ROS 2 package
    by_name: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # further groups that one of its parts needs

    def groups(self, arguments: Sequence[str] = ()) -> tuple[str, ...]:
        """The groups of requirements with these arguments: of the parts they name, or of all where they name none."""
        named = [name for name in self.by_name if name in arguments] or list(self.by_name)
        return (*self.requirements, *dict.fromkeys(group for name in named for group in self.by_name[name]))


# name -> groups it needs besides its command's
FIGURES = {"game": (), "learning": ("learning", "bench")}
BENCHMARKS = {"game": (), "market": (), "policy": (), "training": ("learning",), "baselines": ("learning", "libraries")}

TESTED = ("figures", "bench", "city", "keys", "learning", "environment", "test", "px4")

COMMANDS: dict[str, Command] = {
    "sim": Command("sim", "run the whole system as real ROS 2 processes", ("px4",), ros=True),
    "solve": Command("solve", "equilibrium of one market or a list of markets"),
    "respond": Command("respond", "the followers' answer to given prices"),
    "train": Command("train", "train and prune a pricing policy", ("learning",)),
    "evaluate": Command("evaluate", "a policy beside the equilibrium"),
    "figures": Command("figures", "the paper's studies as PNG and CSV", ("figures",), by_name=FIGURES),
    "keys": Command("keys", "a local authority, and a key pair for each RSU", ("keys",)),
    "twins": Command("twins", "list and verify the twins in an RSU's store"),
    "world": Command("world", "a scenario as a Gazebo world"),
    "city": Command("city", "a scenario of a real city's building footprints", ("city", "figures")),
    "bench": Command("bench", "benchmarks beside their baselines", ("bench", "keys"), ros=True, by_name=BENCHMARKS),
    "test": Command("test", "all tests", TESTED, ros=True),
}
