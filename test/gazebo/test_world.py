"""The world generator, without any Gazebo."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.cli.main import main
from uav_twin_migration.scenario.geometry import are_simple
from uav_twin_migration.scenario.load import SHIPPED, load
from uav_twin_migration.scenario.model import Building, Origin, Rsu, Scenario, Uav
from uav_twin_migration.scenario.sdf import Gazebo, bridge_yaml, world_name, world_sdf
from uav_twin_migration.scenario.sdf.elements import text_of
from uav_twin_migration.scenario.sdf.models import outset

WORLDS = Path(__file__).resolve().parents[2] / "worlds"
SUFFIX: dict[Gazebo, str] = {"sim": ".sdf", "classic": ".world"}
BOTH: tuple[Gazebo, ...] = ("sim", "classic")

TINY = Scenario(
    name="tiny -- <town> & co",
    origin=Origin(47.397742, 8.545594, 488.0),
    rsus=(Rsu("mast", (10.0, -20.0), 25.0, 300.0, 20.0, 1.0, 20.0),),
    uavs=(Uav("bee", ((0.0, 0.0), (0.0, 50.0)), 60.0, 10.0, 3.0, 10.0, 60.0),),
    buildings=(Building(((30.0, 0.0), (60.0, 0.0), (60.0, 20.0), (45.0, 5.0), (30.0, 20.0)), 12.0, 3.0),),
)


def world(scenario: Scenario = TINY, gazebo: Gazebo = "sim") -> Element:
    found = ElementTree.fromstring(world_sdf(scenario, gazebo)).find("world")
    assert found is not None
    return found


def numbers(element: Element, path: str) -> list[float]:
    text = element.findtext(path)
    assert text is not None, path
    return [float(part) for part in text.split()]


@pytest.mark.parametrize("gazebo", BOTH)
@pytest.mark.parametrize("name", ["small", "default"])  # the large one is written when it is wanted
def test_shipped_worlds_are_what_the_generator_writes(name: str, gazebo: Gazebo) -> None:
    path = WORLDS / f"{name}{SUFFIX[gazebo]}"
    assert path.read_text() == world_sdf(load(name), gazebo), (
        f"write it again: ./uavtwin world {name} --gazebo {gazebo} -o {path}"
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_every_extruded_polygon_is_simple(name: str) -> None:
    """Gazebo draws no other, and says so only where it draws."""
    for polyline in world(load(name)).iter("polyline"):
        points = [tuple(map(float, (point.text or "").split())) for point in polyline.iterfind("point")]
        assert are_simple([points])[0], points


@pytest.mark.parametrize("gazebo", BOTH)
def test_what_collides_is_the_building_itself(gazebo: Gazebo) -> None:
    collision = world(TINY, gazebo).find("model[@name='city']/link/collision")
    assert collision is not None
    building = TINY.buildings[0]
    east, north, *rest = numbers(collision, "pose")
    assert rest == [building.base, 0, 0, 0]
    assert numbers(collision, "geometry/polyline/height") == [building.height]
    points = [list(map(float, (point.text or "").split())) for point in collision.iterfind("geometry/polyline/point")]
    assert np.add(points, (east, north)) == pytest.approx(np.array(building.footprint), abs=1e-4)


@pytest.mark.parametrize("gazebo", BOTH)
def test_everything_stands_where_the_scenario_says(gazebo: Gazebo) -> None:
    tiny = world(TINY, gazebo)
    assert numbers(tiny, "model[@name='mast']/pose")[:3] == [10, -20, 0]
    antenna = numbers(tiny, "model[@name='mast']/link/visual[@name='antenna_0']/pose")
    assert antenna[2] == TINY.rsus[0].antenna_height
    assert numbers(tiny, "model[@name='bee']/pose") == pytest.approx([0, 0, 60, 0, 0, math.pi / 2], abs=1e-4)
    assert numbers(tiny, "model[@name='coverage_mast']/link/visual/geometry/cylinder/radius") == [300]
    assert tiny.findtext("spherical_coordinates/latitude_deg") == "47.397742000"
    assert numbers(tiny, "spherical_coordinates/elevation") == [488]


def test_versions_and_plugins_fit_each_gazebo() -> None:
    sim, classic = (ElementTree.fromstring(world_sdf(TINY, gazebo)) for gazebo in BOTH)
    assert (sim.get("version"), classic.get("version")) == ("1.9", "1.6")
    assert all((plugin.get("filename") or "").startswith("gz-sim-") for plugin in sim.iter("plugin"))
    assert [plugin.get("filename") for plugin in classic.iter("plugin")] == ["libgazebo_ros_planar_move.so"]


def test_only_collisions_block_and_only_buildings_masts_and_ground_collide_with_anything() -> None:
    for model in world().iterfind("model"):
        name = model.get("name") or ""
        touching = [c for c in model.iter("collision") if c.findtext("surface/contact/collide_bitmask") != "0"]
        assert bool(touching) == (name in ("ground", "city", "mast")), name


def test_coverage_can_be_left_out() -> None:
    assert "coverage_" in world_sdf(TINY, "sim")
    assert "coverage_" not in world_sdf(TINY, "sim", show_coverage=False)


def test_a_scenario_of_nothing_but_one_uav() -> None:
    lonely = dataclasses.replace(
        TINY, rsus=(), buildings=(), uavs=(dataclasses.replace(TINY.uavs[0], route=((5, 5),)),)
    )
    names = [model.get("name") for model in world(lonely).iterfind("model")]
    assert names == ["ground", "trees", "bee"]


def test_names_that_xml_and_topics_would_choke_on() -> None:
    assert world_name(TINY) == "tiny_____town____co"
    assert world().get("name") == world_name(TINY)


@pytest.mark.parametrize("messages", ["gz", "ignition"])
def test_the_bridge_carries_time_and_every_uav(messages: str) -> None:
    bridges = {entry["gz_topic_name"]: entry for entry in yaml.safe_load(bridge_yaml(TINY, messages))}  # type: ignore[arg-type]
    assert set(bridges) == {"/clock", "/uav/bee/odometry", "/uav/bee/body_velocity"}
    assert bridges["/uav/bee/odometry"] == {
        "ros_topic_name": "/uav/bee/odometry",
        "gz_topic_name": "/uav/bee/odometry",
        "ros_type_name": "nav_msgs/msg/Odometry",
        "gz_type_name": f"{messages}.msgs.Odometry",
        "direction": "GZ_TO_ROS",
    }
    assert bridges["/uav/bee/body_velocity"]["direction"] == "ROS_TO_GZ"


def test_the_bridge_and_the_world_name_the_same_topics() -> None:
    scenario = load("small")
    bridged = {entry["gz_topic_name"] for entry in yaml.safe_load(bridge_yaml(scenario))} - {"/clock"}
    plugins = world(scenario).iter("plugin")
    assert bridged == {text for p in plugins for tag in ("topic", "odom_topic") if (text := p.findtext(tag))}


@given(st.floats(-1e5, 1e5))
def test_numbers_keep_a_tenth_of_a_millimetre(value: float) -> None:
    assert abs(float(text_of(value)) - value) <= 0.5001e-4


@given(st.integers(4, 12), st.floats(0.05, 15), st.floats(20, 60), st.booleans())
def test_outset_moves_every_edge_of_a_regular_footprint(
    n: int, distance: float, radius: float, clockwise: bool
) -> None:
    turns = np.linspace(0, 2 * math.pi, n, endpoint=False)
    footprint = [(radius * math.cos(t), radius * math.sin(t)) for t in (turns[::-1] if clockwise else turns)]
    larger = outset(footprint, distance)
    to_edge = math.cos(math.pi / n)  # of the circumscribed radius
    assert np.linalg.norm(larger, axis=1) * to_edge == pytest.approx(radius * to_edge + distance)


def test_outset_of_a_spike_stays_near() -> None:
    """A mitre would reach out hundreds of metres."""
    larger = np.array(outset([(0, 0), (100, 0.1), (0, 0.2)], 4))
    assert np.abs(larger - np.array([(0, 0), (100, 0.1), (0, 0.2)])).max() < 8.1


def test_command_writes_world_and_bridge(tmp_path: Path) -> None:
    out, bridge = tmp_path / "w.sdf", tmp_path / "b.yaml"
    assert main(["world", "small", "-o", str(out), "--bridge", str(bridge), "--messages", "ignition"]) == 0
    assert out.read_text() == world_sdf(load("small"), "sim")
    assert bridge.read_text() == bridge_yaml(load("small"), "ignition")


def test_command_refuses_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["world", "nowhere", "-o", str(tmp_path / "w")]) == 2
    assert main(["world", "small", "--gazebo", "classic", "--bridge", str(tmp_path / "b")]) == 2
    assert main(["world", "small", "-o", str(tmp_path / "missing" / "w")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 3
