"""The launch files under the real `ros2 launch`, and an ordinary colcon build, wherever these are installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from test.ros.conftest import Probe, Processes

CHECKOUT = Path(__file__).resolve().parents[2]
HAS_LAUNCH = importlib.util.find_spec("ros2launch") is not None
ROS2 = [sys.executable, "-c", "import sys; from ros2cli.cli import main; sys.exit(main())"]


def launch(processes: Processes, *arguments: str) -> subprocess.Popen[str]:
    return processes.run([*ROS2, "launch", "uav_twin_migration", *arguments], cwd="/")


@pytest.mark.skipif(not HAS_LAUNCH, reason="needs ros2launch, of a ROS 2 distribution")
@pytest.mark.parametrize("compose", ["processes", "uav_container"])
def test_sim_launch_runs_to_its_end(processes: Processes, compose: str) -> None:
    process = launch(processes, "sim.launch.py", "scenario:=small", "duration:=4.0", f"compose:={compose}")
    out, errors = process.communicate(timeout=60)
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
        process.communicate(timeout=30)
        assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("colcon") is None, reason="needs colcon")
def test_colcon_builds_the_package_in_a_workspace(tmp_path: Path) -> None:
    source = tmp_path / "src" / "uav_twin_migration"
    shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    command = ["colcon", "build", "--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={sys.executable}"]
    if ".uavtwin" in sys.prefix:  # ROS 2 from wheels
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
    assert (installed / "lib" / "uav_twin_migration" / "rsu").is_file()
    share = installed / "share" / "uav_twin_migration"
    for file in ("launch/sim.launch.py", "config/scenarios/default.yaml", "msg/PriceOffer.msg", "package.xml"):
        assert (share / file).is_file()
