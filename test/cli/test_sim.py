"""`uavtwin sim` as a person runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.ros.conftest import PATIENCE, Processes, domain, processes  # noqa: F401  (fixtures)

pytestmark = pytest.mark.ros

CHECKOUT = Path(__file__).resolve().parents[2]
SIM = [sys.executable, "-m", "uav_twin_migration.cli", "sim"]
KEYS = {
    "rounds",
    "offers",
    "demands",
    "grants",
    "mean_immersion",
    "price_gap_to_equilibrium",
    "grant_latency_ms",
    "hosting_changes",
}


def members(session: int) -> list[int]:
    """Processes that descend from a session's leader, its children's own sessions included."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, IndexError):
            continue
        if entry.name.isdigit():
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, front = [], [session]
    while front:
        front = [child for parent in front for child in children.get(parent, [])]
        found += front
    return found


def running(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def lines_until(process: subprocess.Popen[str], pattern: str) -> Iterator[str]:
    """Lines of a process's output up to the first that matches."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if re.search(pattern, line):
            return
    raise AssertionError(f"it ended without saying {pattern!r}")


@pytest.mark.parametrize("compose", ["processes", "composed", "uav_container"])
def test_a_simulation_ends_by_itself_with_a_summary(processes: Processes, compose: str) -> None:  # noqa: F811
    # ten seconds of the wall are enough on a slow machine, too
    command = [*SIM, "small", "--duration", "40", "--real-time-factor", "4", "--compose", compose, "--json", "-"]
    process = processes.run(command)
    out, errors = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 0, errors
    summary = json.loads(out)
    assert summary.keys() >= KEYS
    assert summary["rounds"] >= 10
    assert summary["grants"] > 0
    assert summary["mean_immersion"] > 0.0
    assert 0.0 <= summary["price_gap_to_equilibrium"] < 1.0
    assert "price gap to equilibrium" in errors  # people's summary goes to stderr then
    assert running(members(process.pid)) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", [r"Ctrl-C stops", r"first grant"])
def test_a_signal_stops_everything_and_leaves_no_process(
    processes: Processes,  # noqa: F811
    how: signal.Signals,
    when: str,
) -> None:
    process = processes.run([*SIM, "small"])
    list(lines_until(process, when))
    pids = members(process.pid)
    process.send_signal(how)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "summary" in out
    assert running(pids) == []


def test_killing_the_runner_leaves_no_process(processes: Processes) -> None:  # noqa: F811
    process = processes.run([*SIM, "small"])
    list(lines_until(process, "first grant"))
    pids = members(process.pid)
    assert len(pids) == 7
    process.kill()
    process.wait()
    deadline = time.monotonic() + PATIENCE
    while running(pids) and time.monotonic() < deadline:
        os.sched_yield()
    assert running(pids) == []


def test_a_node_that_dies_is_started_again(processes: Processes) -> None:  # noqa: F811
    process = processes.run([*SIM, "small", "--json", "-"])
    assert process.stderr is not None
    errors = iter(process.stderr)
    next(line for line in errors if "first grant" in line)
    victim = next(pid for pid in members(process.pid) if "rsu_" in environment_name(pid))
    os.kill(victim, signal.SIGKILL)
    ended = next(line for line in errors if "has ended" in line)
    assert "rsu_" in ended
    assert "it is restarted in" in ended
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 0


def environment_name(pid: int) -> str:
    """What a process of the runner calls itself."""
    return Path(f"/proc/{pid}/comm").read_text()


def test_two_simulations_in_one_domain_are_refused(processes: Processes) -> None:  # noqa: F811
    first = processes.run([*SIM, "small"])
    list(lines_until(first, "Ctrl-C stops"))
    second = processes.run([*SIM, "small"])
    _, errors = second.communicate(timeout=PATIENCE)
    assert second.returncode == 1
    assert "another simulation runs in ROS domain" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "scenario: name: got 'nowhere'"),
        (["--world", "mars"], "--world: got 'mars', expected one of embedded, gazebo, px4"),
        (["--compose", "heap"], "--compose: got 'heap', expected one of auto, processes, composed, uav_container"),
        (["--duration", "-1"], "--duration: got '-1', expected a number from 0 to 1e+09"),
        (["--real-time-factor", "nan"], "--real-time-factor: got 'nan'"),
        (["--seed", "abc"], "--seed: got 'abc', expected a whole number"),
        (["--policy", "wrong.st"], "wrong.st: file: got 'No such file or directory', expected a readable file"),
        (["--policy", "README.md"], "README.md: "),
        (["--keys", "nowhere"], "keys: got 'nowhere', expected a folder that exists"),
        (["--keys", "docs"], "expected the keys of every RSU: run uavtwin keys docs --rsus rsu_1 ..."),
        (["--learned", "x.safetensors"], "learned needs train"),
        (["--json", "no/such/folder/x.json"], "expected a file in a folder that exists"),
        (["--record", "docs"], "record: got 'docs', expected a folder that does not exist yet"),
        (["--world", "px4", "--real-time-factor", "2"], "real_time_factor: got 2.0, expected 1"),
        (["--namespace", "1st"], "namespace: got '1st', expected ROS names"),
        (["--no-twins", "--twin-stores", "x"], "twin_stores: got 'x', expected nothing where twins are off"),
    ],
)
def test_bad_input_exits_2_with_one_line(arguments: list[str], said: str) -> None:
    result = subprocess.run([*SIM, *arguments], capture_output=True, text=True, cwd=CHECKOUT)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
