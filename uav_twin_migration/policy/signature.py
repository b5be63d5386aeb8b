"""Who made a policy: Ed25519 signatures (RFC 8032) of artifacts.

A learner signs what it publishes with its private key, and an RSU accepts what one of the public keys that it was given
verifies. The version is inside the artifact, so that the signature covers it: an old update that is sent again is still
well signed, and is refused because its version is not above the one in use, which an RSU keeps on its disk.

Needs the library `cryptography`, and only where something is signed or verified.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from pathlib import Path
from typing import Any

from uav_twin_migration.errors import UavTwinError

CONTEXT = b"uav-twin-policy-signature/1\0"  # so that no signature of anything else passes for one of a policy
ID_DIGITS = 16  # hexadecimal digits of a key id
PRIVATE_SUFFIX, PUBLIC_SUFFIX = ".key", ".pub"


class Distrust(str, Enum):
    """Why an artifact's origin is not believed; `/diagnostics` counts by these names."""

    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown_key"  # signed by somebody whose key this RSU was not given
    FORGED = "forged"  # the signature is not of this artifact


class KeyFileError(UavTwinError):
    """A key file cannot be used; says which, and why."""


class Signer:
    """A learner's private key."""

    def __init__(self, file: Path | str) -> None:
        """Read a private key, as `uavtwin keys DIR --learner NAME` writes it. Raises KeyFileError."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        self._key = _load(Path(file), lambda data: load_pem_private_key(data, None), Ed25519PrivateKey)
        self.key_id = id_of(self._key.public_key())

    def sign(self, artifact: bytes) -> bytes:
        """The signature of an artifact, 64 bytes."""
        return bytes(self._key.sign(CONTEXT + artifact))


class Keyring:
    """The public keys of the learners that an RSU believes: all `*.pub` files of a directory.

    Updates are rare: the directory is read for each, so that a key is given, or withdrawn, without a restart.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def distrust(self, artifact: bytes, key_id: str, signature: bytes) -> Distrust | None:
        """Why the artifact is not believed to come from one of the learners; None where it is. Raises KeyFileError."""
        from cryptography.exceptions import InvalidSignature

        if not key_id or not signature:
            return Distrust.UNSIGNED
        key = self.keys().get(key_id)
        if key is None:
            return Distrust.UNKNOWN_KEY
        try:
            key.verify(signature, CONTEXT + artifact)
        except InvalidSignature:
            return Distrust.FORGED
        return None

    def keys(self) -> dict[str, Any]:
        """The keys by their ids. Raises KeyFileError where a file is damaged."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        files = sorted(self.directory.glob(f"*{PUBLIC_SUFFIX}"))
        keys = [_load(file, load_pem_public_key, Ed25519PublicKey) for file in files]
        return {id_of(key): key for key in keys}


def make_key() -> tuple[bytes, bytes]:
    """A new private key and its public one, as PEM files hold them."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private, public


def id_of(public_key: Any) -> str:
    """What a public key is called on the wire: the beginning of its SHA-256."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:ID_DIGITS]


def _load(file: Path, read: Any, kind: type[Any]) -> Any:
    try:
        key = read(file.read_bytes())
    except OSError as error:
        raise KeyFileError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{file}: no key in PEM format ({error})") from error
    if not isinstance(key, kind):
        raise KeyFileError(f"{file}: not an Ed25519 key, as `uavtwin keys DIR --learner NAME` makes them")
    return key
