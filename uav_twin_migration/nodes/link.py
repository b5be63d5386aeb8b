"""Measures the links between all UAVs and RSUs of a simulation: odometry in, link quality out."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message

from uav_twin_migration.deployment import topics
from uav_twin_migration.msg import LinkQuality
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.nodes.ros.frames import Frames
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import Timing, steady_timer
from uav_twin_migration.radio.link import Links
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.settings import parameter
from uav_twin_migration.scenario.snapshot import Snapshot

PATIENCE = 10.0  # s of wall time until a UAV without odometry is missed
PHASE = 0.6  # of a period after its whole multiples: RSUs start their rounds there, and everybody is busy then

PARAMETERS = (
    parameter("scenario", str, "scenario file, or the name of a shipped one"),
    parameter("period", 0.1, "time between two measurements, s", 1e-3, 3600.0),
    parameter(
        "groups",
        [],
        "UAVs whose links are told on link_quality in a namespace of their own, with the RSUs that one of them can "
        "reach: NAMESPACE UAV UAV ...; all others' on /radio/link_quality",
    ),
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
        self._groups = list(self._make_groups(values["groups"]))
        self._frames = Frames(self, scenario)
        for index, uav in enumerate(self._uav_ids):
            self._follow_motion(index, uav)
        self._period: float = values["period"]
        self._waker = self._timing.waker(self._on_time)
        self._waker.set(self._timing.now())
        self._incomplete = False
        steady_timer(self, PATIENCE, self._look)

    def _make_groups(self, groups: Sequence[str]) -> Iterator[tuple[Any, list[str], bool]]:
        """Publishers, the UAVs whose links each tells, and whether it tells those to all RSUs."""
        others = set(self._uav_ids)
        for group in groups:
            namespace, *uavs = group.split()
            topic = topics.own_link_quality(namespace)
            others -= set(uavs)
            yield self.create_publisher(LinkQuality, topic, qos_profiles.MEASUREMENT), uavs, False
        rest = [uav for uav in self._uav_ids if uav in others]
        yield self.create_publisher(LinkQuality, topics.LINK_QUALITY, qos_profiles.MEASUREMENT), rest, True

    def _follow_motion(self, index: int, uav: str) -> None:
        def on_odometry(data: bytes) -> None:
            stamp, self._position[index], _ = convert.motion_from_bytes(data)
            if self._frames.are_wanted(uav, stamp):
                self._frames.on_odometry(uav, deserialize_message(data, Odometry))

        self.create_subscription(Odometry, topics.odometry(uav), on_odometry, qos_profiles.MEASUREMENT, raw=True)

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
        places = {uav: row for row, uav in enumerate(np.array(self._uav_ids)[known].tolist())}
        for publisher, uavs, all_rsus in self._groups:
            rows = [places[uav] for uav in uavs if uav in places]
            if rows:
                reached = links.efficiency[rows].any(axis=0)
                columns = range(len(self._rsu_ids)) if all_rsus else np.flatnonzero(reached).tolist()
                publisher.publish(self._message(links, [uav for uav in uavs if uav in places], rows, columns))

    def _message(self, links: Links, uavs: list[str], rows: list[int], columns: Sequence[int]) -> LinkQuality:
        """The links of some UAVs to some RSUs."""
        message = LinkQuality(uav_ids=uavs, rsu_ids=[self._rsu_ids[column] for column in columns])
        message.regions = [self._regions[column] for column in columns] if self._regions else []
        message.header.stamp = convert.to_time(self._timing.now())
        message.header.frame_id = topics.MAP
        some = np.ix_(rows, columns)
        message.distance = floats(links.distance[some])
        message.line_of_sight = links.line_of_sight[some].ravel().tolist()
        message.snr = floats(links.snr[some])
        message.spectral_efficiency = floats(links.efficiency[some])
        message.loss = floats(links.loss[some])
        return message


def floats(values: NDArray[np.float64]) -> array[float]:
    """As a float32[] field takes it fastest."""
    return array("f", values.astype(np.float32).tobytes())


def main() -> int:
    """``ros2 run uav_twin_migration link``."""
    return run(lambda: [LinkNode()])
