"""How a simulation is run: the one table of what `uavtwin sim` and the launch files can be told.

A name here is an option of the command line (``--real-time-factor``) and an argument of sim.launch.py
(``real_time_factor:=``), with the same values and the same default. Standard library only.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from uav_twin_migration.errors import InputError

WORLDS = ("embedded", "gazebo", "px4")
COMPOSITIONS = ("auto", "processes", "composed", "uav_container")
YES, NO = ("true", "1"), ("false", "0")
POLICIES = (
    "default (the shipped policy), none (a rule), untrained, or a policy's file; empty: default, or what train wants"
)


class Option(NamedTuple):
    """One of them. Its type is its default's; low and high bound a number."""

    name: str
    default: bool | int | float | str
    help: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    metavar: str = ""

    @property
    def expected(self) -> str:
        """What a value must be, for errors."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, str):
            return "text"
        return f"a {'whole ' if isinstance(self.default, int) else ''}number from {self.low:g} to {self.high:g}"

    def read(self, text: str) -> bool | int | float | str:
        """A value as it is typed. Raises ValueError where it is none."""
        if self.choices:
            if text not in self.choices:
                raise ValueError(text)
            return text
        if isinstance(self.default, bool):
            if text.lower() not in (*YES, *NO):
                raise ValueError(text)
            return text.lower() in YES
        if isinstance(self.default, str):
            return text
        value = type(self.default)(text)
        if not self.low <= value <= self.high:
            raise ValueError(text)
        return value


SCENARIO = Option("scenario", "default", "scenario file, or the name of a shipped one: default, small, large")
SIM = (
    Option("world", "embedded", "who flies the UAVs", choices=WORLDS),
    Option("gui", True, "show Gazebo's window"),
    Option("px4_dir", "", "PX4 SITL build folder to start the drones from; empty: PX4 runs already", metavar="DIR"),
    Option(
        "px4_link", "mavlink", "how to speak with PX4: dds needs px4_msgs and the agent", choices=("mavlink", "dds")
    ),
    Option(
        "real_time_factor", 1.0, "simulated seconds per second, of the embedded world", low=1e-3, high=1e3, metavar="X"
    ),
    Option(
        "compose",
        "auto",
        "processes (one a node), composed (several nodes in each), uav_container (many UAVs a node), or auto: by size",
        choices=COMPOSITIONS,
    ),
    Option("duration", 0.0, "simulated seconds to run, 0: until it is stopped", high=1e9, metavar="S"),
    Option("policy", "", f"what RSUs price with at first: {POLICIES}", metavar="P"),
    Option(
        "exploration",
        -1.0,
        "noise on the RSUs' actions, -1: what training asks for",
        low=-1.0,
        high=10.0,
        metavar="STD",
    ),
    Option("record", "", "record all topics to this new folder", metavar="DIR"),
    Option("train", False, "start untrained, and learn while it runs"),
    Option("learned", "", "with train: file for the newest policy", metavar="FILE"),
    Option("seed", 0, "seed of everything random", high=2**31 - 1, metavar="N"),
    Option("twins", True, "host the UAVs' digital twins and move them"),
    Option(
        "twin_stores",
        "",
        "folder in which RSUs keep twins, for the next run, too; empty: it goes with the run",
        metavar="DIR",
    ),
    Option("ledgers", "", "folder in which RSUs and UAVs keep what was sold and got; empty: none", metavar="DIR"),
    Option(
        "keys",
        "",
        "folder of the RSUs' keys, made by uavtwin keys: twins move over TLS; empty: plain TCP on loopback",
        metavar="DIR",
    ),
    Option("hosts", "", "hosts.yaml of a simulation on several hosts; each starts its share", metavar="FILE"),
    Option("host", "", "with hosts: the name of this one", metavar="NAME"),
    Option("localhost_only", True, "keep to this machine; false: as ROS's environment variables say"),
    Option("namespace", "", "ROS namespace to move every node and topic into", metavar="NS"),
    Option("view", False, "serve a page to watch the city on, and print its address"),
    Option("view_port", 0, "TCP port of that page, 0: any that is free", high=65535, metavar="PORT"),
    Option("view_address", "127.0.0.1", "address to serve it at; any but loopback takes a token", metavar="IP"),
    Option("view_token", "", "secret that viewers of the page need", metavar="TOKEN"),
    Option("foxglove", 0, "TCP port that Foxglove can connect to, such as 8765; 0: none", high=65535, metavar="PORT"),
    Option("json", "", "file for the summary as JSON; - for standard output", metavar="FILE"),
    Option("plain", False, "lines instead of a live table"),
    Option("verbose", False, "all figures at the end instead of a summary in words"),
)


@dataclass(frozen=True)
class Options:
    """How a scenario is run; each field is documented in `SIM`, above."""

    world: str = "embedded"
    real_time_factor: float = 1.0
    compose: str = "auto"
    seed: int = 0
    gui: bool = True
    px4_dir: str = ""
    px4_link: str = "mavlink"
    policy: str = ""
    record: str = ""
    train: bool = False
    learned: str = ""
    exploration: float = -1.0
    twin_stores: str = ""  # folder of the RSUs' stores; empty: there are no twins, only the market
    ledgers: str = ""  # folder of the RSUs' and UAVs' ledgers; empty: they keep none
    keys: str = ""
    duration: float = 0.0
    view: bool = False
    view_port: int = 0
    view_address: str = "127.0.0.1"
    view_token: str = ""
    foxglove: int = 0
    json: str = ""
    plain: bool = False
    verbose: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any], twin_stores: str) -> Options:
        """From values by name; `twin_stores` is where twins are kept, empty where none are wanted."""
        given = {name: values[name] for name in cls.__dataclass_fields__ if name != "twin_stores"}
        return cls(**given, twin_stores=twin_stores)

    def ledger(self, name: str) -> dict[str, Any]:
        """Parameters of a node that say where it keeps its ledger."""
        return {"ledger": str(Path(self.ledgers).absolute() / f"{name}.ledger")} if self.ledgers else {}

    @property
    def pricing(self) -> dict[str, Any]:
        """RSU parameters that say how it chooses prices."""
        exploration = self.exploration if self.exploration >= 0.0 or self.train else 0.0
        return {"policy": self.policy or ("untrained" if self.train else "default"), "exploration": exploration}

    @property
    def simulated_time(self) -> bool:
        """Whether the world has a clock of its own; PX4 flies in ours."""
        return self.world != "px4"


STANDARD = Options()


def add_to_parser(parser: argparse.ArgumentParser, options: Sequence[Option]) -> None:
    """Options for a command line."""
    for option in options:
        flag = "--" + option.name.replace("_", "-")
        if isinstance(option.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=option.default, help=option.help)
            continue
        shown = f" ({option.default})" if option.default != "" else ""
        parser.add_argument(
            flag,
            type=str if option.choices else argument_type(option),
            choices=option.choices or None,
            default=option.default,
            metavar=option.metavar or None,
            help=option.help.replace("%", "%%") + shown,
        )


def argument_type(option: Option) -> Any:
    """A type for argparse that says what was expected."""

    def read(text: str) -> Any:
        try:
            return option.read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"got {text!r}, expected {option.expected}") from None

    return read


def read_all(options: Sequence[Option], values: Mapping[str, str]) -> dict[str, Any]:
    """Typed values of launch arguments. Raises InputError that names the first wrong one."""
    found = {}
    for option in options:
        try:
            found[option.name] = option.read(values[option.name])
        except ValueError:
            raise InputError("launch argument", option.name, values[option.name], option.expected) from None
    return found


def check(values: Mapping[str, Any]) -> None:
    """What no single value shows. Raises InputError."""
    if values["learned"] and not values["train"]:
        raise InputError("options", "learned", values["learned"], "nothing: learned needs train")
    if bool(values["hosts"]) != bool(values["host"]):
        lacking = "host" if values["hosts"] else "hosts"
        raise InputError("options", lacking, "", "both or none: hosts, a file, and host, the name of this one in it")
    if values["hosts"] and values["world"] != "embedded":
        raise InputError("options", "hosts", values["hosts"], "the embedded world: it is the clock of all hosts")
    if values["world"] != "embedded" and values["real_time_factor"] != 1.0:
        expected = f"1, the world {values['world']!r} runs in real time"
        raise InputError("options", "real_time_factor", values["real_time_factor"], expected)
    if values["twin_stores"] and not values["twins"]:
        raise InputError("options", "twin_stores", values["twin_stores"], "nothing where twins are off")
