"""Kinds of machines, and where ROS 2 is to be had for them. Standard library only: the set-up asks, too."""

from __future__ import annotations

WITH_WHEELS = ("x86_64", "AMD64")  # as `uname -m` has it: PyPI has ROS 2 for these
WITHOUT_WHEELS = "two ways exist: Ubuntu with ROS 2 from apt (ros-jazzy-ros-base), sourced; or the container of deploy/"


def lacks_wheels(machine: str) -> str:
    """What to say of a machine for which PyPI has no ROS 2; empty where it has."""
    return "" if machine in WITH_WHEELS else f"{machine}: PyPI has no ROS 2 for it"
