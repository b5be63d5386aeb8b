"""Time for the state machines: a clock that no time step disturbs, and a timer that wakes them when they ask."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.timer import Timer

NANOSECONDS = 1_000_000_000


class Timing:
    """A node's protocol clock.

    With ``use_sim_time`` it is the simulation's clock. Without, it is the steady clock, set once to the time of day: a
    step of the system clock does not disturb the market, and RSUs whose clocks agree still start their rounds together.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._simulated: bool = node.get_parameter("use_sim_time").value
        self._clock: Clock = node.get_clock() if self._simulated else Clock(clock_type=ClockType.STEADY_TIME)
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """The time, s."""
        if not self._simulated:
            return self._offset + time.monotonic()  # the same steady clock, at a tenth of the cost
        return float(self._clock.now().nanoseconds) / NANOSECONDS

    def started(self) -> bool:
        """Whether there is a time yet: a simulation's clock stands at 0 until its world runs."""
        return not self._simulated or self._clock.now().nanoseconds > 0

    def every(self, period: float, callback: Callable[[], None]) -> Timer:
        """Call back every `period` seconds of this clock."""
        return self._node.create_timer(period, callback, clock=self._clock)

    def waker(self, callback: Callable[[float], None]) -> Waker:
        """A timer that calls back once, with the time, when it was last told to."""
        return Waker(self, callback)


class Waker:
    """Wakes a state machine at the time it asked for."""

    def __init__(self, timing: Timing, callback: Callable[[float], None]) -> None:
        self._timing = timing
        self._callback = callback
        self._at = math.inf
        self._timer = timing.every(1.0, self._fire)
        self._timer.cancel()

    def set(self, at: float) -> None:
        """Wake at `at` seconds; inf for never, -inf for now. The last call counts."""
        if at == self._at:
            return
        self._at = at
        self._timer.cancel()
        if at < math.inf:
            self._timer.timer_period_ns = int(max(at - self._timing.now(), 0.0) * NANOSECONDS)
            self._timer.reset()

    def _fire(self) -> None:
        self._timer.cancel()
        self._at = math.inf
        self._callback(self._timing.now())


def change_period(timer: Timer, period: float) -> None:
    """Have a timer call back every `period` seconds from now on, where that is not what it does already."""
    nanoseconds = int(period * NANOSECONDS)
    if timer.timer_period_ns != nanoseconds:
        timer.timer_period_ns = nanoseconds


def steady_timer(node: Node, period: float, callback: Callable[[], None]) -> Timer:
    """A timer on the wall clock, also in a simulation: for diagnostics and displays."""
    return node.create_timer(period, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
