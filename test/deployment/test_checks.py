"""What the doctor finds, check by check."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import socket
from pathlib import Path

import pytest

from uav_twin_migration.cli import doctor
from uav_twin_migration.cli.main import parse
from uav_twin_migration.deployment import checks
from uav_twin_migration.deployment.checks import (
    ERROR,
    OK,
    UNKNOWN,
    WARNING,
    Finding,
)
from uav_twin_migration.security.authority import make_keys, make_signing_keys, revoke
from uav_twin_migration.studies.harnesses.ports import free_port
from uav_twin_migration.twin.hosting.store import Store

NOW = datetime.datetime.now(datetime.timezone.utc)


def statuses(findings: list[Finding]) -> list[str]:
    return [finding.status for finding in findings]


@pytest.mark.parametrize(
    ("environment", "rclpy", "status"),
    [
        ({"ROS_DISTRO": "jazzy"}, "rclpy/__init__.py", OK),
        ({"ROS_DISTRO": "dashing"}, "rclpy/__init__.py", WARNING),
        ({"ROS_DISTRO": "jazzy"}, None, ERROR),
        ({}, None, ERROR),
    ],
)
def test_ros(environment: dict[str, str], rclpy: str | None, status: str) -> None:
    (finding,) = checks.check_ros(environment, rclpy)
    assert finding.status == status
    assert bool(finding.hint) == (status != OK)


def test_interfaces() -> None:
    assert statuses(checks.check_interfaces("somewhere")) == [OK]
    assert statuses(checks.check_interfaces(None)) == [ERROR]


def test_middleware(tmp_path: Path) -> None:
    index = tmp_path / "share/ament_index/resource_index/rmw_typesupport"
    index.mkdir(parents=True)
    (index / "rmw_zenoh_cpp").touch()
    installed = checks.installed_middlewares({"AMENT_PREFIX_PATH": f"/nowhere:{tmp_path}"})
    assert installed == ["rmw_zenoh_cpp"]
    assert statuses(checks.check_middleware("rmw_zenoh_cpp", installed)) == [OK]
    (finding,) = checks.check_middleware("rmw_fastrtps_cpp", installed)
    assert finding.status == ERROR
    assert "rmw_zenoh_cpp" in finding.detail
    assert "rmw-fastrtps-cpp" in finding.hint


def test_one_of_two_discovery_servers_is_enough() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        there = ("127.0.0.1", int(server.getsockname()[1]))
        gone = ("127.0.0.1", free_port(socket.SOCK_DGRAM))
        assert statuses(checks.check_discovery([there])) == [OK]
        assert statuses(checks.check_discovery([there, gone])) == [OK, WARNING]
        (finding,) = checks.check_discovery([gone])
        assert finding.status == ERROR
        command = re.search(r"uavtwin (rsu [^(]*) \(", finding.hint)
        assert command, finding.hint
        name, parsed = parse(command[1].split())
        assert (name, parsed.verb, parsed.number, parsed.port) == ("rsu", "discovery", 0, gone[1])
    assert "unknown" in checks.check_discovery([("no-such-host.invalid", 1)])[0].detail
    assert statuses(checks.check_discovery([])) == [OK]
    assert checks.check_discovery([], peers=["10.0.0.2", "10.0.0.3"])[0].detail == (
        "by multicast and of 10.0.0.2, 10.0.0.3, without a server"
    )


def test_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = ("127.0.0.1", int(listener.getsockname()[1]))
        assert statuses(checks.check_port(taken, running=True)) == [OK]
        assert statuses(checks.check_port(taken, running=False)) == [ERROR]
    assert statuses(checks.check_port(taken, running=False)) == [OK]
    assert statuses(checks.check_port(taken, running=True)) == [WARNING]
    assert statuses(checks.check_port(("192.0.2.1", 7447), running=False)) == [ERROR]  # an address for documentation


@pytest.mark.parametrize(("age", "status"), [(0.02, OK), (-4.0, OK), (60.0, WARNING), (-60.0, WARNING), (-1e5, ERROR)])
def test_clock(age: float, status: str) -> None:
    (finding,) = checks.check_clocks({"rsu_2": age}, None)
    assert finding.status == status
    assert "rsu_2" in finding.detail
    assert ("ahead" in finding.detail) == (age > 0)


def test_clock_without_others() -> None:
    assert statuses(checks.check_clocks({}, True)) == [OK]
    assert statuses(checks.check_clocks({}, None)) == [UNKNOWN]
    assert statuses(checks.check_clocks({}, False)) == [WARNING]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A host directory with good keys."""
    pytest.importorskip("cryptography")
    make_keys(tmp_path / "keys", ["rsu_1"])
    (tmp_path / "keys" / "authority.key").unlink()
    (tmp_path / "store").mkdir()
    return tmp_path


def test_good_keys(directory: Path) -> None:
    findings = checks.check_keys(directory, "rsu_1", NOW)
    assert statuses(findings) == [OK, OK]
    assert "82" in findings[1].detail.rpartition(",")[2]  # 825 days, less what has passed


@pytest.mark.parametrize(("days", "status"), [(-1, ERROR), (700, OK), (800, WARNING), (830, ERROR)])
def test_a_certificate_runs_out(directory: Path, days: int, status: str) -> None:
    findings = checks.check_keys(directory, "rsu_1", NOW + datetime.timedelta(days=days))
    assert findings[1].status == status


def test_bad_keys(directory: Path) -> None:
    key = directory / "keys" / "rsu_1.key"
    key.chmod(0o644)
    assert any("can be read by others" in finding.detail for finding in checks.check_keys(directory, "rsu_1", NOW))
    key.write_text("no key")
    key.chmod(0o600)
    assert ERROR in statuses(checks.check_keys(directory, "rsu_1", NOW))
    key.unlink()
    assert ERROR in statuses(checks.check_keys(directory, "rsu_1", NOW))
    (directory / "keys" / "rsu_1.pem").write_text("no certificate")
    assert any("no certificate" in finding.detail for finding in checks.check_keys(directory, "rsu_1", NOW))
    (directory / "keys" / "authority.key").touch()
    assert any("every RSU" in finding.detail for finding in checks.check_keys(directory, "rsu_1", NOW))


def test_keys_of_another_rsu(directory: Path) -> None:
    for kind in ("pem", "key"):
        (directory / "keys" / f"rsu_1.{kind}").rename(directory / "keys" / f"rsu_2.{kind}")
    assert any("not 'rsu_2'" in finding.detail for finding in checks.check_keys(directory, "rsu_2", NOW))


@pytest.mark.parametrize(("days", "status"), [(0, OK), (800, WARNING), (830, ERROR)])
def test_a_signing_key_runs_out(tmp_path: Path, days: int, status: str) -> None:
    pytest.importorskip("nacl")
    make_signing_keys(tmp_path / "keys", ["rsu_1"])
    assert statuses(checks.check_signing_key(tmp_path, "rsu_1", NOW + datetime.timedelta(days=days))) == [status]
    assert statuses(checks.check_signing_key(tmp_path, "rsu_2", NOW)) == [ERROR]


def test_a_revoked_signature(tmp_path: Path) -> None:
    pytest.importorskip("nacl")
    make_signing_keys(tmp_path / "keys", ["rsu_1", "rsu_2"])
    own = (tmp_path / "keys" / "rsu_1.signing").read_bytes()
    revoke(tmp_path / "keys", ["rsu_1"])
    (tmp_path / "keys" / "rsu_1.signing").write_bytes(own)
    assert statuses(checks.check_signing_key(tmp_path, "rsu_1", NOW)) == [ERROR, OK]
    assert "list 1 of revoked keys" in checks.check_signing_key(tmp_path, "rsu_2", NOW)[1].detail
    (tmp_path / "keys" / "revoked").write_text("nobody signed this")
    assert statuses(checks.check_signing_key(tmp_path, "rsu_2", NOW)) == [ERROR]


def test_a_signing_key_of_another_authority(tmp_path: Path) -> None:
    pytest.importorskip("nacl")
    for folder in ("keys", "others"):
        make_signing_keys(tmp_path / folder, ["rsu_1"])
    shutil.copyfile(tmp_path / "others" / "market.pub", tmp_path / "keys" / "market.pub")
    (finding,) = checks.check_signing_key(tmp_path, "rsu_1", NOW)
    assert (finding.status, "nobody believes" in finding.detail) == (ERROR, True)


def test_store(directory: Path) -> None:
    file = directory / "store" / "twins.db"
    assert statuses(checks.check_store(directory, "rsu_1")) == [OK]
    with Store(file, "rsu_1"):  # also while the RSU has it open
        assert statuses(checks.check_store(directory, "rsu_1")) == [OK]
    (finding,) = checks.check_store(directory, "rsu_2")
    assert "belongs to RSU rsu_1" in finding.detail
    content = bytearray(file.read_bytes())
    content[len(content) // 2 :] = os.urandom(len(content) - len(content) // 2)
    file.write_bytes(content)
    assert statuses(checks.check_store(directory, "rsu_1")) == [ERROR]
    file.write_text("no store")
    assert statuses(checks.check_store(directory, "rsu_1")) == [ERROR]


@pytest.mark.parametrize(("free", "status"), [(1e10, OK), (1e9, WARNING), (1e8, ERROR)])
def test_disk(free: float, status: str) -> None:
    assert statuses(checks.check_disk(free, Path())) == [status]


def test_running() -> None:
    assert statuses(checks.check_running("rsu_1", {}, [])) == [WARNING]
    assert "discovered" in checks.check_running("rsu_1", {}, ["/rsu/rsu_1/rsu"])[0].detail
    state = {"price": "3.2", "policy_version": "0"}
    assert statuses(checks.check_running("rsu_1", {"rsu/rsu_1": state}, [])) == [OK, OK]
    findings = checks.check_running("rsu_1", {"rsu/rsu_1": state | {"refused/late": "3"}}, [])
    assert statuses(findings) == [OK, WARNING, OK]
    assert "late 3" in findings[1].detail
    findings = checks.check_running("rsu_1", {"rsu/rsu_1": {"refused/duplicate_id": "3"}}, [])
    assert statuses(findings) == [OK, ERROR]


def test_learners(tmp_path: Path) -> None:
    assert "no policy is accepted" in checks.check_learners(tmp_path)[0].detail
    (tmp_path / "learners").mkdir()
    (tmp_path / "learners" / "city.pub").touch()
    assert "city" in checks.check_learners(tmp_path)[0].detail


def test_a_check_that_fails_itself_hides_no_other() -> None:
    def fails() -> list[Finding]:
        raise RuntimeError("of all things")

    assert doctor.guarded("this", fails) == [
        Finding("this", UNKNOWN, "could not be examined: RuntimeError: of all things")
    ]


def test_nothing_there_crashes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = doctor.examine(tmp_path / "nowhere", patience=0.0)
    assert findings[0].status == ERROR
    assert all(finding.hint for finding in findings if finding.status in (ERROR, WARNING))
    print("\n".join(map(doctor.tell, findings)))
    assert "uavtwin rsu init" in capsys.readouterr().out


def test_a_machine_without_wheels_needs_a_distribution() -> None:
    assert statuses(checks.check_machine("aarch64", {})) == [ERROR]
    assert checks.check_machine("aarch64", {"AMENT_PREFIX_PATH": "/opt/ros/jazzy"}) == []
    assert checks.check_machine("x86_64", {}) == []


def test_a_running_rsu_that_does_not_hear_who_is_heard_from_its_host_is_deaf() -> None:
    states = {"rsu/north": {"rsus_heard": "south"}}
    assert statuses(checks.check_hearing("north", states, {"north": 0.0, "south": 0.1})) == [OK]
    assert statuses(checks.check_hearing("north", states, {"south": 0.1, "east": 0.1})) == [ERROR]
    assert checks.check_hearing("north", {}, {"south": 0.1}) == []


def test_an_rsu_that_is_heard_and_not_believed_is_nothing_that_a_restart_mends() -> None:
    states = {"rsu/north": {"rsus_heard": "", "refused/forged": "124"}}
    (finding,) = checks.check_hearing("north", states, {"south": 0.1})
    assert finding.status == WARNING
    assert "124" in finding.detail
    assert "restart" not in finding.hint
