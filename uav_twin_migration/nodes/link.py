"""Measures the links between all UAVs and RSUs of a simulation: odometry in, link quality out."""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray

from uav_twin_migration.deployment import topics
from uav_twin_migration.msg import LinkQuality
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.nodes.ros.frames import Frames
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import Timing, steady_timer
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.settings import parameter
from uav_twin_migration.scenario.snapshot import Snapshot

PATIENCE = 10.0  # s of wall time until a UAV without odometry is missed
PHASE = 0.6  # of a period after its whole multiples: RSUs start their rounds there, and everybody is busy then

PARAMETERS = (
    parameter("scenario", str, "scenario file, or the name of a shipped one"),
    parameter("period", 0.1, "time between two measurements, s", 1e-3, 3600.0),
)


class LinkNode(Guarded):
    """Applies the radio model to the UAVs' last odometry."""

    def __init__(self, **options: Any) -> None:
        super().__init__("link", **options)
        values = declare(self, PARAMETERS)
        scenario = load(values["scenario"])
        self._snapshot = Snapshot(scenario, self.get_logger().error)
        self._rsu_ids = [rsu.id for rsu in scenario.rsus]
        self._regions = [rsu.region for rsu in scenario.rsus] if any(rsu.region for rsu in scenario.rsus) else []
        self._uav_ids = [uav.id for uav in scenario.uavs]
        self._position = np.full((len(self._uav_ids), 3), np.nan)
        self._timing = Timing(self)
        self._links = self.create_publisher(LinkQuality, topics.LINK_QUALITY, qos_profiles.MEASUREMENT)
        self._frames = Frames(self, scenario)
        for index, uav in enumerate(self._uav_ids):
            self._follow_motion(index, uav)
        self._period: float = values["period"]
        self._waker = self._timing.waker(self._on_time)
        self._waker.set(self._timing.now())
        self._incomplete = False
        steady_timer(self, PATIENCE, self._look)

    def _follow_motion(self, index: int, uav: str) -> None:
        def on_odometry(message: Odometry) -> None:
            at = message.pose.pose.position
            self._position[index] = at.x, at.y, at.z
            self._frames.on_odometry(uav, message)

        self.create_subscription(Odometry, topics.odometry(uav), on_odometry, qos_profiles.MEASUREMENT)

    def _on_time(self, now: float) -> None:
        self._waker.set((math.floor(now / self._period) + 1 + PHASE) * self._period)
        self._measure()

    def _look(self) -> None:
        """Say, once, that UAVs are missing, and that they are there."""
        known = np.isfinite(self._position).all(axis=1)
        missing = [uav for uav, seen in zip(self._uav_ids, known, strict=True) if not seen]
        if missing and not self._incomplete:
            some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            self.get_logger().warning(
                f"no odometry of {len(missing)} of {len(known)} UAVs, so no links of theirs: {some}"
            )
        elif self._incomplete and not missing:
            self.get_logger().info("odometry of all UAVs is there")
        self._incomplete = bool(missing)

    def _measure(self) -> None:
        known = np.isfinite(self._position).all(axis=1)
        if not known.any():
            return
        links = self._snapshot.links(self._position[known])
        message = LinkQuality(
            uav_ids=[uav for uav, seen in zip(self._uav_ids, known, strict=True) if seen], rsu_ids=self._rsu_ids
        )
        message.regions = self._regions
        message.header.stamp = convert.to_time(self._timing.now())
        message.header.frame_id = topics.MAP
        message.distance = floats(links.distance)
        message.line_of_sight = links.line_of_sight.ravel().tolist()
        message.snr = floats(links.snr)
        message.spectral_efficiency = floats(links.efficiency)
        message.loss = floats(links.loss)
        self._links.publish(message)


def floats(values: NDArray[np.float64]) -> array[float]:
    """As a float32[] field takes it fastest."""
    return array("f", values.astype(np.float32).tobytes())


def main() -> int:
    """``ros2 run uav_twin_migration link``."""
    return run(lambda: [LinkNode()])
