"""Signatures: the signature of an RSU, or of UAVs, on what it says, so that nobody else can speak in its name.

The market's topics are open to who can publish on them, and the middleware does not say who that is. So an RSU
signatures what it says: with its own Ed25519 key, and with a *certificate*, by which the market's authority says whose
key that is and until when. Who has the authority's public key can verify any RSU's signature, without having met it:

    certificate  the time until which it is valid (8 bytes, s since 1970), the RSU's public key (32), the authority's
             signature (64) of both and the RSU's id
    signature     the certificate, and the RSU's signature (64) of the message's content

A node of UAVs signatures in the same way. Its certificate is for all its UAVs, whose ids, with a space between them,
follow the signature: so a UAV container signs once what it says for many, and who hears it sees whom it may speak for.
The authority signs UAVs' certificates in another context than RSUs', so that neither kind of key passes for the other,
whatever the ids.

A signature does not keep anybody from sending a message again: rounds, epochs and sequences that only ever rise do.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from uav_twin_migration.market.messages import Refusal
from uav_twin_migration.security import ed25519
from uav_twin_migration.security.revocation import REVOKED_FILE, Revocations

CERTIFICATE_SIZE = 8 + ed25519.KEY_SIZE + ed25519.SIGNATURE_SIZE  # bytes, without UAVs' ids
SIGNATURE_SIZE = CERTIFICATE_SIZE + ed25519.SIGNATURE_SIZE  # bytes, without UAVs' ids
LONGEST_IDS = 65536  # bytes
CERTIFICATE_CONTEXT = b"uav-twin-certificate/1\0"
UAVS_CONTEXT = b"uav-twin-uavs-certificate/1\0"
SIGNATURE_CONTEXT = b"uav-twin-signature/1\0"
CERTIFICATE_LABEL = "UAVTWIN VOUCHER"
UAVS_LABEL = "UAVTWIN VOUCHER OF UAVS"
REMEMBERED = 1024  # certificates whose signature is not verified again


def certify(authority: bytes, rsu: str, public: bytes, until: int) -> bytes:
    """The authority's word that a key is an RSU's. authority: its private key. until: s since 1970."""
    return _vouch(authority, CERTIFICATE_CONTEXT, rsu.encode(), public, until)


def certify_uavs(authority: bytes, uavs: Iterable[str], public: bytes, until: int) -> bytes:
    """The authority's word that a key is of some UAVs, and their ids. authority, until: as for `certify`."""
    ids = " ".join(sorted(set(uavs))).encode()
    return _vouch(authority, UAVS_CONTEXT, ids, public, until) + ids


def _vouch(authority: bytes, context: bytes, ids: bytes, public: bytes, until: int) -> bytes:
    claim = struct.pack("<Q", until) + public
    return claim + ed25519.sign(authority, context + claim + ids)


class MessageSigner:
    """A key and its certificate: an RSU's, or that of a node of UAVs."""

    def __init__(self, file: Path | str, label: str = CERTIFICATE_LABEL) -> None:
        """Read `<id>.signature`, as `uavtwin keys` writes it. label: whose it must be. Raises KeyFileError."""
        self._key = ed25519.read_key(file, "PRIVATE KEY")
        certificate = ed25519.read_block(file, label)
        self._certificate, self._ids = certificate[:CERTIFICATE_SIZE], certificate[CERTIFICATE_SIZE:]
        whole = len(self._certificate) == CERTIFICATE_SIZE and bool(self._ids) == (label == UAVS_LABEL)
        if not whole or self.public != ed25519.public_of(self._key):
            what = "RSU's" if label == CERTIFICATE_LABEL else "UAV's"
            raise ed25519.KeyFileError(f"{file}: no {what} certificate for its key; make new ones with `uavtwin keys`")
        self.until = int(struct.unpack_from("<Q", self._certificate)[0])  # s since 1970

    @property
    def public(self) -> bytes:
        """The public key that is vouched for, 32 bytes."""
        return self._certificate[8:40]

    @property
    def uavs(self) -> list[str]:
        """The UAVs that it may speak for; none where it is an RSU's."""
        return self._ids.decode().split()

    def signature(self, content: bytes) -> bytes:
        """The signature of a message."""
        return self._certificate + ed25519.sign(self._key, SIGNATURE_CONTEXT + content) + self._ids


class MessageVerifier:
    """Verifies signatures with the authority's public key."""

    def __init__(self, authority: bytes, revoked: Container[bytes] = ()) -> None:
        """authority: its public key. revoked: public keys that are not believed any more."""
        self._authority, self._revoked = authority, revoked
        self._certificates: OrderedDict[tuple[bytes, bytes, bytes], bool] = OrderedDict()

    @classmethod
    def from_file(cls, file: Path | str) -> MessageVerifier:
        """Read `market.pub`, as `uavtwin keys` writes it, and `revoked` beside it. Raises KeyFileError."""
        authority = ed25519.read_key(file, "PUBLIC KEY")
        return cls(authority, Revocations(Path(file).with_name(REVOKED_FILE), authority))

    def refusal(self, rsu: str, content: bytes, signature: bytes, wall_time: float) -> Refusal | None:
        """Why a message is not believed to be of the RSU that it names; None where it is. wall_time: s since 1970."""
        if not signature:
            return Refusal.UNSIGNED
        if len(signature) != SIGNATURE_SIZE:
            return Refusal.FORGED
        return self._refusal(CERTIFICATE_CONTEXT, rsu.encode(), content, signature, wall_time)

    def refusal_of_uavs(
        self, uavs: Sequence[str], content: bytes, signature: bytes, wall_time: float
    ) -> Refusal | None:
        """Why a message is not believed to be of all the UAVs that it names; None where it is."""
        if not signature:
            return Refusal.UNSIGNED
        ids = signature[SIGNATURE_SIZE:]
        if not 0 < len(ids) <= LONGEST_IDS or not {uav.encode() for uav in uavs} <= set(ids.split(b" ")):
            return Refusal.FORGED
        return self._refusal(UAVS_CONTEXT, ids, content, signature[:SIGNATURE_SIZE], wall_time)

    def _refusal(
        self, context: bytes, ids: bytes, content: bytes, signature: bytes, wall_time: float
    ) -> Refusal | None:
        certificate, signature = signature[:CERTIFICATE_SIZE], signature[CERTIFICATE_SIZE:]
        if wall_time > struct.unpack_from("<Q", certificate)[0]:
            return Refusal.EXPIRED
        if not self._is_vouched_for(context, ids, certificate):
            return Refusal.FORGED
        if certificate[8:40] in self._revoked:
            return Refusal.REVOKED
        return None if ed25519.verify(certificate[8:40], SIGNATURE_CONTEXT + content, signature) else Refusal.FORGED

    def _is_vouched_for(self, context: bytes, ids: bytes, certificate: bytes) -> bool:
        known = self._certificates.get((context, ids, certificate))
        if known is None:
            claim, signature = certificate[:40], certificate[40:]
            known = ed25519.verify(self._authority, context + claim + ids, signature)
            if known:  # only good ones are remembered: a liar cannot push them out
                self._certificates[context, ids, certificate] = True
                if len(self._certificates) > REMEMBERED:
                    self._certificates.popitem(last=False)
        return known
