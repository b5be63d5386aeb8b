"""The launch files under the real `ros2 launch`, and an ordinary colcon build, wherever these are installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from test.cli.test_sim import lines_until, members, running
from test.ros.conftest import PATIENCE, Probe, Processes

CHECKOUT = Path(__file__).resolve().parents[2]
HAS_LAUNCH = importlib.util.find_spec("ros2launch") is not None
ROS2 = [sys.executable, "-c", "import sys; from ros2cli.cli import main; sys.exit(main())"]


def launch(processes: Processes, *arguments: str) -> subprocess.Popen[str]:
    return processes.run([*ROS2, "launch", "uav_twin_migration", *arguments], cwd="/")


@pytest.mark.skipif(not HAS_LAUNCH, reason="needs ros2launch, of a ROS 2 distribution")
@pytest.mark.parametrize("compose", ["processes", "uav_container"])
def test_sim_launch_runs_to_its_end(processes: Processes, compose: str) -> None:
    process = launch(processes, "sim.launch.py", "scenario:=small", "duration:=4.0", f"compose:={compose}")
    out, errors = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 0, errors
    assert "price gap to equilibrium" in out
    assert "first grant" in out


@pytest.mark.skipif(not HAS_LAUNCH, reason="needs ros2launch, of a ROS 2 distribution")
def test_single_rsu_and_uav_launch(processes: Processes, probe: Probe) -> None:
    rsu = launch(processes, "rsu.launch.py", "rsu_id:=rsu_1", "scenario:=small")
    uav = launch(processes, "uav.launch.py", "uav_id:=uav_1", "scenario:=small")
    probe.wait_for(lambda: {"rsu/rsu_1", "uav/uav_1"} <= probe.diagnostics.keys(), "a sign of life of both")
    for process in (rsu, uav):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0


@pytest.mark.skipif(not HAS_LAUNCH, reason="needs ros2launch, of a ROS 2 distribution")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sim.launch.py", "twins:=yes"), "twins"),
        (("sim.launch.py", "seed:=abc"), "seed: got 'abc', expected a whole number"),
        (("sim.launch.py", "duration:=-5"), "duration: got '-5', expected a number from 0"),
        (("sim.launch.py", "world:=mars"), "world"),
        (("sim.launch.py", "policy:=wrong.st"), "wrong.st"),
        (("sim.launch.py", "scenario:=nowhere"), "nowhere"),
        (("rsu.launch.py", "rsu_id:=rsu_1", "use_sim_time:=yes"), "use_sim_time"),
        (("rsu.launch.py",), "rsu_id"),
        (("uav.launch.py", "uav_id:=uav_9", "scenario:=small"), "one of uav_1, uav_2"),
        (("px4.launch.py", "vehicles:=99"), "vehicles: got 99"),
    ],
)
def test_what_launch_cannot_use_is_refused_before_anything_starts(
    processes: Processes, arguments: tuple[str, ...], said: str
) -> None:
    process = launch(processes, *arguments)
    out, errors = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 1
    assert said in out + errors
    assert "process started" not in out + errors


@pytest.mark.skipif(not HAS_LAUNCH, reason="needs ros2launch, of a ROS 2 distribution")
def test_a_node_that_refuses_its_parameters_ends_the_launch(processes: Processes, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("/**:\n  ros__parameters: {capacity: -1.0}\n")
    process = launch(processes, "rsu.launch.py", "rsu_id:=rsu_1", "scenario:=small", f"params_file:={file}")
    out, errors = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 1
    assert "capacity" in out + errors
    assert (out + errors).count("process started") == 1


@pytest.mark.skipif(not HAS_LAUNCH, reason="needs ros2launch, of a ROS 2 distribution")
def test_nothing_outlives_a_launch_that_is_told_to_end(processes: Processes) -> None:
    process = launch(processes, "sim.launch.py", "scenario:=small")
    list(lines_until(process, "first grant"))
    pids = members(process.pid)
    assert len(pids) == 7
    process.send_signal(signal.SIGTERM)  # which upstream's launch does not pass on
    process.communicate(timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while running(pids) and time.monotonic() < deadline:
        os.sched_yield()
    assert running(pids) == []


@pytest.mark.skipif(not HAS_LAUNCH, reason="needs ros2launch, of a ROS 2 distribution")
@pytest.mark.parametrize("compose", ["processes", "composed"])
def test_launch_and_command_line_give_the_same_graph(processes: Processes, probe: Probe, compose: str) -> None:
    program = [sys.executable, "-m", "uav_twin_migration.cli", "sim", "small", "--compose", compose, "--plain"]
    graphs = []
    for start in (
        lambda: processes.run(program),
        lambda: launch(processes, "sim.launch.py", "scenario:=small", f"compose:={compose}", "plain:=true"),
    ):
        process = start()
        list(lines_until(process, "first full round"))
        graphs.append(settled_graph(probe, 7))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        probe.wait_for(lambda: len(probe.get_node_names()) == 1, "an empty graph")
    assert graphs[0] == graphs[1]


@pytest.mark.skipif(not HAS_LAUNCH, reason="needs ros2launch, of a ROS 2 distribution")
def test_a_namespace_moves_everything_and_remaps_reach_every_node(processes: Processes, probe: Probe) -> None:
    process = launch(processes, "sim.launch.py", "scenario:=small", "compose:=composed", "namespace:=city")
    list(lines_until(process, "first full round"))
    nodes, topics = settled_graph(probe, 7)
    assert {name for name in nodes if not name.startswith("/city/")} == set()
    ours = {name for name, _ in topics if name.startswith(("/market", "/twin", "/radio", "/rsu", "/uav"))}
    assert ours == set()
    assert ("/city/market/price_offers", ("uav_twin_migration/msg/PriceOffer",)) in topics


def settled_graph(probe: Probe, nodes: int) -> tuple[set[str], set[tuple[str, tuple[str, ...]]]]:
    """The graph when that many nodes are in it and twenty looks have shown the same."""
    looks = [graph(probe)]

    def settled() -> bool:
        looks.append(graph(probe))
        return len(looks[-1][0]) == nodes and all(look == looks[-1] for look in looks[-20:])

    probe.wait_for(settled, f"a graph of {nodes} nodes")
    return looks[-1]


def graph(probe: Probe) -> tuple[set[str], set[tuple[str, tuple[str, ...]]]]:
    """Names of nodes, and of topics with their types, but for the probe's own."""
    nodes = {f"{space.rstrip('/')}/{name}" for name, space in probe.get_node_names_and_namespaces()} - {"/probe"}
    own = {name for name, _ in probe.get_publisher_names_and_types_by_node("probe", "/")}
    own |= {name for name, _ in probe.get_subscriber_names_and_types_by_node("probe", "/")}
    spoken = {
        (name, tuple(kinds))
        for name, kinds in probe.get_topic_names_and_types()
        if name not in own or any(info.node_name != "probe" for info in probe.get_publishers_info_by_topic(name))
    }
    return {name for name in nodes if "launch_ros" not in name}, spoken


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("colcon") is None, reason="needs colcon")
@pytest.mark.parametrize("further", [[], ["--symlink-install"]])
def test_colcon_builds_the_package_in_a_workspace(tmp_path: Path, further: list[str]) -> None:
    source = tmp_path / "src" / "uav_twin_migration"
    shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    command = [
        "colcon",
        "build",
        *further,
        "--cmake-args",
        "-DBUILD_TESTING=OFF",
        f"-DPython3_EXECUTABLE={sys.executable}",
    ]
    if (Path(sys.prefix) / "share" / "rclpy").is_dir():  # ROS 2 from wheels
        wheels = CHECKOUT / "uav_twin_migration" / "cli" / "wheels.cmake"
        command.append(f"-DCMAKE_PROJECT_INCLUDE={wheels}")
    env = {key: value for key, value in os.environ.items() if key not in ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH")}
    prefixes = [
        path
        for path in os.environ["AMENT_PREFIX_PATH"].split(os.pathsep)
        if not (Path(path) / "share" / "uav_twin_migration").exists()  # not on top of itself
    ]
    env["AMENT_PREFIX_PATH"] = env["CMAKE_PREFIX_PATH"] = os.pathsep.join(prefixes)
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    installed = tmp_path / "install" / "uav_twin_migration"
    program = installed / "lib" / "uav_twin_migration" / "uavtwin"
    assert os.access(program, os.X_OK)
    share = installed / "share" / "uav_twin_migration"
    for file in ("launch/sim.launch.py", "config/scenarios/default.yaml", "msg/PriceOffer.msg", "package.xml"):
        assert (share / file).is_file()
    if not further:
        without_studies(tmp_path / "build" / "uav_twin_migration", tmp_path / "rsu", env)


def without_studies(build: Path, prefix: Path, env: dict[str, str]) -> None:
    """What an RSU's host installs of a build: all but the studies, and a command that needs them says so."""
    subprocess.run(["cmake", "-DSTUDIES=OFF", build], env=env, check=True, capture_output=True)
    subprocess.run(["cmake", "--install", build, "--prefix", prefix], env=env, check=True, capture_output=True)
    (package,) = {file.parent for file in prefix.rglob("uav_twin_migration/shipped.py")}
    assert not (package / "studies").exists()
    assert not (package / "twin" / "verification").exists()
    assert not (package / "nodes" / "attacker.py").exists()
    command = [sys.executable, "-m", "uav_twin_migration.cli"]
    alone = {**env, "PYTHONPATH": str(package.parent)}
    told = subprocess.run([*command, "bench"], env=alone, cwd=prefix, capture_output=True, text=True)
    assert (told.returncode, len(told.stderr.splitlines())) == (1, 1)
    assert "-DSTUDIES=ON" in told.stderr
    assert subprocess.run([*command, "solve", "--help"], env=alone, cwd=prefix, capture_output=True).returncode == 0
