"""Reading files of markets: JSON, JSON Lines, NumPy's npz, and Parquet.

Many markets are many numbers: what counts is how often Python touches one. So markets of one size become one batch, key
by key, and only where something about them is odd are they read again one by one, which names what is wrong. orjson
reads JSON five times as quickly as the standard library; where it is not installed, that does.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from uav_twin_migration.errors import InputError, missing_library
from uav_twin_migration.game.links import LinkMarket
from uav_twin_migration.game.market import FURTHER_KEYS, FloatArray, Market, numbers, stack

JSON_LINES = (".jsonl", ".ndjson")
_KEYS = tuple(field.name for field in fields(Market))
_FLAT = ("alpha", "required_rate", "efficiency", "unit_cost", "rho")  # numbers in every market's JSON


@dataclass(frozen=True)
class Group:
    """Markets of one size, as one batch, and their places in the file."""

    market: Market  # [B]
    places: Sequence[int]
    prices: FloatArray | None = None  # [B, M] credit/MHz, where the file has some


@dataclass(frozen=True)
class Markets:
    """The markets of a file."""

    groups: list[Group]
    count: int
    source: str
    many: bool  # a list, a batch or lines, though it may have one market only
    arrays: bool = False  # they came as arrays with a batch axis
    large: LinkMarket | None = None  # instead of groups: one market that came as links

    def name(self, place: int) -> str:
        """What to call one of them."""
        return f"{self.source}: market {place}" if self.many else self.source


def read_markets(path: str, prices: bool = False) -> Markets:
    """The markets of a file; "-" is standard input, JSON or JSON Lines. With ``prices`` every market must have them.

    Raises InputError that names the file, the market, the key and the entry.
    """
    source = "standard input" if path == "-" else path
    suffix = Path(path).suffix.lower()
    try:
        data = _stdin() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InputError(source, "file", error.strerror, "a readable file of markets") from None
    if suffix == ".npz":
        return _of_arrays(_npz(data, source), source, prices)
    if suffix in (".parquet", ".pq"):
        return _of_documents(_parquet(data, source), source, True, prices)
    document = _json(data, source, suffix in JSON_LINES)
    if isinstance(document, list):
        return _of_documents(document, source, True, prices, data)
    if isinstance(document, Mapping) and "links" in document:
        return Markets([], 1, source, many=False, large=_of_links(document, source))
    if isinstance(document, Mapping) and _depth(document.get("efficiency")) == 3:
        return _of_arrays(document, source, prices)
    return _of_documents([document], source, False, prices, data)


def _stdin() -> bytes:
    binary = getattr(sys.stdin, "buffer", None)
    return bytes(binary.read()) if binary else sys.stdin.read().encode()


def _of_documents(documents: list[Any], source: str, many: bool, prices: bool, data: bytes | None = None) -> Markets:
    """Batches of equal sizes, each at once where nothing is odd, else one by one."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    quick = data is None or not (b"true" in data or b"false" in data)  # as numbers, arrays would take them for 1 and 0
    for place, document in enumerate(documents):
        try:
            shape = len(document["alpha"]), len(document["unit_cost"]), isinstance(document["price_cap"], list)
            groups.setdefault((*shape, "prices" in document), []).append(place)
            quick = quick and len(document) == len(_KEYS) + ("prices" in document)
        except (TypeError, KeyError):
            Market.from_json(document, f"{source}: market {place}" if many else source)  # says what is wrong
            raise
    read = []
    for (_, _, _, priced), places in groups.items():
        batch = _at_once([documents[place] for place in places], priced) if quick else None
        read.append(Group(batch[0], places, batch[1]) if batch else _one_by_one(documents, places, source, many))
    markets = Markets(read, len(documents), source, many)
    for group in markets.groups:
        _check_prices(group, markets, prices)
    return markets


def _at_once(documents: list[dict[str, Any]], priced: bool) -> tuple[Market, FloatArray | None] | None:
    """The batch, or None where it has to be looked at one by one: to say what is wrong, or as some are just unusual."""
    try:
        arrays: dict[str, Any] = {key: np.array([document[key] for document in documents]) for key in _FLAT}
        arrays["price_cap"] = np.array([document["price_cap"] for document in documents])
        if arrays["price_cap"].ndim == 1:
            arrays["price_cap"] = arrays["price_cap"][:, None]
        if all(document["capacity"] is None for document in documents):
            arrays["capacity"] = np.full((len(documents), 1), np.inf)
        else:
            arrays["capacity"] = np.array([document["capacity"] for document in documents])
        prices = np.array([document["prices"] for document in documents]) if priced else None
        shapes = [arrays["efficiency"].shape[1:], (*arrays["alpha"].shape[1:], *arrays["unit_cost"].shape[1:])]
        if shapes[0] != shapes[1] or arrays["capacity"].ndim != 2 or arrays["rho"].ndim != 1:
            return None
        if any(a.dtype.kind not in "fiu" for a in [*arrays.values(), *([] if prices is None else [prices])]):
            return None
        market = Market.of(**arrays)
    except (ValueError, TypeError, KeyError, InputError):
        return None
    return market, None if prices is None else np.asarray(prices, dtype=np.float64)


def _one_by_one(documents: list[Any], places: list[int], source: str, many: bool) -> Group:
    """Raises InputError for the first that is wrong."""
    markets, prices = [], []
    for place in places:
        name = f"{source}: market {place}" if many else source
        market = Market.from_json(documents[place], name)
        markets.append(market)
        if "prices" in documents[place]:
            prices.append(numbers(documents[place]["prices"], name, "prices", market.rsus, "unit_cost"))
    return Group(stack(markets), places, np.stack(prices) if prices else None)


def _of_links(document: Mapping[str, Any], source: str) -> LinkMarket:
    """One market that has ``links`` of "uav", "rsu" and "efficiency", a list each, instead of ``efficiency``."""
    links = document["links"]
    if not isinstance(links, Mapping) or set(links) != {"uav", "rsu", "efficiency"}:
        keys = sorted(links) if isinstance(links, Mapping) else links
        raise InputError(source, "links", keys, 'an object of three lists, "uav", "rsu" and "efficiency"')
    # All else is that of a market in which nobody reaches anybody.
    unit_cost = numbers(document.get("unit_cost"), source, "unit_cost")
    alpha = numbers(document.get("alpha"), source, "alpha")
    one = {key: value for key, value in document.items() if key != "links"}
    if "efficiency" in one:
        raise InputError(source, "efficiency", "this key beside links", "one of the two")
    rest = Market.from_json(one | {"alpha": [], "required_rate": [], "efficiency": []}, source)
    rate = numbers(document.get("required_rate"), source, "required_rate", len(alpha), "alpha")
    ends = {key: numbers(links[key], source, f"links.{key}", len(links["uav"]), "links.uav") for key in links}
    for key in ("uav", "rsu"):
        if (ends[key] % 1.0 != 0.0).any():
            raise InputError(source, f"links.{key}", "a number that is not whole", "indices, from 0")
    return LinkMarket.of(
        alpha=alpha,
        required_rate=rate,
        uav=ends["uav"].astype(np.intp),
        rsu=ends["rsu"].astype(np.intp),
        efficiency=ends["efficiency"],
        unit_cost=unit_cost,
        capacity=rest.capacity,
        price_cap=rest.price_cap,
        rho=float(rest.rho),
        source=source,
    )


def _of_arrays(arrays: Mapping[str, Any], source: str, prices: bool) -> Markets:
    """A batch whose arrays have one axis more, the first; or one market, where they do not."""
    for key in arrays:
        if key not in (*_KEYS, *FURTHER_KEYS):
            raise InputError(source, key, "a key that no market has", ", ".join(_KEYS))
    for key in _KEYS:
        if key not in arrays and key != "capacity":
            raise InputError(source, key, "nothing", "this key, which every market has")
    given: dict[str, Any] = {}
    for key in (*_KEYS, "prices"):
        value = arrays.get(key)
        if value is None:
            continue
        try:
            array = np.asarray(value)
            if array.dtype == object:
                array = np.asarray(_unlimited(value), dtype=np.float64)
        except (ValueError, TypeError):
            raise InputError(source, key, "rows of unequal lengths, or no numbers", "an array of numbers") from None
        if array.dtype.kind not in "fiu":
            raise InputError(source, key, f"{array.dtype} values", "an array of numbers")
        given[key] = array
    many = given["efficiency"].ndim == 3
    if many and given["price_cap"].ndim == 1:
        given["price_cap"] = given["price_cap"][:, None]
    posted = given.pop("prices", None)
    market = Market.of(**given, source=source)
    if posted is not None and posted.shape != market.unit_cost.shape:
        raise InputError(source, "prices", f"shape {posted.shape}", f"shape {market.unit_cost.shape}, as unit_cost")
    batch = market.flat()
    posted = None if posted is None else np.asarray(posted, dtype=np.float64).reshape(batch.unit_cost.shape)
    group = Group(batch, range(len(batch.rho)), posted)
    markets = Markets([group], len(batch.rho), source, many, arrays=True)
    _check_prices(group, markets, prices)
    return markets


def _check_prices(group: Group, markets: Markets, needed: bool) -> None:
    if group.prices is None:
        if needed:
            name = markets.name(group.places[0])
            raise InputError(name, "prices", "nothing", "this key: one price per RSU, credit/MHz")
        return
    bad = np.argwhere(~((group.prices > 0.0) & np.isfinite(group.prices)))
    if len(bad):
        row, m = bad[0]
        value = float(group.prices[row, m])
        raise InputError(markets.name(group.places[row]), f"prices[{m}]", value, "a finite number > 0")


def _unlimited(value: Any) -> Any:
    """The same nested lists with infinity for null."""
    return [_unlimited(item) for item in value] if isinstance(value, list) else np.inf if value is None else value


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list) and value:
        depth, value = depth + 1, value[0]
    return depth


def _json(data: bytes, source: str, lines: bool) -> Any:
    """Decoded JSON, or a list of the decoded lines. Raises InputError where it is none, or has a key twice."""
    text = data
    if lines or _looks_like_lines(data):
        text = b"[" + b",".join(line for line in data.splitlines() if line.strip()) + b"]"
    if b"\\" not in text and find_spec("orjson"):
        try:
            document = import_module("orjson").loads(text)
            if text.count(b'"') == _quotes(document if isinstance(document, list) else [document]):
                return document
        except (ValueError, TypeError):
            pass  # the standard library also reads NaN, whose place is told later, and says where the fault is
    try:
        return json.loads(text.decode(), object_pairs_hook=lambda pairs: _once(pairs, source))
    except UnicodeDecodeError:
        raise InputError(source, "file", "bytes that are no UTF-8", "a JSON file") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(source, "file", str(error), "JSON: a market or a list of markets") from None


def _quotes(documents: Sequence[Any]) -> int:
    """How many quotation marks it takes to write markets; in a text that has more, some object has a key twice."""
    texts = 0
    for document in documents:
        if isinstance(document, dict):
            texts += len(document)
            for value in document.values():
                if isinstance(value, str):
                    texts += 1
                elif isinstance(value, dict):
                    texts += len(value)
    return 2 * texts


def _once(pairs: list[tuple[str, Any]], source: str) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(source, twice, "this key twice in one object", "each key once")
    return document


def _looks_like_lines(data: bytes) -> bool:
    """Objects on lines of their own, more than one."""
    first, _, rest = data.strip().partition(b"\n")
    return first.startswith(b"{") and first.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{")


def _npz(data: bytes, source: str) -> dict[str, Any]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, OSError, EOFError, KeyError, SyntaxError) as error:
        raise InputError(source, "file", str(error), "an .npz file of plain arrays") from None
    except Exception as error:  # zipfile and zlib have errors of their own
        raise InputError(source, "file", str(error), "an .npz file of plain arrays") from None


def _parquet(data: bytes, source: str) -> list[dict[str, Any]]:
    pyarrow, parquet = pyarrow_for(source)
    try:
        rows = parquet.read_table(pyarrow.BufferReader(data)).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(source, "file", str(error), "a Parquet file, a market a row") from None
    return [{key: value for key, value in row.items() if value is not None or key == "capacity"} for row in rows]


def pyarrow_for(source: str) -> tuple[Any, Any]:
    """pyarrow, and its Parquet part. Raises UavTwinError where it is not installed."""
    if not find_spec("pyarrow"):
        raise missing_library(f"{source}: Parquet needs", "pyarrow")
    return import_module("pyarrow"), import_module("pyarrow.parquet")
