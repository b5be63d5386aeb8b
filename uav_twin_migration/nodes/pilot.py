"""Flies the UAVs of a scenario in Gazebo: odometry in, velocities out, by the same pilot as everywhere else.

Simulators take velocities in a UAV's own frame, on `/uav/<id>/body_velocity`. What somebody else says on
`/uav/<id>/cmd_vel`, in the map frame, goes before the pilot's route, as it does in the embedded world.

Gazebo Sim's clock ticks with every step of its physics, which would cost each node hundreds of callbacks a second. So
it comes on a topic of its own, and this node passes it on to /clock as often as it commands.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rosgraph_msgs.msg import Clock

from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.sdf import CLOCK
from uav_twin_migration.scenario.settings import parameter
from uav_twin_migration.vehicle.frames import to_body
from uav_twin_migration.vehicle.mobility import Mobilities
from uav_twin_migration.vehicle.motion import Pilot, limited, routes_of

STEERING_HOLDS = 0.5  # s that a cmd_vel counts for
TURNING = 1.5  # 1/s, by which the nose turns towards the way it flies
FASTEST_TURN = 1.5  # rad/s
SLOWEST = 1.0  # m/s, below which the nose stays as it is

PARAMETERS = (
    parameter("scenario", str, "scenario file, or the name of a shipped one"),
    parameter("period", 0.05, "simulated time between two commands to a UAV, s", 1e-3, 1.0),
)


class PilotNode(Guarded):
    """Steps a `Pilot` for all UAVs with the simulator's clock."""

    def __init__(self, **options: Any) -> None:
        super().__init__("pilot", **options)
        values = declare(self, PARAMETERS)
        self._uavs = load(values["scenario"]).uavs
        self._pilot = Pilot(routes_of(self._uavs), Mobilities(self._uavs, self.get_logger().error))
        self._period: float = values["period"]
        count = len(self._uavs)
        self._now = self._stepped_at = math.nan  # s, simulated
        self._position = np.full((count, 3), np.nan)
        self._attitude = np.tile((1.0, 0.0, 0.0, 0.0), (count, 1))
        self._seen_at = np.full(count, -np.inf)
        self._steering = np.zeros((count, 3))
        self._steered_until = np.full(count, -np.inf)
        self._commands = [self._connect(index, uav.id) for index, uav in enumerate(self._uavs)]
        self._passed_on = self.create_publisher(Clock, topics.CLOCK, 10)
        self.create_subscription(Clock, CLOCK, self._on_clock, qos_profiles.MEASUREMENT)

    def _connect(self, index: int, uav: str) -> Any:
        def on_odometry(message: Odometry) -> None:
            at, turn = message.pose.pose.position, message.pose.pose.orientation
            self._position[index] = at.x, at.y, at.z
            self._attitude[index] = turn.w, turn.x, turn.y, turn.z
            self._seen_at[index] = convert.seconds(message.header.stamp)

        def on_cmd_vel(message: Twist) -> None:
            wanted = (message.linear.x, message.linear.y, message.linear.z)
            if all(map(math.isfinite, wanted)):
                self._steering[index] = limited(wanted, self._uavs[index].speed)
                self._steered_until[index] = self._now + STEERING_HOLDS

        self.create_subscription(Odometry, topics.odometry(uav), on_odometry, qos_profiles.MEASUREMENT)
        self.create_subscription(Twist, topics.cmd_vel(uav), on_cmd_vel, qos_profiles.MEASUREMENT)
        return self.create_publisher(Twist, topics.body_velocity(uav), qos_profiles.ODOMETRY)

    def _on_clock(self, message: Clock) -> None:
        """The simulation has moved on: steer, where it is time to."""
        self._now = convert.seconds(message.clock)
        if math.isnan(self._stepped_at) or self._now < self._stepped_at:
            self._stepped_at = self._now  # the first tick, or the world was reset
            return
        elapsed = self._now - self._stepped_at
        if elapsed < self._period - 1e-6:
            return
        self._stepped_at = self._now
        self._passed_on.publish(message)
        self._steer(min(elapsed, 4 * self._period))

    def _steer(self, elapsed: float) -> None:
        velocities = self._pilot.step(self._position, elapsed, self._now - self._seen_at)
        steered = self._steered_until > self._now
        if steered.any():
            velocities = np.where(steered[:, None], self._steering, velocities)
            self._pilot.command = velocities
        for index, publisher in enumerate(self._commands):
            publisher.publish(body_twist(self._attitude[index], velocities[index]))


def body_twist(attitude: NDArray[np.float64], velocity: NDArray[np.float64]) -> Twist:
    """The command, in a UAV's own frame, to fly with a velocity [3] (m/s, map frame) and to look where it flies."""
    message = Twist()
    linear = message.linear
    linear.x, linear.y, linear.z = to_body(attitude, velocity).tolist()
    if np.hypot(velocity[0], velocity[1]) > SLOWEST:
        aside = math.atan2(linear.y, linear.x)
        message.angular.z = max(-FASTEST_TURN, min(TURNING * aside, FASTEST_TURN))
    return message


def main() -> int:
    """``ros2 run uav_twin_migration pilot``."""
    return run(lambda: [PilotNode()])
