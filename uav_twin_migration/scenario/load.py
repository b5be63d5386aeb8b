"""The scenario file: YAML (or JSON, same keys) to records and back; docs/scenario.md is its reference.

The records' settings (model.py) say the type of every value, not YAML's guesses: an RSU may be called `no`, and 1e3 is
a number. A reader turns one raw value (text, number, list or mapping) into a typed one or raises `Refusal`; the
enclosing list or record puts its key in front as the refusal passes.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from uav_twin_migration.errors import InputError
from uav_twin_migration.output import write_text
from uav_twin_migration.plugins import beside, check
from uav_twin_migration.scenario.document import parse
from uav_twin_migration.scenario.faults import schedule
from uav_twin_migration.scenario.geometry import which_are_simple
from uav_twin_migration.scenario.model import (
    HIGHEST,
    Building,
    MarketParameters,
    Origin,
    RadioParameters,
    Randomness,
    Rsu,
    Scenario,
    TwinParameters,
    Uav,
)
from uav_twin_migration.scenario.routes import with_routes
from uav_twin_migration.scenario.settings import (
    SCENARIO,
    Reader,
    Refusal,
    check_rules,
    plugins_of,
    setting_of,
    settings_of,
)
from uav_twin_migration.scenario.tracks import with_tracks
from uav_twin_migration.shipped import shipped_file

SHIPPED = ("default", "small", "large")
SUFFIXES = (".yaml", ".yml", ".json")
HEADER = "# docs/scenario.md explains every key. Metres east and north of the origin, seconds, MHz, Mbit, credits."

T = TypeVar("T")


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
        plain = with_tracks(parse(text), folder, ORIGIN)
        scenario = SCENARIO_FILE(with_routes(plain, folder, ORIGIN))
        _check(scenario)
    except Refusal as refusal:
        raise InputError(source, refusal.where(), refusal.value, refusal.expected) from None
    return scenario if folder is None else _with_plugins(scenario, folder)


def dump(scenario: Scenario) -> str:
    """The scenario as YAML that `loads` reads back to an equal one.

    The parameters are all written out; an RSU, UAV or building leaves out what has its default value.
    """
    lines = [HEADER, f"name: {_quoted(scenario.name)}"]
    if scenario.faults:
        lines += ["", "faults:", *(f"  - {_quoted(one)}" for one in scenario.faults)]
    for section in ("origin", "radio", "market", "twins", "randomness"):
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


def check_plugins(scenario: Scenario) -> None:
    """Find every plug-in that a scenario names, before anything starts. Imports them.

    Raises:
        PluginError: one cannot be found, or is none of its kind.
    """
    records = [getattr(scenario, section) for section in SECTIONS]
    records += [one for section in LISTS for one in getattr(scenario, section)]
    for kind, text in {found for record in records for found in _kinds(record)}:
        check(kind, text)


def _with_plugins(scenario: Scenario, folder: Path) -> Scenario:
    """The same, with plug-ins and a radio map out of files beside the scenario by their absolute paths."""
    changed: dict[str, Any] = {section: _beside(getattr(scenario, section), folder) for section in SECTIONS}
    if scenario.radio.map:
        changed["radio"] = dataclasses.replace(changed["radio"], map=str((folder / scenario.radio.map).resolve()))
    changed |= {section: tuple(_beside(one, folder) for one in getattr(scenario, section)) for section in LISTS}
    return dataclasses.replace(scenario, **changed)


def _kinds(record: Any) -> list[tuple[str, str]]:
    """The plug-ins that a record names: kind and text."""
    return [(setting_of(record.__class__, name).plugin, text) for name, text in plugins_of(record).items()]


def _beside(record: T, folder: Path) -> T:
    named = plugins_of(record)
    if not named:
        return record
    absolute: Any = {name: beside(text, folder) for name, text in named.items()}
    return dataclasses.replace(record, **absolute)  # type: ignore[type-var]


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "error" if isinstance(error, OSError) else "not UTF-8"


# --- readers --------------------------------------------------------------------------------------------------------


def _settings(record: type) -> dict[str, Reader]:
    """The readers of a record that the file has, by key."""
    return {setting.name: setting.read for setting in settings_of(record) if SCENARIO in setting.known_to}


def _record(kind: type[T], readers: Mapping[str, Reader] | None = None) -> Callable[[Any], T]:
    """A mapping to a dataclass: keys without a reader are refused, those with a default may be left out."""
    readers = readers or _settings(kind)
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    missing = dataclasses.MISSING
    required = [f.name for f in fields if f.default is missing and f.default_factory is missing]

    def read(raw: Any) -> T:
        if not isinstance(raw, dict):
            raise Refusal(raw, f"a mapping with {', '.join(required) or 'any of ' + ', '.join(readers)}")
        values: dict[str, Any] = {}
        for key, value in raw.items():
            reader = readers.get(key)
            if reader is None:
                raise Refusal(value, _known_keys(key, readers), key)
            try:
                values[key] = reader(value)
            except Refusal as refusal:
                raise refusal.under(key) from None
        for key in required:
            if key not in values:
                raise Refusal(None, "a value; the key is missing", key)
        return kind(**values)

    return read


def _records(kind: type[T], least: int, expected: str) -> Callable[[Any], tuple[T, ...]]:
    """A list of mappings."""
    record = _record(kind)

    def read(raw: Any) -> tuple[T, ...]:
        if not isinstance(raw, list) or len(raw) < least:
            raise Refusal(raw, expected)
        values: list[T] = []
        try:
            for element in raw:
                values.append(record(element))
        except Refusal as refusal:
            raise refusal.under(len(values)) from None
        return tuple(values)

    return read


def _known_keys(key: str, readers: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(key, readers, n=1)
    return f"a known key; did you mean {close[0]!r}?" if close else f"a known key, one of {', '.join(readers)}"


SECTIONS: dict[str, type] = {
    "origin": Origin,
    "radio": RadioParameters,
    "market": MarketParameters,
    "twins": TwinParameters,
    "randomness": Randomness,
}
LISTS: dict[str, tuple[type, int, str]] = {  # of records, so many at least
    "rsus": (Rsu, 1, "a list of at least one RSU"),
    "uavs": (Uav, 1, "a list of at least one UAV"),
    "buildings": (Building, 0, "a list of buildings"),
}
ORIGIN = _record(Origin)
SCENARIO_FILE = _record(
    Scenario,
    {
        **_settings(Scenario),
        **{section: _record(kind) for section, kind in SECTIONS.items()},
        **{section: _records(*of) for section, of in LISTS.items()},
    },
)


# --- rules between values -------------------------------------------------------------------------------------------


def _check(scenario: Scenario) -> None:
    """Rules that no value can break alone."""
    _check_ids("rsus", scenario.rsus)
    _check_ids("uavs", scenario.uavs)
    for index, rsu in enumerate(scenario.rsus):
        _check_rules(rsu, "rsus", index)
    _check_rules(scenario.market, "market")
    for index, uav in enumerate(scenario.uavs):
        for place, (here, there) in enumerate(itertools.pairwise(uav.route)):
            if here == there:
                raise Refusal(list(there), "another point than the waypoint before", "uavs", index, "route", place + 1)
        _check_track(uav, index)
    _check_footprints(scenario.buildings)
    try:
        schedule(scenario.faults, {rsu.id for rsu in scenario.rsus})
    except Refusal as refusal:
        raise refusal.under("faults") from None


def _check_rules(record: Rsu | MarketParameters, *where: str | int) -> None:
    try:
        check_rules(vars(record))
    except Refusal as refusal:
        raise refusal.under(*where) from None


def _check_ids(section: str, records: Iterable[Rsu | Uav]) -> None:
    seen: set[str] = set()
    for index, record in enumerate(records):
        if record.id in seen:
            raise Refusal(record.id, "an id that no other has", section, index, "id")
        seen.add(record.id)


def _check_track(uav: Uav, index: int) -> None:
    for place, (_, *_, up) in enumerate(uav.track):
        if not 0.0 <= up <= HIGHEST:
            raise Refusal(up, f"a height from 0 to {HIGHEST:g} m", "uavs", index, "track", place)
    for place, (before, after) in enumerate(itertools.pairwise(uav.track)):
        if after[0] <= before[0]:
            raise Refusal(after[0], f"a later time than {before[0]:g} s", "uavs", index, "track", place + 1)


def _check_footprints(buildings: Sequence[Building]) -> None:
    simple = which_are_simple([building.footprint for building in buildings])
    for index in np.flatnonzero(~simple).tolist():
        expected = "a simple polygon: no edges that cross or touch, no corner twice (the first is not repeated)"
        corners = [list(corner) for corner in buildings[index].footprint]
        raise Refusal(corners, expected, "buildings", index, "footprint")
