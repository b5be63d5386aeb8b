"""The directory of an RSU's host: what is in it, what is not, and what is refused."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from uav_twin_migration.cli import doctor
from uav_twin_migration.cli.main import main
from uav_twin_migration.deployment.host_directory import (
    EdgeHost,
    load_host,
    read_parameters,
    split_address,
)
from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.load import load
from uav_twin_migration.security.authority import make_uav_signing_keys, revoke


def init(directory: Path, *options: str) -> int:
    return main(["rsu", "init", str(directory), "--rsu", "rsu_1", "--scenario", "small", *options])


def test_a_host_gets_its_own_rsu_and_nobody_elses(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    host = tmp_path / "host"
    assert init(host, "--keys", str(tmp_path / "keys"), "--discovery-server", "10.0.0.1") == 0
    scenario = load("small")
    own, other = scenario.rsus
    parameters = read_parameters(host)
    assert parameters["rsu_id"] == own.id
    assert parameters["unit_cost"] == own.unit_cost
    everything = "".join(file.read_text() for file in host.rglob("*") if file.is_file())
    assert other.id not in everything
    assert not any(str(uav.immersion_weight) in (host / "rsu.yaml").read_text() for uav in scenario.uavs)
    public, private = {"authority.pem", "market.pub", "rsu_1.pem"}, {"rsu_1.key", "rsu_1.signing"}
    assert {file.name for file in (host / "keys").iterdir()} == public | private
    for name in ("rsu.yaml", *(f"keys/{name}" for name in private)):
        assert (host / name).stat().st_mode & 0o077 == 0


def test_what_it_writes_satisfies_the_doctor(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    host = tmp_path / "host"
    init(host, "--keys", str(tmp_path / "keys"), "--address", "127.0.0.1")
    of_host = {"host", "keys", "signing_key", "store", "discovery", "learners"}
    findings = [finding for finding in doctor.examine(host, 0.0) if finding.check in of_host]
    assert {finding.check for finding in findings} == of_host
    assert [finding for finding in findings if finding.status != "ok"] == []


def test_uavs_must_signature_where_their_keys_were_made(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    host, keys = tmp_path / "host", tmp_path / "keys"
    init(host, "--keys", str(keys))
    assert read_parameters(host)["require_uav_signatures"] is False
    make_uav_signing_keys(keys, {"uav_1": ["uav_1"]})
    revoke(keys, ["uav_1"])
    make_uav_signing_keys(keys, {"uav_1": ["uav_1"]})
    init(host, "--keys", str(keys))
    assert read_parameters(host)["require_uav_signatures"] is True
    assert (host / "keys" / "revoked").read_bytes() == (keys / "revoked").read_bytes()
    assert not (host / "keys" / "uav_1.signing").exists()
    init(host, "--keys", str(keys), "--no-uav-signatures")
    assert read_parameters(host)["require_uav_signatures"] is False


def test_init_again_keeps_the_keys_and_the_twins(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    host, keys = tmp_path / "host", str(tmp_path / "keys")
    init(host, "--keys", keys)
    key = (host / "keys" / "rsu_1.key").read_bytes()
    (host / "store" / "twins.db").write_text("precious")
    init(host, "--keys", keys)
    assert (host / "keys" / "rsu_1.key").read_bytes() == key
    assert (host / "store" / "twins.db").read_text() == "precious"


def test_the_unit_restarts_is_watched_and_is_confined(tmp_path: Path) -> None:
    init(tmp_path, "--at", "/etc/uavtwin/rsu_1", "--workspace", "/opt/city/install", "--user", "market")
    file = tmp_path / "uavtwin-rsu-rsu_1.service"
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(file)
    service = unit["Service"]
    assert service["Restart"] == "always"
    assert service["Type"] == "notify"
    assert float(service["WatchdogSec"]) > 0
    assert service["User"] == "market"
    assert service["MemoryMax"]
    assert service["ReadWritePaths"] == "/etc/uavtwin/rsu_1/store"
    assert "source /opt/city/install/setup.bash" in service["ExecStart"]
    assert "rsu run /etc/uavtwin/rsu_1" in service["ExecStart"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    init(tmp_path, "--user", "root")
    file = tmp_path / "uavtwin-rsu-rsu_1.service"
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True)
    assert file.name not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--rsu", "rsu_9"),
        ("--domain", "500"),
        ("--rmw", "dds"),
        ("--address", "here:there"),
        ("--address", "127.0.0.1:0"),
        ("--discovery-server", "a:b:c"),
        ("--user", "a b"),
        ("--at", "/with space"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, str]
) -> None:
    assert init(tmp_path / "host", *options) == 2
    errors = capsys.readouterr().err
    assert options[1] in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "host").exists()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("rsu: 5", "rsu"),
        ("domain: 1", "rsu"),
        ("{rsu: a, colour: red}", "colour"),
        ("{rsu: a, domain: x}", "domain"),
        ("{rsu: a, discovery_servers: here}", "discovery_servers"),
        ("{rsu: a, discovery_servers: [5]}", "discovery_servers"),
        ("{rsu: a, peers: here}", "peers"),
        ("{rsu: a, peers: ['a;b']}", "peers"),
        ("{rsu: a, peers: [b], discovery_servers: [c]}", "peers"),
        ("[", "file"),
        ("- a", "file"),
    ],
)
def test_a_bad_host_file_is_refused_with_its_key(tmp_path: Path, text: str, key: str) -> None:
    (tmp_path / "host.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_host(tmp_path)
    assert caught.value.key == key


def test_host_file_round_trip(tmp_path: Path) -> None:
    host = EdgeHost("rsu_1", 7, "rmw_fastrtps_cpp", ("a", "b:12"))
    host.save(tmp_path)
    assert load_host(tmp_path) == host
    assert yaml.safe_load((tmp_path / "host.yaml").read_text())["discovery_servers"] == ["a", "b:12"]


def test_environment(tmp_path: Path) -> None:
    host = EdgeHost("rsu_1", 7, discovery_servers=("a", "b:12"))
    variables = host.variables(tmp_path)
    assert variables["ROS_DISCOVERY_SERVER"] == "a:11811;b:12"
    assert variables["ROS_DOMAIN_ID"] == "7"
    assert "ROS_DISCOVERY_SERVER" not in EdgeHost("rsu_1", rmw="rmw_zenoh_cpp").variables(tmp_path)
    variables = EdgeHost("rsu_1", peers=("10.0.0.2", "south.example")).variables(tmp_path)
    assert variables["ROS_STATIC_PEERS"] == "10.0.0.2;south.example"


@pytest.mark.parametrize(
    ("text", "address"), [("a", ("a", 1)), ("a:5", ("a", 5)), ("[::1]:5", ("::1", 5)), ("[::1]", ("::1", 1))]
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert split_address(text, 1) == address


@pytest.mark.parametrize("text", ["", ":5", "a:0", "a:65536", "a:x", "a:-1"])
def test_bad_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="^" + text):
        split_address(text, 1)


def test_an_rsu_s_plugins_go_with_it(tmp_path: Path) -> None:
    from uav_twin_migration.deployment.host_directory import read_parameters
    from uav_twin_migration.scenario.load import dump, load

    own = tmp_path / "own.py"
    own.write_text("class Own:\n def decide(self, history, rivals): return 2.0\n")
    scenario = load("small")
    rsus = (replace(scenario.rsus[0], pricing=f"{own}:Own", transfer="stop_and_copy"), *scenario.rsus[1:])
    (tmp_path / "city.yaml").write_text(dump(replace(scenario, rsus=rsus)))
    host = tmp_path / "host"
    options = ["--rsu", "rsu_1", "--scenario", str(tmp_path / "city.yaml"), "--at", "/etc/uavtwin"]
    assert main(["rsu", "init", str(host), *options]) == 0
    parameters = read_parameters(host)
    assert parameters["pricing"] == "/etc/uavtwin/plugins/pricing.py:Own"
    assert parameters["transfer"] == "stop_and_copy"
    assert (host / "plugins" / "pricing.py").read_bytes() == own.read_bytes()
