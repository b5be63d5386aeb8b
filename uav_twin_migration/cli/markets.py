"""Markets in JSON files: what `uavtwin solve` and `uavtwin respond` read and write."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uav_twin_migration.errors import InputError
from uav_twin_migration.output import write_text

if TYPE_CHECKING:  # the commands' modules need only the standard library until they run
    from uav_twin_migration.game.market import Market


def read(path: str) -> tuple[list[Any], list[str], bool]:
    """The decoded markets of a JSON file ("-": standard input), what to call each in errors, and if it was a list.

    Raises InputError where there is no such file or no JSON in it.
    """
    source = "standard input" if path == "-" else path
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(source, "file", error.strerror, "a readable JSON file") from None
    except UnicodeDecodeError:
        raise InputError(source, "file", "bytes that are no UTF-8", "a JSON file") from None
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(source, "file", str(error), "JSON: a market or a list of markets") from None
    if isinstance(document, list):
        return document, [f"{source}: market {i}" for i in range(len(document))], True
    return [document], [source], False


def by_size(markets: list[Market]) -> list[list[int]]:
    """Indices of markets with equally many UAVs and RSUs, which can be worked on as one batch."""
    groups: dict[tuple[int, int], list[int]] = {}
    for i, market in enumerate(markets):
        groups.setdefault((market.uavs, market.rsus), []).append(i)
    return list(groups.values())


def plain(value: object) -> Any:
    """Arrays as lists, and null for NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write(document: object, path: str) -> None:
    """JSON to a file, or to standard output where ``path`` is "-". Raises UavTwinError where that cannot be written."""
    text = json.dumps(plain(document), indent=1, allow_nan=False)
    if path == "-":
        print(text)
        return
    write_text(path, text + "\n")


def numbers(values: Any) -> str:
    """A row of numbers for people."""
    import numpy as np

    return "  ".join("       -" if not np.isfinite(value) else f"{value:8.4g}" for value in np.ravel(values))
