"""The whole system in simulation: ``ros2 launch uav_twin_migration sim.launch.py``."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from launch import LaunchDescription
from uav_twin_migration.deployment.launching import sim_actions

ARGUMENTS = (
    ("scenario", "default", "scenario file, or the name of a shipped one: default, small, large"),
    ("world", "embedded", "who flies the UAVs: embedded, gazebo or px4"),
    ("gui", "true", "show Gazebo's window"),
    ("px4_dir", "", "PX4 SITL build folder to start the drones from; empty: PX4 runs already"),
    ("real_time_factor", "1.0", "simulated seconds per second, of the embedded world"),
    ("composed", "auto", "processes (one a node), compose (several nodes a process), UAV container, or auto: by size"),
    ("twins", "true", "host the UAVs' digital twins and move them"),
    ("twin_stores", "", "folder in which RSUs keep twins, for the next run, too; empty: one that goes with the run"),
    ("twin_keys", "", "folder of the RSUs' TLS keys, made by uavtwin keys; empty: plain TCP on loopback"),
    ("duration", "0.0", "simulated seconds to run, 0 for ever"),
    ("policy", "", "what RSUs price with at first: default (the shipped policy), none, untrained, or a policy's file"),
    ("record", "", "new folder to record all topics to"),
    ("train", "false", "start untrained, and learn while it runs"),
    ("learned", "", "with train: file for the newest policy"),
    ("seed", "0", "seed of everything random"),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the nodes come from the plan that `uavtwin sim` uses, too."""
    arguments = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    return LaunchDescription([*arguments, OpaqueFunction(function=sim_actions)])
