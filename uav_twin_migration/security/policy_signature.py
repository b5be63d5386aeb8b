"""Who made a policy: Ed25519 signatures (RFC 8032) of artifacts.

A learner signs what it publishes with its private key, and an RSU accepts what one of the public keys that it was given
verifies. The version is inside the artifact, so that the signature covers it: an old update that is sent again is still
well signed, and is refused because its version is not above the one in use, which an RSU keeps on its disk.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from pathlib import Path

from uav_twin_migration.security import ed25519

CONTEXT = b"uav-twin-policy-signature/1\0"  # so that no signature of anything else passes for one of a policy
ID_DIGITS = 16  # hexadecimal digits of a key id


class Distrust(str, Enum):
    """Why an artifact's origin is not believed; `/diagnostics` counts by these names."""

    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown_key"  # signed by somebody whose key this RSU was not given
    FORGED = "forged"  # the signature is not of this artifact


class Signer:
    """A learner's private key."""

    def __init__(self, file: Path | str) -> None:
        """Read a private key, as `uavtwin keys DIR --learner NAME` writes it. Raises KeyFileError."""
        self._key = ed25519.read_key(file, "PRIVATE KEY")
        self.key_id = id_of(ed25519.public_of(self._key))

    def sign(self, artifact: bytes) -> bytes:
        """The signature of an artifact, 64 bytes."""
        return ed25519.sign(self._key, CONTEXT + artifact)


class Keyring:
    """The public keys of the learners that an RSU believes: all `*.pub` files of a directory.

    Updates are rare: the directory is read for each, so that a key is given, or withdrawn, without a restart.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def distrust(self, artifact: bytes, key_id: str, signature: bytes) -> Distrust | None:
        """Why the artifact is not believed to come from one of the learners; None where it is. Raises KeyFileError."""
        if not key_id or not signature:
            return Distrust.UNSIGNED
        key = self.keys().get(key_id)
        if key is None:
            return Distrust.UNKNOWN_KEY
        return None if ed25519.verify(key, CONTEXT + artifact, signature) else Distrust.FORGED

    def keys(self) -> dict[str, bytes]:
        """The keys by their ids. Raises KeyFileError where a file is damaged."""
        keys = [ed25519.read_key(file, "PUBLIC KEY") for file in sorted(self.directory.glob("*.pub"))]
        return {id_of(key): key for key in keys}


def id_of(public_key: bytes) -> str:
    """What a public key is called on the wire: the beginning of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:ID_DIGITS]
