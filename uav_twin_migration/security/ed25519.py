"""Ed25519 keys (RFC 8032) in PEM files (RFC 8410, RFC 7468), and signatures with them.

The library is PyNaCl, which takes 1 MB of a node's memory, a tenth of what `cryptography` does. It has no PEM files;
those of Ed25519 keys are a fixed heading and 32 bytes, the same that `openssl pkey` reads and writes.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from uav_twin_migration.errors import UavTwinError

SIGNATURE_SIZE = 64  # bytes
KEY_SIZE = 32  # bytes
HEADINGS = {
    "PRIVATE KEY": bytes.fromhex("302e020100300506032b657004220420"),  # PKCS#8, RFC 5958
    "PUBLIC KEY": bytes.fromhex("302a300506032b6570032100"),  # SubjectPublicKeyInfo, RFC 5280
}


class KeyFileError(UavTwinError):
    """A key file cannot be used; says which, and why."""


def make_key() -> bytes:
    """A new private key, 32 bytes."""
    from nacl.signing import SigningKey

    return bytes(SigningKey.generate())


def public_of(private: bytes) -> bytes:
    """The public key of a private one, 32 bytes."""
    from nacl.signing import SigningKey

    return bytes(SigningKey(private).verify_key)


def sign(private: bytes, message: bytes) -> bytes:
    """The signature of a message, 64 bytes."""
    from nacl.signing import SigningKey

    return bytes(SigningKey(private).sign(message).signature)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is of this message, by this key."""
    from nacl.exceptions import CryptoError
    from nacl.signing import VerifyKey

    if len(signature) != SIGNATURE_SIZE:
        return False
    try:
        VerifyKey(public).verify(message, signature)
    except (CryptoError, ValueError):
        return False
    return True


def to_pem(key: bytes, label: str) -> str:
    """A key as text. label: "PRIVATE KEY" or "PUBLIC KEY"."""
    return pem_block(HEADINGS[label] + key, label)


def read_key(file: Path | str, label: str) -> bytes:
    """A key out of a PEM file. Raises KeyFileError."""
    content = read_block(file, label)
    heading = HEADINGS[label]
    if len(content) != len(heading) + KEY_SIZE or not content.startswith(heading):
        raise KeyFileError(f"{file}: not an Ed25519 {label.lower()}, as `uavtwin keys` makes them")
    return content[len(heading) :]


def pem_block(content: bytes, label: str) -> str:
    """Bytes as text between a BEGIN and an END line."""
    text = base64.b64encode(content).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def read_block(file: Path | str, label: str) -> bytes:
    """The bytes of a PEM file's first block of a label. Raises KeyFileError."""
    try:
        text = Path(file).read_text(encoding="ascii")
    except OSError as error:
        raise KeyFileError(f"{file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{file}: no PEM file") from error
    found = re.search(f"-----BEGIN {label}-----([A-Za-z0-9+/=\\s]*)-----END {label}-----", text)
    try:
        return base64.b64decode("".join(found.group(1).split()), validate=True) if found else b""
    except binascii.Error as error:
        raise KeyFileError(f"{file}: {label.lower()} is damaged ({error})") from error
