"""How a drone is taken through a flight: a state machine without I/O. It knows neither MAVLink nor DDS nor ROS.

Theory of operation
-------------------
The autopilot flies; we may only ask. What counts is what its heartbeat *says*, never what we have asked for: a command
is repeated until the heartbeat shows its effect, and acknowledgements only explain why it does not (PX4 sends several
for one command, and accepts mode changes that it cannot fly yet).

PX4 wants set-points before it accepts OFFBOARD and arms, and takes the vehicle back (a *failsafe*) when they stop. So
set-points stream in every phase in which we command or are about to, and in no other. The way through a flight:

    SILENT -> NOT_READY -> IDLE -> STARTING -> CLIMBING -> FLYING -> LANDING, RETURNING -> IDLE
       ^          ^                   |           |          |
       +----------+--- REFUSED <------+           +----------+--> TAKEN_OVER

What the autopilot says once, or not yet, is asked for once a second: PX4 tells its origin only when that changes.

Rules that keep it safe. *Nothing arms unless asked*: only an order (or `auto_arm`, once) leads to STARTING, an order is
good for `ORDER_HOLDS` seconds, and arming that is refused too often ends in REFUSED. *Up first*: it climbs straight up
to a safe height before it goes anywhere. *Nobody is overruled*: once the vehicle has left our mode by itself or by
another's will (a failsafe, a pilot with a transmitter, a ground station), we stop commanding, say so, and go on only
when told again; while a pilot's sticks fly it, every order is answered with no. The same holds after a restart of the
autopilot and after a silent link, unless the vehicle still follows when the link is back. *Orders are answered with
what is true*: yes where something will happen, else no, and why.

Everything that changes the phase is in this file. Times are seconds of any monotonic clock; positions are metres and
velocities m/s in the scenario's frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uav_twin_migration.scenario.model import Origin, Uav
from uav_twin_migration.vehicle.flight_limits import Fence, FlightLimits, nearest
from uav_twin_migration.vehicle.frames import LocalFrame, TangentPlane, attitude_to_ros, frd_to_flu, ned_to_enu
from uav_twin_migration.vehicle.motion import Pilot, limited, routes_of
from uav_twin_migration.vehicle.signals import (
    BY_HAND,
    Acknowledgement,
    Arm,
    Attitude,
    Battery,
    Command,
    Estimator,
    Event,
    FrameOrigin,
    Heartbeat,
    LocalPosition,
    Mode,
    Request,
    SetMode,
    Setpoint,
    StatusText,
)

Array = NDArray[np.float64]

PERIOD = 0.04  # s between two steps: 25 Hz, of which PX4 needs 2 at least
LINK_TIMEOUT = 3.0  # s without a heartbeat after which the link is silent; PX4 sends one a second
POSE_TIMEOUT = 1.0  # s after which a position is no longer one
STATUS_TIMEOUT = 5.0  # s after which what was said of estimator and battery has to be said again
REPEAT_AFTER = 1.0  # s after which a command without effect, or a request without answer, is given again
ATTEMPTS = 10  # times that OFFBOARD or arming is asked for, until it counts as refused
LEAD = 1.0  # s of set-points before OFFBOARD is asked for
ORDER_HOLDS = 2.0  # s within which an order must have begun
RESTART_STEP = 2_000  # ms by which the autopilot's clock must go back to mean a restart and not a late message
NEAR_HEIGHT = 1.0  # m below the safe height at which the climb is over
AT_REST = 0.5  # m/s below which a hold is one of position
OFF_COURSE = 4.0  # m/s between what is commanded and what is flown that somebody else's set-points would explain
OFF_COURSE_FOR = 4.0  # s of it until it is said
SEEN_FOR = 2.0  # s that another drone's position counts


class Phase(Enum):
    """Where in a flight we are; the value is a word for people."""

    SILENT = "silent"  # no heartbeat
    NOT_READY = "not ready"  # heartbeats, but no position yet: no GPS, or the estimator still converges
    IDLE = "idle"  # ready, on the ground or hovering by itself; nobody asked us to fly
    STARTING = "starting"  # set-points stream; OFFBOARD and arming are asked for
    CLIMBING = "climbing"  # straight up to the safe height
    FLYING = "flying"  # the vehicle follows our set-points
    LANDING = "landing"  # the autopilot lands it, as we asked
    RETURNING = "returning"  # the autopilot brings it back, as we asked
    TAKEN_OVER = "taken over"  # someone else commands: a failsafe, a pilot, a ground station
    REFUSED = "refused"  # OFFBOARD or arming was refused too often


STEERED = (Phase.CLIMBING, Phase.FLYING)
COMMANDING = (Phase.STARTING, *STEERED)
LEFT_TO = {Phase.LANDING: Mode.LAND, Phase.RETURNING: Mode.RETURN}  # whose flying is the autopilot's, as we asked


class Answer(NamedTuple):
    """Whether an order is carried out, and what happens or why not."""

    ok: bool
    message: str


@dataclass(frozen=True)
class Odometry:
    """A drone in the scenario's frame, as nav_msgs/Odometry wants it."""

    position: Array  # [3] m, ENU
    attitude: Array  # [4] (w, x, y, z), FLU in ENU
    velocity: Array  # [3] m/s, ENU
    rates: Array  # [3] rad/s, FLU
    time: float  # s, when it was heard


class Autopilot:
    """One drone's flight. Feed it with `receive`, call `step` every `PERIOD`, send what it returns.

    Attributes:
        phase: where in the flight it is.
        reason: why, in words for people; empty where it goes without saying.
        warning: what is odd about the flight that goes on all the same; empty: nothing.
        dropped: messages that were older than one already seen.
    """

    def __init__(
        self,
        uav: Uav,
        origin: Origin,
        *,
        auto_arm: bool = False,
        limits: FlightLimits | None = None,
        fence: Fence | None = None,
    ) -> None:
        """`auto_arm` asks to fly as soon as the vehicle is fit to, for the first time."""
        self.phase, self.reason, self.warning, self.dropped = Phase.SILENT, "", "", 0
        self._uav, self._limits = uav, limits or FlightLimits()
        self._fence = fence or Fence.around_route(uav, self._limits.fence_margin)
        self._safe_height = min(self._limits.safe_height, uav.altitude)
        self._plane = TangentPlane(origin)
        self._pilot = self._climber = Pilot(routes_of([uav]))
        self._heading = 0.0
        self._auto_arm = auto_arm
        self._asked_until = -np.inf  # s, until when an order to fly counts
        self._holding = False
        self._held: tuple[float, float, float] | None = None  # m, NED, where it holds
        self._steering = np.zeros(3)
        self._steered_until = -np.inf
        self._others: dict[str, tuple[Array, float]] = {}  # other drones: position, until when it counts
        self._interrupted: Phase | None = None  # the phase in which the link fell silent
        self._confirmed = False  # whether the vehicle has been seen in the mode that the phase is about
        self._mode_before = Mode.OTHER  # the vehicle's when the phase began
        self._once = False  # whether the phase's command is given once only: others command
        self._repeat_at = -np.inf  # s, when the phase's command is given again
        self._attempts = 0
        self._refusal = ""
        self._said = ""  # the autopilot's last words
        self._off_course_since: float | None = None
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
        self._estimator, self._estimator_at = Estimator(False, "it has not said so"), -np.inf
        self._battery, self._battery_at = Battery(np.nan), -np.inf
        self._asked_at: dict[type, float] = {}  # when it was asked for what it has not said

    # --- what people ask for ---

    def fly(self, now: float) -> Answer:
        """Take off where need be, take control, follow the route. Also ends a hold, a refusal and a take-over."""
        return self._go(now, holding=False)

    def takeoff(self, now: float) -> Answer:
        """Take off, take control, and hold at the safe height, or where it is in the air."""
        return self._go(now, holding=True)

    def _go(self, now: float, holding: bool) -> Answer:
        why_not = self._by_hand() or self._unfit(now)
        if why_not:
            return Answer(False, why_not)
        self._holding = holding
        if self.phase in STEERED:
            return Answer(True, "holds" if holding else "flies its route")
        if self.phase is not Phase.STARTING:
            self._asked_until = now + ORDER_HOLDS
            self._enter(Phase.IDLE, "told to fly")
        return Answer(True, "takes off" if self._beat and not self._beat.armed else "takes control")

    def hold(self, now: float) -> Answer:
        """Stop in the air and stay there, under our command, until told to fly."""
        if self.phase not in STEERED:
            return Answer(False, f"cannot hold: {self.describe(now)}")
        self._holding = True
        return Answer(True, "holds")

    def land(self, now: float) -> Answer:
        """Land here, by the autopilot's own means; in a failsafe, too."""
        return self._leave_to(Phase.LANDING, "told to land")

    def return_home(self, now: float) -> Answer:
        """Fly back to where it took off, by the autopilot's own means; in a failsafe, too."""
        return self._leave_to(Phase.RETURNING, "told to return")

    def _leave_to(self, phase: Phase, reason: str) -> Answer:
        self._asked_until, self._auto_arm = -np.inf, False
        if self._beat is None:
            return Answer(False, "no heartbeat: it hears nothing")
        if not self._beat.armed:
            if self.phase is not Phase.STARTING:
                return Answer(False, "it is not armed")
            self._enter(Phase.IDLE, f"{reason} before it took off")
            return Answer(True, "does not take off")
        why_not = self._by_hand()
        if why_not:
            return Answer(False, why_not)
        if self.phase is not phase:
            self._once = self.phase is Phase.TAKEN_OVER
            self._refusal, self._attempts = "", 0
            self._enter(phase, reason)
        return Answer(True, f"asks the autopilot for {LEFT_TO[phase].value}")

    def steer(self, velocity: Sequence[float], until: float) -> None:
        """Let someone else than the pilot give the velocity [3] (m/s, ENU) until a time, within all limits."""
        if np.isfinite(velocity).all():
            self._steering = limited(velocity, self._uav.speed)
            self._steered_until = until

    def see(self, name: str, position: ArrayLike, now: float) -> None:
        """Another drone is at a position [3], m."""
        if np.isfinite(position).all():
            self._others[name] = (np.asarray(position, dtype=float), now + SEEN_FOR)

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
        elif isinstance(event, Estimator):
            self._estimator, self._estimator_at = event, now
        elif isinstance(event, Battery):
            self._battery, self._battery_at = event, now
        elif isinstance(event, StatusText):
            self._said = event.text
        elif isinstance(event, Acknowledgement) and event.result != 0:
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
        """Where the drone is; None while that is not known: not heard of for `POSE_TIMEOUT`, or not trusted."""
        if self._missing(now):
            return None
        assert self._local is not None
        assert self._frame is not None
        assert self._attitude is not None
        return Odometry(
            self._frame.to_scenario(self._local.position),
            attitude_to_ros(self._attitude.attitude),
            ned_to_enu(self._local.velocity),
            frd_to_flu(self._attitude.rates),
            self._local_at,
        )

    def _missing(self, now: float) -> str:
        """What is not known of where the drone is; empty where all is."""
        if self._local is None or now - self._local_at > POSE_TIMEOUT:
            return "no position"
        if self._frame is None:
            return "no origin of its local frame"
        if self._attitude is None:
            return "no attitude"
        if now - self._estimator_at > STATUS_TIMEOUT:
            return "no word on whether its position can be trusted"
        if not self._estimator.healthy:
            return f"its position cannot be trusted: {self._estimator.missing}"
        return ""

    def _unfit(self, now: float) -> str:
        """Why it should not take off, or be taken control of; empty where it may."""
        if self.phase is Phase.SILENT or self._beat is None:
            return "no heartbeat"
        odometry = self.odometry(now)
        if odometry is None:
            return f"not ready: {self._missing(now)}"
        if now - self._battery_at > STATUS_TIMEOUT or not 0 <= self._battery.remaining <= 1:
            return "not ready: the state of its battery is not known"
        if self._battery.remaining < self._limits.least_battery:
            least = self._limits.least_battery
            return f"battery at {self._battery.remaining:.0%}, below least_battery, {least:.0%}"
        outside = self._fence.outside(odometry.position)
        if outside > 0:
            return f"it is {outside:.0f} m outside of the scenario's fence; is the scenario's origin the true place?"
        leg = float(np.hypot(*(odometry.position[:2] - self._uav.route[0])))
        if leg > self._limits.first_leg:
            return f"its first waypoint is {leg:.0f} m away, beyond first_leg, {self._limits.first_leg:g} m"
        return ""

    def _by_hand(self) -> str:
        """That a pilot flies it, where one does."""
        if self._beat is not None and self._beat.armed and self._beat.mode in BY_HAND:
            return f"a pilot flies it in {self._beat.mode.value}, and is not overruled"
        return ""

    def describe(self, now: float) -> str:
        """The phase and its reason; on the ground, what is missing for a flight."""
        why = self.reason
        if self.phase is Phase.NOT_READY:
            why = self._missing(now) or why
        elif self.phase is Phase.IDLE:
            why = self._unfit(now) or why
        return f"{self.phase.value}: {why}" if why else self.phase.value

    def status(self, now: float) -> dict[str, object]:
        """What people want to know of the vehicle, for /diagnostics."""
        known = now - self._battery_at <= STATUS_TIMEOUT
        return {
            "phase": self.phase.value,
            "reason": self.reason,
            "warning": self.warning,
            "missing": self._missing(now),
            "battery": f"{self._battery.remaining:.2f}" if known else "unknown",
            "mode": self._beat.mode.value if self._beat else "unknown",
            "autopilot_says": self._said,
        }

    # --- the flight ---

    def step(self, now: float) -> list[Command]:
        """Go on with the flight; returns what to send now."""
        elapsed = 0.0 if self._stepped_at is None else min(now - self._stepped_at, 4 * PERIOD)
        self._stepped_at = now
        if now - self._beat_at > LINK_TIMEOUT:
            self._fall_silent()
        if self._beat is None:
            return []
        commands = [*self._requests(now), *self._go_on(self._beat, now)]
        if self.phase in COMMANDING:
            commands.append(self._setpoint(now, elapsed))
        return commands

    def _requests(self, now: float) -> list[Command]:
        """Ask, once a second each, for what is not known and may not come by itself."""
        unknown: list[type[FrameOrigin] | type[Estimator] | type[Battery]] = []
        if self._frame is None:
            unknown.append(FrameOrigin)
        if now - self._estimator_at > STATUS_TIMEOUT:
            unknown.append(Estimator)
        if now - self._battery_at > STATUS_TIMEOUT:
            unknown.append(Battery)
        due = [what for what in unknown if now - self._asked_at.get(what, -np.inf) >= REPEAT_AFTER]
        self._asked_at.update(dict.fromkeys(due, now))
        return [Request(what) for what in due]

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
        if self.phase is Phase.IDLE and self._is_asked(now):
            self._refusal, self._attempts, self._auto_arm = "", 0, False
            self._enter(Phase.STARTING, repeat_at=now + LEAD)
        if self.phase is Phase.STARTING:
            return self._start(beat, now)
        if self.phase in STEERED:
            self._watch(beat, now)
        elif self.phase is Phase.TAKEN_OVER and not beat.armed:
            self._give_up(Phase.IDLE, "disarmed while others commanded")
        if self.phase in LEFT_TO:
            return self._let_down(LEFT_TO[self.phase], beat, now)
        return []

    def _is_asked(self, now: float) -> bool:
        return now < self._asked_until or (self._auto_arm and not self._by_hand() and not self._unfit(now))

    def _become_ready(self, beat: Heartbeat) -> None:
        """All about the vehicle is known, for the first time or again. Go on only with what it is doing anyway."""
        before, self._interrupted = self._interrupted, None
        if beat.armed and beat.mode is Mode.OFFBOARD and before in STEERED:
            self._enter(before, "the link is back and the vehicle still follows")
        elif beat.armed:
            self._give_up(Phase.TAKEN_OVER, f"found armed in {beat.mode.value}")
        elif before in (*COMMANDING, *LEFT_TO, Phase.TAKEN_OVER):
            self._give_up(Phase.IDLE, "the link is back and the vehicle disarmed")
        else:
            self._enter(Phase.IDLE)

    def _start(self, beat: Heartbeat, now: float) -> list[Command]:
        """Ask for OFFBOARD, then for arming, each until the heartbeat shows it."""
        if self._left(Mode.OFFBOARD, beat) or beat.mode not in (Mode.OFFBOARD, self._mode_before):
            self._give_up(Phase.TAKEN_OVER, f"somebody switched to {beat.mode.value}")
        elif beat.mode is Mode.OFFBOARD and beat.armed:
            self._take_off(now)
        elif now >= self._repeat_at and self._attempts == ATTEMPTS:
            asked_for = "arming" if beat.mode is Mode.OFFBOARD else "OFFBOARD"
            says = f" (it says: {self._said})" if self._said else ""
            self._give_up(Phase.REFUSED, f"{asked_for} refused: {self._refusal or 'no answer'}{says}")
        elif now >= self._repeat_at:
            self._attempts += 1
            self._repeat_at = now + REPEAT_AFTER
            return [Arm() if beat.mode is Mode.OFFBOARD else SetMode(Mode.OFFBOARD)]
        return []

    def _take_off(self, now: float) -> None:
        """Under our command: first straight up, from wherever it is."""
        odometry = self.odometry(now)
        if odometry is None or odometry.position[2] >= self._safe_height - NEAR_HEIGHT:
            self._enter(Phase.FLYING)
            return
        east, north, _ = map(float, odometry.position)
        above = dataclasses.replace(self._uav, route=((east, north),), altitude=self._safe_height)
        self._climber = Pilot(routes_of([above]))
        self._climber.command = self._pilot.command.copy()
        self._enter(Phase.CLIMBING, f"straight up to {self._safe_height:g} m")

    def _watch(self, beat: Heartbeat, now: float) -> None:
        """Stop commanding when the vehicle no longer follows; bring it back where it has left the fence."""
        odometry = self.odometry(now)
        if not beat.armed:
            self._give_up(Phase.IDLE, "the vehicle disarmed")
        elif beat.mode is not Mode.OFFBOARD:
            who = "a failsafe" if beat.failsafe else "a failsafe or somebody else"
            self._give_up(Phase.TAKEN_OVER, f"{who} switched to {beat.mode.value}; waiting to be told to fly")
        elif odometry is not None:
            outside = self._fence.outside(odometry.position)
            if outside > 0:
                self._leave_to(Phase.RETURNING, f"left the fence by {outside:.0f} m")
            elif self.phase is Phase.CLIMBING and odometry.position[2] >= self._safe_height - NEAR_HEIGHT:
                self._pilot.command = self._climber.command.copy()
                self._enter(Phase.FLYING)

    def _let_down(self, mode: Mode, beat: Heartbeat, now: float) -> list[Command]:
        """Ask for the mode until the heartbeat shows it, then wait for the ground."""
        if not beat.armed:
            self._enter(Phase.IDLE, "landed")
        elif self._left(mode, beat) or (not self._confirmed and beat.mode in BY_HAND):
            self._give_up(Phase.TAKEN_OVER, f"somebody switched to {beat.mode.value}")
        elif not self._confirmed and now >= self._repeat_at:
            if self._once and self._attempts > 0:
                self._give_up(Phase.TAKEN_OVER, f"{mode.value} refused: {self._refusal or 'no answer'}")
                return []
            self._attempts += 1
            self._repeat_at = now + (LINK_TIMEOUT if self._once else REPEAT_AFTER)
            return [SetMode(mode)]
        return []

    def _left(self, mode: Mode, beat: Heartbeat) -> bool:
        """Whether the vehicle has been in `mode` in this phase and is no longer."""
        self._confirmed = self._confirmed or beat.mode is mode
        return self._confirmed and beat.mode is not mode

    # --- set-points ---

    def _setpoint(self, now: float, elapsed: float) -> Setpoint:
        """The pilot's next velocity. It stays put until the vehicle flies and when positions grow old."""
        odometry = self.odometry(now)
        waits_for = self._too_near(odometry, now)
        stay = self.phase is Phase.STARTING or odometry is None or bool(waits_for)
        stay = stay or (self._holding and self.phase is Phase.FLYING)
        position = np.full(3, np.nan) if odometry is None else odometry.position
        pilot = self._climber if self.phase is Phase.CLIMBING else self._pilot
        last = pilot.command[0].copy()
        velocity = pilot.step(position[None, :], elapsed, np.inf if stay else now - self._local_at)[0].copy()
        if now < self._steered_until and self.phase is Phase.FLYING and odometry is not None and not stay:
            change = limited(self._steered(odometry) - last, self._uav.acceleration * elapsed)
            velocity = last + change
            pilot.command = velocity[None, :].copy()
        velocity[2] = np.clip(velocity[2], -self._limits.climb, self._limits.climb)
        if np.hypot(velocity[0], velocity[1]) > 1:
            self._heading = float(np.arctan2(velocity[1], velocity[0]))
        self._note_course(odometry, velocity, waits_for, now)
        east, north, up = map(float, velocity)
        return Setpoint((east, north, up), self._heading, self._hold_at(stay, odometry, velocity))

    def _steered(self, odometry: Odometry) -> Array:
        """The velocity that somebody else wants, but for the floor: down to it in time, and no further."""
        wanted = self._steering.copy()
        above = max(float(odometry.position[2]) - self._limits.floor, 0.0)
        wanted[2] = max(wanted[2], -np.sqrt(self._uav.acceleration * above))
        return np.asarray(wanted)

    def _hold_at(self, stay: bool, odometry: Odometry | None, velocity: Array) -> tuple[float, float, float] | None:
        """The position that is held: where it came to rest."""
        if not stay or odometry is None or self.phase not in STEERED or self._local is None:
            self._held = None
        elif self._held is None and max(np.linalg.norm(odometry.velocity), np.linalg.norm(velocity)) < AT_REST:
            self._held = self._local.position
        return self._held

    def _too_near(self, odometry: Odometry | None, now: float) -> str:
        """The other drone that it waits for. Of two, the one whose name comes first goes on."""
        if odometry is None or self.phase is not Phase.FLYING:
            return ""
        first = {name: at for name, (at, until) in self._others.items() if now < until and name < self._uav.id}
        name, distance = nearest(odometry.position, first)
        return name if distance < self._limits.separation else ""

    def _note_course(self, odometry: Odometry | None, velocity: Array, waits_for: str, now: float) -> None:
        """Say what is odd: another drone that is waited for, or a vehicle that flies something else for long."""
        self.warning = f"waits for {waits_for}, which is within {self._limits.separation:g} m" if waits_for else ""
        off = odometry is not None and self.phase in STEERED
        off = off and float(np.linalg.norm(odometry.velocity - velocity)) > OFF_COURSE  # type: ignore[union-attr]
        if not off:
            self._off_course_since = None
        elif self._off_course_since is None:
            self._off_course_since = now
        elif now - self._off_course_since > OFF_COURSE_FOR:
            self.warning = "it does not fly what it is told: does somebody else send set-points to it, too?"

    # --- moving on ---

    def _enter(self, phase: Phase, reason: str = "", repeat_at: float = -np.inf) -> None:
        self.phase, self.reason, self._repeat_at, self._confirmed = phase, reason, repeat_at, False
        self._mode_before = self._beat.mode if self._beat else Mode.OTHER
        self._off_course_since = None

    def _give_up(self, phase: Phase, reason: str) -> None:
        """Enter a phase from which only being told to fly leads on."""
        self._asked_until, self._auto_arm, self._holding = -np.inf, False, False
        self._enter(phase, reason)
