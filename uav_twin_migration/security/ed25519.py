"""Ed25519 keys (RFC 8032) in PEM files (RFC 8410, RFC 7468), and signatures with them.

PyNaCl is used where it is installed: it takes 1 MB of a node's memory, a tenth of what `cryptography` does, which every
ROS distribution has. PyNaCl has no PEM files; those of Ed25519 keys are a fixed heading and 32 bytes, the same that
`openssl pkey` reads and writes.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Protocol

from uav_twin_migration.errors import UavTwinError

SIGNATURE_SIZE = 64  # bytes
KEY_SIZE = 32  # bytes
KEPT_KEYS = 16  # private keys of which what a library makes of them is kept: half of a signature's time
HEADINGS = {
    "PRIVATE KEY": bytes.fromhex("302e020100300506032b657004220420"),  # PKCS#8, RFC 5958
    "PUBLIC KEY": bytes.fromhex("302a300506032b6570032100"),  # SubjectPublicKeyInfo, RFC 5280
}


class KeyFileError(UavTwinError):
    """A key file cannot be used; says which, and why."""


def make_key() -> bytes:
    """A new private key, 32 bytes."""
    return os.urandom(KEY_SIZE)


def public_of(private: bytes) -> bytes:
    """The public key of a private one, 32 bytes."""
    return _library().public_of(private)


def sign(private: bytes, message: bytes) -> bytes:
    """The signature of a message, 64 bytes."""
    return _library().sign(private, message)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is of this message, by this key."""
    return len(signature) == SIGNATURE_SIZE and _library().verify(public, message, signature)


class Library(Protocol):
    """What is needed of a library."""

    def public_of(self, private: bytes) -> bytes: ...
    def sign(self, private: bytes, message: bytes) -> bytes: ...
    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool: ...


class Nacl:
    """PyNaCl."""

    def __init__(self) -> None:
        import nacl.exceptions
        import nacl.signing

        self._signing, self._refusals = nacl.signing, (nacl.exceptions.CryptoError, ValueError)
        self._key = lru_cache(KEPT_KEYS)(nacl.signing.SigningKey)

    def public_of(self, private: bytes) -> bytes:
        return bytes(self._key(private).verify_key)

    def sign(self, private: bytes, message: bytes) -> bytes:
        return bytes(self._key(private).sign(message).signature)

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        try:
            self._signing.VerifyKey(public).verify(message, signature)
        except self._refusals:
            return False
        return True


class Cryptography:
    """`cryptography`."""

    def __init__(self) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519

        self._keys, self._refusals = ed25519, (InvalidSignature, ValueError)
        self._key = lru_cache(KEPT_KEYS)(ed25519.Ed25519PrivateKey.from_private_bytes)
        self._raw = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def public_of(self, private: bytes) -> bytes:
        key = self._key(private).public_key()
        return bytes(key.public_bytes(*self._raw))

    def sign(self, private: bytes, message: bytes) -> bytes:
        return bytes(self._key(private).sign(message))

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        try:
            self._keys.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except self._refusals:
            return False
        return True


@cache
def _library() -> Library:
    """The lighter one of those that are installed."""
    try:
        return Nacl()
    except ImportError:
        return Cryptography()


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
