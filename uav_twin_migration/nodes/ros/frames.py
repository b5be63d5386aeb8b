"""Where things are, for whoever knows ROS but not this package: /tf, /tf_static, and each UAV's NavSatFix.

Frames (REP 105): `map`, ENU about the scenario's origin; `<rsu>` at each RSU's antenna; `<uav>/base_link`. Odometry is
told in the map itself, by simulators and by PX4's estimator, so that there is no odom frame between them.

tf2_msgs comes with every ROS distribution, not with its wheels from PyPI; without it there is only the NavSatFix.
"""

from __future__ import annotations

import math
from typing import Any

from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import NavSatFix, NavSatStatus

from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.vehicle.frames import TangentPlane

FIX_PERIOD = 1.0  # s
MOST_FIXES = 50  # UAVs; a topic each would be too many in a city of hundreds
SIMULATED_POSITION, SIMULATED_TURN = 1e-6, 1e-8  # m^2 and rad^2: told exactly; 0 would mean that nobody knows
ESTIMATED_POSITION, ESTIMATED_TURN = (
    0.25,
    1e-3,
)  # m^2, rad^2, of PX4 with GNSS: half a metre, two degrees
DIAGONAL = (0, 7, 14, 21, 28, 35)  # of a 6 x 6 covariance: x, y, z, and about x, y, z


def set_covariances(message: Odometry, position: float, turn: float) -> None:
    """Give an odometry's pose and twist their variances: m^2 and (m/s)^2, rad^2 and (rad/s)^2."""
    for index, entry in enumerate(DIAGONAL):
        message.pose.covariance[entry] = message.twist.covariance[entry] = position if index < 3 else turn


def tf_message() -> Any | None:
    """tf2_msgs/TFMessage, where it is installed."""
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        return None
    return TFMessage


class Frames:
    """Tells frames and fixes of a scenario's UAVs and RSUs, through a node that hears all odometry."""

    def __init__(self, node: Node, scenario: Scenario) -> None:
        self._plane = TangentPlane(scenario.origin)
        ids = [uav.id for uav in scenario.uavs[:MOST_FIXES]]
        self._fixes = {uav: node.create_publisher(NavSatFix, topics.fix(uav), qos_profiles.ODOMETRY) for uav in ids}
        self._told = dict.fromkeys(self._fixes, -FIX_PERIOD)  # s, when each fix was told last
        self._message = tf_message()
        if self._message is not None:
            self._moving = node.create_publisher(self._message, topics.TF, qos_profiles.MARKET)
            self._static = node.create_publisher(self._message, topics.TF_STATIC, qos_profiles.LATCHED)
            self._static.publish(self._message(transforms=[self._rsu(rsu) for rsu in scenario.rsus]))

    def _rsu(self, rsu: Any) -> TransformStamped:
        transform = TransformStamped(child_frame_id=rsu.id)
        transform.header.frame_id = topics.MAP
        at = transform.transform.translation
        at.x, at.y = map(float, rsu.position)
        at.z = float(rsu.antenna_height)
        return transform

    def are_wanted(self, uav: str, now: float) -> bool:
        """Whether somebody listens to what this UAV's odometry of that time would tell. now: s, its stamp."""
        if self._message is not None and self._moving.get_subscription_count():
            return True
        return self._fix_is_due(uav, now) and self._fixes[uav].get_subscription_count() > 0

    def _fix_is_due(self, uav: str, now: float) -> bool:
        return uav in self._fixes and not 0.0 <= now - self._told[uav] < FIX_PERIOD  # time may have been set back

    def on_odometry(self, uav: str, message: Odometry) -> None:
        """A UAV has moved."""
        at = message.pose.pose.position
        if not all(map(math.isfinite, (at.x, at.y, at.z))):
            return
        if self._message is not None:
            transform = TransformStamped(header=message.header, child_frame_id=f"{uav}/base_link")
            to = transform.transform.translation
            to.x, to.y, to.z = at.x, at.y, at.z
            transform.transform.rotation = message.pose.pose.orientation
            self._moving.publish(self._message(transforms=[transform]))
        now = convert.seconds(message.header.stamp)
        if self._fix_is_due(uav, now):
            self._told[uav] = now
            self._fixes[uav].publish(self._fix(uav, message))

    def _fix(self, uav: str, message: Odometry) -> NavSatFix:
        at, spread = message.pose.pose.position, message.pose.covariance
        fix = NavSatFix(position_covariance_type=NavSatFix.COVARIANCE_TYPE_DIAGONAL_KNOWN)
        fix.header.stamp, fix.header.frame_id = message.header.stamp, f"{uav}/base_link"
        fix.status.status, fix.status.service = NavSatStatus.STATUS_FIX, NavSatStatus.SERVICE_GPS
        fix.latitude, fix.longitude, fix.altitude = self._plane.to_geodetic((at.x, at.y, at.z))
        for index, entry in zip((0, 4, 8), DIAGONAL, strict=False):
            fix.position_covariance[index] = spread[entry]
        return fix
