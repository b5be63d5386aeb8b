"""Plug-ins that say which twins an RSU takes, when one that moves stops, what a twin is, and how a UAV moves."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from test.twin.town import Town
from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.scenario.examine import warnings
from uav_twin_migration.scenario.load import load
from uav_twin_migration.studies.virtual.hosting import Hosting
from uav_twin_migration.twin.hosting.admission import HostSettings, plugged_admission, plugged_transfer
from uav_twin_migration.twin.hosting.application import NamedApplication
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.vehicle.motion import Flight

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "plugins"
SIZE = 2_000_000  # bytes: two seconds at the rate of these tests
RATE = 1e6  # bytes/s


class Refuses:
    def admits(self, asked: Any, here: Any) -> bool:
        return asked.purpose == "hosting"


class Never:
    def stop(self, progress: Any) -> bool:
        return False


class Broken:
    def admits(self, asked: Any, here: Any) -> bool:
        raise RuntimeError("odd")

    def stop(self, progress: Any) -> bool:
        raise RuntimeError("odd")

    def velocity(self, time: float, position: Any, velocity: Any) -> Any:
        return math.nan, 0.0, 0.0


@pytest.fixture
def towns(tmp_path: Path) -> Iterator[Any]:
    made: list[Town] = []

    def make(**settings: Any) -> Town:
        made.append(
            Town(tmp_path / str(len(made)), "AB", settings=HostSettings(flush_period=0.2, **settings), size=SIZE)
        )
        town = made[-1]
        heard(town)
        return town

    yield make
    for town in made:
        town.close()


def heard(town: Town) -> None:
    """Its twin is served, and has heard its UAV."""
    town.run_until(town.is_served)
    told = Telemetry(1, town.now, (1.0, 2.0, 3.0), (0.0,) * 3)
    town.tell(town.host_discovery.host, lambda host: host.observe("u1", told, town.now, town.now))
    town.run(2.0)


def other(town: Town) -> str:
    return "B" if town.host_discovery.host == "A" else "A"


def moved(town: Town) -> Any:
    town.migrate(other(town), rate=RATE)
    town.run_until(lambda: bool(town.reports), limit=60.0)
    town.run_until(town.is_served)
    town.check_acknowledged()
    return town.reports[-1]


@pytest.mark.parametrize(
    ("strategy", "least", "most"),
    [
        ("", 0.0, 0.2),
        ("pre_copy", 0.0, 0.2),
        ("stop_and_copy", 1.5, 4.0),
        (f"{EXAMPLES}/transfer.py:Deadline(seconds=1.0)", 0.7, 1.5),
    ],
)
def test_the_strategy_says_how_long_users_wait_and_the_twin_arrives_whole(
    towns: Any, strategy: str, least: float, most: float
) -> None:
    report = moved(towns(transfer=plugged_transfer(strategy)))
    assert report.reason is None
    assert least < report.downtime < most
    assert report.sent >= SIZE


def test_a_stopped_twin_is_not_served_and_serves_again_where_its_migration_fails(towns: Any) -> None:
    town = towns(transfer=plugged_transfer("stop_and_copy"))
    source = town.rsus[town.host_discovery.host].host
    assert len(source.served(town.now, town.now)) == 1
    town.migrate(other(town), rate=RATE)
    town.run(1.0)
    assert source.served(town.now, town.now) == []
    assert not source.observe("u1", Telemetry(10**6, town.now, (0.0,) * 3, (0.0,) * 3), town.now, town.now)
    town.rsus[other(town)].crash()
    town.cancel()
    town.run(1.0)
    assert len(source.served(town.now, town.now)) == 1
    assert len(town.reports) == 1


def test_a_strategy_that_never_stops_or_fails_costs_no_twin(towns: Any) -> None:
    said: list[str] = []
    report = moved(towns(transfer=plugged_transfer(f"{__name__}:Broken", said.append)))
    assert report.reason is None
    assert len(said) == 1
    assert "Broken: RuntimeError: odd" in said[0]
    never = moved(towns(transfer=plugged_transfer(f"{__name__}:Never")))
    assert never.reason is None  # it is stopped when it has waited for long enough


def test_an_rsu_takes_what_its_admission_admits(towns: Any) -> None:
    assert moved(towns(admission=plugged_admission(f"{__name__}:Refuses"))).reason.value == "full"
    said: list[str] = []
    assert moved(towns(admission=plugged_admission(f"{__name__}:Broken", said.append))).reason is None
    assert len(said) == 1
    few = plugged_admission(f"{EXAMPLES}/admission.py:FewTwins(most=1, kept=0)")
    assert moved(towns(admission=few)).reason is None


# --- applications -----------------------------------------------------------------------------------------------------


def test_a_twin_of_one_s_own_is_kept_and_moved(tmp_path: Path) -> None:
    application = NamedApplication(f"{EXAMPLES}/application.py:LastPlaces", lambda sentence: None)
    town = Town(tmp_path, "AB", application=application, size=0)
    heard(town)
    source = town.rsus[town.host_discovery.host].host
    assert source is not None
    before = source.served(town.now, town.now)[0].estimate
    first = town.host_discovery.host
    town.migrate(other(town), rate=RATE)
    town.run_until(lambda: bool(town.reports))
    town.run_until(town.is_served)
    town.run(1.0)
    target = town.rsus[town.host_discovery.host].host
    assert target is not None
    assert town.host_discovery.host != first
    assert target.served(town.now, town.now)[0].estimate.stamp == before.stamp
    assert application.errors == 0
    town.close()


class Odd:
    """A twin of which everything fails."""

    def __getattr__(self, name: str) -> Any:
        def fails(*arguments: Any) -> Any:
            raise KeyError(name)

        return fails


class OddOnes:
    name = "odd"

    def chunk_size(self, size: int) -> int:
        return 64

    def create(self, uav: str, size: int) -> Any:
        return Odd()

    def restore(self, uav: str, read: Any) -> Any:
        raise struct.error("none of ours")


def test_what_fails_in_an_application_is_told_by_its_name_and_once() -> None:
    said: list[str] = []
    application = NamedApplication(f"{__name__}:OddOnes", said.append)
    twin = application.create("u1", 0)
    assert twin.observe(Telemetry(1, 0.0, (0.0,) * 3, (0.0,) * 3), 0.0) == "plugin_failed"
    assert twin.estimate(0.0) is None
    assert twin.as_of() is None
    for question in (twin.version, lambda: list(twin.snapshot()), lambda: twin.changes_since(0)):
        with pytest.raises(UavTwinError, match="OddOnes"):
            question()
    with pytest.raises(UavTwinError, match="none of ours"):
        application.restore("u1", lambda number: None)
    assert application.errors == 7
    assert len(said) == 1


def test_an_rsu_outlives_an_application_of_which_everything_fails(tmp_path: Path) -> None:
    town = Town(tmp_path, "AB", application=NamedApplication(f"{__name__}:OddOnes", lambda sentence: None), size=0)
    for rsu in town.rsus.values():
        assert rsu.hosting is not None
        rsu.hosting._do = partial(_caught, rsu.hosting)  # type: ignore[method-assign]
    town.run(10.0)
    assert all(rsu.host is not None for rsu in town.rsus.values())
    town.close()


def _caught(hosting: Hosting, work: Any) -> Any:
    """As `TwinService` does: its last catch."""
    try:
        return Hosting._do(hosting, work)
    except Exception as error:
        hosting.host.set_aside(error)
        return None


# --- mobility ---------------------------------------------------------------------------------------------------------


def city(mobility: str) -> Any:
    scenario = load("small")
    return replace(scenario, uavs=(replace(scenario.uavs[0], mobility=mobility), *scenario.uavs[1:]))


def test_a_uav_moves_as_its_plugin_says_within_its_limits_and_the_others_fly_their_routes() -> None:
    circling, routed = Flight(city(f"{EXAMPLES}/mobility.py:Circle(radius=100.0)")), Flight(load("small"))
    centre, limit = np.array(load("small").uavs[0].route[0]), load("small").uavs[0].speed
    for second in range(1, 121):
        circling.advance(float(second))
        routed.advance(float(second))
        assert np.linalg.norm(circling.velocity[0]) <= limit + 1e-9
        if second > 30:
            assert abs(np.linalg.norm(circling.position[0, :2] - centre) - 100.0) < 25.0
    np.testing.assert_array_equal(circling.position[1:], routed.position[1:])


def test_a_uav_whose_mobility_fails_flies_its_route() -> None:
    said: list[str] = []
    failing, routed = Flight(city(f"{__name__}:Broken"), said.append), Flight(load("small"))
    failing.advance(20.0)
    routed.advance(20.0)
    np.testing.assert_allclose(failing.position, routed.position)
    assert len(said) == 1
    assert "the velocity is (nan" in said[0]
    with pytest.raises(UavTwinError, match="Broken"):
        Flight(city(f"{__name__}:Broken")).advance(1.0)


def test_a_scenario_is_examined_without_running_its_plugins() -> None:
    assert warnings(city("nowhere.py:Own"), 5.0, 10.0) == warnings(load("small"), 5.0, 10.0)
