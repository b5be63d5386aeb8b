"""PX4's own reasons over MAVLink: its events, by which it tells what STATUSTEXT tells ground stations only.

An event is a number, made of its name (libevents of mavlink.io), and arguments; what it means, the vehicle's own
metadata would tell. Of all its events these are those that refuse arming, take a vehicle over or warn in flight, in our
words. pymavlink 2.4 does not know the message (EVENT, 410), so its layout is here, too.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar

from pymavlink.dialects.v20 import common

WARNING = 4  # of the external log level, the lower half of log_levels; less is worse
LEVELS = 0x0F
AUTOPILOT = 1 << 24  # the component, in an event's number

DENIED = "arming denied: "
WORDS = {
    "commander_arm_denied_calibrating": DENIED + "it is being calibrated",
    "commander_arm_denied_throttle_center": DENIED + "the throttle is above its centre",
    "commander_arm_denied_throttle_high": DENIED + "the throttle is high",
    "commander_arm_denied_not_manual": DENIED + "not in a manual mode",
    "commander_arm_denied_resolve_failures": DENIED + "its checks fail",
    "commander_modeswitch_not_avail": "it cannot switch to that mode now",
    "commander_gcs_lost": "ground station lost",
    "commander_mission_comp_lost": "companion computer lost",
    "commander_low_bat_shutdown": "battery dangerously low",
    "commander_failsafe_enter": "failsafe",
    "commander_failsafe_enter_hold": "failsafe soon",
    "commander_failsafe_enter_generic": "failsafe",
    "commander_failsafe_enter_generic_hold": "failsafe soon",
    "commander_failsafe_enter_generic_warn": "failsafe warning",
    "commander_failsafe_enter_autopilot_disengaged": "failsafe: into a pilot's mode",
    "commander_failsafe_enter_warn": "failsafe warning",
    "commander_failsafe_enter_low_bat": "battery low",
    "commander_failsafe_enter_crit_bat_warn": "battery critical",
    "commander_failsafe_enter_crit_low_bat_warn": "battery at its emergency level",
    "commander_failsafe_enter_low_flight_time_warn": "little flight time left",
    "check_accel_missing": "no accelerometer",
    "check_accel_not_calibrated": "accelerometer not calibrated",
    "check_baro_missing": "no barometer",
    "check_battery_missing": "no battery",
    "check_battery_fault": "battery at fault",
    "check_battery_low": "battery low",
    "check_battery_critical": "battery critical",
    "check_battery_unhealthy": "battery unhealthy",
    "check_estimator_heading_not_stable": "heading not stable",
    "check_estimator_hor_vel_not_stable": "horizontal velocity not stable",
    "check_estimator_hor_pos_not_stable": "horizontal position not stable",
    "check_estimator_hgt_not_stable": "height not stable",
    "check_estimator_mag_interference": "strong magnetic interference",
    "check_estimator_gnss_fusion_stopped": "GPS no longer used",
    "check_estimator_gps_fix_too_low": "no GPS fix",
    "check_estimator_gps_num_sats_too_low": "too few satellites",
    "check_estimator_gps_spoofed": "GPS spoofed",
    "check_estimator_gps_not_fusing": "GPS not used",
    "check_estimator_gps_generic": "poor GPS",
    "check_estimator_low_position_accuracy": "position of low accuracy",
    "check_estimator_position_failure_imminent": "position about to be lost",
    "check_failure_detector_motor": "motor failed",
    "check_failure_detector_arm_esc": "motor controller failed",
    "check_gf_violation_custom_gf": "its geofence is violated",
    "check_gf_violation_max_hor_dist": "its geofence is violated: too far",
    "check_gf_violation_max_alt": "its geofence is violated: too high",
    "check_gyro_missing": "no gyroscope",
    "check_gyro_not_calibrated": "gyroscope not calibrated",
    "check_mag_missing": "no compass",
    "check_mag_not_calibrated": "compass not calibrated",
    "check_man_control_kill_engaged": "kill switch engaged",
    "check_modes_local_pos": "no valid position",
    "check_modes_global_pos": "no valid global position",
    "check_modes_local_alt": "no valid height",
    "check_modes_attitude": "no valid attitude",
    "check_modes_manual_control": "no sticks are heard",
    "check_modes_offboard_signal": "no set-points",
    "check_rc_dl_no_dllink": "no ground station",
    "check_system_flight_term_active": "flight terminated",
    "check_system_safety_button": "its safety button has to be pressed",
}
CAUSES = {1: "sticks lost", 2: "ground station lost", 3: "battery low", 4: "battery critical", 5: "battery empty"}
CAUSE_AT = {"commander_failsafe_enter": 5, "commander_failsafe_enter_hold": 7}  # bytes of arguments before the cause


def number(name: str) -> int:
    """An event's number: 24 bits of its name's FNV-1a hash."""
    value = 0x811C9DC5
    for letter in name.encode("ascii"):
        value = (value ^ letter) * 0x01000193 & 0xFFFFFFFF
    return value & 0xFFFFFF | AUTOPILOT


NAMES = {number(name): name for name in WORDS}


def words(event: int, log_levels: int, arguments: bytes) -> str:
    """What an event tells, for people; empty where it is no warning, or not one of these."""
    name = NAMES.get(event, "")
    if not name or log_levels & LEVELS > WARNING:
        return ""
    place = CAUSE_AT.get(name, len(arguments))
    cause = CAUSES.get(arguments[place], "") if place < len(arguments) else ""
    return f"{WORDS[name]}: {cause}" if cause else WORDS[name]


class EventMessage(common.MAVLink_message):  # type: ignore[misc]
    """EVENT, as pymavlink would make it of the definitions."""

    id, msgname, crc_extra = 410, "EVENT", 160
    fieldnames: ClassVar[list[str]] = [
        *("event", "event_time_boot_ms", "sequence", "destination_component", "destination_system"),
        *("log_levels", "arguments"),
    ]
    orders: ClassVar[list[int]] = list(range(7))
    lengths: ClassVar[list[int]] = [1] * 7
    unpacker = struct.Struct("<IIHBBB40s")

    def __init__(self, *fields: Any) -> None:
        super().__init__(self.id, self.msgname)
        self._fieldnames = self.fieldnames
        for name, value in zip(self.fieldnames, fields, strict=True):
            setattr(self, name, value)
