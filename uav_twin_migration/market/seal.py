"""Seals: an RSU's signature on what it says, so that nobody else can speak in its name.

The market's topics are open to who can publish on them, and the middleware does not say who that is. So an RSU seals
what it says: with its own Ed25519 key, and with a *voucher*, by which the market's authority says whose key that is and
until when. Who has the authority's public key can verify any RSU's seal, without having met it:

    voucher  the time until which it is valid (8 bytes, s since 1970), the RSU's public key (32), the authority's
             signature (64) of both and the RSU's id
    seal     the voucher, and the RSU's signature (64) of the message's content

A seal does not keep anybody from sending a message again: rounds that only ever rise do.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from pathlib import Path

from uav_twin_migration import ed25519
from uav_twin_migration.market.messages import Refusal

VOUCHER_SIZE = 8 + ed25519.KEY_SIZE + ed25519.SIGNATURE_SIZE  # bytes
SEAL_SIZE = VOUCHER_SIZE + ed25519.SIGNATURE_SIZE  # bytes
VOUCHER_CONTEXT = b"uav-twin-voucher/1\0"
SEAL_CONTEXT = b"uav-twin-seal/1\0"
VOUCHER_LABEL = "UAVTWIN VOUCHER"
REMEMBERED = 256  # vouchers whose signature is not verified again


def vouch(authority: bytes, rsu: str, public: bytes, until: int) -> bytes:
    """The authority's word that a key is an RSU's. authority: its private key. until: s since 1970."""
    claim = struct.pack("<Q", until) + public
    return claim + ed25519.sign(authority, VOUCHER_CONTEXT + claim + rsu.encode())


class Sealer:
    """An RSU's key and voucher."""

    def __init__(self, file: Path | str) -> None:
        """Read `<rsu>.seal`, as `uavtwin keys` writes it. Raises KeyFileError."""
        self._key = ed25519.read_key(file, "PRIVATE KEY")
        self._voucher = ed25519.read_block(file, VOUCHER_LABEL)
        if len(self._voucher) != VOUCHER_SIZE or self._voucher[8:40] != ed25519.public_of(self._key):
            raise ed25519.KeyFileError(f"{file}: no voucher for its key; make new ones with `uavtwin keys`")
        self.until = int(struct.unpack_from("<Q", self._voucher)[0])  # s since 1970

    def seal(self, content: bytes) -> bytes:
        """The seal of a message of this RSU."""
        return self._voucher + ed25519.sign(self._key, SEAL_CONTEXT + content)


class SealReader:
    """Verifies seals with the authority's public key."""

    def __init__(self, authority: bytes) -> None:
        """authority: its public key."""
        self._authority = authority
        self._vouchers: OrderedDict[tuple[str, bytes], bool] = OrderedDict()

    @classmethod
    def from_file(cls, file: Path | str) -> SealReader:
        """Read `market.pub`, as `uavtwin keys` writes it. Raises KeyFileError."""
        return cls(ed25519.read_key(file, "PUBLIC KEY"))

    def refusal(self, rsu: str, content: bytes, seal: bytes, wall_time: float) -> Refusal | None:
        """Why a message is not believed to be of the RSU that it names; None where it is. wall_time: s since 1970."""
        if not seal:
            return Refusal.UNSEALED
        if len(seal) != SEAL_SIZE:
            return Refusal.FORGED
        voucher, signature = seal[:VOUCHER_SIZE], seal[VOUCHER_SIZE:]
        if wall_time > struct.unpack_from("<Q", voucher)[0]:
            return Refusal.EXPIRED
        if not self._is_vouched_for(rsu, voucher):
            return Refusal.FORGED
        return None if ed25519.verify(voucher[8:40], SEAL_CONTEXT + content, signature) else Refusal.FORGED

    def _is_vouched_for(self, rsu: str, voucher: bytes) -> bool:
        known = self._vouchers.get((rsu, voucher))
        if known is None:
            claim, signature = voucher[:40], voucher[40:]
            known = ed25519.verify(self._authority, VOUCHER_CONTEXT + claim + rsu.encode(), signature)
            if known:  # only good ones are remembered: a liar cannot push them out
                self._vouchers[rsu, voucher] = True
                if len(self._vouchers) > REMEMBERED:
                    self._vouchers.popitem(last=False)
        return known
