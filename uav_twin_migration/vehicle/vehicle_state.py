"""What is known of a vehicle from what its autopilot says: how fresh it is, what is missing, where the drone is.

It decides nothing. Times are seconds of any monotonic clock; what has not been heard for long is no longer known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.scenario.model import Origin
from uav_twin_migration.vehicle.frames import LocalFrame, TangentPlane, attitude_to_ros, frd_to_flu, ned_to_enu
from uav_twin_migration.vehicle.signals import (
    Acknowledgement,
    Attitude,
    Battery,
    Command,
    Control,
    Estimator,
    Event,
    Fact,
    FrameOrigin,
    Heartbeat,
    LocalPosition,
    RemoteControl,
    Request,
    Rivals,
    StatusText,
)

Array = NDArray[np.float64]

LINK_TIMEOUT = 3.0  # s without a heartbeat after which the link is silent; PX4 sends one a second
POSE_TIMEOUT = 1.0  # s after which a position is no longer one
STATUS_TIMEOUT = 5.0  # s after which what was said of estimator and battery has to be said again
WORDS_COME_WITHIN, MOST_WORDS = 0.5, 200  # s, letters: of one cause
WORDS_COUNT_FOR = 10.0  # s after which the autopilot's words no longer explain what happens
REQUEST_AGAIN_AFTER = 1.0  # s after which what was not answered is asked for again
RESTART_STEP = 2_000  # ms by which the autopilot's clock must go back to mean a restart and not a late message


@dataclass(frozen=True)
class Odometry:
    """A drone in the scenario's frame, as nav_msgs/Odometry wants it."""

    position: Array  # [3] m, ENU
    attitude: Array  # [4] (w, x, y, z), FLU in ENU
    velocity: Array  # [3] m/s, ENU
    rates: Array  # [3] rad/s, FLU
    time: float  # s, when it was heard


class VehicleState:
    """One vehicle. Feed it with `receive`.

    Attributes:
        beat: the latest heartbeat; None: none since the link fell silent or the autopilot restarted.
        local: the latest position in the vehicle's own frame.
        refusal: why the latest command was not accepted, in words; empty: none was refused.
        said: the autopilot's last words.
        rivals: how many others send it set-points, where the link can tell.
        facts: what else it has said, by its name.
        dropped: messages that were older than one already seen.
    """

    def __init__(self, origin: Origin) -> None:
        self._plane = TangentPlane(origin)
        self.refusal, self.said, self.dropped = "", "", 0
        self._said_at, self._severity = -np.inf, 0
        self._beat_at = -np.inf
        self.forget()

    def forget(self) -> None:
        """What is known of the vehicle ends with the link and with a restart of the autopilot."""
        self.beat: Heartbeat | None = None
        self.local: LocalPosition | None = None
        self._local_at = -np.inf
        self._frame: LocalFrame | None = None
        self._attitude: Attitude | None = None
        self._estimator, self._estimator_at = Estimator(False, "it has not said so"), -np.inf
        self._battery, self._battery_at = Battery(np.nan), -np.inf
        self._no_remote = False  # whether it has said that nobody's sticks are heard
        self.rivals = 0
        self.facts: dict[str, str] = {}
        self._asked_at: dict[type, float] = {}  # when it was asked for what it has not said

    def receive(self, event: Event, now: float) -> bool:
        """Take in one message; returns whether it shows that the autopilot has restarted."""
        if isinstance(event, Heartbeat):
            self.beat, self._beat_at = event, now
        elif isinstance(event, LocalPosition):
            return self._receive_position(event, now)
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
            self._note_words(event, now)
        elif isinstance(event, RemoteControl):
            self._no_remote = not event.heard
            self.facts["remote_control"] = "heard" if event.heard else "not heard"
        elif isinstance(event, Rivals):
            self.rivals = event.count
        elif isinstance(event, Fact):
            self.facts[event.name] = event.value
        elif isinstance(event, Acknowledgement) and event.result != 0:
            self.refusal = event.reason or f"result {event.result}"
        return False

    def _note_words(self, event: StatusText, now: float) -> None:
        """Reasons come several at once; what is less severe does not push out what still counts."""
        if now - self._said_at <= WORDS_COME_WITHIN:
            if event.text not in self.said and len(self.said) < MOST_WORDS:
                self.said = f"{self.said}; {event.text}"
            self._severity = min(self._severity, event.severity)
        elif event.severity <= self._severity or not self.words(now):
            self.said, self._said_at, self._severity = event.text, now, event.severity

    def _receive_position(self, event: LocalPosition, now: float) -> bool:
        last = self.local
        restarted = last is not None and event.boot_time < last.boot_time - RESTART_STEP
        if restarted:
            self.forget()
        elif last is not None and event.boot_time <= last.boot_time:
            self.dropped += 1
            return False
        self.local, self._local_at = event, now
        return restarted

    def is_silent(self, now: float) -> bool:
        """Whether its heartbeats have stopped."""
        return now - self._beat_at > LINK_TIMEOUT

    def age(self, now: float) -> float:
        """How old its position is, s."""
        return now - self._local_at

    def charge(self, now: float) -> float | None:
        """What is left in its battery, 0 to 1; None where that is not known."""
        known = now - self._battery_at <= STATUS_TIMEOUT and 0 <= self._battery.remaining <= 1
        return self._battery.remaining if known else None

    def words(self, now: float) -> str:
        """The autopilot's last words; empty where those are old."""
        return self.said if now - self._said_at <= WORDS_COUNT_FOR else ""

    def status(self, now: float) -> dict[str, object]:
        """What people want to know of it, for /diagnostics."""
        charge = self.charge(now)
        return {
            "missing": self.missing(now),
            "battery": "unknown" if charge is None else f"{charge:.2f}",
            "mode": self.beat.mode.name if self.beat else "unknown",
            "failsafe": bool(self.beat and self.beat.failsafe),
            "autopilot_says": self.said,
            "refused/older than the last": self.dropped,
            **self.facts,
        }

    def odometry(self, now: float) -> Odometry | None:
        """Where the drone is; None while that is not known: not heard of for `POSE_TIMEOUT`, or not trusted."""
        if self.missing(now):
            return None
        assert self.local is not None
        assert self._frame is not None
        assert self._attitude is not None
        return Odometry(
            self._frame.to_scenario(self.local.position),
            attitude_to_ros(self._attitude.attitude),
            ned_to_enu(self.local.velocity),
            frd_to_flu(self._attitude.rates),
            self._local_at,
        )

    def missing(self, now: float) -> str:
        """What is not known of where the drone is; empty where all is."""
        heard_of_it = now - self._estimator_at <= STATUS_TIMEOUT
        if heard_of_it and not self._estimator.healthy:
            return f"its position cannot be trusted: {self._estimator.missing}"
        if self.local is None or self.age(now) > POSE_TIMEOUT:
            return "no position"
        if self._frame is None:
            return "no origin of its local frame"
        if self._attitude is None:
            return "no attitude"
        return "" if heard_of_it else "no word on whether its position can be trusted"

    def by_hand(self) -> str:
        """That a pilot flies it, where one does; else empty.

        PX4 may answer lost set-points with POSCTL (COM_OBL_RC_ACT 0), also where there are no sticks to fly it.
        """
        beat = self.beat
        if beat is None or not beat.armed or beat.mode.control is not Control.PILOT:
            return ""
        if beat.failsafe and self._no_remote:
            return ""
        return f"a pilot flies it in {beat.mode.name}, and is not overruled"

    def requests(self, now: float) -> list[Command]:
        """Questions, once a second each, for what is not known and may not come by itself."""
        unknown: list[type[LocalPosition] | type[Attitude] | type[FrameOrigin] | type[Estimator] | type[Battery]] = []
        if self.age(now) > POSE_TIMEOUT:
            unknown.append(LocalPosition)
        if self._attitude is None:
            unknown.append(Attitude)
        if self._frame is None:
            unknown.append(FrameOrigin)
        if now - self._estimator_at > STATUS_TIMEOUT:
            unknown.append(Estimator)
        if now - self._battery_at > STATUS_TIMEOUT:
            unknown.append(Battery)
        due = [what for what in unknown if now - self._asked_at.get(what, -np.inf) >= REQUEST_AGAIN_AFTER]
        self._asked_at.update(dict.fromkeys(due, now))
        return [Request(what) for what in due]
