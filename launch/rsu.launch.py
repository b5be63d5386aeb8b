"""One RSU on one machine: ``ros2 launch uav_twin_migration rsu.launch.py directory:=...``, or ``rsu_id:=...``."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from launch import LaunchDescription
from uav_twin_migration.deployment.launching import rsu_actions

ARGUMENTS = (
    ("directory", "", "what `uavtwin rsu init` wrote for this host; the other arguments are then not needed"),
    ("rsu_id", "", "id of the RSU"),
    ("scenario", "", "scenario to take the RSU's values from"),
    ("params_file", "", "ROS parameter file with the RSU's values, instead of a scenario or on top of it"),
    ("twin_store", "", "file in which it keeps twins; empty: it hosts none"),
    ("twin_keys", "", "folder of its TLS keys, made by uavtwin keys"),
    ("twin_address", "", "address at which it takes twins over from other RSUs; empty: loopback"),
    ("policy", "", "what it prices with at first: default (the shipped policy), none, untrained, or a policy's file"),
    ("use_sim_time", "false", "whether time comes from /clock"),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node comes from the plan."""
    arguments = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    return LaunchDescription([*arguments, OpaqueFunction(function=rsu_actions)])
