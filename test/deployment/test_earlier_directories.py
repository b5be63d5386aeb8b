"""Host directories of two files, as 0.1.0 and builds of 0.2 wrote them: they run, and are brought over with a copy.

Both texts are what `uavtwin rsu init` wrote, of 0.1.0's last commit and of 2026-11-30's, without the keys.
"""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest
import yaml

from uav_twin_migration.cli.main import main
from uav_twin_migration.deployment import installation
from uav_twin_migration.deployment.checks import WARNING, check_directory
from uav_twin_migration.deployment.host_directory import check_parameters, load_host
from uav_twin_migration.deployment.installation import Choices, plan
from uav_twin_migration.errors import InputError

HOST = "rsu: rsu_1\ndomain: 41\nrmw: rmw_fastrtps_cpp\ndiscovery_servers: [10.0.0.1]\n"
SINCE = "peers: []\nlog: text\n"
COMMON = """\
    rsu_id: rsu_1
    region: ''
    position: [-250.0, 0.0, 15.0]
    range: 600.0
    capacity: 12.5
    unit_cost: 1.14
    price_cap: 20.0
    round_period: 1.0
    offer_window: 0.5
    lease_rounds: 2.0
    seed: 0
    policy: default
    exploration: 0.0
    twin_store: /etc/uavtwin/rsu_1/store/twins.db
    twin_keys: /etc/uavtwin/rsu_1/keys
    time_scale: 1.0
    use_sim_time: false
    market_key: /etc/uavtwin/rsu_1/keys/market.pub
    learners: /etc/uavtwin/rsu_1/learners
    policy_kept: /etc/uavtwin/rsu_1/store/policy.safetensors
    twin_address: 127.0.0.1
"""
OF_0_1 = """\
    substitutability: 0.55
    admitted_uavs: [uav_1, uav_2]
    seal: /etc/uavtwin/rsu_1/keys/rsu_1.seal
    twin_port: 7447
    require_uav_seals: true
"""
OF_0_2 = """\
    pricing: ''
    admission: ''
    transfer: ''
    application: ''
    rho: 0.55
    admitted_uavs: ['*']
    signing_key: /etc/uavtwin/rsu_1/keys/rsu_1.signing
    ledger: /etc/uavtwin/rsu_1/store/rsu_1.ledger
    twin_port: 7447
    drain_on_stop: true
    require_uav_signatures: true
"""
VERSIONS = {"0.1.0": (HOST, COMMON + OF_0_1), "0.2": (HOST + SINCE, COMMON + OF_0_2)}


@pytest.fixture(params=VERSIONS)
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Such a directory, whose operator changed the capacity from 15.6 to 12.5."""
    directory = tmp_path / "rsu_1"
    host, parameters = VERSIONS[request.param]
    fill(directory, host, parameters)
    if request.param == "0.2":  # which noted what it wrote
        fill(directory / ".written", host, parameters.replace("12.5", "15.6"))
    return directory


def fill(directory: Path, host: str, parameters: str) -> None:
    directory.mkdir(parents=True)
    (directory / "host.yaml").write_text(host)
    (directory / "rsu.yaml").write_text(f"/rsu/rsu_1/rsu:\n  ros__parameters:\n{parameters}")


def test_it_runs_as_it_is(earlier: Path) -> None:
    host = load_host(earlier)
    assert (host.domain, host.discovery_servers, str(host.home)) == (41, ("10.0.0.1",), "/etc/uavtwin/rsu_1")
    parameters = check_parameters(host, earlier)
    assert (parameters["capacity"], parameters["rho"], parameters["twin_port"]) == (12.5, 0.55, 7447)
    assert parameters["require_uav_signatures"] is True
    assert parameters["twin_store"] == str(earlier / "store" / "twins.db")
    _, (finding,) = check_directory(earlier)
    assert (finding.status, "earlier version" in finding.detail) == (WARNING, True)


def test_install_brings_it_over_where_it_lies_and_keeps_a_copy(
    earlier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "ROOT", getpass.getuser())
    root = tmp_path / "root"
    (root / "etc/uavtwin").mkdir(parents=True)
    at = earlier.rename(root / "etc/uavtwin/rsu_1")
    before, files = check_parameters(load_host(at), at), {name: (at / name).read_text() for name in FILES}
    changes = plan(at, Choices(getpass.getuser(), root=root))
    for change in changes:
        change.do()
    assert any("host.yaml has all settings now" in change.what for change in changes)
    assert check_parameters(load_host(at), at) == before
    assert {name: (at / "earlier" / name).read_text() for name in FILES} == files
    assert not list(at.glob("rsu.yaml")) + list(at.glob(".written/rsu.yaml"))
    assert plan(at, Choices(root=root)) == []


FILES = ("host.yaml", "rsu.yaml")


def test_init_again_brings_it_over_and_says_what_it_changes(earlier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noted = (earlier / ".written").exists()
    files = {name: (earlier / name).read_text() for name in FILES}
    assert main(["rsu", "init", str(earlier), "--rsu", "rsu_1", "--scenario", "small"]) == 0
    told = capsys.readouterr().out
    assert "what it and rsu.yaml were is in" in told
    assert ("capacity: stays 12.5, as it was changed here" if noted else "capacity: 12.5 -> 15.6") in told
    assert {name: (earlier / "earlier" / name).read_text() for name in FILES} == files
    document = yaml.safe_load((earlier / "host.yaml").read_text())
    assert document["domain"] == 41
    assert document["parameters"]["require_uav_signatures"] is True
    assert not {"rsu_id", "twin_store", "seal", "signing_key", "use_sim_time"} & set(document["parameters"])
    assert not list(earlier.glob("rsu.yaml")) + list(earlier.glob(".written/rsu.yaml"))


def test_what_is_wrong_in_it_is_named_with_its_file(earlier: Path) -> None:
    file = earlier / "rsu.yaml"
    good = file.read_text()
    file.write_text(good.replace("12.5", "-1"))
    with pytest.raises(InputError, match=r"rsu\.yaml: parameters\.capacity"):
        check_parameters(load_host(earlier), earlier)
    for bad in (good.replace("rsu_id: rsu_1", "rsu_id: rsu_2"), "a: 1", "["):
        file.write_text(bad)
        with pytest.raises(InputError, match=r"rsu\.yaml"):
            load_host(earlier)
