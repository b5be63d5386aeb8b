"""Compares ledgers: what each says of the same sales, which signatures are good, and where they do not agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from uav_twin_migration.market.ledger import Ledger, Receipt

LEEWAY = 5.0  # s by which keepers' clocks may differ
SAME = 1e-9  # part of a number

Refusal = Callable[[Receipt], str]  # why a signature is not good; empty where it is


class Account(NamedTuple):
    """What one source says that an RSU sold to a UAV, all in all."""

    rsu: str
    uav: str
    source: str
    rounds: int
    bandwidth: float  # MHz, mean over these rounds
    paid: float  # credit: price times bandwidth, of each round
    first: float  # s, by the source's clock
    last: float  # s


class Difference(NamedTuple):
    """One sale that two sources do not tell alike."""

    rsu: str
    uav: str
    round: int
    at: float  # s, of whoever says something
    says: str  # the source that says it, or the first of the two
    lacks: str  # the source that does not, or says otherwise
    what: str  # a sentence
    signed: bool  # whether what `says` has proves itself


class Outcome(NamedTuple):
    """All that came out of comparing ledgers."""

    accounts: list[Account]
    differences: list[Difference]
    forged: list[tuple[str, Receipt, str]]  # source, receipt, why its signature is not good
    compared: int  # sales that two sources tell alike


class _Sale(NamedTuple):
    receipt: Receipt
    bandwidth: float


_Key = tuple[str, str, int]  # RSU, UAV, round


def reconcile(ledgers: Sequence[Ledger], refusal: Refusal | None = None, leeway: float = LEEWAY) -> Outcome:
    """Compare each two ledgers where both would tell of a sale. refusal: what is wrong with a signature.

    A sale that a ledger cannot know of is no difference: before its keeper began, in a gap that its restart left, at
    the end of what is written, all within `leeway` seconds.
    """
    forged = [] if refusal is None else [*_forged(ledgers, refusal)]
    bad = {(source, id(receipt)) for source, receipt, _ in forged}
    sales = [_sales(one) for one in ledgers]
    differences: list[Difference] = []
    compared = 0
    for (one, of_one), (other, of_other) in combinations(zip(ledgers, sales, strict=True), 2):
        for key in sorted(of_one.keys() | of_other.keys()):
            rsu, uav, _ = key
            if not (one.speaks_of(rsu, uav) and other.speaks_of(rsu, uav)):
                continue
            here, there = of_one.get(key), of_other.get(key)
            found = _compare(key, (one, here), (other, there), leeway, bad)
            if found is not None and refusal is None:
                found = found._replace(signed=False)
            if found is not None:
                differences.append(found)
            elif here and there:
                compared += 1
    return Outcome([*_accounts(ledgers)], differences, forged, compared)


def _forged(ledgers: Iterable[Ledger], refusal: Refusal) -> Iterable[tuple[str, Receipt, str]]:
    for ledger in ledgers:
        for receipt in ledger.receipts:
            why = refusal(receipt)
            if why:
                yield ledger.source, receipt, why


def _sales(ledger: Ledger) -> dict[_Key, _Sale]:
    return {(receipt.rsu, uav, receipt.round): _Sale(receipt, share) for receipt, uav, share in ledger.sales()}


def _compare(
    key: _Key,
    one: tuple[Ledger, _Sale | None],
    other: tuple[Ledger, _Sale | None],
    leeway: float,
    bad: set[tuple[str, int]],
) -> Difference | None:
    if one[1] is None or (other[1] is not None and one[0].uavs and not other[0].uavs):
        one, other = other, one  # who says something comes first, of two an RSU
    (ledger, sale), (silent, otherwise) = one, other
    assert sale is not None  # one of the two says something
    signed = bool(sale.receipt.signature) and (ledger.source, id(sale.receipt)) not in bad
    says = f"{sale.bandwidth:.6g} MHz at {sale.receipt.price:.6g} credit/MHz"
    if otherwise is None:
        if not silent.covers(sale.receipt.at, leeway):
            return None
        what = f"{ledger.source} has {says}; {silent.source} has nothing"
    elif _is_same(sale, otherwise):
        return None
    else:
        differs = f"{otherwise.bandwidth:.6g} MHz at {otherwise.receipt.price:.6g} credit/MHz"
        what = f"{ledger.source} has {says}; {silent.source} has {differs}"
        if signed and otherwise.receipt.signature and (silent.source, id(otherwise.receipt)) not in bad:
            what += f": {sale.receipt.rsu} has signed both"
    return Difference(*key, sale.receipt.at, ledger.source, silent.source, what, signed)


def _is_same(one: _Sale, other: _Sale) -> bool:
    pairs = ((one.bandwidth, other.bandwidth), (one.receipt.price, other.receipt.price))
    return all(abs(a - b) <= SAME * max(abs(a), abs(b)) for a, b in pairs)


def _accounts(ledgers: Iterable[Ledger]) -> Iterable[Account]:
    for ledger in ledgers:
        sold: dict[tuple[str, str], list[_Sale]] = defaultdict(list)
        for (rsu, uav, _), sale in _sales(ledger).items():
            sold[rsu, uav].append(sale)
        for (rsu, uav), some in sorted(sold.items()):
            total = sum(one.bandwidth for one in some)
            paid = sum(one.bandwidth * one.receipt.price for one in some)
            times = [one.receipt.at for one in some]
            yield Account(rsu, uav, ledger.source, len(some), total / len(some), paid, min(times), max(times))
