"""Starts PX4 in software (SITL) for a UAV of a scenario: headless, with PX4's built-in quadrotor (SIH)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.model import Origin, Uav
from uav_twin_migration.vehicle.frames import TangentPlane

AIRFRAME = "10040"  # sihsim_quadx
MOST_INSTANCES = 250  # MAVLink system ids end at 255
LAST_OWN_PORT = 9  # PX4 instances above share one remote port
OWN_PORTS = 15040  # UDP, plus the instance: where we listen to those


def address(instance: int) -> str:
    """Where an instance's onboard MAVLink link is to be found, by PX4's own rule.

    Above instance 9, PX4 sends to whoever has spoken first: from a port that is always the same, so that a node that
    starts anew is heard and hears again.
    """
    local = 14540 + instance if instance <= LAST_OWN_PORT else OWN_PORTS + instance
    return f"udp://127.0.0.1:{local}?to=127.0.0.1:{14580 + instance}"


def system_id(instance: int) -> int:
    """The MAVLink system id of an instance."""
    return instance + 1


def dds_namespace(instance: int) -> str:
    """The namespace of an instance's own topics."""
    return f"/px4_{instance}" if instance else ""


class Sitl(NamedTuple):
    """How to start one instance."""

    command: list[str]
    environment: Mapping[str, str]


def sitl(px4_dir: str, instance: int, uav: Uav, origin: Origin) -> Sitl:
    """One PX4 instance that stands below the UAV's first waypoint.

    Raises:
        InputError: `px4_dir` is no build of PX4 for SITL.
    """
    build = Path(px4_dir).expanduser().resolve()
    program = build / "bin" / "px4"
    if not os.access(program, os.X_OK):
        raise InputError("options", "px4_dir", px4_dir, "a build folder of PX4 SITL, with bin/px4 and etc in it")
    latitude, longitude, _ = TangentPlane(origin).to_geodetic((*uav.route[0], 0.0))
    environment = {
        "PX4_SYS_AUTOSTART": AIRFRAME,
        "PX4_SIM_MODEL": "sihsim_quadx",
        "PX4_SIMULATOR": "sihsim",
        "PX4_HOME_LAT": f"{latitude:.9f}",
        "PX4_HOME_LON": f"{longitude:.9f}",
        "PX4_HOME_ALT": f"{origin.altitude:.3f}",
    }
    return Sitl([str(program), "-i", str(instance), "-d", str(build / "etc")], environment)
