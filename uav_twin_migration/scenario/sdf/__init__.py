"""A scenario as a Gazebo world (SDF) and the bridge between that world and ROS."""

from uav_twin_migration.scenario.sdf.bridge import CLOCK, bridge_yaml
from uav_twin_migration.scenario.sdf.world import Gazebo, world_name, world_sdf

__all__ = ["CLOCK", "Gazebo", "bridge_yaml", "world_name", "world_sdf"]
