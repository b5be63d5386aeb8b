"""The grants that a recording heard, as a ledger that nobody of those concerned has kept."""

from __future__ import annotations

from pathlib import Path

from uav_twin_migration.errors import InputError
from uav_twin_migration.market.ledger import Ledger, receipt_of
from uav_twin_migration.recording.decoding import Decoder
from uav_twin_migration.recording.reader import Reader

KIND = "uav_twin_migration/msg/BandwidthGrant"


def ledger_of(source: Path) -> Ledger:
    """What RSUs said in a recording that they had sold.

    Raises:
        InputError: there is no recording, or it has no grants.
    """
    ledger, reader = Ledger(str(source)), Reader(source)
    decoders: dict[str, Decoder] = {}
    for recorded in reader:
        topic = recorded.topic
        if topic.kind != KIND:
            continue
        if topic.key not in decoders:
            decoders[topic.key] = Decoder(topic)
        try:
            receipt = receipt_of(decoders[topic.key](recorded.data))
        except (ValueError, AttributeError, TypeError, OverflowError):
            ledger.damaged += 1
            continue
        ledger.receipts.append(receipt)
        ledger.extend(receipt.at)
    if not decoders:
        raise InputError(str(source), "recording", f"no {KIND}", "one of a market: `uavtwin sim --record DIR`")
    return ledger
