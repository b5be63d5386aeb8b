"""The ledger of a node: its file, as its parameters have it, and what `/diagnostics` says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uav_twin_migration.market.ledger_file import LedgerFile
from uav_twin_migration.nodes.ros.timing import Timing


def open_ledger(values: Mapping[str, Any], rsu: str, uavs: Sequence[str], timing: Timing) -> LedgerFile | None:
    """The ledger of an RSU, or of a node's UAVs; None where none is wanted."""
    if not values["ledger"]:
        return None
    return LedgerFile(values["ledger"], values["ledger_size"], rsu, uavs, timing.now)


def describe_ledger(ledger: LedgerFile | None) -> dict[str, object]:
    """For `/diagnostics`: nothing while all is well."""
    if ledger is None or not ledger.trouble:
        return {}
    return {"ledger_trouble": ledger.trouble, "ledger_lost": ledger.lost}
