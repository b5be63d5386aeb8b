"""What a sweep should run: its file, read and checked before anything runs."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.document import parse
from uav_twin_migration.scenario.settings import Refusal

RUNS = ("solve", "evaluate", "train", "sim", "virtual")
DESIGNS = ("grid", "list", "latin")
KEYS = ("name", "run", "scenario", "options", "over", "seeds", "design", "samples", "seed", "measures", "plots")
RANGE = ("from", "to", "count", "scale", "whole")
PLOT = ("x", "y", "by", "log")
MOST_POINTS = 100_000

Values = dict[str, Any]  # of one point, by axis


@dataclass(frozen=True)
class Plot:
    """One picture: a measure over an axis, a line for each value of another."""

    x: str
    y: str
    by: str = ""
    log: str = ""  # axes that are logarithmic: x, y or xy


@dataclass(frozen=True)
class Spec:
    """A sweep's file."""

    name: str
    run: str  # one of RUNS
    scenario: Any  # file or name, {rsus: N, uavs: N} for one made up, or None
    options: Values  # of the command, the same in all points
    points: tuple[Values, ...]
    axes: tuple[str, ...]
    measures: tuple[str, ...]  # to draw; empty: the usual ones of the command
    plots: tuple[Plot, ...]
    document: Values  # as it was read


def read(path: Path) -> Spec:
    """Raises InputError that names the file, the key and what was expected."""
    try:
        document = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("sweep", "SPEC", str(path), f"a readable text file ({error})") from None
    except Refusal as refusal:
        raise InputError(str(path), refusal.where(), refusal.value, refusal.expected) from None
    return spec_of(_typed(document), str(path))


def _typed(value: Any) -> Any:
    """Words as the numbers and truths that they are: `parse` guesses no types."""
    if isinstance(value, dict):
        return {key: _typed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_typed(one) for one in value]
    if value in ("true", "false"):
        return value == "true"
    for kind in (int, float):
        try:
            if math.isfinite(kind(value)):
                return kind(value)
        except (TypeError, ValueError, OverflowError):
            continue
    return value


def spec_of(document: Any, source: str) -> Spec:
    """See `read`."""
    _mapping(document, source, "file", KEYS)
    run = document.get("run")
    if run not in RUNS:
        raise InputError(source, "run", run, f"one of {', '.join(RUNS)}")
    design = document.get("design", "grid")
    if design not in DESIGNS:
        raise InputError(source, "design", design, f"one of {', '.join(DESIGNS)}")
    over = dict(_mapping(document.get("over", {}), source, "over"))
    if "seeds" in document:
        over["seed"] = list(range(_whole(document["seeds"], source, "seeds")))
    if not over:
        raise InputError(source, "over", document.get("over"), "one setting or option at least, with its values")
    seed = _whole(document.get("seed", 0), source, "seed", least=0)
    points = _points(over, design, document.get("samples"), seed, source)
    measures = document.get("measures", [])
    if not isinstance(measures, list) or not all(isinstance(one, str) for one in measures):
        raise InputError(source, "measures", measures, "a list of names of what the command tells")
    return Spec(
        name=str(document.get("name", Path(source).stem)),
        run=run,
        scenario=document.get("scenario"),
        options=dict(_mapping(document.get("options", {}), source, "options")),
        points=tuple(points),
        axes=tuple(over),
        measures=tuple(measures),
        plots=_plots(document.get("plots", []), over, source),
        document=dict(document),
    )


def _points(over: Values, design: str, samples: Any, seed: int, source: str) -> list[Values]:
    if design == "latin":
        count = _whole(samples, source, "samples")
        return _latin(over, count, seed, source)
    lists = {axis: _listed(values, source, f"over.{axis}") for axis, values in over.items()}
    if design == "list":
        lengths = {axis: len(values) for axis, values in lists.items()}
        repeated = {axis: values for axis, values in lists.items() if axis == "seed"}
        paired = {axis: values for axis, values in lists.items() if axis not in repeated}
        if len({lengths[axis] for axis in paired}) > 1:
            raise InputError(source, "over", lengths, "lists of equal length, as the design is list")
        rows = [dict(zip(paired, row, strict=True)) for row in zip(*paired.values(), strict=True)] or [{}]
        return [row | {"seed": one} for row in rows for one in repeated["seed"]] if repeated else rows
    count = math.prod(map(len, lists.values()))
    if count > MOST_POINTS:
        raise InputError(source, "over", f"{count} points", f"a grid of at most {MOST_POINTS}")
    return [dict(zip(lists, row, strict=True)) for row in itertools.product(*lists.values())]


def _listed(values: Any, source: str, key: str) -> list[Any]:
    """The values of an axis: given one by one, or as a range."""
    if isinstance(values, list) and values:
        return values
    if isinstance(values, Mapping):
        low, high, log, whole = _range(values, source, key)
        count = _whole(values.get("count"), source, f"{key}.count")
        spaced = np.geomspace(low, high, count) if log else np.linspace(low, high, count)
        return list(dict.fromkeys(_number(one, whole) for one in spaced.tolist()))
    raise InputError(source, key, values, "a list of values, or {from: A, to: B, count: N}, with scale: log if wanted")


def _range(values: Mapping[str, Any], source: str, key: str) -> tuple[float, float, bool, bool]:
    _mapping(values, source, key, RANGE)
    low, high = (_float(values.get(end), source, f"{key}.{end}") for end in ("from", "to"))
    log = values.get("scale", "linear") == "log"
    if values.get("scale", "linear") not in ("linear", "log"):
        raise InputError(source, f"{key}.scale", values["scale"], "linear or log")
    if not low < high or (log and low <= 0.0):
        raise InputError(source, f"{key}.to", high, f"more than {low:g}" + (", both above 0" if log else ""))
    return low, high, log, bool(values.get("whole", False))


def _latin(over: Values, count: int, seed: int, source: str) -> list[Values]:
    """A Latin hypercube: each axis in `count` equal parts, each part once; McKay et al., Technometrics 21, 1979."""
    random = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {}
    for axis, values in over.items():
        share = (random.permutation(count) + random.random(count)) / count
        if isinstance(values, Mapping):
            low, high, log, whole = _range({"count": 0, **values}, source, f"over.{axis}")
            ends = np.log([low, high]) if log else np.array([low, high])
            drawn = ends[0] + share * (ends[1] - ends[0])
            columns[axis] = [_number(one, whole) for one in (np.exp(drawn) if log else drawn).tolist()]
        else:
            listed = _listed(values, source, f"over.{axis}")
            columns[axis] = [listed[int(one * len(listed))] for one in share]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plots(given: Any, over: Values, source: str) -> tuple[Plot, ...]:
    if not isinstance(given, list):
        raise InputError(source, "plots", given, "a list of {x: AXIS, y: MEASURE}, with by: AXIS and log: xy if wanted")
    plots = []
    for number, one in enumerate(given):
        key = f"plots[{number}]"
        _mapping(one, source, key, PLOT)
        for name in ("x", "by"):
            if one.get(name, "" if name == "by" else None) not in (*over, *([""] if name == "by" else [])):
                raise InputError(source, f"{key}.{name}", one.get(name), f"one of {', '.join(over)}")
        plots.append(Plot(one["x"], str(one.get("y", "")), one.get("by", ""), str(one.get("log", ""))))
    return tuple(plots)


def _mapping(value: Any, source: str, key: str, known: Iterable[str] = ()) -> Mapping[str, Any]:
    known = list(known)
    if not isinstance(value, Mapping):
        raise InputError(source, key, value, "a mapping" + (f" with {', '.join(known)}" if known else ""))
    for name in value:
        if known and name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            expected = f"a known key; did you mean {near[0]!r}?" if near else f"one of {', '.join(known)}"
            raise InputError(source, str(name) if key == "file" else f"{key}.{name}", value[name], expected)
    return value


def _float(value: Any, source: str, key: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(source, key, value, "a number")
    return number


def _whole(value: Any, source: str, key: str, least: int = 1) -> int:
    number = _float(value, source, key)
    if number != int(number) or not least <= number <= MOST_POINTS:
        raise InputError(source, key, value, f"a whole number from {least} to {MOST_POINTS}")
    return int(number)


def _number(value: float, whole: bool) -> float | int:
    return round(value) if whole else float(f"{value:.12g}")
