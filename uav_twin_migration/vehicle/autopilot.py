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

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from uav_twin_migration.scenario.model import Origin, Uav
from uav_twin_migration.vehicle.flight_limits import Fence, FlightLimits, unfit
from uav_twin_migration.vehicle.flight_log import FlightLog
from uav_twin_migration.vehicle.guidance import Guidance
from uav_twin_migration.vehicle.phases import COMMANDING, LEFT_TO, STEERED, Answer, Phase, outcome
from uav_twin_migration.vehicle.px4_codes import FIRMWARE as PX4
from uav_twin_migration.vehicle.signals import (
    UNKNOWN_MODE,
    Arm,
    Command,
    Control,
    Event,
    Firmware,
    Heartbeat,
    SetMode,
    Setpoint,
    TakeOff,
)
from uav_twin_migration.vehicle.vehicle_state import LINK_TIMEOUT, Odometry, VehicleState

PERIOD = 0.04  # s between two steps: 25 Hz, of which PX4 needs 2 at least
REPEAT_AFTER = 1.0  # s after which a command without effect is given again
ATTEMPTS = 10  # times that OFFBOARD or arming is asked for, until it counts as refused
LEAD = 1.0  # s of set-points before OFFBOARD is asked for
ORDER_HOLDS = 2.0  # s within which an order must have begun
ON_GROUND = 1.0  # m below which it has not left the ground
POSITION_LOST_AFTER = 2.0  # s in the air without a position that can be trusted
RIVALS = "another node sends set-points to it, too: one node a vehicle"
MARKET_LOST_AFTER = 10.0  # s without a price offer, where there were some


class Autopilot:
    """One drone's flight. Feed it with `receive`, call `step` every `PERIOD`, send what it returns.

    Attributes:
        phase: where in the flight it is.
        reason: why, in words for people; empty where it goes without saying.
    """

    def __init__(
        self,
        uav: Uav,
        origin: Origin,
        *,
        auto_arm: bool = False,
        limits: FlightLimits | None = None,
        fence: Fence | None = None,
        firmware: Firmware = PX4,
    ) -> None:
        """`auto_arm` asks to fly as soon as the vehicle is fit to, for the first time."""
        self.phase, self.reason = Phase.SILENT, ""
        self._uav, self._limits, self._firmware = uav, limits or FlightLimits(), firmware
        self._fence = fence or Fence.around_route(uav, self._limits.fence_margin)
        self._vehicle = VehicleState(origin)
        self._guidance = Guidance(uav, self._limits)
        self._log = FlightLog(uav)
        self._auto_arm = auto_arm
        self._asked_until = -np.inf  # s, until when an order to fly counts
        self._interrupted: Phase | None = None  # the phase in which the link fell silent
        self._confirmed = False  # whether the vehicle has been seen in the mode that the phase is about
        self._mode_before = UNKNOWN_MODE  # the vehicle's when the phase began
        self._once = False  # whether the phase's command is given once only: others command
        self._repeat_at = -np.inf  # s, when the phase's command is given again
        self._attempts = 0
        self._known_at = -np.inf  # s, when it was last known where it is
        self._market_at: float | None = None  # s, when the market was last heard
        self._lifting: float | None = None  # m, to which the autopilot is to lift it by itself
        self._stepped_at: float | None = None

    @property
    def warning(self) -> str:
        """What is odd about the flight that goes on all the same; empty: nothing."""
        return RIVALS if self._vehicle.rivals else self._guidance.warning

    # --- what people ask for ---

    def fly(self, now: float) -> Answer:
        """Take off where need be, take control, follow the route. Also ends a hold, a refusal and a take-over."""
        return self._go(now, holding=False)

    def takeoff(self, now: float) -> Answer:
        """Take off, take control, and hold at the safe height, or where it is in the air."""
        return self._go(now, holding=True)

    def _go(self, now: float, holding: bool) -> Answer:
        why_not = self._vehicle.by_hand() or self._unfit(now)
        if why_not:
            return Answer(False, why_not)
        self._guidance.holding = holding
        if self.phase in STEERED:
            self.reason = "told to hold" if holding else "told to fly"
            return Answer(True, "holds" if holding else "flies its route")
        if self.phase is not Phase.STARTING:
            self._asked_until = now + ORDER_HOLDS
            self._enter(Phase.IDLE, "told to fly")
        return Answer(True, "takes off" if self._vehicle.beat and not self._vehicle.beat.armed else "takes control")

    def hold(self, now: float) -> Answer:
        """Stop in the air and stay there, under our command, until told to fly."""
        if self.phase not in STEERED:
            return Answer(False, f"cannot hold: {self.describe(now)}")
        self._guidance.holding, self.reason = True, "told to hold"
        return Answer(True, "holds")

    def land(self, now: float) -> Answer:
        """Land here, by the autopilot's own means; in a failsafe, too."""
        return self._leave_to(Phase.LANDING, "told to land")

    def return_home(self, now: float) -> Answer:
        """Fly back to where it took off, by the autopilot's own means; in a failsafe, too."""
        return self._leave_to(Phase.RETURNING, "told to return")

    def _leave_to(self, phase: Phase, reason: str) -> Answer:
        self._asked_until, self._auto_arm = -np.inf, False
        if self._vehicle.beat is None:
            return Answer(False, "no heartbeat: it hears nothing")
        if not self._vehicle.beat.armed:
            if self.phase is not Phase.STARTING:
                return Answer(False, "it is not armed")
            self._enter(Phase.IDLE, f"{reason} before it took off")
            return Answer(True, "does not take off")
        why_not = self._vehicle.by_hand()
        if why_not:
            return Answer(False, why_not)
        if self.phase is not phase:
            self._once = self.phase is Phase.TAKEN_OVER
            self._vehicle.refusal, self._attempts = "", 0
            self._enter(phase, reason)
        return Answer(True, f"asks the autopilot for {LEFT_TO[phase].value}")

    def outcome(self, order: str, now: float) -> bool | None:
        """Whether an order is done; None where it is under way, False where it will not be."""
        return outcome(order, self.phase, now < self._asked_until)

    def steer(self, velocity: Sequence[float], until: float) -> None:
        """Let someone else than the pilot give the velocity [3] (m/s, ENU) until a time, within all limits."""
        self._guidance.steer(velocity, until)

    def see(self, name: str, position: ArrayLike, now: float) -> None:
        """Another drone is at a position [3], m."""
        self._guidance.see(name, position, now)

    def hear_market(self, now: float) -> None:
        """RSUs offer bandwidth."""
        self._market_at = now

    # --- what the autopilot says ---

    def receive(self, event: Event, now: float) -> None:
        """Take in one message."""
        if self._vehicle.receive(event, now):
            self._give_up(Phase.NOT_READY, "the autopilot has restarted")

    def odometry(self, now: float) -> Odometry | None:
        """Where the drone is; None while that is not known."""
        return self._vehicle.odometry(now)

    def _unfit(self, now: float) -> str:
        """Why it should not take off, or be taken control of; empty where it may."""
        if self.phase is Phase.SILENT or self._vehicle.beat is None:
            return "no heartbeat"
        odometry = self.odometry(now)
        if odometry is None:
            return f"not ready: {self._vehicle.missing(now)}"
        if self._vehicle.rivals:
            return RIVALS
        return unfit(odometry.position, self._vehicle.charge(now), self._uav, self._limits, self._fence)

    def describe(self, now: float) -> str:
        """The phase and its reason; on the ground, what is missing for a flight."""
        why = self.reason
        if self.phase is Phase.NOT_READY:
            why = self._vehicle.missing(now) or why
        elif self.phase is Phase.IDLE:
            why = self._unfit(now) or why
        return f"{self.phase.value}: {why}" if why else self.phase.value

    def status(self, now: float) -> dict[str, object]:
        """What people want to know of the vehicle, for /diagnostics."""
        ours = {"phase": self.phase.value, "reason": self.reason, "warning": self.warning}
        return {**ours, **self._vehicle.status(now), **self._log.figures()}

    def heard(self, now: float) -> dict[str, str]:
        """What the autopilot has just said in words, "" where nothing, and what else it says of itself, by its name."""
        return {"autopilot_says": self._vehicle.words(now), **self._vehicle.facts}

    # --- the flight ---

    def step(self, now: float) -> list[Command]:
        """Go on with the flight; returns what to send now."""
        elapsed = 0.0 if self._stepped_at is None else min(now - self._stepped_at, 4 * PERIOD)
        self._stepped_at = now
        if self._vehicle.is_silent(now):
            self._fall_silent()
        on_route = self.phase is Phase.FLYING and self._guidance.follows_route(now)
        told, at = (self.reason, self._vehicle.words(now)), self.odometry(now)
        self._log.note(self.phase, told, at, self._guidance.leg, on_route)
        if self._vehicle.beat is None:
            return []
        commands = [*self._vehicle.requests(now), *self._go_on(self._vehicle.beat, now)]
        if self.phase in COMMANDING and self._lifting is None:
            commands.append(self._setpoint(elapsed, now))
        return commands

    def _setpoint(self, elapsed: float, now: float) -> Setpoint:
        local = self._vehicle.local.position if self._vehicle.local else None
        under_way = self.phase in STEERED
        return self._guidance.setpoint(
            self.odometry(now), local, self._vehicle.age(now), elapsed, now, under_way=under_way
        )

    def _fall_silent(self) -> None:
        if self.phase is not Phase.SILENT:
            self._interrupted = self.phase
            self._vehicle.forget()
            self._enter(Phase.SILENT, f"no heartbeat for {LINK_TIMEOUT:g} s")

    def _go_on(self, beat: Heartbeat, now: float) -> list[Command]:
        """Move on to the phase that the last heartbeat calls for; returns the commands that lead further."""
        if self.phase is Phase.SILENT:
            self._enter(Phase.NOT_READY, "heartbeats arrive")
        if self.phase is Phase.NOT_READY and self.odometry(now) is not None:
            self._become_ready(beat)
        if self.phase is Phase.IDLE and self._is_asked(now):
            self._vehicle.refusal, self._attempts, self._auto_arm = "", 0, False
            self._enter(Phase.STARTING, repeat_at=now + LEAD)
        if self.phase is Phase.STARTING:
            return self._start(beat, now)
        if self.phase in STEERED:
            return self._watch(beat, now)
        if self.phase is Phase.TAKEN_OVER and not beat.armed:
            self._give_up(Phase.IDLE, "disarmed while others commanded")
        if self.phase in LEFT_TO:
            return self._let_down(LEFT_TO[self.phase], beat, now)
        return []

    def _is_asked(self, now: float) -> bool:
        return now < self._asked_until or (self._auto_arm and not self._vehicle.by_hand() and not self._unfit(now))

    def _become_ready(self, beat: Heartbeat) -> None:
        """All about the vehicle is known, for the first time or again. Go on only with what it is doing anyway."""
        before, self._interrupted = self._interrupted, None
        if beat.armed and beat.mode.control is Control.SETPOINTS and before in STEERED:
            self._enter(before, "the link is back and the vehicle still follows")
            self._react(self._limits.on_link_loss, "the link was lost")
        elif beat.armed:
            self._give_up(Phase.TAKEN_OVER, f"found armed in {beat.mode.name}")
        elif before in (*COMMANDING, *LEFT_TO, Phase.TAKEN_OVER):
            self._give_up(Phase.IDLE, "the link is back and the vehicle disarmed")
        else:
            self._enter(Phase.IDLE)

    def _start(self, beat: Heartbeat, now: float) -> list[Command]:
        """Ask for OFFBOARD, then for arming, each until the heartbeat shows it."""
        ours = beat.mode.control is Control.SETPOINTS
        if self._left(Control.SETPOINTS, beat) or not (ours or beat.mode == self._mode_before):
            self._give_up(Phase.TAKEN_OVER, f"somebody switched to {beat.mode.name}")
        elif ours and beat.armed:
            self._take_off(now)
        elif now >= self._repeat_at and self._attempts == ATTEMPTS:
            asked_for = "arming" if ours else self._firmware.ours
            says = f" (it says: {self._vehicle.said})" if self._vehicle.said else ""
            self._give_up(Phase.REFUSED, f"{asked_for} refused: {self._vehicle.refusal or 'no answer'}{says}")
        elif now >= self._repeat_at:
            self._attempts += 1
            self._repeat_at = now + REPEAT_AFTER
            return [Arm() if ours else SetMode(Control.SETPOINTS)]
        return []

    def _take_off(self, now: float) -> None:
        """Under our command: first straight up, from wherever it is."""
        odometry = self.odometry(now)
        height = self._guidance.begin_climb(odometry)
        if height is None or odometry is None:
            self._enter(Phase.FLYING)
            return
        grounded = odometry.position[2] < ON_GROUND
        self._enter(Phase.CLIMBING, f"straight up to {height:g} m")
        self._lifting, self._attempts = (height if grounded and self._firmware.takes_off_by_command else None), 0

    def _watch(self, beat: Heartbeat, now: float) -> list[Command]:
        """Stop commanding when the vehicle no longer follows; bring it back where it has left the fence."""
        odometry = self.odometry(now)
        if not beat.armed:
            self._give_up(Phase.IDLE, "the vehicle disarmed")
        elif beat.mode.control is not Control.SETPOINTS:
            who = "a failsafe" if beat.failsafe else "a failsafe or somebody else"
            self._give_up(Phase.TAKEN_OVER, f"{who} switched to {beat.mode.name}; waiting to be told to fly")
        elif odometry is None:
            if now - self._known_at > POSITION_LOST_AFTER:
                self._react(self._limits.on_position_loss, f"its position is lost: {self._vehicle.missing(now)}")
        else:
            self._known_at = now
            if self._market_at is not None and now - self._market_at > MARKET_LOST_AFTER:
                self._react(self._limits.on_market_loss, f"no price offer for {MARKET_LOST_AFTER:g} s")
                self._market_at = None
            outside = self._fence.outside(odometry.position)
            if outside > 0:
                self._leave_to(Phase.RETURNING, f"left the fence by {outside:.0f} m")
            elif self.phase is Phase.CLIMBING and self._guidance.is_up(odometry):
                self._guidance.end_climb()
                self._enter(Phase.FLYING)
            elif self._lifting is not None and odometry.position[2] < ON_GROUND:
                return self._lift(self._lifting, now)
        return []

    def _react(self, reaction: str, reason: str) -> None:
        """Do what the limits say of a loss."""
        if reaction == "land":
            self._leave_to(Phase.LANDING, reason)
        elif reaction == "return":
            self._leave_to(Phase.RETURNING, reason)
        elif reaction == "hold" and not self._guidance.holding:
            self._guidance.holding, self.reason = True, f"{reason}; holds until it is told to fly"

    def _lift(self, height: float, now: float) -> list[Command]:
        """Ask the autopilot to leave the ground, until it does."""
        if now < self._repeat_at:
            return []
        if self._attempts == ATTEMPTS:
            self._leave_to(Phase.LANDING, f"take-off refused: {self._vehicle.refusal or 'no answer'}")
            return []
        self._attempts += 1
        self._repeat_at = now + REPEAT_AFTER
        return [TakeOff(height)]

    def _let_down(self, control: Control, beat: Heartbeat, now: float) -> list[Command]:
        """Ask for the mode until the heartbeat shows it, then wait for the ground."""
        if not beat.armed:
            self._enter(Phase.IDLE, "landed")
        elif self._left(control, beat) or (not self._confirmed and self._vehicle.by_hand()):
            self._give_up(Phase.TAKEN_OVER, f"somebody switched to {beat.mode.name}")
        elif not self._confirmed and now >= self._repeat_at:
            if self._once and self._attempts > 0:
                self._give_up(Phase.TAKEN_OVER, f"{control.value} refused: {self._vehicle.refusal or 'no answer'}")
                return []
            self._attempts += 1
            self._repeat_at = now + (LINK_TIMEOUT if self._once else REPEAT_AFTER)
            return [SetMode(control)]
        return []

    def _left(self, control: Control, beat: Heartbeat) -> bool:
        """Whether the vehicle has been flown by `control` in this phase and is no longer."""
        self._confirmed = self._confirmed or beat.mode.control is control
        return self._confirmed and beat.mode.control is not control

    # --- moving on ---

    def _enter(self, phase: Phase, reason: str = "", repeat_at: float = -np.inf) -> None:
        self.phase, self.reason, self._repeat_at, self._confirmed = phase, reason, repeat_at, False
        self._lifting = None
        self._mode_before = self._vehicle.beat.mode if self._vehicle.beat else UNKNOWN_MODE

    def _give_up(self, phase: Phase, reason: str) -> None:
        """Enter a phase from which only being told to fly leads on."""
        self._asked_until, self._auto_arm, self._guidance.holding = -np.inf, False, False
        self._enter(phase, reason)
