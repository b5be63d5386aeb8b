"""The embedded world: flies all UAVs of a scenario and is the simulation's clock.

It stands where Gazebo or PX4 would: the other nodes see /clock and odometry, and cannot tell the difference.
"""

from __future__ import annotations

import math
from typing import Any

from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from rosgraph_msgs.msg import Clock

from uav_twin_migration.monitor.throttled_log import ThrottledLog
from uav_twin_migration.nodes.ros import convert, topics
from uav_twin_migration.nodes.ros.frames import SIMULATED_POSITION, SIMULATED_TURN, set_covariances
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import Parameter, declare, require
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.scenario.load import load
from uav_twin_migration.vehicle.motion import Flight

STEERING_HOLDS = 0.5  # s that a cmd_vel counts for
MOST_TICKS_BEHIND = 20  # wall-clock ticks after which lost time is given up instead of being caught up

PARAMETERS = (
    Parameter("scenario", str, "scenario file, or the name of a shipped one"),
    Parameter("real_time_factor", 1.0, "simulated seconds per second"),
    Parameter("clock_period", 0.05, "simulated time between two /clock messages, s"),
    Parameter("odometry_period", 0.1, "simulated time between two odometry messages of a UAV, s"),
)


class WorldNode(Guarded):
    """Steps a `Flight` and publishes it."""

    def __init__(self, **options: Any) -> None:
        super().__init__("world", **options)
        values = declare(self, PARAMETERS)
        require(self, values, "real_time_factor", 1e-3, 1e3)
        require(self, values, "clock_period", 1e-3, 10.0)
        require(self, values, "odometry_period", 1e-3, 10.0)
        self._scenario = load(values["scenario"])
        self._flight = Flight(self._scenario)
        self._step: float = values["clock_period"]
        self._pace = self._step / values["real_time_factor"]  # s of wall time per tick
        self._ticks_per_odometry = max(round(values["odometry_period"] / self._step), 1)
        self._ticks = 0
        self._yaw = self._flight.yaw.tolist()  # rad, as told last
        self._clock_publisher = self.create_publisher(Clock, topics.CLOCK, 10)
        self._tracks = [self._make_track(index, uav.id) for index, uav in enumerate(self._scenario.uavs)]
        self._throttled_log = ThrottledLog(self.get_logger().warning)
        self._steady = RosClock(clock_type=ClockType.STEADY_TIME)
        self._due = self._steady.now().nanoseconds
        self.create_timer(self._pace, self._on_tick, clock=self._steady)

    def _make_track(self, index: int, uav: str) -> tuple[Any, Odometry]:
        """A UAV's odometry publisher with the message it sends again and again."""

        def on_cmd_vel(message: Twist) -> None:
            velocity = (message.linear.x, message.linear.y, message.linear.z)
            if all(map(math.isfinite, velocity)):
                self._flight.steer(index, velocity, self._flight.time + STEERING_HOLDS)

        self.create_subscription(Twist, topics.cmd_vel(uav), on_cmd_vel, topics.MEASUREMENT)
        message = Odometry(child_frame_id=f"{uav}/base_link")
        message.header.frame_id = topics.MAP
        set_covariances(message, SIMULATED_POSITION, SIMULATED_TURN)
        return self.create_publisher(Odometry, topics.odometry(uav), topics.ODOMETRY), message

    def _on_tick(self) -> None:
        """One step of the world; several where the machine had no time for the timer."""
        now = self._steady.now().nanoseconds
        pace = int(self._pace * convert.NANOSECONDS)
        if now - self._due > MOST_TICKS_BEHIND * pace:
            lost = (now - self._due) / convert.NANOSECONDS
            self._throttled_log.note(
                "the world falls behind", f"{lost:.1f} s given up at last; too slow a machine, or too busy"
            )
            self._due = now
        self._throttled_log.tick()
        while self._due <= now:
            self._due += pace
            self._advance()

    def _advance(self) -> None:
        self._ticks += 1
        time = self._ticks * self._step
        stamp = convert.to_time(time)
        self._flight.advance(time)
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
