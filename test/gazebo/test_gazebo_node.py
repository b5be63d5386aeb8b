"""What is started for each Gazebo, and the whole system in a real one where one is installed with ROS 2.

The command lines for Gazebo Sim were read by upstream's own parsers (Fortress 6, Harmonic 8, Ionic 9, Jetty 10) on
2026-11-30.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

import yaml

from test.ros.conftest import PATIENCE, Processes, domain, processes  # noqa: F401  (fixtures)
from test.ros.test_launch import HAS_LAUNCH, launch
from uav_twin_migration.deployment.plan import NodeSpec, ProcessSpec
from uav_twin_migration.errors import InputError
from uav_twin_migration.nodes.gazebo import choose, programs
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.sdf import world_sdf

pytestmark = pytest.mark.ros

SCENARIO = load("small")


@pytest.mark.parametrize(
    ("distribution", "name", "messages"), [("jazzy", "gz sim", "gz"), ("humble", "ign gazebo", "ignition")]
)
def test_gazebo_sim(distribution: str, name: str, messages: str, tmp_path: Path) -> None:
    simulator, bridge = programs("sim", SCENARIO, tmp_path, gui=False, distribution=distribution)
    assert " ".join(simulator.command) == f"{name} -r -s {tmp_path}/scenario.sdf"
    assert (tmp_path / "scenario.sdf").read_text() == world_sdf(SCENARIO, "sim")
    assert bridge.command[:4] == ["ros2", "run", "ros_gz_bridge", "parameter_bridge"]
    assert bridge.command[-1] == f"config_file:={tmp_path}/bridge.yaml"
    kinds = {entry["gz_type_name"].split(".")[0] for entry in yaml.safe_load((tmp_path / "bridge.yaml").read_text())}
    assert kinds == {messages}


@pytest.mark.parametrize(
    ("installed", "version", "name"),
    [
        ({"ign"}, "", "ign"),
        ({"ign", "gz"}, "", "ign"),  # Gazebo Classic has a gz, too
        ({"ign", "gz"}, "harmonic", "gz"),
        ({"gz"}, "", "gz"),
        ({"gz"}, "fortress", "ign"),
    ],
)
def test_humble_may_have_harmonic(
    installed: set[str], version: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GZ_VERSION", version)
    monkeypatch.setattr("shutil.which", lambda program: program if program in installed else None)
    simulator, _ = programs("sim", SCENARIO, tmp_path, gui=False, distribution="humble")
    assert simulator.command[0] == name


def test_gazebo_classic(tmp_path: Path) -> None:
    server, window = programs("classic", SCENARIO, tmp_path, gui=True, distribution="humble")
    assert server.command[0] == "gzserver"
    assert "libgazebo_ros_init.so" in server.command
    assert "/clock:=/gazebo/clock" in server.command
    assert not {"-p", "-r"} & set(server.command)  # gzserver's own, for --play and --record
    assert window.command == ["gzclient"]
    assert (tmp_path / "scenario.world").read_text() == world_sdf(SCENARIO, "classic")


def test_missing_gazebo_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uav_twin_migration.nodes.gazebo._installed", lambda package: False)
    with pytest.raises(InputError, match="ros_gz_bridge or gazebo_ros installed"):
        choose("auto")
    with pytest.raises(InputError, match="one of auto, sim, classic"):
        choose("webots")


def start(processes: Processes, folder: Path, **says: str) -> subprocess.Popen[str]:  # noqa: F811
    """The node with stand-ins for Gazebo and the bridge: shell scripts, of which each runs what is said for it."""
    tools = folder / "bin"
    tools.mkdir()
    for name in ("gz", "ros2"):
        program = tools / name
        program.write_text(f"#!/bin/sh\necho $$ > {folder}/{name}.pid\n{says.get(name, 'exec sleep 1000')}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    prefix = folder / "prefix"
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / "ros_gz_bridge"
    marker.parent.mkdir(parents=True)
    marker.touch()
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "AMENT_PREFIX_PATH": f"{prefix}:{os.environ.get('AMENT_PREFIX_PATH', '')}",
    }
    spec = ProcessSpec("test", (NodeSpec("gazebo", "", {"scenario": "small", "gui": False}),)).to_json()
    command = [
        sys.executable,
        "-m",
        "uav_twin_migration.nodes.start",
        "uav_twin_migration.nodes.component_container:main",
        json.dumps(spec),
    ]
    return processes.run(command, env=environment)


def test_programs_end_with_the_node(processes: Processes, tmp_path: Path) -> None:  # noqa: F811
    """Both run while the node does, and not after, however it ends."""
    node = start(processes, tmp_path)
    assert node.stderr is not None
    for line in node.stderr:
        if "Gazebo runs" in line:
            break
    pids = [_pid(tmp_path / f"{name}.pid") for name in ("gz", "ros2")]
    node.kill()  # not even time to clean up
    node.wait()
    _until(lambda: not any(map(_incarnations, pids)), "they end")


def test_the_node_ends_with_gazebo(processes: Processes, tmp_path: Path) -> None:  # noqa: F811
    """With the exit code that ends a launch, after Gazebo's last words; the bridge ends, too."""
    bridge_runs = f"while ! test -s {tmp_path}/ros2.pid; do sleep 0.05; done"
    node = start(processes, tmp_path, gz=f"{bridge_runs}; echo 'no such world' >&2; exit 3")
    _, errors = node.communicate(timeout=PATIENCE)
    assert node.returncode == 2
    assert "gz ended with exit code 3:\nno such world" in errors
    _until(lambda: not _incarnations(_pid(tmp_path / "ros2.pid")), "the bridge ends")


def _pid(file: Path) -> int:
    _until(lambda: file.exists() and bool(file.read_text().strip()), f"{file.name} starts")
    return int(file.read_text())


def _incarnations(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _until(condition: Callable[[], bool], what: str) -> None:
    """Wait for another process: nothing tells when it is so far."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.skipif(
    not HAS_LAUNCH, reason="WHOLE SYSTEM NOT TESTED IN GAZEBO: needs ros2 launch, of a ROS 2 distribution"
)
def test_whole_system_in_gazebo(processes: Processes) -> None:  # noqa: F811
    """Rounds are held and bandwidth is granted while Gazebo moves the UAVs."""
    try:
        choose("auto")
    except InputError as reason:
        pytest.skip(f"WHOLE SYSTEM NOT TESTED IN GAZEBO: {reason}")
    process = launch(processes, "sim.launch.py", "world:=gazebo", "gui:=false", "scenario:=small", "duration:=30.0")
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    grants = re.search(r"│ grants +│ (\d+)", out)
    assert grants is not None, out
    assert int(grants[1]) > 10
