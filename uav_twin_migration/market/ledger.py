"""Receipts: what was bought and sold, kept by both sides, and compared.

An RSU's ledger has its grants, a UAV's those that it got and that were what it had asked for. Both keep a grant as it
was said on the air, whole and with its RSU's signature: so each line proves itself, whoever shows it, and the two
ledgers (and a recording, which heard the same) can be compared line by line. `ledger_file.py` keeps them on a disk.

A ledger is one JSON document a line:

    {"ledger": 1, "rsu": "rsu_1", "at": 12.5, "began": true}            who keeps it; each start, each new file
    {"at": 13.0, "rsu": "rsu_1", "round": 7, "price": 2.5, "uavs": ["uav_1"], "mhz": [3.1], "lease": [2, 0],
     "stamp": [13, 0], "signature": "..."}                                 a grant; a UAV's has "for": ["uav_1"], too
    {"at": 43.0}                                                          still there: all until then is above
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from uav_twin_migration.bounded import in_range, read_json, whole
from uav_twin_migration.market.messages import (
    LARGEST_BANDWIDTH,
    LARGEST_PRICE,
    is_id,
)

VERSION = 1
LONGEST_LINE = 1 << 20  # bytes
LATEST = 1e12  # s: no clock says more

Moment = tuple[int, int]  # s and ns, as a ROS Time or Duration has them


class Receipt(NamedTuple):
    """A grant as it was said, and when its keeper had it."""

    at: float  # s, by the keeper's clock
    rsu: str
    round: int
    price: float  # credit/MHz
    shares: dict[str, float]  # MHz by UAV, in the order of the message
    lease: Moment
    stamp: Moment  # by the RSU's clock
    signature: bytes = b""
    counts_for: tuple[str, ...] = ()  # the keeper's UAVs; none: it is the RSU's

    def content(self) -> bytes:
        """What its RSU signed: the fields of a BandwidthGrant as `nodes.ros.signatures.content` packs them."""
        uavs, shares = list(self.shares), list(self.shares.values())
        return b"".join(
            [
                b"BandwidthGrant",
                *(b"header", b"Header", b"stamp", _moment(b"Time", self.stamp), b"frame_id", _text("")),
                *(b"rsu_id", _text(self.rsu), b"round", struct.pack("<Q", self.round)),
                *(b"price", struct.pack("<d", self.price)),
                *(b"uav_ids", struct.pack("<I", len(uavs)), *map(_text, uavs)),
                *(b"bandwidth", struct.pack(f"<I{len(shares)}d", len(shares), *shares)),
                *(b"lease", _moment(b"Duration", self.lease)),
            ]
        )


def _moment(kind: bytes, moment: Moment) -> bytes:
    return kind + b"sec" + struct.pack("<i", moment[0]) + b"nanosec" + struct.pack("<I", moment[1])


def _text(text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return struct.pack("<I", len(content)) + content


def receipt_of(message: Any, at: float | None = None, counts_for: Iterable[str] = ()) -> Receipt:
    """A BandwidthGrant, of ROS or of a recording, as a receipt. Raises ValueError where it is none.

    at: when its keeper had it, s; None where nobody did: it is the RSU's stamp.
    """
    if len(message.uav_ids) != len(message.bandwidth):
        raise ValueError("arrays of different lengths")
    stamp, lease = message.header.stamp, message.lease
    shares = {str(uav): float(share) for uav, share in zip(message.uav_ids, message.bandwidth, strict=True)}
    receipt = Receipt(
        stamp.sec + stamp.nanosec / 1e9 if at is None else at,
        str(message.rsu_id),
        int(message.round),
        float(message.price),
        shares,
        (int(lease.sec), int(lease.nanosec)),
        (int(stamp.sec), int(stamp.nanosec)),
        bytes(getattr(message, "signature", b"")),  # which earlier versions had by another name
        tuple(counts_for),
    )
    return _checked(receipt)


def _checked(receipt: Receipt) -> Receipt:
    """The receipt, if it is one. Raises ValueError."""
    if not all(map(is_id, (receipt.rsu, *receipt.shares, *receipt.counts_for))):
        raise ValueError("an id that is none")
    in_range(receipt.at, -LATEST, LATEST)
    in_range(receipt.price, 0.0, LARGEST_PRICE)
    for share in receipt.shares.values():
        in_range(share, 0.0, LARGEST_BANDWIDTH)
    if not set(receipt.counts_for) <= receipt.shares.keys():
        raise ValueError("for UAVs that are not in it")
    if not 0 <= receipt.round < 1 << 64:
        raise ValueError("a round that is none")
    for seconds, nanoseconds in (receipt.lease, receipt.stamp):
        if not (-(1 << 31) <= seconds < 1 << 31 and 0 <= nanoseconds < 10**9):
            raise ValueError("a time that is none")
    return receipt


# -- lines -------------------------------------------------------------------------------------------------------------


def heading(keeper: str, uavs: Sequence[str], at: float, began: bool) -> str:
    """The first line of a file and of each start. keeper: the RSU; empty where it is that of UAVs."""
    who: dict[str, Any] = {"uavs": list(uavs)} if uavs else {"rsu": keeper}
    return _line({"ledger": VERSION, **who, "at": at, "began": began})


def line(receipt: Receipt) -> str:
    """A receipt's line."""
    document = {
        "at": receipt.at,
        "rsu": receipt.rsu,
        "round": receipt.round,
        "price": receipt.price,
        "uavs": list(receipt.shares),
        "mhz": list(receipt.shares.values()),
        "lease": receipt.lease,
        "stamp": receipt.stamp,
    }
    if receipt.signature:
        document["signature"] = base64.b64encode(receipt.signature).decode()
    if receipt.counts_for:
        document["for"] = list(receipt.counts_for)
    return _line(document)


def mark(at: float) -> str:
    """The line that says: all until then is above."""
    return _line({"at": at})


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":")) + "\n"


@dataclass
class Ledger:
    """What one keeper says, or what a recording heard."""

    source: str  # for people
    rsu: str = ""  # whose it is; empty: of UAVs, or a recording
    uavs: tuple[str, ...] = ()
    receipts: list[Receipt] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)  # s, by the keeper's clock, of which it tells all
    damaged: int = 0  # lines that are none

    def speaks_of(self, rsu: str, uav: str) -> bool:
        """Whether it would tell of what this RSU sold to this UAV."""
        if self.rsu:
            return rsu == self.rsu
        return not self.uavs or uav in self.uavs

    def covers(self, at: float, leeway: float) -> bool:
        """Whether it tells of that time, s, also where clocks differ by `leeway`."""
        return any(begin + leeway <= at <= end - leeway for begin, end in self.spans)

    def sales(self) -> Iterator[tuple[Receipt, str, float]]:
        """What was sold: receipt, UAV, MHz."""
        for receipt in self.receipts:
            for uav, share in receipt.shares.items():
                if share > 0.0 and (not receipt.counts_for or uav in receipt.counts_for):
                    yield receipt, uav, share

    def extend(self, at: float, begins: bool = False) -> None:
        """It tells of this time, too."""
        if begins or not self.spans:
            self.spans.append((at, at))
        else:
            begin, end = self.spans[-1]
            self.spans[-1] = (min(begin, at), max(end, at))


def read(source: str, lines: Iterable[bytes]) -> Ledger:
    """A ledger's lines. One that cannot be read is counted; the last may be cut off.

    Raises:
        ValueError: it is no ledger, or one of a newer version.
    """
    ledger = Ledger(source)
    first = True
    for text in lines:
        try:
            document = read_json(text, LONGEST_LINE)
            if not isinstance(document, dict):
                raise ValueError("no object")
            at = in_range(document.get("at"), -LATEST, LATEST)
            if first:
                _read_keeper(ledger, document)
                first = False
            if "round" in document:
                ledger.receipts.append(_receipt(document))
            ledger.extend(at, begins=document.get("began") is True)
        except ValueError as error:
            if first:
                raise ValueError(f"no ledger: {error}") from None
            ledger.damaged += 1
    if first:
        raise ValueError("no ledger: it is empty")
    return ledger


def _read_keeper(ledger: Ledger, document: dict[str, Any]) -> None:
    if document.get("ledger") != VERSION:
        raise ValueError(f"version {document.get('ledger')!r}, expected {VERSION}")
    ledger.rsu, ledger.uavs = str(document.get("rsu", "")), tuple(map(str, document.get("uavs", ())))
    if not all(map(is_id, (*ledger.uavs, *([ledger.rsu] if ledger.rsu else ())))) or not (ledger.rsu or ledger.uavs):
        raise ValueError("no keeper")


def _receipt(document: dict[str, Any]) -> Receipt:
    """A line's receipt. Raises ValueError."""
    try:
        shares = dict(zip(map(str, document["uavs"]), document["mhz"], strict=True))
        round_ = document["round"]
        receipt = Receipt(
            document["at"],
            str(document["rsu"]),
            round_ if type(round_) is int else whole(repr(round_)),
            document["price"],
            shares,
            _pair(document["lease"]),
            _pair(document["stamp"]),
            base64.b64decode(document.get("signature", ""), validate=True),
            tuple(map(str, document.get("for", ()))),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from None
    return _checked(receipt)


def _pair(value: Any) -> Moment:
    seconds, nanoseconds = value
    if type(seconds) is not int or type(nanoseconds) is not int:
        raise ValueError("a time that is none")
    return seconds, nanoseconds
