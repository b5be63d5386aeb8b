"""Keys that nobody shall believe any more, in a list that the market's authority has signed.

The list is a file beside `market.pub`. It names the keys of signatures by themselves, and certificates by their
SHA-256. Its version rises with every change: an older list never takes the place of a newer one while a node runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.security import ed25519

REVOKED_FILE = "revoked"
LABEL = "UAVTWIN REVOKED"
CONTEXT = b"uav-twin-revoked/1\0"
ENTRY_SIZE = 32  # bytes


class RevokedList(NamedTuple):
    """What is revoked."""

    version: int = 0
    entries: frozenset[bytes] = frozenset()


def certificate_entry(certificate: bytes) -> bytes:
    """What a certificate, DER, is called in a list."""
    return hashlib.sha256(certificate).digest()


def to_text(authority: bytes, version: int, entries: Collection[bytes]) -> str:
    """A signed list, as a file has it. authority: the market authority's private key."""
    content = struct.pack("<Q", version) + b"".join(sorted(entries))
    return ed25519.pem_block(content + ed25519.sign(authority, CONTEXT + content), LABEL)


def read(file: Path, authority: bytes) -> RevokedList:
    """The list of a file; an empty one where there is no file. authority: public key. Raises KeyFileError."""
    if not file.exists():
        return RevokedList()
    block = ed25519.read_block(file, LABEL)
    content, signature = block[: -ed25519.SIGNATURE_SIZE], block[-ed25519.SIGNATURE_SIZE :]
    if len(content) % ENTRY_SIZE != 8 or not ed25519.verify(authority, CONTEXT + content, signature):
        raise ed25519.KeyFileError(f"{file}: no list that this market's authority has signed")
    entries = (content[start : start + ENTRY_SIZE] for start in range(8, len(content), ENTRY_SIZE))
    return RevokedList(int(struct.unpack_from("<Q", content)[0]), frozenset(entries))


class Revocations:
    """The list of a file, read again when the file has changed.

    A file that is older, or cannot be read, as while it is being copied, changes nothing.
    """

    def __init__(self, file: Path, authority: bytes) -> None:
        """authority: its public key. Raises KeyFileError."""
        self._file, self._authority = file, authority
        self._state = self._look()
        self._list = read(file, authority)

    def __contains__(self, entry: object) -> bool:
        state = self._look()
        if state != self._state:
            with contextlib.suppress(ed25519.KeyFileError):
                self._list = max(self._list, read(self._file, self._authority), key=lambda one: one.version)
                self._state = state
        return entry in self._list.entries

    def _look(self) -> tuple[int, int, int] | None:
        """What changes when the file does."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
