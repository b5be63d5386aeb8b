"""What RSUs sold and UAVs got: ledgers and recordings, verified and compared. Their nodes may be running."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uav_twin_migration.cli.markets import write
from uav_twin_migration.errors import InputError, UavTwinError

if TYPE_CHECKING:
    from uav_twin_migration.market.ledger import Ledger, Receipt
    from uav_twin_migration.market.reconciliation import Outcome, Refusal

SUFFIX = ".ledger"
MOST_LINES = 20  # of differences that are printed; JSON has all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="SOURCE", help="a ledger, a folder of ledgers (*.ledger), a recording"
    )
    parser.add_argument("--market-key", type=Path, metavar="FILE", help="market.pub: verify the RSUs' signatures")
    parser.add_argument(
        "--leeway", type=float, default=5.0, metavar="S", help="by how much clocks may differ (default: %(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Raises UavTwinError where sources do not agree, or a signature is not good."""
    from uav_twin_migration.market.reconciliation import reconcile

    if not 0.0 <= args.leeway < float("inf"):
        raise InputError("command line", "--leeway", args.leeway, "seconds, 0 or more")
    ledgers = [one for source in args.sources for one in _read(source)]
    outcome = reconcile(ledgers, _refusal(args.market_key) if args.market_key else None, args.leeway)
    if args.json:
        write(_document(ledgers, outcome, bool(args.market_key)), args.json)
    if args.json != "-":
        print("\n".join(_lines(ledgers, outcome, bool(args.market_key))))
    if outcome.differences or outcome.forged:
        raise UavTwinError(
            f"{len(outcome.differences)} sales are told differently, {len(outcome.forged)} receipts do not prove "
            "themselves; docs/ledger.md tells what that can mean"
        )
    return 0


def _read(source: Path) -> list[Ledger]:
    """The ledgers of one source. Raises InputError."""
    from uav_twin_migration.market.ledger_file import read_file
    from uav_twin_migration.recording.grants import ledger_of
    from uav_twin_migration.recording.reader import SUFFIXES

    if source.name.endswith(SUFFIXES) or (source.is_dir() and not list(source.glob(f"*{SUFFIX}"))):
        return [ledger_of(source)]
    files = sorted(source.glob(f"*{SUFFIX}")) if source.is_dir() else [source]
    try:
        return [read_file(file) for file in files]
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(
            str(source), "file", why, "a ledger, as the parameter `ledger` of RSUs and UAVs has it"
        ) from None


def _refusal(market_key: Path) -> Refusal:
    """Verifies receipts: why one does not prove itself; empty where it does. Raises KeyFileError."""
    from uav_twin_migration.security.message_signature import MessageVerifier

    verifier = MessageVerifier.from_file(market_key)

    def refusal(receipt: Receipt) -> str:
        granted_at = float(receipt.stamp[0])  # a certificate must have been valid then
        reason = verifier.refusal(receipt.rsu, receipt.content(), receipt.signature, granted_at)
        return reason.value if reason else ""

    return refusal


def _document(ledgers: list[Ledger], outcome: Outcome, verified: bool) -> dict[str, Any]:
    return {
        "ledgers": [
            {
                "source": one.source,
                "rsu": one.rsu,
                "uavs": one.uavs,
                "receipts": len(one.receipts),
                "damaged": one.damaged,
            }
            for one in ledgers
        ],
        "verified": verified,
        "compared": outcome.compared,
        "accounts": [one._asdict() for one in outcome.accounts],
        "differences": [one._asdict() for one in outcome.differences],
        "forged": [
            {"source": source, "rsu": receipt.rsu, "round": receipt.round, "why": why}
            for source, receipt, why in outcome.forged
        ],
    }


def _lines(ledgers: list[Ledger], outcome: Outcome, verified: bool) -> list[str]:
    lines = [_about(one) for one in ledgers]
    lines.append(
        f"  {'RSU':<14} {'UAV':<14} {'rounds':>7} {'mean MHz':>9} {'credit':>11} {'from, s':>14} {'to, s':>14}  source"
    )
    lines += [
        f"  {one.rsu:<14} {one.uav:<14} {one.rounds:7d} {one.bandwidth:9.3f} {one.paid:11.2f} {one.first:14.1f} "
        f"{one.last:14.1f}  {one.source}"
        for one in outcome.accounts
    ]
    for one in outcome.differences[:MOST_LINES]:
        lines.append(f"  {one.rsu} to {one.uav}, round {one.round}: {one.what}{' (signed)' if one.signed else ''}")
    for source, receipt, why in outcome.forged[:MOST_LINES]:
        lines.append(f"  {source}: what {receipt.rsu} is said to have sold in round {receipt.round} is {why}")
    left = max(len(outcome.differences) - MOST_LINES, 0) + max(len(outcome.forged) - MOST_LINES, 0)
    lines += [f"  ... and {left} more; --json has them all"] * (left > 0)
    signatures = "signatures verified" if verified else "signatures not verified (--market-key)"
    lines.append(f"{outcome.compared} sales are told alike by two; {signatures}")
    return lines


def _about(ledger: Ledger) -> str:
    keeper = f"RSU {ledger.rsu}" if ledger.rsu else f"UAVs {', '.join(ledger.uavs)}" if ledger.uavs else "a recording"
    damaged = f", {ledger.damaged} lines cannot be read" if ledger.damaged else ""
    return f"{ledger.source}: {keeper}, {len(ledger.receipts)} grants{damaged}"
