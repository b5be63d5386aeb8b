"""The scenario file: YAML (or JSON, same keys) to records and back; docs/scenario.md is its reference.

The schema at the end of this file says the type of every value, not YAML's guesses: an RSU may be called `no`, and
1e3 is a number. Reading is by combinators: a reader turns one raw value (text, number, list or mapping) into a typed
one or raises `_Refusal`; the enclosing list or record puts its key in front as the refusal passes.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from uav_twin_migration.errors import InputError
from uav_twin_migration.output import write_text
from uav_twin_migration.scenario.document import Refusal as _Refusal
from uav_twin_migration.scenario.document import parse
from uav_twin_migration.scenario.geometry import which_are_simple
from uav_twin_migration.scenario.model import (
    Building,
    MarketParameters,
    Origin,
    Point,
    RadioParameters,
    Rsu,
    Scenario,
    TwinParameters,
    Uav,
)
from uav_twin_migration.scenario.routes import with_routes
from uav_twin_migration.shipped import shipped_file

SHIPPED = ("default", "small", "large")
SUFFIXES = (".yaml", ".yml", ".json")
HEADER = "# docs/scenario.md explains every key. Metres east and north of the origin, seconds, MHz, Mbit, credits."

T = TypeVar("T")
Reader = Callable[[Any], T]


def load(path_or_name: str | Path) -> Scenario:
    """Read a scenario file, or a shipped one by its name (`default`, `small`, `large`).

    Raises:
        InputError: the file cannot be read, or a value in it is not as docs/scenario.md says.
    """
    path = scenario_path(path_or_name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("scenario", "file", str(path), f"a readable text file ({_reason(error)})") from None
    return loads(text, str(path), path.parent)


def scenario_path(path_or_name: str | Path) -> Path:
    """Where the file lies: as given if it looks like a path, else that of a shipped scenario.

    Raises:
        InputError: neither a path nor the name of a shipped scenario.
    """
    path = Path(path_or_name)
    if path.suffix in SUFFIXES or len(path.parts) > 1 or path.is_file():
        return path
    name = str(path_or_name)
    shipped = shipped_file(f"config/scenarios/{name}.yaml") if name in SHIPPED else None
    if shipped is None:
        raise InputError("scenario", "name", name, f"a file or one of {', '.join(SHIPPED)}")
    return shipped


def loads(text: str, source: str = "scenario", folder: Path | None = None) -> Scenario:
    """Read a scenario from YAML or JSON text; `source` is what errors call it, `folder` where its routes' files lie.

    Raises:
        InputError: see `load`.
    """
    try:
        scenario = SCENARIO(with_routes(parse(text), folder, _ORIGIN))
        _check(scenario)
    except _Refusal as refusal:
        raise InputError(source, refusal.where(), refusal.value, refusal.expected) from None
    return scenario


def dump(scenario: Scenario) -> str:
    """The scenario as YAML that `loads` reads back to an equal one.

    The parameters are all written out; an RSU, UAV or building leaves out what has its default value.
    """
    lines = [HEADER, f"name: {_quoted(scenario.name)}"]
    for section in ("origin", "radio", "market", "twins"):
        parameters = dataclasses.asdict(getattr(scenario, section))
        lines += ["", f"{section}:", *(f"  {key}: {_quoted(value)}" for key, value in parameters.items())]
    for section in ("rsus", "uavs", "buildings"):
        records = getattr(scenario, section)
        lines += ["", f"{section}:" if records else f"{section}: []", *(f"  - {_flow(record)}" for record in records)]
    return "\n".join(lines) + "\n"


def dump_json(scenario: Scenario) -> str:
    """The scenario as JSON with the same keys: twenty times faster to read, which counts for a city of thousands."""
    return json.dumps(dataclasses.asdict(scenario)) + "\n"


def save(scenario: Scenario, path: str | Path) -> None:
    """Write the scenario to a file, as JSON where the name ends in .json, else as YAML.

    Raises:
        UavTwinError: the file cannot be written.
    """
    write_text(path, dump_json(scenario) if Path(path).suffix == ".json" else dump(scenario))


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)  # YAML has no surrogate pairs to escape what lies beyond the BMP


def _flow(record: Rsu | Uav | Building) -> str:
    """One record on one line, `{id: "a", position: [1.0, 2.0]}`: a city stays readable and diffs by the line."""
    values = ((field, getattr(record, field.name)) for field in dataclasses.fields(record))
    pairs = [f"{field.name}: {_quoted(value)}" for field, value in values if value != field.default]
    return "{" + ", ".join(pairs) + "}"


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "error" if isinstance(error, OSError) else "not UTF-8"


# --- readers --------------------------------------------------------------------------------------------------------


def _number(low: float = -math.inf, high: float = math.inf, *, above: float = -math.inf) -> Reader[float]:
    """A finite number, `low <= x <= high` and `x > above`."""
    bounds = [f"above {above:g}"] * (above > -math.inf) + [f"at least {low:g}"] * (low > -math.inf)
    bounds += [f"at most {high:g}"] * (high < math.inf)
    expected = " ".join(["a number", ", ".join(bounds)]).strip()

    def read(raw: Any) -> float:
        try:
            value = math.nan if isinstance(raw, bool) else float(raw)
        except (TypeError, ValueError, OverflowError):
            raise _Refusal(raw, expected) from None
        if low <= value <= high and above < value < math.inf:
            return value
        raise _Refusal(raw, expected)

    return read


def _integer(low: int) -> Reader[int]:
    def read(raw: Any) -> int:
        value = _number(low)(raw)
        if value != int(value):
            raise _Refusal(raw, f"a whole number at least {low}")
        return int(value)

    return read


def _boolean(raw: Any) -> bool:
    truth = {True: True, False: False, "true": True, "false": False}
    if isinstance(raw, (bool, str)) and raw in truth:
        return truth[raw]
    raise _Refusal(raw, "true or false")


def _one_of(*names: str) -> Reader[str]:
    def read(raw: Any) -> str:
        if raw not in names:
            raise _Refusal(raw, f"one of {', '.join(names)}")
        return str(raw)

    return read


def _pattern(pattern: str, expected: str) -> Reader[str]:
    compiled = re.compile(pattern)

    def read(raw: Any) -> str:
        if not isinstance(raw, str) or compiled.fullmatch(raw) is None:
            raise _Refusal(raw, expected)
        return raw

    return read


def _list(item: Reader[T], least: int, expected: str) -> Reader[tuple[T, ...]]:
    def read(raw: Any) -> tuple[T, ...]:
        if not isinstance(raw, list) or len(raw) < least:
            raise _Refusal(raw, expected)
        values: list[T] = []
        try:
            for element in raw:
                values.append(item(element))
        except _Refusal as refusal:
            raise refusal.under(len(values)) from None
        return tuple(values)

    return read


def _record(kind: type[T], /, **readers: Reader[Any]) -> Reader[T]:
    """A mapping to a dataclass: keys without a reader are refused, those with a default may be left out."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    missing = dataclasses.MISSING
    required = [f.name for f in fields if f.default is missing and f.default_factory is missing]

    def read(raw: Any) -> T:
        if not isinstance(raw, dict):
            raise _Refusal(raw, f"a mapping with {', '.join(required) or 'any of ' + ', '.join(readers)}")
        values: dict[str, Any] = {}
        for key, value in raw.items():
            reader = readers.get(key)
            if reader is None:
                raise _Refusal(value, _known_keys(key, readers), key)
            try:
                values[key] = reader(value)
            except _Refusal as refusal:
                raise refusal.under(key) from None
        for key in required:
            if key not in values:
                raise _Refusal(None, "a value; the key is missing", key)
        return kind(**values)

    return read


def _known_keys(key: str, readers: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(key, readers, n=1)
    return f"a known key; did you mean {close[0]!r}?" if close else f"a known key, one of {', '.join(readers)}"


# --- the schema -----------------------------------------------------------------------------------------------------

_positive = _number(high=1e9, above=0)
_coordinate = _number(-1e5, 1e5)  # m: the local plane is a good map of the Earth within some ten kilometres only
_id = _pattern(
    r"[a-zA-Z][a-zA-Z0-9_]{0,63}", "a ROS name token: a letter, then letters, digits or _, at most 64 in all"
)


def _title(raw: Any) -> str:
    if not isinstance(raw, str) or not 1 <= len(raw) <= 100 or not raw.isprintable():
        raise _Refusal(raw, "one line of at most 100 characters")
    return raw


def _point(raw: Any) -> Point:
    if not isinstance(raw, list) or len(raw) != 2:
        raise _Refusal(raw, "[east, north] in metres")
    return (_coordinate(raw[0]), _coordinate(raw[1]))


_ORIGIN = _record(Origin, latitude=_number(-90, 90), longitude=_number(-180, 180), altitude=_number(-1_000, 10_000))
_RSU = _record(
    Rsu,
    id=_id,
    position=_point,
    antenna_height=_number(high=300, above=0),
    range=_number(high=1e5, above=0),
    capacity=_positive,
    unit_cost=_positive,
    price_cap=_positive,
    region=_pattern(r"([a-zA-Z][a-zA-Z0-9_]{0,63})?", "a ROS name token of at most 64 characters, or nothing"),
)
_UAV = _record(
    Uav,
    id=_id,
    route=_list(_point, 1, "a list of at least one waypoint [east, north]"),
    altitude=_number(high=300, above=0),  # TR 36.777 ends at 300 m
    speed=_number(high=100, above=0),
    acceleration=_number(high=100, above=0),
    immersion_weight=_positive,
    twin_size=_positive,
    loop=_boolean,
)
_BUILDING = _record(
    Building,
    footprint=_list(_point, 3, "a list of at least three corners [east, north]"),
    height=_number(high=1_000, above=0),
    base=_number(0, 1_000),
)
_RADIO = _record(
    RadioParameters,
    environment=_one_of("UMi-AV", "UMa-AV"),
    carrier_frequency=_number(0.5, 100),
    transmit_power=_number(-50, 100),
    antenna_gain=_number(-50, 100),
    noise_figure=_number(0, 50),
    bandwidth=_number(high=1e5, above=0),
    interference_margin=_number(0, 100),
    implementation_loss=_number(0, 50),
)
_MARKET = _record(
    MarketParameters,
    rho=_number(0.01, 0.99),
    round_period=_number(0.01, 3600),
    offer_window=_number(high=3600, above=0),
    lease_rounds=_number(1, 1_000),
    max_bids=_integer(1),
    min_stay=_number(high=1e5, above=0),
    max_stay=_number(high=1e5, above=0),
)
_TWINS = _record(TwinParameters, replicas=_one_of("none", "one"))
SCENARIO: Reader[Scenario] = _record(
    Scenario,
    name=_title,
    origin=_ORIGIN,
    rsus=_list(_RSU, 1, "a list of at least one RSU"),
    uavs=_list(_UAV, 1, "a list of at least one UAV"),
    radio=_RADIO,
    market=_MARKET,
    twins=_TWINS,
    buildings=_list(_BUILDING, 0, "a list of buildings"),
)


# --- rules between values -------------------------------------------------------------------------------------------


def _check(scenario: Scenario) -> None:
    """Rules that no value can break alone."""
    _check_ids("rsus", scenario.rsus)
    _check_ids("uavs", scenario.uavs)
    for index, rsu in enumerate(scenario.rsus):
        if rsu.price_cap <= rsu.unit_cost:
            expected = f"more than its unit_cost {rsu.unit_cost:g}"
            raise _Refusal(rsu.price_cap, expected, "rsus", index, "price_cap")
    for index, uav in enumerate(scenario.uavs):
        for place, (here, there) in enumerate(itertools.pairwise(uav.route)):
            if here == there:
                raise _Refusal(list(there), "another point than the waypoint before", "uavs", index, "route", place + 1)
    market = scenario.market
    if market.offer_window >= market.round_period:
        expected = f"less than the round_period {market.round_period:g}"
        raise _Refusal(market.offer_window, expected, "market", "offer_window")
    if market.max_stay < market.min_stay:
        raise _Refusal(market.max_stay, f"at least the min_stay {market.min_stay:g}", "market", "max_stay")
    _check_footprints(scenario.buildings)


def _check_ids(section: str, records: Iterable[Rsu | Uav]) -> None:
    seen: set[str] = set()
    for index, record in enumerate(records):
        if record.id in seen:
            raise _Refusal(record.id, "an id that no other has", section, index, "id")
        seen.add(record.id)


def _check_footprints(buildings: Sequence[Building]) -> None:
    simple = which_are_simple([building.footprint for building in buildings])
    for index in np.flatnonzero(~simple).tolist():
        expected = "a simple polygon: no edges that cross or touch, no corner twice (the first is not repeated)"
        corners = [list(corner) for corner in buildings[index].footprint]
        raise _Refusal(corners, expected, "buildings", index, "footprint")
