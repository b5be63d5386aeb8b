"""An RSU run as its host runs it: from its directory, watched by systemd, examined by the doctor."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from test.ros.conftest import PATIENCE, Probe, Processes
from uav_twin_migration.cli.main import main
from uav_twin_migration.studies.harnesses.ports import free_port

UAVTWIN = [sys.executable, "-m", "uav_twin_migration.cli"]


@pytest.fixture
def port() -> int:
    """Where the RSU's twins are hosted."""
    return free_port()


@pytest.fixture
def host(tmp_path: Path, domain: int, port: int) -> Path:
    """An RSU's host directory, kept to this machine."""
    directory = tmp_path / "host"
    command = ["rsu", "init", str(directory), "--rsu", "rsu_1", "--scenario", "small", "--domain", str(domain)]
    assert main([*command, "--keys", str(tmp_path / "keys"), "--address", f"127.0.0.1:{port}"]) == 0
    loopback = Path(os.environ["FASTDDS_DEFAULT_PROFILES_FILE"]).read_text()
    (directory / "fastdds.xml").write_text(loopback)
    return directory


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd is to a service: a socket that states are sent to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(PATIENCE)
        yield receiver


def test_systemd_hears_that_it_is_ready_lives_and_stops(
    host: Path, manager: socket.socket, processes: Processes
) -> None:
    environment = os.environ | {"NOTIFY_SOCKET": str(manager.getsockname()), "WATCHDOG_USEC": "400000"}
    process = processes.run([*UAVTWIN, "rsu", "run", str(host)], env=environment)
    assert manager.recv(100) == b"READY=1"
    assert [manager.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    process.send_signal(signal.SIGTERM)
    said = manager.recv(100)
    while said == b"WATCHDOG=1":
        said = manager.recv(100)
    assert said.splitlines()[0] == b"STOPPING=1"
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors


def test_the_doctor_finds_a_running_rsu(host: Path, processes: Processes, probe: Probe) -> None:
    processes.run([*UAVTWIN, "rsu", "run", str(host)])
    probe.wait_for(lambda: "rsu/rsu_1" in probe.diagnostics, "a sign of life")
    doctor = processes.run([*UAVTWIN, "doctor", str(host), "--listen", "6", "--json", "-"])
    out, errors = doctor.communicate(timeout=2 * PATIENCE)
    findings: list[dict[str, Any]] = json.loads(out)["findings"]
    assert doctor.returncode == 0, out + errors
    assert {"check": "running", "status": "ok"}.items() <= next(f for f in findings if f["check"] == "running").items()
    assert all(finding["hint"] for finding in findings if finding["status"] in ("warning", "error"))


def test_a_host_with_bad_parameters_ends_at_once_and_says_why(host: Path, processes: Processes) -> None:
    file = host / "host.yaml"
    file.write_text(file.read_text().replace("capacity: ", "capacity: -"))
    process = processes.run([*UAVTWIN, "rsu", "run", str(host)])
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert f"{file}: parameters.capacity: got -" in errors


def test_what_may_pass_does_not_end_it(host: Path, port: int, processes: Processes, probe: Probe) -> None:
    """A port that somebody else has: it sells without twins, says so, and hosts them once the port is free."""

    def trouble() -> str:
        return probe.diagnostics.get("rsu/rsu_1", {}).get("trouble", "")

    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        process = processes.run([*UAVTWIN, "rsu", "run", str(host)])
        probe.wait_for(lambda: "cannot listen" in trouble(), "word that it hosts no twins")
        probe.wait_for(lambda: probe.offers, "offers all the same")
    probe.wait_for(lambda: "twins" in probe.diagnostics["rsu/rsu_1"], "twins, once the port is free")
    assert not trouble()
    assert process.poll() is None


def test_it_logs_json_where_its_host_says_so(host: Path, processes: Processes) -> None:
    file = host / "host.yaml"
    file.write_text(file.read_text().replace("log: text", "log: json"))
    process = processes.run([*UAVTWIN, "rsu", "run", str(host)])
    assert process.stdout is not None
    for text in process.stdout:  # each of its lines is JSON
        line = json.loads(text)
        if line["message"].startswith("RSU rsu_1 sells up to"):
            break
    assert (line["level"], line["node"]) == ("info", "rsu.rsu_1.rsu")
