"""The embedded world: flies all UAVs of a scenario and is the simulation's clock.

It stands where Gazebo or PX4 would: the other nodes see /clock and odometry, and cannot tell the difference.
"""

from __future__ import annotations

import math
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from rosgraph_msgs.msg import Clock

from uav_twin_migration.deployment import topics
from uav_twin_migration.monitor import readers
from uav_twin_migration.monitor.hints import TOO_SLOW
from uav_twin_migration.monitor.throttled_log import ThrottledLog
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.nodes.ros.frames import SIMULATED_POSITION, SIMULATED_TURN, set_covariances
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import change_period, steady_timer
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.settings import parameter
from uav_twin_migration.vehicle.motion import Flight
from uav_twin_migration.vehicle.pace import Pace

STEERING_HOLDS = 0.5  # s that a cmd_vel counts for
WATCH = 2.0  # s of wall time between two looks at how late nodes are
LATE = 0.5  # of an offer's window: a node whose timers are later than that cannot answer in time
MOST_TOLD = 10_000  # that are counted between two looks
PATIENCE = 30.0  # s of wall time without another node that comes, after which time begins without the rest
MOST_TICKS_BEHIND = 20  # wall-clock ticks after which lost time is given up instead of being caught up

PARAMETERS = (
    parameter("scenario", str, "scenario file, or the name of a shipped one"),
    parameter("real_time_factor", 1.0, "simulated seconds per second", 1e-3, 1e3),
    parameter("clock_period", 0.05, "simulated time between two /clock messages, s", 1e-3, 10.0),
    parameter("odometry_period", 0.1, "simulated time between two odometry messages of a UAV, s", 1e-3, 10.0),
    parameter("nodes", 0, "others that listen to /clock, which it waits for before time begins", 0),
)


class WorldNode(Guarded):
    """Steps a `Flight` and publishes it."""

    def __init__(self, **options: Any) -> None:
        super().__init__("world", **options)
        values = declare(self, PARAMETERS)
        self._scenario = load(values["scenario"])
        self._flight = Flight(self._scenario, self.get_logger().error)
        self._step: float = values["clock_period"]
        self._pace = Pace(values["real_time_factor"], time.monotonic())
        self._late: list[bool] = []  # what nodes told since the last look
        self._missed: dict[str, int] = {}  # rounds, by UAV
        self._ticks_per_odometry = max(round(values["odometry_period"] / self._step), 1)
        self._ticks = 0
        self._awaited: int = values["nodes"]
        self._there, self._came_at = 0, time.monotonic()
        self._yaw = self._flight.yaw.tolist()  # rad, as told last
        self._clock_publisher = self.create_publisher(Clock, topics.CLOCK, 10)
        self._tracks = [self._make_track(index, uav.id) for index, uav in enumerate(self._scenario.uavs)]
        self._throttled_log = ThrottledLog(self.get_logger().warning)
        self._steady = RosClock(clock_type=ClockType.STEADY_TIME)
        self._due = self._steady.now().nanoseconds
        self._timer = self.create_timer(self._step / self._pace.factor, self._on_tick, clock=self._steady)
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, 10)
        steady_timer(self, WATCH, self._watch)

    def _make_track(self, index: int, uav: str) -> tuple[Any, Odometry]:
        """A UAV's odometry publisher with the message it sends again and again."""

        def on_cmd_vel(message: Twist) -> None:
            velocity = (message.linear.x, message.linear.y, message.linear.z)
            if all(map(math.isfinite, velocity)):
                self._flight.steer(index, velocity, self._flight.time + STEERING_HOLDS)

        self.create_subscription(Twist, topics.cmd_vel(uav), on_cmd_vel, qos_profiles.MEASUREMENT)
        message = Odometry(child_frame_id=f"{uav}/base_link")
        message.header.frame_id = topics.MAP
        set_covariances(message, SIMULATED_POSITION, SIMULATED_TURN)
        return self.create_publisher(Odometry, topics.odometry(uav), qos_profiles.ODOMETRY), message

    def _waits(self) -> bool:
        """Whether nodes are missing that live by this clock: others would be silent, or late, to who comes later."""
        there, now = self._clock_publisher.get_subscription_count(), time.monotonic()
        if there > self._there:
            self._there, self._came_at = there, now
        if there < self._awaited and now < self._came_at + PATIENCE:
            return True
        if there < self._awaited:
            self.get_logger().warning(f"{self._awaited - there} of {self._awaited} nodes are missing; time begins")
        self._awaited, self._due = 0, self._steady.now().nanoseconds
        return False

    def _on_tick(self) -> None:
        """One step of the world; several where the machine had no time for the timer."""
        if self._awaited and self._waits():
            return
        now = self._steady.now().nanoseconds
        pace = int(self._step / self._pace.factor * convert.NANOSECONDS)
        if now - self._due > MOST_TICKS_BEHIND * pace:
            lost = (now - self._due) / convert.NANOSECONDS
            self._throttled_log.note(
                "the world falls behind", f"{lost:.1f} s given up at last; too slow a machine, or too busy"
            )
            self._due = now
            self._follow(self._pace.troubled(time.monotonic()))
        self._throttled_log.tick()
        while self._due <= now:
            self._due += pace
            self._advance()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        """Nodes tell how late their timers are, and UAVs how many rounds they have missed so far."""
        window = 1e3 * self._scenario.market.offer_window / self._pace.factor  # ms of wall time
        for status in readers.statuses(message):
            late, missed = (status.values.get(key, "") for key in ("late_ms", "rounds_missed"))
            if late.isdecimal() and len(self._late) < MOST_TOLD:
                misses = missed.isdecimal() and self._misses(status.name, int(missed[:9]))
                self._late.append(misses or int(late[:9]) > LATE * window)

    def _misses(self, name: str, missed: int) -> bool:
        """Whether a UAV has missed a round since it last told."""
        before = self._missed.get(name, missed)
        if name in self._missed or len(self._missed) < MOST_TOLD:
            self._missed[name] = missed
        return missed > before

    def _watch(self) -> None:
        """Go slower while nodes are late, and faster again when none is."""
        now = time.monotonic()
        self._follow(self._pace.heard(now, sum(self._late), len(self._late)) or self._pace.calm(now))
        self._late.clear()

    def _follow(self, changed: bool) -> None:
        """The pace is another now."""
        if not changed:
            return
        change_period(self._timer, self._step / self._pace.factor)
        self._due = self._steady.now().nanoseconds
        factor, wanted = self._pace.factor, self._pace.wanted
        if factor < wanted:
            self.get_logger().warning(f"the real-time factor is {factor:.2g} now, {wanted:g} was wanted; {TOO_SLOW}")
        else:
            self.get_logger().info(f"the real-time factor is {wanted:g} again, as was wanted")

    def _advance(self) -> None:
        self._ticks += 1
        simulated = self._ticks * self._step
        stamp = convert.to_time(simulated)
        self._flight.advance(simulated)
        self._clock_publisher.publish(Clock(clock=stamp))
        # each UAV has its own tick, so that they do not all speak at once
        phase = self._ticks % self._ticks_per_odometry
        for index in range(phase, len(self._tracks), self._ticks_per_odometry):
            self._publish(index, stamp)

    def _publish(self, index: int, stamp: Any) -> None:
        publisher, message = self._tracks[index]
        x, y, z = self._flight.position[index].tolist()
        vx, vy, vz = self._flight.velocity[index].tolist()
        yaw = float(self._flight.yaw[index])
        elapsed = convert.seconds(stamp) - convert.seconds(message.header.stamp)
        turned = math.remainder(yaw - self._yaw[index], 2.0 * math.pi)
        message.twist.twist.angular.z = turned / elapsed if elapsed > 0.0 else 0.0
        self._yaw[index] = yaw
        message.header.stamp = stamp
        pose, twist = message.pose.pose, message.twist.twist
        pose.position.x, pose.position.y, pose.position.z = x, y, z
        pose.orientation.z, pose.orientation.w = math.sin(yaw / 2.0), math.cos(yaw / 2.0)
        # an Odometry's twist is in the child frame: forward, left, up
        cosine, sine = math.cos(yaw), math.sin(yaw)
        twist.linear.x = vx * cosine + vy * sine
        twist.linear.y = vy * cosine - vx * sine
        twist.linear.z = vz
        publisher.publish(message)


def main() -> int:
    """``ros2 run uav_twin_migration world``."""
    return run(lambda: [WorldNode()])
