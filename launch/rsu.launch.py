"""One RSU on one machine: ``ros2 launch uav_twin_migration rsu.launch.py directory:=...``, or ``rsu_id:=...``."""

from launch import LaunchDescription
from uav_twin_migration.deployment.launching import RSU, description, rsu_actions


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node comes from the plan."""
    return description(RSU, rsu_actions)
