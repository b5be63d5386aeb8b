"""Starts Gazebo with a scenario's world and, for Gazebo Sim, the bridge to ROS. Both end with this node.

Gazebo Sim (Harmonic with ROS 2 Jazzy, Fortress with Humble) is taken where ros_gz_bridge is installed, else Gazebo
Classic where gazebo_ros is. docs/gazebo.md says how to install them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from uav_twin_migration.deployment import topics
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.nodes.ros import children
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import steady_timer
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.sdf import CLOCK, Gazebo, bridge_yaml, world_sdf
from uav_twin_migration.scenario.settings import parameter

CHOICES = ("auto", "sim", "classic")
NEEDED: dict[Gazebo, str] = {"sim": "ros_gz_bridge", "classic": "gazebo_ros"}  # the ROS package that speaks with each
CLASSIC_CLOCK = 20  # Hz

PARAMETERS = (
    parameter("scenario", str, "scenario file, or the name of a shipped one"),
    parameter("gazebo", "auto", "which Gazebo: auto, sim or classic"),
    parameter("gui", True, "show a window"),
)


class Program(NamedTuple):
    """A program to start, and the file that its output goes to."""

    command: Sequence[str]
    log: str


def choose(wanted: str) -> Gazebo:
    """Which Gazebo to start. Raises InputError where it is not installed."""
    options: Sequence[Gazebo] = [name for name in NEEDED if wanted in ("auto", name)]
    for name in options:
        if _installed(NEEDED[name]):
            return name
    packages = " or ".join(NEEDED[name] for name in options or NEEDED)
    raise InputError("options", "gazebo", wanted, f"one of {', '.join(CHOICES)}, with {packages} installed")


def has_harmonic() -> bool:
    """Whether Humble has Harmonic beside it instead of Fortress, its own; where it has both, GZ_VERSION says."""
    chosen = os.environ.get("GZ_VERSION")
    return chosen == "harmonic" if chosen else shutil.which("ign") is None and shutil.which("gz") is not None


def _installed(package: str) -> bool:
    try:
        get_package_prefix(package)
    except (PackageNotFoundError, ValueError):
        return False
    return True


def programs(gazebo: Gazebo, scenario: Scenario, folder: Path, *, gui: bool, distribution: str) -> list[Program]:
    """What to start; the world, and the bridge's configuration, are written to `folder`.

    Args:
        gazebo: which Gazebo.
        scenario: what it simulates.
        folder: for the files.
        gui: whether to show a window.
        distribution: the ROS 2 distribution's name, on which Gazebo Sim's own name depends.
    """
    if gazebo == "classic":
        world = folder / "scenario.world"
        world.write_text(world_sdf(scenario, "classic"), encoding="utf-8")
        ros = ["-s", "libgazebo_ros_init.so", "-s", "libgazebo_ros_factory.so"]
        # spelt out: gzserver takes -p for --play and -r for --record, and would open a log instead of the world
        clock = ["--ros-args", "--param", f"publish_rate:={CLASSIC_CLOCK}.0", "--remap", f"{topics.CLOCK}:={CLOCK}"]
        server = Program(["gzserver", *ros, str(world), *clock], "gzserver.log")
        return [server, Program(["gzclient"], "gzclient.log")] if gui else [server]
    fortress = distribution == "humble" and not has_harmonic()
    world, bridge = folder / "scenario.sdf", folder / "bridge.yaml"
    world.write_text(world_sdf(scenario, "sim"), encoding="utf-8")
    bridge.write_text(bridge_yaml(scenario, "ignition" if fortress else "gz"), encoding="utf-8")
    simulator = ["ign", "gazebo"] if fortress else ["gz", "sim"]
    node = ["ros2", "run", "ros_gz_bridge", "parameter_bridge", "--ros-args", "-p", f"config_file:={bridge}"]
    view = [] if gui else ["-s"]
    return [Program([*simulator, "-r", *view, str(world)], "gazebo.log"), Program(node, "bridge.log")]


class GazeboNode(Guarded):
    """Keeps Gazebo running as long as it lives itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__("gazebo", **options)
        values = declare(self, PARAMETERS)
        scenario = load(values["scenario"])
        gazebo = choose(values["gazebo"])
        self._folder = Path(tempfile.mkdtemp(prefix=f"gazebo_{scenario.name[:20].replace('/', '_')}_"))
        distribution = os.environ.get("ROS_DISTRO", "")
        wanted = programs(gazebo, scenario, self._folder, gui=values["gui"], distribution=distribution)
        self._running: list[subprocess.Popen[bytes]] = []
        self._programs = wanted
        for program in wanted:
            try:
                self._running.append(children.start(program.command, self._folder, program.log))
            except OSError as error:
                children.stop(self._running)
                raise UavTwinError(f"cannot start {program.command[0]}: {error.strerror}") from None
        self.get_logger().info(f"Gazebo runs; its world and its output are in {self._folder}")
        steady_timer(self, 1.0, self._look)

    def _look(self) -> None:
        """End, loudly, when one of them has."""
        for program, running in zip(self._programs, self._running, strict=True):
            if running.poll() is not None:
                text = (self._folder / program.log).read_text(errors="replace")
                tail = "\n".join(text.splitlines()[-10:])
                raise UavTwinError(f"{program.command[0]} ended with exit code {running.returncode}:\n{tail}")

    def destroy_node(self) -> None:
        """Also ends Gazebo and the bridge."""
        children.stop(self._running)
        super().destroy_node()


def main() -> int:
    """``ros2 run uav_twin_migration gazebo``."""
    return run(lambda: [GazeboNode()])
