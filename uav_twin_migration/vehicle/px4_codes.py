"""Numbers that PX4 uses in MAVLink and in its own messages alike."""

from __future__ import annotations

from uav_twin_migration.vehicle.dialect import Dialect
from uav_twin_migration.vehicle.signals import Attitude, Control, Firmware, LocalPosition, Mode

FIRMWARE = Firmware("PX4", "OFFBOARD")

MANUAL, ALTITUDE = Mode("MANUAL", Control.PILOT), Mode("ALTCTL", Control.PILOT)
POSITION, ACRO = Mode("POSCTL", Control.PILOT), Mode("ACRO", Control.PILOT)
STABILIZED, POSITION_SLOW = Mode("STABILIZED", Control.PILOT), Mode("POSITION_SLOW", Control.PILOT)
MISSION, LOITER, TAKEOFF = Mode("AUTO.MISSION"), Mode("AUTO.LOITER"), Mode("AUTO.TAKEOFF")
RETURN, LAND = Mode("AUTO.RTL", Control.RETURN), Mode("AUTO.LAND", Control.LAND)
DESCEND, TERMINATION = Mode("DESCEND"), Mode("TERMINATION")
OFFBOARD = Mode("OFFBOARD", Control.SETPOINTS)

# custom_mode: the main mode in its third byte, the sub-mode in its fourth
CUSTOM_MODES = {
    (1, 0): MANUAL,
    (2, 0): ALTITUDE,
    (3, 0): POSITION,
    (3, 2): POSITION_SLOW,
    (4, 2): TAKEOFF,
    (4, 3): LOITER,
    (4, 4): MISSION,
    (4, 5): RETURN,
    (4, 6): LAND,
    (5, 0): ACRO,
    (6, 0): OFFBOARD,
    (7, 0): STABILIZED,
    (9, 0): TERMINATION,
}
MODE_NUMBERS = {Control.SETPOINTS: (6, 0), Control.RETURN: (4, 5), Control.LAND: (4, 6)}

# VehicleStatus.nav_state
NAV_STATES = {
    0: MANUAL,
    1: ALTITUDE,
    2: POSITION,
    3: MISSION,
    4: LOITER,
    5: RETURN,
    6: POSITION_SLOW,
    10: ACRO,
    12: DESCEND,
    13: TERMINATION,
    14: OFFBOARD,
    15: STABILIZED,
    17: TAKEOFF,
    18: LAND,
}

DIALECT = Dialect(
    FIRMWARE,
    messages="common",
    modes={main << 16 | sub << 24: mode for (main, sub), mode in CUSTOM_MODES.items()},
    asked=MODE_NUMBERS,
    streams={LocalPosition: 30.0, Attitude: 30.0},
    estimator="ESTIMATOR_STATUS",
)

# answers to a command, other than 0, accepted, and 5, in progress
RESULTS = {1: "temporarily rejected", 2: "denied", 3: "unsupported", 4: "failed", 6: "cancelled"}

# GPS_FIX_TYPE, which SensorGps.fix_type shares
FIXES = {0: "no GPS", 1: "no fix", 2: "2D fix", 3: "3D fix", 4: "DGPS", 5: "RTK float", 6: "RTK fixed"}

# fields of FailsafeFlags, and what is wrong where they are set
CHECKS = {
    "angular_velocity_invalid": "body rates",
    "attitude_invalid": "attitude",
    "local_altitude_invalid": "height",
    "local_position_invalid": "local position",
    "local_velocity_invalid": "velocity",
    "global_position_invalid": "global position",
    "battery_warning": "battery",
    "battery_unhealthy": "battery's health",
    "geofence_breached": "geofence",
    "fd_critical_failure": "failure detector",
    "fd_esc_arming_failure": "motor controllers",
    "fd_motor_failure": "motors",
}
