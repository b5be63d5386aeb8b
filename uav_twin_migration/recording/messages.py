"""Messages made without ROS, by the definitions that come with the package: serialised as ROS 2 would.

A recording that somebody writes who has no ROS carries the same topics and types as one of `sim --record`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from uav_twin_migration.errors import missing_library
from uav_twin_migration.recording.metadata import Topic
from uav_twin_migration.shipped import PACKAGE, shipped_file

OWN = (
    *("BandwidthDemand", "BandwidthGrant", "HostingDecision", "Interaction", "LinkQuality", "MigrationReport"),
    *("PriceOffer", "TwinHostStatus", "TwinReply", "TwinState", "TwinTransfers"),
)
BASE, NAME, ARRAY, SEQUENCE = 1, 2, 3, 4  # what rosbags calls the kinds of fields
EMPTY = {"string": "", "bool": False}  # 0 for numbers
NANOSECONDS = 1_000_000_000


def to_time(seconds: float) -> dict[str, int]:
    """A Time or a Duration."""
    whole, rest = divmod(round(seconds * NANOSECONDS), NANOSECONDS)
    return {"sec": whole, "nanosec": rest}


class Messages:
    """Makes them. Raises UavTwinError where the library is missing."""

    def __init__(self) -> None:
        try:
            from rosbags.typesys import Stores, get_types_from_msg, get_typestore
        except ImportError:
            raise missing_library("recordings need", "rosbags>=0.10") from None
        self._store: Any = get_typestore(Stores.ROS2_JAZZY)
        for name in OWN:
            file = shipped_file(f"msg/{name}.msg")
            assert file is not None, f"msg/{name}.msg is not installed"
            text = file.read_text(encoding="utf-8")
            self._store.register(get_types_from_msg(text, f"{PACKAGE}/msg/{name}"))

    def topic(self, name: str, kind: str) -> Topic:
        """A topic to announce, with the definition of its type."""
        definition, _ = self._store.generate_msgdef(kind, ros_version=2)
        return Topic(name, kind, definition, hash=self._store.hash_rihs01(kind))

    def serialised(self, kind: str, fields: Mapping[str, Any]) -> bytes:
        """A message in CDR. fields: by name, nested ones as mappings; what is left out is 0 or empty."""
        return bytes(self._store.serialize_cdr(self._made(kind, fields), kind))

    def _made(self, kind: str, fields: Mapping[str, Any]) -> Any:
        known = self._store.fielddefs[kind][1]
        values = {name: self._value(described, fields.get(name)) for name, described in known}
        return self._store.types[kind](**values)

    def _value(self, described: Any, value: Any) -> Any:
        form, inside = described
        if form == BASE:
            return EMPTY.get(inside[0], 0) if value is None else value
        if form == NAME:
            return self._made(inside, value or {})
        (inner, of), length = inside
        values: Any = value if value is not None else [0] * (length if form == ARRAY else 0)
        if inner == BASE and of[0] != "string":
            return np.asarray(values, dtype=np.dtype(of[0]))
        return list(values) if inner == BASE else [self._made(of, one) for one in values]
