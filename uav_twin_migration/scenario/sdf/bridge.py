"""The ros_gz bridge of a scenario's Gazebo Sim world: time and the UAVs' motion between Gazebo and ROS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import yaml

from uav_twin_migration.scenario.model import Scenario

# The package that Gazebo's messages are called by: "gz" since Garden, "ignition" in Fortress with ROS 2 Humble.
Messages = Literal["gz", "ignition"]

CLOCK = "/gazebo/clock"  # on the ROS side; not /clock, which the pilot node publishes, less often


def bridge_yaml(scenario: Scenario, messages: Messages = "gz") -> str:
    """The parameter bridge's `config_file` for a scenario: the clock, and each UAV's odometry and velocity."""
    entries = [
        _entry("/clock", "rosgraph_msgs/msg/Clock", f"{messages}.msgs.Clock", "GZ_TO_ROS", CLOCK),
        *_uav_entries(scenario, messages),
    ]
    return yaml.safe_dump(entries, sort_keys=False)


def _uav_entries(scenario: Scenario, messages: Messages) -> Iterator[Mapping[str, str]]:
    for uav in scenario.uavs:
        topics = f"/uav/{uav.id}"
        yield _entry(f"{topics}/odometry", "nav_msgs/msg/Odometry", f"{messages}.msgs.Odometry", "GZ_TO_ROS")
        yield _entry(f"{topics}/body_velocity", "geometry_msgs/msg/Twist", f"{messages}.msgs.Twist", "ROS_TO_GZ")


def _entry(topic: str, ros_type: str, gz_type: str, direction: str, ros_topic: str = "") -> Mapping[str, str]:
    return {
        "ros_topic_name": ros_topic or topic,
        "gz_topic_name": topic,
        "ros_type_name": ros_type,
        "gz_type_name": gz_type,
        "direction": direction,
    }
