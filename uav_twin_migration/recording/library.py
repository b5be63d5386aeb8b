"""The libraries that know the formats are not in ROS distributions, and only recordings need them."""

from __future__ import annotations

from uav_twin_migration.errors import UavTwinError


def missing(requirement: str) -> UavTwinError:
    """What to do about a library that is not there."""
    return UavTwinError(f"recordings need the Python library {requirement.split('>')[0]}: pip install '{requirement}'")
