"""Messages of a recording to objects, by the definitions that the recording carries: no ROS, and of any version."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from uav_twin_migration.errors import InputError, missing_library
from uav_twin_migration.recording.metadata import Topic


class Decoder:
    """Decodes the messages of one topic.

    Raises:
        InputError: the topic's definition is none that can be read, or there is none.
        UavTwinError: a library is missing.
    """

    def __init__(self, topic: Topic) -> None:
        try:
            from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
        except ImportError:
            raise missing_library("recordings need", "rosbags>=0.10") from None
        self.kind = topic.kind
        self.store: Any = get_typestore(Stores.EMPTY)
        if topic.encoding != "cdr" or not topic.definition:
            raise InputError(topic.name, "messages", topic.encoding, "CDR, with a definition of their type")
        try:
            if topic.language == "ros2idl":
                types = get_types_from_idl(topic.definition)
            else:
                types = get_types_from_msg(topic.definition, topic.kind)
            self.store.register(types)
            self.fields(self.kind)
        except Exception as error:  # the parser raises whatever a broken definition makes it raise
            reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
            raise InputError(topic.name, f"definition of {topic.kind}", reason, "one in ROS 2's language") from None

    def __call__(self, data: bytes) -> Any:
        """The message; raises ValueError where its bytes do not fit its definition."""
        try:
            return self.store.deserialize_cdr(data, self.kind)
        except Exception as error:  # bad bytes raise whatever numpy, struct or the library's generated code raises
            raise ValueError(f"{type(error).__name__}: {error}"[:100]) from None

    def fields(self, kind: str) -> list[tuple[str, Any]]:
        """The fields of a type, each with rosbags' description of what it holds."""
        return list(self.store.fielddefs[kind][1])

    def require(self, source: str, names: Iterable[str]) -> None:
        """Raises InputError that tells of `source` the difference where the type lacks one of these fields."""
        held = {name for name, _ in self.fields(self.kind)}
        lacking = [name for name in names if name not in held]
        if lacking:
            expected = f"the fields of this version; it lacks {', '.join(lacking)}"
            raise InputError(
                "recording", self.kind, f"an older or a foreign definition with {len(held)} fields", expected
            )
