"""PX4 drones as UAVs of a scenario: ``ros2 launch uav_twin_migration px4.launch.py vehicles:=2 px4_dir:=...``."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from launch import LaunchDescription
from uav_twin_migration.deployment.launching import px4_actions

ARGUMENTS = (
    ("scenario", "default", "scenario file, or the name of a shipped one: default, small, large"),
    ("vehicles", "0", "how many of the scenario's UAVs are drones, from the first on; 0: all"),
    ("first_instance", "0", "PX4 instance of the first one: its ports and its system id follow"),
    ("link", "mavlink", "how to speak with PX4: mavlink (over UDP) or dds (needs px4_msgs and the agent)"),
    ("px4_dir", "", "PX4 SITL build folder to start an instance a UAV from; empty: PX4 runs already"),
    ("auto_arm", "", "take off without being asked: true or false; empty: only drones that px4_dir starts"),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the nodes come from the plan that `uavtwin sim --world px4` uses, too."""
    arguments = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    return LaunchDescription([*arguments, OpaqueFunction(function=px4_actions)])
