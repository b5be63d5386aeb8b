"""The directory of an RSU's host: what is in it, what is not, and what is refused."""

from __future__ import annotations

import configparser
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from uav_twin_migration.cli import doctor
from uav_twin_migration.cli.main import main
from uav_twin_migration.deployment.host_directory import (
    EdgeHost,
    check_parameters,
    load_host,
    split_address,
)
from uav_twin_migration.deployment.systemd_unit import Launcher, unit
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
    parameters = check_parameters(load_host(host), host)
    assert parameters["rsu_id"] == own.id
    assert parameters["unit_cost"] == own.unit_cost
    everything = "".join(file.read_text() for file in host.rglob("*") if file.is_file())
    assert other.id not in everything
    assert not any(str(uav.immersion_weight) in (host / "host.yaml").read_text() for uav in scenario.uavs)
    public, private = {"authority.pem", "market.pub", "rsu_1.pem"}, {"rsu_1.key", "rsu_1.signing"}
    assert {file.name for file in (host / "keys").iterdir()} == public | private
    for name in ("host.yaml", *(f"keys/{name}" for name in private)):
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
    assert load_host(host).parameters["require_uav_signatures"] is False
    make_uav_signing_keys(keys, {"uav_1": ["uav_1"]})
    revoke(keys, ["uav_1"])
    make_uav_signing_keys(keys, {"uav_1": ["uav_1"]})
    init(host, "--keys", str(keys))
    assert load_host(host).parameters["require_uav_signatures"] is True
    assert (host / "keys" / "revoked").read_bytes() == (keys / "revoked").read_bytes()
    assert not (host / "keys" / "uav_1.signing").exists()
    init(host, "--keys", str(keys), "--no-uav-signatures")
    assert load_host(host).parameters["require_uav_signatures"] is False


def test_init_again_keeps_the_keys_and_the_twins(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    host, keys = tmp_path / "host", str(tmp_path / "keys")
    init(host, "--keys", keys)
    key = (host / "keys" / "rsu_1.key").read_bytes()
    (host / "store" / "twins.db").write_text("precious")
    init(host, "--keys", keys)
    assert (host / "keys" / "rsu_1.key").read_bytes() == key
    assert (host / "store" / "twins.db").read_text() == "precious"


def test_the_unit_restarts_is_watched_and_is_confined() -> None:
    text = unit("rsu_1", Path("/etc/uavtwin/rsu_1"), Launcher("/opt/uavtwin/python -m cli", "/etc/variables"), "market")
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read_string(text)
    service = parsed["Service"]
    assert service["Restart"] == "always"
    assert service["Type"] == "notify"
    assert float(service["WatchdogSec"]) > 0
    assert service["User"] == "market"
    assert service["MemoryMax"]
    assert service["ReadWritePaths"] == "/etc/uavtwin/rsu_1/store"
    assert service["EnvironmentFile"] == "/etc/variables"
    assert service["ExecStart"] == "/opt/uavtwin/python -m cli rsu run /etc/uavtwin/rsu_1"


@pytest.mark.parametrize(
    "options",
    [
        ("--rsu", "rsu_9"),
        ("--domain", "500"),
        ("--rmw", "dds"),
        ("--address", "here:there"),
        ("--address", "127.0.0.1:0"),
        ("--discovery-server", "a:b:c"),
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
        ("{rsu: a, at: here}", "at"),
        ("{rsu: a, user: Some One}", "user"),
        ("{rsu: a, metrics: 'here:there'}", "metrics"),
        ("{rsu: a, discovery: 2}", "discovery"),
        ("{rsu: a, parameters: [capacity]}", "parameters"),
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
    host = EdgeHost("rsu_1", 7, "rmw_fastrtps_cpp", ("a", "b:12"), discovery=1, parameters={"capacity": 5.0})
    (tmp_path / "host.yaml").write_text(yaml.safe_dump(host.document()))
    assert load_host(tmp_path) == host
    (tmp_path / "host.yaml").write_text("rsu: rsu_1")
    assert load_host(tmp_path) == EdgeHost("rsu_1")


def test_a_directory_may_lie_anywhere_and_says_where_else_its_files_are(tmp_path: Path) -> None:
    init(tmp_path / "desk")
    host = load_host(shutil.copytree(tmp_path / "desk", tmp_path / "host"))
    parameters = check_parameters(host, tmp_path / "host")
    assert parameters["twin_store"] == str(tmp_path / "host/store/twins.db")
    elsewhere = replace(host, parameters={**host.parameters, "twin_store": "/mnt/twins.db", "ledger": ""})
    parameters = check_parameters(elsewhere, tmp_path / "host")
    assert (parameters["twin_store"], parameters["ledger"]) == ("/mnt/twins.db", "")
    assert check_parameters(replace(host, parameters={**host.parameters, "capacity": 5}), tmp_path)["capacity"] == 5.0


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
    from uav_twin_migration.scenario.load import dump, load

    own = tmp_path / "own.py"
    own.write_text("class Own:\n def decide(self, history, rivals): return 2.0\n")
    scenario = load("small")
    rsus = (replace(scenario.rsus[0], pricing=f"{own}:Own", transfer="stop_and_copy"), *scenario.rsus[1:])
    (tmp_path / "city.yaml").write_text(dump(replace(scenario, rsus=rsus)))
    host = tmp_path / "host"
    assert main(["rsu", "init", str(host), "--rsu", "rsu_1", "--scenario", str(tmp_path / "city.yaml")]) == 0
    parameters = check_parameters(load_host(host), host)
    assert parameters["pricing"] == f"{host}/plugins/pricing.py:Own"
    assert parameters["transfer"] == "stop_and_copy"
    assert (host / "plugins" / "pricing.py").read_bytes() == own.read_bytes()
