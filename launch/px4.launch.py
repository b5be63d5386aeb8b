"""PX4 drones as UAVs of a scenario: ``ros2 launch uav_twin_migration px4.launch.py vehicles:=2 px4_dir:=...``."""

from launch import LaunchDescription
from uav_twin_migration.deployment.launching import PX4, description, px4_actions


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the nodes come from the plan that `uavtwin sim --world px4` uses, too."""
    return description(PX4, px4_actions)
