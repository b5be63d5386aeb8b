"""What an autopilot says and what it is told, whichever it is and over whatever link: the words of the flight.

A back end (MAVLink, DDS) turns its own messages into these events, and these commands into its own messages. Times are
the autopilot's own, in ms since it started; positions are metres and velocities m/s in the drone's own NED frame unless
said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Mode(Enum):
    """PX4's flight modes, as its own tools spell them."""

    MANUAL = "MANUAL"
    ALTITUDE = "ALTCTL"
    POSITION = "POSCTL"
    ACRO = "ACRO"
    STABILIZED = "STABILIZED"
    MISSION = "AUTO.MISSION"
    LOITER = "AUTO.LOITER"
    RETURN = "AUTO.RTL"
    LAND = "AUTO.LAND"
    TAKEOFF = "AUTO.TAKEOFF"
    DESCEND = "DESCEND"
    TERMINATION = "TERMINATION"
    OFFBOARD = "OFFBOARD"
    OTHER = "another mode"


# the modes in which a pilot's sticks fly the vehicle
BY_HAND = (Mode.MANUAL, Mode.ALTITUDE, Mode.POSITION, Mode.ACRO, Mode.STABILIZED)


# --- what comes in --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heartbeat:
    """The autopilot lives; how it is."""

    armed: bool
    mode: Mode
    failsafe: bool = False


@dataclass(frozen=True)
class LocalPosition:
    """Position (m) and velocity (m/s) in the drone's own NED frame, `boot_time` (ms) after the autopilot's start."""

    boot_time: int
    position: tuple[float, float, float]
    velocity: tuple[float, float, float]


@dataclass(frozen=True)
class Attitude:
    """Attitude (w, x, y, z) of the FRD body in NED, body rates (rad/s)."""

    boot_time: int  # ms
    attitude: tuple[float, float, float, float]
    rates: tuple[float, float, float]


@dataclass(frozen=True)
class FrameOrigin:
    """Where the drone's own NED frame lies: degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True)
class Estimator:
    """Whether the autopilot knows where it is, with its own name for what is missing.

    LOCAL_POSITION_NED goes on for tens of seconds after the loss of GPS, tens of metres off, and does not say so.
    """

    healthy: bool
    missing: str = ""


@dataclass(frozen=True)
class Battery:
    """What is left in it, 0 to 1."""

    remaining: float


@dataclass(frozen=True)
class StatusText:
    """What the autopilot says in words: it is the only place where it tells why it does not arm."""

    text: str


@dataclass(frozen=True)
class Acknowledgement:
    """What the autopilot says to a command; 0 accepted, else why not, in words."""

    command: type[SetMode] | type[Arm]
    result: int
    reason: str = ""


Event = Heartbeat | LocalPosition | Attitude | FrameOrigin | Estimator | Battery | StatusText | Acknowledgement


# --- what goes out --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SetMode:
    """Ask for a flight mode."""

    mode: Mode


@dataclass(frozen=True)
class Arm:
    """Ask to arm."""


@dataclass(frozen=True)
class Request:
    """Ask for what the autopilot says only when it changes, or has not said yet."""

    what: type[FrameOrigin] | type[Estimator] | type[Battery]


@dataclass(frozen=True)
class Setpoint:
    """The velocity (m/s, ENU) to fly with and the heading (rad, counter-clockwise from east) to look to.

    With a `position` (m, in the drone's own NED frame) it is that position that is held, since zero velocity is no
    hold: a drone that is told 0 m/s drifts metres in half a minute.
    """

    velocity: tuple[float, float, float]
    heading: float
    position: tuple[float, float, float] | None = None


Command = SetMode | Arm | Request | Setpoint
