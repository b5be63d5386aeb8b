"""Publishes frames as markers for RViz: /city/markers, while somebody looks, and buildings for whoever comes later."""

from __future__ import annotations

from collections.abc import Iterable

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from rclpy.node import Node
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from uav_twin_migration.deployment import topics
from uav_twin_migration.monitor.frames import Cast, Frame, Sample
from uav_twin_migration.monitor.scene import Shape, moving, standing, wall_triangles
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.nodes.ros.convert import to_time

KINDS = {
    "walls": Marker.TRIANGLE_LIST,
    "sphere": Marker.SPHERE,
    "cylinder": Marker.CYLINDER,
    "line": Marker.LINE_STRIP,
    "text": Marker.TEXT_VIEW_FACING,
}
LIFETIME = Duration(sec=1)  # what is not said again is gone


class MarkerPublisher:
    """A node's markers."""

    def __init__(self, node: Node) -> None:
        self._moving = node.create_publisher(MarkerArray, topics.CITY_MARKERS, qos_profiles.MARKET)
        self._standing = node.create_publisher(MarkerArray, topics.CITY_BUILDINGS, qos_profiles.LATCHED)
        self._shown: Cast | None = None
        self._sample: Sample | None = None

    def publish(self, cast: Cast, frame: Frame) -> None:
        """Tell of a frame."""
        self._sample = frame.sample or self._sample
        if cast is not self._shown:
            self._shown = cast
            self._standing.publish(markers(standing(cast), frame.time, Duration()))
        if self._moving.get_subscription_count():
            self._moving.publish(markers(moving(cast, frame, self._sample), frame.time, LIFETIME))


def markers(shapes: Iterable[Shape], now: float, lifetime: Duration) -> MarkerArray:
    """Shapes as markers, each named as its shape."""
    return MarkerArray(markers=[marker(number, shape, now, lifetime) for number, shape in enumerate(shapes)])


def marker(number: int, shape: Shape, now: float, lifetime: Duration) -> Marker:
    """One shape."""
    r, g, b, a = shape.colour
    message = Marker(ns=shape.id, id=number, type=KINDS[shape.kind], action=Marker.ADD, lifetime=lifetime)
    message.header.frame_id = topics.MAP
    message.header.stamp = to_time(now)
    message.color = ColorRGBA(r=r, g=g, b=b, a=a)
    message.pose.orientation.w = 1.0
    message.scale.x = message.scale.y = message.scale.z = shape.size or 1.0
    if shape.kind in ("walls", "line"):
        corners = wall_triangles(shape) if shape.kind == "walls" else shape.points
        message.points = [Point(x=x, y=y, z=z) for x, y, z in corners]
    else:
        at = message.pose.position
        at.x, at.y, at.z = shape.points[0]
    if shape.kind == "cylinder":
        message.scale.z = shape.height
    message.text = shape.text
    return message
