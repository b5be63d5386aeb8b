"""Interactions in recordings: read from what the recorder wrote, and written as it would have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from uav_twin_migration.errors import InputError, missing_library
from uav_twin_migration.learning.interactions import Interactions
from uav_twin_migration.policy import observation
from uav_twin_migration.recording.decoding import Decoder
from uav_twin_migration.recording.metadata import Topic
from uav_twin_migration.recording.reader import Reader
from uav_twin_migration.recording.writer import Recording
from uav_twin_migration.shipped import shipped_file

TOPIC = "/market/interactions"
KIND = "uav_twin_migration/msg/Interaction"
FIELDS = (  # that are learned from
    *("observation_schema", "observation", "action", "log_probability", "price", "unit_cost", "price_cap", "capacity"),
    *("demanded", "sold", "profit", "uavs_in_range", "policy_version"),
)
ROUND_PERIOD = 1_000_000_000  # ns between the rounds of what `write` writes


def read(sources: Sequence[Path], tell: Callable[[str], None] = lambda sentence: None) -> Interactions:
    """All interactions of some recordings that can be learned from.

    Args:
        tell: gets a sentence about each damaged recording and about messages that were left out.

    Raises:
        InputError: there is no recording, none has interactions, or they are of another observation schema.
        UavTwinError: a library is missing.
    """
    return Interactions.join([_read(source, tell) for source in sources])


def _read(source: Path, tell: Callable[[str], None]) -> Interactions:
    reader = Reader(source)
    decoders: dict[str, Decoder] = {}
    broken = 0
    messages = []
    for recorded in reader:
        topic = recorded.topic
        if topic.name != TOPIC or topic.kind != KIND:
            continue
        if topic.key not in decoders:
            decoders[topic.key] = Decoder(topic)
            decoders[topic.key].require(str(source), FIELDS)
        try:
            message = decoders[topic.key](recorded.data)
        except ValueError:
            broken += 1
            continue
        if message.observation_schema != observation.SCHEMA:
            found = message.observation_schema
            raise InputError(str(source), "observation_schema", found, f"{observation.SCHEMA!r}, which policies read")
        messages.append(message)
    for sentence in (*reader.notes, *reader.damage):
        tell(sentence)
    if broken:
        tell(f"{source}: {broken} messages do not fit their definition and are left out")
    refused: Counter[str] = Counter()
    interactions = Interactions.from_messages(messages, refused)
    if refused:
        tell(f"{source}: left out: " + ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items())))
    if not messages:
        raise InputError(str(source), "recording", f"no message on {TOPIC}", "a recording of RSUs' interactions")
    return interactions


def write(directory: Path, interactions: Interactions) -> None:
    """A recording of interactions, a round a second, as the recorder would have written it.

    Raises:
        InputError: the folder is not empty, or cannot be made.
        UavTwinError: a library is missing.
    """
    try:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError:
        raise missing_library("recordings need", "rosbags>=0.10") from None
    store: Any = get_typestore(Stores.ROS2_JAZZY)
    definition = shipped_file("msg/Interaction.msg")
    assert definition is not None  # it comes with the package
    store.register(get_types_from_msg(definition.read_text(encoding="utf-8"), KIND))
    recording = Recording(directory)
    recording.add_topic(Topic(TOPIC, KIND, store.generate_msgdef(KIND, ros_version=2)[0]))
    for row in range(len(interactions)):
        message = _message(store.types, interactions, row)
        recording.write(TOPIC, bytes(store.serialize_cdr(message, KIND)), row * ROUND_PERIOD)
    recording.close()


def _message(types: Any, interactions: Interactions, row: int) -> Any:
    it = interactions
    sold = min(float(it.demanded[row]), float(it.capacity[row]))
    stamp = types["builtin_interfaces/msg/Time"](sec=row, nanosec=0)
    return types[KIND](
        header=types["std_msgs/msg/Header"](stamp=stamp, frame_id=""),
        rsu_id="rsu",
        round=row,
        observation_schema=observation.SCHEMA,
        observation=np.asarray(it.observation[row], dtype=np.float32),
        action=float(it.action[row]),
        log_probability=float(it.log_probability[row]),
        price=float(it.price[row]),
        unit_cost=float(it.unit_cost[row]),
        price_cap=float(it.price_cap[row]),
        capacity=float(it.capacity[row]),
        demanded=float(it.demanded[row]),
        sold=sold,
        profit=(float(it.price[row]) - float(it.unit_cost[row])) * sold,
        uavs_in_range=int(it.uavs[row]),
        policy_version=int(it.version[row]),
    )
