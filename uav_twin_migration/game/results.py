"""Writing what was found for markets: JSON, JSON Lines, NumPy's npz, and Parquet."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.game.equilibrium import Equilibrium
from uav_twin_migration.game.files import JSON_LINES, Markets, pyarrow_for
from uav_twin_migration.game.leaders import ration
from uav_twin_migration.game.links import LinkMarket
from uav_twin_migration.game.market import Market
from uav_twin_migration.output import whole_file

if TYPE_CHECKING:
    from uav_twin_migration.game.large import LargeEquilibrium


def columns_of(market: Market, result: Equilibrium) -> dict[str, Any]:
    """What is told of the equilibria of a batch, key by key [B, ...]; NaN where there is none."""
    columns = {
        "status": result.status,
        "prices": result.prices,
        "bandwidth": result.bandwidth,
        "granted": ration(market, result.bandwidth),
        "profits": result.profits,
        "utilities": result.utilities,
        "exploitability": result.exploitability,
        "gain_at_most": result.bound,
        "agrees_from_above_and_below": result.agrees,
        "prices_from_above": np.where(np.isnan(result.from_above), result.prices, result.from_above),
    }
    return {key: np.ascontiguousarray(array) for key, array in columns.items()}  # as orjson takes them


def rows_of(columns: Mapping[str, Any], result: Equilibrium) -> list[dict[str, Any]]:
    """The same, market by market; null where there is no equilibrium, with the range that best replies go round.

    Longer values stay arrays: to make objects of all their numbers takes as long as to write them.
    """
    values = [list(array) if array.ndim > 1 else array.tolist() for array in columns.values()]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]
    for row in rows:
        row["cycle"] = row["mixed"] = row["least_regret"] = None
        if row["gain_at_most"] == np.inf:  # nothing is proven
            row["gain_at_most"] = None
    for i in np.flatnonzero(~result.found):
        low, high = result.cycle[i].tolist()
        for key in columns:
            if key not in ("status", "agrees_from_above_and_below"):
                rows[i][key] = None
        rows[i]["cycle"] = {"lowest": low, "highest": high}
    return rows


def instead(market: Market) -> dict[str, Any]:
    """What is told of one market without a pure equilibrium: a mixed one, prices of least regret, the cycle's path."""
    from uav_twin_migration.game.cycle import cycle_of, least_regret
    from uav_twin_migration.game.mixed import MOST_RSUS, mixed_equilibrium

    mixed = mixed_equilibrium(market) if market.rsus <= MOST_RSUS else None
    least, cycle = least_regret(market), cycle_of(market)
    return {
        "mixed": mixed
        and {
            "prices": [prices.tolist() for prices in mixed.prices],
            "probabilities": [probabilities.tolist() for probabilities in mixed.probabilities],
            "profits": mixed.profits.tolist(),
            "exploitability": mixed.exploitability,
        },
        "least_regret": {
            "prices": least.prices.tolist(),
            "regrets": least.regrets.tolist(),
            "exploitability": least.exploitability,
        },
        "cycle": {
            "lowest": cycle.prices.min(axis=0).tolist(),
            "highest": cycle.prices.max(axis=0).tolist(),
            "path": cycle.prices.tolist(),
            "closed": cycle.closed,
        },
    }


def row_of_links(market: LinkMarket, result: LargeEquilibrium) -> dict[str, Any]:
    """What is told of the equilibrium of a large market: bandwidths are lists along its links, which it names."""
    sold = np.bincount(market.rsu, result.bandwidth, market.rsus)
    part = np.minimum(1.0, market.capacity / np.where(sold > 0.0, sold, 1.0))
    row: dict[str, Any] = {
        "status": result.status,
        "links": {"uav": market.uav.tolist(), "rsu": market.rsu.tolist()},
        "prices": result.prices,
        "bandwidth": result.bandwidth,
        "granted": result.bandwidth * part[market.rsu],
        "profits": result.profits,
        "utilities": result.utilities,
        "exploitability": result.exploitability,
        "gain_at_most": result.bound,
        "agrees_from_above_and_below": result.agrees,
        "prices_from_above": result.from_above if np.isfinite(result.from_above).all() else result.prices,
        "cycle": None,
    }
    if not result.found:
        row = {key: value if key in ("status", "agrees_from_above_and_below") else None for key, value in row.items()}
    return row


def write_found(columns: Mapping[str, Any], markets: Markets, rows: Iterable[dict[str, Any]], path: str) -> None:
    """What was found for each market: as the name of the file ends, or as the markets came.

    ``rows`` are JSON objects, one a market, and not looked at where arrays are written; ``columns`` the same as arrays
    [B, ...], empty where sizes differ.
    Raises UavTwinError where the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        if not columns:
            raise UavTwinError(
                f"{path}: the markets differ in size, which arrays cannot hold; write JSON Lines instead"
            )
        buffer = io.BytesIO()
        np.savez(buffer, **columns)
        _put(buffer.getvalue(), path)
    elif suffix in (".parquet", ".pq"):
        pyarrow, parquet = pyarrow_for(path)
        sink = pyarrow.BufferOutputStream()
        parquet.write_table(pyarrow.Table.from_pylist([plain(row) for row in rows]), sink)
        _put(sink.getvalue().to_pybytes(), path)
    elif suffix in JSON_LINES:
        _put(b"\n".join(_dumped(row) for row in rows) + b"\n", path)
    elif markets.arrays and markets.many:
        _put(_dumped(columns) + b"\n", path)
    elif markets.many:
        _put(_dumped(list(rows)) + b"\n", path)
    elif markets.large:
        _put(_dumped(next(iter(rows))) + b"\n", path)
    else:
        text = json.dumps(plain(next(iter(rows))), indent=1, allow_nan=False)
        _put(text.encode() + b"\n", path)


def _dumped(value: Any) -> bytes:
    if find_spec("orjson"):
        orjson = import_module("orjson")
        # What it does not take itself, as arrays of texts, it takes as lists.
        return bytes(orjson.dumps(value, default=lambda array: array.tolist(), option=orjson.OPT_SERIALIZE_NUMPY))
    return json.dumps(plain(value), allow_nan=False, separators=(",", ":")).encode()


def plain(value: Any) -> Any:
    """Arrays as lists, and null for NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _put(data: bytes, path: str) -> None:
    if path == "-":
        sys.stdout.flush()
        binary = getattr(sys.stdout, "buffer", None)
        _ = binary.write(data) if binary else sys.stdout.write(data.decode())
        return
    with whole_file(path) as partial:
        partial.write_bytes(data)
