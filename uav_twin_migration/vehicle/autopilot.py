"""How a PX4 drone is taken through a flight: a state machine without I/O. It knows neither MAVLink nor DDS nor ROS.

Theory of operation
-------------------
The autopilot flies; we may only ask. What counts is what its heartbeat *says*, never what we have asked for: a command
is repeated until the heartbeat shows its effect, and acknowledgements only explain why it does not (PX4 sends several
for one command, and accepts mode changes that it cannot fly yet).

PX4 wants set-points before it accepts OFFBOARD and arms, and takes the vehicle back (a *failsafe*) when they stop. So
set-points stream in every phase in which we command or are about to, and in no other. The way through a flight:

    SILENT -> NOT_READY -> IDLE -> STARTING -> FLYING -> LANDING -> IDLE
       ^          ^                   |          |
       +----------+--- REFUSED <------+          +--> TAKEN_OVER

Two rules keep it safe. *Nothing arms unless asked*: only `fly()` (or `auto_arm`, once) leads to STARTING, and arming
that is refused too often ends in REFUSED. *Nobody is overruled*: once the vehicle has left our mode by itself or by
another's will (a failsafe, a pilot with a transmitter, a ground station), we stop commanding, say so, and go on only
when `fly()` is called again. The same holds after a restart of the autopilot and after a silent link, unless the
vehicle still follows when the link is back.

Everything that changes the phase is in this file. Times are seconds of any monotonic clock; positions are metres and
velocities m/s in the scenario's frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.scenario.model import Origin, Uav
from uav_twin_migration.vehicle.frames import (
    LocalFrame,
    TangentPlane,
    attitude_to_ros,
    frd_to_flu,
    ned_to_enu,
)
from uav_twin_migration.vehicle.motion import Pilot, limited, routes_of

Array = NDArray[np.float64]

PERIOD = 0.04  # s between two steps: 25 Hz, of which PX4 needs 2 at least
LINK_TIMEOUT = 3.0  # s without a heartbeat after which the link is silent; PX4 sends one a second
REPEAT_AFTER = 1.0  # s after which a command without effect is given again
ATTEMPTS = 10  # times that OFFBOARD or arming is asked for, until it counts as refused
LEAD = 1.0  # s of set-points before OFFBOARD is asked for
RESTART_STEP = 2_000  # ms by which the autopilot's clock must go back to mean a restart and not a late message


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


class Phase(Enum):
    """Where in a flight we are; the value is a word for people."""

    SILENT = "silent"  # no heartbeat
    NOT_READY = "not ready"  # heartbeats, but no position yet: no GPS, or the estimator still converges
    IDLE = "idle"  # ready, on the ground or hovering by itself; nobody asked us to fly
    STARTING = "starting"  # set-points stream; OFFBOARD and arming are asked for
    FLYING = "flying"  # the vehicle follows our set-points
    LANDING = "landing"  # the autopilot lands it, as we asked
    TAKEN_OVER = "taken over"  # someone else commands: a failsafe, a pilot, a ground station
    REFUSED = "refused"  # OFFBOARD or arming was refused too often


COMMANDING = (Phase.STARTING, Phase.FLYING)


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
class Acknowledgement:
    """What the autopilot says to a command; 0 accepted, else why not, in words."""

    command: type[SetMode] | type[Arm]
    result: int
    reason: str = ""


Event = Heartbeat | LocalPosition | Attitude | FrameOrigin | Acknowledgement


# --- what goes out --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SetMode:
    """Ask for a flight mode."""

    mode: Mode


@dataclass(frozen=True)
class Arm:
    """Ask to arm."""


@dataclass(frozen=True)
class Setpoint:
    """The velocity (m/s, ENU) to fly with and the heading (rad, counter-clockwise from east) to look to."""

    velocity: tuple[float, float, float]
    heading: float


Command = SetMode | Arm | Setpoint


@dataclass(frozen=True)
class Odometry:
    """A drone in the scenario's frame, as nav_msgs/Odometry wants it."""

    position: Array  # [3] m, ENU
    attitude: Array  # [4] (w, x, y, z), FLU in ENU
    velocity: Array  # [3] m/s, ENU
    rates: Array  # [3] rad/s, FLU


class Autopilot:
    """One drone's flight. Feed it with `receive`, call `step` every `PERIOD`, send what it returns.

    Attributes:
        phase: where in the flight it is.
        reason: why, in words for people; empty where it goes without saying.
        dropped: messages that were older than one already seen.
    """

    def __init__(self, uav: Uav, origin: Origin, *, auto_arm: bool = False) -> None:
        """`auto_arm` asks to fly as soon as the vehicle is ready for the first time."""
        self.phase, self.reason, self.dropped = Phase.SILENT, "", 0
        self._uav = uav
        self._plane = TangentPlane(origin)
        self._pilot = Pilot(routes_of([uav]))
        self._heading = 0.0
        self._asked = auto_arm  # whether someone wants it to fly
        self._holding = False
        self._steering = np.zeros(3)
        self._steered_until = -np.inf
        self._interrupted: Phase | None = None  # the phase in which the link fell silent
        self._confirmed = False  # whether the vehicle has been seen in the mode that the phase is about
        self._repeat_at = -np.inf  # s, when the phase's command is given again
        self._attempts = 0
        self._refusal = ""
        self._stepped_at: float | None = None
        self._beat_at = -np.inf
        self._forget_vehicle()

    def _forget_vehicle(self) -> None:
        """What is known of the vehicle ends with the link and with a restart of the autopilot."""
        self._beat: Heartbeat | None = None
        self._frame: LocalFrame | None = None
        self._local: LocalPosition | None = None
        self._local_at = -np.inf
        self._attitude: Attitude | None = None

    # --- what people ask for ---

    def fly(self) -> None:
        """Take off where need be, take control, follow the route. Also ends a hold, a refusal and a take-over."""
        self._asked, self._holding = True, False
        if self.phase in (Phase.REFUSED, Phase.TAKEN_OVER, Phase.LANDING):
            self._enter(Phase.IDLE, "told to fly")

    def hold(self) -> None:
        """Stop in the air and stay there, under our command, until told to fly."""
        self._holding = True

    def steer(self, velocity: Sequence[float], until: float) -> None:
        """Let someone else than the pilot give the velocity [3] (m/s, ENU) until a time, within its limit."""
        if np.isfinite(velocity).all():
            self._steering = limited(velocity, self._uav.speed)
            self._steered_until = until

    def land(self) -> None:
        """Land here, by the autopilot's own means."""
        self._asked = False
        if self.phase in COMMANDING:
            self._enter(Phase.LANDING, "told to land")

    # --- what the autopilot says ---

    def receive(self, event: Event, now: float) -> None:
        """Take in one message."""
        if isinstance(event, Heartbeat):
            self._beat, self._beat_at = event, now
        elif isinstance(event, LocalPosition):
            self._receive_position(event, now)
        elif isinstance(event, Attitude):
            if self._attitude is not None and event.boot_time < self._attitude.boot_time:
                self.dropped += 1
            else:
                self._attitude = event
        elif isinstance(event, FrameOrigin):
            self._frame = LocalFrame(self._plane, event.latitude, event.longitude)
        elif event.result != 0:
            self._refusal = event.reason or f"result {event.result}"

    def _receive_position(self, event: LocalPosition, now: float) -> None:
        last = self._local
        if last is not None and event.boot_time < last.boot_time - RESTART_STEP:
            self._forget_vehicle()
            self._give_up(Phase.NOT_READY, "the autopilot has restarted")
        elif last is not None and event.boot_time <= last.boot_time:
            self.dropped += 1
            return
        self._local, self._local_at = event, now

    def odometry(self, now: float) -> Odometry | None:
        """Where the drone is; None while that is not known, or was not for `LINK_TIMEOUT`."""
        if self._local is None or self._frame is None or self._attitude is None or now - self._local_at > LINK_TIMEOUT:
            return None
        return Odometry(
            self._frame.to_scenario(self._local.position),
            attitude_to_ros(self._attitude.attitude),
            ned_to_enu(self._local.velocity),
            frd_to_flu(self._attitude.rates),
        )

    # --- the flight ---

    def step(self, now: float) -> list[Command]:
        """Go on with the flight; returns what to send now."""
        elapsed = 0.0 if self._stepped_at is None else min(now - self._stepped_at, 4 * PERIOD)
        self._stepped_at = now
        if now - self._beat_at > LINK_TIMEOUT:
            self._fall_silent()
        if self._beat is None:
            return []
        commands = self._go_on(self._beat, now)
        if self.phase in COMMANDING:
            commands.append(self._setpoint(now, elapsed))
        return commands

    def _fall_silent(self) -> None:
        if self.phase is not Phase.SILENT:
            self._interrupted = self.phase
            self._forget_vehicle()
            self._enter(Phase.SILENT, f"no heartbeat for {LINK_TIMEOUT:g} s")

    def _go_on(self, beat: Heartbeat, now: float) -> list[Command]:
        """Move on to the phase that the last heartbeat calls for; returns the commands that lead further."""
        if self.phase is Phase.SILENT:
            self._enter(Phase.NOT_READY, "heartbeats arrive")
        if self.phase is Phase.NOT_READY and self.odometry(now) is not None:
            self._become_ready(beat)
        if self.phase is Phase.IDLE and self._asked:
            self._refusal, self._attempts = "", 0
            self._enter(Phase.STARTING, repeat_at=now + LEAD)
        if self.phase is Phase.STARTING:
            return self._start(beat, now)
        if self.phase is Phase.FLYING:
            self._watch(beat)
        elif self.phase is Phase.LANDING:
            return self._land(beat, now)
        elif self.phase is Phase.TAKEN_OVER and not beat.armed:
            self._give_up(Phase.IDLE, "disarmed while others commanded")
        return []

    def _become_ready(self, beat: Heartbeat) -> None:
        """All about the vehicle is known, for the first time or again. Go on only with what it is doing anyway."""
        before, self._interrupted = self._interrupted, None
        if beat.armed and beat.mode is Mode.OFFBOARD and before is Phase.FLYING:
            self._enter(Phase.FLYING, "the link is back and the vehicle still follows")
        elif beat.armed:
            self._give_up(Phase.TAKEN_OVER, f"found armed in {beat.mode.value}")
        elif before in (Phase.STARTING, Phase.FLYING, Phase.LANDING, Phase.TAKEN_OVER):
            self._give_up(Phase.IDLE, "the link is back and the vehicle disarmed")
        else:
            self._enter(Phase.IDLE)

    def _start(self, beat: Heartbeat, now: float) -> list[Command]:
        """Ask for OFFBOARD, then for arming, each until the heartbeat shows it."""
        if self._left(Mode.OFFBOARD, beat):
            self._give_up(Phase.TAKEN_OVER, f"somebody switched to {beat.mode.value}")
        elif beat.mode is Mode.OFFBOARD and beat.armed:
            self._enter(Phase.FLYING)
        elif now >= self._repeat_at and self._attempts == ATTEMPTS:
            asked_for = "arming" if beat.mode is Mode.OFFBOARD else "OFFBOARD"
            self._give_up(Phase.REFUSED, f"{asked_for} refused: {self._refusal or 'no answer'}")
        elif now >= self._repeat_at:
            self._attempts += 1
            self._repeat_at = now + REPEAT_AFTER
            return [Arm() if beat.mode is Mode.OFFBOARD else SetMode(Mode.OFFBOARD)]
        return []

    def _watch(self, beat: Heartbeat) -> None:
        """Stop commanding when the vehicle no longer follows."""
        if not beat.armed:
            self._give_up(Phase.IDLE, "the vehicle disarmed")
        elif beat.mode is not Mode.OFFBOARD:
            who = "a failsafe" if beat.failsafe else "a failsafe or somebody else"
            self._give_up(Phase.TAKEN_OVER, f"{who} switched to {beat.mode.value}; waiting to be told to fly")

    def _land(self, beat: Heartbeat, now: float) -> list[Command]:
        """Ask for the landing mode until the heartbeat shows it, then wait for the ground."""
        if not beat.armed:
            self._enter(Phase.IDLE, "landed")
        elif self._left(Mode.LAND, beat):
            self._give_up(Phase.TAKEN_OVER, f"somebody switched to {beat.mode.value}")
        elif not self._confirmed and now >= self._repeat_at:
            self._repeat_at = now + REPEAT_AFTER
            return [SetMode(Mode.LAND)]
        return []

    def _left(self, mode: Mode, beat: Heartbeat) -> bool:
        """Whether the vehicle has been in `mode` in this phase and is no longer."""
        self._confirmed = self._confirmed or beat.mode is mode
        return self._confirmed and beat.mode is not mode

    def _setpoint(self, now: float, elapsed: float) -> Setpoint:
        """The pilot's next velocity. It stays put until the vehicle flies and when positions grow old."""
        odometry = self.odometry(now)
        stay = self.phase is not Phase.FLYING or self._holding or odometry is None
        position = np.full(3, np.nan) if odometry is None else odometry.position
        velocity = self._pilot.step(position[None, :], elapsed, np.inf if stay else now - self._local_at)[0]
        if now < self._steered_until and not stay:
            velocity = self._steering
            self._pilot.command = velocity[None, :]
        if np.hypot(velocity[0], velocity[1]) > 1:
            self._heading = float(np.arctan2(velocity[1], velocity[0]))
        east, north, up = map(float, velocity)
        return Setpoint((east, north, up), self._heading)

    def _enter(self, phase: Phase, reason: str = "", repeat_at: float = -np.inf) -> None:
        self.phase, self.reason, self._repeat_at, self._confirmed = phase, reason, repeat_at, False

    def _give_up(self, phase: Phase, reason: str) -> None:
        """Enter a phase from which only being told to fly leads on."""
        self._asked = False
        self._enter(phase, reason)
