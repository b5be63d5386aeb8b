"""Seals on messages: what an RSU says is sealed, what is heard is verified, each where a key was given."""

from __future__ import annotations

import re
import struct
import time
from typing import Any, TypeVar

from uav_twin_migration.market.messages import Refusals
from uav_twin_migration.market.seal import Sealer, SealReader

M = TypeVar("M")  # a message with the fields rsu_id and seal

SEAL = "seal"
FORMATS = {
    "boolean": "?",
    "double": "d",
    "float": "f",
    **{"int8": "b", "int16": "h", "int32": "i", "int64": "q"},
    **{"uint8": "B", "octet": "B", "uint16": "H", "uint32": "I", "uint64": "Q"},
}
SEQUENCE = re.compile(r"sequence<(.+?)(?:, \d+)?>\Z|(.+)\[\d+\]\Z")


class Voice:
    """Seals what an RSU says."""

    def __init__(self, file: str) -> None:
        """file: the RSU's ID.seal; empty to seal nothing. Raises KeyFileError."""
        self._sealer = Sealer(file) if file else None

    def sealed(self, message: M) -> M:
        """The message, with its seal."""
        if self._sealer is not None:
            message.seal = self._sealer.seal(content(message))  # type: ignore[attr-defined]
        return message


class Ear:
    """Verifies what RSUs said."""

    def __init__(self, file: str) -> None:
        """file: the market authority's public key; empty to believe everything. Raises KeyFileError."""
        self._reader = SealReader.from_file(file) if file else None
        self.refusals = Refusals()

    def believes(self, message: Any) -> bool:
        """Whether a message is of the RSU that it names; counts those that are not."""
        if self._reader is None:
            return True
        refusal = self._reader.refusal(message.rsu_id, content(message), bytes(message.seal), time.time())
        if refusal is not None:
            self.refusals.note(refusal, message.rsu_id)
        return refusal is None


def content(message: Any) -> bytes:
    """What a seal is of: all fields but the seal, each with its name and length, as they arrive at any receiver."""
    parts = [type(message).__name__.encode()]
    for name, kind in message.get_fields_and_field_types().items():
        if name != SEAL:
            parts += [name.encode(), *_packed(kind, getattr(message, name))]
    return b"".join(parts)


def _packed(kind: str, value: Any) -> list[bytes]:
    found = SEQUENCE.match(kind)
    if found:
        entry = found.group(1) or found.group(2)
        length = struct.pack("<I", len(value))
        if entry in FORMATS:
            return [length, struct.pack(f"<{len(value)}{FORMATS[entry]}", *value)]
        return [length, *(part for one in value for part in _packed(entry, one))]
    if kind in FORMATS:
        return [struct.pack("<" + FORMATS[kind], value)]
    if kind == "string":
        text = value.encode("utf-8", "surrogatepass")
        return [struct.pack("<I", len(text)), text]
    return [content(value)]
