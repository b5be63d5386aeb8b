"""Seals on messages: what an RSU says is sealed, what is heard is verified, each where a key was given."""

from __future__ import annotations

import time
from typing import TypeVar

from uav_twin_migration.market.messages import Refusal
from uav_twin_migration.market.seal import Sealed, Sealer, SealReader
from uav_twin_migration.msg import BandwidthGrant, PriceOffer
from uav_twin_migration.nodes import convert

M = TypeVar("M", PriceOffer, BandwidthGrant)


class Voice:
    """Seals what an RSU says."""

    def __init__(self, file: str) -> None:
        """file: the RSU's ID.seal; empty to seal nothing. Raises KeyFileError."""
        self._sealer = Sealer(file) if file else None

    def sealed(self, message: M) -> M:
        """The message, with its seal."""
        if self._sealer is not None:
            message.seal = self._sealer.seal(_content(message))
        return message


class Ear:
    """Verifies what RSUs said."""

    def __init__(self, file: str) -> None:
        """file: the market authority's public key; empty to believe everything. Raises KeyFileError."""
        self._reader = SealReader.from_file(file) if file else None

    def refusal(self, message: PriceOffer | BandwidthGrant) -> Refusal | None:
        """Why a message is not believed to be of the RSU that it names; None where it is. Not for ragged ones."""
        if self._reader is None:
            return None
        return self._reader.refusal(_content(message), bytes(message.seal), time.time())


def _content(message: PriceOffer | BandwidthGrant) -> Sealed:
    """What is sealed: the content as it arrives, after the rounding of durations."""
    if isinstance(message, PriceOffer):
        return convert.offer_from_message(message)
    return convert.grant_from_message(message)
