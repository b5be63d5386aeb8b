"""The table of `uavtwin` commands. Standard library only: `./uavtwin` reads it before anything is installed."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from uav_twin_migration.errors import UavTwinError

ROS = "ros"  # among what a part of a command needs: the built ROS 2 package
NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Command(NamedTuple):
    """One sub-command: ``uav_twin_migration.cli.<module>`` has ``add_arguments(parser)`` and ``run(args) -> int``.

    The module imports only the standard library until it runs, so that help and errors need nothing installed.
    """

    module: str
    help: str
    requirements: tuple[str, ...] = ()  # groups of setup.py's REQUIREMENTS besides "core"
    ros: bool = False  # needs the built ROS 2 package
    by_name: Mapping[str, tuple[str, ...]] = NOTHING  # further groups by the parts in `args.names`; all, if none
    by_option: Mapping[str, tuple[str, ...]] = NOTHING  # further groups by an option ("train") or value ("world=px4")
    without_ros: tuple[str, ...] = ()  # options with which it needs no ROS
    with_ros: tuple[str, ...] = ()  # options with which it does need ROS

    def groups(self, args: argparse.Namespace) -> tuple[str, ...]:
        """The groups of requirements that it needs with these arguments."""
        parts = getattr(args, "names", None) or list(self.by_name)
        further = [group for part in parts for group in self.by_name.get(part, ())]
        further += [group for option, groups in self.by_option.items() if is_given(args, option) for group in groups]
        return (*self.requirements, *(group for group in dict.fromkeys(further) if group != ROS))

    def needs_ros(self, args: argparse.Namespace) -> bool:
        """Whether it needs the built ROS 2 package with these arguments."""
        parts = getattr(args, "names", None) or list(self.by_name)
        if any(is_given(args, option) for option in self.with_ros) or any(
            ROS in self.by_name.get(part, ()) for part in parts
        ):
            return True
        return self.ros and not any(is_given(args, option) for option in self.without_ros)


def is_given(args: argparse.Namespace, option: str) -> bool:
    """Whether an option is set ("train"), or has a value ("world=px4") or one of its kind ("footprints=*.parquet")."""
    name, _, value = option.partition("=")
    found = getattr(args, name, None)
    return fnmatchcase(str(found), value) if value else bool(found)


def needed(name: str, args: argparse.Namespace) -> tuple[tuple[str, ...], bool]:
    """What a command needs with these arguments: groups of requirements, and whether the built ROS 2 package."""
    return COMMANDS[name].groups(args), COMMANDS[name].needs_ros(args)


SIM_HELP = "run the whole system: real ROS 2 processes, or --virtual in one without ROS"
SIM_OPTIONS = {
    "record": ("recording",),
    "train": ("learning",),
    "view": ("view",),
    "foxglove": ("foxglove",),
    "keys": ("keys",),
    "world=px4": ("px4",),
}


class Part(NamedTuple):
    """A benchmark or a group of figures: a file of its own, which says what it is and what it needs."""

    summary: str
    needs: tuple[str, ...]


def parts(room: str) -> dict[str, Part]:
    """The parts of a command by name: the files of ``studies/<room>`` that have a SUMMARY and NEEDS, a line each."""
    found = {}
    for file in sorted((Path(__file__).parents[1] / "studies" / room).glob("*.py")):
        said = dict(re.findall(r"^(SUMMARY|NEEDS) = ([\"(].*[\")])", file.read_text(encoding="utf-8"), re.MULTILINE))
        if said:
            found[file.stem] = Part(ast.literal_eval(said["SUMMARY"]), ast.literal_eval(said["NEEDS"]))
    return found


BENCHMARKS, FIGURES = parts("benchmarks"), parts("figures")


def require_studies(found: Mapping[str, Part]) -> None:
    """Raises UavTwinError where the studies are not installed, as on an RSU's host."""
    if not found:
        raise UavTwinError("the studies are not installed here: build the package with --cmake-args -DSTUDIES=ON")


def needs(found: Mapping[str, Part]) -> Mapping[str, tuple[str, ...]]:
    """The groups that each part needs, ROS among them."""
    return {name: part.needs for name, part in found.items()}


SCENARIOS = {"verb=draw": ("figures",), "figure": ("figures",), "flights=*.ulg*": ("ulog",)}
PARQUET = {"footprints=*parquet": ("parquet",), "streets=*parquet": ("parquet",)}  # also .geoparquet
MARKETS = {"markets=*.parquet": ("parquet",), "json=*.parquet": ("parquet",)}
SWEEPS = {"runs=train": ("learning", "recording"), "ray": ("ray",)}
TESTED = (
    "docs",
    "figures",
    "markets",
    "bench",
    "city",
    "parquet",
    "ulog",
    "keys",
    "metrics",
    "learning",
    "environment",
    "test",
    "px4",
    "recording",
    "view",
    "foxglove",
)
VIEW = ("recording", "view")

COMMANDS: dict[str, Command] = {
    "sim": Command("sim", SIM_HELP, ros=True, by_option=SIM_OPTIONS, without_ros=("virtual",)),
    "solve": Command("solve", "equilibrium of one market or of many", ("markets",), by_option=MARKETS),
    "respond": Command("respond", "the followers' answer to given prices", ("markets",), by_option=MARKETS),
    "train": Command("train", "train and prune a pricing policy", ("learning", "recording")),
    "evaluate": Command("evaluate", "a policy beside the equilibrium", ("markets",), by_option=MARKETS),
    "figures": Command("figures", "the paper's studies as PNG and CSV", ("figures",), by_name=needs(FIGURES)),
    "keys": Command("keys", "a local authority, and a key pair for each RSU", ("keys",)),
    "twins": Command("twins", "list and verify the twins in an RSU's store"),
    "ledger": Command("ledger", "what RSUs sold and UAVs got, verified and compared", ("keys", "recording")),
    "bag": Command("bag", "what a recording holds; repairs truncated recordings", ("recording",)),
    "export": Command(
        "export", "a recording as tidy CSV or Parquet", ("recording",), by_option={"parquet": ("parquet",)}
    ),
    "rsu": Command(
        "rsu",
        "set an RSU's host up, run its RSU, and look after it",
        ("keys",),
        ros=True,
        by_option={"metrics": ("metrics",), "verb=metrics": ("metrics",)},
    ),
    "doctor": Command("doctor", "examine a host: what is wrong with it, and what to do", ("keys",)),
    "view": Command("view", "look at a city in a browser: recorded, two, or live", VIEW, with_ros=("live",)),
    "compare": Command("compare", "two runs or policies side by side: who is better off", ("recording",)),
    "sweep": Command(
        "sweep", "a command over settings, plug-ins and seeds", ("figures",), by_option=SWEEPS, with_ros=("runs=sim",)
    ),
    "plugins": Command("plugins", "what can be brought in place of a part, and what is found"),
    "world": Command("world", "a scenario as a Gazebo world"),
    "scenario": Command("scenario", "make one of a size, examine one, draw one", by_option=SCENARIOS),
    "city": Command("city", "a scenario of a real city's building footprints", ("city", "figures"), by_option=PARQUET),
    "radiomap": Command(
        "radiomap", "a city's radio map, traced by rays", ("raytracing",), by_option={"figure": ("figures",)}
    ),
    "bench": Command("bench", "benchmarks beside their baselines", ("bench",), by_name=needs(BENCHMARKS)),
    "test": Command("test", "all tests", TESTED, ros=True),
}

# what is imported under another name than it is installed, or by a group that another brings
IMPORTED_FROM = {"yaml": "core", "numpy": "core", "rich": "core", "transforms3d": "core"}
IMPORTED_FROM |= {
    "torch": "learning",
    "tensorboard": "learning",
    "zstandard": "recording",
    "mcap": "recording",
    "rosbags": "recording",
}
IMPORTED_FROM |= {"nacl": "keys", "cryptography": "keys", "matplotlib": "figures", "scipy": "figures"}
IMPORTED_FROM |= {
    "pyogrio": "city",
    "pyarrow": "parquet",
    "pyulog": "ulog",
    "shapely": "city",
    "pyproj": "city",
    "pymavlink": "px4",
}
IMPORTED_FROM |= {"sionna": "raytracing", "mitsuba": "raytracing"}
IMPORTED_FROM |= {"aiohttp": "view", "foxglove": "foxglove", "playwright": "test"}
IMPORTED_FROM |= {"prometheus_client": "metrics", "numba": "bench", "psutil": "bench"}
IMPORTED_FROM |= {"gymnasium": "environment", "pettingzoo": "environment"}
IMPORTED_FROM |= {"stable_baselines3": "libraries", "tensordict": "libraries", "torchrl": "libraries"}


NAMED_OTHERWISE = {"foxglove": "foxglove-sdk", "nacl": "PyNaCl", "sionna": "sionna-rt", "yaml": "PyYAML"}  # on PyPI


def missing_group(module: str) -> str | None:
    """The group of requirements that brings a module which is not installed; None where it is none of them."""
    return IMPORTED_FROM.get(module.partition(".")[0])


def missing_libraries(group: str) -> list[str]:
    """What of a group is not installed, by its names on PyPI."""
    modules = [module for module, brought_by in IMPORTED_FROM.items() if brought_by == group]
    return [NAMED_OTHERWISE.get(module, module) for module in modules if importlib.util.find_spec(module) is None]
