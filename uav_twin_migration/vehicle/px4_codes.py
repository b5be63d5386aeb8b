"""Numbers that PX4 uses in MAVLink and in its own messages alike."""

from __future__ import annotations

from uav_twin_migration.vehicle.signals import Mode

# PX4's custom_mode: the main mode in its third byte, the sub-mode in its fourth
CUSTOM_MODES = {
    (1, 0): Mode.MANUAL,
    (2, 0): Mode.ALTITUDE,
    (3, 0): Mode.POSITION,
    (4, 2): Mode.TAKEOFF,
    (4, 3): Mode.LOITER,
    (4, 4): Mode.MISSION,
    (4, 5): Mode.RETURN,
    (4, 6): Mode.LAND,
    (5, 0): Mode.ACRO,
    (6, 0): Mode.OFFBOARD,
    (7, 0): Mode.STABILIZED,
}
MODE_NUMBERS = {mode: numbers for numbers, mode in CUSTOM_MODES.items()}

# answers to a command, other than 0, accepted, and 5, in progress
RESULTS = {1: "temporarily rejected", 2: "denied", 3: "unsupported", 4: "failed", 6: "cancelled"}
