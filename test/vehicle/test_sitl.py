"""Instances of PX4: what is started where, as PX4's own start-up script lays it down."""

from __future__ import annotations

from pathlib import Path

import pytest

from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.load import load
from uav_twin_migration.vehicle.frames import TangentPlane
from uav_twin_migration.vehicle.sitl import address, sitl, system_id


@pytest.mark.parametrize(
    ("instance", "where"),
    [
        (0, "udp://127.0.0.1:14540?to=127.0.0.1:14580"),
        (9, "udp://127.0.0.1:14549?to=127.0.0.1:14589"),
        (12, "udp://127.0.0.1:15052?to=127.0.0.1:14592"),  # those share a port of PX4's: we speak first, from our own
    ],
)
def test_where_an_instance_is(instance: int, where: str) -> None:
    assert address(instance) == where
    assert system_id(instance) == instance + 1


def test_each_starts_below_its_first_waypoint(tmp_path: Path) -> None:
    scenario = load("small")
    program = tmp_path / "bin" / "px4"
    program.parent.mkdir()
    program.touch(mode=0o755)
    uav = scenario.uavs[1]
    command, environment = sitl(str(tmp_path), 1, uav, scenario.origin)
    assert command == [str(program), "-i", "1", "-d", str(tmp_path / "etc")]
    place = [float(environment[f"PX4_HOME_{what}"]) for what in ("LAT", "LON", "ALT")]
    assert TangentPlane(scenario.origin).from_geodetic(*place) == pytest.approx([*uav.route[0], 0], abs=0.1)


def test_a_folder_without_px4_is_named(tmp_path: Path) -> None:
    scenario = load("small")
    with pytest.raises(InputError, match="px4_dir"):
        sitl(str(tmp_path), 0, scenario.uavs[0], scenario.origin)
