"""What `bench days` is upgraded from: the last version's command, and the stores that it leaves.

The stores are those that the first release's code wrote (test/twin/stores); the command is a script here. The real
first release flew before `bench days` on 2026-11-30.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import yaml

from uav_twin_migration.deployment.host_directory import STORE, STORE_FILE
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.studies.harnesses.last_version import COMMAND, fly, last_command, said, take_over
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.protocol.epochs import make_epoch

FIRST_RELEASE = Path(__file__).parent.parent / "twin" / "stores" / "v1.db.gz"
SCRIPT = """\
#!/bin/sh
case "$1 $2" in
    "sim --help") echo "usage: sim [--twins DIR]";;
    "--version "*) echo "the first 0.1.0";;
    *) echo "$@" > "$HOME/said"; echo "ROS_DISTRO is '$ROS_DISTRO' in $PWD" >> "$HOME/said";;
esac
"""


def script(folder: Path, text: str) -> str:
    file = folder / "uavtwin"
    file.write_text(text)
    file.chmod(0o755)
    return str(file)


def test_the_last_version_flies_in_an_environment_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ROS_DISTRO", "another")
    command = script(tmp_path, SCRIPT)
    scenario = tmp_path / "city.yaml"
    scenario.write_text("{name: two, radio: {neighbour_load: 0.2}, rsus: [{id: north}], uavs: []}")
    assert fly(command, str(scenario), tmp_path / "stores", 10.0, 12.0) == "the first 0.1.0"
    assert yaml.safe_load((tmp_path / "last.yaml").read_text()) == {
        "name": "two",
        "rsus": [{"id": "north"}],
        "uavs": [],
    }
    arguments, environment = (tmp_path / "said").read_text().splitlines()
    assert (
        arguments == f"sim {tmp_path}/last.yaml --duration 120 --real-time-factor 12 --plain --twins {tmp_path}/stores"
    )
    assert environment == "ROS_DISTRO is '' in /"  # Python looks for modules where it begins: not in this checkout


def test_a_last_version_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(COMMAND, raising=False)
    assert last_command() == ""
    script(tmp_path, SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(COMMAND, "./uavtwin")
    assert last_command() == str(tmp_path / "uavtwin")
    monkeypatch.setenv(COMMAND, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=COMMAND):
        last_command()
    with pytest.raises(UavTwinError, match="exit code 3: no ROS"):
        said(script(tmp_path, "#!/bin/sh\necho 'no ROS' >&2\nexit 3\n"), ["sim"])


def test_its_stores_are_brought_to_this_version_s_hosts_with_their_twins(tmp_path: Path) -> None:
    stores, host = tmp_path / "stores", tmp_path / "north" / STORE
    stores.mkdir()
    host.mkdir(parents=True)
    (stores / "north.db").write_bytes(gzip.decompress(FIRST_RELEASE.read_bytes()))
    left = take_over(stores, tmp_path, ["north"])
    assert {uav: twin.epoch for uav, twin in left.items()} == {"uav_1": make_epoch(7, 2)}
    with Store(host / STORE_FILE, "north") as store:
        assert store.load()["uav_1"].record.epoch == make_epoch(7, 2)
