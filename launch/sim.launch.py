"""The whole system in simulation: ``ros2 launch uav_twin_migration sim.launch.py``."""

from launch import LaunchDescription
from uav_twin_migration.deployment.launching import description, sim_actions
from uav_twin_migration.deployment.options import SCENARIO, SIM


def generate_launch_description() -> LaunchDescription:
    """Its arguments are those of `uavtwin sim`."""
    return description((SCENARIO, *SIM), sim_actions)
