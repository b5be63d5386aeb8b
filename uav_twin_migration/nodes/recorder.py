"""Records topics into a rosbag2 folder, as they come over the wire and without decoding them."""

from __future__ import annotations

import fnmatch
import itertools
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from uav_twin_migration import msg
from uav_twin_migration.deployment import topics
from uav_twin_migration.errors import InputError
from uav_twin_migration.monitor.throttled_log import ThrottledLog
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import steady_timer
from uav_twin_migration.recording.definitions import definition, type_hash
from uav_twin_migration.recording.metadata import Attachment, Topic
from uav_twin_migration.recording.provenance import provenance
from uav_twin_migration.recording.writer import Recording
from uav_twin_migration.scenario.settings import parameter

DEPTH = 1000  # messages of a topic that may wait for the recorder
NANOSECONDS = 1_000_000_000
MOST_EARLY = 10_000  # messages that are kept until the simulation's clock is heard

PARAMETERS = (
    parameter("directory", str, "folder to record to; where it holds something, one beside it is made: <directory>_2"),
    parameter("topics", ["*"], "patterns of topics to record; hidden ones, and PX4's own, never are"),
    parameter("flush_period", 0.5, "wall time after which a message is in the file for good, s", 0.01, 60.0),
    parameter(
        "file_period",
        3600.0,
        "wall time after which it goes on in a new file, s: a file's index grows in memory",
        1.0,
        1e6,
    ),
    parameter("discovery_period", 0.5, "wall time between two looks for new topics, s", 0.01, 60.0),
    parameter("scenario", "", "scenario file or name, which the recording carries; empty for none"),
    parameter("policy", "", "what RSUs price with at first, which the recording carries; empty for none"),
    parameter("seed", -1, "seed of everything random, which the recording tells; below 0 for none"),
)

# Heard from the start, before anybody publishes: their first messages count.
MARKET: dict[str, tuple[Any, QoSProfile]] = {
    topics.PRICE_OFFERS: (msg.PriceOffer, qos_profiles.MARKET),
    topics.BANDWIDTH_DEMANDS: (msg.BandwidthDemand, qos_profiles.MARKET),
    topics.BANDWIDTH_GRANTS: (msg.BandwidthGrant, qos_profiles.MARKET),
    topics.INTERACTIONS: (msg.Interaction, qos_profiles.MARKET),
    topics.POLICY_UPDATES: (msg.PolicyUpdate, qos_profiles.LATCHED_BY_MANY),
    topics.HOSTING_DECISIONS: (msg.HostingDecision, qos_profiles.LATCHED_BY_MANY),
    topics.TWIN_HOSTS: (msg.TwinHost, qos_profiles.LATCHED_BY_MANY),
    topics.TWIN_REPLIES: (msg.TwinReply, qos_profiles.MARKET),
    topics.TWIN_STATES: (msg.TwinState, qos_profiles.MARKET),
    topics.MIGRATIONS: (msg.MigrationReport, qos_profiles.MARKET),
    topics.LINK_QUALITY: (msg.LinkQuality, qos_profiles.MEASUREMENT),
}


class RecorderNode(Guarded):
    """Subscribes to whatever is published, and writes it."""

    def __init__(self, **options: Any) -> None:
        super().__init__("recorder", **options)
        self._values = declare(self, PARAMETERS)
        self._simulated = bool(self.get_parameter("use_sim_time").value)
        about, files = self._provenance()
        self._recording = Recording(free_folder(Path(self._values["directory"])), about, files)
        self._early: list[tuple[str, bytes]] = []  # heard before the simulation's clock
        self._stopped = False  # by a full disk
        self._kinds: dict[str, str] = {}  # topic -> message type, also of topics that cannot be recorded
        self._throttled_log = ThrottledLog(self.get_logger().warning, ends=False)
        self.get_logger().info(f"recording to {self._recording.directory}")
        for topic, (message, qos) in MARKET.items():
            self._follow(topic, f"{msg.__name__.partition('.')[0]}/msg/{message.__name__}", message, qos)
        self._discover()
        steady_timer(self, self._values["discovery_period"], self._discover)
        steady_timer(self, self._values["flush_period"], lambda: self._guarded(self._recording.flush))
        steady_timer(self, self._values["file_period"], lambda: self._guarded(self._recording.split))

    def _provenance(self) -> tuple[dict[str, str], list[Attachment]]:
        policy = self._values["policy"]
        try:
            return provenance(self._values["scenario"], policy, self._values["seed"], self._simulated)
        except OSError as error:
            raise InputError("parameters", "policy", policy, f"a file to read ({error.strerror})") from None

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do what writes. A disk that is full stops the recording, with one line, and nothing else."""
        if self._stopped:
            return
        try:
            act()
        except OSError as error:
            self._stopped = True
            folder, why = self._recording.directory, error.strerror or error
            self.get_logger().error(f"recording stopped: {why}; `uavtwin bag repair {folder}` saves what came before")

    def _discover(self) -> None:
        """Subscribe to topics that are new."""
        self._throttled_log.tick()
        for topic, kinds in self.get_topic_names_and_types():
            if topic in self._kinds or is_hidden(topic) or not self.get_publishers_info_by_topic(topic):
                continue
            message = message_class(kinds[0])
            if message is None:
                self._kinds[topic] = kinds[0]
                self._throttled_log.note(f"not recorded, for its type is not installed here: {kinds[0]}", topic)
            else:
                self._follow(topic, kinds[0], message, self._matching(topic))

    def _follow(self, topic: str, kind: str, message: Any, qos: QoSProfile) -> None:
        self._kinds[topic] = kind
        if not any(fnmatch.fnmatchcase(topic, pattern) for pattern in self._values["topics"]):
            return

        def on_message(data: bytes) -> None:
            self._guarded(lambda: self._take(topic, data))

        deep = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=DEPTH, reliability=qos.reliability, durability=qos.durability
        )
        self.create_subscription(message, topic, on_message, deep, raw=True)

    def _take(self, topic: str, data: bytes) -> None:
        """Write a message with the time at which it came; simulated time begins with the first word of the clock."""
        now = self.get_clock().now().nanoseconds if self._simulated else time.time_ns()
        if now == 0 and len(self._early) < MOST_EARLY:
            self._early.append((topic, data))
            return
        early, self._early = self._early, []
        for name, message in (*early, (topic, data)):
            self._write(name, message, now)

    def _write(self, topic: str, data: bytes, now: int) -> None:
        if topic not in self._recording.topics:
            self._announce(topic)
        self._recording.write(topic, data, now)

    def _announce(self, topic: str) -> None:
        kind = self._kinds[topic]
        offered: list[dict[str, Any]] = []
        for info in self.get_publishers_info_by_topic(topic):
            if (profile := qos_document(info.qos_profile)) not in offered:
                offered.append(profile)
        qos = yaml.safe_dump(offered, sort_keys=False) if offered else ""
        self._recording.add_topic(Topic(topic, kind, definition(kind) or "", qos, type_hash(kind)))

    def _matching(self, topic: str) -> QoSProfile:
        """What hears all publishers of a topic: demands no more than the least of them offers."""
        offered = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
        reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
        kept = all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
        return QoSProfile(
            depth=DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if kept else DurabilityPolicy.VOLATILE,
        )

    def destroy_node(self) -> None:
        """End the recording before the node goes."""
        for topic, data in self._early:  # the clock was never heard
            self._guarded(partial(self._write, topic, data, 0))
        self._guarded(self._recording.close)
        super().destroy_node()


def free_folder(wanted: Path) -> Path:
    """The folder, or where it holds something, as after a restart, the first free one beside it: <name>_2, ..."""
    beside = (wanted.with_name(f"{wanted.name}_{number}") for number in itertools.count(2))
    candidates = itertools.chain([wanted], beside)
    return next(folder for folder in candidates if is_free(folder))


def is_free(folder: Path) -> bool:
    """Whether nothing is there that a recording could disturb."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def is_hidden(topic: str) -> bool:
    """Whether a topic is an action's or a service's own, by ROS's convention, or one of PX4's.

    A drone says a thousand messages a second over DDS, and keeps its own log of them.
    """
    return "/_" in topic or "/fmu/" in topic


def message_class(kind: str) -> Any | None:
    """The class of a message type such as "std_msgs/msg/Header"; None where it is not installed."""
    package, _, name = kind.partition("/msg/")
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        return None


def qos_document(profile: QoSProfile) -> dict[str, Any]:
    """A QoS profile as rosbag2 writes it."""

    def duration(value: Any) -> dict[str, int]:
        whole, rest = divmod(value.nanoseconds, NANOSECONDS)
        return {"sec": whole, "nsec": rest}

    return {
        "history": int(profile.history),
        "depth": profile.depth,
        "reliability": int(profile.reliability),
        "durability": int(profile.durability),
        "deadline": duration(profile.deadline),
        "lifespan": duration(profile.lifespan),
        "liveliness": int(profile.liveliness),
        "liveliness_lease_duration": duration(profile.liveliness_lease_duration),
        "avoid_ros_namespace_conventions": profile.avoid_ros_namespace_conventions,
    }


def main() -> int:
    """``ros2 run uav_twin_migration recorder``."""
    return run(lambda: [RecorderNode()])
