"""What an autopilot says and what it is told, whichever it is and over whatever link: the words of the flight.

A back end (MAVLink, DDS) turns its own messages into these events, and these commands into its own messages. Times are
the autopilot's own, in ms since it started; positions are metres and velocities m/s in the drone's own NED frame unless
said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Control(Enum):
    """Who flies the vehicle, as far as a flight must know. A back end says which of its modes means which."""

    SETPOINTS = "our set-points"  # PX4's OFFBOARD, ArduPilot's GUIDED
    LAND = "its own landing"
    RETURN = "its own return"
    PILOT = "a pilot's sticks"
    ITSELF = "itself"


@dataclass(frozen=True)
class Mode:
    """A flight mode: its name, as the autopilot's own tools spell it, and who flies in it."""

    name: str
    control: Control = Control.ITSELF


UNKNOWN_MODE = Mode("another mode")


@dataclass(frozen=True)
class Firmware:
    """What differs between autopilots that a flight must know."""

    name: str
    ours: str  # the mode in which it flies our set-points, by its name
    takes_off_by_command: bool = False  # whether only a command of its own lifts it from the ground


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
    severity: int = field(default=4, compare=False)  # MAV_SEVERITY: 0 emergency, 4 warning


@dataclass(frozen=True)
class RemoteControl:
    """Whether somebody's sticks are heard: a failsafe may lead to a pilot's mode without a pilot."""

    heard: bool


@dataclass(frozen=True)
class Rivals:
    """How many others send set-points to the vehicle, where the link can tell."""

    count: int


@dataclass(frozen=True)
class Fact:
    """What else is worth telling people of the vehicle, by its name: GPS, landed or not, why a failsafe."""

    name: str
    value: str


def arming_checks(passed: bool, failing: str = "") -> Fact:
    """Whether the autopilot would arm, and what fails where that is known: else it says so in words, when asked to."""
    return Fact("arming_checks", "pass" if passed else f"fail: {failing}" if failing else "fail")


@dataclass(frozen=True)
class Acknowledgement:
    """What the autopilot says to a command; 0 accepted, else why not, in words."""

    command: type[SetMode] | type[Arm] | type[TakeOff]
    result: int
    reason: str = ""


Event = (
    Heartbeat
    | LocalPosition
    | Attitude
    | FrameOrigin
    | Estimator
    | Battery
    | RemoteControl
    | Rivals
    | StatusText
    | Fact
    | Acknowledgement
)


# --- what goes out --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SetMode:
    """Ask for the mode in which it is flown like that."""

    control: Control


@dataclass(frozen=True)
class Arm:
    """Ask to arm."""


@dataclass(frozen=True)
class TakeOff:
    """Ask to climb straight up from the ground to a height (m), where set-points do not lift it."""

    height: float


@dataclass(frozen=True)
class Request:
    """Ask for what the autopilot says only when it changes, or has not said yet."""

    what: type[LocalPosition] | type[Attitude] | type[FrameOrigin] | type[Estimator] | type[Battery]


@dataclass(frozen=True)
class Setpoint:
    """The velocity (m/s, ENU) to fly with and the heading (rad, counter-clockwise from east) to look to.

    With a `position` (m, in the drone's own NED frame) it is that position that is held, since zero velocity is no
    hold: a drone that is told 0 m/s drifts metres in half a minute.
    """

    velocity: tuple[float, float, float]
    heading: float
    position: tuple[float, float, float] | None = None


Command = SetMode | Arm | TakeOff | Request | Setpoint
