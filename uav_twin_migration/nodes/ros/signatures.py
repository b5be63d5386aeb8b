"""Signatures on messages: what RSUs and UAVs say is signed, what is heard is verified, each where a key was given."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Collection
from functools import cache
from typing import Any, TypeVar

from uav_twin_migration.market.messages import Refusal, Refusals
from uav_twin_migration.msg import MigrationReport
from uav_twin_migration.security.ed25519 import KeyFileError
from uav_twin_migration.security.message_signature import (
    CERTIFICATE_LABEL,
    UAVS_LABEL,
    MessageSigner,
    MessageVerifier,
)

M = TypeVar("M")  # a message with the field signature

SIGNATURE = "signature"
FORMATS = {
    "boolean": "?",
    "double": "d",
    "float": "f",
    **{"int8": "b", "int16": "h", "int32": "i", "int64": "q"},
    **{"uint8": "B", "octet": "B", "uint16": "H", "uint32": "I", "uint64": "Q"},
}
SEQUENCE = re.compile(r"sequence<(.+?)(?:, \d+)?>\Z|(.+)\[\d+\]\Z")


class Signing:
    """Signs what an RSU, or a node of UAVs, says."""

    def __init__(self, file: str, uavs: Collection[str] = ()) -> None:
        """file: its ID.signing; empty to sign nothing. uavs: whom it speaks for; none: an RSU. Raises KeyFileError."""
        self._signer = MessageSigner(file, UAVS_LABEL if uavs else CERTIFICATE_LABEL) if file else None
        if self._signer is not None and not set(uavs) <= set(self._signer.uavs):
            others = ", ".join(sorted(set(uavs) - set(self._signer.uavs)))
            raise KeyFileError(
                f"{file}: not for {others}; make it with `uavtwin keys KEYS --uavs` or `--uav-container`"
            )

    @property
    def until(self) -> float | None:
        """When its key runs out, s since 1970; None where it does not sign."""
        return self._signer.until if self._signer is not None else None

    def signed(self, message: M) -> M:
        """The message, with its signature."""
        if self._signer is not None:
            message.signature = self._signer.signature(content(message))  # type: ignore[attr-defined]
        return message


class Verifying:
    """Verifies what RSUs said, and UAVs where that is asked for."""

    def __init__(self, file: str, uavs: bool = False) -> None:
        """file: the market authority's public key; empty to believe everything. uavs: whether they must sign, too.

        Raises KeyFileError.
        """
        self._reader = MessageVerifier.from_file(file) if file else None
        self.verifies_uavs = uavs and self._reader is not None
        self.refusals = Refusals()

    def believes(self, message: Any) -> bool:
        """Whether a message is of the RSU that it names; counts those that are not."""
        if self._reader is None:
            return True
        rsu = message.source if isinstance(message, MigrationReport) else message.rsu_id
        return self._note(self._reader.refusal(rsu, content(message), bytes(message.signature), time.time()), rsu)

    def believes_uavs(self, message: Any) -> bool:
        """Whether a message is of all the UAVs that it names; counts those that are not."""
        if self._reader is None or not self.verifies_uavs:
            return True
        uavs = message.uav_ids if hasattr(message, "uav_ids") else [message.uav_id]
        refusal = self._reader.refusal_of_uavs(uavs, content(message), bytes(message.signature), time.time())
        return self._note(refusal, uavs[0] if uavs else "")

    def _note(self, refusal: Refusal | None, sender: str) -> bool:
        if refusal is not None:
            self.refusals.note(refusal, sender)
        return refusal is None


def content(message: Any) -> bytes:
    """What is signed: all fields but the signature, each with its name and length, as they arrive at any receiver."""
    parts = [type(message).__name__.encode()]
    for name, kind, entry in _fields(type(message)):  # type: ignore[arg-type]
        parts += [name.encode(), *_packed(kind, entry, getattr(message, name))]
    return b"".join(parts)


@cache
def _fields(message: Any) -> tuple[tuple[str, str, str], ...]:
    """The name of each field of a type of messages, its type, and that of its entries where it is an array."""
    kinds = message.get_fields_and_field_types().items()
    found = ((name, kind, SEQUENCE.match(kind)) for name, kind in kinds if name != SIGNATURE)
    return tuple((name, kind, (array.group(1) or array.group(2)) if array else "") for name, kind, array in found)


def _packed(kind: str, entry: str, value: Any) -> list[bytes]:
    if entry:
        length = struct.pack("<I", len(value))
        if entry in FORMATS:
            return [length, struct.pack(f"<{len(value)}{FORMATS[entry]}", *value)]
        return [length, *(part for one in value for part in _packed(entry, "", one))]
    if kind in FORMATS:
        return [struct.pack("<" + FORMATS[kind], value)]
    if kind == "string":
        text = value.encode("utf-8", "surrogatepass")
        return [struct.pack("<I", len(text)), text]
    return [content(value)]
