"""Results as JSON, and rows of numbers for people: what the commands share."""

from __future__ import annotations

import json
import math
from typing import Any

from uav_twin_migration.output import write_text


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
