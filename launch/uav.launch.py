"""One UAV's agent on one machine: ``ros2 launch uav_twin_migration uav.launch.py uav_id:=...``."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from launch import LaunchDescription
from uav_twin_migration.deployment.launching import uav_actions

ARGUMENTS = (
    ("uav_id", None, "id of the UAV"),
    ("scenario", "", "scenario to take the UAV's values from"),
    ("params_file", "", "ROS parameter file with the UAV's values, instead of a scenario or on top of it"),
    ("use_sim_time", "false", "whether time comes from /clock"),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node comes from the plan."""
    arguments = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    return LaunchDescription([*arguments, OpaqueFunction(function=uav_actions)])
