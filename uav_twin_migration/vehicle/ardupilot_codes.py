"""Numbers that ArduPilot's Copter uses in MAVLink (ArduPilot's documentation, "Copter Commands in Guided Mode")."""

from __future__ import annotations

from uav_twin_migration.vehicle.dialect import Dialect
from uav_twin_migration.vehicle.signals import (
    Attitude,
    Battery,
    Control,
    Estimator,
    Firmware,
    LocalPosition,
    Mode,
)

FIRMWARE = Firmware("ArduPilot", "GUIDED", takes_off_by_command=True)

BY_HAND = {
    0: "STABILIZE",
    1: "ACRO",
    2: "ALT_HOLD",
    5: "LOITER",
    11: "DRIFT",
    13: "SPORT",
    14: "FLIP",
    15: "AUTOTUNE",
    16: "POSHOLD",
    22: "FLOWHOLD",
    24: "ZIGZAG",
    26: "AUTOROTATE",
    28: "TURTLE",
}
BY_ITSELF = {
    3: "AUTO",
    7: "CIRCLE",
    17: "BRAKE",
    18: "THROW",
    19: "AVOID_ADSB",
    20: "GUIDED_NOGPS",
    23: "FOLLOW",
    25: "SYSTEMID",
    27: "AUTO_RTL",
}
MODES = {
    4: Mode("GUIDED", Control.SETPOINTS),
    6: Mode("RTL", Control.RETURN),
    9: Mode("LAND", Control.LAND),
    21: Mode("SMART_RTL", Control.RETURN),
    **{number: Mode(name, Control.PILOT) for number, name in BY_HAND.items()},
    **{number: Mode(name) for number, name in BY_ITSELF.items()},
}

DIALECT = Dialect(
    FIRMWARE,
    messages="ardupilotmega",
    modes=MODES,
    asked={Control.SETPOINTS: (4,), Control.RETURN: (6,), Control.LAND: (9,)},
    # it sends next to nothing before it is asked to
    streams={LocalPosition: 30.0, Attitude: 30.0, Estimator: 2.0, Battery: 1.0},
    estimator="EKF_STATUS_REPORT",
)
