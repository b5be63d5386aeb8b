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

    by_option: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # further groups that one of its options needs

    def groups(self, arguments: Sequence[str] = ()) -> tuple[str, ...]:
        """The groups of requirements with these arguments: of the parts they name, or of all where they name none."""
        named = [name for name in self.by_name if name in arguments] or list(self.by_name)
        further = [group for name in named for group in self.by_name[name]]
        further += [group for name in self.by_option if name in arguments for group in self.by_option[name]]
        return (*self.requirements, *dict.fromkeys(further))


# option -> groups it needs besides its command's
SIM_OPTIONS = {"--record": ("recording",), "--train": ("learning",)}

# name -> groups it needs besides its command's
FIGURES = {"game": (), "learning": ("learning", "environment", "libraries"), "migration": ()}
BENCHMARKS = {
    "game": (),
    "market": (),
    "edge": ("keys",),
    "hosts": ("keys",),
    "soak": ("keys", "recording"),
    "policy": (),
    "training": ("learning",),
    "learning": ("learning", "recording"),
    "baselines": ("learning", "environment", "libraries"),
    "protocol": (),
    "migration": ("keys",),
    "crash": ("keys",),
}

TESTED = ("figures", "bench", "city", "keys", "metrics", "learning", "environment", "test", "px4", "recording")

COMMANDS: dict[str, Command] = {
    "sim": Command("sim", "run the whole system as real ROS 2 processes", ("px4",), ros=True, by_option=SIM_OPTIONS),
    "solve": Command("solve", "equilibrium of one market or a list of markets"),
    "respond": Command("respond", "the followers' answer to given prices"),
    "train": Command("train", "train and prune a pricing policy", ("learning", "recording")),
    "evaluate": Command("evaluate", "a policy beside the equilibrium"),
    "figures": Command("figures", "the paper's studies as PNG and CSV", ("figures",), by_name=FIGURES),
    "keys": Command("keys", "a local authority, and a key pair for each RSU", ("keys",)),
    "twins": Command("twins", "list and verify the twins in an RSU's store"),
    "bag": Command("bag", "what a recording holds; makes one that was cut off whole again", ("recording",)),
    "rsu": Command("rsu", "set an RSU's host up, and run its RSU", ("keys",), ros=True),
    "doctor": Command("doctor", "examine a host: what is wrong with it, and what to do", ("keys",)),
    "world": Command("world", "a scenario as a Gazebo world"),
    "city": Command("city", "a scenario of a real city's building footprints", ("city", "figures")),
    "bench": Command("bench", "benchmarks beside their baselines", ("bench",), ros=True, by_name=BENCHMARKS),
    "test": Command("test", "all tests", TESTED, ros=True),
}
