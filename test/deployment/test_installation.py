"""`uavtwin rsu install`: into a root of its own, again with nothing left to do; what an operator changed stays."""

from __future__ import annotations

import getpass
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from uav_twin_migration.cli.main import main
from uav_twin_migration.deployment import installation
from uav_twin_migration.deployment.host_directory import EdgeHost, check_parameters, load_host
from uav_twin_migration.deployment.installation import Choices, plan
from uav_twin_migration.deployment.merging import MISSING, merge
from uav_twin_migration.errors import InputError

AT = "/etc/uavtwin/rsu_1"
UNIT = "etc/systemd/system/uavtwin-rsu-rsu_1.service"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory as an operator brings it. Files belong to whoever runs the test, who stands for root, too."""
    monkeypatch.setattr(installation, "ROOT", getpass.getuser())
    directory = tmp_path / "desk"
    init(directory)
    return directory


def init(directory: Path, *options: str) -> None:
    command = ["rsu", "init", str(directory), "--rsu", "rsu_1", "--scenario", "small", "--at", AT]
    assert main([*command, "--keys", str(directory.parent / "keys"), *options]) == 0


def install(desk: Path, root: Path) -> list[str]:
    """Returns what was done."""
    changes = plan(desk, Choices(getpass.getuser(), "127.0.0.1:9464", 0, root))
    for change in changes:
        change.do()
    return [change.what for change in changes]


def edit(directory: Path, **values: object) -> None:
    document = load_host(directory).document()
    document["parameters"] |= values
    (directory / "host.yaml").write_text("# edited\n" + yaml.safe_dump(document))


def test_it_installs_once_and_then_has_nothing_to_do(desk: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    told = install(desk, root)
    assert f"/{UNIT} is written, {getpass.getuser()}'s" in told
    assert install(desk, root) == []
    host = root / AT[1:]
    assert load_host(host).rsu == "rsu_1"
    for name in ("host.yaml", "keys/rsu_1.key", "keys/rsu_1.signing"):
        assert stat.S_IMODE((host / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((host / "store").stat().st_mode) == 0o700
    assert (root / "usr/local/bin/uavtwin").stat().st_mode & 0o111
    assert "PYTHONPATH=" in (root / "etc/uavtwin/environment").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_has_nothing_to_say_against_the_units(desk: Path, tmp_path: Path) -> None:
    install(desk, tmp_path / "root")
    units = sorted((tmp_path / "root/etc/systemd/system").iterdir())
    assert len(units) == 3
    done = subprocess.run(["systemd-analyze", "verify", *map(str, units)], capture_output=True, text=True)
    assert not [line for line in done.stderr.splitlines() if "uavtwin" in line], done.stderr


def test_a_changed_key_is_applied_and_told_and_restarts_the_rsu(desk: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(desk, root)
    edit(desk, capacity=12.5)
    changes = plan(desk, Choices(getpass.getuser(), root=root))
    told = "\n".join(change.what for change in changes)
    assert "capacity: " in told
    assert "-> 12.5" in told
    assert {change.restarts for change in changes} >= {"uavtwin-rsu-rsu_1.service"}


def test_what_install_was_told_once_stands_in_host_yaml_from_then_on(desk: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(desk, root)
    host = load_host(root / AT[1:])
    assert (host.user, host.metrics, host.discovery) == (getpass.getuser(), "127.0.0.1:9464", 0)
    assert plan(desk, Choices(root=root)) == []
    assert any("127.0.0.1:9999" in change.what for change in plan(desk, Choices(metrics="127.0.0.1:9999", root=root)))


def test_what_was_changed_on_the_host_stays(desk: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(desk, root)
    edit(root / AT[1:], drain_limit=44.0)
    edit(desk, capacity=12.5)
    install(desk, root)
    parameters = load_host(root / AT[1:]).parameters
    assert (parameters["drain_limit"], parameters["capacity"]) == (44.0, 12.5)
    assert stat.S_IMODE((root / AT[1:] / "host.yaml").stat().st_mode) == 0o600
    assert install(desk, root) == []
    edit(root / AT[1:], drain_limit=55.0)
    told = install(root / AT[1:], root)  # in place: its unit starts anew with what was changed there
    assert any(UNIT in line for line in told)
    assert load_host(root / AT[1:]).parameters["drain_limit"] == 55.0
    assert (root / AT[1:] / "host.yaml").read_text().startswith("# edited\n")


def test_init_again_keeps_what_was_changed_and_says_what_changes(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(desk, "--discovery-server", "10.0.0.1", "--address", "10.0.0.11", "--domain", "7", "--uav-signatures")
    edit(desk, drain_limit=44.0)
    capsys.readouterr()
    init(desk)
    host = load_host(desk)
    parameters = host.parameters
    assert "drain_limit: stays 44.0, as it was changed here" in capsys.readouterr().out
    assert parameters["drain_limit"] == 44.0
    assert (host.domain, host.discovery_servers) == (7, ("10.0.0.1",))
    assert (parameters["twin_address"], parameters["require_uav_signatures"]) == ("10.0.0.11", True)
    init(desk, "--domain", "8")
    assert "domain: 7 -> 8" in capsys.readouterr().out
    assert main(["rsu", "init", str(desk), "--rsu", "rsu_2", "--scenario", "small"]) == 2  # another RSU's


def test_a_new_uav_needs_no_edit(desk: Path) -> None:
    assert load_host(desk).parameters["admitted_uavs"] == ["*"]
    options: tuple[str, ...]
    for options in (("--admit", "uav_*", "--admit", "drone_7"), ()):  # not given again, it stays
        init(desk, *options)
        assert load_host(desk).parameters["admitted_uavs"] == ["uav_*", "drone_7"]


@pytest.mark.parametrize(
    ("values", "key"),
    [({"capacity": -1.0}, "capacity"), ({"capactiy": 5.0}, "capactiy"), ({"rsu_id": "rsu_1"}, "rsu_id")],
)
def test_every_value_is_checked(desk: Path, tmp_path: Path, values: dict[str, object], key: str) -> None:
    edit(desk, **values)
    with pytest.raises(InputError) as caught:
        install(desk, tmp_path / "root")
    assert (caught.value.source, caught.value.key) == (str(desk / "host.yaml"), f"parameters.{key}")
    assert not (tmp_path / "root").exists()


def test_a_missing_parameter_is_named(desk: Path) -> None:
    parameters = dict(load_host(desk).parameters)
    del parameters["capacity"]
    with pytest.raises(InputError, match=r"parameters\.capacity"):
        check_parameters(EdgeHost("rsu_1", parameters=parameters), desk)


@pytest.mark.parametrize(
    ("base", "own", "new", "value"),
    [
        (1, 1, 1, 1),
        (1, 1, 2, 2),
        (1, 3, 1, 3),
        (1, 3, 2, 3),
        (1, 2, 2, 2),
        (1, MISSING, 1, MISSING),
        (1, 1, MISSING, MISSING),
    ],
)
def test_who_alone_changed_a_value_wins_and_else_the_operator(
    base: object, own: object, new: object, value: object
) -> None:
    states = [{"a": one} if one is not MISSING else {} for one in (base, own, new)]
    merged = merge(*({**state, "other": 0} for state in states))
    assert merged.values.get("a", MISSING) == value
    assert bool(merged.changes) == (value != own)
