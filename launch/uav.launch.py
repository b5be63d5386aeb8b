"""One UAV's agent on one machine: ``ros2 launch uav_twin_migration uav.launch.py uav_id:=...``."""

from launch import LaunchDescription
from uav_twin_migration.deployment.launching import UAV, description, uav_actions


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node comes from the plan."""
    return description(UAV, uav_actions)
