"""A scenario as a Gazebo world: for Gazebo Sim (Fortress, Harmonic) or Gazebo Classic 11. docs/gazebo.md shows them.

Both worlds hold the same models; they differ in the SDF version, in the plugins that move the UAVs and in how the
window is set up. In both, a UAV takes `/uav/<id>/body_velocity`, in its own frame, and gives `/uav/<id>/odometry` in
the frame `map`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal
from xml.etree.ElementTree import Element, indent, tostring

from uav_twin_migration.scenario.model import Origin, Scenario, Uav
from uav_twin_migration.scenario.sdf import models
from uav_twin_migration.scenario.sdf.elements import pose, tag

Gazebo = Literal["sim", "classic"]

SDF_VERSION = {"sim": "1.9", "classic": "1.6"}  # the newest that Fortress and Classic 11 read
PHYSICS_STEP = 0.004  # s; nothing bounces here, so four times Gazebo's default is fine
ODOMETRY_RATE = 20  # Hz


def world_sdf(scenario: Scenario, gazebo: Gazebo, *, show_coverage: bool = True) -> str:
    """The world file's text.

    Args:
        scenario: what to build.
        gazebo: "sim" for Gazebo Sim (SDF 1.9), "classic" for Gazebo Classic 11 (SDF 1.6).
        show_coverage: whether to draw the RSUs' coverage as discs.
    """
    simulator = _SIMULATORS[gazebo](scenario)
    world = tag("world", *simulator, name=world_name(scenario))
    world.append(models.ground(scenario))
    world.append(models.trees(scenario))
    if scenario.buildings:
        world.append(models.city(scenario.buildings))
    for index, rsu in enumerate(scenario.rsus):
        world.append(models.tower(rsu))
        if show_coverage:
            world.append(models.coverage(rsu, index, len(scenario.rsus)))
    plugins = {"sim": _sim_uav_plugins, "classic": _classic_uav_plugins}[gazebo]
    for index, uav in enumerate(scenario.uavs):
        world.append(models.uav_model(uav, index, len(scenario.uavs), plugins(uav)))
    root = tag("sdf", world, version=SDF_VERSION[gazebo])
    _lay_out(root)
    note = f"<!-- Scenario {_comment(scenario.name)}, written by `uavtwin world`: change the scenario instead. -->"
    return f'<?xml version="1.0"?>\n{note}\n{tostring(root, encoding="unicode")}\n'


def _lay_out(root: Element) -> None:
    """Indent, with each visual and collision on a line of its own: a city has thousands."""
    indent(root)
    for kind in ("visual", "collision"):
        for element in root.iter(kind):
            tail = element.tail
            for part in element.iter():
                part.tail = None
                if len(part):
                    part.text = None
            element.tail = tail


def world_name(scenario: Scenario) -> str:
    """The scenario's name as Gazebo takes it, in topics too: letters, digits and underscores."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in scenario.name) or "world"


def _comment(text: str) -> str:
    return text.replace("--", "- -")


# --- what every world has -------------------------------------------------------------------------------------------


def _physics(engine: str) -> Element:
    return tag(
        "physics",
        tag("max_step_size", PHYSICS_STEP),
        tag("real_time_factor", 1.0),
        tag("real_time_update_rate", 1 / PHYSICS_STEP),
        name="real_time",
        type=engine,
    )


def _scene() -> Element:
    return tag(
        "scene",
        tag("ambient", (0.55, 0.57, 0.60, 1)),
        tag("background", (0.66, 0.79, 0.92, 1)),
        tag("grid", False),
        tag("shadows", True),
    )


def _sun() -> Element:
    return tag(
        "light",
        pose(0, 0, 500),
        tag("cast_shadows", True),
        tag("diffuse", (0.95, 0.92, 0.85, 1)),
        tag("specular", (0.4, 0.4, 0.38, 1)),
        tag("direction", (-0.5, 0.35, -0.8)),
        name="sun",
        type="directional",
    )


def _spherical_coordinates(origin: Origin) -> Element:
    return tag(
        "spherical_coordinates",
        tag("surface_model", "EARTH_WGS84"),
        tag("world_frame_orientation", "ENU"),
        # text, since a ten-thousandth of a degree would be eleven metres
        tag("latitude_deg", f"{origin.latitude:.9f}"),
        tag("longitude_deg", f"{origin.longitude:.9f}"),
        tag("elevation", origin.altitude),
        tag("heading_deg", 0.0),
    )


def _bird_view(scenario: Scenario) -> tuple[float, ...]:
    """A camera pose south-west of everything, looking down at its middle."""
    (west, south), (east, north) = models.extent(scenario)
    away = 0.6 * max(east - west, north - south, 100.0)
    x, y, z = (west + east) / 2 - away, (south + north) / 2 - away, 0.9 * away
    return (x, y, z, 0, math.atan2(z, math.hypot(away, away)), math.pi / 4)


# --- Gazebo Sim -----------------------------------------------------------------------------------------------------


def _sim_plugin(library: str, name: str, *content: Element) -> Element:
    # Harmonic's names; Fortress (from 6.16 on) takes them as well
    return tag("plugin", *content, filename=f"gz-sim-{library}-system", name=f"gz::sim::systems::{name}")


def _sim(scenario: Scenario) -> Sequence[Element]:
    return [
        _physics("ignored"),
        _sim_plugin("physics", "Physics"),
        _sim_plugin("user-commands", "UserCommands"),
        _sim_plugin("scene-broadcaster", "SceneBroadcaster"),
        tag("gravity", (0, 0, -9.81)),
        _spherical_coordinates(scenario.origin),
        _scene(),
        _sun(),
    ]


def _sim_uav_plugins(uav: Uav) -> list[Element]:
    return [
        _sim_plugin("velocity-control", "VelocityControl", tag("topic", f"/uav/{uav.id}/body_velocity")),
        _sim_plugin(
            "odometry-publisher",
            "OdometryPublisher",
            tag("odom_frame", "map"),
            tag("robot_base_frame", f"{uav.id}/base_link"),
            tag("odom_publish_frequency", str(ODOMETRY_RATE)),
            tag("odom_topic", f"/uav/{uav.id}/odometry"),
            tag("dimensions", "3"),
        ),
    ]


# --- Gazebo Classic -------------------------------------------------------------------------------------------------


def _classic(scenario: Scenario) -> Sequence[Element]:
    camera = tag("camera", pose(*_bird_view(scenario)), tag("view_controller", "orbit"), name="bird_view")
    return [
        _physics("ode"),
        tag("gravity", (0, 0, -9.81)),
        _spherical_coordinates(scenario.origin),
        _scene(),
        _sun(),
        tag("gui", camera),
    ]


def _classic_uav_plugins(uav: Uav) -> list[Element]:
    """gazebo_ros's planar mover: it sets the horizontal velocity and leaves the height as it is."""
    ros = tag(
        "ros",
        tag("namespace", f"/uav/{uav.id}"),
        tag("remapping", "odom:=odometry"),
        tag("remapping", "cmd_vel:=body_velocity"),
    )
    options = [
        tag("update_rate", str(5 * ODOMETRY_RATE)),
        tag("publish_rate", str(ODOMETRY_RATE)),
        tag("publish_odom", True),
        tag("publish_odom_tf", False),
        tag("odometry_frame", "map"),
        tag("robot_base_frame", f"{uav.id}/base_link"),
    ]
    return [tag("plugin", ros, *options, filename="libgazebo_ros_planar_move.so", name=f"{uav.id}_motion")]


_SIMULATORS = {"sim": _sim, "classic": _classic}
