"""The world in the real Gazebo Classic: it loads, UAVs fly in it, and rays see what our radio sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from test.gazebo.classic import GazeboClassic, NoGazeboClassicError, available
from uav_twin_migration.radio.line_of_sight import Obstacles
from uav_twin_migration.scenario.geometry import contains
from uav_twin_migration.scenario.load import SHIPPED, load
from uav_twin_migration.scenario.model import Building, Scenario
from uav_twin_migration.scenario.sdf import world_sdf
from uav_twin_migration.scenario.sdf.models import outset
from uav_twin_migration.scenario.sdf.world import PHYSICS_STEP
from uav_twin_migration.vehicle.motion import CORNER_TOLERANCE, Pilot, routes_of

pytestmark = pytest.mark.slow

PAIRS = 2000
REACH = 900.0  # m; Gazebo Classic's ray test forgets what it hits beyond 1 km
GRAZE = 0.05  # m; Gazebo computes collisions in single precision, with buildings as meshes
# what a machine without display, sound and ROS makes Gazebo say, whatever the world
HARMLESS = ("RenderEngine.cc", "OpenAL.cc", "libgazebo_ros_")


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load("default")


@pytest.fixture(scope="module")
def gazebo(scenario: Scenario, request: pytest.FixtureRequest) -> Iterator[GazeboClassic]:
    try:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            available()  # may take minutes, and says how far it is
    except NoGazeboClassicError as reason:
        pytest.skip(f"GAZEBO CLASSIC NOT TESTED: {reason}")
    with GazeboClassic(world_sdf(scenario, "classic")) as server:
        yield server


def test_world_loads_without_an_error(gazebo: GazeboClassic, scenario: Scenario) -> None:
    gazebo.ask(["step 10"])
    errors = [line for line in gazebo.log() if "[Err]" in line or "Error" in line]
    assert [line for line in errors if not any(known in line for known in HARMLESS)] == []
    missing_plugins = [line for line in errors if "libgazebo_ros_planar_move.so" in line]
    assert len(missing_plugins) == len(scenario.uavs)  # each UAV has its plugin, and nothing of ROS is here to load


@pytest.mark.parametrize("name", SHIPPED)
def test_every_extruded_shape_can_be_meshed(gazebo: GazeboClassic, name: str) -> None:
    """Without a display Gazebo does not look at what is only seen, so here all of it is there to be hit."""
    shapes = {
        ElementTree.tostring(shape)
        for shape in ElementTree.fromstring(world_sdf(load(name), "classic")).iter("polyline")
    }
    link = "".join(
        f'<collision name="c{index}"><geometry>{shape.decode()}</geometry></collision>'
        for index, shape in enumerate(sorted(shapes))
    )
    model = f'<model name="m"><static>true</static><link name="l">{link}</link></model>'
    with GazeboClassic(f'<sdf version="1.6"><world name="w">{model}</world></sdf>') as server:
        server.ask(["step 1"])
        assert [line for line in server.log() if "riangulation" in line] == []


def test_models_stand_where_the_scenario_says(gazebo: GazeboClassic, scenario: Scenario) -> None:
    for rsu in scenario.rsus:
        assert _position(gazebo, rsu.id) == pytest.approx([*rsu.position, 0])


def test_uavs_fly_their_routes(gazebo: GazeboClassic, scenario: Scenario) -> None:
    """The pilot's velocities, with Gazebo in between: each UAV takes its first corner, at its height, on its way."""
    pilot = Pilot(routes_of(scenario.uavs))
    names = [uav.id for uav in scenario.uavs]
    steps = round(0.05 / PHYSICS_STEP)
    turned = np.zeros(len(names), dtype=bool)
    aside = [0.0]
    for _ in range(6000):  # 5 minutes of simulated time at most
        position = np.array([_position(gazebo, name) for name in names])
        command = pilot.step(position, steps * PHYSICS_STEP)
        orders = [f"velocity {name} {v[0]} {v[1]} {v[2]}" for name, v in zip(names, command.tolist(), strict=True)]
        assert set(gazebo.ask([*orders, f"step {steps}"])[:-1]) == {"ok"}
        aside.append(off_route(scenario, pilot.leg, position).max())
        turned |= pilot.leg > 1
        if turned.all():
            break
    assert turned.all()
    assert max(aside) < 2 * CORNER_TOLERANCE


def test_rays_agree_with_our_line_of_sight(gazebo: GazeboClassic, scenario: Scenario) -> None:
    """2,000 links between random antennas and UAVs, none of which is inside a building.

    A link grazes where moving every wall and roof by 5 cm, outwards or inwards, changes our answer. There the two may
    differ; everywhere else they must not.
    """
    starts, ends = _random_links(scenario, PAIRS)
    ours = Obstacles(scenario.buildings).line_of_sight(starts, ends)
    grazing = np.zeros(PAIRS, dtype=bool)
    for shift in (GRAZE, -GRAZE):
        moved = Obstacles([_moved(building, shift) for building in scenario.buildings])
        grazing |= moved.line_of_sight(starts, ends) != ours
    theirs = np.array([_sees(gazebo, start, end) for start, end in zip(starts, ends, strict=True)])
    assert 0.1 < ours.mean() < 0.9  # both kinds of link are there
    assert grazing.mean() < 0.02
    print(f"{(ours == theirs).sum()} of {PAIRS} agree, {grazing.sum()} graze, {(ours != theirs)[grazing].sum()} differ")
    wrong = np.flatnonzero((ours != theirs) & ~grazing)
    assert wrong.size == 0, [(starts[k].tolist(), ends[k].tolist(), bool(ours[k])) for k in wrong[:5]]


def _position(gazebo: GazeboClassic, model: str) -> list[float]:
    return [float(value) for value in gazebo.ask([f"pose {model}"])[0].split()[1:4]]


def off_route(scenario: Scenario, leg: NDArray[np.intp], position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance [N] (m) of each UAV from the line of the leg that it flies."""
    routes = routes_of(scenario.uavs)
    which = np.arange(len(leg))
    end, along = routes.waypoints[which, leg], routes.arrival[which, leg]
    offset = position - end
    return np.asarray(np.linalg.norm(offset - (offset * along).sum(axis=1)[:, None] * along, axis=1))


def _moved(building: Building, shift: float) -> Building:
    footprint = tuple(outset(building.footprint, shift))
    return dataclasses.replace(building, footprint=footprint, height=building.height + shift)


def _random_links(scenario: Scenario, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(7)
    corners = np.array([corner for building in scenario.buildings for corner in building.footprint])
    ends: list[NDArray[np.float64]] = []
    for low, high in ((2.0, 30.0), (5.0, 120.0)):  # antennas, UAVs
        points = rng.uniform([*corners.min(axis=0), low], [*corners.max(axis=0), high], (4 * count, 3))
        inside = np.zeros(len(points), dtype=bool)
        for building in scenario.buildings:
            inside |= contains(outset(building.footprint, 0.5), points[:, :2]) & (points[:, 2] < building.height + 1)
        ends.append(points[~inside][:count])
    return ends[0], ends[1]


def _sees(gazebo: GazeboClassic, start: NDArray[np.float64], end: NDArray[np.float64]) -> bool:
    """Whether no building is between two points. Masts and UAVs are no obstacles to radio: look on behind them."""
    length = float(np.linalg.norm(end - start))
    way = (end - start) / length
    at = 0.0
    while at < length:
        until = min(at + REACH, length)
        stretch = [repr(float(value)) for value in (*(start + at * way), *(start + until * way))]
        answer = gazebo.ask(["ray " + " ".join(stretch)])[0]
        if answer == "free":
            at = until
            continue
        distance, name = answer.split(maxsplit=1)
        if name.startswith("city::"):
            return False
        at += float(distance) + 0.01
    return True
